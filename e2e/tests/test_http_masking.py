"""What agents may not see of answers: by name, by place, by what it looks like, however it is encoded."""

import http.client
import json

import pytest
from support.http_stack import Raw, request
from test_http_credentials import decode

EMAILS = [f"customer.{i}@example.org" for i in range(20)]
SSNS = [f"123-45-{6700 + i}" for i in range(20)]


def show_nothing(text, *secrets):
    text = text if isinstance(text, str) else text.decode("utf-8", "replace")
    assert not [s for s in secrets if s in text], text[:300]


@pytest.mark.parametrize("resource", ["masked", "maskedweb"])
@pytest.mark.parametrize("coding", ["identity", "gzip", "deflate", "br", "zstd"])
@pytest.mark.parametrize("step", [0, 1, 13])
def test_json_in_all_codings(web, resource, coding, step):
    answer = request(web.url(resource, f"/coded/{coding}?step={step}"))
    assert answer.header("content-encoding") == (None if coding == "identity" else coding)
    text = decode(answer)
    show_nothing(text.replace(b"write to customer.", b""), *SSNS, *[e.replace("customer.", '"customer.') for e in EMAILS])
    show_nothing(text, "-abcdefghijklmnop")
    customers = json.loads(text)["customers"]
    assert [c["name"] for c in customers] == [f"Customer {i}" for i in range(20)]
    assert {c["ssn"] for c in customers} == {"[masked]"}
    assert all(c["email"].endswith(".org") and "customer" not in c["email"] for c in customers)
    assert all(c["api_token"].endswith("mnop") for c in customers)
    assert customers[3]["balance"] == 37.5


@pytest.mark.parametrize("coding", ["identity", "gzip", "br", "zstd"])
@pytest.mark.parametrize("step", [0, 1])
def test_detectors_in_all_codings(web, coding, step):
    answer = request(web.url("detected", f"/coded/{coding}?step={step}"))
    text = decode(answer)
    show_nothing(text, *EMAILS, "@example.org")
    customers = json.loads(text)["customers"]
    assert customers[4]["note"] == "write to [masked]" and customers[4]["email"] == "[masked]"
    assert customers[4]["ssn"] == SSNS[4]


def test_detectors_in_text_and_headers(web):
    assert request(web.url("detected", "/text")).body == b"call [masked] or [masked]\n"
    answer = request(web.url("detected", "/customers/3"))
    assert answer.header("x-customer-email") == "[masked]"


def test_forms_and_headers(web):
    answer = request(web.url("masked", "/form"))
    show_nothing(answer.body, "email=ann", "hunter2")
    assert b"name=Ann" in answer.body
    answer = request(web.url("masked", "/customers/3"))
    assert answer.header("x-customer-email") == "[masked]"
    show_nothing(answer.body, SSNS[3])
    assert answer.json()["ssn"] == "[masked]"


@pytest.mark.parametrize("resource,path", [
    ("masked", "/binary"), ("detected", "/binary"), ("masked", "/text"), ("masked", "/badly-coded"),
    ("masked", "/badly-coded?as=unknown"), ("detected", "/badly-coded?as=unknown"), ("masked", "/badly-coded?as=br"),
    ("masked", "/badly-coded?as=zstd"), ("masked", "/badly-coded?as=gzip,%20gzip"),
    ("masked", "/coded/identity?type=application/json;charset=utf-16"), ("masked", "/coded/identity?type=image/png"),
    ("masked", "/coded/identity?type=multipart/mixed"), ("masked", "/large?bytes=100"),
])
def test_what_cannot_be_masked_is_refused(web, web_node, resource, path):
    assert b"ann@example.org" in (direct := request(web_node.url() + path)).body or "coded" in path or "large" in path
    assert direct.status == 200
    try:
        answer = request(web.url(resource, path))
    except http.client.IncompleteRead as cut:  # it was noticed behind the head
        show_nothing(cut.partial, "@", "email")
    else:
        assert answer.status in (403, 502) and answer.problem()["detail"]
        show_nothing(answer.body, "ann@example.org", *SSNS)
    outcome = web.wait_for(lambda r: r["kind"] == "outcome" and r["status"] != "success" and r["error"],
                           "--kind", "outcome", "--resource", resource)
    assert outcome["error"]


def test_a_secret_at_every_cut(web):
    """The body that is to be masked comes in two chunks, cut at every byte."""
    text = b'{"name": "Ann", "email": "ann.someone@example.org", "ssn": "987-65-4321"}'
    with Raw(web.ports["masked"]) as raw:
        for cut in range(1, len(text)):
            raw.send(b"POST /echo-raw?type=application/json HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n"
                     b"Content-Type: application/json\r\n\r\n%x\r\n%b\r\n%x\r\n%b\r\n0\r\n\r\n"
                     % (cut, text[:cut], len(text) - cut, text[cut:]))
            answer = raw.answer()
            show_nothing(answer.body, "ann.someone", "987-65")
            assert answer.json()["name"] == "Ann"


@pytest.mark.parametrize("resource", ["masked", "maskedweb"])
@pytest.mark.parametrize("coding", ["identity", "gzip", "br", "zstd"])
def test_a_secret_in_pieces_of_every_size(web, resource, coding):
    """The same, encoded by the target, in chunks or frames of 1 to 48 bytes; the secrets are taken back in each."""
    text = b'{"name": "Ann", "email": "ann.someone@example.org", "ssn": "987-65-4321", "nested": {"a_token": "deep-secret-1234"}}'
    with Raw(web.ports[resource]) as raw:
        for step in range(1, 49):
            answer = raw.get(f"/coded/{coding}?what=body&step={step}", "Content-Type: application/json", method="POST", body=text)
            shown = decode(answer)
            show_nothing(shown, "ann.someone", "987-65", "deep-secret")
            assert json.loads(shown)["name"] == "Ann"


def test_what_is_recorded_is_what_the_agent_saw(web):
    request(web.url("masked", "/customers/9?recorded&email=ann@example.org"))
    def is_it(r):
        return r["kind"] == "intent" and r["text"].startswith("GET /customers/9?recorded")

    web.wait_for(is_it)
    intents = [r for r in web.intents() if is_it(r)]
    assert len(intents) == 1
    show_nothing(json.dumps(intents), "ann@example.org")
    web.wait_for(lambda r: r["kind"] == "outcome" and r["operation"] == intents[0]["operation"],
                 "--session", intents[0]["session"])
    records = web.show(intents[0]["session"])
    show_nothing(json.dumps(records).replace("write to customer.9@example.org", ""), SSNS[9], EMAILS[9], "ann@example.org")
    (outcome,) = [r for r in records if r["kind"] == "outcome"]
    assert json.loads(outcome["http"]["body"])["ssn"] == "[masked]"
    assert {m["rule"] for m in outcome["masked"]} == {"masked"}


def test_json_that_is_larger_than_memory(web, web_node):
    """60 MB of JSON, masked on its way: the sidecar's memory stays."""
    size = 60_000_000
    request(web.url("masked", "/large-json?bytes=100000"))
    before = web.memory_kb()
    with Raw(web.ports["masked"], timeout=50) as raw:
        raw.send(f"GET /large-json?bytes={size} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
        got, tail, peak = 0, b"", before
        while True:
            data = raw.socket.recv(1 << 20)
            if not data:
                break
            got += len(data)
            assert b"123-45-" not in data and b'"customer.7@' not in tail + data
            tail = data[-200:]
            peak = max(peak, web.memory_kb())
    assert got > size * 0.8
    assert peak - before < 24_000, f"{before} KB before, {peak} KB at most"


def test_event_streams_are_masked(web):
    answer = request(web.url("detected", "/sse?count=5"))
    show_nothing(answer.body, "@example.org")
    assert answer.body.count(b"[masked]") == 5 and answer.body.count(b"event: tick") == 5
