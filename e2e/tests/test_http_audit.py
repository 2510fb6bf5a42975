"""What people read of requests: sessions, single operations, searches, held requests."""

import asyncio
import json
import re
import time
import zipfile

import pytest
import websockets
from support.http_stack import Raw, request

POSTGRES_LOG = ('2026-11-22 02:00:00.000 UTC,"app","shop",4711,"127.0.0.1:5",6741.1,1,"SELECT",2026-11-22 02:00:00 UTC,'
                '3/1,0,LOG,00000,"statement: SELECT 1",,,,,,,,,"","client backend",,0\n')
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def show(sidecar, *args, check=True):
    done = sidecar.chaperone("audit", "show", *args, check=False)
    assert done.returncode == 0 or not check, done.stderr
    return done.stdout if check else done


def search(sidecar, *args):
    done = sidecar.chaperone("audit", "search", "--json", *args, check=False)
    assert done.returncode == (0 if done.stdout else 1), done.stderr  # nothing found is a "no"
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture(scope="module")
def asked(web):
    """A request with all there is to see, and its records."""
    body = json.dumps({"amount": 12345678901234567890, "note": "line\x1b[2J"}).encode()
    answer = request(web.url("crm", "/echo/audit?x=1"), "POST", body=body, headers={
        "content-type": "application/json", "traceparent": TRACE, "idempotency-key": "key-audit"})
    assert answer.status == 200
    return web.exchange("POST /echo/audit?x=1")


def test_a_session_is_shown_as_a_conversation(web, asked):
    intent, outcome = asked
    text = show(web, intent["session"])
    assert f"#{intent['operation']} POST  allow by rule echo\n    > POST /echo/audit?x=1 HTTP/1.1\n" in text
    assert "    > content-type: application/json\n" in text
    assert '    >\n    > {\n    >   "amount": 12345678901234567890,\n' in text  # no digit is lost
    assert f"    traceparent: {TRACE}\n    idempotency key: key-audit\n" in text
    assert "    path of the rule: /echo/**\n" in text
    assert f"#{outcome['operation']} success: 200, {outcome['bytes']} bytes, " in text
    assert "    < HTTP/1.1 200\n    < " in text
    assert "\x1b" not in text
    assert "no outcome is recorded" not in text


def test_one_operation_of_a_session(web, asked):
    intent, _ = asked
    text = show(web, intent["session"], "--operation", str(intent["operation"]))
    assert text.startswith("+00:00:00.000  #") and "session " not in text.splitlines()[0]
    missing = show(web, intent["session"], "--operation", "9999", check=False)
    assert missing.returncode == 1 and "no operation 9999" in missing.stderr


def test_operations_are_listed_one_a_line(web, asked):
    refused = request(web.url("crm", "/admin/listed"))
    assert refused.status == 403
    intent, outcome = asked
    (line,) = [x.split("\t") for x in show(web, intent["session"], "--operations").splitlines()]
    assert line[1:6] == [str(intent["operation"]), "allow", "echo", "200", str(outcome["bytes"])]
    assert line[7] == "POST /echo/audit?x=1"
    other = web.intent_of("GET /admin/listed")
    (line,) = [x.split("\t") for x in show(web, other["session"], "--operations").splitlines()]
    assert line[2:5] == ["deny", "no-admin", "refused"] and line[7] == "GET /admin/listed"


@pytest.mark.parametrize("pattern,found", [
    ("/echo/audit", True), ("/echo/{any}", True), ("/echo/*", True), ("/echo/**", True), ("/**", True),
    ("/echo", False), ("/echo/other", False), ("/echo/audit/*", False),
])
def test_requests_are_found_by_their_path(web, asked, pattern, found):
    texts = [r["text"] for r in search(web, "--path", pattern, "--session", asked[0]["session"])]
    assert texts == (["POST /echo/audit?x=1"] if found else [])


@pytest.mark.parametrize("words,found", [
    ("POST", True), ("/echo/audit", True), ('"POST /echo/audit"', True), ("/echo/aud*", True), ("GET", False),
])
def test_requests_are_found_by_words(web, asked, words, found):
    texts = [r["text"] for r in search(web, "--kind", "intent", "--text", words, "--session", asked[0]["session"])]
    assert texts == (["POST /echo/audit?x=1"] if found else [])


def test_responses_are_found_by_their_status(web):
    assert request(web.url("open", "/status/418")).status == 418
    outcome = web.outcome_of("GET /status/418")
    for asked_for, found in (("418", True), ("4xx", True), ("404", False), ("5xx", False)):
        records = search(web, "--status", asked_for, "--session", outcome["session"])
        assert [r["http"]["status"] for r in records] == ([418] if found else []), asked_for


@pytest.mark.parametrize("args,said", [
    (["--path", "customers"], "--path: expected a path"), (["--path", "/**/a"], "--path: expected a path"),
    (["--status", "40"], "--status: expected a code"), (["--path", "/a", "--limit", "3"], "--limit"),
    (["--path", "/a", "--status", "404"], "another such option"), (["--status", "404", "--shadow"], "another such option"),
])
def test_misuse_is_explained(web, args, said):
    done = web.chaperone("audit", "search", *args, check=False)
    assert done.returncode == 2 and said in done.stderr


def test_events_and_messages_are_shown_in_order(web):
    assert request(web.url("open", "/sse?count=3&audit")).status == 200
    outcome = web.outcome_of("GET /sse?count=3&audit")
    text = show(web, outcome["session"], "--operation", str(outcome["operation"]))
    said = re.findall(r'#\d+ <- event "tick", \d+ bytes\n    < \{\n    <   "n": (\d),', text)
    assert said == ["0", "1", "2"]
    assert "messages: 0 from the agent, 3 to it" in text

    async def talk():
        async with websockets.connect(f"ws://127.0.0.1:{web.ports['open']}/ws?audit") as client:
            await client.send("a hello of the audit")
            await client.recv()
            await client.send(bytes([0, 255]))
            await client.recv()
            await client.send("close")
            await client.wait_closed()

    asyncio.run(talk())
    outcome = web.outcome_of("GET /ws?audit")
    text = show(web, outcome["session"], "--operation", str(outcome["operation"]))
    assert "    upgrade: websocket\n" in text
    marks = ["-> text, 20 bytes\n    > a hello of the audit\n", "<- text, 20 bytes\n    < a hello of the audit\n",
             "-> binary, 2 bytes\n    (2 bytes that are no text)\n", "<- binary, 2 bytes\n", "-> text, 5 bytes\n    > close\n"]
    places = [text.find(mark) for mark in marks]
    assert -1 not in places and places == sorted(places), text
    # What was said is found by its words.
    found = search(web, "--kind", "message", "--text", "hello audit", "--session", outcome["session"])
    assert [(m["from_agent"], m["data"]) for m in found] == [
        (True, "a hello of the audit"), (False, "a hello of the audit")]


def waiting(sidecar, path):
    """The held request that waits with this path, as the approvers' list has it."""
    fleet, end = sidecar.controlplane, time.monotonic() + 60
    while time.monotonic() < end:
        done = fleet.approvals("list", "--json")
        assert done.returncode == 0, done.stderr
        for held in map(json.loads, done.stdout.splitlines()):
            if held["state"] == "waiting" and held.get("http", {}).get("path") == path:
                return held
        time.sleep(0.05)
    raise AssertionError(fleet.logs())


def test_who_approves_sees_the_request(web):
    body = b'{"amount": 120.10, "to": "ann\x1b[2J"}'
    with Raw(web.ports["crm"]) as raw:
        raw.socket.sendall(b"POST /payments?audit HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nContent-Type: application/json\r\n"
                           b"Content-Length: %d\r\n\r\n" % (web.ports["crm"], len(body)) + body)
        held = waiting(web, "/payments?audit")
        assert "120.10" in held["http"]["body"] and not held["http"]["body_follows"]
        page = web.controlplane.approvals("show", held["id"]).stdout
    assert "request         POST\n    > POST /payments?audit HTTP/1.1\n" in page
    assert '    > {\n    >   "amount": 120.10,\n    >   "to": "ann\\x1b[2J"\n    > }\n' in page
    assert "held by rule    pay\n" in page


def test_a_session_is_replayed_and_not_executed_again(web, asked):
    session = asked[0]["session"]
    cast = web.chaperone("audit", "replay", session, "--export", "-").stdout
    assert json.loads(cast.splitlines()[0])["version"] == 3
    assert "> POST /echo/audit?x=1 HTTP/1.1" in cast
    done = web.chaperone("audit", "replay", session, "--into", "postgres://nobody@127.0.0.1:1/none", "--yes",
                         check=False)
    assert done.returncode == 1 and "only PostgreSQL sessions" in done.stderr


def test_the_log_of_another_protocol_cannot_be_compared(web, asked, tmp_path):
    assert asked
    log = tmp_path / "postgresql.csv"
    log.write_text(POSTGRES_LOG)
    done = web.chaperone("audit", "reconcile", "--postgres-log", str(log), "--resource", "crm", "--since", "1h",
                         check=False)
    assert done.returncode == 1 and "only PostgreSQL's log can be compared" in done.stderr


def test_an_evidence_package_has_it_and_is_verified(web, asked, tmp_path):
    session = asked[0]["session"]
    package = tmp_path / "web.zip"
    web.chaperone("audit", "export", "--session", session, "--out", str(package))
    with zipfile.ZipFile(package) as z:
        (name,) = [n for n in z.namelist() if n.endswith(f"{session}.txt")]
        assert "> POST /echo/audit?x=1 HTTP/1.1" in z.read(name).decode()
    verified = web.chaperone("audit", "verify", str(package), check=False)
    assert verified.returncode == 0, verified.stdout + verified.stderr
    events = [json.loads(x) for x in
              web.chaperone("audit", "export", "--session", session, "--out", "-", "--format", "ocsf").stdout.splitlines()]
    (called,) = [e for e in events if e["class_uid"] == 6003 and "http_request" in e]
    assert called["http_request"]["url"]["path"] == "/echo/audit" and called["api"]["operation"] == "POST /echo/**"
