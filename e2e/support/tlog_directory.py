"""A second verifier of the audit log's directory, written from the specifications (C2SP tlog-tiles,
signed-note, tlog-checkpoint, tlog-proof; RFC 6962, RFC 9162) and nothing of ours: files in, what
they prove out. Every mistake is an AssertionError."""

import base64
import hashlib
import os
import struct

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

WIDTH = 256


def node(left, right):
    return hashlib.sha256(b"\x01" + left + right).digest()


def leaf(entry):
    return hashlib.sha256(b"\x00" + entry).digest()


# ---- signed notes


class Key:
    """ "NAME+HASH+BASE64" """

    def __init__(self, text):
        self.name, key_hash, data = text.strip().split("+", 2)
        raw = base64.b64decode(data, validate=True)
        assert raw[0] == 1 and len(raw) == 33, "not an Ed25519 key"
        self.id = hashlib.sha256(self.name.encode() + b"\n" + raw).digest()[:4]
        assert self.id.hex() == key_hash
        self.public = Ed25519PublicKey.from_public_bytes(raw[1:])


def open_note(note, *keys):
    """The text, when each of the keys signed it."""
    text, _, lines = note.partition("\n\n")
    text += "\n"
    found = {}
    for line in lines.splitlines():
        dash, name, data = line.split(" ")
        raw = base64.b64decode(data, validate=True)
        assert dash == "—"
        found[name, raw[:4]] = raw[4:]
    for key in keys:
        key.public.verify(found[key.name, key.id], text.encode())
    return text


def open_checkpoint(note, *keys):
    origin, size, root = open_note(note, *keys).split("\n")[:3]
    assert origin == keys[0].name
    return int(size), base64.b64decode(root, validate=True)


# ---- trees


def tree_root(leaves):
    """RFC 6962, 2.1."""
    if not leaves:
        return hashlib.sha256().digest()
    stack = []
    for n, h in enumerate(leaves, 1):
        stack.append(h)
        while n % 2 == 0:
            right, left = stack.pop(), stack.pop()
            stack.append(node(left, right))
            n //= 2
    root = stack.pop()
    while stack:
        root = node(stack.pop(), root)
    return root


def check_inclusion(index, size, leaf_hash, proof, root):
    """RFC 9162, 2.1.3.2."""
    assert index < size
    fn, sn, r = index, size - 1, leaf_hash
    for p in proof:
        assert sn > 0
        if fn % 2 == 1 or fn == sn:
            r = node(p, r)
            while fn % 2 == 0 and fn > 0:
                fn, sn = fn >> 1, sn >> 1
        else:
            r = node(r, p)
        fn, sn = fn >> 1, sn >> 1
    assert sn == 0 and r == root


def check_proof_file(text, entry, *keys):
    """A .tlog-proof: its index and the size of its checkpoint."""
    head, _, note = text.partition("\n\n")
    lines = head.split("\n")
    assert lines[0] == "c2sp.org/tlog-proof@v1"
    at = 2 if lines[1].startswith("extra ") else 1
    word, index = lines[at].split(" ")
    assert word == "index"
    proof = [base64.b64decode(line, validate=True) for line in lines[at + 1:]]
    size, root = open_checkpoint(note, *keys)
    check_inclusion(int(index), size, leaf(entry), proof, root)
    return int(index), size


# ---- the directory


class Directory:
    def __init__(self, path):
        self.path = path

    def read(self, name):
        with open(os.path.join(self.path, name), "rb") as f:
            return f.read()

    def checkpoint(self):
        return self.read("checkpoint").decode()

    @staticmethod
    def name(kind, index, width):
        groups = [f"{index % 1000:03}"]
        while index >= 1000:
            index //= 1000
            groups.insert(0, f"x{index % 1000:03}")
        partial = "" if width == WIDTH else f".p/{width}"
        return f"tile/{kind}/" + "/".join(groups) + partial

    def tile(self, kind, index, width):
        """Of a log that grows, a partial tile goes when its full one is there, which begins with it."""
        try:
            return self.read(self.name(kind, index, width))
        except FileNotFoundError:
            return self.read(self.name(kind, index, WIDTH))

    def tiles(self, kind, count):
        """The data of all tiles that hold `count` hashes or entries; the last one may hold more."""
        for index in range((count + WIDTH - 1) // WIDTH):
            yield self.tile(kind, index, min(WIDTH, count - index * WIDTH))

    def hashes(self, level, count):
        data = b"".join(self.tiles(level, count))
        assert len(data) in (count * 32, (count + WIDTH - 1) // WIDTH * WIDTH * 32)
        return [data[i:i + 32] for i in range(0, count * 32, 32)]

    def entries(self, count):
        entries = []
        for number, bundle in enumerate(self.tiles("entries", count)):
            before = len(entries)
            while bundle:
                size, = struct.unpack(">H", bundle[:2])
                assert len(bundle) >= 2 + size
                entries.append(bundle[2:2 + size])
                bundle = bundle[2 + size:]
            assert len(entries) - before in (min(WIDTH, count - number * WIDTH), WIDTH)
        return entries[:count]

    def verify(self, *keys):
        """Signature, root, every tile, every bundle. Returns (size, root, entries)."""
        size, root = open_checkpoint(self.checkpoint(), *keys)
        leaves = self.hashes(0, size)
        assert tree_root(leaves) == root
        entries = self.entries(size)
        assert [leaf(e) for e in entries] == leaves
        level, hashes = 1, leaves
        while len(hashes) >= WIDTH:
            hashes = [tree_root(hashes[i:i + WIDTH])
                      for i in range(0, len(hashes) - WIDTH + 1, WIDTH)]
            assert self.hashes(level, len(hashes)) == hashes
            level += 1
        return size, root, entries
