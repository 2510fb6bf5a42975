"""A sidecar whose host is not trusted any more: revoked, it counts for nothing, for good."""

import json
import os

import psycopg
import pytest
from support.manual import ControlPlane, postgres_resource, write
from support.oidc import Provider
from support.postgres import PASSWORD

REASON = "the laptop was stolen"


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
