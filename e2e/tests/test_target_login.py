"""How the sidecar logs in to the target, and what the agent hears when it cannot; TLS on both sides."""

import os
import pwd
import re
import ssl
import subprocess

import psycopg
import pytest
from support.certificates import Authority
from support.manual import ControlPlane, write
from support.ports import free_port
from support.postgres import Postgres
from support.relay import Relay
from support.wire import Wire, fields, packet, startup

SECRET = "targets-password-0c6f1d"
HBA = """
local   all all                                trust
host    all postgres             127.0.0.1/32  scram-sha-256
host    all scram_user           127.0.0.1/32  scram-sha-256
host    all md5_user             127.0.0.1/32  md5
host    all clear_user           127.0.0.1/32  password
hostssl all cert_user            127.0.0.1/32  cert
host    all trust_user           127.0.0.1/32  trust
"""


def make_server(authority=None, certificate=None):
    """With a role for each way of logging in; with TLS when there is a certificate."""
    server = Postgres()
    if certificate:
        owner = pwd.getpwnam("postgres").pw_uid if server.as_user else os.getuid()
        for name, source in (("server.pem", certificate[0]), ("server.key", certificate[1]),
                             ("ca.pem", authority.certificate)):
            path = os.path.join(server.data, name)
            with open(source, encoding="ascii") as f:
                write(path, f.read())
            os.chown(path, owner, -1)
        with open(os.path.join(server.data, "postgresql.auto.conf"), "a", encoding="ascii") as f:
            f.write("ssl=on\nssl_cert_file='server.pem'\nssl_key_file='server.key'\n"
                    "ssl_ca_file='ca.pem'\nlog_connections=on\n")
    with open(os.path.join(server.data, "pg_hba.conf"), "w", encoding="ascii") as f:
        f.write(HBA)
    server.stop("fast")
    server.start()
    server.psql("SET password_encryption = 'scram-sha-256';"
                f"CREATE ROLE scram_user LOGIN PASSWORD '{SECRET}';"
                f"CREATE ROLE clear_user LOGIN PASSWORD '{SECRET}';"
                "SET password_encryption = 'md5';"
                f"CREATE ROLE md5_user LOGIN PASSWORD '{SECRET}';"
                "CREATE ROLE cert_user LOGIN; CREATE ROLE trust_user LOGIN;")
    return server


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("ca"), "ca")


@pytest.fixture(scope="module")
def stranger(tmp_path_factory):
    """An authority that nobody trusts."""
    return Authority(tmp_path_factory.mktemp("stranger"), "stranger")


@pytest.fixture(scope="module")
def certificate(authority):
    return authority.issue("server", "db.test", "DNS:db.test,IP:127.0.0.1")


@pytest.fixture(scope="module")
def server(authority, certificate):
    running = make_server(authority, certificate)
    yield running
    running.close()


@pytest.fixture(scope="module")
def plain_server():
    """Knows no TLS."""
    running = make_server()
    yield running
    running.close()


@pytest.fixture(scope="module")
def controlplane(oidc, authority, stranger):
    client = authority.issue("client", "cert_user")
    foreign = stranger.issue("client", "cert_user")
    running = ControlPlane({
        "identity_providers": [{"name": "oidc", "issuer": oidc.issuer, "audience": oidc.resource}],
        "roles": {"auditor": ["auditors"]},
        "credentials": [
            *({"name": n, "user": n, "password": {"env": "SECRET"}}
              for n in ("scram_user", "md5_user", "clear_user")),
            {"name": "trust_user", "user": "trust_user"},
            {"name": "cert_user", "user": "cert_user", "certificate": {"file": client[0]},
             "key": {"file": client[1]}},
            {"name": "foreign", "user": "cert_user", "certificate": {"file": foreign[0]},
             "key": {"file": foreign[1]}},
            {"name": "wrong", "user": "scram_user", "password": {"env": "WRONG"}},
            {"name": "no_role", "user": "no_such_role", "password": {"env": "SECRET"}},
        ],
        # Each test has resources of its own: set, and read by SIGHUP.
        "resources": [{"name": "none", "protocol": "postgres", "address": "127.0.0.1:1",
                       "databases": ["*"], "database": "postgres", "credential": "trust_user"}],
        "grants": [{"name": "all", "resources": ["*"], "groups": ["analysts"]}],
    }, operator_token=oidc.token("auditor"), env={"SECRET": SECRET, "WRONG": "not-" + SECRET})
    yield running
    running.close()


@pytest.fixture(scope="module")
def sidecar(controlplane, oidc):
    token = write(os.path.join(controlplane.dir, "agent.token"), oidc.token("agent-7"))
    return controlplane.sidecar(["target"], {"token_file": token})


@pytest.fixture
def target(controlplane, sidecar):
    """Makes the one resource that the sidecar has a listener for."""
    def make(port, credential, mode="disable", **tls):
        controlplane.config["resources"] = [{
            "name": "target", "protocol": "postgres", "address": f"127.0.0.1:{port}",
            "databases": ["*"], "database": "postgres", "tls": {"mode": mode, **tls},
            "credential": credential}]
        controlplane.reload()
        return sidecar
    return make


def who(sidecar):
    """(role, TLS) of a session, as the target sees them."""
    with psycopg.connect(sidecar.dsn(), autocommit=True) as connection:
        return connection.execute(
            "SELECT current_user, ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()").fetchone()


def refused(sidecar):
    """The error of a session that must not come about; it names neither the role nor a password."""
    name = os.urandom(8).hex()
    with pytest.raises(psycopg.OperationalError) as raised:
        psycopg.connect(sidecar.dsn(application_name=name))
    said = str(raised.value)
    opened = sidecar.wait_for(lambda r: r["kind"] == "session_opened"
                              and r.get("application_name") == name)
    closed = sidecar.wait_for(lambda r: r["kind"] == "session_closed",
                              "--session", opened["session"])
    assert closed["reason"] in ("target_login_failed", "target_unreachable")
    assert "FATAL:  " + closed["error"] in said
    for secret in (SECRET, "_user", "no_such_role"):
        assert secret not in said
    assert SECRET not in str(closed)
    return said


def sqlstate(sidecar):
    with Wire(sidecar.port) as w:
        w.send(startup())
        kind, body = w.read()
        assert kind == b"E" and w.closed()
        return fields(body)["C"]


# ---- ways of logging in


@pytest.mark.parametrize("user, mode", [
    ("scram_user", "disable"), ("scram_user", "verify-full"), ("md5_user", "disable"),
    ("md5_user", "verify-full"), ("clear_user", "verify-full"), ("clear_user", "verify-ca"),
    ("trust_user", "disable"), ("trust_user", "verify-full"), ("cert_user", "verify-full")])
def test_login(target, server, authority, user, mode):
    tls = {} if mode == "disable" else {"ca_file": authority.certificate}
    assert who(target(server.port, user, mode, **tls)) == (user, mode != "disable")


@pytest.mark.parametrize("key, digest", [("ec:P-256", "sha256"), ("ec:P-384", "sha384"),
                                         ("rsa:2048", "sha512")])
def test_channel_binding_is_used_over_tls(target, authority, tmp_path, key, digest):
    """The relay has the server's own certificate, so it can look at what passes."""
    pair = authority.issue("bound", "db.test", "IP:127.0.0.1", key, digest)
    bound = make_server(authority, pair)
    try:
        with Relay(bound.port, pair) as relay:
            sidecar = target(relay.port, "scram_user", "verify-full",
                             ca_file=authority.certificate)
            assert who(sidecar) == ("scram_user", True)
            assert b"SCRAM-SHA-256-PLUS\0" in relay.from_target
            assert b"SCRAM-SHA-256-PLUS\0" in relay.from_client
            assert b"p=tls-server-end-point,," in relay.from_client
            assert SECRET.encode() not in relay.from_client
    finally:
        bound.close()


def test_channel_binding_finds_a_man_in_the_middle(target, server, stranger):
    """Without a check of the certificate only the binding tells that it is not the server's."""
    pair = stranger.issue("middle", "db.test", "IP:127.0.0.1")
    with Relay(server.port, pair) as relay:
        sidecar = target(relay.port, "scram_user", "require")
        said = refused(sidecar)
        assert b"p=tls-server-end-point,," in relay.from_client
        assert "Chaperone cannot log in to the target" in said
    assert who(target(server.port, "scram_user", "require")) == ("scram_user", True)


def test_without_tls_there_is_no_binding(target, server):
    with Relay(server.port) as relay:
        assert who(target(relay.port, "scram_user")) == ("scram_user", False)
        assert b"SCRAM-SHA-256\0" in relay.from_client
        assert b"PLUS" not in relay.from_client
        assert SECRET.encode() not in relay.from_client


def test_a_cleartext_password_is_given_to_a_verified_server_only(target, server, stranger):
    with Relay(server.port) as relay:
        said = refused(target(relay.port, "clear_user"))
        assert "asks for the password in clear text over a link that is not protected" in said
        assert SECRET.encode() not in relay.from_client
    with Relay(server.port, stranger.issue("middle", "db.test")) as relay:
        assert "clear text" in refused(target(relay.port, "clear_user", "require"))
        assert SECRET.encode() not in relay.from_client
    assert sqlstate(target(server.port, "clear_user", "prefer")) == "28P01"


# ---- TLS to the target


def test_verify_full_checks_the_name(target, server, authority):
    ca = {"ca_file": authority.certificate}
    assert who(target(server.port, "scram_user", "verify-full", server_name="db.test", **ca))[1]
    said = refused(target(server.port, "scram_user", "verify-full", server_name="other.test", **ca))
    assert "the certificate does not hold: Hostname mismatch" in said
    assert who(target(server.port, "scram_user", "verify-ca", server_name="other.test", **ca))[1]


@pytest.mark.parametrize("mode", ["verify-full", "verify-ca"])
def test_a_certificate_of_another_authority_is_refused(target, server, stranger, mode):
    said = refused(target(server.port, "scram_user", mode, ca_file=stranger.certificate))
    assert "the certificate does not hold: " in said
    assert sqlstate(target(server.port, "scram_user", mode,
                           ca_file=stranger.certificate)) == "08001"


@pytest.mark.parametrize("mode", ["verify-full", "verify-ca", "require"])
def test_a_server_without_tls_is_refused_where_tls_is_demanded(target, plain_server, authority,
                                                               mode):
    with Relay(plain_server.port) as relay:
        said = refused(target(relay.port, "scram_user", mode, ca_file=authority.certificate))
        assert "it does not offer TLS, which its resource demands" in said
        assert relay.from_client == packet(80877103)


def test_prefer_takes_what_there_is(target, server, plain_server):
    assert who(target(server.port, "scram_user", "prefer")) == ("scram_user", True)
    assert who(target(plain_server.port, "scram_user", "prefer")) == ("scram_user", False)


# ---- logins that fail


@pytest.mark.parametrize("credential, code", [("wrong", "28P01"), ("no_role", "28000")])
def test_a_refused_credential_is_not_revealed(target, server, controlplane, credential, code):
    said = refused(target(server.port, credential))
    assert re.search(r"it refuses the resource's credential \(SQLSTATE 28(P01|000)\);"
                     " an administrator must look at it", said)
    assert sqlstate(target(server.port, credential)) == code
    for text in (SECRET, "not-" + SECRET):
        assert text not in controlplane.logs()


def test_a_client_certificate_that_the_target_does_not_trust(target, server, authority):
    said = refused(target(server.port, "foreign", "verify-full", ca_file=authority.certificate))
    assert "Chaperone cannot log in to the target: it closed the connection" in said


def test_a_target_that_is_down(target):
    sidecar = target(free_port(), "scram_user")
    assert "Chaperone cannot connect to the target: Connection refused" in refused(sidecar)
    assert sqlstate(sidecar) == "08001"


# ---- TLS towards the agent


@pytest.fixture(scope="module")
def secured(controlplane, oidc, authority):
    """A sidecar with TLS on its listener, that takes the token as the password."""
    certificate, key = authority.issue("sidecar", "localhost", "DNS:localhost,IP:127.0.0.1")
    running = controlplane.sidecar(["target"], {"in_band": True},
                                   listener={"tls": {"certificate": certificate, "key": key}})
    running.token = oidc.token("agent-7")
    return running


def test_an_agent_verifies_the_sidecar(target, server, secured, authority):
    target(server.port, "scram_user")
    env = dict(secured.env(), PGSSLMODE="verify-full", PGSSLROOTCERT=authority.certificate,
               PGPASSWORD=secured.token)
    done = subprocess.run(["psql", "-XAtc", "SELECT 'secured'", "-c", r"\conninfo"], env=env,
                          check=True, capture_output=True, text=True)
    assert done.stdout.startswith("secured\n")
    assert "SSL connection (protocol: TLSv1.3" in done.stdout


def test_an_agent_that_trusts_another_authority_does_not_talk(target, server, secured, stranger):
    target(server.port, "scram_user")
    with pytest.raises(psycopg.OperationalError, match="certificate verify failed"):
        psycopg.connect(secured.dsn(sslmode="verify-full", sslrootcert=stranger.certificate,
                                    password=secured.token))
    with psycopg.connect(secured.dsn(sslmode="require", password=secured.token)) as connection:
        assert connection.pgconn.ssl_in_use


def test_a_large_answer_over_tls_on_both_sides(target, server, secured, authority):
    target(server.port, "scram_user", "verify-full", ca_file=authority.certificate)
    with psycopg.connect(secured.dsn(sslmode="require", password=secured.token)) as connection:
        assert connection.pgconn.ssl_in_use
        value = os.urandom(8 << 20)
        got = connection.execute("SELECT %b::bytea FROM generate_series(1, 3)",
                                 (value,)).fetchall()
        assert got == [(value,)] * 3


def test_plaintext_behind_the_request_for_tls_is_refused(secured):
    """CVE-2021-23222: it would be taken for the beginning of the encrypted stream."""
    with Wire(secured.port) as w:
        w.send(packet(80877103), startup())
        kind, body = w.read()
        assert kind == b"E" and fields(body)["C"] == "08P01"
        assert w.closed()


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion")
def test_a_client_that_speaks_old_tls_is_refused(secured):
    with Wire(secured.port) as w:
        w.send(packet(80877103))
        assert w.byte() == b"S"
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        context.set_ciphers("DEFAULT@SECLEVEL=0")
        context.minimum_version = ssl.TLSVersion.TLSv1
        context.maximum_version = ssl.TLSVersion.TLSv1_1
        with pytest.raises(ssl.SSLError):
            context.wrap_socket(w.socket)


# ---- JDBC


def test_jdbc_is_the_same(target, server, sidecar, tmp_path):
    """The same program, directly and through the sidecar."""
    target(server.port, "scram_user")
    server.psql("GRANT CREATE ON SCHEMA public TO scram_user")
    here = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    outputs = []
    for port, password in ((server.port, SECRET), (sidecar.port, "")):
        done = subprocess.run(
            ["java", "-cp", "/usr/share/java/postgresql.jar",
             os.path.join(here, "java", "Conversation.java"), str(port), "scram_user", password],
            capture_output=True, text=True, check=False, timeout=300)
        assert done.returncode == 0, done.stdout + done.stderr
        outputs.append(done.stdout)
    assert outputs[0] == outputs[1]
    assert outputs[0].endswith("all as expected\n")
