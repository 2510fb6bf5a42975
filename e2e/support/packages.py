"""Evidence packages (docs/evidence.md), made here from the specification and not from what exports them: so that they can
be of any size, and wrong in any way."""

import csv
import hashlib
import io
import json
import struct
import zipfile

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from support import translog

START = 1795250580 * 10**9
ORIGIN = "log.example/audit"
FOLDER_DATE = "2026-11-21"
KINDS = {10: "session_opened", 11: "intent", 13: "outcome", 14: "session_closed", 15: "heartbeat", 17: "action"}


def sha256(data):
    return hashlib.sha256(data).digest()


# ---- Protocol Buffers, as far as a record needs them


def varint(n):
    out = bytearray()
    while n > 127:
        out.append(n & 127 | 128)
        n >>= 7
    out.append(n)
    return bytes(out)


def number(field, n):
    return b"" if n == 0 else varint(field << 3) + varint(n)


def data(field, value):
    value = value.encode() if isinstance(value, str) else value
    return b"" if not value else varint(field << 3 | 2) + varint(len(value)) + value


def rfc3339(ns):
    import datetime
    moment = datetime.datetime.fromtimestamp(ns // 10**9, datetime.timezone.utc)
    return moment.strftime("%Y-%m-%dT%H:%M:%S") + f".{ns % 10**9 // 1000:06d}Z"


class Shared:
    """A key, which copies of what is signed with it share."""

    def __deepcopy__(self, memo):
        return self


class Key(Shared):
    """Ed25519, of a sidecar or of policies."""

    def __init__(self):
        self.key = Ed25519PrivateKey.generate()
        self.der = self.key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)

    def sign(self, message):
        return self.key.sign(message)


class LogKey(Shared, translog.Signer):
    pass


class Witness(Shared, translog.Signer):
    def __init__(self, name):
        super().__init__(name, 4)

    def line(self, text, time=1795250700):
        value = struct.pack(">Q", time) + self.key.sign(f"cosignature/v1\ntime {time}\n{text}".encode())
        return f"\u2014 {self.name} {translog.b64(self.id + value)}\n"


class Record:
    """In the log: its position is its place there, from 1."""

    def __init__(self, canonical, kind, stream, sequence, time, session="", operation=0, text=""):
        self.canonical, self.kind, self.stream, self.sequence = canonical, kind, stream, sequence
        self.time, self.session, self.operation, self.text = time, session, operation, text
        self.hash = sha256(b"\0" + canonical)
        self.position = 0
        self.erased = False

    @property
    def leaf(self):
        return sha256(b"\0" + self.hash)


class Stream:
    """A sidecar's: numbers and back-hashes."""

    def __init__(self, name):
        self.name, self.sequence, self.last, self.key = name, 0, bytes(32), Key()

    def record(self, kind, event, time, session="", operation=0, text=""):
        self.sequence += 1
        head = (data(1, self.name) + number(2, self.sequence) + data(3, self.last) + number(4, time) +
                data(5, session) + data(6, sha256(b"salt" + self.last)[:16] if session else b""))
        canonical = head + varint(kind << 3 | 2) + varint(len(event)) + event
        made = Record(canonical, kind, self.name, self.sequence, time, session, operation, text)
        self.last = made.hash
        return made

    def heartbeat(self, time):
        message = f"chaperone heartbeat v1\n{self.name}\n{self.sequence + 1}\n".encode() + self.last
        return self.record(15, data(2, self.key.sign(message)) + data(3, self.key.der), time)


class Policy:
    def __init__(self, revision=1, rules=()):
        self.revision, self.key = revision, Key()
        self.document = json.dumps({"rules": list(rules)}).encode()
        self.hash = hashlib.sha256(self.document).hexdigest()

    def files(self):
        name = f"policies/{self.revision}"
        signed = f"chaperone policy v1\n{self.revision}\n{self.hash}".encode()
        about = {"revision": self.revision, "hash": self.hash, "created": rfc3339(START), "created_by": "carol",
                 "message": "", "document": name + ".document", "signature": name + ".sig",
                 "public_key": name + ".key.der"}
        return {name + ".json": json.dumps(about).encode() + b"\n", name + ".document": self.document,
                name + ".sig": self.key.sign(signed), name + ".key.der": self.key.der}


def conversation(stream, session, operations, time, policy, size=60):
    """Opened, intents with their outcomes, closed."""
    opened = number(1, 1) + data(3, policy.hash) + number(4, policy.revision) + data(8, "shop")
    yield stream.record(10, opened, time, session)
    for n in range(1, operations + 1):
        text = f"SELECT {n} FROM orders -- " + "x" * size
        time += 1000000
        event = (number(1, n) + number(2, 1) + data(3, "default") + data(4, policy.hash) + number(5, policy.revision) +
                 data(6, "query") + data(7, "SELECT") + data(9, text))
        intent = stream.record(11, event, time, session, n, text)
        yield intent
        time += 1000
        yield stream.record(13, number(1, n) + number(2, intent.sequence) + number(3, 1) + data(4, "SELECT 1"), time,
                            session, n)
    yield stream.record(14, data(1, "agent_disconnected") + number(4, operations), time + 1000, session)


class Log:
    """Records of two sidecars, signed and cosigned."""

    def __init__(self, sessions=6, operations=20, size=60):
        self.signer, self.witness, self.policy = LogKey(ORIGIN), Witness("witness.example"), Policy()
        self.streams = [Stream("0192aaaa-0000-7000-8000-00000000000" + str(n)) for n in (1, 2)]
        self.records = []
        for n in range(sessions):
            stream, time = self.streams[n % 2], START + n * 60 * 10**9
            session = f"019f0000-0000-7000-8000-{n:012x}"
            self.records += conversation(stream, session, operations, time, self.policy, size)
            self.records.append(stream.heartbeat(time + 30 * 10**9))
        self.number()

    def number(self):
        for n, record in enumerate(self.records):
            record.position = n + 1

    @property
    def size(self):
        return len(self.records)

    def levels(self):
        """The complete subtrees: levels()[n][i] is the hash of the 2^n leaves from i * 2^n on."""
        rows = [[r.leaf for r in self.records]]
        while len(rows[-1]) > 1:
            row = rows[-1]
            rows.append([sha256(b"\1" + row[i] + row[i + 1]) for i in range(0, len(row) - 1, 2)])
        return rows

    def root(self, rows=None):
        rows = rows or self.levels()
        root, size = None, self.size
        for level, row in enumerate(rows):
            if size >> level & 1:
                root = row[-1] if root is None else sha256(b"\1" + row[-1] + root)
        return root or sha256(b"")

    def tiles(self, rows=None):
        rows = rows or self.levels()
        out = {}
        for level, row in enumerate(rows[::8]):
            for index in range((len(row) + 255) // 256):
                part = row[index * 256:index * 256 + 256]
                out[tile_path(level, index, len(part))] = b"".join(part)
        return out

    def note(self, signer=None):
        text = translog.checkpoint(ORIGIN, self.size, self.root())
        return translog.note(text, signer or self.signer, self.witness).encode()

    def write_directory(self, path):
        """As the control plane keeps it: C2SP tlog-tiles."""
        files = {"checkpoint": self.note()}
        for name, hashes in self.tiles().items():
            files[name] = hashes
            if name.startswith("tile/0/"):
                first = int(name.removeprefix("tile/0/").split(".p")[0].replace("x", "").replace("/", "")) * 256
                entries = self.records[first:first + len(hashes) // 32]
                files[name.replace("tile/0/", "tile/entries/")] = b"".join(b"\0\x20" + r.hash for r in entries)
        write_folder(files, path)


def tile_path(level, index, width):
    groups = [f"{index % 1000:03d}"]
    while index >= 1000:
        index //= 1000
        groups.insert(0, f"x{index % 1000:03d}")
    return f"tile/{level}/" + "/".join(groups) + (f".p/{width}" if width < 256 else "")


# ---- a package


def listed(record):
    line = {"time": rfc3339(record.time), "kind": KINDS[record.kind], "session": record.session or None,
            "sequence": record.sequence, "identity": "dev-agent", "resource": "shop", "protocol": "postgres",
            "sidecar": record.stream, "position": record.position, "hash": record.hash.hex()}
    if record.erased:
        line["erased"] = True
    else:
        line["text"] = record.text if record.kind == 11 else None
        line["verdict"] = "allow" if record.kind in (10, 11) else None
    return json.dumps(line, separators=(",", ":")) + "\n"


def table(records):
    out = io.StringIO(newline="")
    rows = csv.writer(out, lineterminator="\r\n")
    rows.writerow(["position", "time", "kind", "text", "hash", "erased"])
    for r in records:
        rows.writerow([r.position, rfc3339(r.time), KINDS[r.kind], "" if r.erased else r.text, r.hash.hex(),
                       "true" if r.erased else "false"])
    return out.getvalue().encode()


def rec(records):
    out = []
    for r in records:
        body = r.hash if r.erased else r.canonical
        out.append(struct.pack(">QI", r.position, 0 if r.erased else len(body)) + body)
    return b"".join(out)


def draw(records, seed, count):
    intents = [r for r in records if r.kind == 11]
    intents.sort(key=lambda r: sha256(seed.encode() + b"\0" + r.hash))
    return intents[:count], len(intents)


def proof_file(log, rows, record, note):
    """C2SP tlog-proof."""
    path, index, size = [], record.position - 1, log.size
    start, end = 0, size
    tree = {}

    def head(a, b):
        n = b - a
        if n & (n - 1) == 0 and a % n == 0:
            return rows[n.bit_length() - 1][a // n]
        if (a, b) not in tree:
            middle = a + translog.split(n)
            tree[a, b] = sha256(b"\1" + head(a, middle) + head(middle, b))
        return tree[a, b]

    while end - start > 1:
        middle = start + translog.split(end - start)
        if index < middle:
            path.insert(0, head(middle, end))
            end = middle
        else:
            path.insert(0, head(start, middle))
            start = middle
    lines = "".join(translog.b64(h) + "\n" for h in path)
    return f"c2sp.org/tlog-proof@v1\nindex {index}\n{lines}\n".encode() + note


class Package:
    """Of all records of a log, or of `records` with the filter that finds them. `files` may be changed before it is
    sealed."""

    def __init__(self, log, records=None, filter=None, sample=0, seed="seed"):
        self.log = log
        self.records = sorted(records or log.records, key=lambda r: (r.time, r.position))
        self.filter = {"since": None, "until": None, "identity": None, "resource": None, "session": None, **(filter or {})}
        rows = log.levels()
        self.root = log.root(rows)
        note = log.note()
        drawn, population = draw(self.records, seed, sample)
        wanted = {tile_path(0, i, min(256, log.size - i * 256)) for i in {(r.position - 1) // 256 for r in self.records}}
        tiles = {n: d for n, d in log.tiles(rows).items() if n in wanted or ".p/" in n or not n.startswith("tile/0/")}
        self.files = {
            "index.html": b"<!doctype html>\n", "VERIFY.md": b"# How to check it\n", "checkpoint": note,
            "keys.json": json.dumps({"origin": ORIGIN, "log_keys": [log.signer.text],
                                     "witness_keys": [log.witness.text]}).encode(),
            "records/000000.rec": rec(self.records),
            **{"tiles/" + n: d for n, d in tiles.items()},
            "records.jsonl": "".join(map(listed, self.records)).encode(), "records.csv": table(self.records),
            "masking.jsonl": b"", "identities.json": b"[]\n", "issuers.json": b"[]\n",
            "sidecars.json": json.dumps([{"sidecar": s.name, "name": "", "key_hash": sha256(s.key.der).hex(),
                                          "enrolled_by": "carol", "enrolled": rfc3339(START)}
                                         for s in log.streams]).encode(),
            **log.policy.files(),
        }
        if sample:
            self.files["sample.csv"] = table(drawn)
            for r in drawn:
                self.files[f"proofs/{r.position}.tlog-proof"] = proof_file(log, rows, r, note)
        self.manifest = {
            "format": "chaperone-evidence/1", "made": rfc3339(START + 10**12), "made_by": "auditor-1", "version": "0",
            "reason": "", "filter": self.filter,
            "counts": {"entries": len(self.records), "erased": sum(r.erased for r in self.records),
                       "sessions": len({r.session for r in self.records if r.session}), "approvals": 0, "policies": 1,
                       "sidecars": len(log.streams), "issuer_keys": 0, "tiles": len(tiles)},
            "kinds": {k: n for k, n in ((name, sum(r.kind == kind for r in self.records))
                                        for kind, name in KINDS.items()) if n},
            "checkpoint": {"origin": ORIGIN, "size": log.size, "root": self.root.hex()},
            "sample": {"seed": seed, "of": "intent", "population": population,
                       "positions": [r.position for r in drawn]} if sample else None,
        }

    def relist(self, records):
        """Other records, with everything beside them made to fit."""
        self.records = records
        self.files["records/000000.rec"] = rec(records)
        self.files["records.jsonl"] = "".join(map(listed, records)).encode()
        self.files["records.csv"] = table(records)
        self.manifest["counts"]["entries"] = len(records)
        self.manifest["counts"]["sessions"] = len({r.session for r in records if r.session})
        self.manifest["kinds"] = {name: sum(r.kind == kind for r in records) for kind, name in KINDS.items()
                                  if any(r.kind == kind for r in records)}

    def sealed(self):
        """The files with a manifest of what they are now."""
        files = [{"name": n, "size": len(d), "sha256": hashlib.sha256(d).hexdigest()} for n, d in self.files.items()]
        return {**self.files, "manifest.json": json.dumps({**self.manifest, "files": files}).encode() + b"\n"}

    @property
    def folder(self):
        return f"evidence-{FOLDER_DATE}-{self.root.hex()[:8]}"

    def write(self, path):
        write_zip(self.sealed(), path, self.folder)
        return path


def write_zip(files, path, folder, compression=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", compression, compresslevel=1) as z:
        for name, content in files.items():
            z.writestr(f"{folder}/{name}", content)


def write_folder(files, path):
    for name, content in files.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(content)
