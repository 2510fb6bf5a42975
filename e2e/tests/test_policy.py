"""Policies by API: published at once, refused when they are none, rolled back, kept offline."""

import json
import os
import subprocess
import time

import psycopg
import pytest
from support.parts import Parts
from support.stack import CHAPERONE

EVERYTHING = "version: 1\nrules:\n  - {name: everything, effect: allow}\n"
NO_CUSTOMERS = EVERYTHING + """\
  - name: no-customers
    effect: deny
    message: Customers are private.
    match: {sql: {tables: [public.customers]}}
"""
HOLD = EVERYTHING + "  - {name: ask, effect: hold, match: {sql: {tables: [orders]}}}\n"


@pytest.fixture(scope="module")
def fleet(postgres):
    running = Parts(postgres)
    yield running
    running.close()


def push(stack, text, *args, check=True):
    path = os.path.join(stack.dir, "pushed.yaml")
    with open(path, "w", encoding="utf-8") as f:
        f.write(text)
    return stack.chaperone("policy", "push", path, "--json", *args, check=check)


def status(stack):
    lines = stack.chaperone("policy", "status", "--json").stdout.splitlines()
    return [json.loads(line) for line in lines]


def active(stack, revision, seconds=60):
    """Waits until the sidecar has said that it uses this revision."""
    deadline = time.monotonic() + seconds
    while True:
        (sidecar,) = status(stack)
        if (sidecar["revision"], sidecar["state"]) == (revision, "active"):
            return sidecar
        assert time.monotonic() < deadline, sidecar
        time.sleep(0.05)


def publish(stack, text, *args):
    pushed = json.loads(push(stack, text, *args).stdout)
    active(stack, pushed["revision"])
    return pushed["revision"]


def rules_of(stack):
    """What an agent meets that asks for the customers."""
    with psycopg.connect(stack.dsn(), autocommit=True) as c:
        try:
            c.execute("SELECT count(*) FROM customers").fetchone()
            return "everything"
        except psycopg.errors.InsufficientPrivilege as e:
            return e.diag.message_primary


def test_a_push_takes_effect_on_the_next_statement_of_an_open_connection(fleet):
    publish(fleet, EVERYTHING)
    with psycopg.connect(fleet.dsn(), autocommit=True) as c:
        assert c.execute("SELECT count(*) FROM customers").fetchone() == (1000,)
        publish(fleet, NO_CUSTOMERS)
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="no-customers.*private"):
            c.execute("SELECT count(*) FROM customers")
        assert c.execute("SELECT count(*) FROM orders").fetchone() == (5000,)
        publish(fleet, EVERYTHING)
        assert c.execute("SELECT count(*) FROM customers").fetchone() == (1000,)


def test_a_denied_statement_fails_its_transaction(fleet):
    publish(fleet, NO_CUSTOMERS)
    with psycopg.connect(fleet.dsn()) as c:
        c.execute("SELECT 1")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            c.execute("SELECT * FROM customers")
        with pytest.raises(psycopg.errors.InFailedSqlTransaction):
            c.execute("SELECT count(*) FROM orders")
        c.rollback()
        assert c.execute("SELECT count(*) FROM orders").fetchone() == (5000,)


def test_what_is_no_policy_changes_nothing(fleet):
    revision = publish(fleet, NO_CUSTOMERS, "--message", "before")
    for text, words in [(HOLD, "pushed.yaml:4"), ("version: 1\nrules: [{name: x}]\n", "effect"),
                        ("rules: [", "pushed.yaml")]:
        refused = push(fleet, text, check=False)
        assert refused.returncode == 1
        assert words in refused.stderr
        path = os.path.join(fleet.dir, "pushed.yaml")
        checked = subprocess.run([CHAPERONE, "policy", "check", path], capture_output=True,
                                 text=True, check=False)
        assert checked.returncode == 1 and words in checked.stderr
    assert active(fleet, revision)["newest"] == revision
    assert "no-customers" in rules_of(fleet)


def test_a_rollback_is_a_new_revision_with_the_old_content(fleet):
    first = publish(fleet, EVERYTHING)
    second = publish(fleet, NO_CUSTOMERS, "--message", "customers are private")
    assert "no-customers" in rules_of(fleet)
    diff = fleet.chaperone("policy", "diff", str(first), str(second)).stdout
    assert "+  - name: no-customers\n" in diff and f"+++ revision {second}\n" in diff
    back = json.loads(fleet.chaperone("policy", "rollback", str(first), "--json").stdout)
    assert back["changed"] and back["revision"] == second + 1
    active(fleet, second + 1)
    assert rules_of(fleet) == "everything"
    assert fleet.chaperone("policy", "show", str(second + 1)).stdout == EVERYTHING
    revisions = [json.loads(x) for x in
                 fleet.chaperone("policy", "list", "--json").stdout.splitlines()]
    assert [r["revision"] for r in revisions] == list(range(second + 1, 0, -1))
    assert revisions[1]["message"] == "customers are private"


def test_an_author_who_missed_a_push_is_told(fleet):
    revision = publish(fleet, NO_CUSTOMERS)
    late = push(fleet, EVERYTHING, "--expect", str(revision - 1), check=False)
    assert late.returncode == 1
    assert f"the newest revision is {revision}, not {revision - 1}" in late.stderr
    assert active(fleet, revision)["newest"] == revision


def test_explain_says_what_the_sidecar_does(fleet):
    publish(fleet, NO_CUSTOMERS)
    said = fleet.chaperone("policy", "explain", "--as", "sub=x",
                           "SELECT * FROM orders, customers", check=False)
    assert said.returncode == 1
    assert "read table orders -> allow by rule everything" in said.stdout
    assert "verdict: deny by rule no-customers: Customers are private." in said.stdout


def test_a_restarted_control_plane_keeps_what_was_pushed(fleet):
    revision = publish(fleet, NO_CUSTOMERS)
    fleet.controlplane.stop()
    fleet.start_controlplane()
    fleet.wait_until_ready()
    active(fleet, revision)
    assert "no-customers" in rules_of(fleet)
    assert publish(fleet, EVERYTHING) == revision + 1


def test_a_sidecar_without_its_control_plane_keeps_its_policy(fleet):
    revision = publish(fleet, NO_CUSTOMERS)
    fleet.sidecar.stop()
    fleet.controlplane.stop()
    sidecar = fleet.start_sidecar(ready=False)
    assert sidecar.wait_for("policy_active")["revision"] == revision
    fleet.start_controlplane()
    fleet.wait_until_ready()
    active(fleet, revision)
    assert "no-customers" in rules_of(fleet)
