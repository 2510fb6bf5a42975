"""What is decided about requests: rules, refusals as problem documents, holds, rates, limits, changes while open."""

import json
import threading
import time

import pytest
from support.http_stack import APPROVER, OTHER, Raw, request
from support.manual import write


class Asking(threading.Thread):
    """A request that waits for somebody: `answer`."""

    def __init__(self, *args, **more):
        super().__init__(daemon=True)
        self.args, self.more, self.answer = args, more, None
        self.start()

    def run(self):
        self.answer = request(*self.args, **self.more)

    def done(self):
        self.join(90)
        assert not self.is_alive(), "it still waits"
        return self.answer


def awaited(sidecar, text):
    """The approval that waits for the operation with this in its text."""
    return sidecar.controlplane.approval_awaited(text, sidecar.controlplane.tokens[APPROVER])


def decide(sidecar, what, approval):
    done = sidecar.controlplane.approvals(what, approval, "--reason", "as tested", "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


# ---- rules


@pytest.mark.parametrize("method,path,status,said_by", [
    ("GET", "/customers/5", 200, "read-customers"),
    ("HEAD", "/customers/5", 200, "read-customers"),
    ("GET", "/customers?a=b", 200, "read-customers"),
    ("POST", "/customers/5", 403, "default"),
    ("DELETE", "/customers/5", 403, "default"),
    ("GET", "/customers/5/orders", 403, "default"),
    ("GET", "/customers/", 403, "default"),
    ("GET", "/admin/users", 403, "no-admin"),
    ("GET", "/admin", 403, "no-admin"),
    ("GET", "/a/../admin/users", 403, "no-admin"),
    ("GET", "/%61dmin/users", 403, "no-admin"),
    ("GET", "/search?expand=orders", 200, "expand"),
    ("GET", "/search?expand=accounts", 200, "expand"),
    ("GET", "/search?expand=other", 403, "default"),
    ("GET", "/search", 403, "default"),
    ("GET", "/search?expand=orders&expand=other", 403, "default"),
    ("GET", "/search?expand=orders&expand=secrets", 403, "no-secrets"),
    ("GET", "/customers/5?expand=secrets", 403, "no-secrets"),
    ("GET", "/search?expand=%6frders", 200, "expand"),
])
def test_rules(web, web_node, method, path, status, said_by):
    mark = web_node.log.mark()
    answer = request(web.url("crm", path), method)
    assert answer.status == status
    seen = [r for r in web_node.log.requests(mark) if r["method"] == method]
    if status == 403:
        assert not seen
        if method != "HEAD":
            assert answer.problem()["rule"] == said_by
    else:
        assert len(seen) == 1


def test_a_refusal_says_why_and_is_recorded(web):
    answer = request(web.url("crm", "/admin/why"), headers={"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
                                                            "idempotency-key": "key-17"})
    problem = answer.problem()
    assert problem["title"] == "Forbidden" and problem["rule"] == "no-admin"
    assert "Administration is for people." in problem["detail"]
    intent = web.intent_of("GET /admin/why")
    assert (intent["verdict"], intent["rule"]) == ("deny", "no-admin")
    (intent,) = [r for r in web.show(intent["session"]) if r["kind"] == "intent"]
    assert intent["http"]["traceparent"].startswith("00-0af765") and intent["http"]["idempotency_key"] == "key-17"


def test_a_refusal_keeps_the_connection(web):
    with Raw(web.ports["crm"]) as raw:
        assert raw.get("/customers/1").status == 200
        assert raw.get("/admin/x").status == 403
        assert raw.get("/admin/x", method="POST", body=b"z" * 5000).status == 403
        assert raw.get("/customers/2").json()["id"] == 2


def test_headers_are_asked_for(web):
    assert request(web.url("crm", "/team"), headers={"X-Team": "care"}).status == 200
    assert request(web.url("crm", "/team"), headers={"X-Team": "sales"}).status == 403
    assert request(web.url("crm", "/team")).status == 403


@pytest.mark.parametrize("body,status", [
    ({"amount": 100, "currency": "EUR", "items": [{"sku": "A-1"}, {"sku": "A-2"}]}, 200),
    ({"amount": 100.01, "currency": "EUR", "items": [{"sku": "A-1"}]}, 403),
    ({"amount": 1e3, "currency": "EUR", "items": [{"sku": "A-1"}]}, 403),
    ({"amount": 5, "currency": "USD", "items": [{"sku": "A-1"}]}, 403),
    ({"amount": 5, "currency": "EUR", "items": [{"sku": "A-1"}, {"sku": "B-1"}]}, 403),
    ({"amount": "5", "currency": "EUR", "items": [{"sku": "A-1"}]}, None),
    ({"currency": "EUR", "items": [{"sku": "A-1"}]}, 403),
    ("no JSON", 403),
    ('{"amount": 5, "amount": 500, "currency": "EUR", "items": [{"sku": "A-1"}]}', 403),
])
def test_bodies_are_asked_for(web, web_node, body, status):
    text = body if isinstance(body, str) else json.dumps(body)
    mark = web_node.log.mark()
    answer = request(web.url("crm", "/orders"), "POST", {"Content-Type": "application/json"}, text.encode())
    assert answer.status in ((200, 403) if status is None else (status,))
    seen = web_node.log.requests(mark, url="/orders")
    assert len(seen) == (1 if answer.status == 200 else 0)


def test_a_body_that_is_asked_for_in_pieces(web):
    """A byte at a time, chunked; decided when it is there, forwarded as it was."""
    text = b'{"amount": 7, "currency": "EUR", "items": [{"sku": "A-9"}]}'
    with Raw(web.ports["crm"]) as raw:
        raw.send(b"POST /orders HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n")
        for i in range(len(text)):
            raw.send(b"1\r\n" + text[i:i + 1] + b"\r\n")
        raw.send(b"0\r\n\r\n")
        assert raw.answer().status == 200


# ---- people


def test_a_held_request_waits_and_goes(web, web_node):
    mark = web_node.log.mark()
    asking = Asking(web.url("crm", "/payments?n=1"), "POST", {"Content-Type": "application/json"}, b'{"amount": 7}')
    held = awaited(web, "POST /payments?n=1")
    assert not web_node.log.requests(mark, url="/payments?n=1")
    decide(web, "approve", held["id"])
    answer = asking.done()
    assert answer.status == 200 and answer.json()["path"] == "/payments"
    assert len(web_node.log.requests(mark, url="/payments?n=1")) == 1
    outcome = web.outcome_of("POST /payments?n=1")
    assert (outcome["status"], outcome["approval"]) == ("success", held["id"])


def test_the_approver_sees_the_body(web):
    asking = Asking(web.url("crm", "/payments?n=seen"), "POST", {"Content-Type": "application/json"}, b'{"amount": 4711}')
    held = awaited(web, "POST /payments?n=seen")
    shown = web.controlplane.approvals("show", held["id"]).stdout
    assert "POST /payments?n=seen" in shown and "4711" in shown
    decide(web, "deny", held["id"])
    asking.done()


def test_a_held_request_that_people_deny(web, web_node):
    mark = web_node.log.mark()
    asking = Asking(web.url("crm", "/payments?n=2"), "POST", body=b"{}")
    decide(web, "deny", awaited(web, "POST /payments?n=2")["id"])
    answer = asking.done()
    assert answer.status == 403 and "as tested" in answer.problem()["detail"]
    assert not web_node.log.requests(mark, url="/payments?n=2")


def test_a_held_request_to_come_again(web, web_node):
    def ask(body=b'{"to": "ann"}'):
        return request(web.url("crm", "/transfers?n=3"), "POST", {"Content-Type": "application/json"}, body)

    mark = web_node.log.mark()
    first = ask()
    assert first.status == 403 and int(first.header("retry-after")) > 0
    approval = first.problem()["approval"]
    assert ask().problem()["approval"] == approval  # it is the same question
    other = ask(b'{"to": "bob"}')
    assert other.problem()["approval"] != approval
    decide(web, "approve", approval)
    answer = ask()
    assert answer.status == 200
    assert ask().status == 403  # one approval, one request
    assert len(web_node.log.requests(mark, url="/transfers?n=3")) == 1


# ---- limits


def test_a_rate(web, web_node):
    mark = web_node.log.mark()
    answers = [request(web.url("crm", "/limited")) for _ in range(5)]
    assert [a.status for a in answers] == [200, 200, 200, 429, 429]
    assert 1 <= int(answers[-1].header("retry-after")) <= 660  # the window, and as exactly as it is counted
    assert "now-and-then" in json.dumps(answers[-1].problem())
    assert len(web_node.log.requests(mark, url="/limited")) == 3


def test_too_large_a_request(web, web_node):
    assert request(web.url("crm", "/upload"), "POST", body=b"x" * 1000).status == 200
    mark = web_node.log.mark()
    answer = request(web.url("crm", "/upload"), "POST", body=b"x" * 1001)
    assert answer.status == 413 and answer.problem()
    assert not web_node.log.requests(mark)
    # Without a length it is noticed on the way: the target never gets a whole one.
    with Raw(web.ports["crm"]) as raw:
        raw.send(b"POST /upload?chunked HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n")
        raw.send(b"200\r\n" + b"x" * 512 + b"\r\n").send(b"200\r\n" + b"x" * 512 + b"\r\n0\r\n\r\n")
        assert raw.answer().status == 413
    ends = {e["n"] for e in web_node.log.entries(mark, event="end")}
    assert not [r for r in web_node.log.requests(mark, url="/upload?chunked") if r["n"] in ends]


def test_too_large_an_answer(web):
    answer = request(web.url("crm", "/large?bytes=1000"))
    assert len(answer.body) == 1000
    answer = request(web.url("crm", "/large?bytes=1001"))
    assert answer.status in (413, 502) and answer.problem()
    with Raw(web.ports["crm"]) as raw:  # no length is said
        raw.send(b"GET /coded/identity?step=100 HTTP/1.1\r\nHost: localhost\r\n\r\n")
        with pytest.raises(EOFError) as cut:
            raw.answer()
        assert len(cut.value.args[0]) < 3000


# ---- changes


def test_a_policy_takes_effect_on_an_open_connection(own_web):
    allow = [{"name": "all", "effect": "allow"}]
    sidecar = own_web(allow)
    with Raw(sidecar.port) as raw:
        assert raw.get("/customers/1").status == 200
        sidecar.wait_for_revision(sidecar.controlplane.push({"version": 1, "rules": [*allow, {
            "name": "closed", "effect": "deny", "match": {"http": {"paths": ["/customers/**"]}}}]}))
        assert raw.get("/customers/1").problem()["rule"] == "closed"
        assert raw.get("/text").status == 200
        sidecar.wait_for_revision(sidecar.controlplane.push({"version": 1, "rules": allow}))
        assert raw.get("/customers/1").status == 200


def test_a_session_that_is_ended(own_web, web_node, web_provider):
    sidecar = own_web([{"name": "all", "effect": "allow"}])
    with Raw(sidecar.port) as idle, Raw(sidecar.port, timeout=30) as busy:
        assert idle.get("/customers/1").status == 200
        mark = web_node.log.mark()
        busy.send(b"GET /slow?kill HTTP/1.1\r\nHost: localhost\r\n\r\n")
        web_node.log.wait_for(lambda e: e.get("url") == "/slow?kill", mark)
        done = sidecar.chaperone("session", "kill", "--json", "--identity", "agent-7", "--reason", "as tested")
        assert len(json.loads(done.stdout)["sessions"]) == 2
        assert idle.is_closed() and busy.is_closed()
        web_node.log.wait_for(lambda e: e["event"] == "unanswered", mark)
    answer = request(sidecar.url("app", "/customers/1"))
    assert answer.status in (401, 403, 503) and "as tested" in answer.problem()["detail"]
    write(sidecar.controlplane.tokens["agent-7"], web_provider.token(OTHER))
    assert request(sidecar.url("app", "/customers/1")).status == 200


def test_a_control_plane_that_is_away(own_web):
    sidecar = own_web([{"name": "all", "effect": "allow"}])
    with Raw(sidecar.port) as raw:
        assert raw.get("/customers/1").status == 200
        sidecar.controlplane.part.kill()
        assert raw.get("/customers/2").status == 200
        answer = request(sidecar.url("app", "/customers/3"))
        assert answer.status == 503 and "control plane" in answer.problem()["detail"]
        sidecar.controlplane.start()
        deadline = time.monotonic() + 60
        while request(sidecar.url("app", "/customers/4")).status != 200:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        assert raw.get("/customers/5").status == 200


def test_a_target_that_is_down_or_hangs_up(own_web, web_node):
    from support.ports import free_port  # pylint: disable=import-outside-toplevel
    sidecar = own_web([{"name": "all", "effect": "allow"}], address=f"http://127.0.0.1:{free_port()}")
    answer = request(sidecar.url("app", "/x"))
    assert answer.status in (502, 503) and "refused" in answer.problem()["detail"]
    other = own_web([{"name": "all", "effect": "allow"}], address=web_node.url())
    assert request(other.url("app", "/drop")).status == 502
    outcome = other.outcome_of("GET /drop")
    assert outcome["status"] in ("unknown", "failed")
