"""What is missing from the audit is told."""

import json
import os
import signal
import sqlite3
import subprocess

import psycopg


def lines_of(done):
    found = [json.loads(line) for line in done.stdout.splitlines()]
    return found[:-1], found[-1]


def completeness(stack, *args):
    """(exit code, findings, summary)"""
    done = stack.chaperone("audit", "completeness", "--json", *args, check=False)
    assert done.returncode in (0, 1), done.stderr
    findings, summary = lines_of(done)
    assert summary["kind"] == "summary"
    assert summary["findings"] == len(findings)
    assert summary["complete"] == (done.returncode == 0) == (not findings)
    return done.returncode, findings, summary


def settle(stack, name):
    """A whole session, whose end has arrived."""
    stack.psql("-c", f"SELECT '{name}'", "-c", "SELECT 1/0", PGAPPNAME=name, check=False)
    return stack.conversation(name)[0]["session"]


def test_what_is_whole_is_complete(own_stack):
    stack = own_stack()
    settle(stack, "whole")
    with psycopg.connect(stack.dsn(application_name="goes on"), autocommit=True) as connection:
        connection.execute("SELECT 'goes on'")
        stack.wait_for(lambda r: r["kind"] == "outcome" and r["command_tag"] == "SELECT 1",
                       "--session", stack.wait_for(lambda r: r["kind"] == "session_opened" and
                                                   r["application_name"] == "goes on")["session"])
        code, _, summary = completeness(stack)
        assert code == 0
        assert summary["operations"] >= 3 and summary["running_sessions"] == 1
    done = stack.chaperone("audit", "completeness", "--since", "1h")
    assert done.stdout.startswith("complete: ")


def test_a_sidecar_that_is_killed_leaves_open_ends(own_stack):
    stack = own_stack()
    settle(stack, "before")
    client = subprocess.Popen(["psql", "-X", "-c", "SELECT pg_sleep(60), 'cut off'"],
                              env=stack.env(PGAPPNAME="cut off"), stderr=subprocess.DEVNULL,
                              stdout=subprocess.DEVNULL)
    intent = stack.wait_for(lambda r: r["kind"] == "intent" and "cut off" in (r["text"] or ""))
    os.kill(stack.pid_of("chaperone-sidecar"), signal.SIGKILL)
    client.wait(30)
    stack.process.wait(60)
    stack.start()
    settle(stack, "after")
    code, findings, _ = completeness(stack)
    assert code == 1
    assert {(f["kind"], f["session"], f["operation"]) for f in findings} == {
        ("no_outcome", intent["session"], 1), ("no_end", intent["session"], None)}
    assert findings[0]["first"] == intent["sequence"]


def test_a_record_that_is_taken_out_is_missed(own_stack):
    stack = own_stack()
    session = settle(stack, "robbed")
    records = stack.search("--session", session)
    outcome = next(r for r in records if r["kind"] == "outcome")
    stack.stop()
    path = os.path.join(stack.dir, "controlplane")
    stores = [os.path.join(d, n) for d, _, names in os.walk(path) for n in names
              if n.endswith((".db", ".sqlite"))]
    assert len(stores) == 1, stores
    with sqlite3.connect(stores[0]) as store:
        gone = store.execute("DELETE FROM audit_record WHERE key IN (SELECT key FROM audit_record"
                             " ORDER BY key LIMIT 1 OFFSET ?)", (outcome["sequence"] - 1,))
        assert gone.rowcount == 1
    stack.start()
    code, findings, _ = completeness(stack)
    assert code == 1
    assert ("gap", outcome["sequence"], outcome["sequence"]) in {
        (f["kind"], f["first"], f["last"]) for f in findings}
    done = stack.chaperone("audit", "completeness", check=False)
    assert f"record {outcome['sequence']} is missing" in done.stdout
    assert "not complete: " in done.stdout
