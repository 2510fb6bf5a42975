"""The target's own log as the witness: what it executed is in the audit, all of it, in order."""

import json
import re
import threading

import psycopg
import pytest
from support.parts import Parts

# What log_statement=all writes once for each execution: the text, or the parameter behind it.
LINE = re.compile(r"\[(\d+)\] (?:LOG:  (?:statement|execute \S+): |DETAIL:  parameters: )"
                  r".*?mark:(\w+):(\d+);")
MARK = re.compile(r"mark:(\w+):(\d+);")
FAILS = 13  # every so many statements of a kind that may fail does


def divisor(n):
    """0 at times. Not folded by the planner: else Bind fails, before log_statement says a word."""
    return f"(pg_backend_pid() * 0 + {n % FAILS})"


def simple(connection, marks):
    cursor = psycopg.ClientCursor(connection)
    for mark, n in marks:
        yield from run(cursor, f"SELECT '{mark}', {n} / {divisor(n)}", n)


def extended(connection, marks):
    cursor = connection.cursor()
    for mark, n in marks:
        # A text of its own for each statement, too: nothing is known from an earlier one.
        yield from run(cursor, f"SELECT %s::text, {n} / {divisor(n)}", n, (mark,), prepare=False)


def prepared(connection, marks):
    cursor = connection.cursor(binary=True)
    for mark, n in marks:
        yield from run(cursor, "SELECT %s::text, 7 / (pg_backend_pid() * 0 + %s::int4)", n,
                       (mark, n % FAILS), prepare=True)


def pipelined(connection, marks):
    marks = list(marks)
    for start in range(0, len(marks), 100):
        with connection.pipeline():
            cursors = [connection.execute("SELECT %s::text", (mark,))
                       for mark, _ in marks[start:start + 100]]
            for (_, n), cursor in zip(marks[start:start + 100], cursors):
                cursor.fetchone()
                yield n


def writing(connection, marks):
    cursor = connection.cursor()
    for mark, n in marks:
        cursor.execute("INSERT INTO witnessed VALUES (%s)", (mark,), prepare=True)
        yield n


def run(cursor, text, n, *args, **options):
    """Yields `n` when the answer is here, a row or the error that this statement must give."""
    try:
        cursor.execute(text, *args, **options).fetchall()
        assert n % FAILS != 0
    except psycopg.errors.DivisionByZero:
        assert n % FAILS == 0
    yield n


class Load(threading.Thread):
    """One connection that runs statements, each with a mark that nothing else has."""

    def __init__(self, stack, name, work, total, on_answer=lambda: None):
        super().__init__(daemon=True)
        self.name, self.work, self.total, self.on_answer = name, work, total, on_answer
        self.dsn = stack.dsn(application_name=name)
        self.answered = []
        self.error = None
        self.started = threading.Event()  # the first answer has come
        self.start()

    def run(self):
        marks = ((f"mark:{self.name}:{n};", n) for n in range(1, self.total + 1))
        try:
            with psycopg.connect(self.dsn, autocommit=True) as connection:
                for n in self.work(connection, marks):
                    self.answered.append(n)
                    self.started.set()
                    self.on_answer()
        except Exception as error:  # noqa: BLE001: the test looks at it
            self.error = error


class Counter:
    """Waits until so many answers have come, on whatever connection."""

    def __init__(self):
        self.count = 0
        self.changed = threading.Condition()

    def __call__(self):
        with self.changed:
            self.count += 1
            self.changed.notify_all()

    def wait(self, count, seconds=60):
        with self.changed:
            assert self.changed.wait_for(lambda: self.count >= count, seconds), self.count


class Witness:
    """What the target's log says from here on: {connection's name: [n, ...]} in its order."""

    def __init__(self, postgres):
        self.postgres = postgres
        postgres.psql("CREATE TABLE IF NOT EXISTS witnessed (mark text)")
        with open(postgres.log, encoding="utf-8") as f:
            f.seek(0, 2)
            self.start = f.tell()

    def read(self):
        self.wait_until_alone()
        seen, backends = {}, {}
        with open(self.postgres.log, encoding="utf-8", errors="replace") as f:
            f.seek(self.start)
            for line in f:
                found = LINE.search(line)
                if found:
                    pid, name, n = found.groups()
                    seen.setdefault(name, []).append(int(n))
                    assert backends.setdefault(name, pid) == pid
        return seen

    def wait_until_alone(self):
        """A backend executes what lies in its socket also when the sidecar is gone."""
        while self.postgres.psql("SELECT count(*) FROM pg_stat_activity WHERE pid <>"
                                 " pg_backend_pid() AND backend_type = 'client backend'") != "0":
            pass


def everything(stack):
    """All records, when everything that is recorded up to now has arrived."""
    stack.psql("-c", "SELECT 'the last one of all'", PGAPPNAME="last")
    last = stack.wait_for(lambda r: r["kind"] == "session_opened"
                          and r["application_name"] == "last")
    stack.wait_for(lambda r: r["kind"] == "session_closed", "--session", last["session"])
    return stack.search()


def by_name(records):
    """{connection's name: its records}, for the connections of a load."""
    names = {r["session"]: r["application_name"] for r in records if r["kind"] == "session_opened"}
    result = {}
    for r in records:
        if r["session"]:
            result.setdefault(names[r["session"]], []).append(r)
    return result


def mark_of(record):
    texts = [record["text"]] + [p["value"] or "" for p in record["parameters"]]
    return next((m for m in map(MARK.search, texts) if m), None)


def operations(records):
    """[(n, outcome or None)] of one connection, in the order of the audit."""
    outcomes = {r["operation"]: r for r in records if r["kind"] == "outcome"}
    intents = [r for r in records if r["kind"] == "intent"]
    assert [r["sequence"] for r in intents] == sorted(r["sequence"] for r in intents)
    assert [r["operation"] for r in intents] == list(range(1, len(intents) + 1))
    return [(int(mark_of(r).group(2)), outcomes.get(r["operation"])) for r in intents
            if mark_of(r)]


def check_stream(records, losses=0):
    """No number of the sidecar's stream is missing, and nothing is there twice."""
    numbers = sorted(r["sequence"] for r in records)
    assert numbers == list(range(1, len(numbers) + 1))
    assert sum(r["kind"] == "loss" for r in records) == losses


def check_outcome(n, outcome, work):
    """An outcome that must be there, of a statement that was answered."""
    fails = work in (simple, extended, prepared) and n % FAILS == 0
    assert outcome["status"] == ("failed" if fails else "success"), outcome
    assert outcome["error_code"] == ("22012" if fails else None)
    assert outcome["duration_us"] > 0
    if not fails:
        assert outcome["rows"] == 1
        assert outcome["command_tag"] == ("INSERT 0 1" if work is writing else "SELECT 1")


@pytest.fixture
def parts(postgres):
    stack = Parts(postgres)
    yield stack
    stack.close()


def test_twenty_thousand_statements(postgres, parts):
    witness = Witness(postgres)
    loads = [Load(parts, f"{work.__name__}{i}", work, 2500)
             for i in (1, 2) for work in (simple, extended, prepared, pipelined)]
    for load in loads:
        load.join()
        assert load.error is None and len(load.answered) == load.total, load.error
    executed = witness.read()
    records = everything(parts)
    audited = by_name(records)
    check_stream(records)
    assert sum(map(len, executed.values())) == 20000
    for load in loads:
        assert executed[load.name] == list(range(1, load.total + 1))
        found = operations(audited[load.name])
        assert [n for n, _ in found] == executed[load.name]
        for n, outcome in found:
            check_outcome(n, outcome, load.work)


def kill_in_the_midst(postgres, parts, after, tag):
    """Kills the sidecar under load. Returns what was asked of whom, and what the target did."""
    witness = Witness(postgres)
    answers = Counter()
    works = (simple, extended, prepared, pipelined, writing, writing)
    loads = [Load(parts, f"{tag}{i}{work.__name__}", work, 100000, answers)
             for i, work in enumerate(works)]
    for load in loads:
        assert load.started.wait(30), load.error
    answers.wait(after)
    parts.sidecar.kill()
    for load in loads:
        load.join(60)
        assert isinstance(load.error, psycopg.OperationalError), load.error
    executed = witness.read()
    assert sum(map(len, executed.values())) >= after
    parts.start_sidecar()
    return loads, executed


def test_kill_of_the_sidecar_loses_nothing(postgres, parts):
    rounds = [kill_in_the_midst(postgres, parts, after, f"kill{after}_")
              for after in (40, 300, 1000, 1700, 2600)]
    records = everything(parts)
    audited = by_name(records)
    check_stream(records)
    open_ends = 0
    for loads, executed in rounds:
        for load in loads:
            found = operations(audited[load.name])
            done = executed[load.name]
            # What was recorded last may never have reached the target; nothing else may differ.
            assert [n for n, _ in found][:len(done)] == done
            # An answer was recorded before the agent saw it.
            assert set(load.answered) <= {n for n, outcome in found if outcome}
            for n, outcome in found:
                if outcome is None:
                    open_ends += 1
                elif n in set(done):
                    check_outcome(n, outcome, load.work)
                else:
                    assert outcome["status"] == "not_executed"
            assert not [r for r in audited[load.name] if r["kind"] == "session_closed"]
    assert open_ends > 0
    listed = {s["session"]: s for s in
              map(json.loads, parts.chaperone("session", "list", "--all", "--json")
                  .stdout.splitlines())}
    for load in (load for loads, _ in rounds for load in loads):
        session = listed[audited[load.name][0]["session"]]
        assert (session["state"], session["close_reason"]) == ("closed", "lost")


def test_an_operation_that_was_cut_off_is_shown_as_unknown(postgres, parts):
    load = Load(parts, "sleeper", lambda c, _: c.execute("SELECT pg_sleep(3), 'cut off'"), 1)
    while postgres.psql("SELECT count(*) FROM pg_stat_activity WHERE state = 'active'"
                        " AND query LIKE '%cut off%' AND pid <> pg_backend_pid()") == "0":
        pass
    parts.sidecar.kill()
    load.join(30)
    parts.start_sidecar()
    mine = by_name(everything(parts))["sleeper"]
    assert [r["kind"] for r in mine] == ["session_opened", "intent"]
    shown = parts.chaperone("audit", "show", mine[0]["session"]).stdout
    assert "SELECT pg_sleep(3), 'cut off'" in shown
    assert "no outcome is recorded: whether it was executed is unknown" in shown
    assert "success" not in shown


def test_kill_of_the_control_plane_loses_nothing(postgres, parts):
    """Sessions go on, what they do is spooled, and shipped when there is a control plane again."""
    witness = Witness(postgres)
    answers = Counter()
    works = (simple, extended, prepared, pipelined, writing)
    loads = [Load(parts, f"orphan{i}{work.__name__}", work, 800, answers)
             for i, work in enumerate(works)]
    for count in (600, 1600):
        answers.wait(count)
        parts.controlplane.kill()
        answers.wait(count + 500)  # nobody is held up
        parts.start_controlplane().wait_for("sidecar_connected")
    answers.wait(2800)
    parts.controlplane.kill()
    for load in loads:
        load.join(60)
        assert load.error is None and len(load.answered) == load.total, load.error
    executed = witness.read()
    parts.start_controlplane().wait_for("sidecar_connected")
    records = everything(parts)
    audited = by_name(records)
    check_stream(records)
    for load in loads:
        found = operations(audited[load.name])
        assert [n for n, _ in found] == executed[load.name] == list(range(1, load.total + 1))
        for n, outcome in found:
            check_outcome(n, outcome, load.work)
        assert audited[load.name][-1]["kind"] == "session_closed"
