"""`chaperone witness` as a process, and what may be asked of it."""

import http.client
import json
import signal
import subprocess
import time
import urllib.parse

from support.stack import CHAPERONE
from support.translog import checkpoint, cosignature_time, note, request

NAME = "witness.test/w1"


class Witness:
    def __init__(self, directory, *logs, name=NAME, **files):
        self.dir = str(directory)
        self.name = name
        self.args = ["--dir", self.dir, "--name", name]
        for log in logs:
            self.args += ["--log", log]
        for option, path in files.items():
            self.args += ["--" + option.replace("_", "-"), path]
        self.process = None
        self.context = None

    def run(self, *args):
        return subprocess.run([CHAPERONE, "witness", *self.args, *args], capture_output=True, text=True, timeout=60,
                              check=False)

    def start(self, port=0, **options):
        self.errors = open(self.dir + ".log", "a", encoding="utf-8")
        self.process = subprocess.Popen([CHAPERONE, "witness", *self.args, "--listen", f"127.0.0.1:{port}"],
                                        stdout=subprocess.PIPE, stderr=self.errors, text=True, **options)
        self.key = self.process.stdout.readline().removeprefix("key: ").strip()
        self.count = int(self.process.stdout.readline().removeprefix("logs: ") or "-1")
        ready = self.process.stdout.readline()
        assert ready.startswith("ready: http"), self.log()
        self.url = urllib.parse.urlsplit(ready.removeprefix("ready: ").strip())
        return self

    def log(self):
        with open(self.dir + ".log", encoding="utf-8") as f:
            return f.read()

    def wait_for_log(self, text):
        deadline = time.monotonic() + 60
        while text not in self.log():
            assert time.monotonic() < deadline, self.log()
            time.sleep(0.02)

    def entries(self):
        """What it said so far, as objects; without a line that it is writing."""
        return [json.loads(line) for line in self.log().split("\n")[:-1] if line.startswith("{")]

    def connect(self):
        if self.url.scheme == "https":
            return http.client.HTTPSConnection(self.url.hostname, self.url.port, timeout=30, context=self.context)
        return http.client.HTTPConnection(self.url.hostname, self.url.port, timeout=30)

    def ask(self, body, method="POST", path="/add-checkpoint"):
        """(status, content type, text)"""
        connection = self.connect()
        try:
            connection.request(method, path, body)
            answer = connection.getresponse()
            return answer.status, answer.headers["Content-Type"], answer.read().decode()
        finally:
            connection.close()

    def submit(self, signer, tree, old, size=None, proof=None, origin=None):
        size = len(tree.leaves) if size is None else size
        proof = tree.consistency(old, size) if proof is None else proof
        text = checkpoint(origin or signer.name, size, tree.head(0, size))
        status, kind, answer = self.ask(request(old, proof, note(text, signer)))
        if status == 200:
            assert cosignature_time(answer, text, self.key) <= time.time() + 1
        return status, kind, answer

    def kill(self):
        self.process.kill()
        self.process.wait(30)
        self.process.stdout.close()
        self.errors.close()

    def stop(self, number=signal.SIGTERM):
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(number)
            self.process.wait(60)
            self.process.stdout.close()
            self.errors.close()
        return self.process.returncode
