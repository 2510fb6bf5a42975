"""A network that loses, delays, reorders, and is not there at all, in network namespaces."""

import time

import psycopg
import pytest
from support.rounds import AWAY_SECONDS, Survived
from support.underload import (Counter, Witness, check_end, pipelined, prepared, simple,
                               start_loads, writing)

BAD = {
    "5 % loss": {"loss": 0.05},
    "50 ms delay, 25 ms jitter": {"delay": 0.05, "jitter": 0.025},
    "20 % reordering": {"delay": 0.01, "reorder": 0.2},
    "all of it": {"loss": 0.03, "delay": 0.02, "jitter": 0.02, "reorder": 0.1},
}


def make(link, values):
    link.loss = link.delay = link.jitter = link.reorder = 0.0
    for name, value in values.items():
        setattr(link, name, value)


@pytest.mark.parametrize("which", ["to_target", "to_control"])
def test_loss_delay_and_reordering(remote, which):
    stack = remote()
    link = getattr(stack, which)
    witness = Witness(stack.target)
    answers = Counter()
    survived = Survived(f"loss, delay and reordering {which.replace('_', ' ')}", len(BAD))
    loads = start_loads(stack, "n", on_answer=answers, pace=0.01,
                        works=(simple, prepared, pipelined, writing))
    for n, (name, values) in enumerate(BAD.items()):
        make(link, values)
        began, before = time.monotonic(), answers.count
        answers.wait(before + 300, seconds=240)
        survived.numbers[f"statements/s, {name}"] = round(
            (answers.count - before) / (time.monotonic() - began))
        # New sessions need both: the grant, and the login.
        assert stack.psql("-Atc", f"SELECT {n}").stdout == f"{n}\n"
    for load in loads:
        load.stop()
    make(link, {})
    check_end(stack, witness, loads, survived)
    assert link.dropped > 10 and link.reordered > 10
    survived.add(packets_lost=link.dropped, packets_reordered=link.reordered, packets=link.carried)
    survived.write()


def open_again(stack, seconds):
    """Until a session is. The connection may have outlived the silence, so that the sidecar never noticed, and goes on
    when TCP tries again, which it does ever more rarely."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            psycopg.connect(stack.dsn(application_name="again")).close()
            return
        except psycopg.OperationalError as error:
            assert "the control plane cannot be reached" in str(error)
            assert time.monotonic() < deadline


def test_control_plane_is_unreachable(remote):
    """Its packets vanish: nobody refuses a connection, nobody closes one."""
    stack = remote()
    witness = Witness(stack.target)
    answers = Counter()
    survived = Survived(f"control plane unreachable for {AWAY_SECONDS} s")
    loads = start_loads(stack, "u", on_answer=answers, pace=0.05,
                        works=(simple, prepared, writing, writing))
    stack.to_control.cut = True
    until = time.monotonic() + AWAY_SECONDS
    longest, refused = 0.0, 0
    while time.monotonic() < until:
        began = time.monotonic()
        answers.wait(answers.count + 20, seconds=10)  # sessions go on, at their own pace
        longest = max(longest, time.monotonic() - began)
        if refused < 5:
            began = time.monotonic()
            with pytest.raises(psycopg.OperationalError) as error:
                psycopg.connect(stack.dsn(application_name="refused")).close()
            assert "the control plane cannot be reached" in str(error.value)
            assert time.monotonic() - began < 15
            refused += 1
    stack.to_control.cut = False
    began = time.monotonic()
    open_again(stack, 130)
    stack.wait_until_ready()
    survived.times().append(round(time.monotonic() - began, 1))
    records = check_end(stack, witness, loads, survived)
    assert sum(r["kind"] == "session_opened" and r["application_name"] == "refused"
               for r in records) == refused > 0
    survived.add(refused=refused, longest_wait_for_20_answers_s=round(longest, 2))
    survived.write()
