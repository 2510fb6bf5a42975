"""What two servers could understand differently is refused: the target sees exactly what was decided and recorded."""

import time

import pytest
from support.http_smuggling import EMPTY, UNANSWERED, Ground, answers_in, corpus
from support.http_stack import HttpControlPlane
from support.http_target import Nginx, Node

CASES = corpus()
SERVERS = ("nginx", "node")
# Their request is never whole: a server may say so in its log.
INCOMPLETE = {"lengths-length-too-large", "fields-expect-of-a-get-with-a-request", "lengths-length-too-small",
              "http2-length-too-large", "http2-length-too-small"}
CLOSED = {"lines-preface-of-http2-and-text"}  # without an answer: it could be in either version
RULES = [{"name": "a", "effect": "allow", "match": {"http": {"paths": ["/a/**", "/canary/**"]}}}]


class Grounds:
    """Both servers, each with its own witness, behind one sidecar; all cases are sent when this is made."""

    def __init__(self, provider, certificates):
        self.behind = {name: Node(certificates) for name in SERVERS}
        self.nginx = Nginx(certificates, upstream=f"127.0.0.1:{self.behind['nginx'].ports['h1']}")
        addresses = {"nginx": self.nginx.url(), "node": self.behind["node"].url()}
        self.fleet = HttpControlPlane(provider, [
            {"name": name, "protocol": "http", "address": address, "credential": {"none": True}}
            for name, address in addresses.items()], {"version": 1, "rules": RULES})
        self.sidecar = self.fleet.http_sidecar(SERVERS)
        witnesses = {"nginx": self.nginx.log, "node": self.behind["node"].log}
        grounds = {name: Ground(self.sidecar, name, witnesses[name], CASES) for name in SERVERS}
        for ground in grounds.values():
            ground.join(500)
            if ground.error:
                raise ground.error
        self.results = {name: ground.results for name, ground in grounds.items()}
        self.bodies = {name: self._bodies(node) for name, node in self.behind.items()}
        self.intents, self.outcomes = self._recorded()

    @staticmethod
    def _bodies(node):
        """{url: [hashes]} of all that a server read to the end."""
        ends = {e["n"]: e["sha256"] for e in node.log.entries(event="end")}
        found = {}
        for e in node.log.requests():
            if e["n"] in ends:
                found.setdefault((e["method"], e["url"]), []).append(ends[e["n"]])
        return found

    def _recorded(self):
        sessions = {r.session for results in self.results.values() for r in results.values() if r.session}
        deadline = time.monotonic() + 60
        while True:
            closed = {r["session"] for r in self.sidecar.search("--kind", "session_closed", "--limit", "10000")}
            if sessions <= closed:
                break
            assert time.monotonic() < deadline, f"{len(sessions - closed)} sessions have no end"
            time.sleep(0.1)
        by_session = {}
        for r in self.sidecar.search("--kind", "intent", "--limit", "10000"):
            by_session.setdefault(r["session"], []).append(r)
        outcomes = {(r["session"], r["operation"]): r
                    for r in self.sidecar.search("--kind", "outcome", "--limit", "10000")}
        for intents in by_session.values():
            intents.sort(key=lambda r: r["operation"])
        return by_session, outcomes

    def close(self):
        self.fleet.close()
        self.nginx.close()
        for node in self.behind.values():
            node.close()


@pytest.fixture(scope="module")
def grounds(web_provider, web_certificates):
    made = Grounds(web_provider, web_certificates)
    yield made
    made.close()


def test_there_are_enough_cases():
    assert len(CASES) >= 200 and sum(c.is_http2 for c in CASES) >= 40


@pytest.mark.timeout(600)
@pytest.mark.parametrize("server", SERVERS)
@pytest.mark.parametrize("case", CASES, ids=[c.name for c in CASES])
def test_smuggling(grounds, case, server):
    result = grounds.results[server][case.name]
    seen = [e for e in result.seen if e["event"] == "request"]
    told = f"{case.why}\nanswer: {result.answer[:300]!r}\nseen: {result.seen}"
    assert answers_in(result.answer, case.is_http2) or case.name in UNANSWERED | CLOSED, told

    allowed = [r for r in grounds.intents.get(result.session, []) if r["verdict"] == "allow"]
    recorded = [tuple(r["text"].split(" ", 1)) for r in allowed]
    reached = [(e["method"], e["url"]) for e in seen]
    if case.is_http2:  # its streams have no order among them
        recorded, reached = sorted(recorded), sorted(reached)
    assert reached == recorded, told

    # The body, too; the outcome has its digest.
    for r in allowed:
        key = tuple(r["text"].split(" ", 1))
        outcome = grounds.outcomes[(r["session"], r["operation"])]
        if outcome["status"] == "success":
            assert outcome.get("digest_in", EMPTY).removeprefix("\\x") in grounds.bodies[server].get(key, []), told

    if case.name not in INCOMPLETE:
        assert not [e for e in result.seen if e["event"] == "malformed" or e.get("status") == 400], told
    if case.expected == "refused":
        assert not seen, told
    elif case.expected != "either":
        assert len(seen) == case.expected, told
    assert not any("smuggled" in e.get("url", "") for e in seen), told

    path, canary = result.canary
    assert canary.status == 200 and canary.json()["path"] == path, told
