"""A man in the middle: carries one connection at a time between the sidecar and the target, and keeps
what it saw in each direction. With a certificate it answers the request for TLS itself."""

import select
import socket
import ssl
import struct
import threading

SSL_REQUEST = struct.pack("!ii", 8, 80877103)


class Relay:
    def __init__(self, target_port, certificate=None, target_tls=None):
        """`certificate`: (certificate, key) towards the sidecar. `target_tls`: whether it speaks TLS
        to the target; by default as with the sidecar."""
        self.target_port = target_port
        self.certificate = certificate
        self.target_tls = certificate is not None if target_tls is None else target_tls
        self.from_client = b""
        self.from_target = b""
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = self._server.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        self._thread.join(60)

    def _serve(self):
        while True:
            try:
                client, _ = self._server.accept()
            except OSError:
                return
            try:
                with client, socket.create_connection(("127.0.0.1", self.target_port)) as target:
                    self._carry(*self._secure(client, target))
            except OSError:
                pass  # one side has had enough: that is what the test looks at

    def _secure(self, client, target):
        if self.certificate:
            assert client.recv(8, socket.MSG_WAITALL) == SSL_REQUEST
            client.sendall(b"S")
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*self.certificate)
            client = context.wrap_socket(client, server_side=True)
        if self.target_tls:
            target.sendall(SSL_REQUEST)
            assert target.recv(1) == b"S"
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
            target = context.wrap_socket(target)
        return client, target

    def _carry(self, client, target):
        while True:
            ready = [s for s in (client, target) if isinstance(s, ssl.SSLSocket) and s.pending()]
            ready = ready or select.select([client, target], [], [])[0]
            for side in ready:
                data = side.recv(65536)
                if not data:
                    return
                if side is client:
                    self.from_client += data
                    target.sendall(data)
                else:
                    self.from_target += data
                    client.sendall(data)
