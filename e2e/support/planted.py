"""Planted secrets, and the search for them in what a client received.

A secret counts as seen when five of its characters in a row are found (six of a number's digits that
are not together): as they are, in another case,
backwards, spread over fields or rows, escaped, or in one of the encodings a server's own functions
make. The tail that a partial mask may show is not searched for alone."""

import base64
import hashlib
import re
import struct

from support.wire import fields

PIECE = 5  # characters in a row that tell a secret from anything else
DIGEST_PIECE = 10  # hex digits

CODES = {  # how functions such as ascii(), escape() and encode() spell one character, punctuation removed
    "hex": lambda c: f"{c:02x}", "decimal": str, "octal": lambda c: f"{c:o}",
    "padded octal": lambda c: f"{c:03o}", "bits": lambda c: f"{c:08b}",
    "unicode escapes": lambda c: f"u{c:04x}",
}


def _squeeze(text):
    """Only letters and digits, in lower case."""
    return re.sub(rb"[^0-9a-z]", b"", text.lower())


def _pieces(data, size=PIECE):
    return {data[i:i + size] for i in range(len(data) - size + 1)}


class Needles:
    """Byte strings to look for, by their length: a set is asked once for each place."""

    def __init__(self):
        self.by_size = {}

    def add(self, data, meaning):
        self.by_size.setdefault(len(data), {})[data] = meaning

    def find(self, haystack):
        found = set()
        for size, needles in self.by_size.items():
            for piece in _pieces(haystack, size) & needles.keys():
                found.add(f"{needles[piece]}: {piece!r}")
        return found


class Planted:
    """`secrets`: {value: how many of its last characters may be shown}."""

    def __init__(self, secrets):
        self.lower = Needles()     # in what came, in lower case
        self.squeezed = Needles()  # in its values, letters and digits only
        self.exact = Needles()     # in what came
        for value, shown in secrets.items():
            self._plant(value, shown)

    def _plant(self, value, shown):
        data = value.lower().encode()
        tail = data[len(data) - shown:] if shown else b""
        for piece in _pieces(data):
            if _squeeze(piece) not in _squeeze(tail):
                self.lower.add(piece, value)
        plain = _squeeze(data)
        for piece in _pieces(plain, PIECE + plain.isdigit()):
            self.squeezed.add(piece, value)
            self.squeezed.add(piece[::-1], f"{value} backwards")
        for text in {value, value.lower(), value.upper(), plain.decode()}:
            self._plant_encoded(text.encode(), value)
        if plain.isdigit():
            self._plant_number(int(plain), value)

    def _plant_encoded(self, data, value):
        for piece in _pieces(data):
            for name, code in CODES.items():
                spelled = "".join(code(c) for c in piece)
                self.squeezed.add(spelled.encode(), f"{value} as {name}")
        for name in ("md5", "sha1", "sha224", "sha256", "sha384", "sha512"):
            digest = hashlib.new(name, data).hexdigest().encode()
            for piece in _pieces(digest, DIGEST_PIECE):
                self.squeezed.add(piece, f"{name} of {value}")
            self.exact.add(bytes.fromhex(digest[:16].decode()), f"{name} of {value}")
        for before in range(3):  # where in a group of three bytes it begins
            text = base64.b64encode(b"\0" * before + data).rstrip(b"=")
            for piece in _pieces(text[-(-before * 8 // 6):len(text) - 1], 7):
                self.exact.add(piece, f"{value} as base64")

    def _plant_number(self, number, value):
        """As the binary formats of numbers have it."""
        for form in (">q", ">d") + ((">i",) if number < 1 << 31 else ()):
            self.exact.add(struct.pack(form, number), f"{value} as binary number")
        groups = []
        rest = number
        while rest:
            rest, group = divmod(rest, 10000)
            groups.insert(0, group)
        self.exact.add(struct.pack(f">{len(groups)}H", *groups), f"{value} as binary numeric")
        self.exact.add(struct.pack(">q", number * 100), f"{value} as binary money")
        self.exact.add(bytes.fromhex(f"{number:020}"[-8:]), f"{value} in a binary uuid")

    def find(self, received):
        """What of the secrets is in it: a list of texts for people."""
        data = received.without_key()
        found = self.exact.find(data) | self.lower.find(data.lower())
        for text in received.values():
            found |= self.squeezed.find(_squeeze(text))
        return sorted(found)


class Received:
    """The bytes that a client was sent, and the messages in them (protocol v3, section 55.7)."""

    def __init__(self, data):
        self.data = data
        self.messages = []
        key = (0, 0)
        at = 0
        while at + 5 <= len(data):
            size = struct.unpack_from("!i", data, at + 1)[0]
            self.messages.append((data[at:at + 1], data[at + 5:at + 1 + size]))
            if data[at:at + 1] == b"K":
                key = (at, at + 1 + size)
            at += 1 + size
        self.complete = at == len(data)
        self._key = key

    def of(self, *kinds):
        return [body for kind, body in self.messages if kind in kinds]

    def rows(self):
        return [row_of(body) for body in self.of(b"D")]

    def values(self):
        """All that could be read in it as text: along the rows, along the columns, the rest."""
        rows = self.rows()
        yield b"".join(v or b"" for row in rows for v in row)
        width = max(map(len, rows), default=0)
        for i in range(width if width > 1 else 0):
            yield b"".join(row[i] or b"" for row in rows if i < len(row))
        yield b"".join(body for kind, body in self.messages if kind not in (b"D", b"K"))

    def without_key(self):
        """All but BackendKeyData, which is random: now and then it would spell what is searched."""
        start, end = self._key
        return self.data[:start] + self.data[end:]

    def errors(self):
        return [fields(body) for body in self.of(b"E")]


def row_of(body):
    (count,) = struct.unpack_from("!h", body)
    values, at = [], 2
    for _ in range(count):
        (size,) = struct.unpack_from("!i", body, at)
        at += 4
        values.append(None if size < 0 else body[at:at + size])
        at += max(size, 0)
    return values
