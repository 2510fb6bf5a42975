"""A transparency log of its own, written from the specifications and not from ours: RFC 6962 trees, signed notes
(c2sp.org/signed-note), cosignatures (c2sp.org/tlog-cosignature)."""

import base64
import hashlib
import struct

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat


def sha256(data):
    return hashlib.sha256(data).digest()


def b64(data):
    return base64.b64encode(data).decode()


# ---- RFC 6962 section 2.1, as it is written there


def split(n):
    k = 1
    while k * 2 < n:
        k *= 2
    return k


class Tree:
    """Of these leaves; the heads of subtrees are remembered."""

    def __init__(self, leaves):
        self.leaves = leaves
        self.heads = {}

    def head(self, start=0, end=None):
        end = len(self.leaves) if end is None else end
        if (start, end) not in self.heads:
            if end == start:
                head = sha256(b"")
            elif end - start == 1:
                head = sha256(b"\0" + self.leaves[start])
            else:
                middle = start + split(end - start)
                head = sha256(b"\1" + self.head(start, middle) + self.head(middle, end))
            self.heads[start, end] = head
        return self.heads[start, end]

    def consistency(self, old, size=None):
        size = len(self.leaves) if size is None else size
        return [] if old in (0, size) else self._subproof(old, 0, size, True)

    def _subproof(self, m, start, end, whole):
        n = end - start
        if m == n:
            return [] if whole else [self.head(start, end)]
        k = split(n)
        if m <= k:
            return self._subproof(m, start, start + k, whole) + [self.head(start + k, end)]
        return self._subproof(m - k, start + k, end, False) + [self.head(start, start + k)]


# ---- notes


class Signer:
    """A key of a log (type 1)."""

    def __init__(self, name, kind=1):
        self.name = name
        self.key = Ed25519PrivateKey.generate()
        public = self.key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        self.id = sha256(name.encode() + b"\n" + bytes([kind]) + public)[:4]
        self.text = f"{name}+{self.id.hex()}+{b64(bytes([kind]) + public)}"

    def line(self, text):
        return f"\u2014 {self.name} {b64(self.id + self.key.sign(text.encode()))}\n"


def checkpoint(origin, size, root):
    return f"{origin}\n{size}\n{b64(root)}\n"


def note(text, *signers):
    return text + "\n" + "".join(s.line(text) for s in signers)


def split_note(signed):
    """(the text, the signature lines)"""
    text, _, lines = signed.rpartition("\n\n")
    return text + "\n", lines.splitlines()


def request(old, proof, signed):
    return (f"old {old}\n" + "".join(b64(h) + "\n" for h in proof) + "\n" + signed).encode()


def cosignature_time(line, text, verifier):
    """The time of a cosignature (type 4), which must be right."""
    name, identity, key = verifier.split("+", 2)
    key = base64.b64decode(key)
    assert key[0] == 4
    dash, by, value = line.rstrip("\n").split(" ")
    value = base64.b64decode(value)
    assert (dash, by, value[:4].hex(), len(value)) == ("\u2014", name, identity, 76)
    time = struct.unpack(">Q", value[4:12])[0]
    message = f"cosignature/v1\ntime {time}\n{text}".encode()
    try:
        Ed25519PublicKey.from_public_bytes(key[1:]).verify(value[12:], message)
    except InvalidSignature as e:
        raise AssertionError("a wrong cosignature") from e
    return time
