"""kill -9 under load, again and again: of the sidecar, of the control plane, of the target. What the
target's own log says was executed is in the audit; nothing is recorded as done that was not."""

import os
import random
import signal
import subprocess
import time

from support.rounds import ROUNDS, Survived
from support.underload import (WORKS, Counter, Witness, by_name, check_cut_off, check_end,
                               check_stream, cut_off, everything, kill_in_the_midst, start_loads)


def moments():
    """After how many answers it dies: at different points of what it does."""
    chosen = random.Random(4711)
    return [chosen.randrange(20, 600) for _ in range(ROUNDS)]


def totals(survived, loads, executed, records):
    survived.add(executed=sum(map(len, executed.values())),
                 answered=sum(len(load.answered) for load in loads), records=len(records))


def test_kill_of_the_sidecar(target, parts):
    stack = parts(postgres=target)
    survived = Survived("kill -9 of the sidecar", ROUNDS)
    rounds = []
    for n, after in enumerate(moments()):
        rounds.append(kill_in_the_midst(target, stack, after, f"s{n}x"))
    records = everything(stack)
    audited = by_name(records)
    check_stream(records)
    for loads, executed in rounds:
        survived.add(open_ends=check_cut_off(loads, executed, audited))
        totals(survived, loads, executed, ())
    survived.add(records=len(records))
    survived.write()


def test_kill_of_the_control_plane(target, parts):
    """Sessions go on, what they do is spooled, and it is shipped when there is a control plane again."""
    stack = parts(postgres=target)
    witness = Witness(target)
    survived = Survived("kill -9 of the control plane", ROUNDS)
    answers = Counter()
    loads = start_loads(stack, "c", on_answer=answers, pace=0.01)
    for after in moments():
        answers.wait(answers.count + after % 100)
        stack.controlplane.kill()
        answers.wait(answers.count + 50)  # nobody is held up
        began = time.monotonic()
        stack.start_controlplane().wait_for("sidecar_connected")
        survived.times().append(round(time.monotonic() - began, 2))
    records = check_end(stack, witness, loads, survived)
    survived.add(answered=sum(len(load.answered) for load in loads), records=len(records))
    survived.write()


def kill_all_of(server):
    """The postmaster and all that it started, at once: as if its machine had lost its power."""
    with open(os.path.join(server.data, "postmaster.pid"), encoding="ascii") as f:
        postmaster = int(f.readline())
    os.kill(postmaster, signal.SIGSTOP)  # it starts nothing more
    children = subprocess.run(["pgrep", "-P", str(postmaster)], capture_output=True, text=True,
                              check=True).stdout.split()
    everybody = [*map(int, children), postmaster]
    for pid in everybody:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
    # As long as one of them has the shared memory, no other server starts.
    while any(os.path.exists(f"/proc/{pid}") for pid in everybody):
        time.sleep(0.01)


def test_kill_of_the_target(target, parts):
    stack = parts(postgres=target)
    witness = Witness(target)
    survived = Survived("kill -9 of the target", ROUNDS)
    everyone = []
    for n, after in enumerate(moments()):
        everyone += cut_off(stack, f"t{n}x", after, lambda: kill_all_of(target))
        target.start()
        stack.psql("-Atc", "SELECT 'back'")
    executed = witness.read()
    records = everything(stack)
    audited = by_name(records)
    check_stream(records)
    survived.add(open_ends=check_cut_off(everyone, executed, audited))
    # A row that is there was recorded; a row that was answered is there.
    rows = target.psql("SELECT mark FROM witnessed").split("\n")
    for load in everyone:
        if load.work is WORKS[-1]:
            there = {int(r.split(":")[2][:-1]) for r in rows if r.startswith(f"mark:{load.name}:")}
            assert set(load.answered) <= there <= set(executed[load.name])
        assert audited[load.name][-1]["kind"] == "session_closed"
        assert audited[load.name][-1]["reason"] in ("target_disconnected", "error")
    totals(survived, everyone, executed, records)
    survived.write()
