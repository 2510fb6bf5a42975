"""PostgreSQL's protocol by hand, for what no driver would send."""

import socket
import struct


def packet(code, body=b""):
    return struct.pack("!ii", len(body) + 8, code) + body


def startup(user="agent", database="postgres", version=3 << 16, **settings):
    pairs = {"user": user, "database": database, **settings}
    body = b"".join(k.encode() + b"\0" + v.encode() + b"\0" for k, v in pairs.items()) + b"\0"
    return packet(version, body)


def message(kind, body=b""):
    return kind + struct.pack("!i", len(body) + 4) + body


def query(text):
    return message(b"Q", text.encode() + b"\0")


def parse(text, name="", types=()):
    return message(b"P", name.encode() + b"\0" + text.encode() + b"\0"
                   + struct.pack("!h", len(types)) + b"".join(struct.pack("!i", t) for t in types))


def bind(portal="", name="", values=()):
    body = portal.encode() + b"\0" + name.encode() + b"\0" + struct.pack("!hh", 0, len(values))
    for v in values:
        body += struct.pack("!i", -1) if v is None else struct.pack("!i", len(v)) + v
    return message(b"B", body + struct.pack("!h", 0))


def describe(kind="P", name=""):
    return message(b"D", kind.encode() + name.encode() + b"\0")


def execute(portal="", rows=0):
    return message(b"E", portal.encode() + b"\0" + struct.pack("!i", rows))


def sync():
    return message(b"S")


def fields(body):
    """Of an ErrorResponse or NoticeResponse: {"C": "42601", ...}."""
    return {chr(f[0]): f[1:].decode("utf-8", "replace") for f in body.split(b"\0") if f}


class Wire:
    def __init__(self, port, path=None, timeout=60):
        if path:
            self.socket = socket.socket(socket.AF_UNIX)
            self.socket.settimeout(timeout)
            self.socket.connect(path)
        else:
            self.socket = socket.create_connection(("127.0.0.1", port), timeout)
        self.buffer = b""
        self.key = None
        self.settings = {}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, *parts):
        self.socket.sendall(b"".join(parts))

    def _take(self, n):
        while len(self.buffer) < n:
            more = self.socket.recv(65536)
            if not more:
                raise EOFError("the connection was closed")
            self.buffer += more
        taken, self.buffer = self.buffer[:n], self.buffer[n:]
        return taken

    def byte(self):
        return self._take(1)

    def read(self):
        """One message: (type, body)."""
        head = self._take(5)
        return head[:1], self._take(struct.unpack("!i", head[1:])[0] - 4)

    def read_until(self, kind=b"Z"):
        got = []
        while not got or got[-1][0] != kind:
            got.append(self.read())
        return got

    def closed(self):
        """True when the other side closes without another byte."""
        try:
            return self.socket.recv(1) == b""
        except ConnectionResetError:
            return True

    def login(self, **settings):
        self.send(startup(**settings))
        kind = None
        while kind != b"Z":
            kind, body = self.read()
            if kind == b"E":
                raise PermissionError(fields(body))
            if kind == b"K":
                self.key = body
            if kind == b"S":
                name, value = body.split(b"\0")[:2]
                self.settings[name.decode()] = value.decode()
        return self
