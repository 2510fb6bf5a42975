"""What the sidecar reads of a target's catalog, as an ordinary role whose schemas are set against it."""

import json
import os
import resource
import subprocess
import threading

import psycopg
import pytest
from support.postgres import Postgres
from support.stack import BIN

DUMP = os.path.join(BIN, "sidecar/catalog/catalog_dump")
FINGERPRINT = 0


@pytest.fixture(scope="module")
def queries():
    done = subprocess.run([DUMP, "queries"], check=True, capture_output=True, text=True, timeout=60)
    return done.stdout.splitlines()


@pytest.fixture(scope="module")
def server():
    running = Postgres(auth="trust", settings=["log_statement=none"])
    running.psql("CREATE ROLE agent LOGIN; CREATE ROLE other NOLOGIN; GRANT other TO agent;")
    yield running
    running.close()


@pytest.fixture
def database(server, request):
    """A database of the test's own; returns how to connect to it."""
    name = request.node.name.replace("[", "_").replace("]", "").lower()[:60]
    server.psql(f'CREATE DATABASE "{name}"')
    server.psql("GRANT ALL ON SCHEMA public TO PUBLIC", name)
    server.psql(f'GRANT CREATE ON DATABASE "{name}" TO agent')
    opened = []

    def connect(user="agent"):
        opened.append(psycopg.connect(host="127.0.0.1", port=server.port, user=user, dbname=name,
                                      autocommit=True))
        return opened[-1]

    yield connect
    for connection in opened:
        connection.close()


def ask(connection, query):
    """By the extended protocol, all as text."""
    result = connection.pgconn.exec_params(query.encode(), None)
    assert result.status == psycopg.pq.ExecStatus.TUPLES_OK, result.error_message.decode()
    return [[v if v is None else v.decode() for v in
             (result.get_value(row, column) for column in range(result.nfields))]
            for row in range(result.ntuples)]


def spent(connection):
    """Seconds of the processor, which others have as well: of the server's process, and of the programs
    that have read its answers."""
    with open(f"/proc/{connection.info.backend_pid}/stat", encoding="ascii") as f:
        user, system = map(int, f.read().rsplit(")", 1)[1].split()[11:13])
    programs = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (user + system) / os.sysconf("SC_CLK_TCK") + programs.ru_utime + programs.ru_stime


class Snapshot:
    def __init__(self, connection, queries, find=(), builtin=(), current=None):
        rows = [[q, row] for q, text in enumerate(queries) for row in ask(connection, text)]
        self.fingerprint = rows[0][1][0]
        question = {"rows": rows, "find": find, "builtin": builtin,
                    "current": self.fingerprint if current is None else current}
        done = subprocess.run([DUMP], check=True, input=json.dumps(question), capture_output=True,
                              text=True, timeout=60)
        answer = json.loads(done.stdout)
        assert "error" not in answer, answer
        self.relations = {(r["schema"], r["name"]): r for r in answer["relations"]}
        self.by_oid = {r["oid"]: r for r in answer["relations"]}
        self.found = [o and (self.by_oid[o]["schema"], self.by_oid[o]["name"])
                      for o in answer["find"]]
        self.builtin = answer["builtin"]
        self.casts = [tuple(c) for c in answer["casts"]]
        self.checks = sorted(function for _, function in answer["checks"])
        self.current = answer["current"]

    def columns(self, schema, name):
        return {c[1]: c for c in self.relations[schema, name]["columns"]}

    def definition(self, schema, name):
        return self.relations[schema, name].get("definition")

    def writing(self, name):
        return sorted(self.relations["public", name]["writing"])

    def parents(self, schema, name):
        return [(self.by_oid[p]["schema"], self.by_oid[p]["name"])
                for p in self.relations[schema, name]["parents"]]


def test_relations_of_every_kind(database, queries):
    with database() as c:
        c.execute("CREATE TABLE t (id int, a text, gone int, n numeric(10,2),"
                  " twice int GENERATED ALWAYS AS (id * 2) STORED)")
        c.execute("ALTER TABLE t DROP COLUMN gone")
        c.execute("CREATE TABLE parts (id int) PARTITION BY RANGE (id)")
        c.execute("CREATE TABLE part1 PARTITION OF parts FOR VALUES FROM (1) TO (9)")
        c.execute("CREATE INDEX parts_id ON parts (id)")
        c.execute("CREATE TABLE heir (extra int) INHERITS (t, parts)".replace(", parts", ""))
        c.execute("CREATE SEQUENCE s")
        c.execute("CREATE TYPE pair AS (x int, y text)")
        c.execute("CREATE VIEW v AS SELECT id, upper(a) AS b FROM t")
        c.execute("CREATE MATERIALIZED VIEW m AS SELECT b FROM v")
        c.execute("CREATE TABLE ruled (id int)")
        c.execute("CREATE RULE r AS ON INSERT TO ruled DO ALSO DELETE FROM t")
        c.execute("CREATE RULE r AS ON DELETE TO v DO INSTEAD NOTHING")
        s = Snapshot(c, queries)
    kinds = {n: s.relations["public", n]["kind"] for n in
             ("t", "parts", "part1", "parts_id", "s", "pair", "v", "m", "ruled")}
    assert kinds == {"t": "table", "parts": "table", "part1": "table", "parts_id": "other",
                     "s": "sequence", "pair": "other", "v": "view", "m": "materialized view",
                     "ruled": "table"}
    assert [(c[0], c[1], c[3], c[4]) for c in s.relations["public", "t"]["columns"]] == [
        (1, "id", "integer", False), (2, "a", "text", False), (4, "n", "numeric", False),
        (5, "twice", "integer", True)]
    assert s.parents("public", "part1") == [("public", "parts")]
    assert s.parents("public", "heir") == [("public", "t")]
    assert s.parents("public", "t") == []
    assert list(s.columns("public", "m")) == ["b"]
    assert list(s.columns("public", "pair")) == ["x", "y"]
    assert {n for (schema, n), r in s.relations.items()
            if schema == "public" and r["has_rules"]} == {"ruled", "v"}
    assert "upper" in s.definition("public", "v") and s.definition("public", "m")
    assert s.definition("public", "t") is None
    system = s.relations["pg_catalog", "pg_stats"]
    assert system["is_system"] and "definition" not in system and system["columns"]
    assert s.relations["information_schema", "columns"]["is_system"]
    assert not s.relations["public", "v"]["is_system"]
    assert s.current


def test_names_are_kept_to_the_byte(database, queries):
    names = ['a.b', 'quo"te', "new\nline", "tab\t", "back\\slash", "apos'trophe", "Ümlaut", "x" * 63,
             " ", "select", "€\u200b"]
    with database() as c:
        for name in names:
            quoted = '"' + name.replace('"', '""') + '"'
            c.execute(f"CREATE SCHEMA {quoted}")
            c.execute(f"CREATE TABLE {quoted}.{quoted} ({quoted} int)")
            c.execute(f"CREATE VIEW {quoted}.v AS SELECT {quoted} FROM {quoted}.{quoted}")
        s = Snapshot(c, queries, find=[[n, n] for n in names] + [["a", "b.a.b"], [None, "a.b"]])
    for name in names:
        assert list(s.columns(name, name)) == [name]
    assert s.found == [(n, n) for n in names] + [None, None]


def test_names_resolve_as_the_server_does(database, queries):
    """Each name is asked of the server itself too."""
    with database() as c, database() as stranger:
        c.execute("CREATE SCHEMA a; CREATE SCHEMA b; CREATE SCHEMA closed")
        c.execute("CREATE TABLE a.t (x int); CREATE TABLE b.t (x int); CREATE TABLE public.t (x int);"
                  "CREATE TABLE b.only_b (x int); CREATE TABLE a.pg_class (x int);"
                  "CREATE TABLE closed.t (x int); CREATE TABLE closed.hidden (x int);"
                  "CREATE TABLE public.pg_stats (x int)")
        stranger.execute("CREATE TEMP TABLE t (strange int); CREATE TEMP TABLE theirs (x int)")
        paths = ["public", "a, b", "b, a", "a, pg_catalog", "pg_catalog, a", "nowhere, b", "", '"$user", b',
                 "closed, b", "b, pg_temp", "pg_temp, b", "information_schema, a"]
        bare = ["t", "only_b", "pg_class", "hidden", "pg_stats", "theirs", "columns", "mine", "nothing"]

        def check(path):
            c.execute("SELECT set_config('search_path', %s, false)", [path])
            s = Snapshot(c, queries, find=[[None, n] for n in bare])
            real = [c.execute("SELECT to_regclass(%s)::oid::bigint", [n]).fetchone()[0] for n in bare]
            assert s.found == [o and (s.by_oid[o]["schema"], s.by_oid[o]["name"]) for o in real], path

        for path in paths:
            check(path)
        c.execute("CREATE TEMP TABLE t (y int); CREATE TEMP TABLE mine (y int);"
                  "CREATE TEMP TABLE pg_class (y int)")
        for path in paths:
            check(path)
        # A schema that the role may not use is no part of its search path.
        with database("postgres") as admin:
            admin.execute("ALTER SCHEMA closed OWNER TO postgres")
        check("closed, b")
        temporary = Snapshot(c, queries, find=[["pg_temp", "mine"], ["pg_temp", "only_b"],
                                               ["public", "mine"]])
        assert temporary.found[0][1] == "mine" and temporary.found[1:] == [None, None]
        own = [r for r in temporary.relations.values() if r["is_temporary"]]
        assert sorted(r["name"] for r in own) == ["mine", "pg_class", "t"]
        assert not any("strange" in [x[1] for x in r["columns"]]
                       for r in temporary.relations.values())


def test_an_administrators_session(database, queries):
    """Who may use every schema sees the same, with temporary relations and their TOAST tables too."""
    with database("postgres") as c, database() as other:
        other.execute("CREATE TABLE t (x text); CREATE TEMP TABLE theirs (x text)")
        c.execute("CREATE TEMP TABLE mine (x text); CREATE TEMP VIEW v AS SELECT x FROM mine")
        for level in ("READ COMMITTED", "REPEATABLE READ"):
            c.execute(f"BEGIN ISOLATION LEVEL {level}")
            s = Snapshot(c, queries, find=[[None, "mine"], [None, "v"], [None, "theirs"]])
            c.execute("COMMIT")
            schema = s.found[0][0]
            assert s.found == [(schema, "mine"), (schema, "v"), None]
            assert s.definition(schema, "v") and s.relations[schema, "v"]["is_temporary"]
            toast = [r for (k, _), r in s.relations.items() if k == schema.replace("temp", "toast_temp")]
            assert [(r["kind"], r["is_system"], r["is_temporary"]) for r in toast] == [("other", True, False)]


def test_types(database, queries):
    """What a column's type is called does not depend on the search path, nor on a type of the
    agent's that has the name of another."""
    with database() as c:
        c.execute("CREATE SCHEMA evil; CREATE DOMAIN evil.text AS int; CREATE DOMAIN evil.date AS text;"
                  "CREATE TYPE public.mood AS ENUM ('ok'); CREATE TYPE \"Odd.one\" AS ENUM ('x');"
                  "CREATE DOMAIN d1 AS varchar(20); CREATE DOMAIN d2 AS d1 CHECK (VALUE <> '');"
                  "CREATE DOMAIN d3 AS d2; CREATE DOMAIN da AS int[]")
        c.execute("CREATE TABLE t (a pg_catalog.text, b evil.text, c evil.date, d d3, e mood, f mood[],"
                  ' g d3[], h "Odd.one", i da, j timestamptz, k pg_catalog.date[], l "char", m varchar[])')
        seen = []
        for path in ("public", "evil, pg_catalog", "evil, public, pg_catalog", ""):
            c.execute("SELECT set_config('search_path', %s, false)", [path])
            s = Snapshot(c, queries, builtin=[["type", None, "text"], ["type", None, "int4"],
                                              ["type", "pg_catalog", "text"], ["type", "evil", "text"],
                                              ["type", None, "mood"], ["type", None, "_mood"],
                                              ["type", None, "t"], ["type", None, "_t"]])
            seen.append([x[3] for x in s.relations["public", "t"]["columns"]])
            assert s.builtin == ["evil" not in path, True, True, False] + ["public" not in path] * 4
        oids = {n: x[2] for n, x in s.columns("public", "t").items()}
        described = c.execute("SELECT * FROM public.t").description
        assert {x.name: x.type_code for x in described} == oids  # as a RowDescription says it
    assert seen == [["text", "integer", "text", "character varying", "public.mood", "public.mood[]",
                     "public.d3[]", 'public."Odd.one"', "integer[]", "timestamp with time zone",
                     "date[]", '"char"', "character varying[]"]] * len(seen)


def test_foreign_functions_and_operators(database, queries):
    asked = [["function", None, "lower"], ["function", "pg_catalog", "lower"], ["function", "a", "lower"],
             ["function", None, "upper"], ["function", None, "in_temp"], ["operator", None, "="],
             ["operator", None, "<"], ["operator", "pg_catalog", "="], ["function", None, "planted"],
             ["function", "pg_catalog", "planted"], ["function", None, "_pg_truetypid"]]
    with database() as c:
        c.execute("CREATE SCHEMA a; SET search_path = public, a;"
                  "CREATE FUNCTION a.lower(text) RETURNS text LANGUAGE sql AS 'SELECT $1';"
                  "CREATE FUNCTION pg_temp.in_temp() RETURNS int LANGUAGE sql AS 'SELECT 1';"
                  "CREATE FUNCTION a.same(text, text) RETURNS bool LANGUAGE sql AS 'SELECT true';"
                  "CREATE OPERATOR a.= (LEFTARG = text, RIGHTARG = text, FUNCTION = a.same)")
        with database("postgres") as admin:
            admin.execute("SET allow_system_table_mods = on;"
                          "CREATE FUNCTION pg_catalog.planted() RETURNS int LANGUAGE sql AS 'SELECT 1'")
        s = Snapshot(c, queries, builtin=asked)
        assert s.builtin == [False, True, False, True, True, False, True, True, False, False, True]
        c.execute("SET search_path = public, information_schema")
        s = Snapshot(c, queries, builtin=asked)
        assert s.builtin == [True, True, False, True, True, True, True, True, False, False, False]


COMPUTING = ["citext", "hstore", "pg_trgm", "btree_gin", "btree_gist", "cube", "seg", "ltree", "intarray", "isn",
             "uuid-ossp", "fuzzystrmatch", "earthdistance", "pgcrypto"]
# They read tables, files, the network, or run a text.
READING = ["dblink", "postgres_fdw", "file_fdw", "tablefunc", "xml2", "lo", "pageinspect", "unaccent", "pgstattuple"]

USUAL = ([["operator", None, o] for o in
          ("=", "<>", "<", "<=", ">", ">=", "||", "~~", "!~~", "~~*", "~", "!~", "->", "->>", "%", "@>", "<@", "&&",
           "?", "+", "-", "*", "/", "<->", "#>", "#>>", "|", "&", "@")] +
         [["function", None, f] for f in
          ("max", "min", "sum", "count", "lower", "replace", "split_part", "strpos", "translate", "regexp_match",
           "regexp_replace", "regexp_split_to_array", "concat", "substr", "sort", "index", "delete", "each", "digest",
           "similarity", "levenshtein", "uuid_generate_v4", "hstore", "gen_random_uuid", "length", "text", "xpath")] +
         [["type", None, t] for t in ("text", "citext", "hstore", "ltree", "_citext", "isbn")])


def test_extensions_that_only_compute(database, queries):
    """Their names are those of everyday's operators and functions: they are as good as PostgreSQL's own."""
    with database("postgres") as c:
        for extension in COMPUTING + READING:
            c.execute(f'CREATE EXTENSION "{extension}"')
        foreign = [["function", None, f] for f in
                   ("dblink", "crosstab", "xpath_table", "xpath_string", "get_raw_page", "lo_manage", "unaccent",
                    "postgres_fdw_handler", "pgstattuple", "latitude")] + [["type", None, "lo"], ["type", None, "earth"]]
        own = [["function", "public", "similarity"], ["operator", "public", "="], ["operator", "public", "->"],
               ["type", "public", "citext"]]
        before = spent(c)
        s = Snapshot(c, queries, builtin=USUAL + own + foreign + [["function", "public", "dblink"]])
        assert spent(c) - before < 5
        good = len(USUAL) + len(own)
        assert [a for a, is_builtin in zip(USUAL + own, s.builtin, strict=False) if not is_builtin] == []
        assert not any(s.builtin[good:])
        assert s.casts == []
        partial = [["partial", None, "||"], ["partial", None, "="], ["partial", "pg_catalog", "||"]]
        assert Snapshot(c, queries, builtin=partial).builtin == [True, False, False]  # ltree's
        c.execute("DROP EXTENSION ltree")
        assert Snapshot(c, queries, builtin=partial).builtin == [False, False, False]  # hstore's cannot fail


SHADOWS = [
    ("operator", "=", "CREATE FUNCTION f(citext, text) RETURNS bool LANGUAGE sql AS 'SELECT true';"
                      "CREATE OPERATOR = (LEFTARG = citext, RIGHTARG = text, FUNCTION = f)"),
    ("operator", "=", "CREATE FUNCTION f(citext, text) RETURNS bool LANGUAGE plpgsql AS 'BEGIN RETURN true; END';"
                      "CREATE OPERATOR = (LEFTARG = citext, RIGHTARG = text, FUNCTION = f)"),
    ("operator", "=", "CREATE FUNCTION f(text, text) RETURNS text LANGUAGE c AS '$libdir/dblink', 'dblink_exec';"
                      "CREATE OPERATOR = (LEFTARG = text, RIGHTARG = text, FUNCTION = f)"),
    # As if they were the extension's.
    ("operator", "=", "CREATE FUNCTION f(citext, text) RETURNS bool LANGUAGE sql AS 'SELECT true';"
                      "CREATE OPERATOR = (LEFTARG = citext, RIGHTARG = text, FUNCTION = f);"
                      "ALTER EXTENSION citext ADD FUNCTION f(citext, text);"
                      "ALTER EXTENSION citext ADD OPERATOR = (citext, text)"),
    ("function", "citext_eq", "CREATE FUNCTION citext_eq(text) RETURNS bool LANGUAGE sql AS 'SELECT true';"
                              "ALTER EXTENSION citext ADD FUNCTION citext_eq(text)"),
    ("function", "replace", "CREATE OR REPLACE FUNCTION replace(citext, citext, citext) RETURNS text LANGUAGE sql"
                            " AS 'SELECT 1'"),
    # What citext's own bodies leave to the search path.
    ("function", "replace", "ALTER FUNCTION replace(citext, citext, citext) SET search_path = public"),
    ("function", "strpos", "CREATE FUNCTION f(int, int) RETURNS bool LANGUAGE sql AS 'SELECT true';"
                           "CREATE SCHEMA s; CREATE OPERATOR s.= (LEFTARG = int, RIGHTARG = int, FUNCTION = f)"),
    ("function", "replace", "SET allow_system_table_mods = on; CREATE FUNCTION pg_catalog.lower(citext) RETURNS text"
                            " LANGUAGE sql AS 'SELECT 1'"),
    # A default of an argument is anybody's expression.
    ("function", "digest", "CREATE FUNCTION leak() RETURNS text LANGUAGE sql AS 'SELECT 1';"
                           "CREATE OR REPLACE FUNCTION digest(text, text DEFAULT leak()) RETURNS bytea LANGUAGE c AS"
                           " '$libdir/pgcrypto', 'pg_digest'"),
    # PostgreSQL's own functions read as well.
    ("function", "harmless", "CREATE AGGREGATE harmless (bigint, bigint) (SFUNC = pg_read_file, STYPE = text,"
                             " INITCOND = '/etc/passwd')"),
    ("function", "harmless", "CREATE FUNCTION f(text, text) RETURNS text LANGUAGE sql AS 'SELECT 1';"
                             "CREATE AGGREGATE harmless (text) (SFUNC = textcat, STYPE = text, COMBINEFUNC = f)"),
    ("function", "read", "CREATE FUNCTION read(text) RETURNS text LANGUAGE internal AS 'pg_read_file_all'"),
    ("operator", "@@@", "CREATE OPERATOR @@@ (RIGHTARG = text, FUNCTION = pg_read_file)"),
    # What the planner puts in its place.
    ("operator", "@>", "CREATE FUNCTION f(jsonb, jsonb) RETURNS bool LANGUAGE sql AS 'SELECT true';"
                       "CREATE OPERATOR !@> (LEFTARG = jsonb, RIGHTARG = jsonb, FUNCTION = f,"
                       " NEGATOR = OPERATOR(pg_catalog.@>))"),
    ("operator", "?", "CREATE FUNCTION f(hstore, text) RETURNS bool LANGUAGE sql AS 'SELECT true';"
                      "CREATE OPERATOR !? (LEFTARG = hstore, RIGHTARG = text, FUNCTION = f, NEGATOR = ?)"),
    ("type", "citext", "CREATE FUNCTION f(citext) RETURNS int LANGUAGE sql AS 'SELECT 1';"
                       "CREATE CAST (citext AS int) WITH FUNCTION f(citext)"),
    ("operator", "~~", "CREATE FUNCTION f(citext) RETURNS int LANGUAGE sql AS 'SELECT 1';"
                       "CREATE CAST (citext AS int) WITH FUNCTION f(citext)"),
]


@pytest.mark.parametrize("number", range(len(SHADOWS)))
def test_what_only_looks_like_an_extension(database, queries, number):
    kind, name, made = SHADOWS[number]
    with database("postgres") as c:
        for extension in ("citext", "hstore", "pgcrypto"):
            c.execute(f"CREATE EXTENSION {extension}")
        asked = [[kind, None, name]]
        before = Snapshot(c, queries, builtin=asked)
        assert before.builtin == [True]
        c.execute("BEGIN")
        c.execute(made)
        after = Snapshot(c, queries, builtin=asked, current=before.fingerprint)
        assert after.builtin == [False]
        assert not after.current
        c.execute("ROLLBACK")
        assert Snapshot(c, queries, builtin=asked, current=before.fingerprint).builtin == [True]


def test_casts(database, queries):
    with database("postgres") as c:
        c.execute("CREATE TYPE mood AS ENUM ('ok'); CREATE TYPE person AS (x int); CREATE DOMAIN d AS mood;"
                  "CREATE TYPE pair AS (a mood, b int); CREATE TABLE t (m mood, l mood[], n int);"
                  "CREATE FUNCTION to_mood(int) RETURNS mood LANGUAGE sql AS $$SELECT 'ok'::mood$$;"
                  "CREATE FUNCTION leak(int) RETURNS bytea LANGUAGE sql AS $$SELECT ''::bytea$$;"
                  "CREATE FUNCTION leak(person) RETURNS text LANGUAGE sql AS $$SELECT ''$$;"
                  "CREATE FUNCTION leak(t) RETURNS text LANGUAGE sql AS $$SELECT ''$$")
        enum = [["enum", None, "mood"], ["enum", None, "person"], ["enum", None, "d"], ["enum", "public", "mood"]]
        assert Snapshot(c, queries, builtin=enum).builtin == [True, False, False, True]

        def casts(*made):
            c.execute("BEGIN")
            for cast in made:
                c.execute(f"CREATE CAST {cast}")
            s = Snapshot(c, queries)
            c.execute("ROLLBACK")
            return sorted(set(s.casts), key=str)

        # Both read what the other's output function writes.
        assert casts("(varchar AS mood) WITH INOUT AS IMPLICIT", "(mood AS varchar) WITH INOUT AS ASSIGNMENT") == []
        assert casts("(varchar AS int) WITH INOUT AS ASSIGNMENT") == []
        # PostgreSQL's own, which computes; and one that reads.
        assert casts("(bytea AS int) WITH FUNCTION pg_catalog.length(bytea)") == []
        assert casts("(text AS bytea) WITH FUNCTION pg_catalog.pg_read_binary_file(text)") == [
            (None, "pg_read_binary_file")]
        ends = [(n, "to_mood") for n in ("_mood", "_pair", "_t", "d", "_d", "mood", "pair", "t")]
        assert casts("(int AS mood) WITH FUNCTION to_mood(int) AS IMPLICIT") == sorted(ends, key=str)
        assert casts("(int AS bytea) WITH FUNCTION leak(int)") == [(None, "leak")]
        assert casts("(person AS text) WITH FUNCTION leak(person)") == [("_person", "leak"), ("person", "leak")]
        assert casts("(t AS text) WITH FUNCTION leak(t)") == [(None, "leak")]  # SELECT t || '' FROM t
        assert casts("(text AS jsonb) WITHOUT FUNCTION") == [(None, None)]


def test_what_runs_when_a_row_is_written(database, queries):
    with database("postgres") as admin:
        admin.execute('CREATE EXTENSION moddatetime; CREATE EXTENSION "uuid-ossp"')
    with database() as c:
        c.execute("CREATE FUNCTION stamp() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';"
                  "CREATE FUNCTION made() RETURNS text LANGUAGE sql AS $$SELECT 'x'$$;"
                  "CREATE FUNCTION twice(int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT $1 * 2';"
                  "CREATE FUNCTION fits(int) RETURNS bool LANGUAGE sql AS 'SELECT true';"
                  "CREATE FUNCTION near(int, int) RETURNS bool LANGUAGE sql AS 'SELECT true';"
                  "CREATE OPERATOR ~~~ (LEFTARG = int, RIGHTARG = int, FUNCTION = near);"
                  "CREATE DOMAIN checked AS int CHECK (fits(VALUE)); CREATE DOMAIN code AS text DEFAULT made();"
                  "CREATE DOMAIN code2 AS code")
        c.execute("CREATE TABLE plain (id serial, at timestamptz DEFAULT now(), n int CHECK (n > abs(0)),"
                  " m int GENERATED ALWAYS AS (n * 2) STORED, u uuid DEFAULT gen_random_uuid());"
                  "CREATE TABLE defaults (a text DEFAULT made());"
                  "CREATE TABLE generates (a int, b int GENERATED ALWAYS AS (twice(a)) STORED);"
                  "CREATE TABLE checks (a int CHECK (fits(a)));"
                  "CREATE TABLE compares (a int CHECK (a ~~~ 1));"
                  "CREATE TABLE domains (a checked); CREATE TABLE coded (a code2); CREATE TABLE listed (a checked[]);"
                  "CREATE TABLE triggers (a int);"
                  "CREATE TRIGGER g AFTER DELETE ON triggers FOR EACH STATEMENT EXECUTE FUNCTION stamp();"
                  "CREATE TABLE condition (a int);"
                  "CREATE TRIGGER g BEFORE UPDATE ON condition FOR EACH ROW WHEN (fits(NEW.a))"
                  " EXECUTE FUNCTION suppress_redundant_updates_trigger();"
                  "CREATE TABLE timed (a timestamptz, u uuid DEFAULT uuid_generate_v4());"
                  "CREATE TRIGGER g BEFORE UPDATE ON timed FOR EACH ROW EXECUTE FUNCTION moddatetime('a');"
                  "CREATE TABLE off (a int);"
                  "CREATE TRIGGER g BEFORE INSERT ON off FOR EACH ROW EXECUTE FUNCTION stamp();"
                  "ALTER TABLE off DISABLE TRIGGER g;"
                  "CREATE TABLE replica (a int);"
                  "CREATE TRIGGER g BEFORE INSERT ON replica FOR EACH ROW EXECUTE FUNCTION stamp();"
                  "ALTER TABLE replica ENABLE REPLICA TRIGGER g")
        c.execute("CREATE TABLE whole (a int) PARTITION BY RANGE (a);"
                  "CREATE TABLE part PARTITION OF whole FOR VALUES FROM (1) TO (9);"
                  "CREATE TABLE other_part PARTITION OF whole FOR VALUES FROM (10) TO (19);"
                  "CREATE TRIGGER g BEFORE INSERT ON part FOR EACH ROW EXECUTE FUNCTION stamp();"
                  "CREATE TABLE all_parts (a int) PARTITION BY RANGE (a);"
                  "CREATE TABLE one_part PARTITION OF all_parts FOR VALUES FROM (1) TO (9);"
                  "CREATE TRIGGER g AFTER INSERT ON all_parts FOR EACH ROW EXECUTE FUNCTION stamp();"
                  "CREATE VIEW shown AS SELECT a FROM defaults; CREATE VIEW above AS SELECT a FROM shown;"
                  "CREATE VIEW instead AS SELECT 1 AS a;"
                  "CREATE TRIGGER g INSTEAD OF INSERT ON instead FOR EACH ROW EXECUTE FUNCTION stamp();"
                  "CREATE TABLE parent (id int PRIMARY KEY); CREATE TABLE loose (id int PRIMARY KEY);"
                  "CREATE TABLE child (id int REFERENCES parent ON UPDATE CASCADE, x int REFERENCES loose);"
                  "CREATE TRIGGER g BEFORE UPDATE ON child FOR EACH ROW EXECUTE FUNCTION stamp()")
        s = Snapshot(c, queries)
        found = {n: s.writing(n) for (schema, n), r in s.relations.items() if schema == "public" and r["writing"]}
        assert found == {
            "defaults": ["made"], "generates": ["twice"], "checks": ["fits"], "compares": ["near"],
            "domains": ["fits"], "coded": ["made"], "listed": ["fits"], "triggers": ["stamp"],
            "condition": ["fits"], "replica": ["stamp"], "whole": ["stamp"], "part": ["stamp"],
            "all_parts": ["stamp"], "one_part": ["stamp"], "shown": ["made"], "above": ["made"],
            "instead": ["stamp"], "parent": ["stamp"], "child": ["stamp"]}
        assert set(s.checks) == {"fits", "made"}  # by the domains, and what is made of them


def test_the_queries_mean_the_same_under_any_search_path(database, queries):
    """The agent has functions, operators, types, casts and tables of all the names in them."""
    with database() as c:
        c.execute("CREATE TABLE t (secret text); CREATE VIEW v AS SELECT secret FROM t")
        plain = Snapshot(c, queries)
        c.execute("CREATE SCHEMA trap")
        c.execute("CREATE FUNCTION trap.hit(oid, oid) RETURNS bool LANGUAGE plpgsql AS"
                  " $$BEGIN RAISE EXCEPTION 'trapped'; END$$")
        made = 0
        for left, right in (("oid", "oid"), ("name", "name"), ('"char"', '"char"'), ("text", "text"),
                            ("int2", "int2"), ("int8", "int8"), ("bool", "bool"), ("tid", "tid")):
            c.execute(f"CREATE FUNCTION trap.hit_{made}({left}, {right}) RETURNS bool LANGUAGE plpgsql AS"
                      " $$BEGIN RAISE EXCEPTION 'trapped'; END$$")
            for operator in ("=", "<>", "<", ">", ">=", "||"):
                c.execute(f"CREATE OPERATOR trap.{operator} (LEFTARG = {left}, RIGHTARG = {right},"
                          f" FUNCTION = trap.hit_{made})")
            made += 1
        for signature in ("unnest(name[])", "unnest(anyarray)", "current_schemas(bool)", "count(text)",
                          "format_type(oid, int)", "pg_get_viewdef(oid, bool)", "quote_ident(text)",
                          "pg_my_temp_schema()", "pg_is_other_temp_schema(oid)", "starts_with(text, text)",
                          "hashtextextended(text, int8)", "regexp_replace(text, text, text)",
                          "text(oid)", "text(name)", "text(bool)", '"coalesce"(oid, oid)',
                          "replace(text, text, text)", "current_setting(text)", "currtid2(text, tid)",
                          "to_regclass(text)", "to_regoperator(text)", "has_schema_privilege(oid, text)",
                          "pg_table_is_visible(oid)", '"current_user"()', "sum(int8)", "oid(regclass)"):
            c.execute(f"CREATE FUNCTION trap.{signature} RETURNS text LANGUAGE plpgsql AS"
                      " $$BEGIN RAISE EXCEPTION 'trapped'; END$$")
        for name in ("text", "oid", "name", "char", "bool", "int2", "int4", "int8"):
            c.execute(f'CREATE DOMAIN trap."{name}" AS pg_catalog.xml')
        for name in ("pg_class", "pg_attribute", "pg_type", "pg_namespace", "pg_rewrite", "pg_proc",
                     "pg_operator", "pg_inherits", "aliens", "types", "bases", "chain", "named"):
            c.execute(f"CREATE TABLE trap.{name} ()")
        c.execute("SET search_path = trap, public, pg_catalog")
        trapped = Snapshot(c, queries)
        # pg_get_viewdef would fall into it: no definition rather than one of the agent's choice.
        assert plain.relations["public", "v"].pop("definition")
        assert trapped.definition("public", "v") is None
        assert {k: r for k, r in trapped.relations.items() if k in plain.relations} == plain.relations
        c.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
        assert Snapshot(c, queries).relations == trapped.relations
        c.execute("COMMIT")
        c.execute("SET search_path = pg_catalog, trap, public")
        assert Snapshot(c, queries).definition("public", "v")


def test_view_definitions_resolve_by_the_path_of_the_session(database, queries):
    """A bare name in a definition is found, in the snapshot, to be the relation that is meant."""
    with database() as c:
        c.execute("CREATE SCHEMA a; CREATE SCHEMA b;"
                  "CREATE TABLE a.t (x int); CREATE TABLE b.t (x int);"
                  "CREATE FUNCTION b.f(int) RETURNS int LANGUAGE sql AS 'SELECT $1';"
                  "SET search_path = a; CREATE VIEW a.v AS SELECT x FROM t;"
                  "SET search_path = b; CREATE VIEW b.v AS SELECT f(x) AS x FROM t;"
                  "CREATE VIEW b.w AS SELECT x FROM v UNION ALL SELECT x FROM a.v")
        for path in ("a", "b", "a, b", "b, a", "public", ""):
            c.execute("SELECT set_config('search_path', %s, false)", [path])
            s = Snapshot(c, queries, find=[[None, "t"], [None, "v"]])
            for view, sources in ((("a", "v"), [("a", "t")]), (("b", "v"), [("b", "t")]),
                                  (("b", "w"), [("a", "v"), ("b", "v")])):
                text = s.definition(*view)
                for source in sources:
                    first = s.found[0 if source[1] == "t" else 1]
                    bare = first == source
                    assert (f"{source[0]}.{source[1]}" in text) != bare, (path, text)
        c.execute("CREATE TEMP TABLE t (x int)")
        c.execute("SET search_path = a")
        s = Snapshot(c, queries, find=[[None, "t"]])
        assert s.relations[s.found[0]]["is_temporary"] and "a.t" in s.definition("a", "v")


CHANGES = [
    "DROP TABLE doomed",
    "DROP VIEW w",
    "ALTER TABLE t RENAME TO u",
    "ALTER TABLE t RENAME COLUMN b TO c",
    "ALTER TABLE t SET SCHEMA a",
    "ALTER TABLE t ADD COLUMN c int",
    "ALTER TABLE t DROP COLUMN b",
    "ALTER TABLE t ALTER COLUMN b TYPE varchar",
    "ALTER TABLE parts ATTACH PARTITION part FOR VALUES FROM (1) TO (2)",
    "ALTER TABLE parts DETACH PARTITION attached",
    "ALTER TABLE heir NO INHERIT t",
    "CREATE OR REPLACE VIEW v AS SELECT b AS x FROM t",
    "ALTER VIEW v RENAME COLUMN x TO y",
    "CREATE TABLE fresh (x int)",
    "CREATE TEMP TABLE t (x int)",
    "CREATE VIEW a.v AS SELECT 1 AS x",
    "CREATE RULE r AS ON INSERT TO t DO INSTEAD NOTHING",
    "ALTER SEQUENCE s RENAME TO t2",
    "ALTER SEQUENCE s SET SCHEMA a",
    "DROP SEQUENCE s",
    "ALTER INDEX i RENAME TO t2",
    "CREATE INDEX t2 ON t (a)",
    "ALTER TYPE d_row RENAME TO t2",
    "CREATE MATERIALIZED VIEW t2 AS SELECT 1",
    "DROP TABLE doomed; CREATE TABLE doomed (x int)",
    "ALTER SCHEMA a RENAME TO b",
    "CREATE SCHEMA agent",
    "CREATE FUNCTION lower(t) RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "ALTER FUNCTION f(int) RENAME TO upper",
    "ALTER FUNCTION f(int) SET SCHEMA a",
    "CREATE OPERATOR = (LEFTARG = t, RIGHTARG = t, FUNCTION = same)",
    "CREATE DOMAIN text AS int",
    "ALTER DOMAIN d RENAME TO int4",
    "CREATE TYPE color AS ENUM ('red')",
    "CREATE CAST (d_row AS text) WITH FUNCTION d_text(d_row)",
    "CREATE TRIGGER g BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION stamp()",
    "ALTER TABLE doomed DISABLE TRIGGER g",
    "DROP TRIGGER g ON doomed",
    "ALTER TABLE t ALTER a SET DEFAULT upper('x')",
    "ALTER TABLE doomed ALTER x SET DEFAULT 2",
    "ALTER TABLE doomed ALTER x DROP DEFAULT",
    "ALTER TABLE t ADD CHECK (a <> b)",
    "ALTER DOMAIN d ADD CHECK (VALUE > 0)",
    "SET search_path = a, public",
    "SET ROLE other",
]


# One after the other.
COMMITTED = ["DROP TABLE doomed", "ALTER TABLE t RENAME COLUMN b TO c", "ALTER TABLE t ADD COLUMN d int",
             "ALTER TABLE t DROP COLUMN d", "CREATE OR REPLACE VIEW v AS SELECT c AS x FROM t",
             "CREATE OR REPLACE VIEW v AS SELECT a AS x FROM t", "ALTER TABLE t RENAME TO u",
             "ALTER TABLE u RENAME TO t", "ALTER TABLE t SET SCHEMA a", "ALTER TABLE heir NO INHERIT a.t",
             "ALTER TABLE parts ATTACH PARTITION part FOR VALUES FROM (1) TO (2)",
             "ALTER TABLE parts DETACH PARTITION part", "ALTER FUNCTION f(int) RENAME TO upper",
             "CREATE DOMAIN text AS int", "ALTER SCHEMA a RENAME TO b", "CREATE SCHEMA a",
             "CREATE OPERATOR = (LEFTARG = b.t, RIGHTARG = b.t, FUNCTION = same)"]


@pytest.fixture
def changing(database):
    c = database()
    c.execute("CREATE SCHEMA a; CREATE TABLE doomed (x int); CREATE TABLE t (a text, b text);"
              "CREATE VIEW v AS SELECT a AS x FROM t; CREATE VIEW w AS SELECT 1;"
              "CREATE TABLE parts (x int) PARTITION BY RANGE (x); CREATE TABLE part (x int);"
              "CREATE TABLE attached PARTITION OF parts FOR VALUES FROM (5) TO (6);"
              "CREATE TABLE heir () INHERITS (t); CREATE DOMAIN d AS int;"
              "CREATE SEQUENCE s; CREATE INDEX i ON t (b);"
              "CREATE FUNCTION f(int) RETURNS int LANGUAGE sql AS 'SELECT 1';"
              "CREATE FUNCTION same(t, t) RETURNS bool LANGUAGE sql AS 'SELECT true';"
              "CREATE TYPE d_row AS (x int);"
              "CREATE FUNCTION d_text(d_row) RETURNS text LANGUAGE sql AS $$SELECT 'x'$$;"
              "CREATE FUNCTION stamp() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';"
              "ALTER TABLE doomed ALTER x SET DEFAULT 1;"
              "CREATE TRIGGER g BEFORE INSERT ON doomed FOR EACH ROW EXECUTE FUNCTION stamp()")
    return c


def fingerprint(connection, queries):
    """Without what only says whether anything happened while a snapshot was read."""
    rows = ask(connection, queries[FINGERPRINT])
    assert len(rows) == 1 and len(rows[0]) == 1
    return rows[0][0] and rows[0][0].rsplit(" ", 1)[0]


def test_the_fingerprint_notices_every_change(changing, queries):
    """Seen at once in the transaction that makes it; gone when that is rolled back."""
    c = changing
    c.execute("SET search_path = public, pg_catalog")
    before = fingerprint(c, queries)
    for change in CHANGES:
        assert fingerprint(c, queries) == before
        c.execute("BEGIN")
        c.execute(change)
        assert fingerprint(c, queries) != before, change
        c.execute("ROLLBACK")
    assert fingerprint(c, queries) == before


def test_the_fingerprint_notices_what_others_commit(changing, database, queries):
    with database() as other:
        before = fingerprint(other, queries)
        for change in COMMITTED:
            changing.execute("BEGIN")
            changing.execute(change)
            assert fingerprint(other, queries) == before, change
            changing.execute("COMMIT")
            after = fingerprint(other, queries)
            assert after != before, change
            before = after


def test_back_and_forth_in_one_transaction(changing, queries):
    """The same row, twice changed by the same transaction, and what a savepoint takes back."""
    c = changing
    seen = {fingerprint(c, queries)}
    c.execute("BEGIN")
    names = ["b", "c"]
    for i in range(6):
        c.execute(f"ALTER TABLE t RENAME COLUMN {names[i % 2]} TO {names[(i + 1) % 2]}")
        seen.add(fingerprint(c, queries))
        c.execute("SAVEPOINT s")
        c.execute("CREATE OR REPLACE VIEW v AS SELECT 'x'::text AS x")
        seen.add(fingerprint(c, queries))
        c.execute("ROLLBACK TO s")
    c.execute("COMMIT")
    assert len(seen) == 13


# The data are put into other files.
FILES = ["TRUNCATE t", "TRUNCATE t, doomed RESTART IDENTITY", "REINDEX TABLE t", "VACUUM FULL t", "CLUSTER t USING i",
         "ANALYZE t", "VACUUM FREEZE t", "ALTER TABLE doomed SET (fillfactor = 70)"]


def test_the_fingerprint_tells_what_happened_meanwhile(changing, queries):
    """What was another thing while a snapshot was read, and is itself again at the end."""
    before = ask(changing, queries[FINGERPRINT])
    state = fingerprint(changing, queries)
    for back_and_forth in ("ALTER TABLE t RENAME TO u; ALTER TABLE u RENAME TO t",
                           "ALTER INDEX i RENAME TO u; ALTER INDEX u RENAME TO i",
                           "ALTER SEQUENCE s RENAME TO u; ALTER SEQUENCE u RENAME TO s"):
        changing.execute(back_and_forth)
        after = ask(changing, queries[FINGERPRINT])
        assert after != before, back_and_forth
        before = after
    assert Snapshot(changing, queries).current and state


def test_the_fingerprint_does_not_change_without_need(changing, database, queries):
    c = changing
    before = fingerprint(c, queries)
    c.execute("INSERT INTO t SELECT i::text, i::text FROM generate_series(1, 1000) i;"
              "UPDATE t SET b = 'x'; DELETE FROM t WHERE a < '5'")
    c.execute("BEGIN; INSERT INTO t VALUES ('a', 'b'); SAVEPOINT s; DELETE FROM t")
    assert fingerprint(c, queries) == before
    c.execute("ROLLBACK")
    c.execute("SELECT * FROM t; SET work_mem = '8MB'; LISTEN x")
    c.execute("BEGIN ISOLATION LEVEL SERIALIZABLE")
    assert fingerprint(c, queries) == before
    c.execute("COMMIT")
    for change in FILES:
        c.execute(change)
        assert fingerprint(c, queries) == before, change
    with database() as other:
        other.execute("CREATE TEMP TABLE mine (x int); CREATE TEMP VIEW v AS SELECT 1;"
                      "CREATE FUNCTION pg_temp.f() RETURNS int LANGUAGE sql AS 'SELECT 1'")
        assert fingerprint(c, queries) == before
        assert fingerprint(other, queries) != before
    with database() as other:
        assert fingerprint(other, queries) == before  # for any session that sees the same


def test_nothing_of_the_session_is_changed(changing, queries):
    c = changing
    c.execute("SET search_path = a, public; SET DateStyle = 'SQL, DMY'")
    state = "SELECT name, setting FROM pg_settings ORDER BY name"
    before = c.execute(state).fetchall()
    temporary = c.execute("SELECT pg_my_temp_schema()::int8").fetchone()
    Snapshot(c, queries)
    assert c.execute(state).fetchall() == before
    assert c.execute("SELECT pg_my_temp_schema()::int8").fetchone() == temporary
    assert c.execute("SELECT count(*) FROM pg_cursors").fetchone() == (0,)
    c.execute("BEGIN; SET LOCAL search_path = a")
    Snapshot(c, queries)
    assert c.execute("SHOW search_path").fetchone() == ("a",)
    assert c.execute("SELECT pg_current_xact_id_if_assigned()").fetchone() == (None,)  # wrote nothing
    c.execute("COMMIT")
    c.execute("BEGIN READ ONLY")
    Snapshot(c, queries)
    c.execute("COMMIT")


STALE = ["CREATE OR REPLACE VIEW v AS SELECT b AS x FROM t", "ALTER TABLE t RENAME TO u",
         "ALTER TABLE t SET SCHEMA a", "ALTER TABLE t RENAME COLUMN a TO c", "DROP VIEW w",
         "BEGIN; DROP VIEW w; CREATE VIEW w AS SELECT a FROM t; COMMIT", "CREATE VIEW a.t AS SELECT 1 AS a",
         "ALTER SCHEMA a RENAME TO b", "CREATE SCHEMA agent", "ALTER TABLE t DROP COLUMN b",
         "DROP TABLE attached", "ALTER TABLE t ALTER COLUMN b TYPE varchar"]


@pytest.mark.parametrize("level", ["REPEATABLE READ", "SERIALIZABLE"])
def test_a_transaction_that_sees_an_old_catalog(database, queries, level):
    """It would be shown the old definition of a view, and given what the new one selects."""
    setup = ("CREATE SCHEMA a; CREATE TABLE doomed (x int); CREATE TABLE t (a text, b text);"
             "CREATE VIEW v AS SELECT a AS x FROM t; CREATE VIEW w AS SELECT 1;"
             "CREATE TABLE parts (x int) PARTITION BY RANGE (x);"
             "CREATE TABLE attached PARTITION OF parts FOR VALUES FROM (5) TO (6)")
    undo = ("DROP SCHEMA IF EXISTS a CASCADE; DROP SCHEMA IF EXISTS b CASCADE;"
            "DROP SCHEMA IF EXISTS agent CASCADE; DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    with database("postgres") as admin:
        admin.execute("ALTER SCHEMA public OWNER TO agent")
    with database() as c, database() as other:
        c.execute('SET search_path = "$user", a, public')
        other.execute(setup)
        for change in STALE:
            c.execute(f"BEGIN ISOLATION LEVEL {level}")
            before = fingerprint(c, queries)
            assert before is not None
            other.execute("INSERT INTO t VALUES ('a', 'b'); ANALYZE t; TRUNCATE doomed;"
                          "CREATE TABLE unrelated (x int); CREATE TEMP TABLE t (x int);"
                          "DROP TABLE unrelated; DROP TABLE pg_temp.t")
            assert fingerprint(c, queries) == before
            other.execute(change)
            assert fingerprint(c, queries) is None, change
            c.execute("COMMIT")
            assert fingerprint(c, queries) not in (None, before)
            other.execute(undo)
            other.execute(setup)
        c.execute(f"BEGIN ISOLATION LEVEL {level}")
        c.execute("ALTER TABLE t RENAME COLUMN a TO c; CREATE OR REPLACE VIEW v AS SELECT b AS x FROM t;"
                  "CREATE TABLE mine (x int); DROP VIEW w")
        assert Snapshot(c, queries).current  # its own changes it sees
        c.execute("ROLLBACK")


SETTINGS = ["standard_conforming_strings = off", "quote_all_identifiers = on", "DateStyle = 'German'",
            "default_transaction_isolation = serializable", "enable_hashjoin = off", "row_security = off",
            "extra_float_digits = 0", "bytea_output = escape", "work_mem = '64kB'",
            "default_transaction_read_only = on", "array_nulls = off", "transform_null_equals = on",
            "force_parallel_mode = on", "jit_above_cost = 0",
            "backslash_quote = on", "plan_cache_mode = force_generic_plan"]


def test_no_setting_of_the_agent_changes_what_is_read(changing, queries):
    plain = Snapshot(changing, queries)
    for setting in SETTINGS:
        changing.execute(f"SET {setting}")
        s = Snapshot(changing, queries)
        name = setting.split(" ", maxsplit=1)[0]
        if name == "quote_all_identifiers":  # only the definitions' spelling
            for r in s.relations.values():
                r.pop("definition", None)
            assert s.relations == {k: {n: x for n, x in r.items() if n != "definition"}
                                   for k, r in plain.relations.items()}
        else:
            assert s.relations == plain.relations, setting
        assert s.fingerprint == plain.fingerprint, setting
        changing.execute(f"RESET {name}")


def test_a_thousand_tables(database, queries):
    with database() as c:
        c.execute("DO $$BEGIN FOR i IN 1..1000 LOOP"
                  " EXECUTE format('CREATE TABLE t%s (id int, a text, b text)', i);"
                  " EXECUTE format('CREATE VIEW v%s AS SELECT a FROM t%s', i, i);"
                  " IF i % 50 = 0 THEN COMMIT; END IF; END LOOP; END$$")
        s = Snapshot(c, queries, find=[[None, f"t{i}"] for i in range(1, 1001)])
        assert s.found == [("public", f"t{i}") for i in range(1, 1001)]
        before = spent(c)
        fingerprint(c, queries)
        assert spent(c) - before < 2
        assert all(s.definition("public", f"v{i}") for i in range(1, 1001))


def test_ddl_at_the_same_time(database, queries):
    """Each of the queries sees the catalog at its own moment: it loads whole or says try again. The
    other's DDL is not disturbed, for the load gives its locks back before there is a deadlock."""
    stop = threading.Event()
    failed = []

    def churn():
        with database() as other:
            while not stop.is_set() and not failed:
                try:
                    other.execute("CREATE TABLE churn (a int); CREATE VIEW churned AS SELECT a FROM churn")
                    other.execute("DROP TABLE churn CASCADE")
                except psycopg.Error as e:
                    failed.append(e)

    thread = threading.Thread(target=churn)
    thread.start()
    try:
        with database() as c:
            loaded = 0
            for tried in range(300):  # the other one's pauses are short on a busy machine
                if loaded and tried >= 30:
                    break
                c.execute("BEGIN")
                c.execute("SET LOCAL lock_timeout = '200ms'")
                try:
                    Snapshot(c, queries)
                    loaded += 1
                except AssertionError as e:
                    assert any(x in str(e) for x in ("unavailable", "could not open relation", "lock timeout",
                                                     "cache lookup failed", "does not exist")), e
                c.execute("ROLLBACK")
    finally:
        stop.set()
        thread.join()
    assert loaded and not failed, failed


def test_another_session_holds_a_table(database, queries):
    """Waiting for it ends as lock_timeout says, and the agent's own transaction goes on."""
    with database() as c, database() as other:
        c.execute("CREATE TABLE t (x int); CREATE VIEW v AS SELECT x FROM t; CREATE TABLE u (x int)")
        other.execute("BEGIN; LOCK TABLE t")
        c.execute("BEGIN; INSERT INTO u VALUES (1)")
        c.execute("SAVEPOINT s; SET LOCAL lock_timeout = '50ms'")
        with pytest.raises(AssertionError, match="lock timeout"):
            Snapshot(c, queries)
        c.execute("ROLLBACK TO s; RELEASE s")
        assert c.execute("SHOW lock_timeout").fetchone() == ("0",)
        other.execute("ROLLBACK")
        c.execute("SAVEPOINT s")
        assert Snapshot(c, queries).definition("public", "v")
        c.execute("ROLLBACK TO s; RELEASE s")
        held = "SELECT count(*) FROM pg_locks WHERE relation = 't'::regclass AND pid = pg_backend_pid()"
        assert c.execute(held).fetchone() == (0,)
        c.execute("COMMIT")
        assert c.execute("SELECT x FROM u").fetchone() == (1,)
