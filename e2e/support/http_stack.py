"""Control plane and sidecar for HTTP: one resource for each way of being reached, decided and masked, all with the
same servers behind; and clients that are nothing but bytes."""

import json
import os
import socket
import ssl
import time

from support.manual import ControlPlane, Sidecar, write
from support.oidc import Provider
from support.ports import free_port

AGENT, OTHER, AUDITOR, APPROVER = "agent-7", "agent-8", "admin", "approver-1"
CLIENTS = [{"id": AGENT, "groups": ["agents"]}, {"id": OTHER, "groups": ["agents"]},
           {"id": AUDITOR, "groups": ["admins"]}, {"id": APPROVER, "groups": ["approvers"]}]

BEARER = "targets-bearer-token-0c6f1d52e9"
PASSWORD = "targets-basic-password-77aa31"
API_KEY = "targets-api-key-5d20b8c4f1"
CLIENT_SECRET = "targets-client-secret-91be"


def http_provider():
    return Provider(CLIENTS)


class HttpControlPlane(ControlPlane):
    """`resources`: those of the configuration. Tokens are files, `tokens`."""

    def __init__(self, provider, resources, policy=None, env=None):
        super().__init__({
            "identity_providers": [{"name": "p", "issuer": provider.issuer, "audience": provider.resource}],
            "roles": {"admin": ["admins"], "auditor": ["admins"], "approver": ["approvers"]},
            "resources": resources,
            "grants": [{"name": "agents", "resources": ["*"], "groups": ["agents"]}],
        }, operator_token=provider.token(AUDITOR), env=env)
        self.provider = provider
        self.tokens = {c["id"]: write(os.path.join(self.dir, c["id"] + ".token"), provider.token(c["id"]))
                       for c in CLIENTS}
        if policy:
            self.push(policy)

    def push(self, policy):
        """The revision, when the control plane has it; a sidecar that is connected has it a moment later."""
        done = self.chaperone("policy", "push", "--json", write(os.path.join(self.dir, "policy.json"), policy), check=False)
        assert done.returncode == 0, done.stderr + done.stdout
        return json.loads(done.stdout)["revision"]

    def http_sidecar(self, resources, identity=None, proxy=None, tls=None, start=True, **more):
        """A listener for each resource; `tls`: {resource: (certificate, key)} are listeners with TLS, under
        `secure_ports`. `proxy`: {HOST[:PORT]: resource}."""
        made = HttpSidecar(self, len(self.sidecars), resources,
                           identity or {"token_file": self.tokens[AGENT]}, proxy, tls or {})
        made.config.update(more)
        self.sidecars.append(made)
        if start:
            made.start()
        return made

    def approvals(self, *args, who=APPROVER):
        return self.chaperone_as(self.tokens[who], "approvals", *args)


class HttpSidecar(Sidecar):
    def __init__(self, controlplane, number, resources, identity, proxy, tls):
        super().__init__(controlplane, number, resources, identity, listener={"protocol": "http"})
        self.secure_ports = {name: free_port() for name in tls}
        for name, (certificate, key) in tls.items():
            self.config["listeners"].append({
                "resource": name, "protocol": "http", "listen": f"127.0.0.1:{self.secure_ports[name]}",
                "tls": {"certificate": certificate, "key": key}})
        self.proxy_port = None
        if proxy:
            self.proxy_port = free_port()
            self.proxy_ca = os.path.join(self.state, "proxy-ca.pem")
            self.config["listeners"].append({
                "protocol": "http", "listen": f"127.0.0.1:{self.proxy_port}", "proxy": {"hosts": proxy}})

    def url(self, resource, path=""):
        if resource in self.ports:
            return f"http://127.0.0.1:{self.ports[resource]}{path}"
        return f"https://127.0.0.1:{self.secure_ports[resource]}{path}"

    def wait_for_revision(self, revision, seconds=60):
        self.part.wait_for("policy_active", seconds, revision=revision)

    # ---- what was recorded

    def session_at(self, port):
        """The session whose agent came from this port; None while it is not known."""
        for record in self.search("--kind", "session_opened", "--limit", "10000"):
            if record.get("agent_address", "").endswith(f":{port}"):
                return record["session"]
        return None

    def show(self, session):
        """All records of a session, bodies among them."""
        return [json.loads(line) for line in self.chaperone("audit", "show", session, "--json").stdout.splitlines()]

    def intents(self, *args):
        return self.search("--kind", "intent", "--limit", "10000", *args)

    def intent_of(self, text):
        return self.wait_for(lambda r: r["kind"] == "intent" and r["text"] == text)

    def exchange(self, text):
        """(intent, outcome) of the operation with this text, both with their bodies; waits for the outcome."""
        outcome = self.outcome_of(text)
        records = [r for r in self.show(outcome["session"]) if r.get("operation") == outcome["operation"]]
        (intent,) = [r for r in records if r["kind"] == "intent"]
        (outcome,) = [r for r in records if r["kind"] == "outcome"]
        return intent, outcome

    def memory_kb(self, name="VmRSS"):
        with open(f"/proc/{self.part.pid}/status", encoding="ascii") as f:
            return next(int(line.split()[1]) for line in f if line.startswith(name + ":"))


class Answer:
    """What a client got, whichever it was."""

    def __init__(self, status, headers, body):
        self.status, self.body = status, body
        self.headers = {}
        for name, value in headers:
            self.headers.setdefault(name.lower(), []).append(value)

    def header(self, name):
        return ", ".join(self.headers.get(name, [])) or None

    def json(self):
        return json.loads(self.body)

    def problem(self):
        """Of a refusal (RFC 9457)."""
        assert self.header("content-type") == "application/problem+json", (self.status, self.headers, self.body)
        found = self.json()
        assert found["status"] == self.status
        return found


def request(url, method="GET", headers=None, body=None, timeout=60, context=None):
    """One request on a connection of its own, with Python's own client."""
    import http.client  # pylint: disable=import-outside-toplevel
    import urllib.parse  # pylint: disable=import-outside-toplevel
    parts = urllib.parse.urlsplit(url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    options = {"context": context} if parts.scheme == "https" else {}
    connection = kind(parts.hostname, parts.port, timeout=timeout, **options)
    try:
        target = parts.path + (f"?{parts.query}" if parts.query else "")
        connection.request(method, target or "/", body=body, headers=headers or {})
        answer = connection.getresponse()
        return Answer(answer.status, answer.getheaders(), answer.read())
    finally:
        connection.close()


class Raw:
    """A connection on which a test says exactly what it wants. `port` is the client's own."""

    def __init__(self, port, timeout=30, context=None, alpn=None):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout)
        self.port = self.socket.getsockname()[1]
        if context or alpn:
            context = context or ssl._create_unverified_context()  # pylint: disable=protected-access
            context.set_alpn_protocols(alpn or ["http/1.1"])
            self.socket = context.wrap_socket(self.socket, server_hostname="localhost")
        self.held = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data)
        return self

    def read_some(self, timeout):
        """What is there or comes within `timeout` seconds; b"" at the end or when nothing comes: `ended` says."""
        self.socket.settimeout(timeout)
        try:
            data = self.socket.recv(65536)
            self.ended = not data
            return data
        except TimeoutError:
            self.ended = False
        except OSError:
            self.ended = True
        return b""

    def _fill(self):
        data = self.socket.recv(65536)
        if not data:
            raise EOFError(self.held)
        self.held += data

    def _until(self, end):
        while end not in self.held:
            self._fill()
        head, _, self.held = self.held.partition(end)
        return head

    def _take(self, count):
        while len(self.held) < count:
            self._fill()
        data, self.held = self.held[:count], self.held[count:]
        return data

    def _chunked(self):
        body = b""
        while True:
            size = int(self._until(b"\r\n").split(b";")[0], 16)
            if size == 0:
                while self._until(b"\r\n"):
                    pass
                return body
            body += self._take(size)
            assert self._take(2) == b"\r\n"

    def answer(self, has_body=True):
        """The next answer, without those that announce it (1xx)."""
        while True:
            lines = self._until(b"\r\n\r\n").decode("latin1").split("\r\n")
            status = int(lines[0].split(" ")[1])
            headers = [tuple(x.strip() for x in line.split(":", 1)) for line in lines[1:]]
            if status >= 200 or status == 101:
                break
        found = Answer(status, headers, b"")
        if status in (101, 204, 304) or not has_body:
            return found
        if found.header("transfer-encoding") == "chunked":
            found.body = self._chunked()
        elif found.header("content-length"):
            found.body = self._take(int(found.header("content-length")))
        else:
            while data := self.socket.recv(65536):
                self.held += data
            found.body, self.held = self.held, b""
        return found

    def get(self, path, *headers, method="GET", body=b"", host="localhost"):
        lines = [f"{method} {path} HTTP/1.1", f"Host: {host}", *headers]
        if body or method in ("POST", "PUT", "PATCH"):
            lines.append(f"Content-Length: {len(body)}")
        self.send("\r\n".join(lines).encode("latin1") + b"\r\n\r\n" + body)
        return self.answer(has_body=method != "HEAD")

    def is_closed(self, seconds=30):
        """Whether the other side ends it, and not because a login took too long: that is a minute."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if not self.read_some(max(0.01, deadline - time.monotonic())) and self.ended:
                return True
        return False
