"""What an agent tries against the people who decide: to hide what it does, to change it, to have it twice."""

import threading

import psycopg
import pytest
from support.wire import Wire, bind, execute, message, packet, parse, query, sync
from test_approvals import HOLDS, Asking, Fleet, count
from test_approvals import provider  # noqa: F401 pylint: disable=unused-import


@pytest.fixture(scope="module")
def fleet(provider, postgres):  # noqa: F811
    postgres.psql("CREATE SCHEMA IF NOT EXISTS other")
    for table in list(HOLDS) + ["other.later"]:
        postgres.psql(f"DROP TABLE IF EXISTS {table}; CREATE TABLE {table} (id int PRIMARY KEY, note text);"
                      f" INSERT INTO {table} SELECT g, 'n' || g FROM generate_series(1, 100) g")
    running = Fleet(provider, postgres)
    yield running
    running.close()


def by_hand(fleet):
    return Wire(fleet.agent.port).login(user="agent", database="postgres")


def kinds(messages):
    return b"".join(kind for kind, _ in messages)


HIDDEN = "SELECT '\\' || '; DELETE FROM wide WHERE id = 1; -- '"


def test_a_batch_hides_no_delete_behind_a_setting(fleet, postgres):
    with by_hand(fleet) as w:
        hidden = "SELECT '\\' || ', (SELECT count(*) FROM x) FROM gone -- '"
        w.send(parse("SET standard_conforming_strings = off"), bind(), execute(), parse(hidden), bind(),
               execute(), sync())
        got = w.read_until()
        assert [b for k, b in got if k == b"E" and b"0A000" in b], got
        w.send(query("SET standard_conforming_strings = off"), query(HIDDEN))
        w.read_until()
        got = w.read_until()
        assert [b for k, b in got if k == b"E" and b"0A000" in b], got
    assert count(postgres, "wide", "id = 1") == 1


def test_a_text_of_several_is_held_whole(fleet, postgres):
    asking = Asking(fleet, "SELECT 1; DELETE FROM wide WHERE id = 2; SELECT 2")
    held = fleet.awaited("DELETE FROM wide WHERE id = 2")
    fleet.decide("dba-1", "deny", held["id"])
    assert asking.done().error is not None
    asking.goes_on()
    assert count(postgres, "wide", "id = 2") == 1


def test_what_follows_in_one_packet_waits_and_runs_once(fleet, postgres):
    with by_hand(fleet) as w:
        w.send(query("DELETE FROM wide WHERE id = 3"), query("ROLLBACK"), query("SELECT 'after'"))
        held = fleet.awaited("DELETE FROM wide WHERE id = 3")
        assert count(postgres, "wide", "id = 3") == 1
        fleet.decide("dba-1", "approve", held["id"])
        assert b"DELETE 1" in b"".join(b for _, b in w.read_until())
        w.read_until()
        assert b"after" in b"".join(b for _, b in w.read_until())
    assert count(postgres, "wide", "id = 3") == 0


def test_a_statement_that_is_closed_behind_its_bind_is_the_one_that_was_approved(fleet, postgres):
    with by_hand(fleet) as w:
        w.send(parse("DELETE FROM wide WHERE id = 4", "s"), bind("", "s"), execute(),
               message(b"C", b"Ss\0"), parse("DELETE FROM wide WHERE id > 5", "s"), sync())
        held = fleet.awaited("DELETE FROM wide WHERE id = 4")
        fleet.decide("dba-1", "approve", held["id"])
        assert b"DELETE 1\0" in b"".join(b for _, b in w.read_until())
        w.send(bind("", "s"), execute(), sync())
        second = fleet.awaited("DELETE FROM wide WHERE id > 5")
        fleet.decide("dba-1", "deny", second["id"])
        assert b"E" in kinds(w.read_until())
    assert count(postgres, "wide", "id > 5") == 95 and count(postgres, "wide", "id = 4") == 0


def test_deallocate_behind_a_held_execute(fleet, postgres):
    with by_hand(fleet) as w:
        w.send(query("PREPARE p AS DELETE FROM wide WHERE id = 6"))
        fleet.decide("dba-1", "approve", fleet.awaited("PREPARE p")["id"])
        w.read_until()
        w.send(query("EXECUTE p"), query("DEALLOCATE p"),
               query("PREPARE p AS DELETE FROM wide WHERE id > 7"), query("EXECUTE p"))
        held = fleet.awaited("EXECUTE p")
        fleet.decide("dba-1", "approve", held["id"])
        assert b"DELETE 1\0" in b"".join(b for _, b in w.read_until())
        fleet.decide("dba-1", "approve", fleet.awaited("PREPARE p")["id"])
        w.read_until()
        w.read_until()
        second = fleet.awaited("EXECUTE p")
        assert second["id"] != held["id"]
        fleet.decide("dba-1", "deny", second["id"])
        assert b"E" in kinds(w.read_until())
    assert count(postgres, "wide", "id > 7") == 93


def sent_away(c, text):
    """The approval that it needs."""
    with pytest.raises(psycopg.errors.InsufficientPrivilege) as refused:
        c.execute(text)
    return refused.value.diag.message_detail.split()[1].rstrip(".")


def test_execute_of_another_statement_is_another_operation(fleet, postgres):
    with psycopg.connect(fleet.agent.dsn(), autocommit=True) as c:
        for prepare in ("PREPARE p AS DELETE FROM later WHERE id = 1", "PREPARE p AS DELETE FROM later"):
            fleet.decide("dba-1", "approve", sent_away(c, prepare))
        c.execute("PREPARE p AS DELETE FROM later WHERE id = 1")
        approval = sent_away(c, "EXECUTE p")
        fleet.decide("dba-1", "approve", approval)
        c.execute("DEALLOCATE p")
        c.execute("PREPARE p AS DELETE FROM later")
        assert sent_away(c, "EXECUTE p") != approval
    assert count(postgres, "later", "id < 20") == 19


def test_one_approval_for_two_sessions_at_once(fleet, postgres):
    text = "DELETE FROM later WHERE id = 20"
    with psycopg.connect(fleet.agent.dsn(), autocommit=True) as c:
        with pytest.raises(psycopg.errors.InsufficientPrivilege) as first:
            c.execute(text)
    fleet.decide("dba-1", "approve", first.value.diag.message_detail.split()[1].rstrip("."))
    gate, done = threading.Barrier(6), []

    def run():
        with psycopg.connect(fleet.agent.dsn(), autocommit=True) as c:
            gate.wait(60)
            try:
                done.append(c.execute(text).rowcount)
            except psycopg.errors.InsufficientPrivilege:
                done.append(None)

    threads = [threading.Thread(target=run) for _ in range(6)]
    for t in threads:
        t.start()
    for t in threads:
        t.join(90)
    assert sorted(d is None for d in done) == [False] + [True] * 5, done
    assert count(postgres, "later", "id = 20") == 0


def test_the_key_of_another_session_cancels_nothing(fleet, postgres):
    asking = Asking(fleet, "DELETE FROM wide WHERE id = 8")
    held = fleet.awaited("DELETE FROM wide WHERE id = 8")
    with by_hand(fleet) as other, Wire(fleet.agent.port) as cancel:
        cancel.send(packet(80877102, other.key))
        assert cancel.closed()
    assert fleet.show(held["id"])["state"] == "waiting" and asking.is_alive()
    fleet.decide("dba-1", "approve", held["id"])
    assert asking.done().rows == 1, asking.error
    asking.goes_on()


def test_a_name_of_ours_that_the_agent_took(fleet, postgres):
    with by_hand(fleet) as w:
        w.send(query("PREPARE chaperone_prediction AS SELECT 1"))
        w.read_until()
        w.send(query("DELETE FROM wide WHERE id = 9"))
        held = fleet.awaited("DELETE FROM wide WHERE id = 9")
        assert count(postgres, "wide", "id = 9") == 1
        fleet.decide("dba-1", "deny", held["id"])
        assert b"E" in kinds(w.read_until())
        w.send(query("SELECT 'alive'"))
        assert b"alive" in b"".join(b for _, b in w.read_until())
    assert count(postgres, "wide", "id = 9") == 1


def test_a_portal_that_is_bound_again_while_it_waits(fleet, postgres):
    with by_hand(fleet) as w:
        w.send(parse("DELETE FROM wide WHERE id = $1", "s"), bind("p", "s", [b"10"]), execute("p"),
               message(b"C", b"Pp\0"), bind("p", "s", [b"11"]), execute("p"), sync())
        first = fleet.awaited("DELETE FROM wide WHERE id = $1")
        fleet.decide("dba-1", "approve", first["id"])
        second = fleet.awaited("DELETE FROM wide WHERE id = $1")
        assert second["id"] != first["id"] and count(postgres, "wide", "id = 11") == 1
        fleet.decide("dba-1", "deny", second["id"])
        assert b"E" in kinds(w.read_until())
    # One batch is one transaction: the second one's error takes the first one back.
    assert count(postgres, "wide", "id IN (10, 11)") == 2
