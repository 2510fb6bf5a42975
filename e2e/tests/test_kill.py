"""The kill switch: what runs stops on the target, what is new is refused until it is lifted, others
are not touched, and the record says when."""

import datetime
import json
import os
import signal
import subprocess
import threading

import psycopg
import pytest
from support.manual import ControlPlane, postgres_resource, write
from support.oidc import Provider
from support.postgres import PASSWORD
from support.stack import CHAPERONE
from support.wire import Wire, fields, query

AGENTS = [{"id": "agent-7", "groups": ["agents"]},
          {"id": "agent-8", "groups": ["agents"]},
          {"id": "delegate", "groups": ["agents"], "acts_for": "alice"},
          {"id": "admin", "groups": ["admins"]},
          {"id": "auditor", "groups": ["auditors"]}]


@pytest.fixture(scope="module")
def provider():
    running = Provider(AGENTS)
    yield running
    running.close()


@pytest.fixture
def fleet(provider, postgres):
    """A control plane whose operator is an admin, and what makes sidecars of it."""
    resources, credentials = postgres_resource(postgres)
    resources.append({**resources[0], "name": "other"})
    running = ControlPlane({
        "identity_providers": [{"name": "p", "issuer": provider.issuer,
                                "audience": provider.resource}],
        "roles": {"admin": ["admins"], "auditor": ["auditors"]},
        "credentials": credentials,
        "resources": resources,
        "grants": [{"name": "agents", "resources": ["*"], "groups": ["agents"]}],
    }, operator_token=provider.token("admin"), env={"TARGET_PASSWORD": PASSWORD})
    yield running
    running.close()


@pytest.fixture
def sidecar(fleet):
    return make_sidecar(fleet, ["db", "other"])


def orders_of(fleet):
    return [r for r in fleet.search() if r["kind"] == "action"]


def make_sidecar(fleet, resources):
    path = os.path.join(fleet.dir, f"agent-{len(fleet.sidecars)}.token")
    write(path, "")
    running = fleet.sidecar(resources, {"token_file": path})
    running.token_file = path
    return running


class Running(threading.Thread):
    """A session of this agent that runs a statement for minutes; `answer`: up to its close."""

    def __init__(self, sidecar, provider, agent, mark, resource="db"):
        super().__init__(daemon=True)
        write(sidecar.token_file, provider.token(agent))
        self.wire = Wire(sidecar.ports[resource], timeout=300).login(application_name=mark)
        self.mark = mark
        self.answer = []
        self.start()

    def run(self):
        with self.wire as w:
            w.send(query(f"SELECT pg_sleep(240) /* {self.mark} */"))
            try:
                while True:
                    self.answer.append(w.read())
            except EOFError:
                self.answer.append((b"", b""))

    def was_terminated(self):
        self.join(60)
        assert not self.is_alive()
        (kind, body), end = self.answer[-2:]
        assert (kind, fields(body)["C"], end) == (b"E", "57P01", (b"", b"")), self.answer
        return fields(body)["M"]


def runs(postgres, mark):
    return int(postgres.psql("SELECT count(*) FROM pg_stat_activity WHERE state = 'active'"
                             f" AND query LIKE '%{mark}%' AND pid <> pg_backend_pid()"))


def wait_until(condition, what, seconds=60):
    over = threading.Event()
    timer = threading.Timer(seconds, over.set)
    timer.start()
    try:
        while not condition():
            assert not over.is_set(), what
    finally:
        timer.cancel()


def can_open(sidecar, provider, agent, resource="db"):
    """None, or the error that the agent gets."""
    write(sidecar.token_file, provider.token(agent))
    try:
        psycopg.connect(sidecar.dsn(port=sidecar.ports[resource])).close()
    except psycopg.OperationalError as e:
        return str(e)
    return None


def kill(fleet, *args):
    return json.loads(fleet.chaperone("session", "kill", "--json", *args).stdout)


def seconds_between(first, second):
    parse = datetime.datetime.fromisoformat
    return (parse(second.replace("Z", "+00:00"))
            - parse(first.replace("Z", "+00:00"))).total_seconds()


def test_an_identity_is_stopped_and_others_are_not(fleet, sidecar, provider, postgres):
    wild = [Running(sidecar, provider, "agent-7", f"wild-{n}") for n in range(3)]
    calm = Running(sidecar, provider, "agent-8", "calm")
    for one in [*wild, calm]:
        wait_until(lambda one=one: runs(postgres, one.mark) == 1, "it runs")
    answer = kill(fleet, "--identity", "agent-7", "--reason", "runs wild")
    assert answer["not_confirmed"] == [] and len(answer["sessions"]) == 3
    assert 0 < answer["took_us"] < 5_000_000
    for one in wild:
        assert one.was_terminated() == ("terminating connection: the session was ended by admin:"
                                        " runs wild")
        wait_until(lambda one=one: runs(postgres, one.mark) == 0, "the target goes on with it")
    assert runs(postgres, "calm") == 1 and calm.is_alive()
    refusal = can_open(sidecar, provider, "agent-7")
    assert 'new sessions of "agent-7" are blocked: runs wild' in refusal
    assert "blocked" in can_open(sidecar, provider, "agent-7", "other")
    assert can_open(sidecar, provider, "agent-8") is None

    # What was recorded: of each session by which order, of the order when it was done.
    order = answer["block"]["id"]
    for session in answer["sessions"]:
        closed = fleet.wait_for(lambda r: r["kind"] == "session_closed", "--session", session)
        assert (closed["reason"], closed["ordered_by"]) == ("killed", "admin")
        assert closed["order"] == order
        assert 0 <= seconds_between(closed["ordered"], closed["time"]) < 5
    (action,) = orders_of(fleet)
    assert (action["action"], action["object"]) == ("kill", "identity agent-7")
    assert (action["by"], action["reason"], action["order"]) == ("admin", "runs wild", order)
    assert sorted(action["sessions"]) == sorted(answer["sessions"])
    assert 0 <= seconds_between(action["ordered"], action["done"]) < 5

    assert fleet.chaperone("session", "lift", order).stdout.startswith(order)
    assert can_open(sidecar, provider, "agent-7") is None
    assert [a["action"] for a in orders_of(fleet)] == ["kill", "lift"]
    assert kill(fleet, "--identity", "agent-8", "--allow-new")["block"] is None
    assert "ended by admin" in calm.was_terminated()
    assert can_open(sidecar, provider, "agent-8") is None


def test_who_acts_on_behalf_of_a_person_is_stopped_with_that_person(fleet, sidecar, provider,
                                                                    postgres):
    running = Running(sidecar, provider, "delegate", "for-alice")
    wait_until(lambda: runs(postgres, "for-alice") == 1, "it runs")
    assert len(kill(fleet, "--identity", "alice")["sessions"]) == 1
    assert "ended by admin" in running.was_terminated()
    assert '"alice" are blocked' in can_open(sidecar, provider, "delegate")
    fleet.chaperone("session", "lift", "--identity", "alice")
    assert can_open(sidecar, provider, "delegate") is None


def test_a_resource_is_stopped_wherever_it_is_used(fleet, sidecar, provider, postgres):
    second = make_sidecar(fleet, ["db"])
    there = [Running(sidecar, provider, "agent-7", "first"),
             Running(second, provider, "agent-8", "second")]
    elsewhere = Running(sidecar, provider, "agent-7", "elsewhere", "other")
    for one in [*there, elsewhere]:
        wait_until(lambda one=one: runs(postgres, one.mark) == 1, "it runs")
    assert len(kill(fleet, "--resource", "db")["sessions"]) == 2
    for one in there:
        one.was_terminated()
        wait_until(lambda one=one: runs(postgres, one.mark) == 0, "the target goes on with it")
    assert runs(postgres, "elsewhere") == 1
    assert 'the resource "db" are blocked' in can_open(second, provider, "agent-8")
    assert can_open(sidecar, provider, "agent-7", "other") is None
    kill(fleet, "--all", "--yes", "--allow-new")
    elsewhere.was_terminated()


def test_everything_stays_refused_over_a_restart(fleet, sidecar, provider, postgres):
    running = Running(sidecar, provider, "agent-7", "before")
    wait_until(lambda: runs(postgres, "before") == 1, "it runs")
    # Without a terminal to ask on it must be said twice.
    unsure = fleet.chaperone("session", "kill", "--all", check=False)
    assert unsure.returncode == 2 and "--yes" in unsure.stderr
    assert runs(postgres, "before") == 1
    done = fleet.chaperone("session", "kill", "--all", "--yes", "--reason", "incident 7")
    assert "1 session ended in" in done.stdout
    running.was_terminated()
    fleet.stop()
    fleet.start()
    fleet.part.wait_for("sidecar_connected")
    wait_until(lambda: sidecar.ask("/readyz") is not None, "the sidecar is back")
    # A session that is being opened when the sidecar gets the order again is ended by that.
    assert "incident 7" in can_open(sidecar, provider, "agent-8")
    wait_until(lambda: "all new sessions are blocked: incident 7"
               in (can_open(sidecar, provider, "agent-8") or ""), "it is refused")
    (block,) = [json.loads(x) for x in
                fleet.chaperone("session", "blocks", "--json").stdout.splitlines()]
    assert (block["everything"], block["reason"], block["created_by"]) == (True, "incident 7",
                                                                           "admin")
    fleet.chaperone("session", "lift", "--all")
    assert can_open(sidecar, provider, "agent-8") is None
    assert fleet.chaperone("session", "lift", "--all", check=False).returncode == 1


def test_a_sidecar_that_was_away_stops_when_it_is_back(fleet, sidecar, provider, postgres):
    running = Running(sidecar, provider, "agent-7", "away")
    wait_until(lambda: runs(postgres, "away") == 1, "it runs")
    session = fleet.wait_for(lambda r: r["kind"] == "session_opened"
                             and r.get("application_name") == "away")["session"]
    # A control plane that forgets its connections: the sidecar comes back after a pause.
    fleet.stop()
    fleet.start()
    done = fleet.chaperone("session", "kill", "--identity", "agent-7", "--json", check=False)
    answer = json.loads(done.stdout)
    if answer["sessions"] == []:  # it was not back yet
        assert done.returncode == 1 and "away, with 1 session" in answer["not_confirmed"][0]
    assert "ended by admin" in running.was_terminated()
    wait_until(lambda: runs(postgres, "away") == 0, "the target goes on with it")
    closed = fleet.wait_for(lambda r: r["kind"] == "session_closed", "--session", session)
    assert closed["order"] == answer["block"]["id"]


def test_a_sidecar_that_does_not_answer_is_named(fleet, sidecar, provider, postgres):
    fleet.config["session"] = {"kill_timeout": "1s"}
    fleet.reload()
    running = Running(sidecar, provider, "agent-7", "stuck")
    wait_until(lambda: runs(postgres, "stuck") == 1, "it runs")
    sidecar.part.signal(signal.SIGSTOP)
    try:
        done = fleet.chaperone("session", "kill", "--identity", "agent-7", check=False)
        assert done.returncode == 1 and "not confirmed: sidecar" in done.stderr
        assert "did not confirm in time" in done.stderr
        (action,) = orders_of(fleet)
        assert "done" not in action and "did not confirm in time" in action["error"]
    finally:
        sidecar.part.signal(signal.SIGCONT)
    assert "ended by admin" in running.was_terminated()
    wait_until(lambda: runs(postgres, "stuck") == 0, "the target goes on with it")
    late = fleet.wait_for(lambda r: r["kind"] == "action" and "done" in r)
    assert late["order"] == action["order"] and len(late["sessions"]) == 1
    assert seconds_between(late["ordered"], late["done"]) >= 1


class Storm(threading.Thread):
    """An agent that opens one session after the other, whatever happens to them, and lets each run a
    long statement."""

    def __init__(self, sidecar, mark):
        super().__init__(daemon=True)
        self.sidecar, self.mark = sidecar, mark
        self.over = threading.Event()
        self.opened, self.refused, self.wires = 0, 0, []
        self.start()

    def run(self):
        while not self.over.is_set():
            try:
                w = Wire(self.sidecar.port).login(application_name=self.mark)
                w.send(query(f"SELECT pg_sleep(240) /* {self.mark} */"))
                self.wires.append(w)
                self.opened += 1
            except (AssertionError, OSError, EOFError):
                self.refused += 1

    def stop(self):
        self.over.set()
        self.join(60)
        assert not self.is_alive()
        for w in self.wires:
            w.socket.close()


@pytest.mark.parametrize("how", [("--identity", "agent-7"), ("--resource", "db"),
                                 ("--all", "--yes")])
def test_no_session_slips_through_while_it_is_set(fleet, sidecar, provider, postgres, how):
    write(sidecar.token_file, provider.token("agent-7"))
    storm = [Storm(sidecar, f"storm-{n}") for n in range(6)]
    wait_until(lambda: sum(s.opened for s in storm) >= 20, "it storms")
    answer = kill(fleet, *how)
    assert answer["not_confirmed"] == [] and len(answer["sessions"]) >= 20
    refused = [s.refused for s in storm]
    # The agents go on: all of them are refused now, so whoever slipped through would stay.
    wait_until(lambda: all(s.refused >= r + 3 for s, r in zip(storm, refused)), "all are refused")
    wait_until(lambda: runs(postgres, "storm-") == 0, "the target goes on with it")
    opened = sum(s.opened for s in storm)
    wait_until(lambda: all(s.refused >= r + 20 for s, r in zip(storm, refused)), "still refused")
    assert sum(s.opened for s in storm) == opened
    assert runs(postgres, "storm-") == 0
    # It knows of their ends by their records.
    wait_until(lambda: '"open"' not in fleet.chaperone("session", "list", "--json").stdout, "none is open")
    for s in storm:
        s.stop()


@pytest.mark.parametrize("answer, is_done", [("n\n", False), ("\n", False), ("yes please\n", False),
                                             ("y\n", True), ("yes\n", True)])
def test_on_a_terminal_it_asks_before_everything_ends(fleet, answer, is_done):
    terminal, keyboard = os.openpty()
    try:
        with subprocess.Popen([CHAPERONE, "session", "kill", "--all", *fleet.operator()],
                              stdin=keyboard, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              text=True) as asking:
            os.write(terminal, answer.encode())
            said, errors = asking.communicate(timeout=60)
        assert "End all sessions and refuse new ones? [y/N]" in errors
        assert asking.returncode == (0 if is_done else 1), errors
        assert ("0 sessions ended" in said) == is_done
        assert ("nothing was done" in errors) == (not is_done)
        assert fleet.chaperone("session", "blocks").stdout.count("\n") == is_done
    finally:
        os.close(terminal)
        os.close(keyboard)


def test_what_waits_for_people_ends_with_its_session(fleet, sidecar, provider, postgres):
    postgres.psql("CREATE TABLE IF NOT EXISTS kept (a int); TRUNCATE kept;"
                  " INSERT INTO kept VALUES (1)")
    fleet.push({"version": 1, "rules": [
        {"name": "reading", "effect": "allow"},
        {"name": "deleting", "effect": "hold", "match": {"sql": {"commands": ["DELETE"]}},
         "hold": {"approvers": {"groups": ["admins"]}}}]})
    write(sidecar.token_file, provider.token("agent-7"))
    w = Wire(sidecar.port, timeout=60).login(application_name="held")
    w.send(query("DELETE FROM kept"))
    held = fleet.wait_for(lambda r: r["kind"] == "approval" and r["status"] == "requested")
    assert len(kill(fleet, "--identity", "agent-7")["sessions"]) == 1
    ended = fleet.wait_for(lambda r: r["kind"] == "approval" and r["status"] != "requested")
    assert (ended["status"], ended["approval"]) == ("withdrawn", held["approval"])
    fleet.wait_for(lambda r: r["kind"] == "session_closed" and r["reason"] == "killed",
                   "--session", held["session"])
    assert postgres.psql("SELECT count(*) FROM kept") == "1"
    w.socket.close()


def test_many_sessions_stop_at_once(fleet, sidecar, provider, postgres):
    write(sidecar.token_file, provider.token("agent-7"))
    wires = [Wire(sidecar.port).login(application_name="many") for _ in range(80)]
    for w in wires:
        w.send(query("SELECT pg_sleep(240) /* one of many */"))
    wait_until(lambda: runs(postgres, "one of many") == len(wires), "they run")
    answer = kill(fleet, "--all", "--yes")
    assert len(answer["sessions"]) == len(wires) and answer["not_confirmed"] == []
    # As many cancel requests reach the target in one moment.
    wait_until(lambda: runs(postgres, "one of many") == 0, "the target goes on with it")
    for w in wires:
        w.socket.close()


def test_only_an_admin_may(fleet, provider):
    auditor = write(os.path.join(fleet.dir, "auditor.token"), provider.token("auditor"))
    for command in (("kill", "--all", "--yes"), ("lift", "--all")):
        done = fleet.chaperone_as(auditor, "session", *command)
        assert done.returncode == 1 and "no role" in done.stderr
    assert fleet.chaperone_as(auditor, "session", "blocks").stdout == ""
