"""The wall clock jumps, by hours, forward and back, under load (libfaketime; the monotonic clock, which
never jumps, is left alone)."""

import glob
import os

import psycopg
import pytest
from support.rounds import ROUNDS, Survived
from support.underload import Counter, Witness, check_end, prepared, simple, start_loads, writing

JUMPS = ("+3h", "-3h", "+26h", "-30d", "+20m")


@pytest.fixture
def clock(tmp_path):
    """(environment, setting): a process's clock, and the file that says how far it is off."""
    libraries = glob.glob("/usr/lib/*/faketime/libfaketimeMT.so.1")
    assert libraries, "libfaketime is not installed"
    setting = tmp_path / "clock"
    setting.write_text("+0", encoding="ascii")
    return dict(os.environ, LD_PRELOAD=libraries[0], FAKETIME_TIMESTAMP_FILE=str(setting),
                FAKETIME_NO_CACHE="1", FAKETIME_DONT_FAKE_MONOTONIC="1", FAKETIME_DONT_RESET="1",
                FAKETIME_DISABLE_SHM="1"), setting


@pytest.mark.parametrize("whose", ["sidecar", "control plane", "both"])
def test_the_clock_jumps(target, parts, clock, whose):
    """Open sessions go on. New ones may be refused while clocks disagree (a certificate or a token is not
    valid then), with a reason; when they agree again, they open."""
    env, setting = clock
    stack = parts(postgres=target)
    stack.sidecar.stop()
    stack.controlplane.stop()
    stack.controlplane_env = env if whose != "sidecar" else None
    stack.sidecar_env = env if whose != "control plane" else None
    stack.start_controlplane()
    stack.start_sidecar()
    witness = Witness(target)
    answers = Counter()
    jumps = [JUMPS[n % len(JUMPS)] for n in range(ROUNDS)]
    survived = Survived(f"clock jumps of the {whose}".replace("the both", "both"), 2 * len(jumps))
    loads = start_loads(stack, "j", works=(simple, prepared, writing), on_answer=answers, pace=0.01)
    for jump in jumps:
        setting.write_text(jump, encoding="ascii")
        answers.wait(answers.count + 60)
        try:
            psycopg.connect(stack.dsn(application_name="new")).close()
            survived.add(opened=1)
        except psycopg.OperationalError as error:
            assert "Chaperone refuses the session: " in str(error)
            survived.add(refused=1)
        setting.write_text("+0", encoding="ascii")
        answers.wait(answers.count + 60)
        stack.wait_until_ready(60)
    check_end(stack, witness, loads, survived)
    survived.write()
