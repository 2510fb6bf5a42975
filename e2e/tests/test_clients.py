"""Unmodified clients: what they get through the sidecar is byte for byte what they get directly."""

import os
import subprocess

import psycopg
import pytest

SCRIPT = r"""
SELECT 1, 'two', NULL, 3.5::float8, now() > '2020-01-01';
SELECT * FROM customers ORDER BY id LIMIT 5;
SELECT 1; SELECT 2 \; SELECT 3;
SELEC 1;
SELECT 1/0;
SELECT * FROM nowhere;
BEGIN;
INSERT INTO customers VALUES (5000, 'Ünï ☃', 'x');
SELECT name FROM customers WHERE id = 5000;
SAVEPOINT a;
INSERT INTO customers VALUES (5000, 'again', 'x');
ROLLBACK TO a;
SELECT count(*) FROM customers;
ROLLBACK;
BEGIN;
SELEC 2;
SELECT 1;
ROLLBACK;
DO $$ BEGIN RAISE NOTICE 'a notice'; RAISE WARNING 'a warning'; END $$;
CREATE TEMP TABLE t (a int, b text);
COPY t FROM STDIN;
1	one
2	two
\.
COPY t TO STDOUT;
COPY (SELECT 1, 2) TO STDOUT WITH (FORMAT csv, HEADER);
DECLARE c CURSOR WITH HOLD FOR SELECT id FROM orders ORDER BY id;
FETCH 3 FROM c;
MOVE 10 IN c;
FETCH 2 FROM c;
CLOSE c;
PREPARE p AS SELECT $1::int + 1;
EXECUTE p(41);
DEALLOCATE p;
SET search_path = public, pg_temp;
SHOW search_path;
EXPLAIN (COSTS OFF) SELECT * FROM orders WHERE id = 7;
VALUES (1, 'a'), (2, 'b');
SELECT repeat('x', 100000);
SELECT i, repeat('y', 50) FROM generate_series(1, 3000) i;
/* nothing */;
;
"""


def run_psql(env, script):
    done = subprocess.run(["psql", "-X", "-a"], env=env, input=script, capture_output=True,
                          text=True, check=False)
    return done.returncode, done.stdout, done.stderr


def same_words(text):
    """A syntax error carries one hint more through the sidecar; all else must be the same."""
    return [line for line in text.splitlines() if not line.startswith("HINT:  Chaperone")]


def test_psql_is_the_same(stack, postgres):
    direct = run_psql(dict(postgres.env()), SCRIPT)
    through = run_psql(stack.env(), SCRIPT)
    assert through[0] == direct[0]
    assert through[1] == direct[1]
    assert same_words(through[2]) == same_words(direct[2])


@pytest.mark.parametrize("command", [r"\d", r"\d orders", r"\dt+", r"\du", r"\l", r"\df"])
def test_psql_describe_is_the_same(stack, postgres, command):
    direct = run_psql(dict(postgres.env()), command + "\n")
    through = run_psql(stack.env(), command + "\n")
    assert through == direct


def test_pg_dump_is_the_same(stack, postgres):
    def dump(env):
        done = subprocess.run(["pg_dump", "--no-owner"], env=env, capture_output=True, check=True)
        return [x for x in done.stdout.splitlines() if not x.startswith((b"\\restrict",
                                                                        b"\\unrestrict"))]

    assert dump(stack.env()) == dump(dict(postgres.env()))


@pytest.fixture(scope="module")
def pgbench_tables(postgres):
    subprocess.run(["pgbench", "-i", "-q", "-s", "1"], env=postgres.env(), check=True,
                   capture_output=True)


@pytest.mark.parametrize("mode", ["simple", "extended", "prepared"])
@pytest.mark.parametrize("workload", [["-S"], []])
def test_pgbench(stack, pgbench_tables, mode, workload):
    done = subprocess.run(["pgbench", "-n", "-M", mode, "-c", "4", "-t", "50", *workload],
                          env=stack.env(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "number of transactions actually processed: 200/200" in done.stdout


def test_pgbench_pipeline(stack, pgbench_tables, tmp_path):
    script = tmp_path / "pipeline.sql"
    script.write_text("\\startpipeline\n" + "SELECT 1;\nSELECT abalance FROM pgbench_accounts"
                      " WHERE aid = 7;\n" * 20 + "\\endpipeline\n")
    done = subprocess.run(["pgbench", "-n", "-M", "extended", "-f", str(script), "-t", "20"],
                          env=stack.env(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def psycopg_conversation(dsn):
    """Everything a driver does, as a list of results."""
    got = []
    with psycopg.connect(dsn, autocommit=True) as connection:
        for binary in (False, True):
            cursor = connection.cursor(binary=binary)
            for query, values in [
                    ("SELECT %s::int, %s::text, %s::bytea, %s::numeric, %s::date",
                     (7, "seven", b"\x00\xff", "12.50", "2026-01-02")),
                    ("SELECT id, name FROM customers WHERE id < %s ORDER BY id", (20,)),
                    ("SELECT %s::int[], %s::jsonb", ([1, 2, 3], '{"a": [1]}'))]:
                got.append((query, cursor.execute(query, values).fetchall()))
            for n in range(8):  # psycopg prepares from the fifth time on
                got.append(cursor.execute("SELECT amount FROM orders WHERE id = %s", (n,),
                                          prepare=None).fetchall())
        cursor = connection.cursor()
        cursor.execute("CREATE TEMP TABLE loaded (a int, b text)")
        with cursor.copy("COPY loaded FROM STDIN") as copy:
            for i in range(2000):
                copy.write_row((i, f"row {i}"))
        with cursor.copy("COPY (SELECT * FROM loaded ORDER BY a) TO STDOUT (FORMAT binary)") as copy:
            got.append(b"".join(bytes(x) for x in copy))
        got.append(cursor.execute("SELECT count(*), sum(a) FROM loaded").fetchall())
        with connection.pipeline():
            cursors = [connection.execute("SELECT %s::int * 2", (i,)) for i in range(300)]
            got.append([c.fetchone() for c in cursors])
        try:
            with connection.pipeline() as pipeline:
                connection.execute("SELECT 1")
                connection.execute("SELECT 1/0")
                connection.execute("SELECT 2")
                pipeline.sync()
        except psycopg.Error as error:
            got.append(error.sqlstate)
        got.append(connection.execute("SELECT 'still here'").fetchall())
        with psycopg.ServerCursor(connection, "named", withhold=True) as named:
            named.execute("SELECT id FROM orders ORDER BY id")
            got.append(named.fetchmany(10) + named.fetchmany(10))
    return got


def test_psycopg_is_the_same(stack, postgres):
    direct = psycopg_conversation(
        f"host=127.0.0.1 port={postgres.port} user=postgres dbname=postgres"
        f" password={postgres.password}")
    assert psycopg_conversation(stack.dsn()) == direct


def test_listen_and_notify(stack):
    with psycopg.connect(stack.dsn(), autocommit=True) as listener, \
            psycopg.connect(stack.dsn(), autocommit=True) as speaker:
        listener.execute("LISTEN news")
        speaker.execute("NOTIFY news, 'hello'")
        got = next(listener.notifies())
        assert (got.channel, got.payload) == ("news", "hello")


def test_a_large_parameter_and_a_large_row(stack):
    """Longer than any buffer of the sidecar: streamed, not gathered."""
    value = os.urandom(24 << 20)
    with psycopg.connect(stack.dsn(), autocommit=True) as connection:
        cursor = connection.cursor(binary=True)
        got = cursor.execute("SELECT length(%b::bytea), %b::bytea", (value, value)).fetchone()
        assert got == (len(value), value)


def test_node_pg(stack):
    here = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    done = subprocess.run(["node", os.path.join(here, "node", "pg.mjs")], env=stack.env(),
                          capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "all as expected" in done.stdout
