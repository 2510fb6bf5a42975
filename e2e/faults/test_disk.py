"""Disks that are full, read-only or slow, under the sidecar's spool and the control plane's store."""

import os
import subprocess
import time

import psycopg
import pytest
from support.rounds import ROUNDS, Survived
from support.underload import (Counter, Witness, by_name, check_cut_off, check_end, check_stream,
                               everything, prepared, simple, start_loads, writing)

FOLDER = os.path.dirname(os.path.abspath(__file__))


def refused(connection, mark):
    """What is refused has not been executed; the session lives."""
    with pytest.raises(psycopg.errors.DiskFull):
        connection.execute(f"SELECT '{mark}{'x' * 2000}'")


def again(connection, mark, seconds=60):
    deadline = time.monotonic() + seconds
    while True:
        try:
            connection.execute(f"SELECT '{mark}'")
            return
        except psycopg.errors.DiskFull:
            assert time.monotonic() < deadline
            time.sleep(0.05)


def test_the_spools_disk_is_full(target, parts, disk):
    """Again and again: nothing is done, then all works again."""
    small = disk(8 + 2 * ROUNDS)  # for what each round leaves behind
    stack = parts(postgres=target, state=os.path.join(small.path, "state"),
                  sidecar="spool: {max_bytes: 1GiB, segment_bytes: 1MiB}")
    witness = Witness(target)
    survived = Survived("disk full under the spool", ROUNDS)
    done = []
    with psycopg.connect(stack.dsn(application_name="full"), autocommit=True,
                         cursor_factory=psycopg.ClientCursor) as c:
        stack.controlplane.kill()  # else what was shipped makes room
        for n in range(1, ROUNDS + 1):
            small.fill()
            while True:  # what a file has of its last page is used up first
                try:
                    c.execute(f"SELECT 'mark:full:{n * 1000 + len(done)};{'x' * 500}'")
                    done.append(n * 1000 + len(done))
                except psycopg.errors.DiskFull:
                    break
            for k in range(20):
                refused(c, f"mark:full:{900000 + k};")
            small.empty()
            again(c, f"mark:full:{n * 1000 + 999};")
            done.append(n * 1000 + 999)
    stack.start_controlplane().wait_for("sidecar_connected")
    executed = witness.read()["full"]
    records = everything(stack)
    check_stream(records)
    outcomes = {r["operation"]: r["status"] for r in by_name(records)["full"] if r["kind"] == "outcome"}
    recorded = [int(r["text"].split(":")[2].split(";")[0]) for r in by_name(records)["full"]
                if r["kind"] == "intent" and outcomes[r["operation"]] == "success"]
    assert executed == recorded == done
    survived.add(executed=len(executed), refused=20 * ROUNDS)
    survived.write()


@pytest.mark.parametrize("how", ["full", "read-only"])
def test_the_stores_disk(target, parts, disk, how):
    """What the control plane cannot store stays in the spool, until it can."""
    stack = parts(postgres=target)
    witness = Witness(target)
    answers = Counter()
    survived = Survived(f"disk {how} under the store", ROUNDS)
    stack.controlplane.stop()
    data = os.path.join(stack.dir, "controlplane")
    os.rename(data, data + ".old")
    small = disk(48 + 2 * ROUNDS, data)
    subprocess.run(["cp", "-a", data + ".old/.", data], check=True)
    stack.start_controlplane()
    stack.wait_until_ready()
    loads = start_loads(stack, "d", on_answer=answers, pace=0.01, works=(simple, prepared, writing))
    for _ in range(ROUNDS):
        if how == "full":
            small.fill()
        else:
            # With writers, the kernel refuses: the process is stopped, and finds it so.
            stack.controlplane.kill()
            small.read_only(True)
        answers.wait(answers.count + 150)  # nobody is held up
        if how == "full":
            assert stack.controlplane.process.poll() is None, stack.controlplane.log()
            small.empty()
        else:
            with pytest.raises(AssertionError, match="ended before listening"):
                stack.start_controlplane()
            small.read_only(False)
            stack.start_controlplane()
        answers.wait(answers.count + 50)
        stack.wait_until_ready(60)
    check_end(stack, witness, loads, survived)
    survived.write()
    stack.controlplane.stop()


def test_the_spools_disk_is_read_only(target, parts, disk):
    """Found so at its start: it says so and does not run. Writable again, nothing is missing."""
    small = disk(64)
    stack = parts(postgres=target, state=os.path.join(small.path, "state"))
    survived = Survived("disk read-only under the spool", ROUNDS)
    rounds = []
    for n in range(ROUNDS):
        witness = Witness(target)
        loads = start_loads(stack, f"r{n}x", works=(simple, prepared, writing))
        stack.sidecar.kill()
        for load in loads:
            load.join(60)
        rounds.append((loads, witness.read()))
        small.read_only(True)
        with pytest.raises(AssertionError, match="ended before listening"):
            stack.start_sidecar()
        small.read_only(False)
        stack.start_sidecar()
    records = everything(stack)
    check_stream(records)
    audited = by_name(records)
    for loads, executed in rounds:
        survived.add(executed=sum(map(len, executed.values())),
                     open_ends=check_cut_off(loads, executed, audited))
    survived.write()


@pytest.fixture(scope="module")
def slow(tmp_path_factory):
    folder = tmp_path_factory.mktemp("slow")
    library = str(folder / "slow_disk.so")
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, os.path.join(FOLDER, "slow_disk.c"), "-ldl"],
                   check=True)
    return library


@pytest.mark.parametrize("whose", ["spool", "store"])
def test_a_slow_disk(target, parts, slow, tmp_path, whose):
    """Writes wait for the disk, reads do not; nothing is lost."""
    setting = tmp_path / "slow"
    setting.write_text("0", encoding="ascii")
    stack = parts(postgres=target)
    env = dict(os.environ, LD_PRELOAD=slow, SLOW_DISK_FILE=str(setting))
    if whose == "spool":
        stack.sidecar.stop()
        stack.sidecar_env = env
        stack.start_sidecar()
    else:
        stack.controlplane.stop()
        stack.controlplane_env = env
        stack.start_controlplane()
        stack.wait_until_ready()
    witness = Witness(target)
    reads, writes = Counter(), Counter()
    survived = Survived(f"disk slow under the {whose}: 0.5 s for each fsync", ROUNDS)
    readers = start_loads(stack, "slowread", works=(simple, prepared), on_answer=reads, pace=0.005)
    writers = start_loads(stack, "slowwrite", works=(writing,) * 4, on_answer=writes)
    for _ in range(ROUNDS):
        setting.write_text("500", encoding="ascii")
        if whose == "spool":
            stack.controlplane.kill()  # what it has is safe too, and would be sooner
        before, began = writes.count, time.monotonic()
        reads.wait(reads.count + 100)
        writes.wait(before + 16, seconds=60)
        seconds = time.monotonic() - began
        if whose == "spool":
            assert seconds > 1  # each write waits for its record, in groups
        setting.write_text("0", encoding="ascii")
        if whose == "spool":
            stack.start_controlplane().wait_for("sidecar_connected")
            stack.wait_until_ready(60)
        writes.wait(writes.count + 100)
        survived.times().append(round(seconds, 1))
    # Hundreds of thousands, in the end.
    check_end(stack, witness, readers + writers, survived, seconds=60 + 4 * ROUNDS)
    survived.write()
