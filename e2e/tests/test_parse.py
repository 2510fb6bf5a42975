"""The server reads a statement's constants while it parses, and that may run code: no Parse leaves
before it is recorded, and none that is denied or waits for people leaves at all."""

import itertools
import os

import psycopg
import pytest
from support.stack import Stack
from support.wire import Wire, bind, describe, execute, fields, message, parse, sync

marks = itertools.count(1)

POLICY = """\
version: 1
rules:
  - {name: everything, effect: allow}
  - {name: no-secrets, effect: deny, match: {sql: {tables: [parsed_secrets]}}}
  - name: ask
    effect: hold
    match: {sql: {tables: [parsed_held]}}
    hold: {approvers: {groups: [dba]}, expires: 1h}
"""


@pytest.fixture(scope="module")
def marked(postgres):
    """A type whose CHECK leaves a mark when a constant of it is read."""
    postgres.psql("""
        CREATE TABLE parsed_marks (mark text);
        CREATE TABLE parsed_secrets (id int);
        CREATE TABLE parsed_held (id int);
        CREATE FUNCTION parsed_mark(text) RETURNS bool LANGUAGE plpgsql
            AS $$ BEGIN INSERT INTO public.parsed_marks VALUES ($1); RETURN true; END $$;
        CREATE DOMAIN parsed_text AS text CHECK (parsed_mark(VALUE));
    """)
    return lambda: set(postgres.psql("SELECT mark FROM parsed_marks").split())


@pytest.fixture(scope="module")
def guarded(postgres, marked, tmp_path_factory):
    path = os.path.join(tmp_path_factory.mktemp("policy"), "policy.yaml")
    with open(path, "w", encoding="utf-8") as f:
        f.write(POLICY)
    running = Stack(postgres, policy=path)
    yield running
    running.close()


def text_with(mark, table=None):
    return f"SELECT '{{{mark}}}'::parsed_text[]" + (f" FROM {table}" if table else "")


# What is sent of a Parse that no Bind follows, before the agent goes away.
ALONE = {
    "sync": lambda t: (parse(t), sync()),
    "named": lambda t: (parse(t, "s"), sync()),
    "described": lambda t: (parse(t, "s"), describe("S", "s"), sync()),
    "twice": lambda t: (parse(t), parse("SELECT 1"), bind(), execute(), sync()),
    "another's bind": lambda t: (parse("SELECT 2", "o"), parse(t, "s"), bind("", "o"), execute(), sync()),
    "flush before bind": lambda t: (parse(t), message(b"H"), bind(), execute(), sync()),
}


@pytest.mark.parametrize("way", ALONE)
def test_a_parse_alone_is_recorded(guarded, marked, way):
    text = text_with(mark := f"alone{next(marks)}")
    name = f"parse {mark}"
    with Wire(guarded.port) as w:
        w.login(application_name=name)
        w.send(*ALONE[way](text))
        w.read_until()
        assert mark in marked(), "the server runs it while it parses"
        w.send(message(b"X"))
        assert w.closed()
    intents = [r for r in guarded.conversation(name) if r["kind"] == "intent" and r["text"] == text]
    assert intents[0]["verb"] == "prepare"


def test_a_parse_is_recorded_before_the_server_has_it(guarded, marked, postgres):
    """The agent leaves at once: what the server did by then is in the record all the same."""
    sent = []
    for _ in range(20):
        text = text_with(mark := f"hasty{next(marks)}")
        with Wire(guarded.port) as w:
            w.login(application_name=f"parse {mark}")
            w.send(parse(text), sync())
        sent.append((mark, text))
    for mark, text in sent:
        texts = [r["text"] for r in guarded.conversation(f"parse {mark}") if r["kind"] == "intent"]
        assert mark not in marked() or text in texts


@pytest.mark.parametrize("messages", [
    lambda t: (parse(t), sync()),
    lambda t: (parse(t), bind(), execute(), sync()),
    lambda t: (parse(t, "s"), describe("S", "s"), sync()),
], ids=["alone", "with its bind", "described"])
def test_what_is_denied_is_not_even_parsed(guarded, marked, messages):
    text = text_with(mark := f"denied{next(marks)}", "parsed_secrets")
    with Wire(guarded.port) as w:
        w.login(application_name=f"parse {mark}")
        w.send(*messages(text))
        answers = w.read_until()
        assert [kind for kind, _ in answers] == [b"E", b"Z"]
        assert "no-secrets" in fields(answers[0][1])["M"]
        w.send(message(b"X"))
        assert w.closed()
    assert mark not in marked()
    (intent,) = [r for r in guarded.conversation(f"parse {mark}") if r["kind"] == "intent"]
    assert (intent["verdict"], intent["rule"], intent["text"]) == ("deny", "no-secrets", text)


def test_what_is_held_is_not_parsed_before_people_decide(guarded, marked):
    """With its Bind it waits whole; the plan that people see is asked in a transaction that is read
    only, so a mark cannot be left there either."""
    text = text_with(mark := f"held{next(marks)}", "parsed_held")
    with Wire(guarded.port) as w:
        w.login(application_name=f"parse {mark}")
        w.send(parse(text), bind(), execute(), sync())
        w.read_until(b"N")
        assert mark not in marked()


def test_a_driver_that_prepares_is_served(guarded):
    with psycopg.connect(guarded.dsn(application_name="prepares"), autocommit=True) as c:
        for n in range(3):
            row = c.execute("SELECT %s::int + 1", (n,), prepare=True).fetchone()
            assert row == (n + 1,)
    verbs = [r["verb"] for r in guarded.conversation("prepares") if r["kind"] == "intent"]
    assert verbs.count("prepare") == 1 and verbs.count("execute") == 3
