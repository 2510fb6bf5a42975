"""The target's own log as the witness: what it executed is in the audit, all of it, in order."""

import json

import pytest
from support.parts import Parts
from support.underload import (Counter, Load, Witness, by_name, check_cut_off, check_outcome,
                               check_stream, everything, extended, kill_in_the_midst, operations,
                               pipelined, prepared, simple, writing)


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


def test_kill_of_the_sidecar_loses_nothing(postgres, parts):
    rounds = [kill_in_the_midst(postgres, parts, after, f"kill{after}_")
              for after in (40, 300, 1000, 1700, 2600)]
    records = everything(parts)
    audited = by_name(records)
    check_stream(records)
    for loads, executed in rounds:
        check_cut_off(loads, executed, audited)
        for load in loads:
            assert not [r for r in audited[load.name] if r["kind"] == "session_closed"]
    listed = {s["session"]: s for s in
              map(json.loads, parts.chaperone("session", "list", "--all", "--json")
                  .stdout.splitlines())}
    for load in (load for loads, _ in rounds for load in loads):
        session = listed[audited[load.name][0]["session"]]
        assert (session["state"], session["close_reason"]) == ("closed", "lost")


def test_an_operation_that_was_cut_off_is_shown_as_unknown(postgres, parts):
    load = Load(parts, "sleeper", lambda c, _: c.execute("SELECT pg_sleep(300), 'cut off'"), 1)
    its_backend = "FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%cut off%' AND pid <> pg_backend_pid()"
    while postgres.psql(f"SELECT count(*) {its_backend}") == "0":
        assert load.is_alive(), load.error
    parts.sidecar.kill()
    load.join(60)
    assert load.error is not None
    postgres.psql(f"SELECT pg_terminate_backend(pid) {its_backend}")  # it does not see that nobody waits
    parts.start_sidecar()
    mine = by_name(everything(parts))["sleeper"]
    assert [r["kind"] for r in mine] == ["session_opened", "intent"]
    shown = parts.chaperone("audit", "show", mine[0]["session"]).stdout
    assert "SELECT pg_sleep(300), 'cut off'" in shown
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
