"""A target that speaks PostgreSQL as far as a test wants it to, and then something else."""

import socket
import struct
import threading

from support.wire import message

AUTHENTICATED = (message(b"R", struct.pack("!i", 0))
                 + message(b"S", b"client_encoding\0UTF8\0")
                 + message(b"S", b"standard_conforming_strings\0on\0")
                 + message(b"K", struct.pack("!ii", 4711, 42)))
READY = message(b"Z", b"I")


class FaultyTarget:
    """Serves each connection with `script(connection)`, a `Peer`; a thread for each."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.script = Peer.log_in
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def url(self, database="postgres"):
        return f"postgres://faulty:unproved@127.0.0.1:{self.port}/{database}"

    def _serve(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._run, args=(connection,), daemon=True).start()

    def _run(self, connection):
        with connection:
            try:
                self.script(Peer(connection))
            except (ConnectionError, EOFError):
                pass

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()


class Peer:
    def __init__(self, connection):
        self.connection = connection

    def take(self, n):
        taken = b""
        while len(taken) < n:
            more = self.connection.recv(n - len(taken))
            if not more:
                raise EOFError
            taken += more
        return taken

    def send(self, *parts):
        self.connection.sendall(b"".join(parts))

    def startup(self):
        """Declines TLS, and takes the startup packet."""
        while True:
            size, code = struct.unpack("!ii", self.take(8))
            rest = self.take(size - 8)
            if code >> 16 == 3:
                return rest
            self.send(b"N")

    def log_in(self):
        self.startup()
        self.send(AUTHENTICATED, READY)

    def read(self):
        kind = self.take(1)
        return kind, self.take(struct.unpack("!i", self.take(4))[0] - 4)

    def drain(self):
        """Until the other side closes."""
        while self.connection.recv(65536):
            pass
