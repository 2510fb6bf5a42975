"""What is missing from the audit is told, and where it differs from the target's own log."""

import contextlib
import itertools
import json
import os
import re
import signal
import sqlite3
import subprocess
import time

import psycopg
import pytest
from support import sections
from support.postgres import Postgres


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
    client.wait(60)
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
    settle(stack, "before")
    session = settle(stack, "robbed")
    records = stack.search("--session", session)
    outcome = next(r for r in records if r["kind"] == "outcome")
    stack.stop()
    path = os.path.join(stack.dir, "controlplane")
    stores = [os.path.join(d, n) for d, _, names in os.walk(path) for n in names
              if n.endswith((".db", ".sqlite"))]
    assert len(stores) == 1, stores
    with sqlite3.connect(stores[0]) as store:
        section = sections.section_of(store, sections.positions(store, session, 13)[0])
        position, sequence = store.execute("SELECT position, sequence FROM audit_batch WHERE position = ?",
                                           (section.batch,)).fetchone()
        missing = [sequence + p - position for p in section.positions]
        assert outcome["sequence"] in missing
        assert store.execute("DELETE FROM audit_section WHERE key = ?", (section.key,)).rowcount == 1
    store.close()
    stack.start()
    code, findings, _ = completeness(stack)
    assert code == 1
    gaps = [(f["first"], f["last"]) for f in findings if f["kind"] == "gap"]
    assert [n for first, last in gaps for n in range(first, last + 1)] == missing
    done = stack.chaperone("audit", "completeness", check=False)
    for first, last in gaps:  # how many came together is a matter of time
        words = rf" {first} is missing" if first == last else rf" {first}\D+{last} are missing"
        assert re.search(words, done.stdout), done.stdout
    assert "not complete: " in done.stdout


# ---- with the target's own log


class Logged:
    """A PostgreSQL that writes csvlog or jsonlog, and a stack on it."""

    def __init__(self, kind, make, end, **options):
        self.postgres = Postgres(settings=(
            "logging_collector=on", f"log_destination='{kind}'", "log_filename='target.log'",
            "log_timezone='UTC'"))
        end.callback(self.postgres.close)
        self.postgres.psql("CREATE TABLE t (a int, b text)")
        self.path = os.path.join(self.postgres.data, "log", "target." +
                                 {"csvlog": "csv", "jsonlog": "json"}[kind])
        self.stack = make(postgres=self.postgres, **options)
        end.callback(self.stack.stop)
        settle(self.stack, "the first")
        self.since = self.stack.wait_for(lambda r: r["kind"] == "session_opened")["time"]

    def work(self, name):
        """What clients do, by both protocols; returns when all of it has arrived."""
        with psycopg.connect(self.stack.dsn(application_name=name), autocommit=True) as c:
            plain = psycopg.ClientCursor(c)
            plain.execute("SELECT 1, 'it''s \"quoted\"'\n  -- two lines, with a comma\n")
            for n in range(5):
                c.execute("INSERT INTO t VALUES (%s, %s)", (n, "x'y,\n z"))
                c.execute("SELECT a FROM t WHERE a = %s", (n,), prepare=True)
            for text in ("SELEC", "SELECT 1/0", "SELECT 1; SELECT 2", "SELECT * FROM nowhere"):
                try:
                    plain.execute(text)
                except psycopg.Error:
                    pass
            for text in ("SELECT %s::int / (pg_backend_pid() * 0)", "SELECT nothing, %s::int"):
                with pytest.raises(psycopg.Error):
                    c.execute(text, (1,))
            with c.transaction(), c.cursor("held") as cursor:
                cursor.execute("SELECT generate_series(1, 10)")
                cursor.fetchmany(3)
            with c.cursor().copy("COPY t FROM STDIN") as copy:
                copy.write_row((5, "five"))
            with c.pipeline():
                for n in range(3):
                    c.execute("SELECT %s::text", (f"in a pipeline {n}",))
        self.stack.conversation(name)

    def go_around(self, sql):
        """Straight to the target; returns when its log has it."""
        before = self.read().count(sql)
        self.postgres.psql(sql)
        self.wait_for(lambda text: text.count(sql) > before)

    def settle(self, name):
        """A session, and the log has what came before it: its collector writes it when it comes to it."""
        settle(self.stack, name)
        self.wait_for(lambda text: f"SELECT '{name}'" in text)

    def read(self):
        with open(self.path, encoding="utf-8") as f:
            return f.read()

    def wait_for(self, predicate):
        deadline = time.monotonic() + 60
        while not predicate(self.read()):
            assert time.monotonic() < deadline, self.read()[-2000:]
            time.sleep(0.02)

    def compare(self, *args, path=None):
        # Between an intent and its statement there may be a slow disk.
        return self.stack.chaperone("audit", "reconcile", "--postgres-log", path or self.path,
                                    "--since", self.since, "--tolerance", "60s", *args, check=False)

    def reconcile(self, *args, path=None):
        done = self.compare("--json", *args, path=path)
        assert done.returncode in (0, 1), done.stderr
        assert done.stdout, done.stderr
        findings, summary = lines_of(done)
        assert summary["agrees"] == (done.returncode == 0) == (not findings)
        return findings, summary


@pytest.fixture
def make_logged(own_stack):
    with contextlib.ExitStack() as end:
        yield lambda kind, **options: Logged(kind, own_stack, end, **options)


@pytest.fixture(params=["csvlog", "jsonlog"])
def logged(request, make_logged):
    return make_logged(request.param)


def test_the_log_and_the_audit_agree_until_somebody_goes_around(logged, tmp_path):
    logged.work("agrees")
    logged.settle("after it")
    findings, summary = logged.reconcile()
    assert findings == []
    assert summary["matched"] >= 20 and summary["unclear"] == 0
    logged.go_around("DELETE FROM t WHERE a = 4")
    findings, _ = logged.reconcile("--user", "postgres")
    assert [(f["kind"], f["text"], f["user"], f["application"]) for f in findings] == [
        ("not_in_audit", "DELETE FROM t WHERE a = 4", "postgres", "psql")]
    assert logged.reconcile("--user", "somebody")[0] == []
    # A statement that an agent ran, too, is one too many.
    logged.go_around("SELECT 1; SELECT 2")
    assert [f["text"] for f in logged.reconcile()[0]] == ["DELETE FROM t WHERE a = 4",
                                                         "SELECT 1; SELECT 2"]
    # The other way round: a line is taken out of the log.
    logged.settle("the last")
    path = tmp_path / "log"
    # A log that ends before the audit: what came later is not missed in it.
    with open(logged.path, encoding="utf-8") as f:
        path.write_text("".join(itertools.takewhile(lambda l: "DELETE FROM t" not in l, f)))
    assert logged.reconcile(path=path)[0] == []
    with open(logged.path, encoding="utf-8") as f:
        path.write_text("".join(l for l in f if "COPY t FROM STDIN" not in l))
    findings, _ = logged.reconcile(path=path)
    assert ("not_in_log", "COPY t FROM STDIN") in {(f["kind"], f["text"]) for f in findings}
    done = logged.compare(path=path)
    assert done.returncode == 1
    assert done.stdout.count("not_in_audit\t") == 2 and done.stdout.count("not_in_log\t") == 1
    assert "the two do not agree" in done.stdout


QUESTIONS = """\
version: 1
rules:
  - name: everything
    effect: allow
    obligations:
      mask:
        - {columns: [public.t.b], with: "null"}
  - name: held
    effect: hold
    match: {sql: {commands: [DELETE]}}
    hold: {approvers: {groups: [chaperone-operators]}, predict: exact}
"""


def waiting_for_people(stack):
    """The id of what waits."""
    deadline = time.monotonic() + 60
    while True:
        listed = stack.chaperone("approvals", "list", "--json").stdout
        if listed:
            return json.loads(listed)["id"]
        assert time.monotonic() < deadline, stack.logs()


def test_what_the_sidecar_asks_itself_is_counted(make_logged, tmp_path):
    policy = tmp_path / "policy.yaml"
    policy.write_text(QUESTIONS)
    logged = make_logged("csvlog", policy=str(policy))
    stack = logged.stack
    stack.psql("-c", "SELECT a, b FROM t", PGAPPNAME="masked")
    stack.conversation("masked")
    client = subprocess.Popen(["psql", "-X", "-c", "DELETE FROM t WHERE a < 9"],
                              env=stack.env(PGAPPNAME="held"), stdout=subprocess.DEVNULL)
    held = stack.wait_for(lambda r: r["kind"] == "approval")
    stack.chaperone("approvals", "approve", waiting_for_people(stack))
    assert client.wait(60) == 0
    assert stack.conversation("held")[0]["session"] == held["session"]
    # In a transaction of the agent's the questions are others; this one is denied.
    client = subprocess.Popen(["psql", "-X", "-c", "BEGIN", "-c", "DELETE FROM t WHERE a < 8", "-c",
                               "ROLLBACK"], env=stack.env(PGAPPNAME="denied"),
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    stack.chaperone("approvals", "deny", waiting_for_people(stack))
    client.wait(60)
    stack.conversation("denied")
    logged.settle("the last")
    findings, summary = logged.reconcile()
    assert findings == []
    assert summary["own_questions"] >= 5 and summary["operations"] >= 4
    assert completeness(stack)[0] == 0


def test_the_names_of_the_sidecar_are_no_hiding_place(logged):
    for name in ("chaperone_inquiry", "chaperone_prediction"):
        with psycopg.connect(logged.postgres.url(), autocommit=True) as c:
            c.pgconn.prepare(name.encode(), b"SELECT b FROM t")
            c.pgconn.exec_prepared(name.encode(), [])
    logged.settle("the last")
    findings, _ = logged.reconcile()
    assert [(f["kind"], f["text"]) for f in findings] == [("not_in_audit", "SELECT b FROM t")] * 2


def test_what_is_no_log_is_said(logged, tmp_path):
    path = tmp_path / "log"
    path.write_text("2026-11-21 16:46:02 UTC [1] LOG:  statement: SELECT 1\n")
    done = logged.stack.chaperone("audit", "reconcile", "--postgres-log", path, check=False)
    assert done.returncode == 1 and "csvlog or jsonlog" in done.stderr
    done = logged.stack.chaperone("audit", "reconcile", "--postgres-log", "/nowhere", check=False)
    assert done.returncode == 2
