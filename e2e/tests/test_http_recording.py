"""What is recorded of requests: before they are forwarded, what the agent saw, and nothing lost when parts die."""

import asyncio
import hashlib
import json
import signal
import threading
import time

import pytest
import websockets
import websockets.exceptions
from support.http_stack import Raw, request
from support.memory import is_sanitized
from support.stack import SIDECAR

ALL = [{"name": "all", "effect": "allow"}]


def test_digests_are_of_what_was_sent_and_seen(web):
    body = bytes(range(256)) * 1000
    answer = request(web.url("nginxs", "/echo-raw?digests=1&type=image/png"), "POST", body=body)
    assert answer.body[:4] == body[:4]
    _, outcome = web.exchange("POST /echo-raw?digests=1&type=image/png")
    assert outcome["digest_in"].removeprefix("\\x") == hashlib.sha256(body).hexdigest()
    assert outcome["bytes_in"] == len(body) and outcome["bytes"] == len(answer.body)
    assert outcome["digest"].removeprefix("\\x") == hashlib.sha256(answer.body).hexdigest()


def test_requests_and_answers_are_recorded_with_their_bodies(web):
    headers = {"Content-Type": "application/json", "X-Reason": "of the test", "Cookie": "session=of-the-agent",
               "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "Idempotency-Key": "k-1"}
    request(web.url("open", "/echo?bodies=1"), "POST", headers, b'{"ask": "something"}')
    intent, outcome = web.exchange("POST /echo?bodies=1")
    sent = {f["name"]: f["value"] for f in intent["http"]["fields"]}
    assert sent["x-reason"] == "of the test"
    bodies = [intent["http"].get("body"), outcome["http"].get("request_body")]
    assert '{"ask": "something"}' in bodies
    assert intent["http"]["traceparent"].startswith("00-0af") and intent["http"]["idempotency_key"] == "k-1"
    assert json.loads(outcome["http"]["body"])["method"] == "POST"
    assert outcome["http"]["first_byte_us"] > 0 and outcome["duration_us"] >= outcome["http"]["first_byte_us"]
    shown = web.chaperone("audit", "show", intent["session"]).stdout
    for text in ("POST /echo?bodies=1", "something", "200", "x-reason", "of the test"):
        assert text in shown, shown
    found = web.chaperone("audit", "search", "--kind", "intent").stdout
    assert "POST /echo?bodies=1" in found


def test_a_long_answer_is_cut_in_the_record(web):
    request(web.url("open", "/large?bytes=300000&cut=1"))
    _, outcome = web.exchange("GET /large?bytes=300000&cut=1")
    assert outcome["response_truncated"] and outcome["bytes"] == 300_000
    assert 0 < len(outcome["http"].get("body", outcome["http"].get("body_hex", ""))) < 200_000


def test_coded_answers_are_recorded_decoded(web):
    request(web.url("open", "/coded/gzip?recorded=1"))
    _, outcome = web.exchange("GET /coded/gzip?recorded=1")
    assert outcome["http"]["coding"] == "gzip"
    assert json.loads(outcome["http"]["body"])["customers"][1]["name"] == "Customer 1"


class Load(threading.Thread):
    """Requests on one connection, as fast as they go, until it ends."""

    def __init__(self, sidecar, name):
        super().__init__(daemon=True)
        self.sidecar, self.name_of, self.answered = sidecar, name, []
        self.start()

    def run(self):
        try:
            with Raw(self.sidecar.port) as raw:
                for n in range(100_000):
                    path = f"/echo?load={self.name_of}-{n}"
                    if raw.get(path, method="POST", body=b"of %d" % n).status == 200:
                        self.answered.append(path)
        except (OSError, EOFError):
            pass


def test_everything_that_the_target_saw_is_recorded(own_web, web_node):
    """The sidecar is killed in the midst of it, three times."""
    sidecar = own_web(ALL)
    mark = web_node.log.mark()
    answered = set()
    for round_ in range(3):
        load = [Load(sidecar, f"{round_}-{n}") for n in range(3)]
        deadline = time.monotonic() + 60
        while not all(len(one.answered) > 30 for one in load):
            assert time.monotonic() < deadline, sidecar.logs()
            time.sleep(0.01)
        sidecar.part.kill()
        for one in load:
            one.join(60)
            assert not one.is_alive()
            answered.update(one.answered)
        sidecar.start()
    request(sidecar.url("app", "/text?last=1"))
    sidecar.outcome_of("GET /text?last=1")
    seen = [f"{r['method']} {r['url']}" for r in web_node.log.requests(mark) if "load=" in r["url"]]
    intents = [r for r in sidecar.intents() if "load=" in r["text"]]
    recorded = [r["text"] for r in intents]
    assert set(seen) <= set(recorded) and len(seen) == len(set(seen)) and len(recorded) == len(set(recorded))
    assert {f"POST {path}" for path in answered} <= set(seen)
    # What had not come back is known to be unknown; it was not made a success.
    done = {(r["session"], r["operation"]) for r in sidecar.search("--kind", "outcome", "--limit", "10000")
            if r["status"] == "success"}
    for r in intents:
        if (r["session"], r["operation"]) in done:
            assert r["text"] in seen


def test_messages_are_recorded_before_they_are_forwarded(own_web, web_node):
    sidecar = own_web([*ALL, {"name": "ws", "effect": "allow", "match": {"http": {"paths": ["/ws"], "websocket": True}}}])
    mark = web_node.log.mark()

    async def talk():
        async with websockets.connect(f"ws://127.0.0.1:{sidecar.port}/ws?kill") as client:
            for n in range(100_000):
                await client.send(f"message {n}")
                if n == 50:
                    await client.recv()  # some have reached the target
                if n == 200:
                    sidecar.part.kill()

    with pytest.raises((websockets.exceptions.ConnectionClosed, OSError)):
        asyncio.run(talk())
    sidecar.start()
    request(sidecar.url("app", "/text?after=ws"))
    sidecar.outcome_of("GET /text?after=ws")
    seen = [e["text"] for e in web_node.log.entries(mark, event="message")]
    intent = sidecar.intent_of("GET /ws?kill")
    recorded = [r["data"] for r in sidecar.show(intent["session"]) if r["kind"] == "message" and r["from_agent"]]
    assert len(seen) >= 1 and set(seen) <= set(recorded)


def test_what_cannot_be_recorded_does_not_happen(own_web, web_node):
    """The control plane is away, and the spool is full: the target sees no more."""
    sidecar = own_web(ALL, start=False, spool={"max_bytes": "4MiB", "segment_bytes": "1MiB"})
    sidecar.start()
    with Raw(sidecar.port) as raw:
        assert raw.get("/text").status == 200
        sidecar.controlplane.part.kill()
        mark, answer = web_node.log.mark(), None
        try:
            for n in range(500):
                answer = raw.get(f"/large?bytes=60000&full={n}")
                if answer.status != 200:
                    break
        except (EOFError, ConnectionError):
            pass  # there was no record of the end either
        count = len(web_node.log.requests(mark))
        assert 5 < count < 499 and (answer is None or answer.status in (200, 503))
    with Raw(sidecar.port) as raw:
        try:
            assert raw.get("/text?full=more").status == 503
        except (EOFError, ConnectionError):
            pass
    assert not web_node.log.requests(mark, url="/text?full=more")
    sidecar.controlplane.start()
    deadline = time.monotonic() + 60
    while request(sidecar.url("app", "/text?full=no")).status != 200:
        assert time.monotonic() < deadline, sidecar.logs()
        time.sleep(0.1)
    sidecar.outcome_of("GET /text?full=no")  # all before it has arrived, too
    recorded = {r["text"] for r in sidecar.intents()}
    assert {f"GET {r['url']}" for r in web_node.log.requests(mark)} <= recorded | {"GET /text?full=no"}


def test_a_restart_lets_requests_finish(own_web, web_node):
    sidecar = own_web(ALL)
    mark = web_node.log.mark()
    with Raw(sidecar.port, timeout=30) as busy, Raw(sidecar.port) as idle:
        assert idle.get("/text").status == 200
        busy.send(b"GET /slow?drain HTTP/1.1\r\nHost: localhost\r\n\r\n")
        web_node.log.wait_for(lambda e: e.get("url") == "/slow?drain", mark)
        sidecar.part.signal(signal.SIGTERM)
        assert idle.is_closed()
        web_node.release()
        answer = busy.answer()
        assert answer.status == 200 and answer.json() == {"slow": True}
        assert busy.is_closed()
    assert sidecar.part.process.wait(30) == 0
    sidecar.start()
    assert request(sidecar.url("app", "/text?again")).status == 200
    outcome = sidecar.outcome_of("GET /slow?drain")
    assert outcome["status"] == "success"


def test_an_agent_that_leaves_ends_its_request(own_web, web_node):
    sidecar = own_web(ALL)
    mark = web_node.log.mark()
    with Raw(sidecar.port) as raw:
        raw.send(b"GET /slow?left HTTP/1.1\r\nHost: localhost\r\n\r\n")
        web_node.log.wait_for(lambda e: e.get("url") == "/slow?left", mark)
    web_node.log.wait_for(lambda e: e["event"] == "unanswered", mark)
    assert sidecar.outcome_of("GET /slow?left")["status"] in ("unknown", "failed")


def test_what_idle_connections_cost(own_web):
    """Two hundred that have each asked once and then wait."""
    sidecar = own_web(ALL)
    opened = []

    def connect(count):
        for _ in range(count):
            opened.append(Raw(sidecar.port))
            assert opened[-1].get("/customers/1").status == 200

    try:
        connect(20)  # what the first ones bring for all
        before = sidecar.memory_kb()
        connect(200)
        each = (sidecar.memory_kb() - before) / 200
        assert each < (200 if is_sanitized(SIDECAR) else 40), f"{each:.1f} KB for each"
    finally:
        for raw in opened:
            raw.socket.close()
