"""The Slack bot on a real control plane, sidecar and database: a statement waits, people decide in a local Slack (with a
linked account, or with a login of their own), and the agent gets its answer."""

import json
import os
import re
import subprocess
import threading

import psycopg
import pytest
from support.login import Browser, Home
from support.manual import ControlPlane, postgres_resource, write
from support.oidc import Provider
from support.parts import Part
from support.postgres import PASSWORD
from support.stack import ROOT

CHATOPS = os.path.join(ROOT, "e2e", "chatops")
BOT = os.path.join(ROOT, "deploy", "chatops", "dist", "main.js")
CLIENTS = [{"id": "agent-7", "groups": ["agents"]}, {"id": "chatops", "groups": ["chatops"]},
           {"id": "admin", "groups": ["admins"]}]
PEOPLE = {"ann": {"groups": ["dba"], "name": "Ann Ames"}, "bob": {"groups": ["visitors"]}}
POLICY = {"version": 1, "rules": [
    {"name": "reads", "effect": "allow", "match": {"sql": {"commands": ["SELECT"]}}},
    {"name": "own-login", "effect": "hold",
     "match": {"sql": {"commands": ["UPDATE"], "tables": ["public.*"]}},
     "hold": {"approvers": {"groups": ["dba"]}, "linked_accounts": "forbid", "expires": "2m"}},
    {"name": "deletes", "effect": "hold",
     "match": {"sql": {"commands": ["DELETE"], "tables": ["public.*"]}},
     "hold": {"approvers": {"groups": ["dba"]}, "expires": "2m"}},
]}


class Desk:
    """The local Slack, and people who click."""

    def __init__(self):
        self.process = subprocess.Popen(["node", os.path.join(CHATOPS, "support", "desk.mjs")],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.about = json.loads(self.process.stdout.readline())

    def do(self, what, **details):
        self.process.stdin.write(json.dumps({"do": what, **details}) + "\n")
        self.process.stdin.flush()
        answer = json.loads(self.process.stdout.readline())
        assert "error" not in answer, answer["error"]
        return answer

    def close(self):
        self.process.stdin.close()
        self.process.wait(60)
        self.process.stdout.close()


@pytest.fixture(scope="module")
def provider():
    running = Provider(CLIENTS, PEOPLE)
    yield running
    running.close()


@pytest.fixture(scope="module")
def controlplane(provider, postgres):
    resources, credentials = postgres_resource(postgres)
    running = ControlPlane({
        "identity_providers": [{"name": "p", "issuer": provider.issuer,
                                "audience": ["chaperone-cli", provider.resource]}],
        "roles": {"admin": ["admins"], "auditor": ["admins"], "bot": ["chatops"], "approver": ["dba"]},
        "credentials": credentials, "resources": resources,
        "grants": [{"name": "agents", "resources": ["*"], "groups": ["agents"]}],
    }, operator_token=provider.token("admin"), env={"TARGET_PASSWORD": PASSWORD})
    running.push(POLICY)
    yield running
    running.close()


@pytest.fixture(scope="module")
def sidecar(controlplane, provider):
    path = write(os.path.join(controlplane.dir, "agent.token"), provider.token("agent-7"))
    return controlplane.sidecar(["db"], {"token_file": path})


@pytest.fixture(scope="module")
def desk():
    subprocess.run(["node", os.path.join(CHATOPS, "support", "build.mjs")], check=True,
                   stdout=subprocess.DEVNULL)
    running = Desk()
    yield running
    running.close()


@pytest.fixture(scope="module")
def bot(controlplane, provider, desk):
    def secret(name, text):
        return write(os.path.join(controlplane.dir, name), text)

    config = write(os.path.join(controlplane.dir, "chatops.yaml"), {
        "controlplane": {"address": f"127.0.0.1:{controlplane.server_port}", "ca_file": controlplane.ca},
        "token": {"oidc": {"issuer": provider.issuer, "client_id": "chatops", "resource": provider.resource,
                           "client_secret_file": secret("chatops.secret", "the-client-secret")}},
        "state_dir": os.path.join(controlplane.dir, "chatops"),
        "slack": {"app_token_file": secret("app.token", desk.about["app_token"]),
                  "bot_token_file": secret("bot.token", desk.about["bot_token"]),
                  "channel": "C0OPS", "api_url": desk.about["api"],
                  "device": {"issuer": provider.issuer, "client_id": "chaperone-cli", "use": "id_token",
                             "scope": "openid groups"}},
    })
    running = Part(["node", BOT, "slack", "--config", config])
    running.wait_for("slack_socket_open")
    yield running
    assert running.stop() == 0


@pytest.fixture
def agent(sidecar, bot):
    with psycopg.connect(sidecar.dsn(), autocommit=True) as connection:
        yield connection


@pytest.fixture
def rows(postgres):
    postgres.psql("CREATE TABLE IF NOT EXISTS held (id int PRIMARY KEY, note text);"
                  " TRUNCATE held; INSERT INTO held SELECT i, 'n' FROM generate_series(1, 10) i;")


class Held:
    """A statement on its way, and its message."""

    def __init__(self, agent, desk, statement):
        """`statement`: as Slack shows it."""
        self.outcome = None
        self.statement = statement
        self.thread = threading.Thread(target=self._run, args=(agent,))
        self.thread.start()
        self.words = desk.do("shown", part=statement, buttons="deny")["words"]

    def _run(self, agent):
        try:
            text = self.statement.replace("&lt;", "<").replace("&gt;", ">")
            self.outcome = agent.execute(text).rowcount
        except psycopg.Error as error:
            self.outcome = error

    def end(self):
        self.thread.join(60)
        assert not self.thread.is_alive()
        return self.outcome


def log_in(desk, user, name):
    text = desk.do("told", user=user, part="Log in to")["text"]
    url = re.search(r"<(\S+?)\|", text).group(1).replace("&amp;", "&")
    status, _, page = Browser(name).open(url)
    assert status == 200, page


def test_approved_with_a_linked_account(agent, desk, rows, controlplane, provider, tmp_path):
    held = Held(agent, desk, "DELETE FROM public.held WHERE id = 1")
    assert "`agent-7`" in held.words and "`deletes`" in held.words and "Delete on" in held.words
    desk.do("click", user="U0ANN", part=held.statement, action="approve")
    desk.do("told", user="U0ANN", part="Not decided")

    code = re.search(r"link ([0-9A-Z-]+)`", desk.do("command", user="U0ANN", text="link")["answer"]["text"]).group(1)
    home = Home(tmp_path, server=f"127.0.0.1:{controlplane.server_port}", ca=controlplane.ca,
                issuer=provider.issuer, client_id="chaperone-cli")
    login = home.login("--no-browser")
    Browser("ann").open(login.address())
    login.succeed()
    done = home.run("approvals", "link", code)
    assert done.returncode == 0 and "T0TEAM/U0ANN" in done.stdout, done.stderr

    desk.do("click", user="U0ANN", part=held.statement, action="approve")
    assert held.end() == 1
    words = desk.do("shown", part="was approved and released", buttons="")["words"]
    assert held.statement in words and "approved by" in words and "ann" in words
    approval = re.search(r"\*Id\*  `([0-9a-f-]{36})`", words).group(1)
    shown = json.loads(controlplane.chaperone("approvals", "show", approval, "--json").stdout)
    assert (shown["state"], shown["decisions"][0]["by"], shown["decisions"][0]["linked"]) == ("used", "ann", True)
    assert "U0ANN" in shown["decisions"][0]["from"]


def test_denied_with_a_login_of_ones_own(agent, desk, rows):
    held = Held(agent, desk, "UPDATE public.held SET note = '&lt;!channel&gt;' WHERE id = 2")
    desk.do("click", user="U0CAT", part=held.statement, action="own_login")
    desk.do("submit", user="U0CAT", pick="deny", reason="not today")
    log_in(desk, "U0CAT", "ann")
    desk.do("told", user="U0CAT", part="recorded: denied")
    assert isinstance(held.end(), psycopg.Error)
    assert "not today" in desk.do("shown", part="denied by", buttons="")["words"]
    assert agent.execute("SELECT note FROM held WHERE id = 2").fetchone() == ("n",)


def test_somebody_else_logs_in(agent, desk, rows):
    held = Held(agent, desk, "UPDATE public.held SET note = 'x' WHERE id = 3")
    desk.do("click", user="U0BOB", part=held.statement, action="approve")
    log_in(desk, "U0BOB", "bob")
    desk.do("told", user="U0BOB", part="Not decided")
    desk.do("click", user="U0DAN", part=held.statement, action="approve")
    log_in(desk, "U0DAN", "ann")
    assert held.end() == 1


def test_the_agent_cancels(agent, desk, rows):
    held = Held(agent, desk, "DELETE FROM public.held WHERE id = 4")
    agent.cancel()
    assert isinstance(held.end(), psycopg.Error)
    desk.do("shown", part="was withdrawn", buttons="")
    assert agent.execute("SELECT count(*) FROM held WHERE id = 4").fetchone() == (1,)
