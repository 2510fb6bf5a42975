"""A sidecar whose host is not trusted any more: revoked, it counts for nothing, for good."""

import json
import os
import shutil
import subprocess

import psycopg
import pytest
from support.certificates import openssl
from support.manual import ControlPlane, postgres_resource, write
from support.oidc import Provider
from support.parts import Part
from support.postgres import PASSWORD
from support.replicas import Replicas, Store
from support.stack import SIDECAR

REASON = "the laptop was stolen"
STOLEN = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "grpc-js",
                      "stolen.mjs")


@pytest.fixture(scope="module")
def provider():
    running = Provider([{"id": "agent-7", "groups": ["agents"]},
                        {"id": "root", "groups": ["admins"]},
                        {"id": "carol", "groups": ["auditors"]}])
    yield running
    running.close()


@pytest.fixture
def fleet(provider, postgres):
    """A control plane whose operator is an admin."""
    resources, credentials = postgres_resource(postgres)
    running = ControlPlane({
        "identity_providers": [{"name": "p", "issuer": provider.issuer,
                                "audience": provider.resource}],
        "roles": {"admin": ["admins"], "auditor": ["auditors"]},
        "credentials": credentials,
        "resources": resources,
        "grants": [{"name": "agents", "resources": ["*"], "groups": ["agents"]}],
    }, operator_token=provider.token("root"), env={"TARGET_PASSWORD": PASSWORD})
    yield running
    running.close()


@pytest.fixture
def sidecars(fleet, provider):
    token = write(os.path.join(fleet.dir, "agent.token"), provider.token("agent-7"))
    return [fleet.sidecar(["db"], {"token_file": token}) for _ in range(2)]


def connect(sidecar, name):
    return psycopg.connect(sidecar.dsn(application_name=name), autocommit=True)


def refusal(sidecar):
    with pytest.raises(psycopg.OperationalError) as e:
        connect(sidecar, "refused").close()
    return str(e.value)


def listed(fleet):
    lines = fleet.chaperone("sidecar", "list", "--json").stdout.splitlines()
    return {one["sidecar"]: one for one in map(json.loads, lines)}


def id_of(sidecar):
    with open(os.path.join(sidecar.state, "sidecar"), encoding="utf-8") as f:
        return f.read().strip()


def revoke(fleet, sidecar, *args):
    return json.loads(fleet.chaperone("sidecar", "revoke", id_of(sidecar), "--json", "--reason",
                                      REASON, *args).stdout)


def test_a_revoked_sidecar_counts_for_nothing(fleet, sidecars, postgres):
    stolen, other = sidecars
    session, goes_on = connect(stolen, "stolen"), connect(other, "other")
    session.execute("SELECT 1")
    goes_on.execute("SELECT 1")
    fleet.wait_for(lambda r: r["kind"] == "outcome" and r["sidecar"] == id_of(stolen))
    before = listed(fleet)[id_of(stolen)]
    assert (before["state"], before["sessions"]) == ("connected", 1)
    assert before["enrolled_by"].startswith("join token")

    answer = revoke(fleet, stolen)
    assert answer["by_this_call"] and answer["not_confirmed"] is None
    assert answer["revoked_by"] == "root" and len(answer["sessions"]) == 1
    with pytest.raises(psycopg.OperationalError) as e:
        session.execute("SELECT 2")
    assert "this sidecar has been revoked" in str(e.value)
    assert REASON not in str(e.value)  # its host is not told
    stolen.part.wait_for("sidecar_revoked")
    assert "this sidecar has been revoked" in refusal(stolen)
    assert stolen.ask("/readyz") is None
    assert goes_on.execute("SELECT 3").fetchone() == (3,)
    connect(other, "new").close()


def refused_enrolment(sidecar):
    """Starts it; why it gets no certificate."""
    write(sidecar.config_file, sidecar.config)
    part = Part([SIDECAR, "--config", sidecar.config_file])
    try:
        return part.wait_for("enrolment_failed")["error"]
    finally:
        part.stop()


def test_it_stays_revoked(fleet, sidecars):
    stolen, other = sidecars
    revoke(fleet, stolen)
    assert fleet.stop() == 0
    fleet.start()
    stolen.part.wait_for("sidecar_revoked")
    assert stolen.stop() == 0
    # Its certificate is still in time: it comes with it, and is told at once.
    write(stolen.config_file, stolen.config)
    stolen.part = Part([SIDECAR, "--config", stolen.config_file])
    stolen.part.wait_for("sidecar_revoked")
    assert "this sidecar has been revoked" in refusal(stolen)
    said = [e["event"] for e in stolen.part.events()]
    assert said.count("watch_ended") == 1  # it does not try again
    assert stolen.stop() == 0
    # Nor is its key enrolled again, with the same id or without one.
    old = id_of(stolen)
    os.unlink(os.path.join(stolen.state, "certificate.pem"))
    write(stolen.config["control_plane"]["join_token_file"],
          fleet.command("join-token", "create"))
    assert "this sidecar has been revoked" in refused_enrolment(stolen)
    os.unlink(os.path.join(stolen.state, "sidecar"))
    assert "this sidecar has been revoked" in refused_enrolment(stolen)
    # Set up anew it is another one; the token was not used up.
    shutil.rmtree(stolen.state)
    stolen.start()
    assert id_of(stolen) != old
    connect(stolen, "anew").close()
    connect(other, "other").close()
    shown = listed(fleet)
    assert shown[old]["state"] == "revoked" and len(shown) == 3
    assert shown[id_of(stolen)]["state"] == "connected"


def calls_with(directory, sidecar, fleet):
    """What whoever has this key and certificate is answered."""
    key = os.path.join(directory, "key.pem")
    request = os.path.join(directory, "request.der")
    openssl("req", "-new", "-key", key, "-subj", "/CN=x", "-outform", "DER", "-out", request)
    done = subprocess.run(["node", STOLEN, f"localhost:{fleet.server_port}", fleet.ca,
                           os.path.join(directory, "certificate.pem"), key, request],
                          capture_output=True, text=True, check=False, timeout=90)
    assert done.returncode == 0, done.stderr
    assert sidecar.part.process.poll() is None
    return {a["method"]: (a["code"], a["message"]) for a in json.loads(done.stdout)}


def test_who_has_its_key_gets_nothing(fleet, sidecars, tmp_path):
    """Also somebody who does not behave as a sidecar does."""
    stolen = sidecars[0]
    copy = shutil.copytree(stolen.state, tmp_path / "copy",
                           ignore=lambda _, names: [n for n in names if n == "spool"])
    before = calls_with(copy, stolen, fleet)
    assert before["Enrolment/Renew"] == before["AuditIngest/Resume"] == ("OK", "")
    revoke(fleet, stolen)
    for code, message in calls_with(copy, stolen, fleet).values():
        assert code == "PERMISSION_DENIED" and "this sidecar has been revoked" in message
    # The log has that somebody knocks.
    refused = fleet.wait_for(lambda r: r.get("action") == "refused", "--kind", "action", "--since",
                             "1h")
    assert f"this sidecar has been revoked ({id_of(stolen)}" in refused["error"]


def test_the_audit_log_says_where_it_ends(fleet, sidecars, provider):
    stolen, _ = sidecars
    session = connect(stolen, "stolen")
    session.execute("SELECT 'before'")
    outcome = fleet.outcome_of("SELECT 'before'")
    answer = revoke(fleet, stolen)
    (record,) = [r for r in fleet.search("--kind", "action") if r["action"] == "sidecar_revoke"]
    assert record["by"] == "root" and record["reason"] == REASON
    assert record["of_sidecar"] == id_of(stolen) and record["sessions"] == answer["sessions"]
    assert record["last_sequence"] == answer["last_sequence"] >= outcome["sequence"]
    (order,) = [r for r in fleet.search("--kind", "action") if r["action"] == "kill"]
    assert order["order"] == record["order"] and order["sessions"] == answer["sessions"]
    # What it wrote after that is not taken: all there is of it was there before.
    stolen.part.wait_for("sidecar_revoked")
    of_it = [r for r in fleet.search() if r["sidecar"] == id_of(stolen)]
    assert max(r["sequence"] for r in of_it) == record["last_sequence"]
    (summary,) = [s for s in map(json.loads, fleet.chaperone(
        "session", "list", "--all", "--json").stdout.splitlines())
        if s["session"] == answer["sessions"][0]]
    assert (summary["state"], summary["close_reason"]) == ("closed", "revoked")
    # The session has no end in the log, and that is no finding.
    done = fleet.chaperone("audit", "completeness", "--json")
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [line["kind"] for line in lines] == ["revoked", "summary"], lines
    assert lines[0]["sidecar"] == id_of(stolen) and lines[0]["last"] == record["last_sequence"]
    assert lines[0]["reason"].startswith(f"by root: {REASON}; 1 session ")
    assert lines[1]["complete"] is True and lines[1]["revoked"] == 1
    text = fleet.chaperone("audit", "completeness").stdout
    assert "the sidecar was revoked at " in text and "; 1 sidecar revoked" in text
    auditor = write(os.path.join(fleet.dir, "carol.token"), provider.token("carol"))
    assert fleet.chaperone_as(auditor, "audit", "verify").returncode == 0


def test_only_admins_revoke(fleet, sidecars, provider):
    sidecar = sidecars[0]
    for name in ("carol", "agent-7"):
        token = write(os.path.join(fleet.dir, f"{name}.token"), provider.token(name))
        done = fleet.chaperone_as(token, "sidecar", "revoke", id_of(sidecar))
        assert done.returncode == 1 and "has no role that may do this" in done.stderr
    assert fleet.chaperone_as(token, "sidecar", "list").returncode == 1
    connect(sidecar, "still").close()
    done = fleet.chaperone("sidecar", "revoke", "ffffffff", check=False)
    assert done.returncode == 1 and 'no sidecar "ffffffff" is known' in done.stderr


def test_in_short_and_twice(fleet, sidecars):
    sidecar = sidecars[0]
    shown = fleet.chaperone("sidecar", "revoke", id_of(sidecar)[:-2]).stdout
    assert shown.startswith(f"revoked {id_of(sidecar)}: 0 sessions ended, its records end with")
    again = fleet.chaperone("sidecar", "revoke", id_of(sidecar))
    assert "was revoked before, at " in again.stdout and again.returncode == 0


def test_one_that_was_away(fleet, sidecars):
    """It is told when it is back; what it did meanwhile is not taken."""
    stolen = sidecars[0]
    session = connect(stolen, "away")
    session.execute("SELECT 'before'")
    fleet.outcome_of("SELECT 'before'")
    assert stolen.stop() == 0  # its session, too
    answer = json.loads(fleet.chaperone("sidecar", "revoke", id_of(stolen), "--json",
                                        check=False).stdout)
    assert answer["by_this_call"]
    write(stolen.config_file, stolen.config)
    stolen.part = Part([SIDECAR, "--config", stolen.config_file])
    stolen.part.wait_for("sidecar_revoked")
    assert "this sidecar has been revoked" in refusal(stolen)


def test_one_that_never_comes_back_is_no_finding_any_more(fleet, sidecars):
    """Killed with work under way: found to be missing, until somebody says why."""
    stolen = sidecars[0]
    fleet.config["watch"] = {"silent_after": "12s", "lost_after": "14s"}
    fleet.reload()
    session = connect(stolen, "left alone")
    session.execute("SELECT 'left alone'")
    fleet.outcome_of("SELECT 'left alone'")
    stolen.part.kill()
    fleet.wait_for(lambda r: r.get("finding") == "no_end", "--kind", "finding")
    before = fleet.chaperone("audit", "completeness", "--json", "--silence", "1s", check=False)
    assert before.returncode == 1
    done = fleet.chaperone("sidecar", "revoke", id_of(stolen), check=False)
    assert done.returncode == 1 and ": away: what it runs goes on " in done.stderr
    assert ": 1 session was open, its records end with " in done.stdout
    lines = [json.loads(line) for line in fleet.chaperone(
        "audit", "completeness", "--json").stdout.splitlines()]
    assert [line["kind"] for line in lines] == ["revoked", "summary"]
    fleet.sidecars.remove(stolen)  # which was killed


# ---- several control planes on one store


@pytest.fixture
def replicas(postgres):
    people = Provider([{"id": "agent", "groups": ["agents"]},
                       {"id": "admin", "groups": ["admins", "dba"]}])
    store = Store()
    running = Replicas(people, postgres, store)
    yield running
    running.close()
    store.close()
    people.close()


def test_it_is_revoked_at_the_other(replicas):
    at_a, at_b = replicas.sidecar("a"), replicas.sidecar("ba")
    session, goes_on = connect(at_b, "stolen"), connect(at_a, "other")
    session.execute("SELECT 'before'")
    replicas.a.outcome_of("SELECT 'before'")
    shown = listed(replicas.a)[id_of(at_b)]
    assert (shown["state"], shown["sessions"]) == ("connected", 1)
    answer = revoke(replicas.a, at_b)
    assert answer["not_confirmed"] is None, replicas.logs()
    with pytest.raises(psycopg.OperationalError, match="this sidecar has been revoked"):
        session.execute("SELECT 'after'")
    at_b.part.wait_for("sidecar_revoked")
    assert "this sidecar has been revoked" in refusal(at_b)
    assert goes_on.execute("SELECT 1").fetchone() == (1,)
    # The one that had it says what it ended, and by whose word.
    (order,) = [r for r in replicas.b.search("--kind", "action") if r["action"] == "kill"]
    assert order["object"] == f"sidecar {id_of(at_b)}" and order["by"] == "admin"
    assert order["sessions"] == answer["sessions"]
    # Neither takes it again.
    at_b.part.stop()
    for servers in (["a", "b"], ["b", "a"]):
        at_b.config["control_plane"]["server"] = [
            f"127.0.0.1:{replicas.members[name].server_port}" for name in servers]
        write(at_b.config_file, at_b.config)
        at_b.part = Part([SIDECAR, "--config", at_b.config_file])
        at_b.part.wait_for("sidecar_revoked")
        at_b.part.stop()
