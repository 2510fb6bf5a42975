"""Slow readers and slow writers, on the agent's side and on the target's: they hold up nobody else, and what
waits for them has a bound."""

import threading
import time

from support.faulty import AUTHENTICATED, READY, FaultyTarget
from support.memory import status_kb
from support.rounds import ROUNDS, Survived
from support.underload import (Counter, Witness, by_name, check_end, prepared, simple, start_loads,
                               writing)
from support.wire import Wire, message, query

ROWS = 400000  # of a hundred bytes: forty times what may wait
ANSWER_KB = 1024  # of an answer that nobody takes
QUESTION_KB = 4096  # of a statement of 400,000 bytes: what it is parsed into comes and goes


def test_agents_that_read_slowly(target, parts):
    """Large answers that nobody takes: the sidecar stops reading from the target, and keeps little."""
    stack = parts(postgres=target)
    witness = Witness(target)
    answers = Counter()
    loads = start_loads(stack, "a", works=(simple, prepared, writing), on_answer=answers, pace=0.01)
    survived = Survived("agents that read slowly", ROUNDS)
    before = status_kb(stack.sidecar.pid, "VmRSS")
    slow = []
    for n in range(ROUNDS):
        slow.append(Wire(stack.port, timeout=60).login(application_name=f"slowly-{n}"))
        slow[-1].send(query(f"SELECT repeat('x', 100) FROM generate_series(1, {ROWS})"))
    answers.wait(answers.count + 300)
    for w in slow:  # a little, now and then
        for _ in range(10):
            w.read()
    answers.wait(answers.count + 100)
    survived.add(kb_that_wait=max(0, status_kb(stack.sidecar.pid, "VmRSS") - before))
    assert survived.numbers["kb_that_wait"] < ANSWER_KB * ROUNDS
    w = slow[0]  # one takes all of it, and it is all there
    rows = 10 - 1
    while (got := w.read())[0] != b"Z":
        rows += got[0] == b"D"
    assert rows == ROWS
    for w in slow:
        w.socket.close()
    records = check_end(stack, witness, loads, survived)
    survived.write()
    # The others went away in the midst of it; what the target did is awaited, for the record.
    outcomes = [r for n in range(ROUNDS) for r in by_name(records)[f"slowly-{n}"]
                if r["kind"] == "outcome"]
    assert len(outcomes) == ROUNDS
    assert {(r["status"], r["rows"] == ROWS) for r in outcomes} <= {("success", True), ("unknown", False)}


def test_agents_that_write_slowly(target, parts):
    """COPY in, by bits, from several at once."""
    stack = parts(postgres=target)
    target.psql("CREATE TABLE slowly (n int, t text)")
    witness = Witness(target)
    answers = Counter()
    loads = start_loads(stack, "w", works=(simple, prepared, writing), on_answer=answers, pace=0.01)
    survived = Survived("agents that write slowly", ROUNDS)
    slow = []
    for n in range(ROUNDS):
        slow.append(Wire(stack.port, timeout=60).login(application_name=f"writes-{n}"))
        slow[-1].send(query("COPY slowly FROM STDIN"))
        slow[-1].read_until(b"G")
    raw = b"".join(message(b"d", b"%d\tline\n" % i) for i in range(20))
    for i in range(0, len(raw), 7):
        for w in slow:
            w.send(raw[i:i + 7])
        answers.wait(answers.count + 2)
    for w in slow:
        w.send(message(b"c"))
        assert any(b"COPY 20" in body for _, body in w.read_until())
        w.socket.close()
    assert target.psql("SELECT count(*) FROM slowly") == str(20 * ROUNDS)
    check_end(stack, witness, loads, survived)
    survived.write()


class Slow(FaultyTarget):
    """Reads or writes a few bytes at a time."""

    ROW = (message(b"T", b"\0\1c\0" + bytes(6) + b"\0\0\0\x19\xff\xff\xff\xff\xff\xff\0\0")
           + message(b"D", b"\0\1\0\0\0\5value") + message(b"C", b"SELECT 1\0") + READY)

    def __init__(self, reads):
        super().__init__()
        self.go_on = threading.Event()
        self.script = self.read_slowly if reads else self.write_slowly

    def read_slowly(self, p):
        p.startup()
        p.send(AUTHENTICATED, READY)
        while not self.go_on.wait(0.05) and p.connection.recv(10):
            pass

    def write_slowly(self, p):
        p.startup()
        p.send(AUTHENTICATED, READY)
        while True:
            if p.read()[0] == b"Q":
                for i in range(0, len(self.ROW), 3):
                    p.send(self.ROW[i:i + 3])
                    self.go_on.wait(0.01)


def test_a_target_that_writes_slowly(parts):
    """Bytes that come by threes are the same answer, and each session has its own pace."""
    target = Slow(reads=False)
    stack = parts(postgres=target)
    survived = Survived("target that writes slowly", ROUNDS)
    with Wire(stack.port) as w:
        w.login(application_name="by threes")
        for n in range(ROUNDS):
            w.send(query(f"SELECT {n}"))
            assert b"".join(k for k, _ in w.read_until()) == b"TDCZ"
    outcomes = [r for r in stack.conversation("by threes") if r["kind"] == "outcome"]
    assert [r["status"] for r in outcomes] == ["success"] * ROUNDS
    survived.write()
    target.close()


def test_a_target_that_reads_slowly(parts):
    """A statement of half a megabyte that the target takes by tens of bytes: the sidecar keeps no more than
    that for it, others do not wait, and an agent that goes is not kept."""
    target = Slow(reads=True)
    stack = parts(postgres=target)
    survived = Survived("target that reads slowly", ROUNDS)
    before = status_kb(stack.sidecar.pid, "VmRSS")
    text = "SELECT '" + "x" * 400000 + "'"
    slow = [Wire(stack.port).login(application_name=f"stuck-{n}") for n in range(ROUNDS)]
    for w in slow:
        w.send(query(text))
    with Wire(stack.port) as other:
        began = time.monotonic()
        other.login(application_name="other")
        assert time.monotonic() - began < 20  # the others are at it for half an hour
    survived.add(kb_that_wait=max(0, status_kb(stack.sidecar.pid, "VmRSS") - before))
    # What the parser takes for a text of that size comes once, however many ask.
    assert survived.numbers["kb_that_wait"] < QUESTION_KB * (ROUNDS + 4)
    for w in slow:
        w.socket.close()
    for n in range(ROUNDS):
        records = stack.conversation(f"stuck-{n}")
        assert [r["status"] for r in records if r["kind"] == "outcome"] in ([], ["unknown"])
        assert records[-1]["kind"] == "session_closed"
    survived.write()
    target.go_on.set()
    target.close()
