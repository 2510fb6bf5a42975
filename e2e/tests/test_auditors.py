"""The audit audits its auditors, and notices by itself what is missing from it."""

import json
import os
import re
import shutil
import signal
import subprocess
import time

import psycopg
import pytest
from support.manual import ControlPlane, postgres_resource, write
from support.oidc import Provider
from support.parts import Part
from support.ports import free_port
from support.postgres import PASSWORD
from support.stack import CHAPERONE, SIDECAR

FLOOD = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "grpc-js",
                     "flood.mjs")


@pytest.fixture(scope="module")
def provider():
    running = Provider([{"id": "agent-7", "groups": ["agents"]},
                        {"id": "ann", "groups": ["auditors"]},
                        {"id": "bob", "groups": ["auditors"]},
                        {"id": "root", "groups": ["admins"]}])
    yield running
    running.close()


@pytest.fixture
def controlplane(provider, postgres):
    resources, credentials = postgres_resource(postgres)
    running = ControlPlane({
        "identity_providers": [{"name": "p", "issuer": provider.issuer,
                                "audience": provider.resource}],
        "roles": {"admin": ["admins"], "auditor": ["auditors"]},
        "credentials": credentials,
        "resources": resources,
        "grants": [{"name": "agents", "resources": ["*"], "groups": ["agents"]}],
    }, operator_token=provider.token("bob"), env={"TARGET_PASSWORD": PASSWORD})
    yield running
    running.close()


@pytest.fixture
def people(controlplane, provider):
    """A token file for each of them."""
    return {name: write(os.path.join(controlplane.dir, f"{name}.token"), provider.token(name))
            for name in ("ann", "root", "agent-7")}


def actions(controlplane, by=None, action=None):
    found = controlplane.search("--kind", "action")
    return [a for a in found if (by is None or a["by"] == by)
            and (action is None or a["action"] == action)]


def test_reading_is_recorded_once_with_who_and_what(controlplane, people):
    done = controlplane.chaperone_as(people["ann"], "audit", "search", "--text", "salary",
                                     "--since", "1h")
    assert "no record matches" in done.stderr
    login, search = actions(controlplane, by="ann")
    assert (login["action"], login["object"]) == ("login", "roles auditor")
    assert search["action"] == "search"
    assert re.fullmatch(r'since \S+Z, text "salary"', search["object"])
    assert login["from"].startswith("ipv4:127.0.0.1:") and search["from"] == login["from"]
    # The second search of the same login is a search only.
    controlplane.chaperone_as(people["ann"], "audit", "search", "--limit", "1")
    assert [a["action"] for a in actions(controlplane, by="ann")] == ["login", "search", "search"]


def test_a_tail_is_one_record(controlplane, people):
    with subprocess.Popen([CHAPERONE, "audit", "tail", "--json", "--kind", "action", "--since", "1h",
                           *controlplane.operator(people["ann"])], stdout=subprocess.PIPE,
                          text=True) as tail:
        try:
            assert json.loads(tail.stdout.readline())["kind"] == "action"
            tail.send_signal(signal.SIGINT)
            tail.communicate(timeout=60)
        finally:
            tail.kill()
    (one,) = actions(controlplane, by="ann", action="tail")
    assert 'kind "action"' in one["object"]


def test_status_and_lists_of_sessions_are_no_reading(controlplane, people):
    for _ in range(3):
        assert controlplane.chaperone_as(people["root"], "status").returncode == 0
        assert controlplane.chaperone_as(people["root"], "session", "list").returncode == 0
    assert [a["action"] for a in actions(controlplane, by="root")] == ["login"]


def test_changes_are_recorded(controlplane, people, tmp_path):
    policy = tmp_path / "policy.yaml"
    policy.write_text("version: 1\nrules:\n"
                      "  - {name: reads, effect: allow, match: {sql: {commands: [read]}}}\n")
    done = controlplane.chaperone_as(people["root"], "policy", "push", str(policy), "--message",
                                     "reads only")
    assert done.returncode == 0, done.stderr
    assert controlplane.chaperone_as(people["root"], "join-token", "create", "--name",
                                     "web-1").returncode == 0
    controlplane.command("credential", "set", "spare", stdin="not-shown-anywhere\n")
    (pushed,) = actions(controlplane, by="root", action="policy")
    assert re.fullmatch(r"revision \d+ \([0-9a-f]{64}\), new", pushed["object"])
    assert pushed["reason"] == "reads only"
    (token,) = actions(controlplane, by="root", action="join_token")
    assert token["object"] == 'sidecar "web-1"'
    (credential,) = actions(controlplane, action="credential_set")
    assert credential["object"] == "spare" and credential["by"] is None
    assert credential["from"].startswith("command line, uid ")
    assert "not-shown-anywhere" not in json.dumps(actions(controlplane))

    controlplane.config["grants"][0]["groups"] = ["nobody"]
    controlplane.reload()
    (start,) = actions(controlplane, action="start")
    (reload,) = actions(controlplane, action="reload")
    assert "grant agents added" in start["reason"]
    assert reload["reason"] == "grant agents changed"
    assert reload["object"] != start["object"]


def test_an_export_is_recorded(controlplane, people, tmp_path):
    out = str(tmp_path / "evidence.zip")
    done = controlplane.chaperone_as(people["ann"], "audit", "export", "--since", "1h", "--reason",
                                     "the yearly review", "--out", out)
    assert done.returncode == 0, done.stderr
    (one,) = actions(controlplane, by="ann", action="export")
    assert one["reason"] == "the yearly review" and one["from"].startswith("ipv4:127.0.0.1:")


def test_refusals_are_recorded(controlplane, people):
    assert controlplane.chaperone_as(people["agent-7"], "audit", "search").returncode != 0
    (one,) = actions(controlplane, by="agent-7")
    assert (one["action"], one["object"]) == ("refused", "Audit.Search")
    assert "has no role" in one["error"] and one["from"].startswith("ipv4:127.0.0.1:")
    bad = write(os.path.join(controlplane.dir, "bad.token"), "no.token.atall")
    assert controlplane.chaperone_as(bad, "status").returncode != 0
    (other,) = [a for a in actions(controlplane, action="refused") if a["by"] is None]
    assert other["object"] == "Administration.Status"
    shown = controlplane.chaperone("audit", "search", "--kind", "action").stdout
    assert re.search(r"refused Audit\.Search by agent-7 \(ipv4:127\.0\.0\.1:\d+\); .*no role", shown)


def test_a_flood_of_bad_tokens_makes_few_records(controlplane, people):
    began = time.monotonic()
    done = subprocess.run(["node", FLOOD, f"localhost:{controlplane.server_port}", controlplane.ca,
                           "10000"], capture_output=True, text=True, check=False, timeout=240)
    assert json.loads(done.stdout) == {"UNAUTHENTICATED": 10000}, done.stderr
    # A person without a role is not hidden in it.
    assert controlplane.chaperone_as(people["agent-7"], "status").returncode != 0
    assert controlplane.stop() == 0  # what was not due yet is counted at the end
    minutes = int((time.monotonic() - began) / 60)
    controlplane.start()
    refused = actions(controlplane, action="refused")
    # The first one of each, a count each minute, and one at the end.
    assert len(refused) <= 3 + minutes, refused
    counts = [int(m.group(1)) for a in refused
              if (m := re.match(r"(\d+) more calls?: Administration\.Status$", a["object"]))]
    assert sum(counts) == 9999
    assert [a["by"] for a in refused if a["by"]] == ["agent-7"]


# ---- what is missing


def findings(stack):
    return stack.search("--kind", "finding")


def watch(stack, silent, lost):
    before = re.sub(r"^watch: .*\n", "", stack.read("controlplane.yaml"), flags=re.M)
    stack.write("controlplane.yaml",
                before + f"watch: {{silent_after: {silent}s, lost_after: {lost}s}}\n")
    before = stack.controlplane.mark()
    stack.controlplane.signal(signal.SIGHUP)
    stack.controlplane.wait_for("configuration_reloaded", after=before)


def test_a_sidecar_that_never_comes_back(parts):
    stack = parts()
    watch(stack, 12, 14)
    client = subprocess.Popen(["psql", "-X", "-c", "SELECT pg_sleep(60), 'left alone'"],
                              env=stack.env(PGAPPNAME="left alone"), stderr=subprocess.DEVNULL,
                              stdout=subprocess.DEVNULL)
    intent = stack.wait_for(lambda r: r["kind"] == "intent" and "left alone" in (r["text"] or ""))
    stack.sidecar.kill()
    client.wait(60)
    end = stack.wait_for(lambda r: r.get("finding") == "no_end", "--kind", "finding", seconds=120)
    assert end["session"] == intent["session"] and end["of_sidecar"] == intent["sidecar"]
    told = findings(stack)
    assert sorted(f["finding"] for f in told) == ["no_end", "no_outcome", "silent"]
    outcome = next(f for f in told if f["finding"] == "no_outcome")
    assert outcome["session"] == intent["session"]
    assert outcome["first_sequence"] == outcome["last_sequence"] == intent["sequence"]
    silent = next(f for f in told if f["finding"] == "silent")
    assert silent["of_sidecar"] == intent["sidecar"] and "work under way" in silent["detail"]
    # Found with the session that it is about, told in the status, and told once.
    assert "no_end" in {r.get("finding") for r in stack.search("--session", intent["session"],
                                                               "--kind", "finding")}
    assert "3 findings in the last 24 hours" in stack.chaperone("status").stdout
    assert json.loads(stack.chaperone("status", "--json").stdout)["findings"] == 3
    watch(stack, 60, 60)  # it may take long to come back
    stack.controlplane.stop()
    stack.start_controlplane()
    stack.start_sidecar()
    stack.psql("-c", "SELECT 'back'", PGAPPNAME="back")
    stack.conversation("back")
    assert sorted(f["finding"] for f in findings(stack)) == ["no_end", "no_outcome", "silent"]
    done = stack.chaperone("audit", "completeness", "--json", check=False)
    kinds = [json.loads(line)["kind"] for line in done.stdout.splitlines()]
    assert kinds == ["no_outcome", "no_end", "summary"]


def test_a_stream_that_is_written_twice(parts):
    """The same identity, restored from a copy, beside the one that goes on."""
    stack = parts()
    stack.psql("-c", "SELECT 'before'", PGAPPNAME="before")
    stack.conversation("before")
    assert stack.sidecar.stop() == 0
    state = stack.path("sidecar")
    shutil.copytree(state, stack.path("copy"))
    twin_port = free_port()
    text = stack.read("sidecar.yaml").replace(json.dumps(state), json.dumps(stack.path("copy")))
    text = text.replace(f":{stack.port}", f":{twin_port}")
    text = re.sub(r'(health: \{listen: "?[\d.]+):\d+', rf"\g<1>:{free_port()}", text)
    assert stack.path("copy") in text
    stack.write("twin.yaml", text)
    stack.start_sidecar()
    twin = Part([SIDECAR, "--config", stack.path("twin.yaml")])
    try:
        twin.wait_for("listening")
        stack.wait_until_ready(config="twin.yaml")
        for port in (stack.port, twin_port) * 3:
            with psycopg.connect(stack.dsn(port=port), autocommit=True) as connection:
                connection.execute("SELECT 'twice'")
        found = stack.wait_for(lambda r: r.get("finding") == "rewritten", "--kind", "finding")
    finally:
        twin.stop()
    assert found["first_sequence"] > 0 and found["status"] == "rewritten"
    keys = [(f["finding"], f["of_sidecar"], f["first_sequence"]) for f in findings(stack)]
    assert len(keys) == len(set(keys))
    done = stack.chaperone("audit", "completeness", check=False)
    assert done.returncode == 1 and "rewritten" in done.stdout
