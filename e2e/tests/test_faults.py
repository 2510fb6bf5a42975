"""What breaks around a sidecar: the control plane, the target, agents, the disk, descriptors."""

import glob
import os
import re
import resource
import signal
import socket
import struct
import subprocess
import threading
import time

import psycopg
import pytest
from support.faulty import AUTHENTICATED, READY, FaultyTarget
from support.ports import free_port
from support.postgres import Postgres
from support.wire import Wire, bind, execute, fields, message, parse, query, startup, sync


def error_of(stack, **settings):
    """The FATAL error that a new session gets in place of a login."""
    with Wire(stack.port) as w:
        with pytest.raises(PermissionError) as refused:
            w.login(**settings)
        assert w.closed()
    error = refused.value.args[0]
    assert error["S"] == "FATAL"
    return error


def ask(w, text):
    """Runs a simple query; its error's fields, or None."""
    w.send(query(text))
    errors = [fields(body) for kind, body in w.read_until() if kind == b"E"]
    return errors[0] if errors else None


def executed(postgres, mark):
    """The statements with this mark in the target's log: what really was executed."""
    with open(postgres.log, encoding="utf-8", errors="replace") as f:
        return re.findall(rf"(?:statement|execute \S+): .*?{mark}:(\d+);", f.read())


def wait_until_left(postgres):
    """The sessions that were closed are over for the target, too, and their places are free."""
    others = ("SELECT count(*) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
              " AND backend_type = 'client backend'")
    deadline = time.monotonic() + 60
    left = None
    while left != "0":
        assert time.monotonic() < deadline, left
        try:
            left = postgres.psql(others)
        except subprocess.CalledProcessError as error:
            left = error.stderr  # no place for this one yet


# ---- agents that do not behave; they need a minute, and the rest goes on meanwhile


class Slow(threading.Thread):
    """Sends `raw`, a byte each second; says when and how the other side ended it."""

    def __init__(self, stack, raw):
        super().__init__(daemon=True)
        self.stack, self.raw = stack, raw
        self.answer, self.seconds = b"", None
        self.start()

    def run(self):
        began = time.monotonic()
        with socket.create_connection(("127.0.0.1", self.stack.port)) as s:
            s.settimeout(1)
            for i in range(100):
                try:
                    if i < len(self.raw):
                        s.sendall(self.raw[i:i + 1])
                    more = s.recv(65536)
                    if not more:
                        break
                    self.answer += more
                except TimeoutError:
                    continue
                except ConnectionError:
                    break
        self.seconds = time.monotonic() - began


@pytest.fixture(scope="module")
def dawdlers(stack):
    """One that says nothing, one that sends a byte each second."""
    return [Slow(stack, b""), Slow(stack, startup(application_name="x" * 200))]


def test_dawdlers_hold_up_nobody(stack, dawdlers):
    assert all(d.is_alive() for d in dawdlers)
    began = time.monotonic()
    with psycopg.connect(stack.dsn(), autocommit=True) as c:
        for n in range(100):
            assert c.execute("SELECT %s::int", (n,)).fetchone() == (n,)
    assert time.monotonic() - began < 40
    assert all(d.is_alive() for d in dawdlers)


def test_a_byte_at_a_time_in_the_midst_of_a_session(stack):
    with Wire(stack.port) as slow, Wire(stack.port) as other:
        slow.login()
        other.login()
        raw = query("SELECT 'slow'")
        for i in range(len(raw)):
            slow.send(raw[i:i + 1])
            assert ask(other, f"SELECT {i}") is None
        assert slow.read_until()[1][1].endswith(b"slow")


# ---- the control plane is not there


def test_open_sessions_go_on_without_a_control_plane(parts):
    stack = parts()
    with psycopg.connect(stack.dsn(application_name="goes on"), autocommit=True) as c:
        c.execute("SELECT 'with'")
        stack.controlplane.kill()
        for n in range(500):
            assert c.execute("SELECT %s::int, 'without'", (n,)).fetchone() == (n, "without")
        error = error_of(stack, application_name="refused")
        assert error["C"] == "57P03"
        assert "the control plane cannot be reached" in error["M"]
        assert c.execute("SELECT 'still'").fetchone() == ("still",)
        stack.start_controlplane().wait_for("sidecar_connected")
        assert c.execute("SELECT 'again'").fetchone() == ("again",)
    records = stack.conversation("goes on")
    # The client prepares the loop's statement once, which is an operation of its own.
    intents = [r for r in records if r["kind"] == "intent"]
    assert [r["text"] for r in intents if r["verb"] == "prepare"] == ["SELECT $1::int, 'without'"]
    texts = [r["text"] for r in intents if r["verb"] != "prepare"]
    assert len(texts) == 503 and texts[0] == "SELECT 'with'" and texts[-1] == "SELECT 'again'"
    assert {r["status"] for r in records if r["kind"] == "outcome"} == {"success"}
    (refused,) = [r for r in stack.search("--kind", "session_opened", "--verdict", "deny")]
    assert refused["application_name"] == "refused"
    assert "control plane cannot be reached" in refused["error"]
    stack.psql("-c", "SELECT 'new'")


def test_a_control_plane_that_hangs(parts):
    """Stopped, not dead: nothing answers, nothing is refused."""
    stack = parts()
    with psycopg.connect(stack.dsn(application_name="through"), autocommit=True) as c:
        c.execute("SELECT 1")
        stack.controlplane.signal(signal.SIGSTOP)
        try:
            began = time.monotonic()
            error = error_of(stack)
            assert error["C"] == "57P03" and time.monotonic() - began < 30
            assert "the control plane cannot be reached: it does not answer" in error["M"]
            assert c.execute("SELECT 2").fetchone() == (2,)
        finally:
            stack.controlplane.signal(signal.SIGCONT)
    assert [r["text"] for r in stack.conversation("through") if r["kind"] == "intent"] == [
        "SELECT 1", "SELECT 2"]


def test_a_sidecar_that_starts_without_a_control_plane(parts):
    stack = parts()
    stack.psql("-c", "SELECT 'before'", PGAPPNAME="before")
    stack.sidecar.wait_for("session_closed")  # whether it has shipped that or not
    stack.controlplane.kill()
    stack.sidecar.kill()
    stack.start_sidecar(ready=False)
    error = error_of(stack)
    assert error["C"] == "57P03" and "control plane cannot be reached" in error["M"]
    stack.start_controlplane().wait_for("sidecar_connected")
    stack.psql("-c", "SELECT 'after'", PGAPPNAME="after")
    assert len(stack.conversation("before")) == len(stack.conversation("after")) == 4


# ---- the target is down, or no PostgreSQL


@pytest.fixture
def faulty(parts):
    target = FaultyTarget()
    stack = parts(postgres=target)
    yield target, stack
    target.close()


def closing(stack, name):
    records = stack.conversation(name)
    return records, records[-1]


def test_a_target_that_is_down(parts):
    class Down:
        port = free_port()

        def url(self, database):
            return f"postgres://nobody@127.0.0.1:{self.port}/{database}"

    stack = parts(postgres=Down())
    error = error_of(stack, application_name="nobody home")
    assert error["C"] == "08001"
    assert error["M"].startswith("Chaperone cannot connect to the target: ")
    assert "refused" in error["M"]
    records, closed = closing(stack, "nobody home")
    assert [r["kind"] for r in records] == ["session_opened", "session_closed"]
    assert closed["reason"] == "target_unreachable" and "refused" in closed["error"]


@pytest.mark.parametrize("greeting", [
    b"HTTP/1.1 400 Bad Request\r\n\r\n",
    b"\x15\x03\x01\x00\x02\x02\x28",
    b"\0" * 100,
    b"SSH-2.0-OpenSSH_9.2\r\n",
])
def test_a_target_that_is_something_else(faulty, greeting):
    target, stack = faulty
    target.script = lambda p: (p.send(greeting), p.drain())
    error = error_of(stack, application_name="something else")
    assert error["C"][:2] == "08" and "cannot log in to the target" in error["M"]
    _, closed = closing(stack, "something else")
    assert closed["reason"] == "target_login_failed" and closed["error"] == error["M"]


@pytest.mark.parametrize("login", [
    message(b"R", struct.pack("!i", 99)),                    # an unknown authentication
    message(b"R", b"\0"),                                    # too short for one
    message(b"R", struct.pack("!i", 10) + b"NOTHING-WE-KNOW\0\0"),
    b"R" + struct.pack("!i", 3),                             # shorter than its own length
    b"R" + struct.pack("!i", 0x7fffffff) + b"x" * 1000,      # two gigabytes
    READY,                                                   # ready, but never authenticated
    message(b"R", struct.pack("!i", 0)) + message(b"D", b"\0\1\0\0\0\1x"),
    message(b"R", struct.pack("!i", 0)) + b"\0\0\0\0\0\0\0",
    message(b"E", b"no fields at all"),
    b"",                                                     # closes without a word
])
def test_a_login_that_goes_wrong(faulty, login):
    target, stack = faulty
    target.script = lambda p: (p.startup(), p.send(login))
    error = error_of(stack, application_name="bad login")
    assert "target" in error["M"]
    _, closed = closing(stack, "bad login")
    assert closed["reason"] == "target_login_failed" and closed["error"] == error["M"]


@pytest.mark.parametrize("answer", [
    READY,
    AUTHENTICATED + READY,
    message(b"S", b"client_encoding\0UTF8\0"),
    message(b"K", struct.pack("!ii", 4711, 42)),
    message(b"R", struct.pack("!i", 12) + b"v=AAAA"),
])
def test_a_target_that_does_not_prove_that_it_knows_the_password(faulty, answer):
    target, stack = faulty

    def script(p):
        p.startup()
        p.send(message(b"R", struct.pack("!i", 10) + b"SCRAM-SHA-256\0\0"))
        p.read()
        p.send(answer)
        p.drain()

    target.script = script
    assert error_of(stack, application_name="unproved")["C"][:2] in ("08", "28")
    assert closing(stack, "unproved")[1]["reason"] == "target_login_failed"


ROWS = message(b"T", struct.pack("!h", 1) + b"c\0" + struct.pack("!ihihih", 0, 0, 25, -1, -1, 0))
ROW = message(b"D", struct.pack("!hi", 1, 5) + b"value")


@pytest.mark.parametrize("garbage", [
    b"!" + struct.pack("!i", 4),                             # an unknown type
    b"T" + struct.pack("!i", 2),
    b"T" + struct.pack("!i", -1),
    message(b"R", struct.pack("!i", 0)),                     # a login, now
    message(b"1"),                                           # the answer to a Parse
    message(b"Z", b""),
    b"HTTP/1.1 200 OK\r\n",
])
def test_a_target_that_speaks_garbage(faulty, garbage):
    """Nothing of it reaches the agent, but an error; the operation's end is unknown."""
    target, stack = faulty

    def script(p):
        p.startup()
        p.send(AUTHENTICATED, READY)
        p.read()
        p.send(ROWS, ROW, garbage)
        p.drain()

    target.script = script
    with Wire(stack.port) as w:
        w.login(application_name="garbage").send(query("SELECT 'asked'"))
        got = []
        try:
            while True:
                got.append(w.read())
        except EOFError:
            pass
    kinds = b"".join(k for k, _ in got)
    assert re.fullmatch(rb"TDW?E", kinds), got
    error = fields(got[-1][1])
    assert (error["S"], error["C"]) == ("FATAL", "08P01")
    assert "the target broke the protocol" in error["M"]
    records, closed = closing(stack, "garbage")
    (outcome,) = (r for r in records if r["kind"] == "outcome")
    assert outcome["status"] == "unknown" and outcome["rows"] == 1
    assert closed["reason"] == "target_protocol_violation"


def test_data_that_nobody_asked_for(faulty):
    target, stack = faulty
    target.script = lambda p: (p.startup(), p.send(AUTHENTICATED, READY, ROWS, ROW), p.drain())
    with Wire(stack.port) as w:
        w.login(application_name="unasked")
        kind, body = w.read()
        assert (kind, fields(body)["C"]) == (b"E", "08P01")
        assert w.closed()
    assert closing(stack, "unasked")[1]["reason"] == "target_protocol_violation"


@pytest.mark.parametrize("cut", [len(ROWS) + 3, len(ROWS) + len(ROW) + 8,
                                 len(ROWS) + 2 * len(ROW), 0])
def test_a_target_that_closes_in_the_midst_of_an_answer(faulty, cut):
    target, stack = faulty
    answer = (ROWS + 2 * ROW)[:cut]

    def script(p):
        p.startup()
        p.send(AUTHENTICATED, READY)
        p.read()
        p.send(answer)

    target.script = script
    with Wire(stack.port) as w:
        w.login(application_name="cut").send(query("SELECT 'asked'"))
        raw = w.buffer
        while True:
            try:
                more = w.socket.recv(65536)
            except ConnectionResetError:
                break
            if not more:
                break
            raw += more
    assert raw.startswith(answer[:len(ROWS)])
    in_message = cut not in (0, len(ROWS) + 2 * len(ROW))
    if not in_message:  # else there is no place for an error
        assert raw.startswith(answer)
        error = fields(raw[len(answer) + 5:])
        assert (error["S"], error["C"]) == ("FATAL", "08006")
    records, closed = closing(stack, "cut")
    (outcome,) = (r for r in records if r["kind"] == "outcome")
    assert outcome["status"] == "unknown"
    assert closed["reason"] == "target_disconnected"


def test_a_target_that_dies_under_its_sessions(parts):
    with_own = Postgres()
    try:
        stack = parts(postgres=with_own)
        with psycopg.connect(stack.dsn(application_name="orphaned"), autocommit=True) as c:
            c.execute("SELECT 1")
            with_own.stop("immediate")
            with pytest.raises(psycopg.OperationalError):
                c.execute("SELECT 2")
        assert closing(stack, "orphaned")[1]["reason"] in ("target_disconnected", "error")
        assert error_of(stack)["C"] == "08001"
        with_own.start()
        assert stack.psql("-Atc", "SELECT 'back'").stdout == "back\n"
    finally:
        with_own.close()


# ---- nothing can be recorded


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 8 MiB."""
    path = str(tmp_path / "disk")
    os.mkdir(path)
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m,mode=0755", "tmpfs", path],
                          capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip("mount -t tmpfs needs root: " + done.stderr.strip())
    yield path
    subprocess.run(["umount", "--lazy", path], check=True)


class Filling:
    """A session that runs statements with numbers, until they are refused."""

    def __init__(self, stack, name):
        self.stack, self.name = stack, name
        self.wire = Wire(stack.port).login(application_name=name)
        self.next = 0

    def fill(self, size):
        """Until one is refused; its error. Its number is the next one's again."""
        for _ in range(20000):
            error = ask(self.wire, f"SELECT length('{self.name}:{self.next}; {'x' * size}')")
            if error:
                return error
            self.next += 1
        raise AssertionError("nothing is refused")

    def check_that_nothing_is_done(self):
        """Whatever the way, what is not recorded is not executed; the session lives."""
        for text in ("DELETE FROM customers", "BEGIN", "SELECT 1; SELECT 2"):
            error = ask(self.wire, f"{text} /* {self.name}:99999; {'x' * 1000} */")
            assert (error["S"], error["C"]) == ("ERROR", "53100")
        self.wire.send(parse(f"DELETE FROM customers /* {self.name}:99999; {'x' * 1000} */"),
                       bind(), execute(), sync())
        got = self.wire.read_until()
        assert [fields(b)["C"] for k, b in got if k == b"E"] == ["53100"]
        assert got[-1] == (b"Z", b"I")
        assert executed(self.stack.postgres, self.name) == [str(n) for n in range(self.next)]
        assert self.stack.metrics()["record_failures_total"] >= 4
        assert self.stack.http("/readyz")[0] == 503

    def wait_until_it_works_again(self, seconds=60):
        deadline = time.monotonic() + seconds
        while ask(self.wire, f"SELECT '{self.name}:{self.next};'"):
            assert time.monotonic() < deadline, self.stack.logs()
        self.next += 1

    def check_the_record(self):
        """All that was executed, each with its outcome, and nothing else."""
        self.wire.socket.close()
        records = self.stack.conversation(self.name)
        status = {r["operation"]: r["status"] for r in records if r["kind"] == "outcome"}
        found = [re.search(self.name + r":(\d+);", r["text"]).group(1) for r in records
                 if r["kind"] == "intent" and status[r["operation"]] == "success"]
        assert found == executed(self.stack.postgres, self.name)
        assert found == [str(n) for n in range(self.next)]


def test_a_full_disk_stops_the_agent_and_not_the_recording(parts, postgres, small_disk):
    stack = parts(state=os.path.join(small_disk, "state"),
                  sidecar="spool: {max_bytes: 64MiB, segment_bytes: 1MiB}")
    filling = Filling(stack, "fulldisk")
    stack.controlplane.kill()  # else what was shipped makes room
    filler = os.path.join(small_disk, "filler")  # somebody else takes what there is
    with open(filler, "wb") as f:
        with pytest.raises(OSError, match="No space left"):
            while True:
                f.write(b"x" * 65536)
                f.flush()
    for size in (100000, 1):
        error = filling.fill(size)
        assert (error["S"], error["C"]) == ("ERROR", "53100")
        assert "cannot be recorded" in error["M"]
        assert "does nothing that it cannot record" in error["H"]
    filling.check_that_nothing_is_done()
    assert postgres.psql("SELECT count(*) FROM customers") == "1000"
    os.unlink(filler)
    filling.wait_until_it_works_again()
    stack.start_controlplane().wait_for("sidecar_connected")
    filling.check_the_record()
    assert stack.http("/readyz")[0] == 200


def test_a_spool_at_its_cap_while_the_control_plane_is_away(parts):
    stack = parts(state=None, sidecar="spool: {max_bytes: 4MiB, segment_bytes: 1MiB}")
    filling = Filling(stack, "fullspool")
    stack.controlplane.kill()
    for size in (100000, 1):
        assert filling.fill(size)["C"] == "53100"
    metrics = stack.metrics()
    assert metrics["spool_bytes"] <= metrics["spool_cap_bytes"] == 4 << 20
    filling.check_that_nothing_is_done()
    stack.start_controlplane()
    filling.wait_until_it_works_again()
    filling.check_the_record()


def test_damage_in_the_spool_is_a_loss_that_is_named(parts):
    stack = parts()
    stack.psql("-c", "SELECT 'shipped'", PGAPPNAME="shipped")
    stack.conversation("shipped")
    with Wire(stack.port) as w:
        w.login(application_name="damaged")
        stack.controlplane.kill()
        for n in range(200):
            assert ask(w, f"SELECT 'mark:{n};'") is None
        stack.sidecar.kill()
    (segment,) = glob.glob(os.path.join(stack.dir, "sidecar", "spool", "segment-*.spool"))
    with open(segment, "r+b") as f:
        at = f.read().index(b"mark:100;")
        f.seek(at)
        f.write(b"MARK")
    stack.start_controlplane()
    stack.start_sidecar()
    stack.psql("-c", "SELECT 'after'", PGAPPNAME="after")
    stack.conversation("after")
    records = stack.search()
    losses = [r for r in records if r["kind"] == "loss"]
    before = next(r for r in records if r["text"] == "SELECT 'mark:99;'")
    lost = before["sequence"] + 2  # its outcome is between them
    assert any("damaged" in r["error"] and r["first_sequence"] <= lost <= r["last_sequence"]
               for r in losses), losses
    # What can still be read arrives, in its order, and the stream has no gap: the loss is named.
    numbers = [r["sequence"] for r in records]
    assert sorted(numbers) == list(range(1, len(numbers) + 1))
    marks = [r["text"] for r in records if r["kind"] == "intent" and "mark:" in r["text"]]
    assert marks == [f"SELECT 'mark:{n};'" for n in range(200) if n != 100]
    assert stack.metrics()["records_lost_total"] > 0


# ---- many at once


def test_two_hundred_connections_at_once(parts):
    own = Postgres(settings=["max_connections=230"])
    stack = parts(postgres=own)
    together = threading.Barrier(200)
    failed = []

    def one(n):
        try:
            with Wire(stack.port, timeout=60) as w:
                w.login(application_name=f"many-{n}")
                together.wait(90)  # all of them are open now
                w.send(query(f"SELECT 'many:{n};'"))
                assert w.read_until()[1][1].endswith(f"many:{n};".encode())
        except Exception as error:  # noqa: BLE001: the test looks at it
            failed.append((n, error))

    try:
        threads = [threading.Thread(target=one, args=(n,)) for n in range(200)]
        for t in threads:
            t.start()
        for t in threads:
            t.join(120)
        assert not failed, failed[:3]
        wait_until_left(own)
        # One more than the target takes gets the target's own words.
        with own_connections(stack, 227):
            error = error_of(stack)
        assert error["C"] == "53300" and "too many clients" in error["M"]
        wait_until_left(own)
        stack.psql("-c", "SELECT 'last'", PGAPPNAME="last")
        stack.conversation("last")
        intents = [r for r in stack.search("--kind", "intent") if "many:" in r["text"]]
        assert len({r["session"] for r in intents}) == len(intents) == 200
        assert len(executed(own, "many")) == 200
    finally:
        own.close()


class own_connections:  # noqa: N801: used as a statement
    """As many sessions as the target takes, at least `count`."""

    def __init__(self, stack, count):
        self.stack, self.count, self.open = stack, count, []

    def __enter__(self):
        while True:
            w = Wire(self.stack.port)
            try:
                self.open.append(w.login())
            except PermissionError:
                w.socket.close()
                break
        assert len(self.open) >= self.count
        return self.open

    def __exit__(self, *_):
        for w in self.open:
            w.socket.close()


def test_descriptors_run_out(parts):
    """New connections wait or are told; those that are open do not notice."""
    stack = parts(limits=[(resource.RLIMIT_NOFILE, 64)])
    first = Wire(stack.port).login(application_name="the first")
    held, told, waiting = [], [], []
    for n in range(60):
        w = Wire(stack.port, timeout=2)
        try:
            held.append(w.login())
        except PermissionError as error:
            told.append(error.args[0])
        except TimeoutError:
            waiting.append(w)
        except (EOFError, ConnectionError):
            told.append(None)
        assert ask(first, f"SELECT 'descriptors:{n};'") is None
        if len(waiting) == 3 or len(told) == 10:
            break
    assert len(held) > 10 and told or waiting
    assert all(e is not None and e["S"] == "FATAL" for e in told), told
    assert stack.http("/healthz")[0] == 200 if not waiting else True
    for w in held:
        assert ask(w, "SELECT 1") is None
    for w in held + waiting:
        w.socket.close()
    stack.sidecar.wait_for("session_closed")
    deadline = time.monotonic() + 60
    while True:  # the kernel's queue of those that waited is worked off first
        try:
            Wire(stack.port, timeout=5).login().socket.close()
            break
        except (PermissionError, TimeoutError, EOFError, ConnectionError):
            assert time.monotonic() < deadline
    first.socket.close()
    texts = [r["text"] for r in stack.conversation("the first") if r["kind"] == "intent"]
    assert texts == [f"SELECT 'descriptors:{n};'" for n in range(len(texts))] and texts


# ---- at the end: what became of those who dawdled


def test_dawdlers_are_told_and_recorded(stack, dawdlers):
    for d in dawdlers:
        d.join(120)
        assert not d.is_alive() and 55 < d.seconds < 90
        assert d.answer[:1] == b"E"
        error = fields(d.answer[5:])
        assert (error["S"], error["M"]) == ("FATAL", "terminating connection: the login took too"
                                                     " long")
    stack.psql("-c", "SELECT 'later'", PGAPPNAME="later")
    stack.conversation("later")
    told = [r for r in stack.search("--kind", "session_opened", "--verdict", "deny")
            if r["error"] and "login took too long" in r["error"]]
    assert len(told) == 2
