"""Unmodified clients of HTTP through the sidecar: both versions on both sides, gRPC, WebSockets, event streams."""

import asyncio
import json
import os
import subprocess
import sys

import httpx
import pytest
import requests
import websockets
import websockets.exceptions
from support.http_stack import BEARER, Raw, request
from support.http_target import HERE, NODE


def curl(*args, timeout=60):
    done = subprocess.run(["curl", "-sS", "--max-time", "30", *args], capture_output=True, text=True, check=False,
                          timeout=timeout)
    assert done.returncode == 0, (args, done.stderr, done.stdout)
    return done.stdout


def node(script, *args, timeout=60):
    """A program for Node.js with the packages of the tests; its standard output, as JSON."""
    done = subprocess.run(["node", "--input-type=module", "-e", script, "--", *args], cwd=NODE, text=True,
                          capture_output=True, check=False, timeout=timeout, env=dict(os.environ, NODE_NO_WARNINGS="1"))
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def header(seen, name):
    return [v for n, v in seen["headers"] if n.lower() == name]


@pytest.mark.parametrize("resource", ["open", "web"])
@pytest.mark.parametrize("version", ["--http1.0", "--http1.1", "--http2-prior-knowledge"])
def test_curl(web, web_node, version, resource):
    mark = f"{version[6:]}-{resource}"
    answer = curl(version, "-w", "\n%{http_version} %{http_code}", "-H", f"x-mark: {mark}", "-d", f"body of {mark}",
                  web.url(resource, f"/echo?mark={mark}"))
    body, said = answer.rsplit("\n", 1)
    assert said == {"--http1.0": "1.1 200", "--http1.1": "1.1 200"}.get(version, "2 200")
    seen = json.loads(body)
    assert (seen["method"], seen["url"], seen["body"]) == ("POST", f"/echo?mark={mark}", f"body of {mark}")
    assert header(seen, "x-mark") == [mark]
    assert seen["version"] == ("2.0" if resource == "web" else "1.1")  # the target's side has its own
    intent, outcome = web.exchange(f"POST /echo?mark={mark}")
    assert intent["http"]["version"] == {"--http1.0": "1.0", "--http1.1": "1.1"}.get(version, "2")
    assert outcome["http"]["status"] == 200 and outcome["status"] == "success"
    assert web_node.log.requests(url=f"/echo?mark={mark}")


@pytest.mark.parametrize("version,said", [("--http1.1", "1.1"), ("--http2", "2")])
@pytest.mark.parametrize("resource", ["open", "web"])
def test_curl_with_tls_and_alpn(web_tls, web_certificates, version, said, resource):
    answer = curl(version, "--cacert", web_certificates.ca, "-w", "\n%{http_version}",
                  web_tls.url(resource, "/customers/5"))
    body, got = answer.rsplit("\n", 1)
    assert got == said and json.loads(body)["id"] == 5


def test_several_requests_on_one_connection(web):
    urls = [web.url("open", f"/customers/{n}?conn=keep") for n in range(5)]
    said = curl("-w", "%{num_connects}\n", *[x for u in urls for x in ("-o", "/dev/null", u)])
    assert said.split() == ["1", "0", "0", "0", "0"]


def test_many_streams_at_once(web):
    """h2 with its streams interleaved; each answer belongs to its question."""
    script = """
import http2 from 'node:http2';
import { once } from 'node:events';
const session = http2.connect(process.argv[1]);
const ask = async (n) => {
  const stream = session.request({ ':path': `/customers/${n % 20}?stream=${n}` });
  let body = '';
  stream.setEncoding('utf8');
  stream.on('data', (part) => { body += part; });
  await once(stream, 'end');
  return JSON.parse(body).id;
};
await ask(0); // the other side has said by then how many streams it takes
const found = await Promise.all(Array.from({ length: 60 }, (_, n) => ask(n)));
console.log(JSON.stringify(found));
session.close();
"""
    for resource in ("web", "open"):
        assert node(script, web.url(resource)) == [n % 20 for n in range(60)]


@pytest.mark.parametrize("resource", ["web", "open"])
def test_a_stream_that_is_cancelled(web, web_node, resource):
    """The target is told, whichever version it speaks, and what is asked next has its answer."""
    path = f"/slow?cancelled={resource}"
    mark = web_node.log.mark()
    script = """
import http2 from 'node:http2';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
const [url, path] = process.argv.slice(1);
const session = http2.connect(url);
const slow = session.request({ ':path': path });
await once(createInterface({ input: process.stdin }), 'line'); // the target has it
slow.close(http2.constants.NGHTTP2_CANCEL);
const next = session.request({ ':path': '/customers/9' });
next.on('response', (head) => { console.log(head[':status']); session.close(); });
next.resume();
"""
    with subprocess.Popen(["node", "--input-type=module", "-e", script, "--", web.url(resource), path], cwd=NODE, text=True,
                          stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=dict(os.environ, NODE_NO_WARNINGS="1")) as asking:
        try:
            web_node.log.wait_for(lambda e: e.get("url") == path, mark)
            said, _ = asking.communicate("go\n", timeout=60)
        finally:
            asking.kill()
    assert said == "200\n"
    (seen,) = web_node.log.requests(mark, url=path)
    web_node.log.wait_for(lambda e: e["event"] in ("aborted", "unanswered") and e["n"] == seen["n"], mark)
    assert web.outcome_of(f"GET {path}")["status"] == "unknown"


def test_requests(web):
    with requests.Session() as session:
        for resource in ("open", "web", "nginx", "nginxs"):
            answer = session.get(web.url(resource, "/customers/7"), timeout=30)
            assert answer.json()["name"] == "Customer 7"
        answer = session.post(web.url("open", "/echo"), json={"a": [1, 2]}, timeout=30)
        assert json.loads(answer.json()["body"]) == {"a": [1, 2]}
        answer = session.post(web.url("open", "/upload"), data=(b"x" * 1000 for _ in range(50)), timeout=30)
        assert answer.json()["bytes"] == 50_000
        assert session.get(web.url("nginx", "/static/hello.txt"), timeout=30).text == "hello\n"


@pytest.mark.parametrize("http2", [False, True])
def test_httpx(web, web_tls, http2, web_certificates):
    with httpx.Client(http2=http2, verify=web_certificates.ca, timeout=30) as client:
        answer = client.get(web_tls.url("web", "/customers/8").replace("127.0.0.1", "localhost"))
        assert answer.http_version == ("HTTP/2" if http2 else "HTTP/1.1")
        assert answer.json()["id"] == 8
        assert client.post(web.url("open", "/upload"), content=b"y" * 200_000).json()["bytes"] == 200_000
        with client.stream("GET", web.url("open", "/large?bytes=3000000")) as stream:
            assert sum(len(part) for part in stream.iter_bytes()) == 3_000_000


def test_node_fetch_and_undici(web):
    found = node("""
import { request, fetch as undiciFetch, Agent, stream } from 'undici';
const [open, big] = process.argv.slice(1);
const found = {};
found.fetch = (await (await fetch(open + '/customers/1')).json()).id;
const posted = await fetch(open + '/echo', { method: 'POST', body: 'of fetch', headers: { 'x-a': 'b' } });
found.posted = (await posted.json()).body;
found.undiciFetch = (await (await undiciFetch(open + '/customers/2')).json()).id;
const { statusCode, body } = await request(open + '/customers/3');
found.request = [statusCode, (await body.json()).id];
const agent = new Agent({ pipelining: 10, connections: 1 });
found.pipelined = await Promise.all(Array.from({ length: 10 }, async (_, n) =>
  (await (await request(`${open}/customers/${n}`, { dispatcher: agent })).body.json()).id));
let bytes = 0;
for await (const part of (await fetch(big)).body) bytes += part.length;
found.bytes = bytes;
console.log(JSON.stringify(found));
process.exit(0);
""", web.url("open"), web.url("web", "/large?bytes=5000000"))
    assert found == {"fetch": 1, "posted": "of fetch", "undiciFetch": 2, "request": [200, 3],
                     "pipelined": list(range(10)), "bytes": 5_000_000}


def test_all_kinds_of_answers(web):
    for resource in ("open", "web"):
        assert request(web.url(resource, "/chunked")).body == b"one two three"
        assert request(web.url(resource, "/status/404")).status == 404
        assert request(web.url(resource, "/status/500")).status == 500
        assert request(web.url(resource, "/status/204")).status == 204
        assert request(web.url(resource, "/customers/1"), "HEAD").body == b""
        assert request(web.url(resource, "/text"), "OPTIONS").status == 200
    said = curl("-i", "--raw", web.url("open", "/trailers"))
    assert "with trailers" in said and "x-sum: 42" in said.lower()
    said = curl("-i", "--http2-prior-knowledge", web.url("web", "/trailers"))
    assert "with trailers" in said and "x-sum: 42" in said.lower()
    said = curl("-i", web.url("open", "/early-hints"))
    assert said.startswith("HTTP/1.1 103") and "HTTP/1.1 200" in said
    with Raw(web.ports["open"]) as raw:
        raw.send(b"POST /upload HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n")
        assert raw._until(b"\r\n\r\n").startswith(b"HTTP/1.1 100")  # pylint: disable=protected-access
        raw.send(b"abc")
        assert raw.answer().json()["bytes"] == 3


def test_request_trailers_reach_the_target(web):
    with Raw(web.ports["open"]) as raw:
        raw.send(b"POST /echo?trailers=1 HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\nTrailer: x-sum\r\n\r\n"
                 b"5\r\nhello\r\n0\r\nx-sum: 7\r\n\r\n")
        seen = raw.answer().json()
    assert seen["body"] == "hello" and seen["trailers"] == [["x-sum", "7"]]


def test_grpc(web, web_grpc, web_certificates):
    script = os.path.join(HERE, "http_grpc.py")

    def call(*args):
        done = subprocess.run([sys.executable, script, "call", *args], capture_output=True, text=True, check=False,
                              timeout=90)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    direct, through = call(str(web_grpc.port), web_certificates.ca), call(str(web.ports["grpc"]))
    # The target saw the credential, and its trailer gives it back: the agent does not see it.
    saw = through["trailing"].pop("x-saw-authorization")
    assert saw and BEARER not in saw
    direct["trailing"].pop("x-saw-authorization")
    assert through == direct
    assert through["Fails"] == ["FAILED_PRECONDITION", "not today: 100%"]
    assert through["items"][-1] == "item 99" and through["collected"] == 5_000_000
    # An error without a message is a head and nothing else; all others have their status in the trailers.
    for name, where, status in (("Fails", "fields", "9"), ("Unary", "trailers", "0")):
        _, outcome = web.exchange(f"POST /chaperone.test.Echo/{name}")
        assert {f["name"]: f["value"] for f in outcome["http"][where]}["grpc-status"] == status


async def talk(url):
    async with websockets.connect(url, max_size=None, open_timeout=30) as client:
        found = []
        await client.send("hello")
        found.append(await client.recv())
        await client.send(bytes(range(256)))
        found.append(await client.recv())
        await client.send("x" * 300_000)
        found.append(len(await client.recv()))
        await client.send(["in ", "three ", "frames"])
        found.append(await client.recv())
        await (await client.ping())
        await client.send("burst 20")
        found.append([json.loads(await client.recv())["n"] for _ in range(20)])
        await client.send("close")
        await client.wait_closed()
        found.append((client.close_code, client.close_reason))
    return found


def test_websocket_of_python(web, web_node):
    expected = ["hello", bytes(range(256)), 300_000, "in three frames", list(range(20)), (4001, "as asked")]
    assert asyncio.run(talk(f"ws://127.0.0.1:{web_node.ports['h1']}/ws?direct")) == expected
    assert asyncio.run(talk(f"ws://127.0.0.1:{web.ports['open']}/ws?python")) == expected
    intent, outcome = web.exchange("GET /ws?python")
    assert intent["http"]["upgrade"] == "websocket" and outcome["http"]["status"] == 101
    assert outcome["status"] == "success"
    messages = [r for r in web.show(intent["session"]) if r["kind"] == "message"]
    agents = [m for m in messages if m["from_agent"] and m["message"] in ("text", "binary")]
    targets = [m for m in messages if not m["from_agent"] and m["message"] in ("text", "binary")]
    assert [m.get("data") for m in agents if m["message"] == "text" and len(m["data"]) < 100] == [
        "hello", "in three frames", "burst 20", "close"]
    assert len(agents) == 6 and len(targets) == 24
    assert outcome["http"]["messages_from_agent"] >= 6 and outcome["http"]["messages_to_agent"] >= 24


def test_websocket_of_node(web):
    found = node("""
import { WebSocket } from 'ws';
const client = new WebSocket(process.argv[1], { perMessageDeflate: true });
const found = [];
client.on('open', () => client.send('first'));
client.on('message', (data, isBinary) => {
  found.push(isBinary ? data.length : data.toString());
  if (found.length === 1) client.send(Buffer.alloc(70000));
  else if (found.length === 2) client.send('close');
});
client.on('close', (code, reason) => { console.log(JSON.stringify([...found, code, reason.toString()])); });
client.on('error', (error) => { console.error(error); process.exit(1); });
""", f"ws://127.0.0.1:{web.ports['open']}/ws?node")
    assert found == ["first", 70000, 4001, "as asked"]


def test_a_websocket_that_no_rule_names(web):
    with pytest.raises(websockets.exceptions.InvalidStatusCode) as refused:
        asyncio.run(talk(f"ws://127.0.0.1:{web.ports['crm']}/a/ws"))
    assert refused.value.status_code == 403


@pytest.mark.parametrize("resource,version", [("open", "--http1.1"), ("web", "--http2-prior-knowledge")])
def test_event_streams_come_as_they_are_sent(web, resource, version):
    with subprocess.Popen(["curl", "-sSN", "--max-time", "30", version, web.url(resource, f"/sse?count=100000&v={resource}")],
                          stdout=subprocess.PIPE, text=True) as reading:
        first = [reading.stdout.readline() for _ in range(4)]
        assert reading.poll() is None and first[0] == "event: tick\n"
        reading.kill()
    curl(version, web.url(resource, f"/sse?count=3&v=all-{resource}"))
    intent, outcome = web.exchange(f"GET /sse?count=3&v=all-{resource}")
    messages = [r for r in web.show(intent["session"]) if r["kind"] == "message"]
    assert [(m["message"], m["name"], m["from_agent"]) for m in messages] == [("event", "tick", False)] * 3
    assert outcome["http"]["messages_to_agent"] == 3
