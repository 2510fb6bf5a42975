"""Who an agent is: a certified OpenID provider, its keys and groups, every kind of bad token, and the
ways in which a token comes to the sidecar."""

import os
import time

import psycopg
import pytest
from support.manual import ControlPlane, postgres_resource, write
from support.oidc import Provider
from support.postgres import PASSWORD
from support.wire import Wire, fields, startup

CLIENTS = [
    {"id": "agent-7", "groups": ["analysts", "staff"]},
    {"id": "agent-es", "groups": ["analysts"], "alg": "ES256"},
    {"id": "agent-ps", "groups": ["analysts"], "alg": "PS256"},
    {"id": "agent-ed", "groups": ["analysts"], "alg": "EdDSA"},
    {"id": "stranger", "groups": ["visitors"]},
    {"id": "nobody"},
    {"id": "delegate", "groups": ["analysts"], "acts_for": "alice", "name": "Delegate",
     "reason": "ticket 4711", "act": {"act": {"sub": "orchestrator"}}},
    {"id": "auditor", "groups": ["auditors"]},
    {"id": "admin", "groups": ["admins"]},
]


def make_controlplane(agents, people, postgres):
    """Those who search the audit come from elsewhere, so that a test may spoil the agents' issuer."""
    resources, credentials = postgres_resource(postgres)
    return ControlPlane({
        "identity_providers": [
            {"name": "agents", "issuer": agents.issuer, "audience": agents.resource},
            {"name": "people", "issuer": people.issuer, "audience": people.resource}],
        "roles": {"auditor": ["auditors"], "admin": ["admins"]},
        "credentials": credentials,
        "resources": resources,
        "grants": [{"name": "analysts-read", "resources": ["db"], "groups": ["analysts"]}],
    }, operator_token=people.token("auditor"), env={"TARGET_PASSWORD": PASSWORD})


@pytest.fixture(scope="module")
def provider():
    running = Provider(CLIENTS)
    yield running
    running.close()


@pytest.fixture(scope="module")
def controlplane(provider, oidc, postgres):
    running = make_controlplane(provider, oidc, postgres)
    yield running
    running.close()


@pytest.fixture(scope="module")
def sidecar(controlplane):
    path = os.path.join(controlplane.dir, "agent.token")
    running = controlplane.sidecar(["db"], {"token_file": path})
    running.token_file = path
    return running


@pytest.fixture
def own(oidc, postgres):
    """A provider that a test may spoil, and a sidecar; no key is cached yet."""
    provider = Provider(CLIENTS)
    controlplane = make_controlplane(provider, oidc, postgres)
    path = os.path.join(controlplane.dir, "agent.token")
    sidecar = controlplane.sidecar(["db"], {"token_file": path})
    sidecar.token_file = path
    yield provider, sidecar
    controlplane.close()
    provider.close()


def session(sidecar, token=None):
    """Opens one with this token; returns its session_opened record."""
    if token is not None:
        write(sidecar.token_file, token)
    with psycopg.connect(sidecar.dsn(), autocommit=True) as connection:
        tag = f"SELECT 'session {os.urandom(8).hex()}'"
        connection.execute(tag)
    intent = sidecar.wait_for(lambda r: r["text"] == tag)
    return sidecar.wait_for(lambda r: r["kind"] == "session_opened",
                            "--session", intent["session"])


def refusal(sidecar, token=None, **dsn):
    """The error of a session that must not come about; its record says the same."""
    if token is not None:
        write(sidecar.token_file, token)
    name = os.urandom(8).hex()
    with pytest.raises(psycopg.OperationalError) as raised:
        psycopg.connect(sidecar.dsn(application_name=name, **dsn))
    said = str(raised.value)
    record = sidecar.wait_for(lambda r: r["kind"] == "session_opened"
                              and r.get("application_name") == name)
    assert record["verdict"] == "deny"
    assert "FATAL:  Chaperone refuses the session: " + record["error"] in said
    if token and len(token) > 8:
        for piece in [token, *(p for p in token.split(".") if len(p) > 8)]:
            assert piece not in said and piece not in str(record)
            assert piece not in sidecar.logs()
    return said


def sqlstate(sidecar):
    """Of the error that a connection gets now (libpq does not tell); "00000" when it gets none."""
    with Wire(sidecar.port) as w:
        w.send(startup())
        kind, body = w.read()
        if kind == b"R":
            return "00000"
        assert kind == b"E" and w.closed()
        assert fields(body)["S"] == "FATAL"
        return fields(body)["C"]


# ---- who may


@pytest.mark.parametrize("client", ["agent-7", "agent-es", "agent-ps", "agent-ed"])
def test_a_token_of_the_provider_opens_a_session(provider, sidecar, client):
    record = session(sidecar, provider.token(client))
    assert (record["identity"], record["issuer"]) == (client, provider.issuer)
    assert record["assurance"] == "verified"
    assert (record["verdict"], record["rule"]) == ("allow", "analysts-read")


def test_groups_are_those_of_the_token(provider, sidecar):
    assert session(sidecar, provider.token("agent-7"))["groups"] == ["analysts", "staff"]


@pytest.mark.parametrize("client", ["stranger", "nobody"])
def test_without_the_group_there_is_no_grant(provider, sidecar, client):
    said = refusal(sidecar, provider.token(client))
    assert f'"{client}" has no grant for the resource "db"' in said
    assert sqlstate(sidecar) == "28000"


def test_delegation_and_reason_are_recorded_as_verified(provider, sidecar):
    record = session(sidecar, provider.token("delegate"))
    assert record["identity"] == "delegate"
    assert [(d["subject"], d["assurance"], d["source"]) for d in record["delegation"]] == [
        ("orchestrator", "verified", "token:act"), ("alice", "verified", "token:sub")]
    assert record["on_behalf_of"] == "orchestrator, alice"
    assert {"text": "ticket 4711", "assurance": "verified",
            "source": "token:reason"} in record["reasons"]


def test_what_the_agent_says_itself_is_labelled_declared(provider, sidecar):
    write(sidecar.token_file, provider.token("delegate"))
    text = "SELECT 1 /* reason: because I say so */"
    with psycopg.connect(sidecar.dsn()) as connection:
        connection.execute(text)
    intent = sidecar.wait_for(lambda r: r["text"] == text)
    assert {"text": "because I say so", "assurance": "declared",
            "source": "sql_comment"} in intent["reasons"]


@pytest.mark.parametrize("client, code", [("auditor", 0), ("admin", 0), ("agent-7", 1),
                                          ("nobody", 1)])
def test_an_operators_role_comes_from_groups(provider, sidecar, tmp_path, client, code):
    session(sidecar, provider.token("agent-7"))
    token = write(str(tmp_path / "token"), provider.token(client))
    done = sidecar.controlplane.chaperone_as(token, "audit", "search", "--identity", "agent-7",
                                             "--json")
    assert done.returncode == code, done.stderr
    if code == 0:
        assert '"agent-7"' in done.stdout
    else:
        assert done.stdout == "" and f'"{client}" has no role that may do this' in done.stderr


def test_an_auditor_may_search_but_not_kill(provider, sidecar):
    write(sidecar.token_file, provider.token("agent-7"))
    with psycopg.connect(sidecar.dsn(), autocommit=True) as connection:
        connection.execute("SELECT 'to be killed'")
        record = sidecar.wait_for(lambda r: r["text"] == "SELECT 'to be killed'")
        done = sidecar.chaperone("session", "kill", record["session"], check=False)
        assert done.returncode != 0 and "no role" in done.stderr
        assert connection.execute("SELECT 1").fetchone() == (1,)


# ---- bad tokens


BAD = [
    ("expired", {"claims": {"iat": 1000000, "exp": 1000600}}, "the token expired at 1970-01-12"),
    ("not yet valid", {"claims": {"nbf": 4000000000, "exp": 4000000600}}, "is not valid before"),
    ("an end that is no time", {"claims": {"exp": None}}, "the token's exp is not a time"),
    ("other audience", {"claims": {"aud": "https://elsewhere.test"}},
     'the token is for the audience "https://elsewhere.test"'),
    ("other issuer", {"claims": {"iss": "https://elsewhere.test"}},
     'the token\'s issuer "https://elsewhere.test" is not configured'),
    ("no subject", {"claims": {"sub": None}}, "subject"),
    ("unsigned", {"with": "none"}, "the token is unsigned"),
    ("HMAC with the public key", {"with": "public"}, "signed with a shared secret"),
    ("another key under the same id", {"with": "unknown"}, "signature is wrong"),
    ("an algorithm that is not allowed", {"header": {"alg": "RS512"}}, "RS512"),
]


@pytest.mark.parametrize("how, said", [b[1:] for b in BAD], ids=[b[0] for b in BAD])
def test_a_bad_token_is_refused(provider, sidecar, how, said):
    assert said in refusal(sidecar, provider.forge(**how))
    assert sqlstate(sidecar) == "28000"


@pytest.mark.parametrize("token, said", [
    ("garbage", "the token is not a JWT"),
    ("a.b.c", "base64url"),
    ("ä" * 40, "the token has a character that no JWT has"),
    ("x" * 20000, "longer than 16 KiB"),
    ("", "the agent's token is empty"),
    (" \n\n", "the agent's token is empty"),
])
def test_what_is_no_token_is_refused(sidecar, token, said):
    assert said in refusal(sidecar, token)
    assert sqlstate(sidecar) == "28000"


def test_a_token_with_a_changed_claim_is_refused(provider, sidecar):
    head, claims, signature = provider.token("stranger").split(".")
    other = provider.token("agent-7").split(".")[1]
    assert other != claims
    assert "signature is wrong" in refusal(sidecar, ".".join((head, other, signature)))


def test_a_missing_token_file_is_refused(sidecar):
    if os.path.exists(sidecar.token_file):
        os.unlink(sidecar.token_file)
    said = refusal(sidecar)
    assert "token file" in said and "No such file or directory" in said
    assert sqlstate(sidecar) == "28000"


def test_a_token_of_an_unknown_key_is_refused(provider, sidecar):
    said = refusal(sidecar, provider.forge(**{"with": "stranger"}))
    assert "the token is signed with an unknown key" in said
    assert sqlstate(sidecar) == "28000"


# ---- the provider's keys


def test_a_new_key_is_picked_up_and_a_withdrawn_one_refused(own):
    provider, sidecar = own
    old = provider.token("agent-7")
    assert session(sidecar, old)["identity"] == "agent-7"

    provider.order("rotate", keep=True)
    assert session(sidecar, provider.token("agent-7"))["identity"] == "agent-7"
    assert session(sidecar, old)["identity"] == "agent-7"  # its key is still published


def test_a_withdrawn_key_is_refused_once_the_key_set_was_read_again(own):
    provider, sidecar = own
    old = provider.token("agent-7")
    session(sidecar, old)
    provider.order("rotate", keep=False)
    session(sidecar, provider.token("agent-7"))
    assert "the token is signed with an unknown key" in refusal(sidecar, old)


def test_the_issuer_is_down_and_nothing_is_cached(own):
    provider, sidecar = own
    token = provider.token("agent-7")
    provider.order("stop")
    said = refusal(sidecar, token)
    assert f"the keys of issuer {provider.issuer} cannot be fetched" in said
    assert sqlstate(sidecar) == "57P03"

    provider.order("start")
    deadline = time.monotonic() + 60  # it is asked again after one second, two, four, ...
    while sqlstate(sidecar) == "57P03":
        assert time.monotonic() < deadline
    assert session(sidecar, token)["identity"] == "agent-7"


def test_the_issuer_is_down_but_its_keys_are_cached(own):
    provider, sidecar = own
    token = provider.token("agent-7")
    session(sidecar, token)
    provider.order("stop")
    assert session(sidecar, token)["identity"] == "agent-7"
    # A key that is not cached may be a new one: it cannot be told now.
    said = refusal(sidecar, provider.forge(**{"with": "stranger"}))
    assert "unknown key" in said and "cannot be fetched" in said
    assert sqlstate(sidecar) == "57P03"


def test_a_key_set_of_a_megabyte_is_not_read(own):
    provider, sidecar = own
    provider.order("pad", bytes=1 << 20)
    said = refusal(sidecar, provider.token("agent-7"))
    assert "key set: the answer is larger than" in said
    assert sqlstate(sidecar) == "57P03"


def test_unknown_keys_do_not_make_requests_to_the_issuer(own):
    provider, sidecar = own
    session(sidecar, provider.token("agent-7"))
    before = provider.order("count")["asked"]
    write(sidecar.token_file, provider.forge(**{"with": "stranger"}))
    started = time.monotonic()
    for _ in range(50):
        assert sqlstate(sidecar) == "28000"
    seconds = time.monotonic() - started
    # The first one made a request; ten seconds later another one may.
    assert 1 <= provider.order("count")["asked"] - before <= 1 + seconds / 10


# ---- where the token comes from


def test_a_token_file_is_read_again_when_it_has_changed(provider, sidecar):
    assert session(sidecar, provider.token("agent-7"))["identity"] == "agent-7"
    assert session(sidecar, provider.token("agent-es"))["identity"] == "agent-es"


def test_a_token_from_the_environment(provider, controlplane):
    sidecar = controlplane.sidecar(["db"], {"token_env": "AGENT_TOKEN"},
                                   env={"AGENT_TOKEN": provider.token("agent-es")})
    assert session(sidecar)["identity"] == "agent-es"


def test_an_environment_without_the_token(controlplane):
    sidecar = controlplane.sidecar(["db"], {"token_env": "NO_SUCH_TOKEN"})
    assert "the environment variable NO_SUCH_TOKEN holds no token" in refusal(sidecar)
    assert sqlstate(sidecar) == "28000"


def test_a_token_from_a_command(provider, controlplane, tmp_path):
    path = write(str(tmp_path / "token"), provider.token("agent-ps"))
    sidecar = controlplane.sidecar(["db"], {"token_command": ["cat", path]})
    assert session(sidecar)["identity"] == "agent-ps"
    os.unlink(path)
    said = refusal(sidecar)
    assert "the agent's token command cat failed" in said
    assert sqlstate(sidecar) == "28000"


def test_a_token_in_band_as_the_password(provider, controlplane):
    sidecar = controlplane.sidecar(["db"], {"in_band": True})
    token = provider.token("agent-7")
    done = sidecar.psql("-Atc", "SELECT 'in band'", PGPASSWORD=token)
    assert done.stdout == "in band\n"
    intent = sidecar.wait_for(lambda r: r["text"] == "SELECT 'in band'")
    assert intent["identity"] == "agent-7"
    # Every session has an identity of its own.
    sidecar.psql("-Atc", "SELECT 'another'", PGPASSWORD=provider.token("agent-ed"))
    assert sidecar.wait_for(lambda r: r["text"] == "SELECT 'another'")["identity"] == "agent-ed"


def test_bad_tokens_in_band(provider, controlplane):
    sidecar = controlplane.sidecar(["db"], {"in_band": True})
    for token, said in (("a-password", "the token is not a JWT"),
                        (provider.forge(**{"with": "none"}), "the token is unsigned"),
                        (provider.token("stranger"), "has no grant")):
        assert said in refusal(sidecar, password=token)
        assert token not in sidecar.logs()
