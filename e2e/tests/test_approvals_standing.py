"""What people approved for later, listed and taken back, with psql as the agent: what stands lets through, what was
revoked does not, also after a restart and at another control plane."""

import json
import os
import subprocess

import pytest
from support.manual import ControlPlane, postgres_resource, write
from support.oidc import Provider
from support.postgres import PASSWORD
from support.replicas import Replicas, Store

CLIENTS = [{"id": "agent", "groups": ["agents"]}, {"id": "admin", "groups": ["admins"]},
           {"id": "ann", "groups": ["dba"]}, {"id": "bob", "groups": ["dba"]},
           {"id": "olga", "groups": ["owners"]}, {"id": "audrey", "groups": ["auditors"]},
           {"id": "both", "groups": ["admins", "dba"]}]


def policy(table):
    return {"version": 1, "rules": [
        {"name": "reads", "effect": "allow",
         "match": {"sql": {"commands": ["read", "transaction", "session"]}}},
        {"name": "deletes", "effect": "hold",
         "match": {"sql": {"commands": ["DELETE"], "tables": [f"public.{table}"]}},
         "hold": {"approvers": {"groups": ["dba"]}, "reason": "required",
                  "standing": {"for": "1h", "uses": 9}}}]}


@pytest.fixture(scope="module")
def provider():
    running = Provider(CLIENTS)
    yield running
    running.close()


class Fleet(ControlPlane):
    def __init__(self, provider, postgres):
        resources, credentials = postgres_resource(postgres)
        super().__init__({
            "identity_providers": [{"name": "p", "issuer": provider.issuer,
                                    "audience": provider.resource}],
            "roles": {"admin": ["admins"], "approver": ["dba", "owners"],
                      "auditor": ["admins", "auditors"]},
            "credentials": credentials, "resources": resources,
            "grants": [{"name": "agents", "resources": ["*"], "groups": ["agents"]}],
        }, operator_token=provider.token("admin"), env={"TARGET_PASSWORD": PASSWORD})
        self.tokens = {c["id"]: write(os.path.join(self.dir, c["id"] + ".token"),
                                      provider.token(c["id"])) for c in CLIENTS}
        self.push(policy("standing"))
        self.agent = self.sidecar(["db"], {"token_file": self.tokens["agent"]})

    def as_person(self, who, *args):
        return self.chaperone_as(self.tokens[who], "approvals", *args)

    def standing(self, who, *args):
        return lines_of(self.as_person(who, "standing", "--json", *args))


@pytest.fixture
def fleet(provider, postgres):
    fill(postgres, "standing")
    running = Fleet(provider, postgres)
    yield running
    running.close()


def fill(postgres, table):
    postgres.psql(f"DROP TABLE IF EXISTS {table}; CREATE TABLE {table} (id int);"
                  f"INSERT INTO {table} SELECT generate_series(1, 20)")


def lines_of(done):
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


class Psql:
    """An agent's psql that runs one statement."""

    def __init__(self, sidecar, text):
        self.text = text
        # pylint: disable=consider-using-with
        self.process = subprocess.Popen(["psql", "-X", "-v", "ON_ERROR_STOP=1", "-c", text, sidecar.dsn()],
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def end(self):
        said, error = self.process.communicate(timeout=60)
        return said.strip(), error


def passes(sidecar, text):
    """Nobody is asked."""
    said, error = Psql(sidecar, text).end()
    assert said == "DELETE 1", error


def is_held(sidecar, controlplane, token, decide, text):
    """It waits, until somebody refuses it."""
    psql = Psql(sidecar, text)
    decide("deny", controlplane.approval_awaited(text, token)["id"], "--reason", "not this one")
    said, error = psql.end()
    assert said == "" and "waits for approval" in error and "not this one" in error


def approve(fleet, text, uses):
    """Ann agrees to it for half an hour: the standing approval, as she sees it."""
    psql = Psql(fleet.agent, text)
    held = fleet.approval_awaited(text, fleet.tokens["ann"])["id"]
    done = fleet.as_person("ann", "approve", held, "--reason", "a job of tonight", "--standing-for", "30m",
                           "--standing-uses", str(uses))
    assert done.returncode == 0, done.stderr
    assert psql.end()[0] == "DELETE 1"
    (stands,) = [s for s in fleet.standing("ann") if s["approval"] == held]
    assert done.stdout.endswith(f" as {stands['id']}\n"), done.stdout
    return stands


def expect_held(fleet, text):
    is_held(fleet.agent, fleet, fleet.tokens["bob"],
            lambda *args: fleet.as_person("bob", *args), text)


def test_what_is_revoked_is_held_again(fleet, postgres):
    stands = approve(fleet, "DELETE FROM standing WHERE id = 1", 5)
    passes(fleet.agent, "DELETE FROM standing WHERE id = 2")
    # What it says while it stands.
    (seen,) = fleet.standing("bob")
    assert (seen["id"], seen["state"]) == (stands["id"], "stands")
    assert (seen["uses"], seen["uses_max"], seen["uses_left"]) == (1, 5, 4)
    assert (seen["identity"], seen["resource"], seen["database"], seen["rule"]) == (
        "agent", "db", "postgres", "deletes")
    assert seen["text"] == "DELETE FROM standing WHERE id = 1" and seen["shape"]
    assert [(a["by"], a["reason"]) for a in seen["approved"]] == [("ann", "a job of tonight")]
    table = fleet.as_person("bob", "standing").stdout
    for word in (stands["id"], "4 of 5", "agent", "db/postgres", "deletes", "ann", "DELETE FROM standing"):
        assert word in table, table
    # Bob takes it back, by the beginning of its id.
    done = fleet.as_person("bob", "revoke", stands["id"][:-3], "--reason", "the wrong job")
    assert (done.returncode, done.stdout) == (
        0, f"revoked {stands['id']}: agent on db, rule deletes, used 1 of 5 times\n"), done.stderr
    expect_held(fleet, "DELETE FROM standing WHERE id = 3")
    assert fleet.standing("ann") == []
    # Once more changes nothing.
    again = fleet.as_person("ann", "revoke", stands["id"], "--reason", "another word")
    assert again.returncode == 0 and "was revoked already" in again.stdout and "by bob" in again.stdout
    (seen,) = fleet.standing("ann", "--all")
    assert (seen["state"], seen["revoked_by"], seen["revoke_reason"]) == ("revoked", "bob", "the wrong job")
    # A restart neither.
    fleet.part.kill()
    fleet.start()
    expect_held(fleet, "DELETE FROM standing WHERE id = 4")
    assert fleet.standing("ann") == []
    assert postgres.psql("SELECT count(*) FROM standing") == "18"
    # All of it is in the audit log, found with the session of the operation that it came from.
    records = [r for r in fleet.search("--session", stands["session"]) if r["kind"] == "approval"]
    (revoked,) = [r for r in records if r["state"] == "standing_revoked"]
    assert (revoked["standing"], revoked["approval"], revoked["reason"]) == (
        stands["id"], stands["approval"], "the wrong job")
    shown = fleet.chaperone("audit", "show", stands["session"]).stdout
    assert "standing_revoked by bob: the wrong job (ipv4:127.0.0.1:" in shown, shown
    assert len([r for r in fleet.search("--kind", "approval")
                if r["state"] == "standing_used" and r["standing"] == stands["id"]]) == 1
    read = [r["object"] for r in fleet.search("--kind", "action") if r["action"] == "approvals_standing"]
    assert "standing" in read and "all standing" in read


def test_who_may_not(fleet):
    stands = approve(fleet, "DELETE FROM standing WHERE id = 1", 2)
    for who, said in (("olga", "the group \"dba\""), ("audrey", "the group \"dba\""),
                      ("agent", "needed with a group")):
        done = fleet.as_person(who, "revoke", stands["id"])
        assert done.returncode == 1 and done.stdout == "", done.stdout
        assert said in done.stderr or who == "agent", done.stderr
    assert fleet.standing("olga") == []  # an approver, but not of this rule
    assert [s["id"] for s in fleet.standing("audrey")] == [stands["id"]]
    assert fleet.as_person("agent", "standing").returncode == 1
    for wrong in ("ffffffff", "nonsense"):
        done = fleet.as_person("ann", "revoke", wrong)
        assert done.returncode == 1 and f"no standing approval \"{wrong}\" is known" in done.stderr
    passes(fleet.agent, "DELETE FROM standing WHERE id = 2")
    refused = [r for r in fleet.search("--kind", "action") if r["action"] == "refused"]
    assert "olga" in {r["by"]["subject"] if isinstance(r["by"], dict) else r["by"] for r in refused}
    # An admin may, whose groups the rule does not name, and without a reason.
    done = fleet.as_person("admin", "revoke", stands["id"], "--json")
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert (said["state"], said["revoked_by"], said["uses"]) == ("revoked", "admin", 1)
    assert said["text"] is None  # that is for who lists them, which is recorded
    expect_held(fleet, "DELETE FROM standing WHERE id = 3")


def test_what_is_used_up_stands_no_more(fleet):
    stands = approve(fleet, "DELETE FROM standing WHERE id = 1", 2)
    passes(fleet.agent, "DELETE FROM standing WHERE id = 2")
    assert [s["uses_left"] for s in fleet.standing("ann")] == [1]
    passes(fleet.agent, "DELETE FROM standing WHERE id = 3")
    assert fleet.standing("ann") == []
    done = fleet.as_person("ann", "revoke", stands["id"])
    assert (done.returncode, done.stdout) == (
        0, f"{stands['id']} does not stand any more: used up: agent on db, rule deletes, used 2 of 2 times\n")
    expect_held(fleet, "DELETE FROM standing WHERE id = 4")
    assert [s["state"] for s in fleet.standing("ann", "--all")] == ["used up"]


def test_at_another_control_plane(provider, postgres):
    """Revoked at one: the other, which let it through a moment ago, holds it."""
    fill(postgres, "standing_at_both")
    store = Store()
    replicas = Replicas(provider, postgres, store, policy=policy("standing_at_both"))
    try:
        token = write(os.path.join(replicas.dir, "both.token"), provider.token("both"))
        at_b = replicas.sidecar("b")

        def at_a(*args):
            return replicas.a.chaperone_as(token, "approvals", *args)

        psql = Psql(at_b, "DELETE FROM standing_at_both WHERE id = 1")
        held = replicas.a.approval_awaited(psql.text, token)["id"]
        assert at_a("approve", held, "--reason", "r", "--standing-for", "30m", "--standing-uses",
                    "5").returncode == 0
        assert psql.end()[0] == "DELETE 1"
        passes(at_b, "DELETE FROM standing_at_both WHERE id = 2")
        (stands,) = lines_of(at_a("standing", "--json"))
        assert stands["uses"] == 1
        assert at_a("revoke", stands["id"]).returncode == 0
        is_held(at_b, replicas.a, token, at_a, "DELETE FROM standing_at_both WHERE id = 3")
        assert lines_of(replicas.b.chaperone_as(token, "approvals", "standing", "--json")) == []
    finally:
        replicas.close()
        store.close()
