"""What a new policy would have decided on what is recorded; and what a token claims, from the issuer
to the policy and the record."""

import json
import re
import urllib.parse
import urllib.request

import psycopg
import pytest
from support.parts import Parts
from test_policy import EVERYTHING, NO_CUSTOMERS, publish

SUPPORT_ONLY = """\
version: 1
rules:
  - name: support-reads
    effect: allow
    match:
      identities: {claims: {department: [support], team.shifts: [night]}}
"""


@pytest.fixture(scope="module")
def fleet(postgres):
    running = Parts(postgres)
    yield running
    running.close()


def mint(fleet, claims):
    """The agent's token from now on."""
    issuer = re.search(r'issuer: "(http://[\d.:]+)"', fleet.read("controlplane.yaml")).group(1)
    form = urllib.parse.urlencode({"subject": "dev-agent", "groups": "agents", "format": "text",
                                   "claims": json.dumps(claims)}).encode()
    with urllib.request.urlopen(f"{issuer}/token", form, timeout=20) as answer:
        fleet.write("agent.token", answer.read().decode())


def replay(fleet, text, *args, check=True):
    fleet.write("new.yaml", text)
    done = fleet.chaperone("policy", "replay", fleet.path("new.yaml"), "--json", *args, check=check)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    return lines[:-1], lines[-1]


def test_what_would_change_is_said_before_it_does(fleet):
    publish(fleet, EVERYTHING)
    with psycopg.connect(fleet.dsn(), autocommit=True) as c:
        for number in range(3):
            c.execute(f"SELECT name FROM customers WHERE id = {number}  -- {number}")
        c.execute("SELECT count(*) FROM orders")
        c.execute("SELECT amount FROM orders WHERE id = %s", (7,), prepare=True)
    fleet.outcome_of("SELECT count(*) FROM orders")
    publish(fleet, NO_CUSTOMERS)
    with psycopg.connect(fleet.dsn(application_name="replayed"), autocommit=True) as c:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            c.execute("SELECT ssn FROM customers WHERE id = 1")
    fleet.conversation("replayed")  # it is all there
    changes, summary = replay(fleet, NO_CUSTOMERS)
    assert summary["operations"] == summary["same"] + summary["newly_refused"]
    (refused,) = changes
    assert refused["statement"] == "SELECT name FROM customers WHERE id = $1"
    assert (refused["was"], refused["would_be"]) == ("allow", "deny")
    assert (refused["rule"], refused["count"]) == ("no-customers", 3)
    assert refused["identity"] == "dev-agent"
    assert summary["newly_refused"] == 3 and summary["newly_allowed"] == 0
    changes, summary = replay(fleet, EVERYTHING)
    (allowed,) = changes
    assert allowed["statement"] == "SELECT ssn FROM customers WHERE id = $1"
    assert (allowed["was_rule"], allowed["would_be"]) == ("no-customers", "allow")
    assert summary["newly_allowed"] == 1
    text = fleet.chaperone("policy", "replay", fleet.path("new.yaml")).stdout
    assert "newly allowed\t1\n" in text
    assert "SELECT ssn FROM customers WHERE id = $1" in text


def test_a_session_that_is_older_than_the_span_has_its_identity(fleet):
    publish(fleet, EVERYTHING)
    with psycopg.connect(fleet.dsn(), autocommit=True) as c:
        c.execute("SELECT 'before'")
        before = fleet.wait_for(lambda r: r["kind"] == "intent" and r["text"] == "SELECT 'before'")
        c.execute("SELECT count(*) FROM customers /* after */")
        fleet.outcome_of("SELECT count(*) FROM customers /* after */")
        changes, summary = replay(fleet, NO_CUSTOMERS, "--since", before["time"])
    assert summary["without_session"] == 0
    assert summary["operations"] == 2
    (change,) = changes
    assert (change["identity"], change["session"]) == ("dev-agent", before["session"])


def test_what_is_no_policy_or_no_time_is_said(fleet):
    fleet.write("new.yaml", "rules: [")
    done = fleet.chaperone("policy", "replay", fleet.path("new.yaml"), check=False)
    assert done.returncode == 1 and "new.yaml" in done.stderr
    fleet.write("new.yaml", EVERYTHING)
    done = fleet.chaperone("policy", "replay", fleet.path("new.yaml"), "--since", "soon", check=False)
    assert done.returncode == 2 and "--since" in done.stderr
    changes, summary = replay(fleet, EVERYTHING, "--resource", "elsewhere")
    assert changes == [] and summary["operations"] == 0


def test_a_claim_decides_is_recorded_and_replayed(fleet):
    publish(fleet, SUPPORT_ONLY)
    mint(fleet, {"department": "support", "team": {"shifts": ["day", "night"]}, "level": 3})
    with psycopg.connect(fleet.dsn(application_name="claimed"), autocommit=True) as c:
        assert c.execute("SELECT count(*) FROM orders").fetchone() == (5000,)
    mint(fleet, {"department": "support", "team": {"shifts": ["day"]}})
    with psycopg.connect(fleet.dsn(application_name="unclaimed"), autocommit=True) as c:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            c.execute("SELECT count(*) FROM orders")
    opened = fleet.conversation("claimed")[0]
    fleet.conversation("unclaimed")
    claims = [(c["path"], c["value"]) for c in opened["claims"]]
    for one in [("department", "support"), ("level", "3"), ("team.shifts", "day"),
                ("team.shifts", "night")]:
        assert one in claims
    assert not {"iss", "sub", "aud", "exp"} & {path for path, _ in claims}
    shown = fleet.chaperone("audit", "show", opened["session"]).stdout
    assert "department=support" in shown and "team.shifts=night" in shown
    changes, summary = replay(fleet, SUPPORT_ONLY, "--since", opened["time"])
    assert changes == [] and summary["operations"] == 2


def test_what_shadow_rules_would_say_is_found(fleet):
    publish(fleet, EVERYTHING + "  - {name: soon, effect: deny, mode: shadow,"
                                " match: {sql: {tables: [customers]}}}\n")
    mint(fleet, {})
    with psycopg.connect(fleet.dsn(application_name="shadowed"), autocommit=True) as c:
        assert c.execute("SELECT count(*) FROM customers").fetchone() == (1000,)
        c.execute("SELECT count(*) FROM orders")
    opened = fleet.conversation("shadowed")[0]
    found = fleet.search("--shadow", "--session", opened["session"])
    assert [(r["text"], r["verdict"], r["shadow_verdict"], r["shadow_rule"]) for r in found] == [
        ("SELECT count(*) FROM customers", "allow", "deny", "soon")]
    assert "in shadow: deny by rule soon" in fleet.chaperone("audit", "show",
                                                             opened["session"]).stdout
