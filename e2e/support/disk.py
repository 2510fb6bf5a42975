"""A disk that can be filled, and taken the right to write."""

import os
import subprocess
import time

import pytest


class Disk:
    """A file system of its own, in memory."""

    def __init__(self, path, megabytes):
        self.path = str(path)
        os.makedirs(self.path, exist_ok=True)
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={megabytes}m,mode=0700", "tmpfs",
                               self.path], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            pytest.skip("mount -t tmpfs needs root: " + done.stderr.strip())

    def fill(self):
        """Also again, when something has gone meanwhile."""
        with open(os.path.join(self.path, "filler"), "ab", buffering=0) as f:
            for size in (1 << 16, 1):  # to the last byte
                try:
                    while True:
                        f.write(b"x" * size)
                except OSError:
                    pass

    def empty(self):
        os.unlink(os.path.join(self.path, "filler"))

    def read_only(self, on):
        """As after an error of the disk; the kernel waits for a moment in which nobody is writing a file."""
        command = ["mount", "-o", f"remount,{'ro' if on else 'rw'}", self.path]
        deadline = time.monotonic() + 60
        while (done := subprocess.run(command, capture_output=True, text=True, check=False)).returncode != 0:
            assert "busy" in done.stderr and time.monotonic() < deadline, done.stderr

    def spoil(self, how):
        """`how`: "full" or "read-only"."""
        if how == "full":
            self.fill()
        else:
            self.read_only(True)

    def mend(self, how):
        if how == "full":
            self.empty()
        else:
            self.read_only(False)

    def close(self):
        subprocess.run(["umount", "--lazy", self.path], check=True)
