"""A target that closes its connections, as all do with those that are idle: the agent's goes on."""

import contextlib
import http.client
import http.server
import socket
import threading

import pytest
from support.http_stack import HttpControlPlane

RULES = [{"name": "reads", "effect": "allow", "match": {"http": {"methods": ["GET"], "paths": ["/**"]}}},
         {"name": "pay", "effect": "hold", "match": {"http": {"methods": ["POST"], "paths": ["/pay"]}},
          "hold": {"approvers": {"groups": ["approvers"]}}}]


class Impatient(http.server.ThreadingHTTPServer):
    """Closes connections when it is told to (`hang_up`), or with their first answer. `seen` has the requests."""

    def __init__(self):
        target = self
        self.seen, self.open, self.changed = [], set(), threading.Condition()

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                self.rfile.read(int(self.headers.get("Content-Length") or 0))
                target.seen.append((self.command, self.path, self.headers.get("X-N")))
                self.send_response(200)
                self.send_header("Content-Length", "2")
                if self.path == "/last":
                    self.send_header("Connection", "close")
                self.end_headers()
                self.wfile.write(b"hi")

            do_POST = do_GET

            def log_message(self, *args):  # pylint: disable=arguments-differ
                pass

        super().__init__(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def process_request(self, request, client_address):
        with self.changed:
            self.open.add(request)
            self.changed.notify_all()
        super().process_request(request, client_address)

    def shutdown_request(self, request):
        """A request could still cross its end: so it is over when the other side has closed, too."""
        try:
            request.shutdown(socket.SHUT_WR)
            while request.recv(4096):
                pass
        except OSError:
            pass
        with self.changed:
            self.close_request(request)
            self.open.discard(request)
            self.changed.notify_all()

    def hang_up(self):
        """Ends the connections, of which there are some; returns when nobody has one any more."""
        with self.changed:
            assert self.changed.wait_for(lambda: self.open, 60), "there is no connection"
            for connection in self.open:
                with contextlib.suppress(OSError):  # it is over already
                    connection.shutdown(socket.SHUT_WR)
            assert self.changed.wait_for(lambda: not self.open, 60), "a connection is not given up"


@pytest.fixture(scope="module")
def stack(web_provider):
    target = Impatient()
    fleet = HttpControlPlane(web_provider, [
        {"name": "app", "protocol": "http", "address": f"http://127.0.0.1:{target.server_address[1]}",
         "credential": {"none": True}}], {"version": 1, "rules": RULES})
    sidecar = fleet.http_sidecar(["app"])
    yield sidecar, target
    fleet.close()
    target.shutdown()


def ask(connection, path, n, method="GET"):
    connection.request(method, path, headers={"X-N": str(n)})
    answer = connection.getresponse()
    assert (answer.status, answer.read()) == (200, b"hi")
    return answer


def test_an_idle_connection_that_the_target_closed(stack):
    sidecar, target = stack
    agent = http.client.HTTPConnection("127.0.0.1", sidecar.ports["app"], timeout=60)
    for n in range(3):
        ask(agent, "/idle", n)
        target.hang_up()
    port = agent.sock.getsockname()[1]
    agent.close()
    assert [s for s in target.seen if s[1] == "/idle"] == [("GET", "/idle", str(n)) for n in range(3)]
    sidecar.outcome_of("GET /idle")
    session = sidecar.wait_for(lambda r: r["kind"] == "session_opened" and r["agent_address"].endswith(f":{port}"))
    sidecar.wait_for(lambda r: r["kind"] == "session_closed", "--session", session["session"])
    outcomes = [r for r in sidecar.show(session["session"]) if r["kind"] == "outcome"]
    assert [r["status"] for r in outcomes] == ["success"] * 3


def test_a_target_that_closes_after_each_answer(stack):
    sidecar, _ = stack
    agent = http.client.HTTPConnection("127.0.0.1", sidecar.ports["app"], timeout=60)
    for n in range(5):
        answer = ask(agent, "/last", n)
        assert answer.getheader("Connection") is None
    agent.close()


def test_a_decision_that_comes_after_the_target_has_lost_patience(stack):
    sidecar, target = stack
    agent = http.client.HTTPConnection("127.0.0.1", sidecar.ports["app"], timeout=60)
    agent.request("POST", "/pay", body=b"7", headers={"X-N": "held"})
    held = sidecar.wait_for(lambda r: r["kind"] == "approval" and r["state"] == "requested")
    target.hang_up()
    sidecar.controlplane.approvals("approve", held["approval"], "--reason", "fine")
    answer = agent.getresponse()
    assert (answer.status, answer.read()) == (200, b"hi")
    agent.close()
    assert [s for s in target.seen if s[0] == "POST"] == [("POST", "/pay", "held")]
