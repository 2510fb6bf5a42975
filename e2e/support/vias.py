"""The ways a statement can take to a server: by hand and by clients, with all that comes back recorded."""

import re
import select
import socket
import struct
import subprocess
import threading

import psycopg
from support.planted import Received
from support.wire import Wire, bind, describe, execute, message, parse, query, sync

TIMEOUT = 60


class _Recording:
    """A socket that keeps what was received."""

    def __init__(self, inner):
        self.inner = inner
        self.received = []

    def recv(self, size):
        data = self.inner.recv(size)
        self.received.append(data)
        return data

    def __getattr__(self, name):
        return getattr(self.inner, name)


class Recorder:
    """Between clients and a server: keeps what each connection was sent."""

    def __init__(self, port):
        self.target = port
        self.received = []
        self.threads = []
        self.server = socket.create_server(("127.0.0.1", 0))
        self.port = self.server.getsockname()[1]
        self.acceptor = threading.Thread(target=self._accept, daemon=True)
        self.acceptor.start()

    def _accept(self):
        while True:
            try:
                client, _ = self.server.accept()
            except OSError:
                return
            chunks = []
            self.received.append(chunks)
            thread = threading.Thread(target=self._carry, args=(client, chunks), daemon=True)
            self.threads.append(thread)
            thread.start()

    def _carry(self, client, chunks):
        try:
            with client, socket.create_connection(("127.0.0.1", self.target)) as target:
                while True:
                    for side in select.select([client, target], [], [])[0]:
                        data = side.recv(65536)
                        if not data:
                            return
                        if side is target:
                            chunks.append(data)
                        (client if side is target else target).sendall(data)
        except OSError:
            pass  # one side has gone

    def take(self):
        """What was sent since the last time; the clients have ended."""
        for thread in self.threads:
            thread.join(TIMEOUT)
        taken, self.received, self.threads = self.received, [], []
        return [Received(b"".join(chunks)) for chunks in taken]

    def close(self):
        self.server.shutdown(socket.SHUT_RDWR)
        self.server.close()
        self.acceptor.join(TIMEOUT)


# ---- by hand


def _bind_formats(portal="", statement="", values=(), result_formats=()):
    plain = bind(portal, statement, [None if v is None else str(v).encode() for v in values])
    formats = struct.pack("!h", len(result_formats)) + b"".join(struct.pack("!h", f)
                                                                for f in result_formats)
    return message(b"B", plain[5:-2] + formats)


def _function_call(function, args=(), format=0, arg_format=0):
    body = struct.pack("!ihh", function, 1, arg_format) + struct.pack("!h", len(args))
    for a in args:
        data = bytes.fromhex(a["hex"]) if isinstance(a, dict) else str(a).encode()
        body += struct.pack("!i", len(data)) + data
    return message(b"F", body + struct.pack("!h", format))


MESSAGES = {
    "query": query, "sync": sync, "flush": lambda: message(b"H"),
    "parse": lambda text, name="", types=(): parse(text, name, types),
    "bind": _bind_formats, "function_call": _function_call,
    "describe": lambda portal="": describe("P", portal),
    "describe_statement": lambda statement="": describe("S", statement),
    "execute": lambda portal="", rows=0: execute(portal, rows),
    "close": lambda portal="": message(b"C", b"P" + portal.encode() + b"\0"),
    "close_statement": lambda statement="": message(b"C", b"S" + statement.encode() + b"\0"),
    "copy_data": lambda text: message(b"d", text.encode()), "copy_done": lambda: message(b"c"),
}


def _message(data):
    """`sync`, or one pair of a kind and its fields (a text: the first of them)."""
    if isinstance(data, str):
        return MESSAGES[data]()
    ((kind, args),) = data.items()
    return MESSAGES[kind](**args) if isinstance(args, dict) else MESSAGES[kind](args)


class ByHand:
    """One connection; `form`: simple, extended, binary or raw."""

    def __init__(self, port, form, login):
        self.form = form
        self.wire = Wire(port, timeout=TIMEOUT)
        self.wire.socket = _Recording(self.wire.socket)
        self.ended = False
        self._patiently(lambda: self.wire.login(**login))

    def _patiently(self, action):
        """The server may end the connection: what follows is not asked any more."""
        if self.ended:
            return
        try:
            action()
        except (EOFError, ConnectionError, PermissionError):
            self.ended = True

    def _finish(self, rounds, has_data=False):
        """Until so many ReadyForQuery; what COPY wants to read, if it has not been sent, is given at once: nothing."""
        while rounds:
            kind, _ = self.wire.read()
            if kind == b"G" and not has_data:
                self.wire.send(message(b"c"), *([sync()] if self.form != "simple" else []))
            rounds -= kind == b"Z"

    def do(self, step):
        self._patiently(lambda: self._raw(step.raw) if step.raw is not None else self._sql(step))

    def _raw(self, parts):
        block = []
        for part in parts:
            if isinstance(part, dict) and "await" in part:
                self.wire.send(*block)
                block = []
                kind = None
                while kind not in (part["await"].encode(), b"E"):
                    kind, _ = self.wire.read()
            else:
                block.append(_message(part))
        self.wire.send(*block)
        self._finish(sum(m[:1] in (b"Q", b"S", b"F") for m in block), any(m[:1] == b"c" for m in block))

    def _sql(self, step):
        if self.form == "simple":
            self.wire.send(query(step.sql))
        else:
            formats = (1,) if self.form == "binary" else ()
            self.wire.send(parse(step.sql), _bind_formats(values=step.values or (),
                                                          result_formats=formats),
                           describe(), execute(), sync())
        self._finish(1)

    def is_alive(self):
        """It answers, whatever it was asked before."""
        mark = len(self.wire.socket.received)
        self.form = "simple"
        for text in ("ROLLBACK", "SELECT 'alive'"):
            self._patiently(lambda: (self.wire.send(query(text)), self._finish(1)))
        return not self.ended and b"alive" in b"".join(self.wire.socket.received[mark:])

    def close(self):
        self.wire.socket.close()
        return Received(b"".join(self.wire.socket.received))


# ---- by clients


def run_psql(port, steps, login):
    script = "".join(s.sql + ("\n" if s.sql.startswith("\\") else "\n;\n") for s in steps)
    env = {"PATH": "/usr/bin:/bin", "PGHOST": "127.0.0.1", "PGPORT": str(port), "PGSSLMODE": "disable",
           "PGGSSENCMODE": "disable", "PGUSER": login["user"], "PGDATABASE": login["database"],
           "PGOPTIONS": login.get("options", ""),
           "PGCLIENTENCODING": login.get("client_encoding", "UTF8"), "LANG": "C.UTF-8"}
    done = subprocess.run(["psql", "-X", "-At", "-v", "VERBOSITY=verbose"], env=env, input=script,
                          capture_output=True, text=True, errors="replace", timeout=TIMEOUT * 2,
                          check=False)
    return done.stdout


COPY_OUT = re.compile(r"\s*copy\b.*\bto\s+stdout\b", re.IGNORECASE | re.DOTALL)


def run_psycopg(port, steps, login, binary):
    """The rows of the last step that gave some, as texts."""
    rows = []
    settings = {k: v for k, v in login.items() if k != "database"}
    try:
        with psycopg.connect(host="127.0.0.1", port=port, dbname=login["database"], autocommit=True,
                             sslmode="disable", gssencmode="disable", connect_timeout=TIMEOUT,
                             **settings) as connection:
            for step in steps:
                try:
                    with connection.cursor(binary=binary) as cursor:
                        rows = _psycopg_step(cursor, step, binary) or rows
                except (psycopg.Error, UnicodeError, ValueError):
                    pass  # what was sent is what counts
    except psycopg.OperationalError:
        pass
    return rows


def _psycopg_step(cursor, step, binary):
    if COPY_OUT.match(step.sql):
        with cursor.copy(step.sql) as copy:
            return [[bytes(block).decode("utf-8", "replace").rstrip("\n")] for block in copy]
    cursor.execute(step.sql, prepare=not binary)
    if cursor.description is None:
        return None
    return [[_shown(v) for v in row] for row in cursor.fetchall()]


def _shown(value):
    if value is None:
        return None
    if isinstance(value, bool):
        return "t" if value else "f"
    return str(value)
