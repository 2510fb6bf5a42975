"""A recorded session again: shown at its pace, steered by keys, exported as an asciicast, executed."""

import datetime
import json
import os
import pty
import select
import subprocess
import time

import psycopg
import pytest
from support.stack import CHAPERONE, Stack


@pytest.fixture(scope="module")
def session(stack):
    """The id of a session that has ended."""
    with psycopg.connect(stack.dsn(application_name="to-replay"), autocommit=True) as c:
        c.execute("SELECT id, name FROM customers WHERE id <= 3 ORDER BY id")
        c.execute("SELECT '\x1b[2J' AS screen, 'umlaut \u00e4' AS text")
        c.execute("SELECT count(*) FROM orders")
    return stack.conversation("to-replay")[0]["session"]


def test_plainly_it_is_what_show_shows(stack, session):
    shown = stack.chaperone("audit", "show", session).stdout
    assert stack.chaperone("audit", "replay", session, "--speed", "max").stdout == shown
    assert "name 3" in shown and "\x1b" not in shown


def test_it_takes_its_time(stack):
    with psycopg.connect(stack.dsn(application_name="slow"), autocommit=True) as c:
        c.execute("SELECT pg_sleep(5)")
    records = stack.conversation("slow")
    began = time.monotonic()
    stack.chaperone("audit", "replay", records[0]["session"], "--speed", "4")
    assert time.monotonic() - began >= 1.25
    began = time.monotonic()  # without the limit it took fifty seconds
    stack.chaperone("audit", "replay", records[0]["session"], "--speed", "0.1", "--idle-limit", "0.01")
    assert time.monotonic() - began < 45


def test_an_asciicast_is_exported(stack, session, tmp_path):
    file = tmp_path / "session.cast"
    stack.chaperone("audit", "replay", session, "--export", str(file))
    assert file.stat().st_mode & 0o777 == 0o600
    header, *events = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    assert header["version"] == 3
    assert header["term"]["cols"] > 0 and header["term"]["rows"] > 0
    assert session in header["title"]
    assert all(len(e) == 3 and e[0] >= 0 and isinstance(e[2], str) for e in events)
    assert {code for _, code, _ in events} == {"o", "m", "x"}
    assert events[-1][1:] == ["x", "0"]
    output = "".join(data for _, code, data in events if code == "o")
    assert "umlaut \u00e4" in output and "name 3" in output
    assert "\x1b[2J" not in output
    assert "\n" not in output.replace("\r\n", "")
    markers = [data for _, code, data in events if code == "m"]
    assert len(markers) == 3 and all("SELECT" in m for m in markers)
    opened, *_, closed = stack.search("--session", session)
    took = sum(e[0] for e in events)
    assert took == pytest.approx(seconds(closed) - seconds(opened), abs=0.001)
    again = stack.chaperone("audit", "replay", session, "--export", str(file), check=False)
    assert again.returncode == 1 and "File exists" in again.stderr
    to_pipe = stack.chaperone("audit", "replay", session, "--export", "-").stdout
    assert to_pipe == file.read_text(encoding="utf-8")


def seconds(record):
    return datetime.datetime.fromisoformat(record["time"].replace("Z", "+00:00")).timestamp()


def test_what_is_not_there_is_said(stack):
    done = stack.chaperone("audit", "replay", "00000000-0000-7000-8000-000000000000", check=False)
    assert done.returncode == 1 and "no session" in done.stderr


def until(screen, text, seen):
    """Reads on from the terminal until `text` stands there; gives all that was read."""
    while text not in seen:
        ready, _, _ = select.select([screen], [], [], 60)
        assert ready, f"{text!r} did not come: {seen!r}"
        try:
            more = os.read(screen, 4096)
        except OSError:  # the other end is closed
            more = b""
        assert more, f"{text!r} did not come: {seen!r}"
        seen += more
    return seen


def test_keys_steer_it(stack):
    with psycopg.connect(stack.dsn(application_name="steered"), autocommit=True) as c:
        c.execute("SELECT 'before'")
        c.execute("SELECT pg_sleep(3)")
        c.execute("SELECT 'needle'")
    session = stack.conversation("steered")[0]["session"]
    screen, other = pty.openpty()
    # Slower than anybody waits: only keys bring it to its end.
    with subprocess.Popen([CHAPERONE, "audit", "replay", session, "--speed", "0.1", *stack.operator()],
                          stdin=other, stdout=other, stderr=other,
                          env={**os.environ, "TERM": "xterm", "COLUMNS": "100"}) as process:
        os.close(other)
        try:
            seen = until(screen, b"space: pause", b"")
            os.write(screen, b" ")
            seen = until(screen, b"paused", seen)
            os.write(screen, b"/needle\r")
            seen = until(screen, b"SELECT 'needle'", seen)
            os.write(screen, b"\x1b[D")
            seen = until(screen, b"\x1b[2J", seen)
            seen = until(screen, b"pg_sleep(3)", seen[seen.index(b"\x1b[2J"):])
            os.write(screen, b"q")
            assert process.wait(60) == 0
        finally:
            process.kill()
            os.close(screen)


# ---- executed again

GUARDED = """\
version: 1
rules:
  - name: everything
    effect: allow
    obligations:
      mask:
        - {columns: [public.customers.ssn], with: "null"}
  - {name: no-deletes, effect: deny, match: {sql: {commands: [DELETE]}}}
"""


@pytest.fixture(scope="module")
def guarded(postgres, tmp_path_factory):
    policy = tmp_path_factory.mktemp("policy") / "policy.yaml"
    policy.write_text(GUARDED, encoding="ascii")
    running = Stack(postgres, policy=str(policy), identity="sub=agent-7,groups=analysts+agents")
    yield running
    running.close()


@pytest.fixture
def sandbox(postgres):
    """A copy of the tables in a database of its own."""
    postgres.psql("DROP DATABASE IF EXISTS sandbox")
    postgres.psql("CREATE DATABASE sandbox")
    postgres.psql("CREATE TABLE customers (id int PRIMARY KEY, name text, ssn text);"
                  "INSERT INTO customers SELECT i, 'name ' || i, lpad(i::text, 9, '0')"
                  " FROM generate_series(1, 1000) i", "sandbox")
    yield postgres.url("sandbox")
    postgres.psql("DROP DATABASE sandbox WITH (FORCE)")


@pytest.fixture(scope="module")
def worked(guarded):
    """A session with all that can happen to a statement."""
    with psycopg.connect(guarded.dsn(application_name="worked", options="-c bytea_output=escape"),
                         autocommit=True) as c:
        c.execute("SELECT 'ab'::bytea")
        c.execute("SET datestyle TO 'German, DMY'")
        c.execute("SELECT date '2026-11-21'")
        c.execute("SELECT id, name FROM customers WHERE id BETWEEN %s AND %s ORDER BY id", (10, 14))
        for number in (3, 4):
            c.execute("SELECT name FROM customers WHERE id = %s", (number,), prepare=True)
        c.execute("SELECT id, name, 2.5::float8 FROM customers WHERE id = %s", (12,), binary=True)
        c.execute("SELECT ssn FROM customers WHERE id = 1")
        with pytest.raises(psycopg.errors.DivisionByZero):
            c.execute("SELECT 1/0")
        with c.cursor().copy("COPY (SELECT id, name FROM customers WHERE id < 20) TO STDOUT") as rows:
            assert sum(1 for _ in rows) == 19
        c.execute("BEGIN")
        c.execute("UPDATE customers SET name = 'kept' WHERE id = 500")
        c.execute("SELECT name FROM customers WHERE id = 500")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            c.execute("DELETE FROM customers WHERE id = 500")
        c.execute("COMMIT")  # of a failed transaction
        c.execute("SELECT name FROM customers WHERE id = 500 -- after")
        with c.cursor().copy("COPY customers (id) FROM STDIN") as rows:
            rows.write_row((2000,))
    session = guarded.conversation("worked")[0]["session"]
    yield session
    guarded.postgres.psql("DELETE FROM customers WHERE id = 2000")


def into(stack, session, url, *args):
    done = stack.chaperone("audit", "replay", session, "--into", url, "--yes", "--json", *args,
                           check=False)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert lines, done.stderr
    assert lines[-1]["kind"] == "summary"
    return done.returncode, lines[:-1], lines[-1]


def test_an_unchanged_copy_agrees(guarded, worked, sandbox, postgres):
    code, operations, summary = into(guarded, worked, sandbox)
    of = {o["text"]: o for o in operations}
    assert [o for o in operations if o["result"] in ("differs", "unknown")] == []
    assert code == 0
    assert of["SELECT ssn FROM customers WHERE id = 1"]["result"] == "masked"
    assert of["DELETE FROM customers WHERE id = 500"]["result"] == "skipped"
    assert "refused" in of["DELETE FROM customers WHERE id = 500"]["why"]
    assert of["COPY customers (id) FROM STDIN"]["result"] == "skipped"
    assert "error 22012" in of["SELECT 1/0"]["why"]
    for text in ("SELECT 'ab'::bytea", "SELECT date '2026-11-21'", "COMMIT", "SELECT name FROM customers WHERE id = $1",
                 "SELECT id, name, 2.5::float8 FROM customers WHERE id = $1",
                 "COPY (SELECT id, name FROM customers WHERE id < 20) TO STDOUT",
                 "SELECT name FROM customers WHERE id = 500 -- after"):
        assert of[text]["result"] == "agrees", of[text]
    prepared = [o for o in operations if "only prepared" in o.get("why", "")]
    assert (summary["masked"], summary["skipped"]) == (1, 2 + len(prepared))
    # The refusal failed the transaction then, so nothing of it stayed now.
    assert postgres.psql("SELECT name FROM customers WHERE id = 500", "sandbox") == "name 500"


def test_the_row_that_was_changed_is_reported(guarded, worked, sandbox, postgres):
    postgres.psql("UPDATE customers SET name = E'ano\\nther' WHERE id = 13", "sandbox")
    code, operations, summary = into(guarded, worked, sandbox)
    assert code == 1
    differing = {o["text"]: o for o in operations if o["result"] == "differs"}
    rows = differing["SELECT id, name FROM customers WHERE id BETWEEN $1 AND $2 ORDER BY id"]
    assert (rows["row"], rows["recorded"], rows["now"]) == (4, "13 | name 13", "13 | ano\nther")
    copied = differing["COPY (SELECT id, name FROM customers WHERE id < 20) TO STDOUT"]
    assert copied["row"] == 13
    assert summary["differs"] == len(differing) == 2
    done = guarded.chaperone("audit", "replay", worked, "--into", sandbox, "-y", check=False)
    assert done.returncode == 1
    assert "row 4 is the first that differs\n" in done.stdout
    assert "now:      13 | ano\\nther\n" in done.stdout
    assert "2 differ, 1 cannot agree because they were masked" in done.stdout


def test_nothing_is_executed_unasked_or_where_it_ran(guarded, worked, sandbox, postgres):
    done = guarded.chaperone("audit", "replay", worked, "--into", sandbox, check=False)
    assert done.returncode == 2 and "--yes" in done.stderr
    done = guarded.chaperone("audit", "replay", worked, "--into", postgres.url(), "--yes", check=False)
    assert done.returncode == 1 and "is the one the session ran on" in done.stderr
    done = guarded.chaperone("audit", "replay", worked, "--into", sandbox + "-gone", "--yes", check=False)
    assert done.returncode == 1 and "sandbox-gone" in done.stderr
    assert postgres.password not in done.stderr
    screen, other = pty.openpty()
    with subprocess.Popen([CHAPERONE, "audit", "replay", worked, "--into", sandbox,
                           *guarded.operator()], stdin=other, stdout=other, stderr=other) as process:
        os.close(other)
        try:
            seen = until(screen, b"[y/N]", b"")
            assert f"in database sandbox on 127.0.0.1:{postgres.port}".encode() in seen
            with open(f"/proc/{process.pid}/cmdline", "rb") as f:
                assert postgres.password.encode() not in f.read()
            os.write(screen, b"no\n")
            until(screen, b"nothing was done", seen)
            assert process.wait(60) == 1
        finally:
            process.kill()
            os.close(screen)
