"""The disk under the transparency log's directory is full, or read-only: records are taken in and agents
work; no head is signed meanwhile, and afterwards one that covers all of them."""

import os
import re
import subprocess

import pytest
from support.rounds import ROUNDS, Survived
from support.tlog_directory import Directory, Key
from support.underload import Counter, Witness, check_end, prepared, simple, start_loads, writing


def size_of(directory):
    return int(directory.checkpoint().split("\n")[1])


def wait_for_log(stack, state, after):
    stack.controlplane.wait_for("audit_log", after=after, state=state)


def count_of(stack):
    """Of what the store has taken in, the records of readers too."""
    return max(r["position"] for r in stack.search())


@pytest.mark.parametrize("how", ["full", "read-only"])
def test_the_logs_disk(target, parts, disk, how):
    stack = parts(postgres=target)
    answers = Counter()
    survived = Survived(f"disk {how} under the log's directory", ROUNDS)
    stack.controlplane.stop()
    path = os.path.join(stack.dir, "controlplane", "log")
    os.rename(path, path + ".old")
    small = disk(16, path)
    subprocess.run(["cp", "-a", path + ".old/.", path], check=True)
    stack.start_controlplane()
    stack.wait_until_ready()
    directory = Directory(path)
    keys = [Key(k) for k in re.findall(r"key: '([^']+)'", stack.read("controlplane/log.yaml"))]
    witness = Witness(target)
    loads = start_loads(stack, "l", works=(simple, prepared, writing), on_answer=answers, pace=0.01)
    for _ in range(ROUNDS):
        before = stack.controlplane.mark()
        small.spoil(how)
        wait_for_log(stack, "failing", before)
        small.spoil(how)  # what it had not finished has gone
        signed = size_of(directory)
        answers.wait(answers.count + 100)  # nobody is held up
        taken_in = count_of(stack)
        assert taken_in > signed == size_of(directory)
        before = stack.controlplane.mark()
        small.mend(how)
        wait_for_log(stack, "signing", before)
        assert directory.verify(*keys)[0] >= taken_in
        survived.add(taken_in_meanwhile=taken_in - signed)
    check_end(stack, witness, loads, survived)
    survived.write()
    stack.controlplane.stop()
