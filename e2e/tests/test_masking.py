"""Masking by policy: what an agent sees of marked columns, what is refused, and what is recorded of it."""

import json
import subprocess

import psycopg
import pytest
from support.parts import Parts
from test_policy import EVERYTHING, publish

SECRETS = ["731-55-0192", "731-55-0193", "731-55-0194"]
MASKED = ["***-**-0192", "***-**-0193", "***-**-0194"]

NO_SUCH = """\
version: 1
rules:
  - name: everything
    effect: allow
    obligations:
      mask:
        - {columns: [nowhere.*.*], with: "null"}
"""


def masks(**options):
    more = "".join(f", {key}: {value}" for key, value in options.items())
    return f"""\
version: 1
rules:
  - name: people
    effect: allow
    obligations:
      mask:
        - {{columns: [public.people.ssn], with: {{partial: {{keep_last: 4, keep_separators: true}}}}{more}}}
"""


STRICT = masks()
LENIENT = masks(computed='"null"', predicates="allow", unknown_origin='"null"')


@pytest.fixture(scope="module")
def fleet(postgres):
    rows = ", ".join(f"({i}, 'person {i}', '{ssn}', 'note {i}')"
                     for i, ssn in enumerate(SECRETS, 1))
    postgres.psql("CREATE TABLE people (id int PRIMARY KEY, name text, ssn text UNIQUE, note text);"
                  f"INSERT INTO people VALUES {rows};"
                  "CREATE FUNCTION ssn_of(int) RETURNS text LANGUAGE sql STABLE AS"
                  " 'SELECT ssn FROM people WHERE id = $1'")
    running = Parts(postgres)
    yield running
    running.close()
    postgres.psql("DROP FUNCTION ssn_of; DROP TABLE people CASCADE")


def connect(stack, **options):
    return psycopg.connect(stack.dsn(), autocommit=True, **options)


def column(rows):
    return [row[0] for row in rows]


def refused(c, sql, words, **options):
    with pytest.raises(psycopg.errors.InsufficientPrivilege, match=words):
        c.execute(sql, **options)


@pytest.mark.parametrize("binary", [False, True])
def test_a_masked_column_is_masked_wherever_it_is_selected_from(fleet, binary):
    publish(fleet, STRICT)
    with connect(fleet) as c:
        for sql in ["SELECT ssn FROM people",
                    "SELECT ssn AS harmless FROM public.people p",
                    "SELECT x FROM (SELECT p.ssn AS x FROM people p) AS y",
                    "WITH w AS (SELECT * FROM people) SELECT ssn FROM w",
                    "SELECT a.ssn FROM people a JOIN people b ON b.id = a.id",
                    "SELECT ssn FROM people UNION ALL SELECT ssn FROM people WHERE false",
                    "UPDATE people SET note = note RETURNING ssn"]:
            assert sorted(column(c.execute(sql, binary=binary))) == MASKED, sql
        assert c.execute("SELECT * FROM people WHERE id = 2", binary=binary).fetchone() == (
            2, "person 2", MASKED[1], "note 2")
        assert c.execute("SELECT count(*), max(name) FROM people").fetchone() == (3, "person 3")


def test_masks_that_are_pushed_hold_for_the_next_statement(fleet):
    publish(fleet, EVERYTHING)
    with connect(fleet) as c:
        assert sorted(column(c.execute("SELECT ssn FROM people"))) == SECRETS
        publish(fleet, STRICT)
        assert sorted(column(c.execute("SELECT ssn FROM people"))) == MASKED
        publish(fleet, EVERYTHING)
        assert sorted(column(c.execute("SELECT ssn FROM people"))) == SECRETS


def test_what_is_prepared_is_masked_by_the_policy_of_its_execution(fleet):
    publish(fleet, EVERYTHING)
    with connect(fleet) as c:
        c.execute("PREPARE p AS SELECT ssn FROM people ORDER BY id")
        assert column(c.execute("EXECUTE p")) == SECRETS
        assert column(c.execute("SELECT ssn FROM people ORDER BY id", prepare=True)) == SECRETS
        publish(fleet, STRICT)
        assert column(c.execute("EXECUTE p")) == MASKED
        assert column(c.execute("SELECT ssn FROM people ORDER BY id", prepare=True)) == MASKED
        c.execute("DEALLOCATE p")
        refused(c, "EXECUTE p", "does not know this prepared statement")


def test_a_name_that_changes_its_meaning_is_followed(fleet):
    publish(fleet, STRICT)
    with connect(fleet) as c:
        c.execute("PREPARE p AS SELECT name FROM people WHERE id = 1")
        assert column(c.execute("EXECUTE p")) == ["person 1"]
        c.execute("DEALLOCATE p; PREPARE p AS SELECT ssn FROM people WHERE id = 1")
        assert column(c.execute("EXECUTE p")) == MASKED[:1]
        refused(c, "DEALLOCATE p; PREPARE p AS SELECT ssn FROM people; EXECUTE p", "people")


def test_a_cursor_is_masked_like_its_query(fleet):
    publish(fleet, STRICT)
    with connect(fleet) as c:
        with c.transaction():
            c.execute("DECLARE c CURSOR FOR SELECT ssn FROM people ORDER BY id")
            assert column(c.execute("FETCH 2 FROM c")) == MASKED[:2]
            assert column(c.execute("FETCH ALL FROM c", binary=True)) == MASKED[2:]
        c.execute("DECLARE h CURSOR WITH HOLD FOR SELECT ssn FROM people ORDER BY id")
        assert column(c.execute("FETCH ALL FROM h")) == MASKED
        c.execute("CLOSE h")
        refused(c, "FETCH ALL FROM h", "does not know this cursor")
    with psycopg.connect(fleet.dsn()) as c, c.cursor(name="server_side") as cursor:
        cursor.execute("SELECT ssn FROM people ORDER BY id")
        assert column(cursor.fetchall()) == MASKED


@pytest.mark.parametrize("sql, words", [
    ("SELECT upper(ssn) FROM people", "computed from masked columns"),
    ("SELECT p FROM people p", "computed from masked columns"),
    ("SELECT row_to_json(p) FROM people p", "computed from masked columns"),
    ("SELECT name FROM people WHERE ssn LIKE '731%'", "ssn is used in WHERE"),
    ("SELECT name FROM people ORDER BY ssn", "ssn is used in ORDER BY"),
    ("SELECT ssn_of(1)", "ssn_of"),
    ("CREATE TABLE copied AS SELECT * FROM people", "ssn"),
    ("INSERT INTO people (id, name) SELECT 9, ssn FROM people", "ssn"),
    ("ALTER TABLE people RENAME COLUMN ssn TO harmless", "people"),
    ("SELECT most_common_vals FROM pg_stats WHERE tablename = 'people'", "cannot be known"),
    ("DO $$ BEGIN RAISE NOTICE '%', (SELECT ssn FROM people LIMIT 1); END $$", "not known"),
])
def test_what_would_show_it_otherwise_is_refused_and_the_session_goes_on(fleet, sql, words):
    publish(fleet, STRICT)
    with connect(fleet) as c:
        refused(c, sql, f'(?s)rule "people".*{words}')
        assert column(c.execute("SELECT name FROM people WHERE id = 1")) == ["person 1"]
        with c.transaction():
            refused_in = pytest.raises(psycopg.errors.InsufficientPrivilege)
            with refused_in, c.transaction():
                c.execute(sql)
            assert column(c.execute("SELECT 1")) == [1]
    intent = fleet.wait_for(lambda r: r["kind"] == "intent" and r["text"] == sql)
    assert (intent["verdict"], intent["rule"]) == ("deny", "people")


def test_computed_values_become_null_where_the_rule_says_so(fleet):
    publish(fleet, LENIENT)
    with connect(fleet) as c:
        row = c.execute("SELECT id, upper(ssn), md5(ssn), name FROM people"
                        " WHERE ssn LIKE '731%' ORDER BY ssn LIMIT 1").fetchone()
        assert row == (1, None, None, "person 1")
        assert column(c.execute("SELECT ssn_of(1)")) == [None]


def test_a_view_that_was_just_made_hides_nothing(fleet):
    publish(fleet, STRICT)
    with connect(fleet) as c:
        c.execute("CREATE VIEW harmless AS SELECT id, ssn AS colour FROM people")
        assert column(c.execute("SELECT colour FROM harmless ORDER BY id")) == MASKED
        c.execute("CREATE OR REPLACE VIEW harmless AS SELECT id, name AS colour FROM people")
        assert column(c.execute("SELECT colour FROM harmless ORDER BY id"))[0] == "person 1"
        with c.transaction():
            c.execute("CREATE OR REPLACE VIEW harmless AS SELECT id, ssn AS colour FROM people")
            assert column(c.execute("SELECT colour FROM harmless ORDER BY id")) == MASKED
        with connect(fleet) as other:
            assert column(other.execute("SELECT colour FROM harmless ORDER BY id")) == MASKED
        c.execute("DROP VIEW harmless")


def test_a_table_of_the_agents_own_is_not_masked(fleet):
    publish(fleet, STRICT)
    with connect(fleet) as c:
        c.execute("CREATE TEMP TABLE mine (ssn text)")
        c.execute("INSERT INTO mine VALUES ('of my own')")
        assert column(c.execute("SELECT upper(ssn) FROM mine")) == ["OF MY OWN"]


@pytest.mark.parametrize("options, lines", [
    ("", ["1\t***-**-0192", "2\t***-**-0193", "3\t***-**-0194"]),
    (" WITH (FORMAT csv, HEADER)", ["id,ssn", "1,***-**-0192", "2,***-**-0193", "3,***-**-0194"]),
])
def test_copy_is_masked(fleet, options, lines):
    publish(fleet, STRICT)
    with connect(fleet) as c:
        for source in ["people (id, ssn)", "(SELECT id, ssn FROM people ORDER BY id)"]:
            with c.cursor().copy(f"COPY {source} TO STDOUT{options}") as copy:
                text = b"".join(bytes(piece) for piece in copy).decode()
            assert sorted(text.splitlines()) == sorted(lines)


def test_a_binary_copy_shows_nothing(fleet):
    publish(fleet, STRICT)
    with connect(fleet) as c:
        with c.cursor().copy("COPY people (id, ssn) TO STDOUT (FORMAT binary)") as copy:
            copy.set_types(["int4", "text"])
            rows = sorted(copy.rows())
    assert [row[0] for row in rows] == [1, 2, 3]
    assert not any(secret in str(rows) for secret in SECRETS)


def test_errors_do_not_speak_of_rows(fleet):
    publish(fleet, LENIENT)
    with connect(fleet) as c:
        for sql, error in [
                ("UPDATE people SET id = NULL WHERE id = 1", psycopg.errors.NotNullViolation),
                ("SELECT ssn::int FROM people", psycopg.errors.InvalidTextRepresentation),
                ("INSERT INTO people SELECT 1, 'x', 'y'", psycopg.errors.UniqueViolation)]:
            with pytest.raises(error) as caught:
                c.execute(sql)
            said = caught.value.diag
            assert "withheld" in said.message_primary
            assert (said.message_detail, said.context) == (None, None)
        with pytest.raises(psycopg.errors.UndefinedColumn, match="nonsense"):
            c.execute("SELECT nonsense FROM people")


def test_a_parameter_of_a_type_that_somebody_checks_is_refused(fleet, postgres):
    """The target reads it with the domain's CHECK, which no text names."""
    postgres.psql("CREATE TABLE heard (what text); CREATE FUNCTION tells(text) RETURNS bool LANGUAGE plpgsql AS"
                  " $$ BEGIN INSERT INTO public.heard SELECT ssn FROM public.people; RETURN true; END $$;"
                  " CREATE DOMAIN telling AS text CHECK (tells(VALUE))")
    try:
        publish(fleet, STRICT)
        with connect(fleet) as c:
            oid = c.execute("SELECT oid FROM pg_type WHERE typname = 'telling'").fetchone()[0]
            done = c.pgconn.exec_params(b"SELECT $1", [b"x"], param_types=[oid])
            assert done.error_field(psycopg.pq.DiagnosticField.SQLSTATE) == b"42501"
            assert c.execute("SELECT what FROM heard").fetchall() == []
    finally:
        postgres.psql("DROP DOMAIN telling; DROP FUNCTION tells; DROP TABLE heard")


def test_the_receipt_says_what_was_masked(fleet):
    publish(fleet, STRICT)
    sql = "SELECT id, ssn FROM people /* receipt */"
    with connect(fleet) as c:
        assert len(c.execute(sql).fetchall()) == 3
    outcome = fleet.outcome_of(sql)
    assert outcome["masked"] == [
        {"rule": "people", "column": "ssn", "rows": 3, "by_content": False}]
    assert not any(secret in json.dumps(outcome) for secret in SECRETS)


def test_content_that_looks_like_a_secret_is_masked_in_columns_that_nobody_named(fleet):
    publish(fleet, """\
version: 1
rules:
  - name: content
    effect: allow
    obligations: {mask: [{detect: [email, card], with: {fixed: "[masked]"}}]}
""")
    with connect(fleet) as c:
        assert column(c.execute("SELECT 'write to jane@mail.example.org today'")) == [
            "write to [masked] today"]
        assert column(c.execute("SELECT '{\"to\": \"jane\\u0040mail.example.org\"}'::json")) == [
            {"to": "[masked]"}]
        assert column(c.execute("SELECT 4111111111111111::bigint", binary=True)) != [
            4111111111111111]
        with pytest.raises(psycopg.Error) as caught:
            c.execute("SELECT 'jane@mail.example.org'::int")
        assert "jane" not in caught.value.diag.message_primary


def test_the_row_limit_of_a_policy_is_kept_and_said(fleet):
    publish(fleet, """\
version: 1
rules: [{name: few, effect: allow, obligations: {max_rows: 2}}]
""")
    with connect(fleet) as c:
        said = []
        c.add_notice_handler(lambda d: said.append(d.message_primary))
        assert column(c.execute("SELECT id FROM people ORDER BY id")) == [1, 2]
        assert said == ["the policy lets you see 2 rows; 1 more are left out"]
        assert column(c.execute("SELECT id FROM people WHERE id = 3")) == [3]


def test_a_policy_may_keep_values_out_of_the_record(fleet):
    publish(fleet, """\
version: 1
rules: [{name: discreet, effect: allow, obligations: {record: no_values}}]
""")
    sql = "SELECT ssn FROM people WHERE ssn = %s /* discreet */"
    with connect(fleet) as c:
        assert column(c.execute(sql, [SECRETS[0]])) == SECRETS[:1]
    intent = fleet.wait_for(lambda r: r["kind"] == "intent" and "discreet" in r["text"])
    outcome = fleet.wait_for(lambda r: r["kind"] == "outcome", "--session", intent["session"])
    shown = fleet.chaperone("audit", "show", intent["session"], "--json").stdout
    assert outcome["rows"] == 1 and "discreet" in shown and SECRETS[0] not in shown


def test_a_rule_in_shadow_is_recorded_and_not_done(fleet):
    publish(fleet, EVERYTHING + """\
  - name: no-people
    effect: deny
    mode: shadow
    match: {sql: {tables: [public.people]}}
""")
    sql = "SELECT id FROM people WHERE id = 1 /* shadow */"
    with connect(fleet) as c:
        assert column(c.execute(sql)) == [1]
    intent = fleet.wait_for(lambda r: r["kind"] == "intent" and r["text"] == sql)
    assert intent["verdict"] == "allow" and "no-people" in json.dumps(intent)


def lines_of(done):
    """Without the random word of pg_dump."""
    return [line for line in done.stdout.splitlines() if not line.startswith((r"\restrict",
                                                                              r"\unrestrict"))]


def test_tools_get_the_same_under_masks_that_match_nothing(fleet, postgres):
    publish(fleet, NO_SUCH)
    for command in (["psql", "-X", "-c", r"\d", "-c", r"\d+ people", "-c", r"\df", "-c", r"\dt+",
                     "-c", "TABLE people"],
                    ["pg_dump", "--no-sync"], ["pg_dump", "--no-sync", "--inserts", "-t", "people"]):
        through, direct = (subprocess.run(command, env=env, capture_output=True, text=True,
                                          check=False) for env in (fleet.env(), postgres.env()))
        assert through.returncode == 0, through.stderr
        assert lines_of(through) == lines_of(direct)
    done = subprocess.run(["pgbench", "-i", "-q", "-s", "1"], env=fleet.env(), capture_output=True,
                          text=True, check=False)
    assert done.returncode == 0, done.stderr
    for mode in ("simple", "extended", "prepared"):
        done = subprocess.run(["pgbench", "-n", "-t", "20", "-c", "2", "-M", mode], env=fleet.env(),
                              capture_output=True, text=True, check=False)
        assert done.returncode == 0 and "number of failed transactions: 0" in done.stdout, done
    postgres.psql("DROP TABLE pgbench_accounts, pgbench_branches, pgbench_history, pgbench_tellers")
