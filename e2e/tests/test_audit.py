"""What is recorded of a session, and how it is found again."""

import datetime
import decimal
import hashlib
import ipaddress
import itertools
import json
import os
import re
import struct
import subprocess
import uuid

import psycopg
import pytest
from psycopg.types.json import Jsonb
from support.stack import CHAPERONE
from support.wire import Wire, bind, describe, execute, message, parse, query, sync

# The keys that every object of `--json` begins with, whatever its kind.
KEYS = ("time kind session sequence identity on_behalf_of resource protocol command objects text"
        " parameters verdict rule policy status error rows bytes duration_us").split()
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")

names = itertools.count(1)


class Recorded:
    """What the audit says about one session: `intents`, and `outcome(intent)`."""

    def __init__(self, records):
        self.all = records
        self.opened, self.closed = records[0], records[-1]
        assert (self.opened["kind"], self.closed["kind"]) == ("session_opened", "session_closed")
        self.intents = [r for r in records if r["kind"] == "intent"]
        self.outcomes = {r["operation"]: r for r in records if r["kind"] == "outcome"}
        assert len(self.outcomes) == sum(r["kind"] == "outcome" for r in records)

    def outcome(self, intent):
        return self.outcomes[intent["operation"]]

    def of(self, text):
        found = [i for i in self.intents if i["text"] == text]
        assert len(found) == 1, (text, [i["text"] for i in self.intents])
        return found[0], self.outcome(found[0])


def by_hand(stack, conversation, **settings):
    """Runs `conversation` on a connection of wire messages; returns its result and the record."""
    name = settings.pop("application_name", f"by hand {next(names)}")
    with Wire(stack.port) as w:
        result = conversation(w.login(application_name=name, **settings))
        w.send(message(b"X"))
        assert w.closed()
    return result, Recorded(stack.conversation(name))


def ask(stack, *texts, **settings):
    """Simple queries, one after the other."""
    def conversation(w):
        answers = []
        for text in texts:
            w.send(query(text))
            answers.append(w.read_until())
        return answers
    return by_hand(stack, conversation, **settings)


def driven(stack, conversation, **options):
    """The same with a driver."""
    name = f"driven {next(names)}"
    with psycopg.connect(stack.dsn(application_name=name), autocommit=True, **options) as c:
        result = conversation(c)
    return result, Recorded(stack.conversation(name))


def digest(messages, kind):
    """Of the messages as they came over the wire; their bytes."""
    raw = b"".join(message(k, body) for k, body in messages if k == kind)
    return "\\x" + hashlib.sha256(raw).hexdigest(), len(raw)


# ---- the shape of a record


def test_every_record_has_the_keys_of_the_contract(stack):
    _, recorded = ask(stack, "SELECT 1", "SELECT FROM WHERE")
    stack.wait_for(lambda r: r["kind"] == "heartbeat")
    records = recorded.all + stack.search("--kind", "heartbeat", "--limit", "1")
    assert {r["kind"] for r in records} == {"session_opened", "intent", "outcome",
                                            "session_closed", "heartbeat"}
    for r in records:
        assert list(r)[:len(KEYS)] == KEYS, r["kind"]
        assert TIME.fullmatch(r["time"])
        assert isinstance(r["sequence"], int) and r["sequence"] > 0
        if r["kind"] == "heartbeat":
            assert r["session"] is None
            continue
        assert r["session"] == recorded.opened["session"]
        assert (r["identity"], r["resource"], r["protocol"]) == ("agent-7", "postgres", "postgres")
    for r in recorded.intents:
        assert r["verdict"] in ("allow", "deny") and r["rule"] and r["policy_revision"] == 1
        assert re.fullmatch("[0-9a-f]{64}", r["policy"])
        assert isinstance(r["objects"], list) and isinstance(r["parameters"], list)
    for r in recorded.outcomes.values():
        assert r["status"] in ("success", "refused") and r["duration_us"] >= 0
        assert isinstance(r["rows"], int) and isinstance(r["bytes"], int)
    sequences = [r["sequence"] for r in recorded.all]
    assert sequences == sorted(sequences)
    times = [r["time"] for r in recorded.all]
    assert times == sorted(times)


def test_the_policy_is_named_by_its_hash(stack):
    _, recorded = ask(stack, "SELECT 1")
    assert recorded.intents[0]["policy"] in stack.chaperone("status").stdout


def test_who_came_from_where_to_what(stack, postgres):
    _, recorded = driven(stack, lambda c: c.execute("SELECT 1"))
    o = recorded.opened
    assert (o["verdict"], o["identity"], o["groups"]) == ("allow", "agent-7",
                                                          ["analysts", "agents"])
    assert o["assurance"] == "verified" and o["issuer"].startswith("http://127.0.0.1:")
    assert o["target_address"] == f"127.0.0.1:{postgres.port}"
    assert (o["target_user"], o["database"]) == ("postgres", "postgres")
    assert o["application_name"].startswith("driven ")
    assert re.fullmatch(r"127\.0\.0\.1:\d+", o["agent_address"])
    # The process on the other end of the connection: this one.
    assert o["process"]["pid"] == os.getpid()
    assert o["process"]["uid"] == os.getuid()
    assert o["process"]["executable"] == os.path.realpath("/proc/self/exe")
    c = recorded.closed
    assert c["reason"] == "agent_disconnected" and c["operations"] == 1
    assert c["bytes"] > 0 and c["bytes_from_agent"] > 0 and c["duration_us"] > 0


# ---- what was asked


@pytest.mark.parametrize("text", [
    "SELECT 1",
    "  select\t'Ünï ☃ 🦖'  ,\n\n'it''s'  -- trailing \n ;  ",
    "SELECT $tag$ ' \" \\ $tag$, E'\\n', U&'\\2603', '\x01\x7f'",
    "SELECT 1; SELECT 2 ; ;SELECT 3",
    "/* only a comment */",
    "",
    "SELECT '" + "long " * 20000 + "'",
])
def test_the_text_is_exact(stack, text):
    _, recorded = ask(stack, text)
    assert [i["text"] for i in recorded.intents] == [text]
    assert recorded.outcome(recorded.intents[0])["status"] == "success"


def test_a_text_in_another_encoding(stack):
    def conversation(w):
        w.send(query("SET client_encoding = LATIN1"))
        w.read_until()
        w.send(message(b"Q", b"SELECT 'caf\xe9', 1\0"))
        return w.read_until()
    answer, recorded = by_hand(stack, conversation)
    assert b"caf\xe9" in answer[1][1]
    assert recorded.intents[1]["text"] == "SELECT 'caf�', 1"  # JSON holds UTF-8 only
    assert recorded.outcome(recorded.intents[1])["status"] == "success"


# The type that the statement wants, a value, and the type that psycopg sends it as.
VALUES = [
    ("int2", -7, "int2"), ("int4", 2**31 - 1, "int4"), ("int8", -2**63, "int8"),
    ("float8", -1e300, "float8"), ("float4", 0.5, "float8"),
    ("numeric", decimal.Decimal("-12345678901234567890.0123456789"), "numeric"),
    ("bool", True, "bool"), ("text", "Ünï\n☃ 'quoted'", "text"), ("varchar", "", "text"),
    ("bytea", b"\x00\xff\x80", "bytea"),
    ("uuid", uuid.UUID("01890000-0000-7000-8000-00000000abcd"), "uuid"),
    ("date", datetime.date(2026, 2, 28), "date"),
    ("time", datetime.time(23, 59, 59, 999999), "time"),
    ("timestamp", datetime.datetime(1999, 12, 31, 23, 59, 59, 1), "timestamp"),
    ("timestamptz", datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.timezone.utc),
     "timestamptz"),
    ("interval", datetime.timedelta(days=3, hours=4, microseconds=5), "interval"),
    ("jsonb", Jsonb({"a": [1, None, "e"]}), "jsonb"),
    ("inet", ipaddress.ip_address("10.1.2.3"), "inet"),
    ("int4[]", [1, -2, 300000], "int4[]"), ("text[]", ["a", 'b "c"', ""], "text[]"),
    ("text", None, None), ("int4", None, None),
]
# In the text format these are recorded in the agent's own words, which mean the same.
OWN_WORDS = {"timestamptz", "timestamp", "interval", "bool", "jsonb", "bytea", "float8", "uuid"}

# Of this the binary form is kept as it is.
NOT_DECODED = {"interval"}


@pytest.mark.parametrize("mark", ["%t", "%b"])
def test_parameters_are_recorded_as_the_server_reads_them(stack, mark):
    """Text and binary alike: the record has what the server itself makes of them."""
    def conversation(c):
        c.execute("SET timezone = 'UTC'")
        return [c.execute(f"SELECT CASE WHEN {mark}::{kind} IS NULL THEN NULL"
                          f" ELSE format('%%s', {mark}::{kind}) END", (value, value),
                          prepare=False).fetchone()[0]
                for kind, value, _ in VALUES]
    shown, recorded = driven(stack, conversation)
    intents = [i for i in recorded.intents if "SET" not in i["text"]]
    assert len(intents) == len(VALUES)
    for (kind, _, sent_as), text, intent in zip(VALUES, shown, intents):
        parameter, again = intent["parameters"]
        assert parameter == again
        if mark == "%t" and kind in OWN_WORDS:
            assert parameter["value"]
        elif mark == "%b" and kind in NOT_DECODED:
            assert parameter["value"].startswith("\\x")
        else:
            assert parameter["value"] == text, (kind, parameter)
        if mark == "%b" or kind not in ("text", "varchar", "text[]"):  # in text: of no type
            assert parameter["type"] == sent_as, (kind, parameter)


def test_what_is_known_of_types(stack):
    """Given in Parse, or told by the server to a Describe; unknown ones stay bytes in hex."""
    def conversation(w):
        values = (struct.pack("!i", -5), b"\0\1\2\3\xff")
        w.send(parse("SELECT $1::int4, $2::point", "s"), describe("S", "s"), sync())
        w.read_until()
        w.send(message(b"B", b"\0s\0" + struct.pack("!hhhh", 2, 1, 1, 2)
                       + b"".join(struct.pack("!i", len(v)) + v for v in values)
                       + struct.pack("!h", 0)), execute(), sync())
        w.read_until()
    _, recorded = by_hand(stack, conversation)
    one, two = recorded.intents[1]["parameters"]
    assert one == {"type": "int4", "value": "-5"}
    assert two["type"] == "point" and two["value"] == "\\x00010203ff"


def test_a_long_parameter_is_cut_and_says_so(stack):
    value = "x" * 100000
    _, recorded = driven(stack, lambda c: c.execute("SELECT length(%s)", (value,)))
    # Its Bind is longer than what is read at once: the Parse left before, as an operation of its own.
    prepared, executed = recorded.intents
    assert (prepared["verb"], executed["verb"]) == ("prepare", "execute")
    (parameter,) = executed["parameters"]
    assert parameter["truncated"] and parameter["size"] == len(value)
    assert len(parameter["value"]) == 4096 and set(parameter["value"]) == {"x"}


def test_the_prepared_text_is_behind_an_execute(stack):
    text = "SELECT name FROM customers WHERE id = $1"
    def conversation(w):
        w.send(parse(text, "by_id", (23,)), sync())
        w.read_until()
        for value in (b"7", b"8"):
            w.send(bind("", "by_id", (value,)), execute(), sync())
            w.read_until()
        w.send(query("PREPARE sql_level AS SELECT 1"), query("EXECUTE sql_level"))
        w.read_until()
        w.read_until()
    _, recorded = by_hand(stack, conversation)
    # Parse alone may already run code at the server: it is an operation of its own.
    parsed, first, second, prepared, executed = recorded.intents
    assert (parsed["verb"], parsed["text"], parsed["statement_name"]) == ("prepare", text, "by_id")
    assert recorded.outcome(parsed)["status"] == "success"
    assert [i["text"] for i in (first, second)] == [text, text]
    assert [i["statement_name"] for i in (first, second)] == ["by_id", "by_id"]
    assert [i["parameters"] for i in (first, second)] == [[{"type": "int4", "value": "7"}],
                                                         [{"type": "int4", "value": "8"}]]
    assert [i["verb"] for i in recorded.intents[1:]] == ["execute", "execute", "query", "query"]
    # What EXECUTE runs is decided as if it stood there.
    assert (prepared["command"], executed["command"]) == ("PREPARE", "SELECT")
    assert recorded.closed["operations"] == 5


def test_a_portal_that_is_never_executed(stack):
    def conversation(w):
        w.send(parse("SELECT 'bound only'"), bind("p"), sync(),
               parse("SELECT generate_series(1, 3)"), bind("q"), execute("q", 2), execute("q", 2),
               sync())
        w.read_until()
        return w.read_until()
    _, recorded = by_hand(stack, conversation)
    assert [(i["text"], recorded.outcome(i)["status"]) for i in recorded.intents] == [
        ("SELECT 'bound only'", "not_executed"),
        ("SELECT generate_series(1, 3)", "suspended"),
        ("SELECT generate_series(1, 3)", "success")]
    assert [recorded.outcome(i)["rows"] for i in recorded.intents] == [0, 2, 1]


def touched(intent):
    return {(o["kind"], o["name"], o["access"]) for o in intent["objects"]}


def test_commands_and_tables(stack):
    texts = {
        "SELECT c.name FROM customers c JOIN public.orders o ON o.customer = c.id WHERE o.id = 1":
            ("SELECT", {("table", "customers", "read"), ("table", "public.orders", "read")}),
        "WITH gone AS (DELETE FROM orders WHERE id < 0 RETURNING *) SELECT count(*) FROM gone":
            ("SELECT", {("table", "orders", "delete"), ("table", "orders", "read")}),
        "UPDATE customers SET name = name WHERE id IN (SELECT customer FROM orders WHERE id = -1)":
            ("UPDATE", {("table", "customers", "update"), ("table", "customers", "read"),
                        ("table", "orders", "read")}),
        "CREATE TEMP TABLE scratch (a int)":
            ("CREATE TABLE", {("table", "pg_temp.scratch", "create")}),
        "COPY scratch TO STDOUT": ("COPY", {("table", "scratch", "read")}),
        "BEGIN; TRUNCATE scratch; COMMIT":
            ("BEGIN; TRUNCATE TABLE; COMMIT", {("table", "scratch", "truncate")}),
    }
    _, recorded = ask(stack, *texts)
    for text, (command, objects) in texts.items():
        intent, outcome = recorded.of(text)
        assert outcome["status"] == "success", outcome
        assert intent["command"] == command
        tables = {o for o in touched(intent) if o[0] == "table"}
        assert tables == objects, (text, intent["objects"])


def test_the_state_of_the_transaction(stack):
    _, recorded = ask(stack, "SELECT 'a'", "BEGIN", "SELECT 'b'", "SELECT 1/0", "SELECT 'c'",
                      "ROLLBACK", "SELECT 'd'")
    assert [i["transaction"] for i in recorded.intents] == [
        "idle", "idle", "open", "open", "failed", "failed", "idle"]
    assert recorded.outcome(recorded.of("SELECT 'c'")[0])["error_code"] == "25P02"


# ---- what was answered


def test_an_answer_is_recorded_as_the_agent_saw_it(stack):
    text = "SELECT id, name, NULL AS nothing FROM customers WHERE id <= 3 ORDER BY id"
    (answer,), recorded = ask(stack, text)
    _, outcome = recorded.of(text)
    assert (outcome["status"], outcome["command_tag"], outcome["command"]) == (
        "success", "SELECT 3", "SELECT")
    assert (outcome["error"], outcome["error_code"]) == (None, None)
    assert outcome["rows"] == 3
    assert outcome["results"] == [{"columns": ["id", "name", "nothing"],
                                   "rows": [["1", "name 1", None], ["2", "name 2", None],
                                            ["3", "name 3", None]]}]
    assert (outcome["digest"], outcome["bytes"]) == digest(answer, b"D")
    assert 0 < outcome["duration_us"] < 60_000_000
    assert outcome["response_truncated"] is False


def test_rows_in_the_binary_format_are_shown_decoded(stack):
    def conversation(w):
        w.send(parse("SELECT 42::int4, -7::int8, 'x'::text, 0.5::float8, true, NULL"),
               message(b"B", b"\0\0" + struct.pack("!hhhh", 0, 0, 1, 1)), describe(), execute(),
               sync())
        return w.read_until()
    answer, recorded = by_hand(stack, conversation)
    outcome = recorded.outcome(recorded.intents[0])
    assert outcome["results"][0]["rows"] == [["42", "-7", "x", "0.5", "t", None]]
    assert (outcome["digest"], outcome["bytes"]) == digest(answer, b"D")


def test_several_results_of_one_text(stack):
    text = "SELECT 1 AS a; SELECT 2 AS b, 3 AS c; SELECT 4 WHERE false"
    (answer,), recorded = ask(stack, text)
    intent, outcome = recorded.of(text)
    assert intent["command"] == "SELECT; SELECT; SELECT"
    assert outcome["rows"] == 2 and outcome["command_tag"] == "SELECT 0"
    assert [r["columns"] for r in outcome["results"]][:2] == [["a"], ["b", "c"]]
    assert outcome["digest"] == digest(answer, b"D")[0]


def test_a_large_answer_is_cut_but_its_digest_is_of_all(stack):
    text = "SELECT i, repeat('y', 1000) FROM generate_series(1, 2000) i"
    (answer,), recorded = ask(stack, text)
    _, outcome = recorded.of(text)
    assert outcome["response_truncated"] is True
    assert (outcome["digest"], outcome["bytes"]) == digest(answer, b"D")
    assert outcome["rows"] == 2000 and outcome["bytes"] > 2_000_000
    kept = outcome["results"][0]["rows"]
    assert [row[0] for row in kept] == [str(i) for i in range(1, len(kept) + 1)]
    assert 50 < len(kept) < 66  # 64 KiB of them


@pytest.mark.parametrize("text,code,words", [
    ("SELECT 1/0", "22012", "division by zero"),
    ("SELECT * FROM nowhere", "42P01", 'relation "nowhere" does not exist'),
    ("DO $$ BEGIN RAISE 'own words' USING ERRCODE = 'XY123'; END $$", "XY123", "own words"),
])
def test_an_error_of_the_target(stack, text, code, words):
    _, recorded = ask(stack, text)
    intent, outcome = recorded.of(text)
    assert (intent["verdict"], outcome["status"]) == ("allow", "failed")
    assert (outcome["error_code"], outcome["error"]) == (code, words)
    assert "digest" not in outcome and outcome["rows"] == 0


def test_rows_before_an_error_are_recorded_too(stack):
    text = "SELECT 10 / (3 - i) FROM generate_series(1, 5) i"
    (answer,), recorded = ask(stack, text)
    _, outcome = recorded.of(text)
    assert (outcome["status"], outcome["error_code"]) == ("failed", "22012")
    assert (outcome["digest"], outcome["bytes"]) == digest(answer, b"D")
    assert outcome["results"][0]["rows"] == [["5"], ["10"]] and outcome["rows"] == 2


def test_a_refusal_is_recorded_and_never_reached_the_target(stack, postgres):
    text = "SELECT FROM WHERE /* refused-4711 */"
    _, recorded = ask(stack, text)
    intent, outcome = recorded.of(text)
    assert (intent["verdict"], outcome["status"]) == ("deny", "refused")
    assert outcome["error_code"] == "42601" and 'at or near "WHERE"' in intent["error"]
    with open(postgres.log, encoding="utf-8", errors="replace") as f:
        assert "refused-4711" not in f.read()


def test_copy_in(stack):
    parts = [b"1\tone\n2\tt", b"wo\n", b"3\tthree\n"]

    def conversation(w):
        w.send(query("CREATE TEMP TABLE loaded (a int, b text)"))
        w.read_until()
        w.send(query("COPY loaded FROM STDIN"))
        w.read_until(b"G")
        w.send(*(message(b"d", p) for p in parts), message(b"c"))
        return w.read_until()
    _, recorded = by_hand(stack, conversation)
    intent, outcome = recorded.of("COPY loaded FROM STDIN")
    assert intent["command"] == "COPY" and ("table", "loaded", "insert") in touched(intent)
    assert (outcome["status"], outcome["command_tag"], outcome["rows"]) == ("success", "COPY 3", 3)
    sent = b"".join(message(b"d", p) for p in parts)
    assert outcome["bytes_in"] == len(sent)
    assert outcome["digest_in"] == "\\x" + hashlib.sha256(sent).hexdigest()


def test_copy_out(stack):
    text = "COPY (SELECT i, 'row ' || i FROM generate_series(1, 300) i) TO STDOUT"
    (answer,), recorded = ask(stack, text)
    _, outcome = recorded.of(text)
    assert (outcome["status"], outcome["command_tag"]) == ("success", "COPY 300")
    assert (outcome["digest"], outcome["bytes"]) == digest(answer, b"d")
    assert outcome["results"][0]["rows"][:2] == ["1\trow 1\n", "2\trow 2\n"]


@pytest.mark.parametrize("text,value,code", [
    ("SELECT * FROM nowhere WHERE a = $1", b"1", "42P01"),      # at Parse
    ("SELECT $1::int", b"one", "22P02"),                        # at Bind
    ("SELECT 1/(1 - $1::int)", b"1", "22012"),                  # at Bind, by the planner
    ("SELECT 1/(pg_backend_pid() * 0 * $1::int)", b"1", "22012"),  # at Execute
])
def test_what_fails_and_what_is_skipped_after_it(stack, text, value, code):
    """Wherever in the extended protocol the target's error comes from, it is the operation's."""
    def conversation(w):
        w.send(parse(text), bind(values=(value,)), execute(),
               parse("SELECT 'skipped'"), bind(), execute(), sync())
        return w.read_until()
    answer, recorded = by_hand(stack, conversation)
    failed, skipped = (recorded.outcome(i) for i in recorded.intents)
    assert (failed["status"], failed["error_code"]) == ("failed", code)
    assert failed["error"].encode() in answer[-2][1]
    assert (skipped["status"], skipped["error_code"]) == ("not_executed", None)


# ---- why, and for whom


def test_reasons_in_comments_are_declared(stack):
    text = "/* reason: monthly report; ticket: OPS-7 */ SELECT 1 -- on_behalf_of: alice"
    _, recorded = ask(stack, text, "SELECT 'reason: none of it'")
    intent, _ = recorded.of(text)
    assert intent["reasons"] == [
        {"text": "monthly report", "assurance": "declared", "source": "sql_comment"},
        {"text": "OPS-7", "assurance": "declared", "source": "sql_comment"}]
    assert intent["on_behalf_of"] == "alice"
    assert intent["delegation"] == [{"subject": "alice", "assurance": "declared",
                                     "source": "sql_comment"}]
    assert recorded.intents[1]["reasons"] == [] and recorded.intents[1]["on_behalf_of"] is None


def test_reasons_in_the_application_name_are_declared(stack):
    name = f"nightly {next(names)}; reason: the report; on_behalf_of: bob"
    _, recorded = ask(stack, "SELECT 1", application_name=name)
    (intent,) = recorded.intents
    assert intent["reasons"] == [{"text": "the report", "assurance": "declared",
                                  "source": "application_name"}]
    assert intent["delegation"][0] == {"subject": "bob", "assurance": "declared",
                                       "source": "application_name"}


def test_reasons_in_the_token_are_verified(own_stack):
    stack = own_stack(identity="sub=agent-8,groups=agents,reason=on call,on_behalf_of=carol")
    _, recorded = ask(stack, "/* reason: my own */ SELECT 1")
    opened = recorded.opened
    assert opened["on_behalf_of"] == "carol"
    assert {(r["text"], r["assurance"]) for r in opened["reasons"]} == {("on call", "verified")}
    assert {(d["subject"], d["assurance"]) for d in opened["delegation"]} == {("carol",
                                                                              "verified")}
    # Every record of the session says on whose behalf; what the agent declares stays declared.
    assert {r["on_behalf_of"] for r in recorded.all} == {"carol"}
    assert recorded.intents[0]["reasons"] == [{"text": "my own", "assurance": "declared",
                                               "source": "sql_comment"}]


# ---- finding it again


@pytest.fixture(scope="module")
def history(postgres):
    """Two agents on two resources, one after the other in one directory."""
    from support.stack import Stack
    first = Stack(postgres, identity="sub=agent-a,groups=agents", more=["--resource", "shop"])
    one = ask(first, "SELECT 'apple pie' FROM customers", "SELECT 'apple' FROM public.orders",
              "SELECT FROM WHERE apple", "SELECT 'plum'")[1]
    first.stop()
    second = Stack(postgres, directory=first.dir, identity="sub=agent-b,groups=agents",
                   more=["--resource", "archive"])
    two = ask(second, "SELECT 'APPLE' FROM orders", "SELECT 'pear'")[1]
    yield second, one, two
    first.owns_dir, second.owns_dir = False, True
    second.close()


def texts_of(records):
    return [r["text"] for r in records if r["kind"] == "intent"]


def test_search_by_identity_and_resource(history):
    stack, one, two = history
    assert texts_of(stack.search("--identity", "agent-a")) == texts_of(one.all)
    assert texts_of(stack.search("--identity", "agent-b")) == texts_of(two.all)
    assert texts_of(stack.search("--resource", "shop")) == texts_of(one.all)
    assert texts_of(stack.search("--resource", "archive")) == texts_of(two.all)
    assert stack.chaperone("audit", "search", "--identity", "agent", check=False).returncode == 1
    assert stack.chaperone("audit", "search", "--identity", "agent-a", "--resource", "archive",
                           check=False).returncode == 1


def test_search_by_session(history):
    stack, one, two = history
    for recorded in (one, two):
        found = stack.search("--session", recorded.opened["session"])
        assert [r["sequence"] for r in found] == [r["sequence"] for r in recorded.all]


def test_search_by_words(history):
    stack, _, _ = history
    assert texts_of(stack.search("--text", "apple")) == [
        "SELECT 'apple pie' FROM customers", "SELECT 'apple' FROM public.orders",
        "SELECT FROM WHERE apple", "SELECT 'APPLE' FROM orders"]
    assert texts_of(stack.search("--text", "pie apple")) == ["SELECT 'apple pie' FROM customers"]
    assert texts_of(stack.search("--text", "apple", "--identity", "agent-b")) == [
        "SELECT 'APPLE' FROM orders"]


def test_search_by_table(history):
    stack, _, _ = history
    assert texts_of(stack.search("--table", "orders")) == ["SELECT 'apple' FROM public.orders",
                                                           "SELECT 'APPLE' FROM orders"]
    assert texts_of(stack.search("--table", "customers")) == ["SELECT 'apple pie' FROM customers"]
    assert stack.chaperone("audit", "search", "--table", "order", check=False).returncode == 1


def test_search_by_verdict_and_kind(history):
    stack, _, _ = history
    assert texts_of(stack.search("--verdict", "deny")) == ["SELECT FROM WHERE apple"]
    assert len(texts_of(stack.search("--verdict", "allow"))) == 5
    assert {r["kind"] for r in stack.search("--kind", "outcome,session_closed")} == {
        "outcome", "session_closed"}


def test_search_by_time(history):
    stack, one, two = history
    start, end = two.opened["time"], one.closed["time"]
    assert texts_of(stack.search("--since", start)) == texts_of(two.all)
    assert texts_of(stack.search("--until", end)) == texts_of(one.all)
    # Both ends are included; another zone is the same moment.
    exactly = one.intents[1]["time"]
    moment = datetime.datetime.fromisoformat(exactly.replace("Z", "+00:00"))
    zoned = moment.astimezone(datetime.timezone(datetime.timedelta(hours=5, minutes=30)))
    for words in (exactly, zoned.isoformat()):
        # A record's time has nanoseconds, an object's text microseconds.
        after = (moment + datetime.timedelta(microseconds=1)).isoformat()
        found = stack.search("--since", words, "--until", after)
        assert texts_of(found) == [one.intents[1]["text"]]
    last = two.closed["time"]  # what the sidecar itself writes goes on
    everything = [r["hash"] for r in stack.search("--until", last)]
    assert len(everything) >= len(one.all) + len(two.intents)
    assert [r["hash"] for r in stack.search("--since", "2h", "--until", last)] == everything
    assert stack.chaperone("audit", "search", "--until", "2h", check=False).returncode == 1
    assert stack.chaperone("audit", "search", "--since", "now", check=False).returncode == 1


def test_search_with_a_limit_gives_the_newest(history):
    stack, _, _ = history
    all_intents = [r["text"] for r in stack.search("--kind", "intent")]
    assert [r["text"] for r in stack.search("--kind", "intent", "--limit", "2")] == all_intents[-2:]
    assert [r["text"] for r in stack.search("--kind", "intent", "--limit", "100")] == all_intents


def test_search_for_people(history):
    """In a pipe: a line with tabs between, no colours."""
    stack, one, _ = history
    lines = stack.chaperone("audit", "search", "--session", one.opened["session"]).stdout
    assert "\x1b" not in lines
    rows = [line.split("\t") for line in lines.splitlines()]
    assert len(rows) == len(one.all) and {len(r) for r in rows} == {7}
    assert [r[1] for r in rows] == [r["kind"] for r in one.all]
    assert rows[1][2:] == [one.opened["session"], "agent-a", "shop", "allow",
                           "SELECT 'apple pie' FROM customers"]


def test_show_tells_the_whole_conversation(stack):
    _, recorded = ask(stack, "SELECT id, name FROM customers WHERE id = 7 /* reason: a look */",
                      "SELECT 1/0", "SELECT FROM WHERE")
    shown = stack.chaperone("audit", "show", recorded.opened["session"]).stdout
    for words in ("agent-7 (verified", "SELECT id, name FROM customers WHERE id = 7", "name 7",
                  "a look", "customers (read)", "SELECT 1/0", "22012", "division by zero",
                  "SELECT FROM WHERE", "refused", "+00:00:00.", "agent_disconnected after 3"):
        assert words in shown, (words, shown)
    assert "\x1b" not in shown
    nobody = stack.chaperone("audit", "show", "01890000-0000-7000-8000-000000000000", check=False)
    assert nobody.returncode == 1 and "no session" in nobody.stderr


def test_tail_is_live(stack):
    with stack.tail("--text", "livemark") as tail:
        for n in range(3):  # the second and third surely come after it began
            text = f"SELECT 'livemark', {n}"
            stack.psql("-c", text)
            assert json.loads(tail.stdout.readline())["text"] == text


def test_the_list_of_sessions(stack):
    def listed(*args):
        done = stack.chaperone("session", "list", "--json", *args)
        return {s["session"]: s for s in map(json.loads, done.stdout.splitlines())}

    name = f"listed {next(names)}"
    with psycopg.connect(stack.dsn(application_name=name), autocommit=True) as c:
        c.execute("SELECT 1")
        opened = stack.wait_for(lambda r: r["kind"] == "session_opened"
                                and r.get("application_name") == name)
        stack.wait_for(lambda r: r["kind"] == "outcome", "--session", opened["session"])
        one = listed()[opened["session"]]
        assert (one["state"], one["identity"], one["resource"]) == ("open", "agent-7", "postgres")
        assert one["operations"] == 1 and one["agent_address"] == opened["agent_address"]
        assert opened["session"] in stack.chaperone("session", "list").stdout
    stack.wait_for(lambda r: r["kind"] == "session_closed", "--session", opened["session"])
    assert opened["session"] not in listed()
    assert listed("--all")[opened["session"]]["state"] == "closed"


# ---- the command's manners


@pytest.mark.parametrize("args,said", [
    (["audit", "search", "--identty", "x"], "did you mean --identity?"),
    (["audit", "search", "--verdict", "perhaps"], "allow, deny"),
    (["audit", "search", "--since", "yesterday"], "--since"),
    (["audit", "search", "--since", "1h", "--until", "2h"], "--since is after --until"),
    (["audit", "search", "--limit", "0"], "at least 1"),
    (["audit", "search", "--limit", "many"], "--limit"),
    (["audit", "search", "--kind", "outcom"], "did you mean outcome?"),
    (["audit", "search", "words"], "words"),
    (["audit", "serach"], 'did you mean "audit search"?'),
    (["audit", "show"], "SESSION"),
    (["session", "kill"], "SESSION"),
    (["sesion", "list"], "did you mean"),
])
def test_misuse_is_explained(stack, args, said):
    done = stack.chaperone(*args, check=False)
    assert done.returncode == 2, done
    assert said in done.stderr and done.stdout == ""


def test_exit_codes(stack, tmp_path):
    ask(stack, "SELECT 1")
    assert stack.chaperone("audit", "search").returncode == 0
    nothing = stack.chaperone("audit", "search", "--text", "neverwritten", check=False)
    assert (nothing.returncode, nothing.stdout) == (1, "")
    assert "no record matches" in nothing.stderr
    done = subprocess.run([CHAPERONE, "audit", "search", "--dir", str(tmp_path)], check=False,
                          capture_output=True, text=True)
    assert done.returncode in (1, 2) and str(tmp_path) in done.stderr
