"""A recorded session again: shown at its pace, steered by keys, exported as an asciicast."""

import json
import os
import pty
import select
import subprocess
import time

import psycopg
import pytest
from support.stack import CHAPERONE


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
        c.execute("SELECT pg_sleep(1.5)")
    records = stack.conversation("slow")
    began = time.monotonic()
    stack.chaperone("audit", "replay", records[0]["session"])
    assert time.monotonic() - began >= 1.5
    began = time.monotonic()
    stack.chaperone("audit", "replay", records[0]["session"], "--idle-limit", "0.01")
    assert time.monotonic() - began < 1.5


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
    time_of_day = record["time"].split("T")[1].rstrip("Z").split(":")
    return sum(float(part) * unit for part, unit in zip(time_of_day, (3600, 60, 1)))


def test_what_is_not_there_is_said(stack):
    done = stack.chaperone("audit", "replay", "00000000-0000-7000-8000-000000000000", check=False)
    assert done.returncode == 1 and "no session" in done.stderr


def until(screen, text, seen):
    """Reads on from the terminal until `text` stands there; gives all that was read."""
    while text not in seen:
        ready, _, _ = select.select([screen], [], [], 20)
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
            assert process.wait(20) == 0
        finally:
            process.kill()
            os.close(screen)
