"""What an operator does: ending sessions, stopping, reloading, watching, resuming."""

import contextlib
import json
import os
import re
import signal
import socket
import sqlite3
import stat
import subprocess
import threading

import psycopg
import pytest
from support.parts import Parts
from support.ports import free_port
from support.stack import CHAPERONE
from support.wire import Wire, fields, query

GATE = 20261121  # see gate()


class Asking(threading.Thread):
    """A connection of its own that runs a statement; `answer`: all messages up to the close."""

    def __init__(self, stack, name, statement):
        super().__init__(daemon=True)
        self.wire = Wire(stack.port, timeout=60).login(application_name=name)
        self.statement = statement
        self.answer = []
        self.start()

    def run(self):
        with self.wire as w:
            w.send(query(self.statement))
            try:
                while True:
                    self.answer.append(w.read())
            except EOFError:
                self.answer.append((b"", b""))

    def outcome(self, seconds=60):
        self.join(seconds)
        assert not self.is_alive()
        return self.answer

    def was_terminated(self):
        """FATAL, as when PostgreSQL's own administrator ends a session; its message."""
        (kind, body), end = self.outcome()[-2:]
        error = fields(body)
        assert (kind, error["S"], error["C"]) == (b"E", "FATAL", "57P01"), self.answer
        assert end == (b"", b"")
        return error["M"]


def runs(postgres, mark):
    """How many backends of the target run a statement with this mark now."""
    return int(postgres.psql("SELECT count(*) FROM pg_stat_activity WHERE state = 'active'"
                             f" AND query LIKE '%{mark}%' AND pid <> pg_backend_pid()"))


def wait_until(condition, what, seconds=60):
    """For what only the target can be asked: each look is a query, there is nothing to wait on."""
    deadline = threading.Event()
    timer = threading.Timer(seconds, deadline.set)
    timer.start()
    try:
        while not condition():
            assert not deadline.is_set(), what
    finally:
        timer.cancel()


def session_of(stack, name):
    return stack.wait_for(lambda r: r["kind"] == "session_opened"
                          and r.get("application_name") == name)["session"]


# ---- ending a session


def test_kill_of_a_running_statement(stack, postgres):
    asking = Asking(stack, "to be killed", "SELECT pg_sleep(120) /* killed-1 */")
    session = session_of(stack, "to be killed")
    wait_until(lambda: runs(postgres, "killed-1") == 1, "it runs")
    done = stack.chaperone("session", "kill", session, "--reason", "wrong table")
    assert re.fullmatch(rf"killed {session} in [0-9.]+ (ms|s)\n", done.stdout)
    assert asking.was_terminated() == ("terminating connection: the session was ended by operator:"
                                       " wrong table")
    wait_until(lambda: runs(postgres, "killed-1") == 0, "the target goes on with it")
    records = stack.conversation("to be killed")
    (outcome,) = (r for r in records if r["kind"] == "outcome")
    assert outcome["status"] in ("unknown", "failed")
    (closed,) = (r for r in records if r["kind"] == "session_closed")
    assert closed["reason"] == "killed"
    assert closed["ordered_by"] == "operator" and "wrong table" in closed["error"]
    shown = stack.chaperone("audit", "show", session).stdout
    assert "killed" in shown and "operator" in shown
    again = stack.chaperone("session", "kill", session, check=False)
    assert again.returncode == 1 and "not open any more" in again.stderr


def test_kill_of_an_idle_session_in_a_transaction(stack, postgres):
    postgres.psql("CREATE TABLE IF NOT EXISTS undone (a int); TRUNCATE undone")
    with psycopg.connect(stack.dsn(application_name="idle one"), autocommit=True) as c:
        c.execute("BEGIN")
        c.execute("INSERT INTO undone VALUES (1)")
        session = session_of(stack, "idle one")
        answer = json.loads(stack.chaperone("session", "kill", session, "--json").stdout)
        assert answer == {"session": session, "killed": True, "took_us": answer["took_us"]}
        assert answer["took_us"] > 0
        with pytest.raises(psycopg.OperationalError, match="the session was ended by operator"):
            c.execute("COMMIT")
    reasons = [r["reason"] for r in stack.conversation("idle one") if r["kind"] == "session_closed"]
    assert reasons == ["killed"]
    assert postgres.psql("SELECT count(*) FROM undone") == "0"


@pytest.mark.parametrize("session", ["01890000-0000-7000-8000-000000000000", "nonsense"])
def test_kill_of_no_session(stack, session):
    done = stack.chaperone("session", "kill", session, check=False)
    assert done.returncode == 1 and session in done.stderr


# ---- stopping


@pytest.fixture
def gate(postgres):
    """A lock of the target's: `SELECT pg_advisory_lock(GATE)` runs until it is closed."""
    with psycopg.connect(postgres.url(), autocommit=True) as holder:
        holder.execute(f"SELECT pg_advisory_lock({GATE})")
        yield holder


def test_a_stop_lets_what_runs_end(parts, gate):
    stack = parts(sidecar="drain_time: 55s")
    running = Asking(stack, "running", f"SELECT 'finished', pg_advisory_lock({GATE})")
    with psycopg.connect(stack.dsn(application_name="between"), autocommit=True) as between, \
            Wire(stack.port) as idle:
        idle.login(application_name="idle")
        between.execute("CREATE TEMP TABLE t (a int)")
        between.execute("BEGIN")
        wait_until(lambda: runs(stack.postgres, "finished") == 1, "it runs")
        stack.sidecar.signal(signal.SIGTERM)
        stack.sidecar.wait_for("stopping")
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", stack.port), 5)
        kind, body = idle.read()  # told at once
        assert (kind, fields(body)["S"], fields(body)["C"]) == (b"E", "FATAL", "57P01")
        assert idle.closed()
        # A transaction goes on until its end, and then the session ends.
        assert between.execute("INSERT INTO t VALUES (1) RETURNING a").fetchall() == [(1,)]
        gate.close()
        answer = running.outcome()
        assert [k for k, _ in answer[:4]] == [b"T", b"D", b"C", b"Z"]
        assert b"finished" in answer[1][1]
        assert "shutting down" in running.was_terminated()
        between.execute("COMMIT")
        with pytest.raises(psycopg.OperationalError):
            between.execute("SELECT 1")
    assert stack.sidecar.process.wait(30) == 0
    for name in ("running", "idle", "between"):
        records = stack.conversation(name)
        assert records[-1]["reason"] == "shutdown"
        assert {r["status"] for r in records if r["kind"] == "outcome"} <= {"success"}
    # All of it was shipped before the process ended, up to the last heartbeat.
    assert stack.search()[-1]["kind"] == "heartbeat"


def test_a_stop_does_not_wait_for_ever(parts, postgres):
    stack = parts(sidecar="drain_time: 1s")
    asking = Asking(stack, "endless", "SELECT pg_sleep(120) /* endless-1 */")
    wait_until(lambda: runs(postgres, "endless-1") == 1, "it runs")
    stack.sidecar.signal(signal.SIGTERM)
    assert stack.sidecar.process.wait(60) == 0
    assert "shutting down" in asking.was_terminated()
    wait_until(lambda: runs(postgres, "endless-1") == 0, "the target goes on with it")
    assert stack.conversation("endless")[-1]["reason"] == "shutdown"


def test_a_second_signal_ends_it_at_once(parts, postgres):
    stack = parts(sidecar="drain_time: 55s")
    asking = Asking(stack, "impatient", "SELECT pg_sleep(120) /* impatient-1 */")
    wait_until(lambda: runs(postgres, "impatient-1") == 1, "it runs")
    stack.sidecar.signal(signal.SIGTERM)
    stack.sidecar.wait_for("stopping")
    stack.sidecar.signal(signal.SIGTERM)
    assert stack.sidecar.process.wait(40) == 0
    assert "shutting down" in asking.was_terminated()


# ---- reloading


def edit(stack, pattern, text):
    before = stack.read("sidecar.yaml")
    after = re.sub(pattern, lambda _: text, before, flags=re.M)
    assert after != before
    stack.write("sidecar.yaml", after)


def reload(stack, event="reloaded"):
    mark = stack.sidecar.mark()
    stack.sidecar.signal(signal.SIGHUP)
    return stack.sidecar.wait_for(event, after=mark)


WITHOUT_LATER_VERSIONS = """
    DROP INDEX standing_approval_until;
    ALTER TABLE standing_approval DROP COLUMN revoked_ns;
    ALTER TABLE standing_approval DROP COLUMN revoked_by;
    ALTER TABLE standing_approval DROP COLUMN revoked_because;
    DROP INDEX sidecar_revoked;
    ALTER TABLE sidecar DROP COLUMN revoked_ns;
    ALTER TABLE sidecar DROP COLUMN revoked_by;
    ALTER TABLE sidecar DROP COLUMN revoked_reason;
    ALTER TABLE audit_stream DROP COLUMN revoked_ns;
"""


def test_an_older_store_is_converted_and_says_so(parts):
    """As a version before the marks of sections left it (schema version 9)."""
    running = parts()
    assert running.psql("-Atc", "SELECT 'before'").stdout == "before\n"
    assert running.outcome_of("SELECT 'before'")["rows"] == 1
    assert running.controlplane.stop() == 0
    with contextlib.closing(sqlite3.connect(running.path("controlplane/controlplane.db"))) as db, db:
        sections = db.execute("SELECT count(*) FROM audit_section").fetchone()[0]
        db.executescript(WITHOUT_LATER_VERSIONS
                         + "DROP TABLE audit_mark; DELETE FROM schema_version WHERE version >= 10")
    said = running.start_controlplane().events()
    assert [(e["what"], e["done"], e["of"]) for e in said if e["event"] == "store_converting"] == [
        ("sections", sections, sections)]
    assert running.outcome_of("SELECT 'before'")["rows"] == 1


def test_reload_moves_a_listener_and_keeps_the_sessions(parts):
    stack = parts()
    old, new = stack.port, free_port()
    with psycopg.connect(stack.dsn(), autocommit=True) as c:
        edit(stack, r'listen: "127.0.0.1:%d"$' % old, f'listen: "127.0.0.1:{new}"')
        reload(stack)
        assert c.execute("SELECT 'still here'").fetchone() == ("still here",)
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", old), 5)
        stack.port = new
        assert stack.psql("-Atc", "SELECT 'moved'").stdout == "moved\n"


def test_reload_takes_limits_and_a_mistake_changes_nothing(parts):
    stack = parts()
    edit(stack, r"^record: .*$", "record: {statement_bytes: 1KiB}")
    reload(stack)
    with psycopg.connect(stack.dsn(), autocommit=True) as c:
        with pytest.raises(psycopg.errors.ProgramLimitExceeded):
            c.execute("SELECT '" + "x" * 2000 + "'")
        edit(stack, r"^record: .*$", "record: {statement_bites: 2KiB}")
        why = reload(stack, "reload_failed")["why"]
        assert "sidecar.yaml" in why and "statement_bites" in why
        with pytest.raises(psycopg.errors.ProgramLimitExceeded):
            c.execute("SELECT '" + "x" * 2000 + "'")
        assert c.execute("SELECT 1").fetchone() == (1,)


def test_unix_socket(parts, tmp_path):
    stack = parts()
    path = f"{tmp_path}/.s.PGSQL.6432"
    # One that a killed process has left behind is in nobody's way.
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(path)
    edit(stack, r'listen: "127.0.0.1:%d"$' % stack.port, f'listen: "unix:{path}"')
    reload(stack)
    done = stack.psql("-Atc", "SELECT 'by socket'", PGHOST=str(tmp_path), PGPORT="6432",
                      PGAPPNAME="by socket")
    assert done.stdout == "by socket\n"
    opened = stack.conversation("by socket")[0]
    assert opened["agent_address"].startswith("unix:")
    assert opened["process"]["executable"].endswith("psql")
    assert (opened["process"]["uid"], opened["process"]["gid"]) == (os.getuid(), os.getgid())
    assert not os.stat(path).st_mode & stat.S_IWOTH  # who may connect is who may write
    assert stack.sidecar.stop() == 0
    assert not os.path.exists(path)


# ---- watching


def test_metrics_count(parts):
    stack = parts()
    before = stack.metrics()
    with psycopg.connect(stack.dsn(), autocommit=True) as c:
        c.execute("SELECT 1")
        c.execute("SELECT 2")
        with pytest.raises(psycopg.errors.SyntaxError):
            c.execute("SELECT FROM WHERE")
        with pytest.raises(psycopg.errors.DivisionByZero):
            c.execute("SELECT 1/0")
        during = stack.metrics()
        changed = {k: during[k] - before[k] for k in before if during[k] != before[k]}
        assert (changed["sessions_active"], changed["sessions_opened_total"]) == (1, 1)
        assert changed["operations_allowed_total"] == 3
        assert changed["operations_refused_total"] == 1
        assert changed["outcomes_failed_total"] == 1
        assert changed["bytes_from_agents_total"] > 0 and changed["bytes_to_agents_total"] > 0
        assert during["control_plane_connected"] == 1 and during["policy_revision"] == 1
        assert 0 < during["spool_bytes"] <= during["spool_cap_bytes"]
    stack.sidecar.wait_for("session_closed")
    after = stack.metrics()
    assert (after["sessions_active"], after["sessions_closed_total"]) == (0, 1)
    wait_until(lambda: stack.metrics()["records_acknowledged_total"] >= after["records_total"], "it is shipped")
    last = [r["kind"] for r in stack.search() if during["records_total"] < r["sequence"] <= after["records_total"]]
    assert len(last) == after["records_total"] - during["records_total"]
    assert [kind for kind in last if kind != "heartbeat"] == ["session_closed"]  # it beats when it is time


def test_the_metrics_are_in_prometheus_format(parts):
    status, text = parts().http("/metrics")
    assert status == 200
    lines = text.splitlines()
    for i in range(0, len(lines), 3):
        name = re.fullmatch(r"# HELP (chaperone_\w+) .+", lines[i]).group(1)
        kind = re.fullmatch(rf"# TYPE {name} (counter|gauge)", lines[i + 1]).group(1)
        assert (kind == "counter") == name.endswith("_total")
        assert float(re.fullmatch(rf"{name} (\S+)", lines[i + 2]).group(1)) >= 0


def test_health_and_readiness(parts):
    stack = parts()
    assert stack.http("/healthz") == (200, '{"status":"ok"}\n')
    assert stack.http("/readyz") == (200, '{"status":"ready"}\n')
    assert stack.http("/nowhere")[0] == 404
    host, port = stack.address("sidecar.yaml", "health: {listen")
    with socket.create_connection((host, port), 10) as s:
        s.sendall(b"POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
        assert s.recv(1000).startswith(b"HTTP/1.1 405 ")
    with socket.create_connection((host, port), 10) as s:
        s.sendall(b"\x16\x03\x01 this is no HTTP\r\n\r\n")
        assert b" 200 " not in s.recv(1000)
    stack.controlplane.kill()
    wait_until(lambda: stack.http("/readyz") == (
        503, '{"status":"not_ready","why":"the control plane is not connected"}\n'), "not ready")
    assert stack.http("/healthz")[0] == 200
    stack.start_controlplane().wait_for("sidecar_connected")
    wait_until(lambda: stack.http("/readyz")[0] == 200, "it is ready again")


def test_one_tls_library_in_the_sidecar(stack):
    """ADR-1: BoringSSL, and never OpenSSL beside it."""
    pid = stack.pid_of("chaperone-sidecar")
    try:
        with open(f"/proc/{pid}/maps", encoding="ascii") as f:
            mapped = {line.split()[-1] for line in f if "/" in line}
    except PermissionError:
        pytest.skip("the sidecar is not dumpable: its maps are for root only")
    assert any(m.endswith("/android/libssl.so.0") for m in mapped), mapped
    assert any(m.endswith("/android/libcrypto.so.0") for m in mapped)
    assert not [m for m in mapped if re.search(r"/lib(ssl|crypto)\.so\.[1-9]", m)]


# ---- the development stack


def test_a_second_stack_on_the_same_directory(stack):
    done = subprocess.run([CHAPERONE, "dev", "--dir", stack.dir], capture_output=True, text=True,
                          check=False, timeout=60)
    assert done.returncode == 1 and done.stdout == ""
    assert f"a stack is running on {stack.dir} already" in done.stderr
    assert stack.psql("-Atc", "SELECT 'undisturbed'").stdout == "undisturbed\n"


def test_the_same_directory_resumes_with_its_history(own_stack):
    stack = own_stack(identity="sub=agent-9,groups=agents")
    stack.psql("-c", "SELECT 'before'", PGAPPNAME="first run")
    before = stack.conversation("first run")
    assert stack.stop() == 0
    stack.identity = None  # the directory knows
    stack.start()
    stack.psql("-c", "SELECT 'after'", PGAPPNAME="second run")
    after = stack.conversation("second run")
    assert stack.conversation("first run") == before
    assert {r["identity"] for r in before + after} == {"agent-9"}
    assert {r["sidecar"] for r in after} == {r["sidecar"] for r in before}
    assert after[0]["sequence"] > before[-1]["sequence"]
    numbers = [r["sequence"] for r in stack.search()]
    assert sorted(numbers) == list(range(1, len(numbers) + 1))


def log_of(stack, part):
    with open(os.path.join(stack.dir, f"{part}.log"), encoding="utf-8") as f:
        return f.read()


def test_a_part_that_dies_ends_the_stack_and_is_shown(own_stack):
    stack = own_stack()
    stack.psql("-c", "SELECT 'before the end'", PGAPPNAME="before the end")
    wait_until(lambda: '"session_closed"' in log_of(stack, "sidecar"), "the session is closed")
    os.kill(stack.pid_of("chaperone-sidecar"), signal.SIGKILL)
    assert stack.process.wait(60) == 1
    stack.read_to_the_end()
    assert "the sidecar ended with" in "".join(stack.said)
    stack.start()
    assert stack.conversation("before the end")[-1]["reason"] == "agent_disconnected"


def test_a_stack_whose_reader_has_gone_stops_in_order(own_stack):
    stack = own_stack()
    assert stack.stop() == 0
    unread = subprocess.Popen([CHAPERONE, "dev", "--dir", stack.dir], stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE)
    assert unread.stdout.readline().startswith(b"ready: ")
    with psycopg.connect(stack.dsn(application_name="unread"), autocommit=True) as c:
        c.execute("SELECT 1")
        unread.stdout.close()
        unread.stderr.close()
        unread.terminate()
        assert unread.wait(60) == 0
    text = log_of(stack, "sidecar")
    assert text.count('"stopped"') == 2 and "records_left_in_spool" not in text


# ---- a sidecar for one command


@pytest.fixture(scope="module")
def runner(postgres, tmp_path_factory):
    """A control plane, and a configuration for `chaperone run` that is not enrolled yet."""
    stack = Parts(postgres)
    stack.sidecar.stop()
    folder = tmp_path_factory.mktemp("run")
    text = stack.read("sidecar.yaml")
    text = re.sub(r"^state: .*$", f"state: {folder}/state", text, flags=re.M)
    text = text[:text.index("health:")]
    stack.write("join.token", stack.chaperone("join-token", "create").stdout)
    config = folder / "run.yaml"
    config.write_text(text)

    def run(*command, options=(), **env):
        return subprocess.run([CHAPERONE, "run", "--config", str(config), "--resource", "postgres",
                               *options, "--", *command], capture_output=True, text=True,
                              check=False, timeout=120,
                              env=dict(stack.env(), PGPORT="1", PGHOST="nowhere", **env))

    yield stack, run
    stack.close()


def test_run_gives_the_command_a_database(runner):
    stack, run = runner
    done = run("psql", "-XAtc", "SELECT 'one command'", PGAPPNAME="one command")
    assert (done.returncode, done.stdout) == (0, "one command\n"), done.stderr
    records = stack.conversation("one command")
    assert [r["kind"] for r in records] == ["session_opened", "intent", "outcome",
                                            "session_closed"]


@pytest.mark.parametrize("command,code", [
    (["sh", "-c", "exit 7"], 7),
    (["psql", "-Xc", "SELEC"], 1),
    (["psql", "-Xc", "SELECT 1"], 0),
    (["sh", "-c", "kill -9 $$"], 137),
    (["/no/such/command"], 127),
    (["/etc/passwd"], 126),
])
def test_run_gives_the_commands_own_code(runner, command, code):
    _, run = runner
    assert run(*command).returncode == code


def test_run_with_a_socket_and_the_environment(runner):
    _, run = runner
    done = run("sh", "-c", "echo $PGHOST; psql -XAtc \"SELECT 'by socket'\"", options=["--socket"])
    directory, answer = done.stdout.splitlines()
    assert answer == "by socket" and directory.startswith("/")
    assert not os.path.exists(directory)  # private, and gone with the command


def test_run_that_cannot_start(runner, tmp_path):
    broken = tmp_path / "broken.yaml"
    broken.write_text("state: /tmp/x\nlisteners: 7\n")
    done = subprocess.run([CHAPERONE, "run", "--config", str(broken), "--", "true"],
                          capture_output=True, text=True, check=False)
    assert done.returncode == 125 and str(broken) in done.stderr
