"""Web servers as targets, each with its own log of what it saw: the witness. Node.js (node/http_target.mjs) over
HTTP/1.1, TLS, TLS with client certificates and HTTP/2; nginx in front of files and of another server; a gRPC
server (support/http_grpc.py)."""

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

from support.certificates import Authority
from support.ports import free_port

HERE = os.path.dirname(os.path.abspath(__file__))
NODE = os.path.join(os.path.dirname(HERE), "node")


class Certificates:
    """An authority with a server's and a client's certificate, in a directory of its own."""

    def __init__(self):
        self.dir = tempfile.mkdtemp(prefix="chaperone-http-")
        self.authority = Authority(self.dir, "target-ca")
        self.ca = self.authority.certificate
        self.server = self.authority.issue("server", "localhost", "DNS:localhost,IP:127.0.0.1")
        self.client = self.authority.issue("client", "chaperone-client")
        self.stranger = Authority(self.dir, "stranger-ca").issue("stranger", "stranger")

    def close(self):
        shutil.rmtree(self.dir, ignore_errors=True)


class Log:
    """Lines of JSON that a server appends to a file. Positions in it are byte offsets."""

    def __init__(self, path):
        self.path = path

    def mark(self):
        return os.path.getsize(self.path) if os.path.exists(self.path) else 0

    def entries(self, after=0, **fields):
        if not os.path.exists(self.path):
            return []
        with open(self.path, "rb") as f:
            f.seek(after)
            lines = f.read().split(b"\n")[:-1]  # the last one may be on its way
        found = [json.loads(line) for line in lines]
        return [e for e in found if all(e.get(k) == v for k, v in fields.items())]

    def requests(self, after=0, **fields):
        return self.entries(after, event="request", **fields)

    def wait_for(self, predicate, after=0, seconds=60):
        """All entries, once one of them is what `predicate` looks for."""
        deadline = time.monotonic() + seconds
        while True:
            found = self.entries(after)
            if any(predicate(e) for e in found):
                return found
            assert time.monotonic() < deadline, f"the target did not see it: {found[-5:]}"
            time.sleep(0.01)  # a file does not say that it grew


class Node:
    """ports: h1, tls (h2 and http/1.1), mtls, h2c."""

    def __init__(self, certificates, directory=None):
        self.owned = None if directory else tempfile.mkdtemp(prefix="chaperone-http-")
        self.log = Log(os.path.join(directory or self.owned, f"node-{time.monotonic_ns()}.log"))
        certificate, key = certificates.server
        env = dict(os.environ, HTTP_TARGET_LOG=self.log.path, HTTP_TARGET_CERTIFICATE=certificate,
                   HTTP_TARGET_KEY=key, HTTP_TARGET_CA=certificates.ca, NODE_NO_WARNINGS="1")
        self.process = subprocess.Popen(["node", os.path.join(NODE, "http_target.mjs")], env=env,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.ports = json.loads(self.process.stdout.readline())

    def url(self, kind="h1"):
        scheme = "http" if kind in ("h1", "h2c") else "https"
        return f"{scheme}://127.0.0.1:{self.ports[kind]}"

    def release(self):
        """Answers all that asked for /slow."""
        urllib.request.urlopen(self.url() + "/release", timeout=60).close()

    def close(self):
        self.process.stdin.close()
        self.process.wait(60)
        self.process.stdout.close()
        if self.owned:
            shutil.rmtree(self.owned, ignore_errors=True)


NGINX = """
daemon off;
pid PREFIX/nginx.pid;
error_log PREFIX/error.log notice;
worker_processes WORKERS;
master_process MASTER;
USER
events { worker_connections 1024; }
http {
    log_format witness escape=json '{"event":"request","method":"$request_method","url":"$request_uri",'
        '"line":"$request","version":"$server_protocol","status":$status,"host":"$http_host",'
        '"length":$request_length,"port":"$remote_port"}';
    access_log LOG;
    client_body_temp_path PREFIX/body;
    proxy_temp_path PREFIX/proxy;
    fastcgi_temp_path PREFIX/fastcgi;
    uwsgi_temp_path PREFIX/uwsgi;
    scgi_temp_path PREFIX/scgi;
    types { text/html html; application/json json; text/plain txt; }
    keepalive_requests 1000000000;
    client_max_body_size 0;
    sendfile on;
    UPSTREAM
    server {
        listen 127.0.0.1:PLAIN;
        listen 127.0.0.1:SECURE ssl http2;
        ssl_certificate CERTIFICATE;
        ssl_certificate_key KEY;
        root PREFIX/files;
        location /static/ { }
        LOCATION
    }
}
"""


class Nginx:
    """Files below /static/, and all else to `upstream` ("127.0.0.1:PORT"). ports: h1, tls (h2 and http/1.1)."""

    def __init__(self, certificates, upstream=None, workers=0, is_logged=True):
        self.dir = tempfile.mkdtemp(prefix="chaperone-nginx-")
        os.chmod(self.dir, 0o755)
        self.log = Log(os.path.join(self.dir, "access.log"))
        self.ports = {"h1": free_port(), "tls": free_port()}
        for name in ("body", "proxy", "files/static"):
            os.makedirs(os.path.join(self.dir, name))
        self.file("hello.txt", "hello\n")
        text = NGINX
        for name, value in {
                "PREFIX": self.dir, "LOG": f"{self.log.path} witness" if is_logged else "off",
                "WORKERS": str(max(workers, 1)), "MASTER": "on" if workers else "off",
                "USER": "user root;" if os.geteuid() == 0 else "",
                "PLAIN": str(self.ports["h1"]), "SECURE": str(self.ports["tls"]),
                "CERTIFICATE": certificates.server[0], "KEY": certificates.server[1],
                "UPSTREAM": f"upstream behind {{ server {upstream}; keepalive 64; }}" if upstream else "",
                "LOCATION": "location / { proxy_pass http://behind; proxy_http_version 1.1;"
                            ' proxy_set_header Connection ""; proxy_set_header Host $http_host; }'
                            if upstream else "location / { return 200 ok; }"}.items():
            text = text.replace(name, value)
        config = os.path.join(self.dir, "nginx.conf")
        with open(config, "w", encoding="ascii") as f:
            f.write(text)
        self.process = subprocess.Popen(["/usr/sbin/nginx", "-p", self.dir, "-c", config, "-e",
                                         os.path.join(self.dir, "error.log")])
        wait_for_port(self.ports["h1"], self.process)

    def file(self, name, content):
        path = os.path.join(self.dir, "files", "static", name)
        with open(path, "w", encoding="utf-8") as f:
            f.write(content)
        return f"/static/{name}"

    def url(self, kind="h1"):
        return f"{'http' if kind == 'h1' else 'https'}://127.0.0.1:{self.ports[kind]}"

    def close(self):
        self.process.terminate()
        self.process.wait(60)
        shutil.rmtree(self.dir, ignore_errors=True)


def wait_for_port(port, process, seconds=60):
    deadline = time.monotonic() + seconds
    while True:
        assert process.poll() is None, f"{process.args[0]} ended"
        with socket.socket() as s:
            if s.connect_ex(("127.0.0.1", port)) == 0:
                return
        assert time.monotonic() < deadline, f"nobody listens on port {port}"
        time.sleep(0.02)


class Grpc:
    """support/http_grpc.py as a process; `port`: with TLS."""

    def __init__(self, certificates):
        self.process = subprocess.Popen(
            [sys.executable, os.path.join(HERE, "http_grpc.py"), "serve", *certificates.server],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.port = int(self.process.stdout.readline())

    def url(self):
        return f"https://127.0.0.1:{self.port}"

    def close(self):
        self.process.stdin.close()
        self.process.wait(60)
        self.process.stdout.close()


class TokenServer:
    """The token endpoint of an OAuth 2 server: client credentials (RFC 6749 section 4.4). `tokens`: those it
    gave out; `asked`: the (authorization, form) of each request; `fails`: answers with an error."""

    def __init__(self, lives=3600):
        import http.server  # pylint: disable=import-outside-toplevel
        import urllib.parse  # pylint: disable=import-outside-toplevel
        outer = self
        self.tokens, self.asked, self.fails, self.lives = [], [], False, lives

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):  # pylint: disable=invalid-name
                form = self.rfile.read(int(self.headers["Content-Length"])).decode()
                outer.asked.append((self.headers.get("Authorization"), dict(urllib.parse.parse_qsl(form))))
                if outer.fails:
                    status, answer = 401, {"error": "invalid_client"}
                else:
                    outer.tokens.append(f"oauth-access-token-{len(outer.tokens)}-8d1f6a2b7c")
                    status, answer = 200, {"access_token": outer.tokens[-1], "token_type": "Bearer",
                                           "expires_in": outer.lives}
                body = json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/token"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()
