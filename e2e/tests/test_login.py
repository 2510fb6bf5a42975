"""`chaperone login` against a certified OpenID provider: in the browser, with a device code, and what becomes of
the tokens."""

import http.server
import json
import os
import signal
import socket
import ssl
import stat
import subprocess
import threading
import time
import urllib.error
import urllib.parse
import urllib.request

import pytest
from support.certificates import Authority
from support.login import Browser, Home, NoRedirect
from support.manual import ControlPlane
from support.oidc import Provider
from support.ports import free_port
from support.stack import CHAPERONE

PEOPLE = {"ann": {"groups": ["auditors"], "name": "Ann Ames"}, "bob": {"groups": ["visitors"]}}


@pytest.fixture(scope="module")
def provider():
    running = Provider([], PEOPLE)
    yield running
    running.close()


@pytest.fixture(scope="module")
def controlplane(provider):
    running = ControlPlane({
        "identity_providers": [{"name": "people", "issuer": provider.issuer,
                                "audience": ["chaperone-cli", provider.resource]}],
        "roles": {"auditor": ["auditors"]},
    })
    yield running
    running.close()


@pytest.fixture
def home(provider, controlplane, tmp_path):
    yield Home(tmp_path, server=f"127.0.0.1:{controlplane.server_port}", ca=controlplane.ca,
               issuer=provider.issuer, client_id="chaperone-cli")
    provider.order("lives", seconds=600)
    provider.order("metadata", set={})


def log_in(home, name="ann", *args):
    login = home.login("--no-browser", *args)
    status, _, page = Browser(name).open(login.address())
    assert (status, "close this page" in page) == (200, True), page
    return login.succeed()


def query(url):
    return {k: v[0] for k, v in urllib.parse.parse_qs(urllib.parse.urlsplit(url).query).items()}


def no_proxy_get(url):
    """The status of a GET that follows nothing."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), NoRedirect)
    try:
        with opener.open(url, timeout=60) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code


# ---- the two ways in


def test_in_the_browser(home):
    login = log_in(home)
    assert login.out.startswith("logged in as ann for 127.0.0.1:")
    done = home.run("session", "list", "--all", "--json")
    assert done.returncode == 0, done.stderr


def test_what_the_issuer_is_asked(home):
    login = home.login("--no-browser")
    asked = query(login.address())
    assert asked["response_type"] == "code"
    assert asked["code_challenge_method"] == "S256" and len(asked["code_challenge"]) == 43
    assert len(asked["state"]) == 43 and len(asked["nonce"]) == 43
    assert len({asked["state"], asked["nonce"], asked["code_challenge"]}) == 3
    redirect = urllib.parse.urlsplit(asked["redirect_uri"])
    assert (redirect.scheme, redirect.hostname, redirect.path) == ("http", "127.0.0.1", "/callback")
    # What the issuer names, and nothing else.
    assert asked["scope"].split() == ["openid", "profile", "groups", "offline_access"]
    login.process.send_signal(signal.SIGINT)
    assert login.wait().code == 130


def test_the_browser_is_opened(home, tmp_path):
    opened = tmp_path / "opened"
    os.mkfifo(opened)
    program = tmp_path / "xdg-open"
    program.write_text(f'#!/bin/sh\necho "$1" > {opened}\n')
    program.chmod(0o755)
    login = home.login(DISPLAY=":7", PATH=f"{tmp_path}:{os.environ['PATH']}")
    url = opened.read_text().strip()
    assert url == login.address()
    Browser("ann").open(url)
    login.succeed()


def test_with_a_device_code(home):
    login = home.login("--device", "--json")
    said = login.read_until(r"http://\S+ in a browser.* enter the code \S+")
    url, code = said.split(" ")[0], said.rsplit(" ", 1)[1]
    status, _, page = Browser("ann").open(url, user_code=code)
    assert status == 200 and "successful" in page, page
    answer = json.loads(login.succeed().out)
    assert (answer["subject"], answer["refreshes"]) == ("ann", True)
    assert home.run("session", "list").returncode == 0


def test_without_a_display_it_is_a_device_code(home):
    login = home.login()
    assert "enter the code" in login.read_until("enter the code")
    login.process.send_signal(signal.SIGINT)
    assert login.wait().code == 130
    assert home.files() == []


def test_a_device_code_refused_in_the_browser(home):
    login = home.login("--device")
    said = login.read_until(r"http://\S+ in a browser.* enter the code \S+")
    browser = Browser("ann")
    browser.open(said.split(" ")[0], user_code=said.rsplit(" ", 1)[1], abort="yes")
    login.wait()
    assert login.code == 1 and "refused in the browser" in login.said
    assert home.files() == []


def test_an_access_token_for_the_control_plane(home, provider):
    log_in(home, "ann", "--token", "access", "--audience", provider.resource)
    who = json.loads(home.run("whoami", "--json").stdout)
    assert who["audience"] == [provider.resource]
    assert home.run("session", "list").returncode == 0


def test_groups_decide_as_with_any_token(home):
    log_in(home, "bob")
    done = home.run("session", "list")
    assert done.returncode == 1 and '"bob" has no role' in done.stderr


# ---- what is kept


def test_files_are_private(home):
    log_in(home)
    (file,) = home.files()
    assert stat.S_IMODE(os.stat(file).st_mode) == 0o600
    for directory in (home.state, os.path.dirname(file)):
        assert stat.S_IMODE(os.stat(directory).st_mode) == 0o700


def test_a_file_that_others_may_read_is_not_used(home):
    log_in(home)
    os.chmod(home.files()[0], 0o640)
    done = home.run("session", "list")
    assert done.returncode == 1 and "may be read by others" in done.stderr


def test_a_token_goes_to_its_own_control_plane_only(home):
    log_in(home)
    with socket.create_server(("127.0.0.1", 0)) as other:
        done = home.run("session", "list", "--server", f"127.0.0.1:{other.getsockname()[1]}")
    assert done.returncode == 2 and "chaperone login" in done.stderr
    # The file of one server under another one's name is no login either.
    (file,) = home.files()
    os.rename(file, file.replace("127.0.0.1", "localhost"))
    port = home.run("session", "list", "--server",
                    "localhost:" + home.stored()["server"].split(":")[1])
    assert port.returncode == 1 and "holds no login" in port.stderr


def test_another_token_comes_first(home):
    log_in(home)
    assert json.loads(home.run("whoami", "--json").stdout)["token_from"] == "login"
    token = home.stored()["token"]
    who = json.loads(home.run("whoami", "--json", CHAPERONE_TOKEN=token).stdout)
    assert who["token_from"] == "CHAPERONE_TOKEN"


def test_whoami(home):
    log_in(home)
    said = home.run("whoami").stdout
    assert "subject     ann\n" in said and "groups      auditors\n" in said
    assert "token from  login\n" in said


def test_nobody_is_logged_in(home):
    for command in (["whoami"], ["session", "list"]):
        done = home.run(*command)
        assert done.returncode == 2 and "Log in with `chaperone login`" in done.stderr
    done = home.run("logout")
    assert done.returncode == 1 and "not logged in" in done.stderr


# ---- refreshing


def test_a_token_that_has_run_out_is_renewed(home):
    log_in(home)
    before = home.stored()
    home.store(expires=int(time.time()) + 5)
    done = home.run("session", "list")
    assert done.returncode == 0, done.stderr
    after = home.stored()
    assert after["token"] != before["token"] and after["expires"] > time.time() + 300
    assert stat.S_IMODE(os.stat(home.files()[0]).st_mode) == 0o600


def test_without_its_refresh_token_one_must_log_in_again(home):
    log_in(home)
    home.store(expires=int(time.time()) - 5, refresh_token="")
    done = home.run("session", "list")
    assert done.returncode == 1 and "log in again: chaperone login" in done.stderr


def test_a_refresh_token_that_the_issuer_does_not_know(home):
    log_in(home)
    home.store(expires=int(time.time()) - 5, refresh_token="stolen-and-revoked")
    done = home.run("session", "list")
    assert done.returncode == 1 and "invalid_grant" in done.stderr
    assert "log in again" in done.stderr and "stolen-and-revoked" not in done.stderr


def test_the_tokens_of_another_person_are_not_taken(home):
    log_in(home)
    home.store(expires=int(time.time()) - 5, subject="bob")
    done = home.run("session", "list")
    assert done.returncode == 1 and "another person" in done.stderr


def test_the_issuer_is_away_when_the_token_runs_out(home):
    """The question was not asked: that is no "no"."""
    log_in(home)
    home.store(expires=int(time.time()) - 5, issuer=f"http://127.0.0.1:{free_port()}")
    done = home.run("session", "list")
    assert done.returncode == 3 and "cannot be refreshed" in done.stderr
    assert home.stored()["refresh_token"]


def test_two_commands_renew_once(home):
    log_in(home)
    home.store(expires=int(time.time()) - 5)
    running = [subprocess.Popen([CHAPERONE, "session", "list"], env=home.env) for _ in range(4)]
    assert [process.wait(60) for process in running] == [0, 0, 0, 0]


# ---- logging out


def test_logout_forgets_and_revokes(home, provider):
    log_in(home)
    refresh = home.stored()["refresh_token"]
    done = home.run("logout", "--json")
    assert done.returncode == 0 and json.loads(done.stdout)["revoked"] is True
    assert home.files() == []
    form = {"grant_type": "refresh_token", "refresh_token": refresh, "client_id": "chaperone-cli"}
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(provider.issuer + "/token",
                               urllib.parse.urlencode(form).encode(), timeout=60)
    assert json.load(refused.value)["error"] == "invalid_grant"
    assert home.run("session", "list").returncode == 2


def test_logout_forgets_when_the_issuer_is_away(home):
    log_in(home)
    home.store(issuer=f"http://127.0.0.1:{free_port()}")
    done = home.run("logout")
    assert done.returncode == 0 and "may stay valid" in done.stderr
    assert home.files() == []


# ---- what does not belong there


def test_another_state_is_refused_and_the_login_goes_on(home):
    login = home.login("--no-browser")
    url = login.address()
    back = query(url)["redirect_uri"]
    for wrong in ("code=stolen&state=guessed", "code=stolen", "error=access_denied&state=guessed",
                  f"code=a&code=b&state={query(url)['state']}",
                  f"code=a&state={query(url)['state']}&iss=https%3A%2F%2Felsewhere.test",
                  f"code=a&error=b&state={query(url)['state']}"):
        assert no_proxy_get(f"{back}?{wrong}") == 400, wrong
    assert no_proxy_get(back.replace("/callback", "/")) == 404
    Browser("ann").open(url)
    login.succeed()
    assert "6 answers that did not belong to this login were refused" in login.said


def test_a_code_of_another_login_is_refused_by_the_issuer(home):
    """With the right state, but the verifier is another: PKCE."""
    first, second = home.login("--no-browser"), home.login("--no-browser")
    one, two = first.address(), second.address()
    mixed = one.replace(query(one)["code_challenge"], query(two)["code_challenge"])
    Browser("ann").open(mixed)
    first.wait()
    assert first.code == 1 and "invalid_grant" in first.said
    second.process.send_signal(signal.SIGTERM)
    assert second.wait().code == 143
    assert home.files() == []


def test_another_nonce_is_refused(home):
    login = home.login("--no-browser")
    url = login.address()
    Browser("ann").open(url.replace(query(url)["nonce"], "x" * 43))
    login.wait()
    assert login.code == 1 and "its nonce is another" in login.said
    assert home.files() == []


def test_the_page_is_for_its_own_name_only(home):
    login = home.login("--no-browser")
    back = urllib.parse.urlsplit(query(login.address())["redirect_uri"])
    with socket.create_connection((back.hostname, back.port), timeout=60) as s:
        s.sendall(b"GET /callback?code=a&state=b HTTP/1.1\r\nHost: rebound.test\r\n\r\n")
        assert s.recv(100).startswith(b"HTTP/1.1 404")
    login.process.send_signal(signal.SIGINT)
    assert login.wait().code == 130


def test_the_issuers_words_cannot_rewrite_the_terminal(home, provider):
    login = home.login("--no-browser")
    url = login.address()
    back = query(url)["redirect_uri"]
    said = urllib.parse.urlencode({"error": "access_denied", "state": query(url)["state"],
                                   "error_description": "not \x1b[31mtoday", "iss": provider.issuer})
    assert no_proxy_get(f"{back}?{said}") == 200
    login.wait()
    assert login.code == 1 and "the issuer refuses the login: access_denied: not " in login.said
    assert "\x1b" not in login.said and "\\x1b[31mtoday" in login.said


# ---- issuers


def test_an_issuer_that_is_not_there(home):
    done = home.run("login", "--issuer", f"http://127.0.0.1:{free_port()}", "--client-id", "x")
    assert done.returncode == 3 and "Failed to connect" in done.stderr


@pytest.mark.parametrize("issuer, said", [
    ("http://id.example", "must be https"), ("file:///etc/passwd", "not a URL"),
    ("https://user:secret@id.example", "without user"), ("not a url", "not a URL")])
def test_what_is_no_issuer(home, issuer, said):
    done = home.run("login", "--issuer", issuer)
    assert done.returncode == 1 and said in done.stderr
    assert "secret" not in done.stderr


@pytest.mark.parametrize("metadata, args, said", [
    ({"issuer": "https://elsewhere.test"}, [], "of another issuer"),
    ({"token_endpoint": "http://elsewhere.test/token"}, [], "must be https"),
    ({"token_endpoint": None}, [], "names no token_endpoint"),
    ({"authorization_endpoint": "javascript:alert(1)"}, [], "not a URL"),
    ({"authorization_endpoint": "ftp://id.example"}, [], "must be https"),
    ({"code_challenge_methods_supported": ["plain"]}, [], "offers no PKCE"),
    ({"device_authorization_endpoint": None}, ["--device"], "no login with a device code")])
def test_an_issuer_that_may_not_be_used(home, provider, metadata, args, said):
    provider.order("metadata", set=metadata)
    done = home.run("login", *(args or ["--no-browser"]))
    assert done.returncode == 1 and said in done.stderr, done.stderr


class Issuer(http.server.BaseHTTPRequestHandler):
    """Has a certificate of its own authority, and nothing behind it."""

    def do_GET(self):
        answer = json.dumps({"issuer": f"https://localhost:{self.server.server_port}"}).encode()
        self.send_response(302 if self.path.startswith("/moved") else 200)
        self.send_header("Location", "https://elsewhere.test/")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_):  # pylint: disable=arguments-differ
        pass


def test_an_issuer_is_trusted_by_its_certificate(home, tmp_path):
    authority = Authority(tmp_path, "ca")
    certificate, key = authority.issue("issuer", "localhost", "DNS:localhost")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Issuer)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    issuer = f"https://localhost:{server.server_port}"
    try:
        done = home.run("login", "--issuer", issuer)
        assert done.returncode == 3 and "certificate" in done.stderr, done.stderr
        done = home.run("login", "--issuer", issuer, "--ca-file", authority.certificate)
        assert done.returncode == 1 and "names no token_endpoint" in done.stderr, done.stderr
        # Its certificate is for another name.
        other = issuer.replace("localhost", "127.0.0.1")
        done = home.run("login", "--issuer", other, "--ca-file", authority.certificate)
        assert done.returncode == 3 and "certificate" in done.stderr, done.stderr
        # It sends us elsewhere: not followed.
        done = home.run("login", "--issuer", issuer + "/moved", "--ca-file", authority.certificate)
        assert done.returncode == 1 and "HTTP status 302" in done.stderr, done.stderr
    finally:
        server.shutdown()
        server.server_close()


def test_where_nothing_can_be_kept_nobody_is_asked(home, tmp_path):
    (tmp_path / "file").write_text("")
    for state in (str(tmp_path / "file"), "/proc/nowhere"):
        done = home.run("login", "--no-browser", XDG_STATE_HOME=state)
        assert done.returncode == 1 and "Open this" not in done.stderr, done.stderr
        assert state in done.stderr


def test_what_must_be_known(home):
    home.configure()
    assert "which control plane" in home.run("login").stderr
    assert "--issuer URL" in home.run("login", "--server", "h:1").stderr
    done = home.run("login", "--server", "h:1", "--issuer", "https://id.example")
    assert done.returncode == 2 and "--client-id ID" in done.stderr
    done = home.run("login", "--device", "--no-browser", "--server", "h:1")
    assert done.returncode == 2
