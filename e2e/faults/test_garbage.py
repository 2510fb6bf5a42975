"""A control plane with the right certificate that speaks nonsense: TLS and ALPN are as they should be, what
comes through them is not HTTP/2, not gRPC, or not protobuf."""

import os
import random
import shutil
import socket
import ssl
import struct
import threading
import time

import psycopg
import pytest
from support.certificates import Authority
from support.rounds import ROUNDS, Survived
from support.underload import Witness, check_end, prepared, simple, start_loads, writing


def frame(kind, flags=0, stream=0, body=b"", length=None):
    size = len(body) if length is None else length
    return struct.pack("!I", size)[1:] + bytes([kind, flags]) + struct.pack("!I", stream) + body


DATA, HEADERS, RST, SETTINGS, PUSH, PING, GOAWAY, WINDOW, CONTINUATION = 0, 1, 3, 4, 5, 6, 7, 8, 9
HELLO = frame(SETTINGS) + frame(SETTINGS, flags=1)
ANSWER = b"\x88\x5f\x10application/grpc"  # :status 200, content-type
NOISE = random.Random(4711).randbytes(1 << 20)

RAW = {
    "nothing": b"",
    "HTTP/1.1": b"HTTP/1.1 400 Bad Request\r\ncontent-length: 2\r\n\r\nno",
    "noise": NOISE,
    "zeros": bytes(1 << 20),
    "a frame of 16 MB": frame(SETTINGS, length=0xFFFFFF, body=NOISE),
    "settings of 5 bytes": frame(SETTINGS, body=b"12345"),
    "settings that allow nothing": frame(SETTINGS, body=struct.pack("!HIHI", 3, 0, 4, 0)),
    "a window beyond its end": HELLO + frame(WINDOW, body=struct.pack("!I", 0x7FFFFFFF)) * 2,
    "answers to what nobody asked": HELLO + frame(HEADERS, 4, 99, ANSWER) + frame(DATA, 0, 99, b"x"),
    "data of no stream": HELLO + frame(DATA, 0, 0, b"x"),
    "a broken header block": HELLO + frame(HEADERS, 4, 1, b"\xff" * 64),
    "headers without an end": HELLO + frame(HEADERS, 0, 1, ANSWER)
                              + frame(CONTINUATION, 0, 1, b"\x00\x01a\x01b" * 2000) * 100,
    "pushes": HELLO + frame(PUSH, 4, 1, struct.pack("!I", 2) + ANSWER),
    "pings": HELLO + frame(PING, body=b"12345678") * 20000,
    "resets": HELLO + b"".join(frame(RST, 0, n, bytes(4)) for n in range(1, 9999, 2)),
    "goodbye": HELLO + frame(GOAWAY, body=struct.pack("!II", 0, 11)),
}


def message(body, length=None, compressed=0):
    return struct.pack("!BI", compressed, len(body) if length is None else length) + body


def literal(name, value):
    return b"\x00" + bytes([len(name)]) + name + bytes([len(value)]) + value


# To each question: (frames' bodies of DATA, trailers or None).
ANSWERS = {
    "messages of noise": [message(NOISE[:300])],
    "a message of 4 GB": [message(NOISE[:300], length=0xFFFFFFFF)],
    "compressed with nothing": [message(NOISE[:300], compressed=1)],
    "empty messages": [message(b"")] * 50,
    "wrong field types": [message(b"\x08\x01\x12\x03abc\x1a\xff\xff\xff\xff\x0f")],
    "a status that is none": [],
}
KINDS = [*RAW, *ANSWERS]


class Impostor:
    """Listens where the control plane did."""

    def __init__(self, address, certificate):
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(*certificate)
        self.context.set_alpn_protocols(["h2"])
        self.listener = socket.create_server(address)
        self.kind, self.served = KINDS[0], dict.fromkeys(KINDS, 0)
        self.changed = threading.Condition()
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self):
        if self.listener.fileno() >= 0:
            self.listener.shutdown(socket.SHUT_RDWR)
            self.listener.close()

    def _serve(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._talk, args=(client, self.kind), daemon=True).start()

    def _talk(self, client, kind):
        try:
            client.settimeout(3)
            with self.context.wrap_socket(client, server_side=True) as s:
                if kind in RAW:
                    s.sendall(RAW[kind])
                    self._count(kind)
                    s.recv(65536)
                    s.recv(65536)
                else:
                    self._answer(s)
        except (OSError, EOFError):
            self._count(kind)  # it has closed while we were speaking

    def _answer(self, s):
        reader = s.makefile("rb")
        reader.read(24)  # the client's preface
        s.sendall(HELLO)
        trailers = literal(b"grpc-status", b"4711") + literal(b"grpc-message", b"%ff%zz")
        while (head := reader.read(9)) and (kind := self.kind) in ANSWERS:
            size = struct.unpack("!I", b"\0" + head[:3])[0]
            reader.read(size)
            if head[3] == HEADERS:
                stream = struct.unpack("!I", head[5:])[0]
                s.sendall(frame(HEADERS, 4, stream, ANSWER)
                          + b"".join(frame(DATA, 0, stream, d) for d in ANSWERS[kind])
                          + frame(HEADERS, 5, stream, trailers))
                self._count(kind)

    def _count(self, kind):
        with self.changed:
            self.served[kind] += 1
            self.changed.notify_all()

    def serve(self, kind, ask, seconds=120):
        """Speaks this, until somebody has had it; `ask` makes the sidecar ask for something."""
        deadline = time.monotonic() + seconds
        before, self.kind = self.served[kind], kind
        while self.served[kind] == before:
            assert time.monotonic() < deadline, kind
            ask()
            with self.changed:
                self.changed.wait_for(lambda: self.served[kind] > before, 0.1)


@pytest.fixture
def impostor_of(tmp_path):
    made = []

    def make(stack):
        for name in ("ca.pem", "ca.key"):
            shutil.copy(os.path.join(stack.dir, "controlplane", "ca", name), tmp_path / name)
        certificate = Authority.of(tmp_path, "ca").issue("server", "127.0.0.1", "IP:127.0.0.1")
        made.append(Impostor(stack.address("controlplane.yaml", "listen"), certificate))
        return made[-1]

    yield make
    for impostor in made:
        impostor.close()


def test_control_plane_that_speaks_garbage(target, parts, impostor_of):
    stack = parts(postgres=target)
    witness = Witness(target)
    kinds = KINDS * max(1, ROUNDS // 25)
    survived = Survived("control plane that sends garbage", len(kinds))
    loads = start_loads(stack, "g", works=(simple, prepared, writing), pace=0.02)
    stack.controlplane.kill()
    impostor = impostor_of(stack)

    def ask():
        with pytest.raises(psycopg.OperationalError) as error:
            psycopg.connect(stack.dsn(application_name="refused")).close()
        assert "Chaperone refuses the session: " in str(error.value), impostor.kind

    for kind in kinds:
        impostor.serve(kind, ask)
        ask()
        assert all(load.is_alive() for load in loads), kind
    impostor.close()
    began = time.monotonic()
    stack.start_controlplane().wait_for("sidecar_connected", seconds=130)
    stack.wait_until_ready()
    survived.times().append(round(time.monotonic() - began, 1))
    # The uplink tries again after half a minute.
    check_end(stack, witness, loads, survived, seconds=90)
    survived.add(connections=sum(impostor.served.values()))
    survived.write()
