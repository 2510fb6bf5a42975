"""Prepared statements and cursors of SQL: an EXECUTE or FETCH is decided by what it runs, at that moment."""

import psycopg
import pytest
from support.parts import Parts
from support.wire import Wire, bind, execute, fields, parse, query, sync
from test_policy import EVERYTHING, publish

READ_ONLY = """\
version: 1
rules:
  - {name: reads, effect: allow, match: {sql: {commands: [read, session, transaction]}}}
  - {name: no-deletes, effect: deny, match: {sql: {commands: [DELETE]}}}
"""


@pytest.fixture(scope="module")
def fleet(postgres):
    running = Parts(postgres)
    yield running
    running.close()


def tags(messages):
    return [body[:-1].decode() for kind, body in messages if kind == b"C"]


def errors(messages):
    return [fields(body) for kind, body in messages if kind == b"E"]


def ask(wire, *parts):
    wire.send(*parts)
    return wire.read_until()


def test_what_was_prepared_is_decided_by_the_policy_of_its_execution(fleet):
    publish(fleet, EVERYTHING)
    with psycopg.connect(fleet.dsn(), autocommit=True) as c:
        c.execute("PREPARE d AS DELETE FROM orders WHERE id = -1")
        c.execute("PREPARE r AS SELECT count(*) FROM orders")
        assert c.execute("EXECUTE d").statusmessage == "DELETE 0"
        publish(fleet, READ_ONLY)
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="no-deletes"):
            c.execute("EXECUTE d")
        assert c.execute("EXECUTE r").fetchone() == (5000,)
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="no-deletes"):
            c.execute("PREPARE e AS DELETE FROM orders")


def test_a_text_is_decided_by_what_it_prepares_itself(fleet):
    publish(fleet, READ_ONLY)
    with psycopg.connect(fleet.dsn(), autocommit=True) as c:
        c.execute("PREPARE p AS SELECT 1; EXECUTE p; DEALLOCATE p")
        for text in ["PREPARE p AS DELETE FROM orders; EXECUTE p",
                     'PREPARE "p AS select 1; --" AS DELETE FROM orders']:
            with pytest.raises(psycopg.errors.InsufficientPrivilege, match="no-deletes"):
                c.execute(text)


def test_a_name_of_the_protocol_that_sql_gives_away_is_followed(fleet):
    publish(fleet, EVERYTHING)
    with Wire(fleet.port) as wire:
        wire.login()
        assert errors(ask(wire, parse("SELECT 1", "x"), sync())) == []
        assert tags(ask(wire, query("DEALLOCATE x; PREPARE x AS DELETE FROM orders WHERE id = -1"))
                    ) == ["DEALLOCATE", "PREPARE"]
        assert tags(ask(wire, bind("", "x"), execute(), sync())) == ["DELETE 0"]
        publish(fleet, READ_ONLY)
        (refused,) = errors(ask(wire, bind("", "x"), execute(), sync()))
        assert refused["C"] == "42501" and "no-deletes" in refused["M"]


def test_a_name_that_changes_within_a_batch_is_not_used_in_it(fleet):
    publish(fleet, EVERYTHING)
    with Wire(fleet.port) as wire:
        wire.login()
        assert errors(ask(wire, parse("SELECT 1", "x"), sync())) == []
        (refused,) = errors(ask(
            wire, parse("DEALLOCATE x"), bind(), execute(),
            parse("PREPARE x AS DELETE FROM orders"), bind(), execute(),
            bind("", "x"), execute(), sync()))
        assert refused["C"] == "26000"
        assert tags(ask(wire, query("SELECT count(*) FROM orders WHERE id > 0"))) == ["SELECT 1"]


def test_a_cursor_is_decided_by_its_query(fleet):
    publish(fleet, EVERYTHING)
    with psycopg.connect(fleet.dsn(), autocommit=True) as c:
        c.execute("DECLARE h CURSOR WITH HOLD FOR SELECT id FROM orders ORDER BY id")
        assert c.execute("FETCH 1 FROM h").fetchone() == (1,)
        publish(fleet, EVERYTHING
                + "  - {name: no-orders, effect: deny, match: {sql: {tables: [public.orders]}}}\n")
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="no-orders"):
            c.execute("FETCH 1 FROM h")
        publish(fleet, EVERYTHING)
        assert c.execute("FETCH 1 FROM h").fetchone() == (2,)
        c.execute("CLOSE h")


def test_a_cursor_of_sql_is_executed_by_the_protocol(fleet):
    publish(fleet, EVERYTHING)
    with Wire(fleet.port) as wire:
        wire.login()
        ask(wire, query("BEGIN; DECLARE c CURSOR FOR SELECT id FROM orders ORDER BY id"))
        got = ask(wire, execute("c", 2), sync())
        assert [kind for kind, _ in got] == [b"D", b"D", b"s", b"Z"]
        ask(wire, query("CLOSE c"))
        (refused,) = errors(ask(wire, execute("c", 2), sync()))
        assert refused["C"] == "34000"
