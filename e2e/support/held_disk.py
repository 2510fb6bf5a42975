"""A disk that a test holds: what a process flushes is heard of, and waits until it is let go."""

import fcntl
import os
import select
import subprocess

SOURCE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "held_disk.c")


class HeldDisk:
    """For the environment of one process (`env`)."""

    def __init__(self, folder):
        self.library = os.path.join(folder, "held_disk.so")
        subprocess.run(["cc", "-shared", "-fPIC", "-o", self.library, SOURCE, "-ldl"], check=True)
        self.calls_path = os.path.join(folder, "calls")
        os.mkfifo(self.calls_path)
        self.calls = os.open(self.calls_path, os.O_RDWR | os.O_NONBLOCK)
        self.lock_path = os.path.join(folder, "lock")
        self.lock = os.open(self.lock_path, os.O_RDWR | os.O_CREAT, 0o666)

    def close(self):
        os.close(self.lock)
        os.close(self.calls)

    def env(self):
        # A sanitizer's library would else insist on being the first.
        sanitizer = os.environ.get("ASAN_OPTIONS", "") + ":verify_asan_link_order=0"
        return dict(os.environ, LD_PRELOAD=self.library, HELD_DISK_CALLS=self.calls_path,
                    HELD_DISK_LOCK=self.lock_path, ASAN_OPTIONS=sanitizer.lstrip(":"))

    def hold(self):
        """From now on nothing reaches the disk."""
        fcntl.flock(self.lock, fcntl.LOCK_EX)

    def release(self):
        fcntl.flock(self.lock, fcntl.LOCK_UN)

    def heard(self):
        """The files that were flushed since the last question, in their order."""
        said = b""
        while select.select([self.calls], [], [], 0)[0]:
            said += os.read(self.calls, 65536)
        return said.decode().splitlines()

    def wait_for_call(self, seconds=60):
        """Until something is flushed, or waits to be."""
        assert select.select([self.calls], [], [], seconds)[0], "nothing was flushed"
        return self.heard()
