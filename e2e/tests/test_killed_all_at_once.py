"""The control plane dies again and again while agents write, people search, the log is signed, content is erased and
records are exported: afterwards the trail is whole, and says what the target did."""

import json
import random
import threading
import time

import pytest
from support.underload import Load
from test_export_jobs import FILE_JOB, Exports, assert_complete, positions

KILLS = 20


def writing(connection, marks):
    cursor = connection.cursor()
    for mark, n in marks:
        cursor.execute("INSERT INTO witnessed_all VALUES (%s)", (mark,), prepare=True)
        yield n


class Searching(threading.Thread):
    """Each search is recorded by the control plane itself, in a stream of its own."""

    def __init__(self, stack):
        super().__init__(daemon=True)
        self.stack, self.stopping, self.answered = stack, threading.Event(), 0
        self.started = threading.Event()  # the first one was answered
        self.start()

    def run(self):
        while not self.stopping.is_set():
            done = self.stack.chaperone("audit", "search", "--json", "--kind", "session_opened", check=False)
            if done.returncode == 0:
                self.answered += 1
                self.started.set()


@pytest.fixture
def exports(parts, tmp_path):
    return Exports(parts(), tmp_path)


def wait_until_whole(stack, seconds=90):
    """The sidecar ships what is left, and a checkpoint has it."""
    deadline = time.monotonic() + seconds
    while True:
        run = stack.chaperone("audit", "completeness", check=False)
        if run.returncode == 0:
            return
        assert time.monotonic() < deadline, run.stdout + run.stderr
        time.sleep(0.5)


def test_killed_while_everything_runs(exports, postgres):
    postgres.psql("CREATE TABLE witnessed_all (mark text)")
    stack = exports.stack
    exports.run(FILE_JOB)
    # A short session that may be erased while the others go on.
    stack.psql("-c", "SELECT 'to be erased'", PGAPPNAME="erased")
    erased = stack.conversation("erased")[0]["session"]
    exports.plain += "\nretention: [{resource: '*', keep: 1s}]\n"
    exports.write(FILE_JOB)
    loads = [Load(stack, f"all-{n}", writing, pace=0.01) for n in range(2)]
    assert all(x.started.wait(60) for x in loads)
    searching = Searching(stack)
    assert searching.started.wait(60)
    dice = random.Random(20261121)
    for _ in range(KILLS):
        time.sleep(dice.random() * 0.4)
        stack.controlplane.kill()
        stack.start_controlplane()
    for load in loads:
        load.stopping.set()
    searching.stopping.set()
    searching.join(150)
    assert not searching.is_alive()
    stack.wait_until_ready()
    done = {x.name: len(x.answered) for x in loads}
    # Each one's intents while its session is open; the target has as many rows as were answered.
    found = {}
    for load in loads:
        load.stop()
        rows = postgres.psql(f"SELECT count(*) FROM witnessed_all WHERE mark LIKE 'mark:{load.name}:%'")
        assert int(rows) == len(load.answered) >= done[load.name]
        found[load.name] = len(load.answered)
    assert all(found.values()) and searching.answered > 0
    for name, count in found.items():
        intents = [r for r in stack.conversation(name) if r["kind"] == "intent" and r["verb"] != "prepare"]
        assert len(intents) == count
    wait_until_whole(stack)
    run = stack.chaperone("audit", "verify", "--json", check=False)
    said = json.loads(run.stdout)
    assert run.returncode == 0 and said["problems"] == [], run.stdout
    assert said["erased"] > 0 and said["records"] == said["checkpoint"]["size"]
    assert all("erased" in r for r in stack.search("--session", erased))
    # The exported lines are of before the erasing, and say each statement.
    newest = exports.newest()
    exports.wait_for_job("lake", lambda j: j.get("position", 0) >= newest)
    lines = exports.files("lake")
    assert_complete(positions(lines), newest)
    for name, count in found.items():
        session = {r["session"] for r in lines if r["kind"] == "session_opened" and r["application_name"] == name}
        intents = {r["position"] for r in lines if r["kind"] == "intent" and r["session"] in session
                   and r["verb"] != "prepare"}
        assert len(session) == 1 and len(intents) == count
