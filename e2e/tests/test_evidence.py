"""`chaperone audit export`: what is in an evidence package, and that nothing is left behind where it fails."""

import contextlib
import csv
import hashlib
import html.parser
import io
import json
import os
import pty
import re
import signal
import socket
import subprocess
import threading
import time
import zipfile

import psycopg
import pytest
from support.parts import Parts
from support.stack import CHAPERONE

SECRET = "912-44-7731"
HOSTILE = ("SELECT '<script>alert(1)</script><img src=x onerror=alert(2)>\"''&amp; \u202e "
           "</td></table><h1>fine</h1>' AS \"=cmd|' /C calc'!A0\"")
POLICY = """\
version: 1
rules:
  - name: reads
    effect: allow
    match: {sql: {commands: [read, transaction, session]}}
    obligations:
      mask:
        - {columns: [public.evidence_people.ssn], with: {partial: {keep_last: 4, keep_separators: true}}}
  - name: ask-first
    effect: hold
    match: {sql: {commands: [UPDATE]}}
    hold: {approvers: {groups: [chaperone-operators]}, reason: required}
"""


def run_held(fleet, sql):
    """An agent's statement that a person lets through."""
    done = []

    def agent():
        with psycopg.connect(fleet.dsn(), autocommit=True) as c:
            done.append(c.execute(sql).rowcount)

    thread = threading.Thread(target=agent)
    thread.start()
    deadline = time.monotonic() + 60
    held = []
    while not held:
        assert time.monotonic() < deadline, fleet.logs()
        held = [json.loads(line) for line in
                fleet.chaperone("approvals", "list", "--json").stdout.splitlines()]
    approval = held[0]["id"]
    fleet.chaperone("approvals", "approve", approval, "--reason", "ticket <b>12</b>")
    thread.join(60)
    assert done == [1]
    # The control plane is told that it was used while the agent has its answer already.
    while json.loads(fleet.chaperone("approvals", "show", approval, "--json").stdout)["state"] != "used":
        assert time.monotonic() < deadline, fleet.logs()
    return approval


def be_killed(fleet):
    """A session that a person ends."""
    with psycopg.connect(fleet.dsn(application_name="to-be-killed"), autocommit=True) as c:
        c.execute("SELECT 1")
        session = fleet.wait_for(lambda r: r["kind"] == "session_opened"
                                 and r.get("application_name") == "to-be-killed")["session"]
        fleet.chaperone("session", "kill", session, "--reason", "runs wild")
        with pytest.raises(psycopg.Error):
            c.execute("SELECT 2")
    fleet.wait_for(lambda r: r["kind"] == "session_closed", "--session", session)
    return session


@pytest.fixture(scope="module")
def fleet(postgres, tmp_path_factory):
    postgres.psql("CREATE TABLE evidence_people (id int PRIMARY KEY, ssn text);"
                  f"INSERT INTO evidence_people VALUES (1, '{SECRET}')")
    policy = tmp_path_factory.mktemp("evidence") / "policy.yaml"
    policy.write_text(POLICY)
    running = Parts(postgres, policy=str(policy), identity="sub=agent-7,groups=agents")
    yield running
    running.close()
    postgres.psql("DROP TABLE evidence_people")


@pytest.fixture(scope="module")
def past(fleet):
    """Sessions with masks, refusals, an approval, a kill."""
    with psycopg.connect(fleet.dsn(application_name="evidence"), autocommit=True) as c:
        assert c.execute("SELECT id, ssn FROM evidence_people").fetchall() == [(1, "***-**-7731")]
        c.execute(HOSTILE)
        with pytest.raises(psycopg.Error):
            c.execute("DELETE FROM evidence_people -- <script>")
    approval = run_held(fleet, "UPDATE evidence_people SET id = 1 WHERE id = 1")
    killed = be_killed(fleet)
    return {"session": fleet.conversation("evidence")[0]["session"], "approval": approval,
            "killed": killed}


def fill(fleet, name, statements):
    """A session with so many statements; its id."""
    fleet.psql("-q", "-o", "/dev/null", stdin="".join(
        f"SELECT {n}, '{n:0200}';\n" for n in range(statements)), PGAPPNAME=name)
    return fleet.conversation(name)[0]["session"]


@pytest.fixture(scope="module")
def much(fleet):
    """More than the connection below lets through."""
    return fill(fleet, "much", 300)


class Package:
    """A package, read with nothing of ours."""

    def __init__(self, path):
        with zipfile.ZipFile(path) as z:
            assert z.testzip() is None
            names = z.namelist()
            folders = {n.split("/", 1)[0] for n in names}
            assert len(folders) == 1 and len(names) == len({n.lower() for n in names})
            self.folder = folders.pop()
            self.files = {n.split("/", 1)[1]: z.read(n) for n in names}
            self.last = names[-1]
        self.manifest = self.json("manifest.json")

    def json(self, name):
        return json.loads(self.files[name])

    def lines(self, name):
        return [json.loads(line) for line in self.files[name].decode().splitlines()]

    def records(self):
        """Position, canonical bytes (empty where erased), hash: of records/*.rec."""
        found = []
        for n in range(1000):
            data = self.files.get(f"records/{n:06}.rec")
            if data is None:
                return found
            at = 0
            while at < len(data):
                position = int.from_bytes(data[at:at + 8], "big")
                size = int.from_bytes(data[at + 8:at + 12], "big")
                at += 12
                if size:
                    found.append((position, data[at:at + size], sha(b"\0" + data[at:at + size])))
                else:
                    found.append((position, b"", data[at:at + 32]))
                at += size or 32
        raise AssertionError("too many")

    def tile(self, level, index, width):
        path, rest = f"{index % 1000:03}", index // 1000
        while rest:
            path, rest = f"x{rest % 1000:03}/{path}", rest // 1000
        return self.files[f"tiles/tile/{level}/{path}" + (f".p/{width}" if width < 256 else "")]


def sha(data):
    return hashlib.sha256(data).digest()


def tree(hashes):
    """RFC 6962 section 2.1 of hashes that are leaves, or roots of equal complete subtrees."""
    if len(hashes) == 1:
        return hashes[0]
    k = 1
    while 2 * k < len(hashes):
        k *= 2
    return sha(b"\1" + tree(hashes[:k]) + tree(hashes[k:]))


def check(package):
    """What any package must be; returns its records by position."""
    m = package.manifest
    assert package.last == f"{package.folder}/manifest.json"
    assert package.folder == f"evidence-{m['made'][:10]}-{m['checkpoint']['root'][:8]}"
    described = {f["name"]: f for f in m["files"]}
    assert set(described) == set(package.files) - {"manifest.json"}
    for name, data in package.files.items():
        if name != "manifest.json":
            assert described[name]["sha256"] == hashlib.sha256(data).hexdigest(), name
            assert described[name]["size"] == len(data)
        assert re.fullmatch(r"[A-Za-z0-9._/-]+", name) and ".." not in name
    records = package.records()
    size = m["checkpoint"]["size"]
    assert size < 256  # one tile: its root is the log's
    leaves = package.tile(0, 0, size)
    leaves = [leaves[i:i + 32] for i in range(0, len(leaves), 32)]
    assert tree(leaves).hex() == m["checkpoint"]["root"]
    origin, count, root = package.files["checkpoint"].decode().split("\n")[:3]
    assert (origin, int(count)) == (m["checkpoint"]["origin"], size)
    assert origin == package.json("keys.json")["origin"] and root
    for position, _, record_hash in records:
        assert leaves[position - 1] == sha(b"\0" + record_hash)
    assert len({r[0] for r in records}) == len(records) == m["counts"]["entries"]
    assert sum(m["kinds"].values()) == len(records)
    lines = package.lines("records.jsonl")
    assert [(r["position"], r["hash"]) for r in lines] == [(r[0], "\\x" + r[2].hex())
                                                           for r in records]
    rows = list(csv.DictReader(io.StringIO(package.files["records.csv"].decode(), newline="")))
    assert [(int(r["position"]), r["hash"]) for r in rows] == [(r[0], r[2].hex()) for r in records]
    return lines


def export(fleet, path, *args, expect=0):
    done = fleet.chaperone("audit", "export", "--out", str(path), *args, check=False)
    assert done.returncode == expect, done.stdout + done.stderr + fleet.logs()
    return done


@pytest.fixture(scope="module")
def whole(fleet, past, tmp_path_factory):
    path = tmp_path_factory.mktemp("package") / "all.zip"
    export(fleet, path, "--sample", "3", "--seed", "Q4 \u00e4", "--reason", "yearly <review>")
    assert os.stat(path).st_mode & 0o777 == 0o600
    return Package(path)


def test_a_package_has_what_a_search_finds(fleet, past, whole):
    lines = check(whole)
    found = fleet.search("--until", whole.manifest["made"], "--kind", "intent")
    assert [r["hash"] for r in found] == [r["hash"] for r in lines if r["kind"] == "intent"]
    assert whole.manifest["reason"] == "yearly <review>"
    assert whole.manifest["filter"] == {"since": None, "until": None, "identity": None,
                                        "resource": None, "session": None}
    exports = [r for r in fleet.search("--kind", "action") if r["action"] == "export"]
    assert exports[0]["reason"] == "yearly <review>"
    # It is in the package itself: what was asked for is a record like any other.
    assert exports[0]["hash"] in [r["hash"] for r in lines]


def test_sessions_are_shown_as_the_commands_show_them(fleet, past, whole):
    session = past["session"]
    shown = fleet.chaperone("audit", "show", session, "--rows", "1000").stdout
    assert whole.files[f"sessions/{session}.txt"].decode() == shown
    shown = fleet.chaperone("audit", "show", session, "--json").stdout
    assert whole.files[f"sessions/{session}.jsonl"].decode() == shown
    cast = fleet.chaperone("audit", "replay", session, "--export", "-").stdout
    assert whole.files[f"replay/{session}.cast"].decode() == cast
    assert whole.manifest["counts"]["sessions"] == \
        len([n for n in whole.files if n.startswith("sessions/") and n.endswith(".txt")])
    assert "killed" in whole.files[f"sessions/{past['killed']}.txt"].decode()


def test_masked_rows_are_there_masked_and_nowhere_else(whole, past):
    receipts = whole.lines("masking.jsonl")
    assert [(r["session"], r["masked"]) for r in receipts if r["masked"]] == [
        (past["session"], [{"rule": "reads", "column": "ssn", "rows": 1,
                            "by_content": False}])]
    assert b"***-**-7731" in whole.files[f"sessions/{past['session']}.jsonl"]
    for name, data in whole.files.items():
        assert SECRET.encode() not in data, name


def test_what_explains_the_records_is_there(fleet, past, whole):
    held = whole.json(f"approvals/{past['approval']}.json")
    assert held["state"] == "used" and "UPDATE evidence_people" in held["text"]
    assert held["decisions"][0]["reason"] == "ticket <b>12</b>"
    intents = [r for r in whole.lines("records.jsonl") if r["kind"] == "intent"]
    for revision in {r["policy_revision"] for r in intents}:
        about = whole.json(f"policies/{revision}.json")
        document = whole.files[about["document"]]
        assert hashlib.sha256(document).hexdigest() == about["hash"]
        assert about["hash"] in {r["policy"] for r in intents}
        assert len(whole.files[about["signature"]]) == 64
        assert len(whole.files[about["public_key"]]) == 44
    assert b"ask-first" in whole.files[whole.json(f"policies/{revision}.json")["source"]]
    agent = [i for i in whole.json("identities.json") if i["subject"] == "agent-7"][0]
    assert agent["assurance"] == "verified" and agent["groups"] == ["agents"]
    assert agent["sessions"] >= 3
    keys = whole.json("issuers.json")
    assert agent["issuer"] in {k["issuer"] for k in keys}
    assert all(k["jwk"]["kty"] and "d" not in k["jwk"] for k in keys)
    sidecars = whole.json("sidecars.json")
    assert [len(s["key_hash"]) for s in sidecars] == [64]
    assert {s["sidecar"] for s in sidecars} == {r["sidecar"] for r in intents}


def test_a_sample_can_be_drawn_again_and_proves_itself(whole):
    sample = whole.manifest["sample"]
    intents = [r for r in whole.lines("records.jsonl") if r["kind"] == "intent"]
    seed = "Q4 \u00e4".encode()
    ranked = sorted(intents, key=lambda r: sha(seed + b"\0" + bytes.fromhex(r["hash"][2:])))
    assert sample == {"seed": "Q4 \u00e4", "of": "intent", "population": len(intents),
                      "positions": [r["position"] for r in ranked[:3]]}
    rows = list(csv.DictReader(io.StringIO(whole.files["sample.csv"].decode(), newline="")))
    assert [int(r["position"]) for r in rows] == sample["positions"]
    size = whole.manifest["checkpoint"]["size"]
    for r in ranked[:3]:
        proof = whole.files[f"proofs/{r['position']}.tlog-proof"].decode()
        assert f"\nindex {r['position'] - 1}\n" in proof
        assert proof.endswith(whole.files["checkpoint"].decode())
        assert str(size) in proof


class Page(html.parser.HTMLParser):
    """What a browser would make of it."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.links, self.texts, self.policy = [], [], [], None
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        attrs = dict(attrs)
        assert not [a for a in attrs if a.startswith("on") or a in ("src", "style")]
        if tag == "a":
            self.links.append(attrs["href"])
        if attrs.get("http-equiv") == "Content-Security-Policy":
            self.policy = attrs["content"]

    def handle_data(self, data):
        self.texts.append(data)


def test_hostile_statements_are_inert_on_the_page(whole, past):
    text = whole.files["index.html"].decode()
    page = Page(text)
    assert {"script", "img", "iframe", "form", "object", "b"}.isdisjoint(page.tags)
    assert page.tags.count("h1") == 1
    assert page.policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "unsafe" not in page.policy
    shown = "".join(page.texts)
    assert "DELETE FROM evidence_people -- <script>" in shown and "ticket <b>12</b>" in shown
    assert "yearly <review>" in shown and "\u202e" not in text
    for link in page.links:
        assert ":" not in link and link in whole.files, link
    assert f"sessions/{past['session']}.txt" in page.links
    assert f"approvals/{past['approval']}.json" in page.links
    rows = csv.reader(io.StringIO(whole.files["records.csv"].decode(), newline=""))
    assert not [cell for row in rows for cell in row if cell[:1] in ("=", "+", "-", "@")]


def test_filters_narrow_it_down(fleet, past, tmp_path):
    export(fleet, tmp_path / "one.zip", "--session", past["session"], "--no-replay")
    package = Package(tmp_path / "one.zip")
    lines = check(package)
    assert {r["session"] for r in lines} == {past["session"]}
    assert len(lines) == len(fleet.search("--session", past["session"]))
    assert package.manifest["counts"]["sessions"] == 1
    assert not [n for n in package.files if n.startswith("replay/")]
    assert package.manifest["sample"] is None and package.manifest["counts"]["approvals"] == 0
    export(fleet, tmp_path / "who.zip", "--identity", "agent-7", "--resource", lines[0]["resource"])
    lines = check(Package(tmp_path / "who.zip"))
    assert past["killed"] in {r["session"] for r in lines}
    until = lines[2]["time"]
    export(fleet, tmp_path / "until.zip", "--identity", "agent-7", "--until", until)
    assert 0 < len(check(Package(tmp_path / "until.zip"))) < len(lines)


def test_nothing_matches(fleet, past, tmp_path):
    export(fleet, tmp_path / "none.zip", "--identity", "nobody", "--sample", "5", "--seed", "x")
    package = Package(tmp_path / "none.zip")
    assert check(package) == [] and package.files["records/000000.rec"] == b""
    assert package.manifest["counts"]["entries"] == 0
    assert package.manifest["sample"]["positions"] == []
    Page(package.files["index.html"].decode())


def test_nothing_is_overwritten_unasked(fleet, past, tmp_path):
    path = tmp_path / "there.zip"
    path.write_text("mine")
    done = export(fleet, path, expect=1)
    assert "is there already" in done.stderr and path.read_text() == "mine"
    assert os.listdir(tmp_path) == ["there.zip"]
    export(fleet, path, "--force", "--session", past["session"])
    check(Package(path))


@pytest.mark.parametrize("args, words", [
    ((), "--out FILE is needed"),
    (("--out", "-"), "a zip needs a file"),
    (("--out", "x.zip", "--sample", "3"), "--seed"),
    (("--out", "x.zip", "--seed", "3"), "--sample N"),
    (("--out", "x.zip", "--sample", "3", "--seed", "3", "--sample-of", "lies"), "no kind"),
    (("--out", "x.zip", "--since", "1h", "--until", "2h"), "--since is after --until"),
    (("--out", "no/such/folder/x.zip"), "No such file"),
])
def test_what_is_wrong_with_a_command_line_is_said(fleet, tmp_path, args, words):
    done = subprocess.run([CHAPERONE, "audit", "export", *args, *fleet.operator()], cwd=tmp_path,
                          capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode != 0 and words in done.stderr
    assert os.listdir(tmp_path) == []


def test_records_as_lines(fleet, past, tmp_path):
    done = export(fleet, "-", "--format", "jsonl", "--session", past["session"])
    assert [json.loads(line)["hash"] for line in done.stdout.splitlines()] == \
        [r["hash"] for r in fleet.search("--session", past["session"])]
    export(fleet, tmp_path / "x.csv", "--format", "csv", "--session", past["session"])
    with open(tmp_path / "x.csv", newline="", encoding="utf-8") as f:
        rows = list(csv.DictReader(f))
    assert len(rows) == len(done.stdout.splitlines())
    done = export(fleet, "-", "--format", "ocsf", "--session", past["session"])
    assert all(e["class_uid"] >= 0 and e["metadata"]["version"].startswith("1.")
               for e in map(json.loads, done.stdout.splitlines()))


def test_a_reader_that_has_seen_enough(fleet, much):
    assert much
    with subprocess.Popen([CHAPERONE, "audit", "export", "--out", "-", "--format", "jsonl",
                           *fleet.operator()], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE) as exporting:
        assert json.loads(exporting.stdout.readline())
        exporting.stdout.close()
        assert exporting.stderr.read() == b""
        assert exporting.wait(60) in (1, -signal.SIGPIPE)


def test_how_far_it_is_stands_on_a_terminal(fleet, much, tmp_path):
    assert much
    near, far = pty.openpty()
    with subprocess.Popen([CHAPERONE, "audit", "export", "--out", str(tmp_path / "x.zip"),
                           *fleet.operator()], stdout=subprocess.PIPE, stderr=far,
                          env=dict(os.environ, TERM="xterm")) as exporting:
        os.close(far)
        shown = b""
        try:
            while data := os.read(near, 4096):
                shown += data
        except OSError:
            pass  # the terminal's end
        os.close(near)
        assert exporting.wait(60) == 0
    lines = shown.decode().split("\r\x1b[K")
    total = str(Package(tmp_path / "x.zip").manifest["counts"]["entries"])
    assert [line for line in lines if line.startswith("receiving [") and f" of {total} " in line]
    assert [line for line in lines if line.startswith("writing ")]
    assert lines[-1] == ""  # and is taken away


def test_only_auditors_and_admins_export(fleet, tmp_path):
    token = next(os.path.join(fleet.dir, n) for n in ("agent.token", "agent/token")
                 if os.path.exists(os.path.join(fleet.dir, n)))
    done = subprocess.run([CHAPERONE, "audit", "export", "--out", str(tmp_path / "x.zip"),
                           "--token-file", token, *fleet.operator()], capture_output=True,
                          text=True, check=False, timeout=60)
    assert done.returncode == 1 and "no role" in done.stderr
    assert os.listdir(tmp_path) == []


def key_of_the_log(fleet, package):
    """Of the control plane itself, not of the package."""
    keys = package.json("keys.json")["log_keys"]
    assert keys[0].split("+")[0] in fleet.chaperone("audit", "checkpoint").stdout
    return keys[0]


def verify(path, *args):
    return subprocess.run([CHAPERONE, "audit", "verify", str(path), *args], capture_output=True,
                          text=True, check=False, timeout=120)


def test_what_is_exported_is_what_verify_believes(fleet, past, tmp_path):
    # More than one tile, so that levels are above each other.
    session = fill(fleet, "many", 400)
    export(fleet, tmp_path / "x.zip", "--sample", "7", "--seed", "s")
    package = Package(tmp_path / "x.zip")
    size = package.manifest["checkpoint"]["size"]
    assert size > 800 and f"tiles/tile/1/000.p/{size // 256}" in package.files
    done = verify(tmp_path / "x.zip", "--log-key", key_of_the_log(fleet, package))
    assert done.returncode == 0 and "whole" in done.stdout, done.stdout + done.stderr
    # Of the middle of a log only what is needed.
    export(fleet, tmp_path / "old.zip", "--session", past["session"])
    old = Package(tmp_path / "old.zip")
    tiles = [n for n in old.files if n.startswith("tiles/")]
    ends_within_a_tile = old.manifest["checkpoint"]["size"] % 256 != 0
    assert sorted(n.split("/")[2] for n in tiles) == ["0"] + ["0"] * ends_within_a_tile + ["1"]
    done = verify(tmp_path / "old.zip", "--log-key", key_of_the_log(fleet, package))
    assert done.returncode == 0, done.stdout + done.stderr
    assert session


def test_erased_records_are_still_counted_and_proved(fleet, past, tmp_path):
    """In a control plane of its own: what is erased is gone for the other tests, too."""
    own = Parts(fleet.postgres)
    try:
        own.psql("-c", "SELECT 'aardvark'", PGAPPNAME="erased")
        session = own.conversation("erased")[0]["session"]
        before = own.search("--session", session)
        own.write("controlplane.yaml",
                  own.read("controlplane.yaml") + "\nretention: [{resource: '*', keep: 1s}]\n")
        deadline = time.monotonic() + 60
        while not all("erased" in r for r in own.search("--session", session)):
            assert time.monotonic() < deadline
            mark = own.parts["controlplane"].mark()
            own.parts["controlplane"].signal(signal.SIGHUP)
            own.parts["controlplane"].wait_for("configuration_reloaded", after=mark)
        export(own, tmp_path / "x.zip", "--session", session, "--sample", "1", "--seed", "s")
        package = Package(tmp_path / "x.zip")
        lines = check(package)
        assert [r["hash"] for r in lines] == [r["hash"] for r in before]
        assert package.manifest["counts"]["erased"] == len(before)
        assert package.manifest["kinds"]["intent"] == 1
        assert all(not canonical for _, canonical, _ in package.records())
        assert package.files[f"sessions/{session}.txt"].count(b"erased on 20") == len(before)
        assert not [n for n, data in package.files.items() if b"aardvark" in data]
        done = verify(tmp_path / "x.zip")
        assert done.returncode == 0, done.stdout + done.stderr
    finally:
        own.close()


class Narrow:
    """Between the command and the control plane: lets so many bytes of answers through, and stops;
    later the connection breaks, where it does not stay `silent`."""

    def __init__(self, port, allowed):
        self.port_behind, self.allowed = port, allowed
        self.stalled = threading.Event()
        self.go_on = threading.Event()
        self.silent = False
        self.server = socket.create_server(("127.0.0.1", 0))
        self.port = self.server.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        near, _ = self.server.accept()
        with near, socket.create_connection(("127.0.0.1", self.port_behind)) as far:
            asking = threading.Thread(target=self._carry, args=(near, far, None), daemon=True)
            asking.start()
            self._carry(far, near, self.allowed)
            if not self.silent:
                with contextlib.suppress(OSError):  # the command has left
                    near.shutdown(socket.SHUT_RDWR)
            asking.join()  # what it reads from must not be closed meanwhile: it would stay open

    def _carry(self, source, sink, left):
        try:
            while data := source.recv(4096):
                if left is not None:
                    left -= len(data)
                    if left < 0:
                        self.stalled.set()
                        self.go_on.wait(240)
                        return
                sink.sendall(data)
        except OSError:
            pass

    def close(self):
        self.go_on.set()
        self.server.close()


@pytest.fixture
def narrow(fleet, much):
    # pylint: disable=unused-argument
    made = Narrow(fleet.address("controlplane.yaml", "listen")[1], 100000)
    yield made
    made.close()


def export_through(fleet, narrow, path, *args):
    return subprocess.Popen(
        [CHAPERONE, "audit", "export", "--out", str(path), *args,
         "--server", f"127.0.0.1:{narrow.port}", "--ca", fleet.path("controlplane/ca/ca.pem"),
         "--token-file", fleet.path("operator.token")],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.parametrize("args, silent", [((), False), (("--format", "jsonl"), False), ((), True)])
def test_a_control_plane_that_dies_in_the_middle_gives_no_package(fleet, narrow, tmp_path, args, silent):
    narrow.silent = silent
    with export_through(fleet, narrow, tmp_path / "x", *args) as exporting:
        assert narrow.stalled.wait(60), fleet.logs()
        assert os.listdir(tmp_path) == ["x.part"]
        narrow.go_on.set()
        _, said = exporting.communicate(timeout=120)
        assert exporting.returncode == 3 and "cannot reach the control plane" in said
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_whoever_breaks_it_off_finds_nothing(fleet, narrow, tmp_path, number):
    with export_through(fleet, narrow, tmp_path / "x.zip") as exporting:
        assert narrow.stalled.wait(60), fleet.logs()
        exporting.send_signal(number)
        exporting.communicate(timeout=60)
        assert exporting.returncode == 128 + number
    assert os.listdir(tmp_path) == []


def test_even_killed_it_leaves_no_records_behind_but_in_the_part(fleet, narrow, tmp_path):
    with export_through(fleet, narrow, tmp_path / "x.zip") as exporting:
        assert narrow.stalled.wait(60), fleet.logs()
        exporting.kill()
        exporting.communicate(timeout=60)
    # What it received was in files without a name; of the package nothing was written yet.
    assert os.listdir(tmp_path) == ["x.zip.part"]
    assert os.path.getsize(tmp_path / "x.zip.part") == 0
    done = export(fleet, tmp_path / "x.zip", expect=1)
    assert "--force" in done.stderr
    export(fleet, tmp_path / "x.zip", "--force", "--session", fill(fleet, "again", 1))
    assert os.listdir(tmp_path) == ["x.zip"]


def test_interrupted_it_leaves_nothing_behind(fleet, past, tmp_path):
    # The control plane is stopped: the export waits, with its files made.
    fleet.parts["controlplane"].signal(signal.SIGSTOP)
    try:
        with subprocess.Popen([CHAPERONE, "audit", "export", "--out", str(tmp_path / "x.zip"),
                               *fleet.operator()], stderr=subprocess.PIPE, text=True) as waiting:
            deadline = time.monotonic() + 60
            # Where no file can be made without a name, some have one for a moment.
            while (there := os.listdir(tmp_path)) != ["x.zip.part"] and time.monotonic() < deadline:
                time.sleep(0.02)
            assert there == ["x.zip.part"]
            waiting.send_signal(signal.SIGINT)
            assert waiting.wait(60) == 130
    finally:
        fleet.parts["controlplane"].signal(signal.SIGCONT)
    assert os.listdir(tmp_path) == []
