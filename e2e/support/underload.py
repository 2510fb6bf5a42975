"""Load with marks, and the target's own log as the witness of what became of it."""

import itertools
import re
import threading
import time

import psycopg

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
    while some := list(itertools.islice(marks, 100)):
        with connection.pipeline():
            cursors = [connection.execute("SELECT %s::text", (mark,)) for mark, _ in some]
            for (_, n), cursor in zip(some, cursors):
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
    """One connection that runs statements, each with a mark that nothing else has; `pace`: seconds
    between them."""

    def __init__(self, stack, name, work, total=10**9, on_answer=lambda: None, pace=0):
        super().__init__(daemon=True)
        self.name, self.work, self.total, self.on_answer = name, work, total, on_answer
        self.pace, self.stopping = pace, threading.Event()
        self.dsn = stack.dsn(application_name=name)
        self.answered = []
        self.error = None
        self.started = threading.Event()  # the first answer has come
        self.start()

    def marks(self):
        for n in range(1, self.total + 1):
            if self.stopping.wait(self.pace) if self.pace else self.stopping.is_set():
                return
            yield f"mark:{self.name}:{n};", n

    def stop(self):
        """Ends it between two statements; what went wrong before is an error."""
        self.stopping.set()
        self.join(60)
        assert not self.is_alive() and self.error is None, self.error

    def run(self):
        marks = self.marks()
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
        deadline = time.monotonic() + 120
        while others := self.postgres.psql(
                "SELECT pid, application_name, state, query FROM pg_stat_activity WHERE pid <>"
                " pg_backend_pid() AND backend_type = 'client backend'"):
            assert time.monotonic() < deadline, others


def everything(stack, seconds=60, others=()):
    """All records, when everything that is recorded up to now has arrived: of the stack's sidecar, and of
    `others` on the same control plane."""
    for n, sidecar in enumerate((stack, *others)):
        name = f"last{n or ''}"
        sidecar.psql("-c", "SELECT 'the last one of all'", PGAPPNAME=name)
        last = stack.wait_for(lambda r, name=name: r["kind"] == "session_opened"
                              and r["application_name"] == name, seconds=seconds)
        stack.wait_for(lambda r: r["kind"] == "session_closed", "--session", last["session"],
                       seconds=seconds)
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
    """No number of a sidecar's stream is missing, and nothing is there twice."""
    for sidecar in {r["sidecar"] for r in records}:
        mine = sorted((r for r in records if r["sidecar"] == sidecar), key=lambda r: r["sequence"])
        wrong = next((i for i, r in enumerate(mine) if r["sequence"] != i + 1), None)
        assert wrong is None, mine[max(0, wrong - 1):wrong + 2]
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


WORKS = (simple, extended, prepared, pipelined, writing, writing)


def start_loads(stack, tag, works=WORKS, on_answer=lambda: None, pace=0):
    """One connection for each kind of work, each of which has had an answer."""
    loads = [Load(stack, f"{tag}{i}{work.__name__}", work, on_answer=on_answer, pace=pace)
             for i, work in enumerate(works)]
    for load in loads:
        assert load.started.wait(60) or load.error is None, load.error
        assert load.started.is_set(), f"{load.name} has no answer"
    return loads


def cut_off(stack, tag, after, kill):
    """Calls `kill` under load, after so many answers; the loads, all of which it has ended."""
    answers = Counter()
    loads = start_loads(stack, tag, on_answer=answers)
    answers.wait(after)
    kill()
    for load in loads:
        load.join(60)
        # In the midst of a pipeline psycopg has no better word than DatabaseError.
        assert isinstance(load.error, psycopg.DatabaseError), (load.name, load.error)
        assert (load.error.sqlstate or "08006")[:2] in ("08", "57"), (load.name, load.error)
    return loads


def kill_in_the_midst(postgres, parts, after, tag):
    """Kills the sidecar under load. Returns what was asked of whom, and what the target did."""
    witness = Witness(postgres)
    loads = cut_off(parts, tag, after, parts.sidecar.kill)
    executed = witness.read()
    assert sum(map(len, executed.values())) >= after
    parts.start_sidecar()
    return loads, executed


def check_cut_off(loads, executed, audited):
    """Of loads that something ended: all that the target did is in the audit, in its order, and nothing
    is recorded as done that was not. Returns how many ends are open."""
    open_ends = 0
    for load in loads:
        found = operations(audited[load.name])
        done = executed[load.name]
        # What was recorded last may never have reached the target; nothing else may differ.
        assert [n for n, _ in found][:len(done)] == done
        # An answer was recorded before the agent saw it.
        assert set(load.answered) <= {n for n, outcome in found if outcome}
        done = set(done)
        for n, outcome in found:
            if outcome is None or outcome["status"] == "unknown":
                open_ends += 1
            elif n in done:
                check_outcome(n, outcome, load.work)
            else:
                assert outcome["status"] in ("not_executed", "refused"), outcome
    return open_ends


def check_end(stack, witness, loads, survived, seconds=60):
    """Ends loads that nothing ended before, and looks at all of them. Returns all records."""
    for load in loads:
        load.stop()
    executed = witness.read()
    records = everything(stack, seconds)
    check_stream(records)
    check_went_on(loads, executed, by_name(records))
    survived.add(executed=sum(map(len, executed.values())))
    return records


def check_went_on(loads, executed, audited):
    """Of loads that nothing ended: what was answered, executed and recorded is one and the same."""
    for load in loads:
        found = operations(audited[load.name])
        assert load.error is None, load.error
        assert [n for n, _ in found] == executed[load.name] == load.answered
        for n, outcome in found:
            check_outcome(n, outcome, load.work)
