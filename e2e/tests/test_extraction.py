"""What the sidecar finds in a statement, against what PostgreSQL itself does with it.

e2e/extraction/*.txt has the cases: a text, then what it is found to do

    -> UPDATE: write products, read items     command tags (with "; " between statements), relations
    + read shop.big_orders                    what the server reaches beyond: see below
    ? read shop.orders_id_seq                 the same, but of some minor versions only
    - lock customers                          what is found, and the server does not lock
    ! 42P01                                   the server refuses it with this SQLSTATE

Each text runs in a transaction of its own, on the schema of schema.sql, and is rolled back
(alone.txt: outside of a transaction, where only tags are compared). Its command tags must be those of
the server's CommandComplete, and its relations those that the transaction has locked: a relation's
strongest lock says what was done with it.

    AccessShare   read
    RowShare      lock (FOR UPDATE and its kin)
    RowExclusive  write
    beyond        ddl (also TRUNCATE, VACUUM, and what LOCK TABLE asks for)

The comparison is of equality. The extraction knows no catalog, so it names a view and not what is
behind it, a parent and not its partitions, a function and not what its body does, a table and not the
sequences of its defaults or the tables of its foreign keys: each of these is written in the case
after "+", so that nothing beyond the known is ever overlooked. What "-" lists errs on the
safe side: all of a FROM clause counts as locked, say, or a privilege that needs no lock.

Relations of pg_catalog and information_schema are left out: the server locks them on its own.
"""

import glob
import os
import re
import subprocess

import psycopg
import pytest
from psycopg.pq import ExecStatus
from support.postgres import PASSWORD, USER, Postgres
from support.stack import BIN, ROOT

EXTRACT = os.path.join(BIN, "sidecar", "sql", "sql_extract")
FOLDER = os.path.join(ROOT, "e2e", "extraction")
STRENGTH = ["read", "lock", "write", "ddl"]
# What an access is to a relation's lock.
ACCESSES = {"read": "read", "lock": "lock", "insert": "write", "update": "write", "delete": "write",
            "truncate": "ddl", "create": "ddl", "alter": "ddl", "drop": "ddl", "privilege": "ddl",
            "maintenance": "ddl"}
LOCKS = {"AccessShareLock": "read", "RowShareLock": "lock", "RowExclusiveLock": "write"}
# CommandComplete has the tag of the query for these (WITH NO DATA it has their own), and for EXECUTE
# that of the prepared statement.
QUERY_TAGS = {"CREATE TABLE AS": "SELECT", "SELECT INTO": "SELECT",
              "CREATE MATERIALIZED VIEW": "SELECT"}
IDENTIFIER = r'(?:"(?:[^"]|"")*"|[^\s",.()]+)'
OBJECT = re.compile(rf"(\w+) (table|view|sequence) ({IDENTIFIER}(?:\.{IDENTIFIER})?)")


class Case:
    def __init__(self, block):
        lines = block.strip("\n").split("\n")
        self.text = "\n".join(line for line in lines if not re.match(r"#|-> |[-+?!] ", line))
        self.expected = "".join(line for line in lines if line.startswith("-> "))
        self.beyond, self.perhaps, self.unlocked, self.error = {}, {}, {}, None
        for line in lines:
            if line[:2] == "+ ":
                self.beyond.update(relations(line[2:]))
            elif line[:2] == "? ":
                self.perhaps.update(relations(line[2:]))
            elif line[:2] == "- ":
                self.unlocked.update(relations(line[2:]))
            elif line[:2] == "! ":
                self.error = line[2:]


def relations(text):
    """ "read shop.a, write b" """
    return dict(reversed(part.split(" ", 1)) for part in text.split(", ") if part)


def cases(path):
    with open(path, encoding="utf-8") as f:
        blocks = re.split(r"\n\n+", f.read().strip("\n"))
    return [c for c in map(Case, blocks) if c.text]


def strongest(into, name, access):
    if name not in into or STRENGTH.index(into[name]) < STRENGTH.index(access):
        into[name] = access


def extract(texts):
    """For each text: (command tags, {relation as written: access})."""
    done = subprocess.run([EXTRACT], input="".join(t + "\0" for t in texts).encode(), check=True,
                          capture_output=True)
    return [reduce(block) for block in done.stdout.decode().split("\n\n")[:-1]]


def reduce(block):
    tags, found = [], {}
    for line in block.split("\n"):
        tag, _, objects = line.removeprefix("-> ").partition(":")
        tags.append(re.sub(r" [+\[].*", "", tag))
        bare = re.sub(r"\((?:[^()\"]|\"(?:[^\"]|\"\")*\")*\)", "", objects)
        for access, _, name in OBJECT.findall(bare):
            if access in ACCESSES:
                strongest(found, name, ACCESSES[access])
    return tags, found


def described(tags, found):
    listed = ", ".join(f"{access} {name}" for name, access in found.items())
    return "-> " + "; ".join(tags) + (": " + listed if listed else "")


class Server:
    def __init__(self, postgres):
        with open(os.path.join(FOLDER, "schema.sql"), encoding="utf-8") as f:
            postgres.psql(f.read())
        self.postgres = postgres
        self.names = {}
        self.connection = self.connect()
        self.watcher = self.connect()
        self.learn(self.watcher)

    def connect(self):
        return psycopg.connect(host="127.0.0.1", port=self.postgres.port, user=USER,
                               password=PASSWORD, dbname="postgres", autocommit=True,
                               prepare_threshold=None,
                               options="-c search_path=shop,public")

    def close(self):
        self.connection.close()
        self.watcher.close()

    def learn(self, connection):
        """The names from before a statement stay, also of what it renames or drops."""
        rows = connection.execute(
            "SELECT c.oid, CASE WHEN n.oid = pg_my_temp_schema() THEN 'pg_temp' ELSE quote_ident(n.nspname) END,"
            " quote_ident(c.relname) FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = relnamespace"
            " WHERE relkind IN ('r', 'p', 'v', 'm', 'f', 'S')"
            " AND nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')").fetchall()
        for oid, schema, name in rows:
            self.names.setdefault(oid, f"{schema}.{name}")

    def send(self, text):
        """The command tags, or the SQLSTATE of its error."""
        connection = self.connection.pgconn
        connection.send_query(text.encode())
        tags, error = [], None
        while (result := connection.get_result()) is not None:
            if result.status == ExecStatus.COPY_IN:
                connection.put_copy_end()
            elif result.status == ExecStatus.COPY_OUT:
                while connection.get_copy_data(0)[0] > 0:
                    pass
            elif result.status == ExecStatus.FATAL_ERROR:
                error = result.error_field(psycopg.pq.DiagnosticField.SQLSTATE).decode()
            elif result.status != ExecStatus.EMPTY_QUERY:
                tags.append(re.sub(r"( \d+)+$", "", result.command_status.decode()))
        return tags, error

    def locks(self):
        """{oid: access}, read by another session: to look must not lock."""
        pid = self.connection.info.backend_pid
        held = {}
        for oid, mode in self.watcher.execute(
                "SELECT relation, mode FROM pg_locks WHERE pid = %s AND locktype = 'relation'", [pid]):
            strongest(held, oid, LOCKS.get(mode, "ddl"))
        return held

    def forget(self):
        for text in ("ROLLBACK", "DISCARD ALL", "SET search_path = shop, public"):
            self.send(text)

    def run(self, text):
        """(tags, {relation: access}, error), and nothing of it stays."""
        self.send("BEGIN")
        tags, error = self.send(text)
        held = {} if error else self.locks()
        if not error:
            # The names that it has made; what that locks has been left out already.
            self.send("RESET ROLE; RESET SESSION AUTHORIZATION")
            self.learn(self.connection)
        self.forget()
        return tags, {self.names[oid]: a for oid, a in held.items() if oid in self.names}, error

    def run_alone(self, text):
        tags, error = self.send(text)
        self.forget()
        return tags, error

    def resolve(self, name, known):
        """A bare name as the server finds it; what is not there yet is made in the first schema."""
        if re.fullmatch(IDENTIFIER, name) is None:
            return name
        for schema in ("pg_temp", "shop", "public"):
            if f"{schema}.{name}" in known:
                return f"{schema}.{name}"
        return f"shop.{name}"


@pytest.fixture(scope="module")
def server():
    postgres = Postgres()
    running = Server(postgres)
    yield running
    running.close()
    postgres.close()


def all_cases(name="*"):
    paths = sorted(glob.glob(os.path.join(FOLDER, name + ".txt")))
    return [pytest.param(c, id=f"{os.path.basename(p)[:-4]}-{i}: {c.text[:60]}")
            for p in paths for i, c in enumerate(cases(p), 1)]


def is_catalog(name):
    return name.startswith(("pg_catalog.", "information_schema.", "pg_toast."))


def wanted_tags(tags, got):
    """Of the extraction, as CommandComplete would say it."""
    others = dict(zip(tags, got), **QUERY_TAGS) if "EXECUTE" in tags else QUERY_TAGS
    return [others.get(t, t) if i < len(got) and got[i] != t else t for i, t in enumerate(tags)]


def compare(server, case, tags, found):
    got_tags, held, error = server.run(case.text)
    assert error == case.error, (error, case.text)
    if error:
        return
    assert got_tags == wanted_tags(tags, got_tags), case.text
    by_name = {}
    for name, access in found.items():
        full = server.resolve(name, held)
        if not is_catalog(full):
            # LOCK TABLE says itself which lock it takes.
            locks = access == "lock" and "LOCK TABLE" in tags
            strongest(by_name, full, held.get(full, access) if locks else access)
    expected = {n: a for n, a in by_name.items() if n not in case.unlocked}
    perhaps = {n: a for n, a in case.perhaps.items() if n in held}
    for name, access in (case.beyond | perhaps).items():
        strongest(expected, name, access)
    assert {n: a for n, a in held.items() if not is_catalog(n)} == expected, case.text
    # No exception that is none.
    assert all(n in by_name and held.get(n) != by_name[n] for n in case.unlocked), case.text
    assert all(by_name.get(n) != a for n, a in case.beyond.items()), case.text


@pytest.mark.parametrize("case", [c for c in all_cases() if not c.id.startswith("alone")])
def test_a_statement_does_what_is_found_in_it(server, case):
    (tags, found), = extract([case.text])
    assert described(tags, found) == case.expected
    compare(server, case, tags, found)


@pytest.mark.parametrize("case", all_cases("alone"))
def test_a_statement_outside_of_a_transaction(server, case):
    (tags, found), = extract([case.text])
    assert described(tags, found) == case.expected
    got, error = server.run_alone(case.text)
    assert error == case.error
    assert error or got == wanted_tags(tags, got)


def test_there_are_enough_cases():
    assert len(all_cases()) >= 150
