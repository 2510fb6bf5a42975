"""Three sidecars on one control plane and one target: what ends one of them, or the control plane, the
others do not notice."""

import random
import time

import pytest
from support.rounds import ROUNDS, Survived
from support.sibling import Sibling
from support.underload import (WORKS, Counter, Witness, by_name, check_cut_off, check_stream, check_went_on,
                               everything, prepared, simple, start_loads, writing)

TAGS = ("one", "two", "three")


@pytest.fixture
def three(target, parts):
    stack = parts(postgres=target)
    others = []
    try:
        for name in TAGS[1:]:
            others.append(Sibling(stack, name))
        yield stack, *others
    finally:
        codes = [other.stop() for other in others]
    assert not any(codes), [other.logs() for other in others]


def check_whose(records):
    """What was done through one sidecar is in its stream, and in no other."""
    streams = {tag: set() for tag in TAGS}
    for name, mine in by_name(records).items():
        tag = next((t for t in TAGS if name.startswith(t)), None)
        if tag:
            streams[tag] |= {r["sidecar"] for r in mine}
    assert all(len(ids) == 1 for ids in streams.values()), streams
    assert len(set.union(*streams.values())) == 3, streams


def kill(n, controlplane, victim):
    """In turn: what the victim did last was shipped, or was not."""
    first, second = (controlplane, victim.sidecar) if n % 2 else (victim.sidecar, controlplane)
    first.kill()
    second.kill()


def test_kills_among_several_sidecars(target, three):
    """The control plane and one sidecar die again and again. The two others work on, and what each of the three
    did is in the audit: complete, in order, in the stream of that one."""
    stack, other, victim = three
    chosen = random.Random(4712)
    survived = Survived("kill -9 of the control plane and of one sidecar of three", ROUNDS)
    witness = Witness(target)
    answers = {one: Counter() for one in (stack, other)}
    steady, ended = [], []
    for one, tag in zip(answers, TAGS):
        steady += start_loads(one, tag, works=(simple, prepared, writing), on_answer=answers[one], pace=0.01)
    for n in range(ROUNDS):
        reached = Counter()
        loads = start_loads(victim, f"{TAGS[2]}{n}x", works=WORKS, on_answer=reached)
        reached.wait(chosen.randrange(20, 400))
        kill(n, stack.controlplane, victim)
        began = time.monotonic()
        for counter in answers.values():
            counter.wait(counter.count + 60)
        survived.numbers.setdefault("seconds_for_60_answers", []).append(round(time.monotonic() - began, 2))
        for load in loads:
            load.join(60)
            assert load.error is not None
        ended += loads
        stack.start_controlplane()
        victim.start_sidecar()
        stack.wait_until_ready(60)
        other.wait_until_ready(60)
    for load in steady:
        load.stop()
    executed = witness.read()
    records = everything(stack, others=(other, victim))
    check_stream(records)
    check_whose(records)
    audited = by_name(records)
    check_went_on(steady, executed, audited)
    survived.add(open_ends=check_cut_off(ended, executed, audited),
                 executed=sum(map(len, executed.values())),
                 answered=sum(len(load.answered) for load in steady + ended), records=len(records))
    survived.write()
