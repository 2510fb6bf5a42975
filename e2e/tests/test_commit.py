"""Within a transaction intents wait for the disk before what makes their changes last, and all at once
(docs/adr/0014-commit.md)."""

import contextlib
import select
import struct

import psycopg
import pytest
from support.held_disk import HeldDisk
from support.parts import Parts
from support.postgres import Postgres
from support.wire import Wire, bind, execute, message, parse, query, sync

CHANGES = ["UPDATE accounts SET n = n + 1 WHERE id = 1", "INSERT INTO history VALUES (1, now())",
           "UPDATE accounts SET n = n + 1 WHERE id = 2", "DELETE FROM history WHERE id = 7",
           "MERGE INTO accounts a USING accounts b ON a.id = b.id AND a.id = 3"
           " WHEN MATCHED THEN UPDATE SET n = 5"]
MASKS = """\
version: 1
rules:
  - name: everything
    effect: allow
    obligations:
      mask: [{columns: [public.people.ssn], with: "null", predicates: allow,
              unknown_origin: allow}]
"""
ASKED = """\
version: 1
rules:
  - name: everything
    effect: allow
  - name: accounts
    effect: allow
    match: {sql: {tables: [public.accounts]}}
    obligations: {durability: host}
"""


@pytest.fixture(scope="module")
def server():
    running = Postgres(settings=("max_prepared_transactions=5",))
    running.psql("CREATE TABLE accounts (id int PRIMARY KEY, n int);"
                 "INSERT INTO accounts SELECT i, 0 FROM generate_series(1, 99) i;"
                 "CREATE TABLE history (id int, at timestamptz);"
                 "CREATE TABLE people (id int, ssn text);"
                 "CREATE TABLE noted (id int);"
                 "CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';"
                 "CREATE TRIGGER note BEFORE INSERT ON noted FOR EACH ROW EXECUTE FUNCTION note();"
                 "CREATE FUNCTION reach_out(text) RETURNS int LANGUAGE sql VOLATILE AS 'SELECT 1';"
                 "CREATE PROCEDURE settle_it(text) LANGUAGE sql AS 'SELECT 1';"
                 "CREATE EXTENSION file_fdw; CREATE SERVER files FOREIGN DATA WRAPPER file_fdw;"
                 "CREATE TABLE parent (line text);"
                 "CREATE FOREIGN TABLE elsewhere () INHERITS (parent) SERVER files"
                 " OPTIONS (filename '/dev/null')")
    yield running
    running.close()


@pytest.fixture
def disk(tmp_path):
    held = HeldDisk(str(tmp_path))
    yield held
    held.close()


@pytest.fixture
def held(server, disk, tmp_path):
    """A stack whose sidecar's disk the test holds."""
    made = []

    def make(policy=None):
        path = None
        if policy:
            path = str(tmp_path / "policy.yaml")
            with open(path, "w", encoding="utf-8") as f:
                f.write(policy)
        running = Parts(server, policy=path)
        made.append(running)
        running.sidecar.stop()
        running.sidecar_env = disk.env()
        running.start_sidecar()
        return running

    yield make
    disk.release()
    for running in made:
        running.close()


@contextlib.contextmanager
def session(stack, name):
    with Wire(stack.port) as w:
        w.login(application_name=name)
        yield w


def ask(w, *messages):
    """Sends them and reads up to ReadyForQuery; the status that it says."""
    w.send(b"".join(messages))
    answers = w.read_until()
    assert not [body for kind, body in answers if kind == b"E"], answers
    return answers[-1][1]


def turn(other):
    """The sidecar's loop has been around: what it was sent before has left, unless it was held back."""
    assert ask(other, query("SELECT 1")) == b"I"


def reached(server, mark):
    with open(server.log, encoding="utf-8", errors="replace") as f:
        return any(mark in line for line in f)


# ---- what it is for


def flushes(stack, disk, connection):
    """How many a transaction of five changes makes; the heartbeat makes one every ten seconds."""
    counts = []
    for _ in range(3):
        disk.heard()
        with connection.transaction():
            for text in CHANGES:
                connection.execute(text)
        counts.append(len([name for name in disk.heard() if "/spool/" in name]))
    return min(counts)


def test_a_transaction_makes_one_flush(held, disk):
    stack = held()
    with psycopg.connect(stack.dsn(), autocommit=True) as c:
        assert flushes(stack, disk, c) == 1


def test_where_a_rule_asks_each_change_makes_its_own(held, disk):
    stack = held(ASKED)
    with psycopg.connect(stack.dsn(), autocommit=True) as c:
        assert flushes(stack, disk, c) >= 4  # three of accounts, and the COMMIT


def test_the_record_says_what_was_waited_for(held):
    stack = held()
    with psycopg.connect(stack.dsn(application_name="says"), autocommit=True) as c:
        with c.transaction():
            for text in [*CHANGES, "SELECT 1", "TRUNCATE history"]:
                c.execute(text)
        c.execute(CHANGES[0])
    levels = [(r["text"].split()[0], r["durability"]) for r in stack.conversation("says")
              if r["kind"] == "intent"]
    assert levels == [("BEGIN", "process"), ("UPDATE", "commit"), ("INSERT", "commit"),
                      ("UPDATE", "commit"), ("DELETE", "commit"), ("MERGE", "commit"),
                      ("SELECT", "process"), ("TRUNCATE", "host"), ("COMMIT", "process"),
                      ("UPDATE", "host")]


# ---- what waits


NOW = 1299  # pg_proc's oid of now()
ENDERS = {
    "commit": query("COMMIT /* ender:commit */"),
    "end": query("END /* ender:end */"),
    "chain": query("COMMIT AND CHAIN /* ender:chain */"),
    "two": query("PREPARE TRANSACTION 'two' /* ender:two */"),
    "both": query("UPDATE accounts SET n = 9 WHERE id = 9; COMMIT /* ender:both */"),
    "several": query("SELECT 1; SELECT 2; END /* ender:several */"),
    "extended": parse("COMMIT /* ender:extended */") + bind() + execute() + sync(),
    "early": execute("c") + sync(),
    "fast": message(b"F", struct.pack("!ihhh", NOW, 0, 0, 0)),
    "function": query("SELECT reach_out('ender:function')"),
    "within": query("UPDATE accounts SET n = reach_out('ender:within') WHERE id = 8"),
    "procedure": query("CALL settle_it('ender:procedure')"),
    "code": query("DO 'BEGIN /* ender:code */ END'"),
    "notify": query("NOTIFY c, 'ender:notify'"),
    "notifies": query("SELECT pg_notify('c', 'ender:notifies')"),
    "logical": query("SELECT pg_logical_emit_message(false, 'a', 'ender:logical')"),
    "large": query("SELECT lo_from_bytea(0, 'ender:large')"),
    "sequence": query("SELECT txid_current() /* ender:sequence */"),
    "copy": query("COPY (SELECT 'ender:copy') TO PROGRAM 'cat > /dev/null'"),
    "ddl": query("CREATE TABLE made (n int) /* ender:ddl */"),
    "prepare": parse("SELECT 1 /* ender:prepare */", "p") + sync(),
    "setting": query("SET work_mem = '5MB' /* ender:setting */"),
    "rollback": query("ROLLBACK /* ender:rollback */"),
}
UNSEEN = ("fast", "function", "prepare")  # the target's log does not say what they are
HARMLESS = ["SELECT n FROM accounts WHERE id = 4", "SAVEPOINT s",
            "SELECT n FROM accounts WHERE id = 4 FOR UPDATE", *CHANGES]


class Away:
    """Sessions of a sidecar whose control plane is away: what that one has need not be on the disk."""

    def __init__(self, stack, disk, names):
        self.stack, self.disk = stack, disk
        self.beside = Wire(stack.port).login(application_name="beside")
        self.sessions = {name: Wire(stack.port).login(application_name=name)
                         for name in names}
        stack.controlplane.kill()

    @contextlib.contextmanager
    def transaction(self, name):
        """Of a session that is gone afterwards, with its locks."""
        with self.sessions[name] as w:
            assert ask(w, query("BEGIN")) == b"T"
            assert ask(w, parse(f"COMMIT /* ender:{name} */", "c"), bind("c", "c"), sync()) == b"T"
            yield w

    def stays(self, w, sent):
        """Whether it waits for the disk, and nothing of it is answered. The disk is held; it may be
        that a heartbeat waits for it already, and all others behind that."""
        w.send(sent)
        while not any("/spool/" in name for name in self.disk.wait_for_call()):
            pass
        turn(self.beside)
        return not select.select([w.socket], [], [], 0)[0]

    def close(self):
        for w in [self.beside, *self.sessions.values()]:
            w.socket.close()


@pytest.fixture(scope="module")
def away(server, tmp_path_factory):
    disk = HeldDisk(str(tmp_path_factory.mktemp("away")))
    stack = Parts(server)
    stack.sidecar.stop()
    stack.sidecar_env = disk.env()
    stack.start_sidecar()
    made = Away(stack, disk, [*ENDERS, *HARMLESS, "pipelined", "alone", "bound"])
    yield made
    made.close()
    stack.close()
    disk.close()


@contextlib.contextmanager
def nothing_written(disk):
    disk.heard()
    disk.hold()
    try:
        yield
    finally:
        disk.release()


@pytest.mark.parametrize("ender", ENDERS)
def test_what_may_make_it_last_waits(server, away, ender):
    """Changes are answered while the disk is held; what comes behind them has not reached the target."""
    with away.transaction(ender) as w:
        row = 10 + list(ENDERS).index(ender)
        with nothing_written(away.disk):
            assert ask(w, query(f"UPDATE accounts SET n = n + 1 WHERE id = {row}")) == b"T"
            assert ask(w, parse("INSERT INTO history VALUES (3)"), bind(), execute(), sync()) == b"T"
            assert away.stays(w, ENDERS[ender])
            assert not reached(server, f"ender:{ender}")
        w.read_until()
    if ender == "two":
        server.psql("ROLLBACK PREPARED 'two'")
    assert ender in UNSEEN or reached(server, f"ender:{ender}")


@pytest.mark.parametrize("text", HARMLESS)
def test_what_cannot_make_it_last_does_not_wait(away, text):
    with away.transaction(text) as w, nothing_written(away.disk):
        assert ask(w, query("UPDATE accounts SET n = n + 1 WHERE id = 4")) == b"T"
        assert ask(w, query(text)) == b"T"
        assert ask(w, parse(text), bind(), execute(), sync()) == b"T"


def test_a_commit_whose_answer_says_nothing_yet(server, away):
    """Behind a COMMIT that is answered, but not by ReadyForQuery, a change is not in a transaction."""
    with away.transaction("pipelined") as w:
        w.send(parse("COMMIT"), bind(), execute(), message(b"H"))
        while w.read()[0] != b"C":
            pass
        with nothing_written(away.disk):
            assert away.stays(w, parse("UPDATE accounts SET n = 77 WHERE id = 5 /* mark:after */")
                              + bind() + execute() + sync())
            assert not reached(server, "mark:after")
        w.read_until()
    assert server.psql("SELECT n FROM accounts WHERE id = 5") == "77"


def test_a_change_that_was_bound_before_the_commit(server, away):
    """It is decided within the transaction, and would run behind it."""
    with away.transaction("bound") as w:
        with nothing_written(away.disk):
            assert away.stays(w, parse("UPDATE accounts SET n = 78 WHERE id = 5 /* mark:bound */")
                              + bind() + execute("c") + execute() + sync())
            assert not reached(server, "ender:bound") and not reached(server, "mark:bound")
        assert any(kind == b"E" for kind, _ in w.read_until())  # the portal went with the transaction
    assert server.psql("SELECT n FROM accounts WHERE id = 5") != "78"


def test_outside_of_a_transaction_each_waits(server, away):
    w = away.sessions["alone"]
    with nothing_written(away.disk):
        assert away.stays(w, query("UPDATE accounts SET n = 1 WHERE id = 6 /* mark:alone */"))
        assert not reached(server, "mark:alone")
    w.read_until()


# ---- what is lost


def test_a_killed_sidecar_loses_no_intent(server, held, disk):
    """What was done and not committed is undone by the target, and recorded."""
    stack = held()
    before = server.psql("SELECT n FROM accounts WHERE id = 6")
    with session(stack, "killed") as w:
        assert ask(w, query("BEGIN")) == b"T"
        with nothing_written(disk):
            assert ask(w, query("UPDATE accounts SET n = 42 WHERE id = 6")) == b"T"
            stack.sidecar.kill()
    stack.start_sidecar()
    intent = stack.wait_for(lambda r: r["kind"] == "intent" and "n = 42" in r["text"])
    assert intent["durability"] == "commit"
    assert server.psql("SELECT n FROM accounts WHERE id = 6") == before


# ---- where the catalog is known


@pytest.mark.parametrize("text, level", [
    ("UPDATE accounts SET n = 1 WHERE id = 1", "commit"),
    ("INSERT INTO noted VALUES (1)", "host"),
    ("UPDATE parent SET line = 'x' WHERE false", "host"),
    ("INSERT INTO history SELECT 1, now() FROM parent", "host"),
])
def test_triggers_and_foreign_tables_are_seen(held, text, level):
    stack = held(MASKS)
    with psycopg.connect(stack.dsn(application_name="masked"), autocommit=True) as c:
        with c.transaction():
            c.execute(text)
    (intent,) = [r for r in stack.conversation("masked")
                 if r["kind"] == "intent" and r["text"] == text]
    assert intent["durability"] == level
