"""Ports of 127.0.0.1 that nobody else gets while they are needed."""

import collections
import fcntl
import os
import random
import socket
import tempfile

# Below the ports that outgoing connections get, which could take one before it is used, and below
# those that `chaperone dev` chooses from.
FIRST, LAST = 10000, 19999
KEPT = 4000  # the ports given out last, which are not given out again

_claims = os.path.join(tempfile.gettempdir(), f"chaperone-test-ports-{os.getuid()}")
_given = collections.deque()
_file = None


def _claim(port, how):
    """A byte of a file stands for a port; the lock is this process's, and goes with it."""
    global _file  # pylint: disable=global-statement
    if _file is None:
        _file = os.open(_claims, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    fcntl.lockf(_file, how, 1, port)


def free_port():
    """A port that is free now, and that no other test of this machine was given: something that
    is started a second time, or only later, still finds it free."""
    while len(_given) > KEPT:
        _claim(_given.popleft(), fcntl.LOCK_UN)
    while True:
        port = random.randint(FIRST, LAST)
        if port in _given:
            continue
        try:
            _claim(port, fcntl.LOCK_EX | fcntl.LOCK_NB)
            with socket.socket() as s:
                s.bind(("127.0.0.1", port))
        except OSError:
            continue
        _given.append(port)
        return port
