"""The target's password and the tokens are where they belong, and nowhere else: not in what the agent
gets, in logs, the spool, the database, command lines, metrics, or a core file."""

import os
import pwd
import resource
import shutil
import signal
import sqlite3
import stat
import subprocess
import zipfile

import psycopg
import pytest
from support.certificates import Authority
from support.manual import ControlPlane, postgres_resource, write
from support.relay import Relay
from support.secrets import (find, find_in_command_lines, find_in_files, find_in_memory, pieces_of)
from support.stack import SIDECAR

# Of this run: all processes of the machine are looked at.
PASSWORD = "planted-password-of-the-target-" + os.urandom(6).hex()
WRONG = "planted-password-that-is-wrong-" + os.urandom(6).hex()
NEEDLE = "needle-that-must-be-found-91e2"  # shows that the search finds what is there


class World:
    """One target with TLS and roles, one control plane, and what was planted where."""

    def __init__(self, postgres, oidc, directory):
        self.postgres, self.oidc = postgres, oidc
        self.secrets = {"password": [PASSWORD.encode()], "wrong password": [WRONG.encode()]}
        resources, _ = postgres_resource(postgres)
        self.controlplane = ControlPlane({
            "identity_providers": [{"name": "oidc", "issuer": oidc.issuer,
                                    "audience": oidc.resource}],
            "roles": {"auditor": ["auditors"]},
            "credentials": [
                {"name": "stored", "user": "planted", "password": {"store": "planted"}},
                {"name": "filed", "user": "planted_md5", "password": {
                    "file": write(os.path.join(directory, "password"), PASSWORD)}},
                {"name": "wrong", "user": "planted", "password": {"store": "wrong"}}],
            "resources": [dict(resources[0], name=n, credential=n)
                          for n in ("stored", "filed", "wrong")],
            "grants": [{"name": "all", "resources": ["*"], "groups": ["analysts"]}],
        }, operator_token=self.plant("operator's token", oidc.token("auditor")))
        self.controlplane.command("credential", "set", "planted", stdin=PASSWORD)
        self.controlplane.command("credential", "set", "wrong", stdin=WRONG)

    def plant(self, name, token):
        self.secrets[name] = pieces_of(token)
        return token

    def add_resource(self, **different):
        """Like the first one."""
        resources = self.controlplane.config["resources"]
        resources.append(dict(resources[0], **different))
        self.controlplane.reload()

    def package(self, directory):
        """Everything that is recorded, as an auditor gets it, unpacked."""
        path = os.path.join(directory, "all.zip")
        self.controlplane.chaperone("audit", "export", "--out", path)
        with zipfile.ZipFile(path) as file:
            file.extractall(directory + "/package")
        return directory + "/package"

    def finds_word(self, text):
        word = text.rsplit("-", 1)[1]
        return self.controlplane.chaperone("audit", "search", "--json", "--text", word, check=False).stdout != ""

    def sidecar(self, resources, identity, **options):
        made = self.controlplane.sidecar(resources, identity, **options)
        self.plant(f"join token {len(self.controlplane.sidecars)}", made.join_token)
        return made


@pytest.fixture(scope="module")
def world(postgres, oidc, tmp_path_factory):
    postgres.psql("SET password_encryption = 'scram-sha-256';"
                  f"CREATE ROLE planted LOGIN PASSWORD '{PASSWORD}';"
                  "SET password_encryption = 'md5';"
                  f"CREATE ROLE planted_md5 LOGIN PASSWORD '{PASSWORD}'")
    with postgres.access("host all planted_md5 127.0.0.1/32 md5"):
        made = World(postgres, oidc, str(tmp_path_factory.mktemp("secrets")))
        yield made
        made.controlplane.close()
    postgres.psql("DROP ROLE planted; DROP ROLE planted_md5")


def conversation(port, resource_works=True, **dsn):
    """Sessions that go well and that fail; returns what was said to the agent."""
    said = []
    dsn = {"host": "127.0.0.1", "port": port, "user": "agent", "dbname": "postgres",
           "sslmode": "disable", "application_name": NEEDLE, **dsn}
    try:
        with psycopg.connect(**dsn, autocommit=True) as connection:
            for text in (f"SELECT '{NEEDLE}'", "SELECT * FROM pg_settings", "SHOW ALL", "SELEC",
                         "SELECT 1/0", "SELECT * FROM pg_stat_activity",
                         "SELECT * FROM pg_stat_ssl", "SELECT usename, passwd FROM pg_user"):
                try:
                    said.append(str(connection.execute(text).fetchall()))
                except psycopg.Error as e:
                    said.append(str(e))
        assert resource_works
    except psycopg.OperationalError as e:
        assert not resource_works, str(e)
        said.append(str(e))
    return "\n".join(said)


def test_no_secret_comes_out(world, tmp_path):
    """Everything but memory, for sessions of all kinds."""
    token = world.plant("agent's token", world.oidc.token("agent-7"))
    bad = world.plant("bad token", world.oidc.forge(**{"with": "unknown"}))
    path = write(str(tmp_path / "agent.token"), token)
    sidecar = world.sidecar(["stored", "filed", "wrong"], {"token_file": path})
    in_band = world.sidecar(["stored"], {"in_band": True})
    said = b""
    for port, works, dsn in (
            (sidecar.ports["stored"], True, {}), (sidecar.ports["filed"], True, {}),
            (sidecar.ports["wrong"], False, {}), (in_band.port, True, {"password": token}),
            (in_band.port, False, {"password": bad}), (in_band.port, False, {"password": WRONG})):
        with Relay(port) as relay:
            said += conversation(relay.port, works, **dsn).encode()
            said += relay.from_target
    write(path, bad)
    with Relay(sidecar.port) as relay:
        said += conversation(relay.port, False).encode() + relay.from_target
    sidecar.wait_for(lambda r: r["kind"] == "session_closed"
                     and r["reason"] == "target_login_failed")

    assert NEEDLE.encode() in said
    assert find(said, world.secrets) == set()
    for running in (sidecar, in_band):
        assert find(running.ask("/metrics") + running.ask("/readyz"), world.secrets) == set()
        with open(f"/proc/{running.part.pid}/environ", "rb") as f:
            assert find(f.read(), world.secrets) == set()
    assert find_in_command_lines(world.secrets) == {}

    records = world.controlplane.search()
    assert NEEDLE in str(records)
    assert find(str(records), world.secrets) == set()
    shown = world.controlplane.chaperone("session", "list", "--json", check=False).stdout
    assert find(shown, world.secrets) == set()

    # The records to the byte, and everything else in a package: contents at rest are encrypted, so that a
    # search in the database's files alone would find no secret in them.
    package = world.package(str(tmp_path))
    needle = {"needle": [NEEDLE.encode()]}
    assert any("/records/" in p for p in find_in_files(package, needle))
    assert find_in_files(package, world.secrets) == {}
    # The index of words is made of contents too, and is not encrypted.
    assert world.finds_word(NEEDLE) and not world.finds_word(PASSWORD) and not world.finds_word(WRONG)

    for part in (world.controlplane.part, sidecar.part, in_band.part):
        assert part.lines and find("".join(x for x in part.lines if x), world.secrets) == set()
    # While it runs, so that the write-ahead log is looked at too; and what is left on the disk. What is not
    # encrypted there shows that the search finds what is there; that contents are not there, that they are encrypted.
    plain = {"name": [b"stored"], "id": [sidecar.wait_for(
        lambda r: r["kind"] == "session_opened")["session"].encode()]}
    assert any("-wal" in p and names == set(plain)
               for p, names in find_in_files(world.controlplane.data, plain).items())
    assert find_in_files(world.controlplane.data, needle) == {}
    assert any(p.endswith(".spool") for p in find_in_files(sidecar.state, needle))
    for directory in (world.controlplane.data, sidecar.state, in_band.state):
        assert find_in_files(directory, world.secrets) == {}


def test_the_stored_password_is_encrypted(world):
    path = os.path.join(world.controlplane.data, "controlplane.db")
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as database:
        rows = str(database.execute("SELECT * FROM secret").fetchall())
    assert "planted" in rows  # its name is no secret
    assert find(rows, world.secrets) == set()
    key = os.path.join(world.controlplane.data, "credentials.key")
    assert stat.S_IMODE(os.stat(key).st_mode) == 0o600
    listed = world.controlplane.command("credential", "list")
    assert "planted" in listed and find(listed, world.secrets) == set()


def test_a_development_stack_hides_its_secrets(stack):
    """`chaperone dev` is given the target's password on its command line."""
    stack.psql("-c", f"SELECT '{NEEDLE}'")
    secrets = {"password": [stack.postgres.password.encode()]}
    kept = {"upstream.password", "agent.token", "operator.token", "join.token"}
    for name in ("agent.token", "operator.token"):
        with open(os.path.join(stack.dir, name), encoding="ascii") as f:
            secrets[name] = pieces_of(f.read().strip())
    assert {os.path.basename(p) for p in find_in_files(stack.dir, secrets)} <= kept
    for name in kept & set(os.listdir(stack.dir)):
        assert stat.S_IMODE(os.stat(os.path.join(stack.dir, name)).st_mode) == 0o600
    assert find("".join(stack.said), secrets) == set()
    assert not [line for line in find_in_command_lines(secrets) if stack.dir.encode() in line]


# ---- memory


class OpenSession:
    """A session that is idle, and the search of the sidecar's memory meanwhile."""

    def __init__(self, sidecar, port, **dsn):
        self.pid = sidecar.part.pid
        self.dsn = {"host": "127.0.0.1", "port": port, "user": "agent", "dbname": "postgres",
                    "sslmode": "disable", "application_name": NEEDLE, **dsn}

    def find(self, secrets):
        with psycopg.connect(**self.dsn, autocommit=True) as connection:
            connection.execute("SELECT 1")
            # That it is found in memory shows that the search works.
            assert find_in_memory(self.pid, {"needle": [NEEDLE.encode()]})
            return find_in_memory(self.pid, secrets)


def unsanitized():
    """A sanitizer has a heap of its own, which keeps what was freed."""
    with open(SIDECAR, "rb") as f:
        return b"__asan_init" not in f.read()


in_memory = pytest.mark.skipif(not unsanitized(), reason="built with a sanitizer")
SOURCES = ["file", "command", "in_band", "in_band over TLS"]


@in_memory
@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("target", ["stored", "filed"])
def test_no_secret_stays_in_the_sidecars_memory(world, tmp_path, source, target):
    """As root, after the login, while the session is open."""
    token = world.plant("agent's token", world.oidc.token("agent-7"))
    identity, options, dsn = {"in_band": True}, {}, {"password": token}
    if source == "file":
        identity, dsn = {"token_file": write(str(tmp_path / "token"), token)}, {}
    elif source == "command":
        identity, dsn = {"token_command": ["cat", write(str(tmp_path / "token"), token)]}, {}
    elif source == "in_band over TLS":
        certificate, key = Authority(tmp_path, "ca").issue("sidecar", "localhost", "IP:127.0.0.1")
        options["listener"] = {"tls": {"certificate": certificate, "key": key}}
        dsn["sslmode"] = "require"
    sidecar = world.sidecar([target], identity, **options)
    for _ in range(2):  # what is left over may depend on what was there before
        found = OpenSession(sidecar, sidecar.port, **dsn).find(world.secrets)
        assert found == []


@in_memory
def test_no_secret_stays_after_sessions_that_failed(world, tmp_path):
    path = write(str(tmp_path / "token"), "")
    sidecar = world.sidecar(["wrong", "stored"], {"token_file": path})
    write(path, world.plant("bad token", world.oidc.forge(**{"with": "unknown"})))
    conversation(sidecar.port, False)
    write(path, world.plant("agent's token", world.oidc.token("agent-7")))
    conversation(sidecar.port, False)
    assert OpenSession(sidecar, sidecar.ports["stored"]).find(world.secrets) == []


@in_memory
def test_a_cleartext_password_is_wiped_after_it_was_sent(world, tmp_path):
    """To a target that asks for it in the clear, over TLS that was verified."""
    authority = Authority(tmp_path, "ca")
    pair = authority.issue("server", "db.test", "IP:127.0.0.1")
    token = world.plant("agent's token", world.oidc.token("agent-7"))
    sidecar = world.sidecar(["relayed"], {"token_file": write(str(tmp_path / "t"), token)})
    with Relay(world.postgres.port, pair, target_tls=False) as relay, \
            world.postgres.access("host all planted 127.0.0.1/32 password"):
        world.add_resource(name="relayed", address=f"127.0.0.1:{relay.port}",
                           tls={"mode": "verify-full", "ca_file": authority.certificate})
        assert OpenSession(sidecar, sidecar.port).find(world.secrets) == []
        assert PASSWORD.encode() in relay.from_client  # it was sent


@in_memory
@pytest.mark.skipif(os.geteuid() != 0, reason="runs the sidecar as another user")
def test_the_sidecar_leaves_no_core_file_and_cannot_be_traced(world, tmp_path):
    """Not even for its own user: /proc belongs to root where a process is not dumpable."""
    user = pwd.getpwnam("nobody")
    sidecar = world.sidecar(["stored"], {"token_file": write(str(tmp_path / "t"), "")})
    pid = sidecar.part.pid
    assert os.stat(f"/proc/{pid}/mem").st_uid == 0
    sidecar.part.stop()
    shutil.copy(world.controlplane.ca, sidecar.dir)
    sidecar.config["control_plane"]["ca_file"] = os.path.join(sidecar.dir, "ca.pem")
    for folder, _, names in os.walk(sidecar.dir):
        os.chown(folder, user.pw_uid, user.pw_gid)
        for name in names:
            os.chown(os.path.join(folder, name), user.pw_uid, user.pw_gid)
    os.chmod(world.controlplane.dir, 0o711)
    as_nobody = ["setpriv", "--reuid", "nobody", "--regid", str(user.pw_gid), "--clear-groups"]
    sidecar.start(as_nobody, [(resource.RLIMIT_CORE, resource.RLIM_INFINITY)])
    pid = sidecar.part.pid
    with open(f"/proc/{pid}/status", encoding="ascii") as f:
        assert f"Uid:\t{user.pw_uid}\t" in f.read()
    for name in ("mem", "environ", "maps"):
        assert os.stat(f"/proc/{pid}/{name}").st_uid == 0
    done = subprocess.run([*as_nobody, "cat", f"/proc/{pid}/environ"], capture_output=True,
                          text=True, check=False)
    assert done.returncode != 0 and "Permission denied" in done.stderr

    sidecar.part.signal(signal.SIGABRT)
    _, status = os.waitpid(pid, 0)
    assert os.WIFSIGNALED(status) and not os.WCOREDUMP(status)
