"""The corpus of e2e/adversarial: whatever an agent tries, no planted value reaches it in any message.

Each case is first done directly, which proves that it leaks, and then through a sidecar for each policy."""

import os
import threading
from collections import deque

import psycopg
import pytest
from support import corpus
from support.planted import Planted, Received
from support.postgres import Postgres
from support.stack import Stack
from support.vias import ByHand, Recorder, run_psql, run_psycopg

DATABASE, TEMPLATE = "vault", "vault_template"
DIRECT = "direct"  # the role of who does not come through a sidecar: as mighty, without a password
READY = 8  # databases that are made ahead
CASES = corpus.load()
REFUSALS = {"42501", "0A000"}


class Vault:
    """The database under attack, and copies of it that are ready to take its place."""

    def __init__(self):
        self.postgres = Postgres(settings=("full_page_writes=off", "jit=off",
                                           "max_prepared_transactions=5", "log_statement=none"))
        self.postgres.psql(f"CREATE ROLE {DIRECT} SUPERUSER LOGIN")
        self.postgres.psql(f"CREATE DATABASE {TEMPLATE}")
        with open(os.path.join(corpus.FOLDER, "schema.sql"), encoding="utf-8") as f:
            self.postgres.psql(f.read(), TEMPLATE)
        self.postgres.psql(f"ALTER DATABASE {TEMPLATE} ALLOW_CONNECTIONS false")
        self.ready = deque()
        self.used = []
        self.changed = threading.Condition()
        self.running = True
        self.maker = threading.Thread(target=self._make, daemon=True)
        self.maker.start()
        self.admin = psycopg.connect(self.postgres.url(), autocommit=True)
        self.is_clean = self.has_database = False

    def _make(self):
        count = 0
        with psycopg.connect(self.postgres.url(), autocommit=True) as c:
            while True:
                with self.changed:
                    self.changed.wait_for(lambda: len(self.ready) < READY or not self.running)
                    if not self.running:
                        return
                    used, self.used = self.used, []
                count += 1
                c.execute(f"CREATE DATABASE copy_{count} TEMPLATE {TEMPLATE} STRATEGY file_copy")
                with self.changed:
                    self.ready.append(f"copy_{count}")
                    self.changed.notify_all()
                for name in used:
                    c.execute(f"DROP DATABASE {name} WITH (FORCE)")

    def clean(self):
        """As schema.sql has made it."""
        if self.is_clean:
            return
        with self.changed:
            assert self.changed.wait_for(lambda: self.ready, 120), "no copy is made any more"
            copy = self.ready.popleft()
            self.changed.notify_all()
        self.admin.execute("SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity"
                           f" WHERE datname = '{DATABASE}'")
        if self.has_database:
            self.admin.execute(f"ALTER DATABASE {DATABASE} RENAME TO used_{copy}")
            with self.changed:
                self.used.append(f"used_{copy}")
        self.admin.execute(f"ALTER DATABASE {copy} RENAME TO {DATABASE}")
        self.is_clean = self.has_database = True

    def do(self, statements):
        """By the administrator, directly."""
        if statements:
            self.is_clean = False
            with psycopg.connect(self.postgres.url(DATABASE), autocommit=True) as c:
                for s in statements:
                    c.execute(self.filled(s))

    def filled(self, text):
        """With this server's places in it; also in lists and mappings of texts."""
        if isinstance(text, list):
            return [self.filled(t) for t in text]
        if isinstance(text, dict):
            return {k: self.filled(v) for k, v in text.items()}
        if not isinstance(text, str):
            return text
        for name, value in (("port", self.postgres.port), ("socket", self.postgres.dir)):
            text = text.replace("{{" + name + "}}", str(value))
        return text

    def close(self):
        with self.changed:
            self.running = False
            self.changed.notify_all()
        self.maker.join(30)
        self.admin.close()
        self.postgres.close()


class Run:
    """One case, one way: what came back."""

    def __init__(self, vault, port, recorder, case, via, login):
        self.received = []  # for each connection
        self.rows = None    # of the last step
        self.output = ""
        self.is_alive = True
        vault.clean()
        vault.do(case.setup)
        vault.is_clean = vault.is_clean and (via in corpus.RAW_VIAS or not case.fresh)
        login = {"database": DATABASE, **login, **case.startup}
        steps = [corpus.Step(**vault.filled(vars(s))) for s in case.steps]
        try:
            if via in corpus.RAW_VIAS:
                self._by_hand(vault, port, case, steps, via, login)
            elif via == "psql":
                self.output = run_psql(recorder.port, steps, login)
                self.received = recorder.take()
            else:
                self.rows = run_psycopg(recorder.port, steps, login, via == "psycopg_binary")
                self.received = recorder.take()
        finally:
            vault.do(case.cleanup)

    def _by_hand(self, vault, port, case, steps, via, login):
        connections = {}
        try:
            for step in steps:
                if step.admin:
                    vault.do([step.admin])
                    continue
                if step.session not in connections:
                    connections[step.session] = ByHand(port, via, login)
                c = connections[step.session]
                mark = len(c.wire.socket.received)
                c.do(step)
                received = Received(b"".join(c.wire.socket.received[mark:]))
                self._keep_rows(received)
                if case.fresh and received.of(b"C", b"V") and corpus.WRITES.search(step.text()):
                    vault.is_clean = False  # what was refused has changed nothing
            self.is_alive = all(c.is_alive() for c in connections.values())
        finally:
            self.received = [c.close() for c in connections.values()]

    def _keep_rows(self, received):
        rows = [[v if v is None else v.decode("utf-8", "replace") for v in row]
                for row in received.rows()]
        self.rows = rows or [[line.decode("utf-8", "replace").rstrip("\n")]
                             for line in received.of(b"d")]

    def found(self, planted):
        return [f for r in self.received for f in planted.find(r)]

    def errors(self):
        return [e for r in self.received for e in r.errors()]

    def has_data(self):
        return any(r.of(b"D", b"d") for r in self.received)

    def all_bytes(self):
        return b"".join(r.without_key() for r in self.received)

    def check_still(self, still):
        if isinstance(still, dict):
            for text in still.get("shows", []):
                assert text in self.output, f"{text!r} is not in\n{self.output}"
            for text in still.get("hides", []):
                assert text not in self.output
        else:
            assert self.rows == [[v if v is None else str(v) for v in row] for row in still]


@pytest.fixture(scope="module")
def vault():
    made = Vault()
    with made.postgres.access("local all all trust", f"host all {DIRECT} 127.0.0.1/32 trust"):
        yield made
    made.close()


@pytest.fixture(scope="module")
def direct(vault):
    recorder = Recorder(vault.postgres.port)
    yield recorder
    recorder.close()


@pytest.fixture(scope="module", params=corpus.POLICIES)
def guarded(vault, request):
    vault.clean()
    path = os.path.join(corpus.FOLDER, "policies", request.param + ".yaml")
    stack = Stack(vault.postgres, database=DATABASE, policy=path)
    recorder = Recorder(stack.port)
    yield request.param, stack, recorder
    recorder.close()
    stack.close()


@pytest.fixture(scope="module")
def planted():
    return Planted(corpus.secrets())


def expected(case, planted_values):
    """`also`: what else this case would show of them."""
    return (lambda run: run.found(planted_values)
            + [a for a in case.also if a.encode() in run.all_bytes()])


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.id)
def test_direct(vault, direct, planted, case):
    for via in case.via[:1] if case.fresh else case.via:
        run = Run(vault, direct.target, direct, case, via, {"user": DIRECT})
        found = expected(case, planted)(run)
        if case.leaks:
            assert found, f"{via}: nothing leaks\n{run.errors()}\n{run.rows}"
            continue
        assert not found and not run.errors(), f"{via}: {found[:8]} {run.errors()}"
        if case.still is not None:
            run.check_still(case.still)


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.id)
def test_sidecar(vault, guarded, planted, case):
    policy, stack, recorder = guarded
    if policy not in case.policy:
        return
    for via in case.via:
        run = Run(vault, stack.port, recorder, case, via, {"user": "agent"})
        found = expected(case, planted)(run)
        assert not found, f"{via}: {found[:8]}\n{run.errors()}"
        assert run.is_alive or case.ends, f"{via}: the session ended\n{run.errors()}"
        codes = {e["C"] for e in run.errors()}
        if case.expects(policy) == "refused":
            assert codes & REFUSALS, f"{via}: nothing was refused\n{run.errors()}\n{run.rows}"
        elif case.expects(policy) == "masked" or case.still is not None:
            assert not codes, f"{via}: {run.errors()}"
            assert run.has_data() or case.still is not None, f"{via}: nothing is shown"
        if case.still is not None:
            run.check_still(case.still)
