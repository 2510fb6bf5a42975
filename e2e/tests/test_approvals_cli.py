"""`chaperone approvals`: people, logged in with their own provider, decide at a terminal about what an agent's psql
waits for."""

import json
import os
import re
import select
import signal
import subprocess
import threading
import time

import psycopg
import pytest
from support.login import Browser, Home, LossyRelay
from support.manual import ControlPlane, postgres_resource, write
from support.oidc import Provider
from support.ports import free_port
from support.postgres import PASSWORD
from support.stack import CHAPERONE, ROOT

PEOPLE = {"ann": {"groups": ["dba"]}, "bob": {"groups": ["dba"]}, "eve": {"groups": ["guests"]},
          "olga": {"groups": ["owners"]}}
RULES = {"version": 1, "rules": [
    {"name": "reads", "effect": "allow",
     "match": {"sql": {"commands": ["read", "transaction", "session"]}}},
    {"name": "two-people", "effect": "hold", "match": {"sql": {"commands": ["UPDATE"]}},
     "hold": {"approvers": {"groups": ["dba"]}, "people": 2, "reason": "required"}},
    {"name": "one-person", "effect": "hold", "match": {"sql": {"commands": ["DELETE"]}},
     "hold": {"approvers": {"groups": ["dba"]}, "standing": {"for": "1h", "uses": 3}}},
    {"name": "owners-only", "effect": "hold", "match": {"sql": {"commands": ["INSERT"]}},
     "hold": {"approvers": {"groups": ["owners"]}}}]}


@pytest.fixture(scope="module")
def provider():
    running = Provider([{"id": "agent-7", "groups": ["agents"]},
                        {"id": "bot", "groups": ["bots"]},
                        {"id": "admin", "groups": ["admins"]}], PEOPLE)
    yield running
    running.close()


@pytest.fixture(scope="module")
def controlplane(provider, postgres):
    resources, credentials = postgres_resource(postgres)
    running = ControlPlane({
        "identity_providers": [{"name": "p", "issuer": provider.issuer, "leeway": "0s",
                                "audience": ["chaperone-cli", provider.resource]}],
        "roles": {"admin": ["admins"], "bot": ["bots"],
                  "approver": ["dba", "guests", "owners"]},
        "credentials": credentials, "resources": resources,
        "grants": [{"name": "agents", "resources": ["db"], "groups": ["agents"]}],
    }, operator_token=provider.token("admin"), env={"TARGET_PASSWORD": PASSWORD})
    running.push(RULES)
    yield running
    running.close()


@pytest.fixture(scope="module")
def sidecar(controlplane, provider, postgres):
    postgres.psql("DROP TABLE IF EXISTS held; CREATE TABLE held (id int, note text)")
    path = write(os.path.join(controlplane.dir, "agent.token"), provider.token("agent-7"))
    return controlplane.sidecar(["db"], {"token_file": path})


@pytest.fixture(scope="module")
def people(controlplane, provider, tmp_path_factory):
    """Everybody, at a machine of their own, logged in."""
    made = {}
    for name in PEOPLE:
        home = Home(tmp_path_factory.mktemp(name), ca=controlplane.ca, issuer=provider.issuer,
                    server=f"127.0.0.1:{controlplane.server_port}", client_id="chaperone-cli")
        login = home.login("--no-browser")
        Browser(name).open(login.address())
        login.succeed()
        made[name] = home
    return made


class Held:
    """An agent that runs a statement which is held; `end` waits for what came of it."""

    def __init__(self, sidecar, people, text, parameters=None):
        self.connection = psycopg.connect(sidecar.dsn(), autocommit=True)
        self.result, self.error = None, None
        self.text, self.parameters = text, parameters
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()
        asked = "olga" if text.startswith("INSERT") else "ann"
        self.id = wait_for(lambda: [a["id"] for a in listed(people[asked]) if
                                    text in a["text"] or parameters and "$1" in a["text"]])[0]

    def _run(self):
        try:
            self.result = self.connection.execute(self.text, self.parameters).rowcount
        except psycopg.Error as error:
            self.error = error

    def end(self):
        self.thread.join(60)
        assert not self.thread.is_alive()
        return self

    def close(self):
        self.connection.close()
        self.thread.join(60)


@pytest.fixture
def hold(sidecar, people):
    made = []

    def make(text, parameters=None):
        made.append(Held(sidecar, people, text, parameters))
        return made[-1]

    yield make
    for held in made:
        held.close()


def wait_for(ask, seconds=60):
    deadline = time.monotonic() + seconds
    while True:
        found = ask()
        if found:
            return found
        assert time.monotonic() < deadline
        time.sleep(0.02)  # what waits is only told to those who watch, and this asks as a person does


def listed(home, *args):
    done = home.run("approvals", "list", "--json", *args)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def fill(postgres, rows=3):
    postgres.psql(f"TRUNCATE held; INSERT INTO held SELECT i FROM generate_series(1, {rows}) i")


def test_approved_it_runs(hold, people, postgres, controlplane):
    fill(postgres)
    held = hold("DELETE FROM held WHERE id < 3")
    done = people["ann"].run("approvals", "approve", held.id, "--reason", "ticket 4711")
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"approved {held.id}\n"
    assert f"approving {held.id}: agent-7 on db: DELETE FROM held WHERE id < 3\n" in done.stderr
    assert held.end().result == 2
    (shown,) = wait_for(lambda: [a for a in listed(people["bob"], "--all")
                                 if a["id"] == held.id and a["state"] == "used"])
    assert [(d["by"], d["approve"], d["reason"]) for d in shown["decisions"]] == [
        ("ann", True, "ticket 4711")]
    for state in ("requested", "approved"):
        controlplane.wait_for(lambda r, s=state: r["kind"] == "approval" and r["status"] == s, "--session", shown["session"])


def test_denied_the_session_goes_on(hold, people, postgres):
    fill(postgres)
    held = hold("DELETE FROM held WHERE id = 1")
    done = people["bob"].run("approvals", "deny", held.id, "--reason", "not on a Friday")
    assert (done.returncode, done.stdout) == (0, f"denied {held.id}\n")
    error = held.end().error
    assert error is not None and "not on a Friday" in str(error)
    assert held.connection.execute("SELECT count(*) FROM held").fetchone() == (3,)
    again = people["ann"].run("approvals", "approve", held.id)
    assert again.returncode == 1 and again.stdout == "" and "denied" in again.stderr


def test_what_is_shown(hold, people, postgres):
    fill(postgres)
    held = hold("UPDATE held SET note = %s WHERE id = 1 /* reason: a typo */", ("a\x1b[2Jb",))
    said = people["ann"].run("approvals", "show", held.id).stdout
    for line in (f"approval {held.id}", r"state +waiting", r"expires +in 14 min \d+ s \(20",
                 r"agent +agent-7 \(verified: http://127.0.0.1:\d+\)", r"groups +agents",
                 r"reason +a typo \(declared: sql_comment\)", r"resource +db \(postgres\)",
                 r"statement +UPDATE", r"    UPDATE held SET note = \$1 WHERE id = 1",
                 r"    \$1 .*= a\\x1b\[2Jb", r"touches +.*held \(update\)", "held by rule +two-people",
                 r"approvers +dba", r"missing +2 of 2 people, each with a reason",
                 r"digest +[0-9a-f]{64}", r"estimated rows +\d+", r"plan"):
        assert re.search(f"^{line}", said, re.M), (line, said)
    assert "\x1b" not in said
    shown = json.loads(people["ann"].run("approvals", "show", "--json", held.id).stdout)
    assert shown["parameters"][0]["value"] == "a\x1b[2Jb"
    assert shown["terms"]["people"] == 2 and shown["missing"] == 2
    assert len(shown["digest"]) == 66 and shown["prediction"]["plan"]


def test_nothing_of_the_agent_reaches_the_terminal_raw(hold, people):
    held = hold("DELETE FROM held /* \x1b]0;pwned\x07 \u202e */ WHERE id = 99")
    for args in (["list"], ["list", "--json"], ["show", held.id], ["deny", held.id]):
        done = people["ann"].run("approvals", *args)
        assert done.returncode == 0, done.stderr
        for bad in ("\x1b", "\x07", "\u202e"):
            assert bad not in done.stdout + done.stderr, args


def test_two_people_must_agree_each_with_a_reason(hold, people, postgres):
    fill(postgres)
    held = hold("UPDATE held SET note = 'x'")
    done = people["ann"].run("approvals", "approve", held.id)
    assert done.returncode == 2 and "--reason TEXT" in done.stderr
    done = people["ann"].run("approvals", "approve", held.id, "--reason", "a")
    assert done.stdout == f"approved {held.id}; 1 more person must agree\n"
    twice = people["ann"].run("approvals", "approve", held.id, "--reason", "a")
    assert twice.returncode == 1 and twice.stdout == ""
    done = people["bob"].run("approvals", "approve", held.id, "--reason", "b", "--json")
    assert json.loads(done.stdout)["missing"] == 0
    assert held.end().result == 3


def test_only_what_was_looked_at(hold, people, postgres):
    fill(postgres)
    held = hold("UPDATE held SET note = 'y'")
    assert people["ann"].run("approvals", "approve", held.id, "--reason", "a").returncode == 0
    late = people["bob"].run("approvals", "approve", held.id, "--reason", "b",
                             "--expect-version", "1")
    assert late.returncode == 1 and f"chaperone approvals show {held.id}" in late.stderr
    assert people["bob"].run("approvals", "deny", held.id, "--reason", "b").returncode == 0


def test_an_id_may_be_shortened(hold, people):
    held = hold("DELETE FROM held WHERE id = 98")
    short = held.id[:-4]
    assert json.loads(people["ann"].run("approvals", "show", "--json", short).stdout)["id"] == held.id
    for wrong in ("0", "ffffffff", "nonsense"):
        done = people["ann"].run("approvals", "approve", wrong)
        assert done.returncode == 1 and done.stdout == "", wrong
    done = people["ann"].run("approvals", "deny", short)
    assert done.stdout == f"denied {held.id}\n"


def test_who_may_not(hold, people):
    held = hold("DELETE FROM held WHERE id = 97")
    for command in (["approve", held.id], ["deny", held.id], ["show", held.id]):
        done = people["eve"].run("approvals", *command)
        assert done.returncode == 1 and done.stdout == "", command
    assert listed(people["eve"]) == []
    assert people["ann"].run("approvals", "deny", held.id).returncode == 0
    owners = hold("INSERT INTO held VALUES (50)")
    assert owners.id not in [a["id"] for a in listed(people["ann"])]
    done = people["olga"].run("approvals", "approve", owners.id)
    assert done.returncode == 0 and owners.end().result == 1


def test_a_standing_approval(hold, sidecar, people, postgres):
    fill(postgres, 9)
    held = hold("DELETE FROM held WHERE id = 1")
    done = people["ann"].run("approvals", "approve", held.id, "--standing-for", "10m",
                             "--standing-uses", "1")
    assert "; it stands until 20" in done.stdout, done.stderr
    assert held.end().result == 1
    with psycopg.connect(sidecar.dsn(), autocommit=True) as connection:
        assert connection.execute("DELETE FROM held WHERE id = 2").rowcount == 1
    third = hold("DELETE FROM held WHERE id = 3")
    assert people["ann"].run("approvals", "deny", third.id).returncode == 0


def test_no_standing_approval_where_the_rule_has_none(hold, people):
    held = hold("UPDATE held SET note = 'z'")
    done = people["ann"].run("approvals", "approve", held.id, "--reason", "r",
                             "--standing-for", "1h")
    assert done.returncode == 1 and "standing" in done.stderr
    assert people["ann"].run("approvals", "deny", held.id, "--reason", "r").returncode == 0


@pytest.mark.parametrize("args, said", [
    (["approve", "x", "--standing-uses", "3"], "needs --standing-for"),
    (["approve", "x", "--standing-for", "soon"], "--standing-for"),
    (["approve", "x", "--standing-for", "1h", "--standing-uses", "0"], "at least 1"),
    (["approve"], "expected: chaperone approvals approve"),
    (["watch", "--after", "-1"], "expected a cursor"),
    (["watch", "--after", "1", "--from-now"], "exclude each other"),
    (["unlink", "slack"], "PROVIDER ACCOUNT"), (["aprove", "x"], "did you mean")])
def test_misuse(people, args, said):
    done = people["ann"].run("approvals", *args)
    assert done.returncode == 2 and said in done.stderr


def test_the_control_plane_is_away(people):
    elsewhere = ["--server", f"127.0.0.1:{free_port()}"]
    env = {"CHAPERONE_TOKEN": people["ann"].stored()["token"]}
    for command in (["list"], ["approve", "x"], ["watch"]):
        done = people["ann"].run("approvals", *command, *elsewhere, **env)
        assert done.returncode == 3, command


# What a chat bot asks of the control plane, as a stock gRPC client.
BOT = """
import { readFileSync } from 'node:fs';
import grpc from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
const [server, ca, token, method, request] = process.argv.slice(1);
const api = grpc.loadPackageDefinition(loadSync('api/approvals.proto',
  { includeDirs: ['../..'], keepCase: true, longs: String, enums: String })).chaperone.v1;
const client = new api.Approvals(server, grpc.credentials.createSsl(readFileSync(ca)));
const metadata = new grpc.Metadata();
metadata.set('authorization', `Bearer ${token}`);
client[method](JSON.parse(request), metadata, (error, answer) => {
  console.log(JSON.stringify(error ? { code: error.code, error: error.details } : answer));
  client.close();
});
"""


def bot(controlplane, provider, method, **request):
    done = subprocess.run(
        ["node", "--input-type=module", "-e", BOT, f"127.0.0.1:{controlplane.server_port}",
         controlplane.ca, provider.token("bot"), method, json.dumps(request)],
        cwd=os.path.join(ROOT, "e2e", "grpc-js"), capture_output=True, text=True, check=True,
        timeout=60)
    return json.loads(done.stdout)


def test_a_linked_account_decides_until_it_is_unlinked(hold, people, controlplane, provider):
    account = {"provider": "slack", "account": "T0123/U0456"}
    code = bot(controlplane, provider, "CreateLinkCode", account=account)["code"]
    done = people["bob"].run("approvals", "link", code, "--json")
    assert done.returncode == 0, done.stderr
    linked = json.loads(done.stdout)
    assert (linked["provider"], linked["account"]) == ("slack", "T0123/U0456")
    # Once.
    assert people["eve"].run("approvals", "link", code).returncode == 1
    held = hold("DELETE FROM held WHERE id = 92")
    word = {"id": held.id, "approve": False, "account": account}
    answer = bot(controlplane, provider, "Decide", **word)
    assert answer["approval"]["decisions"][0]["by"]["subject"] == "bob"
    said = people["ann"].run("approvals", "show", held.id).stdout
    assert re.search("^denied by +bob.*through a linked chat account", said, re.M), said
    # Nobody else takes it away.
    assert people["ann"].run("approvals", "unlink", "slack", "T0123/U0456").returncode == 1
    done = people["bob"].run("approvals", "unlink", "slack", "T0123/U0456")
    assert (done.returncode, done.stdout) == (0, "unlinked slack T0123/U0456\n")
    word["id"] = hold("DELETE FROM held WHERE id = 91").id
    assert "error" in bot(controlplane, provider, "Decide", **word)
    assert people["ann"].run("approvals", "deny", word["id"]).returncode == 0


def test_links_that_are_none(people):
    done = people["ann"].run("approvals", "link", "AAAA-BBBB")
    assert done.returncode == 1 and done.stdout == ""
    done = people["ann"].run("approvals", "unlink", "slack", "T0/U0")
    assert done.returncode == 1 and "was not linked" in done.stderr


def test_a_decision_whose_answer_was_lost_counts_once(hold, people, postgres, controlplane):
    fill(postgres)
    held = hold("UPDATE held SET note = 'once'")
    said, says = os.pipe()
    # Between its question and its word it says what it is about: the next answer is the one to its word.
    relay = LossyRelay(controlplane.server_port, lambda: select.select([said], [], [], 0)[0])
    env = {**people["ann"].env, "CHAPERONE_TOKEN": people["ann"].stored()["token"]}
    before = controlplane.part.mark()
    with subprocess.Popen([CHAPERONE, "approvals", "approve", held.id, "--reason", "r", "--json",
                           "--server", f"127.0.0.1:{relay.port}"], env=env, text=True,
                          stdout=subprocess.PIPE, stderr=says) as approving, open(said, encoding="utf-8") as words:
        os.close(says)
        assert relay.lost.wait(60)
        assert words.readline().startswith("approving ")
        decision = {"event": "approval_decision", "approval": held.id}
        controlplane.part.wait_for(**decision, after=before)
        assert approving.poll() is None
        again = controlplane.part.mark()
        relay.cut()
        answer = json.loads(approving.stdout.read())
        assert approving.wait(60) == 0
    relay.close()
    assert [d["by"] for d in answer["decisions"]] == ["ann"]
    controlplane.part.wait_for(**decision, after=again)
    made = [e for e in controlplane.part.events() if decision.items() <= e.items()]
    assert [e["outcome"] for e in made] == ["OK", "OK"], "the call was not made again"
    assert people["bob"].run("approvals", "deny", held.id, "--reason", "r").returncode == 0


class Watch:
    def __init__(self, home, *args):
        # pylint: disable=consider-using-with
        self.process = subprocess.Popen([CHAPERONE, "approvals", "watch", "--json", *args],
                                        env=home.env, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, text=True)
        self.timer = threading.Timer(120, self.process.kill)
        self.timer.start()

    def until(self, approval, state):
        """The event that says so, and what came before it."""
        before = []
        for line in self.process.stdout:
            event = json.loads(line)
            if (event["id"], event["state"]) == (approval, state):
                return event, before
            before.append(event)
        raise AssertionError(self.process.stderr.read())

    def close(self):
        self.process.send_signal(signal.SIGINT)
        code = self.process.wait(60)
        self.timer.cancel()
        self.process.stdout.close()
        said = self.process.stderr.read()
        self.process.stderr.close()
        return code, said


def test_watch_sees_every_change(hold, people):
    held = hold("DELETE FROM held WHERE id = 96")
    watch = Watch(people["ann"])
    watch.until(held.id, "waiting")
    people["bob"].run("approvals", "approve", held.id)
    used, _ = watch.until(held.id, "used")
    assert used["cursor"] > 0
    next_one = hold("DELETE FROM held WHERE id = 95")
    watch.until(next_one.id, "waiting")
    people["bob"].run("approvals", "deny", next_one.id)
    assert watch.close() == (130, "")
    # Behind the cursor: what came after it, and nothing of what came before.
    later = Watch(people["ann"], "--after", str(used["cursor"]))
    _, before = later.until(next_one.id, "denied")
    assert held.id not in [event["id"] for event in before]
    later.close()


def test_watch_goes_on_when_the_control_plane_comes_back(hold, people, controlplane):
    watch = Watch(people["ann"])
    first = hold("DELETE FROM held WHERE id = 94")
    watch.until(first.id, "waiting")
    controlplane.stop()
    controlplane.start()
    wait_for(lambda: people["bob"].run("approvals", "deny", first.id).returncode == 0)
    watch.until(first.id, "denied")
    first.end()
    code, said = watch.close()
    assert code == 130 and said == "the connection was lost; trying again\n"


def test_watch_that_was_told_nothing_yet_misses_nothing(hold, people, controlplane):
    old = hold("DELETE FROM held WHERE id = 89")
    before = controlplane.part.mark()
    watch = Watch(people["ann"], "--from-now")
    controlplane.part.wait_for("operator_action", after=before, action="approval_watch")
    other = Watch(people["ann"])  # when this one has begun, the one before it has, too
    other.until(old.id, "waiting")
    other.close()
    watch.process.send_signal(signal.SIGSTOP)
    controlplane.stop()
    controlplane.start()
    controlplane.part.wait_for("sidecar_connected")
    meanwhile = hold("DELETE FROM held WHERE id = 88")
    watch.process.send_signal(signal.SIGCONT)
    assert watch.until(meanwhile.id, "waiting")[1] == []
    assert watch.close() == (130, "the connection was lost; trying again\n")
    for held in (old, meanwhile):
        assert people["bob"].run("approvals", "deny", held.id).returncode == 0


def test_watch_goes_on_with_a_new_token(hold, people, controlplane, provider):
    """The one that it began with has run out when the connection is lost."""
    provider.order("lives", seconds=8)
    try:
        people["ann"].store(expires=int(time.time()) - 5)
        watch = Watch(people["ann"])
        first = hold("DELETE FROM held WHERE id = 93")
        watch.until(first.id, "waiting")
        began = people["ann"].stored()
        wait_for(lambda: time.time() > began["expires"] + 1)
    finally:
        provider.order("lives", seconds=600)
    controlplane.stop()
    controlplane.start()
    wait_for(lambda: people["bob"].run("approvals", "deny", first.id).returncode == 0)
    watch.until(first.id, "denied")
    assert watch.close() == (130, "the connection was lost; trying again\n")
    assert people["ann"].stored()["token"] != began["token"]
