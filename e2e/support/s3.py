"""An S3-compatible store (node/s3.mjs)."""

import json
import os
import subprocess
import tempfile

from support.ports import free_port

NODE = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "node")
KEY = "S3RVER"  # both halves, as that server has it


class S3:
    bucket = "audit"

    def __init__(self):
        self.directory = tempfile.TemporaryDirectory(prefix="chaperone-s3-")
        self.port = free_port()  # its own also while it is stopped
        self.start()

    def start(self):
        """Where it was before, after a stop."""
        self.process = subprocess.Popen(
            ["node", os.path.join(NODE, "s3.mjs"), self.directory.name, str(self.port)],
            env=dict(os.environ, NODE_NO_WARNINGS="1"), stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.endpoint = json.loads(self.process.stdout.readline())["endpoint"]

    def stop(self):
        self.process.kill()
        self.process.wait(30)

    def files(self):
        """The paths of what it keeps, as its own files."""
        found = []
        for folder, _, names in os.walk(self.directory.name):
            found += [os.path.join(folder, n) for n in names if n.endswith("_object")]
        return found

    def close(self):
        self.stop()
        self.directory.cleanup()
