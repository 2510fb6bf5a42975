"""The protocol by hand: what drivers do rarely, and what an attacker does."""

import struct
import threading
import time

import psycopg
import pytest
from support.wire import (Wire, bind, describe, execute, fields, message, packet, parse, query,
                          startup, sync)


def kinds(messages):
    return b"".join(k for k, _ in messages)


def test_ssl_and_gssenc_requests_are_answered(stack):
    with Wire(stack.port) as w:
        w.send(packet(80877104))
        assert w.byte() == b"N"
        w.send(packet(80877103))
        assert w.byte() == b"N"
        w.login()


def test_a_newer_minor_version_is_negotiated(stack):
    with Wire(stack.port) as w:
        w.send(startup(version=3 << 16 | 2, **{"_pq_.fancy": "1"}))
        kind, body = w.read()
        assert kind == b"v"
        assert struct.unpack("!ii", body[:8]) == (3 << 16, 1)
        assert body[8:] == b"_pq_.fancy\0"
        assert w.read_until()[-1] == (b"Z", b"I")


@pytest.mark.parametrize("value", ["true", "database", "1", "on"])
def test_replication_is_refused(stack, value):
    with Wire(stack.port) as w:
        w.send(startup(replication=value))
        kind, body = w.read()
        assert (kind, fields(body)["C"]) == (b"E", "42501")
        assert w.closed()


def test_an_old_protocol_is_refused(stack):
    with Wire(stack.port) as w:
        w.send(startup(version=2 << 16))
        kind, body = w.read()
        assert (kind, fields(body)["C"]) == (b"E", "0A000")


@pytest.mark.parametrize("raw", [
    struct.pack("!i", 4),                       # shorter than its own header
    struct.pack("!ii", 3, 196608),
    struct.pack("!ii", -1, 196608),
    struct.pack("!ii", 0x7fffffff, 196608),     # two gigabytes
    struct.pack("!ii", 10, 196608) + b"us",     # no terminator
    packet(196608, b"user\0agent\0"),           # no end
    packet(196608, b"user\0agent\0\0trailing\0"),
    packet(80877102, b"123"),
])
def test_a_startup_packet_that_lies(stack, raw):
    with Wire(stack.port) as w:
        w.send(raw)
        try:
            kind, body = w.read()
            assert (kind, fields(body)["C"]) == (b"E", "08P01")
        except EOFError:
            pass
        assert w.closed()
    Wire(stack.port).login()  # and the sidecar goes on


@pytest.mark.parametrize("raw", [
    b"?\0\0\0\4",                               # an unknown type
    message(b"p", b"x\0"),                      # a password, now
    message(b"Q", b"SELECT 1"),                 # no terminator
    message(b"B", b"\0\0\0\0\x7f\xff"),         # more values than bytes
    message(b"P", b"x\0SELECT 1\0\0\5"),        # types that are not there
    message(b"E", b"x\0\0"),
    message(b"D", b"Zname\0"),
    message(b"F", b"\0\0\0\1\0"),
    b"Q" + struct.pack("!i", 3),
    b"S" + struct.pack("!i", 400) + b"x" * 396,
])
def test_a_malformed_message_ends_only_its_own_session(stack, raw):
    with Wire(stack.port) as bystander, Wire(stack.port) as w:
        bystander.login()
        w.login().send(raw)
        kind, body = w.read()
        assert (kind, fields(body)["S"], fields(body)["C"]) == (b"E", "FATAL", "08P01")
        assert w.closed()
        bystander.send(query("SELECT 1"))
        assert kinds(bystander.read_until()) == b"TDCZ"


def test_a_byte_at_a_time(stack):
    with Wire(stack.port) as w:
        for raw in (startup(), query("SELECT 'slow'")):
            for i in range(len(raw)):
                w.send(raw[i:i + 1])
            got = w.read_until()
        assert kinds(got) == b"TDCZ"
        assert got[1][1].endswith(b"slow")


def test_pipelined_messages_and_an_error_in_the_midst(stack):
    with Wire(stack.port) as w:
        w.login().send(
            parse("SELECT 1"), bind(), describe(), execute(), sync(),
            parse("SELECT 1/($1::int - id) FROM customers WHERE id = 7", "s"),
            bind("", "s", (b"7",)), execute(),
            parse("SELECT 'skipped'"), bind(), execute(), sync(),
            parse("SELECT 3"), bind(), execute(), sync())
        assert kinds(w.read_until()) == b"12TDCZ"
        assert kinds(w.read_until()) == b"12EZ"
        assert kinds(w.read_until()) == b"12DCZ"
        # The skipped unnamed statement was never parsed: the name means the last one.
        w.send(bind(), execute(), bind("", "s", (b"8",)), execute(), sync())
        assert kinds(w.read_until()) == b"2DC2DCZ"


def test_a_portal_in_parts(stack):
    with Wire(stack.port) as w:
        w.login().send(query("BEGIN"))
        w.read_until()
        w.send(parse("SELECT generate_series(1, 5)"), bind("p"), execute("p", 2), execute("p", 2),
               execute("p", 2), execute("p", 2), sync())
        assert kinds(w.read_until()) == b"12DDsDDsDCCZ"


def test_a_text_that_cannot_be_parsed_is_refused_and_the_session_goes_on(stack):
    with Wire(stack.port) as w:
        w.login()
        for before, status in ((None, b"I"), ("BEGIN", b"E")):
            if before:
                w.send(query(before))
                w.read_until()
            w.send(query("SELECT FROM WHERE"))
            got = w.read_until()
            assert kinds(got) == b"EZ"
            error = fields(got[0][1])
            assert error["C"] == "42601" and 'at or near "WHERE"' in error["M"]
            assert error["P"] == "13"
            assert got[-1][1] == status
        w.send(query("SELECT 1"))
        assert fields(w.read_until()[0][1])["C"] == "25P02"
        w.send(query("ROLLBACK"), query("SELECT 1"))
        assert kinds(w.read_until()) == b"CZ"
        assert kinds(w.read_until()) == b"TDCZ"
        w.send(parse("SELECT FROM WHERE"), bind(), execute(), sync(), query("SELECT 1"))
        assert kinds(w.read_until()) == b"EZ"
        assert kinds(w.read_until()) == b"TDCZ"


def test_a_statement_of_ten_megabytes_is_refused_without_gathering_it(stack):
    with Wire(stack.port, timeout=60) as w:
        w.login().send(query("SELECT '" + "x" * (10 << 20) + "'"))
        got = w.read_until()
        assert kinds(got) == b"EZ"
        assert fields(got[0][1])["C"] == "54000"
        w.send(query("SELECT 1"))
        assert kinds(w.read_until()) == b"TDCZ"


def test_function_call(stack):
    with psycopg.connect(stack.dsn()) as c:
        oid = c.execute("SELECT 'int4pl'::regproc::oid").fetchone()[0]
    with Wire(stack.port) as w:
        body = struct.pack("!ihhh", oid, 1, 1, 2)
        body += b"".join(struct.pack("!ii", 4, n) for n in (40, 2)) + struct.pack("!h", 1)
        w.login().send(message(b"F", body))
        got = w.read_until()
        assert kinds(got) == b"VZ"
        assert got[0][1] == struct.pack("!ii", 4, 42)


def test_a_name_means_what_the_server_took_it_for(stack):
    """A batch that fails leaves its names as they were; what comes right behind it is decided so."""
    with Wire(stack.port) as w:
        w.login().send(parse("SELECT 'the old name'", "s"), sync())
        assert kinds(w.read_until()) == b"1Z"
        w.send(parse("SELECT 1/(id - id) FROM customers"), bind(), execute(),
               message(b"C", b"Ss\0"), parse("SELECT 'the new name'", "s"), sync(),
               bind("", "s"), execute(), sync())
        assert kinds(w.read_until()) == b"12EZ"
        got = w.read_until()
        assert kinds(got) == b"2DCZ" and got[1][1].endswith(b"the old name")
        w.send(query("SELECT 'the names are done'"))
        w.read_until()
    stack.outcome_of("SELECT 'the names are done'")
    # The new text was to be prepared, and never to be run.
    new = stack.wait_for(lambda r: r["kind"] == "intent" and r["text"] == "SELECT 'the new name'")
    run = [r["text"] for r in stack.search("--session", new["session"], "--kind", "intent")
           if r["verb"] == "execute"]
    assert "SELECT 'the old name'" in run and "SELECT 'the new name'" not in run


@pytest.mark.parametrize("first", [query("SET standard_conforming_strings = off"),
                                   message(b"H") + query("SET standard_conforming_strings = off")],
                         ids=["query", "flush_and_query"])
def test_a_text_is_read_as_the_server_reads_it(stack, postgres, first):
    postgres.psql("DROP TABLE IF EXISTS read_once; CREATE TABLE read_once (a int);"
                  "INSERT INTO read_once VALUES (1)")
    with Wire(stack.port) as w:
        w.login().send(first, message(b"H"), query("SELECT '\\', '; DELETE FROM read_once --'"))
        assert kinds(w.read_until()) == b"CSZ"
        got = w.read_until()
        assert kinds(got) == b"EZ" and fields(got[0][1])["C"] == "0A000"
    assert postgres.psql("SELECT count(*) FROM read_once") == "1"


@pytest.mark.parametrize("asks", [parse("COPY lines FROM STDIN") + bind() + execute() + sync(),
                                  query("COPY lines FROM STDIN")], ids=["batch", "query"])
def test_a_sync_that_copy_ignores_puts_nothing_out_of_step(stack, asks):
    with Wire(stack.port) as w:
        w.login().send(query("CREATE TEMP TABLE lines (a int)"))
        w.read_until()
        for _ in range(3):
            w.send(asks)
            w.read_until(b"G")
            w.send(message(b"d", b"1\n"), sync(), message(b"d", b"2\n"), message(b"c"))
            if asks[:1] == b"P":
                w.send(sync())
            assert kinds(w.read_until()) == b"CZ"
        w.send(query("SELECT count(*) FROM lines"), query("SELECT 'in step'"))
        assert w.read_until()[1][1].endswith(b"6")
        assert w.read_until()[1][1].endswith(b"in step")


def test_all_of_a_copy_at_once(stack):
    with Wire(stack.port) as w:
        w.login().send(query("CREATE TEMP TABLE lines (a int)"))
        w.read_until()
        w.send(parse("COPY lines FROM STDIN"), bind(), execute(), message(b"d", b"1\n"),
               message(b"c"), sync(), query("SELECT count(*) FROM lines"))
        assert kinds(w.read_until()) == b"12GCZ"
        assert w.read_until()[1][1].endswith(b"1")


def test_copy_that_the_client_fails(stack):
    with Wire(stack.port) as w:
        w.login().send(query("CREATE TEMP TABLE c (a int)"))
        w.read_until()
        w.send(query("COPY c FROM STDIN"))
        assert kinds(w.read_until(b"G")) == b"G"
        w.send(message(b"d", b"1\n"), message(b"f", b"changed my mind\0"))
        got = w.read_until()
        assert kinds(got) == b"EZ" and fields(got[0][1])["C"] == "57014"


def test_a_client_that_leaves_in_the_midst_of_copy(stack, postgres):
    postgres.psql("DROP TABLE IF EXISTS half; CREATE TABLE half (a int)")
    with Wire(stack.port) as w:
        w.login().send(query("COPY half FROM STDIN"))
        w.read_until(b"G")
        w.send(message(b"d", b"1\n"), b"d" + struct.pack("!i", 1000) + b"2\n")
    assert stack.outcome_of("COPY half FROM STDIN")["status"] in ("failed", "unknown")
    assert postgres.psql("SELECT count(*) FROM half") == "0"


def cancel_while_running(stack, cancel):
    """Runs pg_sleep and calls `cancel(connection)` once the target runs it."""
    error = []
    with psycopg.connect(stack.dsn(), autocommit=True) as c:
        def run():
            try:
                c.execute("SELECT pg_sleep(60)")
            except psycopg.Error as e:
                error.append(e)

        thread = threading.Thread(target=run)
        thread.start()
        deadline = time.monotonic() + 60
        while stack.postgres.psql("SELECT count(*) FROM pg_stat_activity WHERE state = 'active'"
                                  " AND query = 'SELECT pg_sleep(60)'") == "0":
            assert time.monotonic() < deadline
        cancel(c)
        thread.join(90)
        assert not thread.is_alive()
        yield error[0]
        yield c.execute("SELECT 'alive'").fetchone()


def test_cancel_reaches_the_target(stack):
    error, after = cancel_while_running(stack, lambda c: c.cancel())
    assert error.sqlstate == "57014"
    assert after == ("alive",)


def test_the_targets_own_cancel_key_is_not_shown(stack, postgres):
    with Wire(stack.port) as w:
        w.login()
        shown = struct.unpack("!i", w.key[:4])[0]
        w.send(query("SELECT pg_backend_pid()"))
        pid = int(w.read_until()[1][1][6:])
        assert shown != pid
        # Somebody who knows our key's number but not its secret cancels nothing, and hears nothing.
        with Wire(stack.port) as other:
            other.send(packet(80877102, w.key[:4] + b"\1\2\3\4"))
            assert other.closed()
        w.send(query("SELECT 1"))
        assert kinds(w.read_until()) == b"TDCZ"


def resident_kib(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as f:
        return int(f.read().split("VmRSS:")[1].split()[0])


def test_a_client_that_does_not_read_is_not_buffered_without_end(stack):
    """Backpressure: 400 MB of rows wait at the target, not in the sidecar's memory."""
    pid = stack.pid_of("chaperone-sidecar")
    text = "SELECT repeat('x', 1000) FROM generate_series(1, 400000)"
    with Wire(stack.port) as w:
        w.login()
        before = resident_kib(pid)
        w.send(query(text))
        deadline = time.monotonic() + 60
        while stack.postgres.psql("SELECT count(*) FROM pg_stat_activity WHERE wait_event ="
                                  f" 'ClientWrite' AND query = $q${text}$q$") == "0":
            assert time.monotonic() < deadline
        assert resident_kib(pid) - before < 64 << 10


def test_settings_of_the_startup_packet_are_decided_as_set(stack):
    marker = "chaperone_startup_probe"
    done = stack.psql("-Atc", f"SHOW search_path; SELECT '{marker}'",
                      PGOPTIONS=r"-c search_path=pg_catalog,public --statement-timeout=5000")
    assert done.stdout.splitlines()[0] == "pg_catalog,public"
    intent = stack.wait_for(lambda r: r["kind"] == "intent" and marker in (r["text"] or ""))
    texts = {r["text"]: r for r in stack.search("--session", intent["session"])
             if r["kind"] == "intent" and r["command"] == "SET"}
    assert set(texts) == {"SET \"search_path\" TO 'pg_catalog,public'",
                          "SET \"statement_timeout\" TO '5000'"}


@pytest.mark.parametrize("options", ["-B 100", "-c", "-c novalue", "--", "work_mem=1"])
def test_options_that_are_not_understood_are_refused(stack, options):
    with Wire(stack.port) as w:
        w.send(startup(options=options))
        kind, body = w.read()
        assert kind == b"E" and fields(body)["S"] == "FATAL"
        assert w.closed()
