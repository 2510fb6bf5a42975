"""A network that is bad: a namespace whose links to this one drop, delay and reorder packets.

Each link is a pair of TUN devices, and a thread that carries the packets between them: the kernels
that we test on have no netem. TCP on both sides is the kernel's own, and has to cope."""

import contextlib
import ctypes
import fcntl
import heapq
import itertools
import os
import random
import select
import struct
import subprocess
import threading
import time

from support.ports import FIRST, free_port

CLONE_NEWNET = 0x40000000
TUNSETIFF = 0x400454CA
IFF_TUN, IFF_NO_PI = 0x0001, 0x1000
_libc = ctypes.CDLL(None, use_errno=True)
_numbers = itertools.count(1)


def _ip(*args, check=True):
    subprocess.run(["ip", *args], check=check, capture_output=True)


def _enter(fd):
    if _libc.setns(fd, CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")


class Namespace:
    def __init__(self):
        self.name = f"chaperone-{os.getpid()}-{next(_numbers)}"
        _ip("netns", "add", self.name)
        _ip("-n", self.name, "link", "set", "lo", "up")
        self.links = []

    def close(self):
        for link in self.links:
            link.close()
        _ip("netns", "del", self.name, check=False)

    def prefix(self):
        """Before a command that is to run inside."""
        return ["ip", "netns", "exec", self.name]

    @contextlib.contextmanager
    def inside(self):
        """The sockets that this thread opens meanwhile belong to the namespace."""
        with open("/proc/thread-self/ns/net", "rb") as home, \
                open(f"/run/netns/{self.name}", "rb") as there:
            _enter(there.fileno())
            try:
                yield
            finally:
                _enter(home.fileno())

    def link(self):
        self.links.append(Link(self))
        return self.links[-1]


class Link:
    """`here` and `there`: the addresses of its ends, here and inside the namespace. All of what is
    set counts for both directions, from the next packet on: `loss` and `reorder` (the share of
    packets that pass others) from 0 to 1, `delay` and `jitter` in seconds, `cut` drops all."""

    def __init__(self, namespace):
        number = next(_numbers)
        own = free_port() - FIRST  # as long as this process has it, no other one has these addresses
        self.here, self.there = (f"10.{64 + own // 250}.{own % 250}.{end}" for end in (1, 2))
        self.loss = self.reorder = self.delay = self.jitter = 0.0
        self.cut = False
        self.dropped = self.reordered = self.carried = 0
        self.chance = random.Random(4711)
        device = f"chf{os.getpid() % 100000}n{number}"
        ours = self._open(device)
        with namespace.inside():
            theirs = self._open(device)
        self.ends = [ours, theirs]
        for where, mine, other in (((), self.here, self.there),
                                   (("-n", namespace.name), self.there, self.here)):
            _ip(*where, "addr", "add", mine, "peer", other, "dev", device)
            _ip(*where, "link", "set", device, "up")
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=self._carry, daemon=True)
        self.thread.start()

    @staticmethod
    def _open(device):
        fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
        fcntl.ioctl(fd, TUNSETIFF, struct.pack("16sH22x", device.encode(), IFF_TUN | IFF_NO_PI))
        return fd

    def close(self):
        self.stopping.set()
        self.thread.join(30)
        for fd in self.ends:
            os.close(fd)

    def _when(self, now):
        """When this packet arrives; None when it never does."""
        if self.cut or self.chance.random() < self.loss:
            self.dropped += 1
            return None
        self.carried += 1
        if self.chance.random() < self.reorder:
            self.reordered += 1
            return now
        return now + max(0.0, self.delay + self.chance.uniform(-self.jitter, self.jitter))

    def _carry(self):
        waiting, order = [], itertools.count()
        while not self.stopping.is_set():
            now = time.monotonic()
            while waiting and waiting[0][0] <= now:
                _, _, to, packet = heapq.heappop(waiting)
                with contextlib.suppress(OSError):  # a full queue drops, as networks do
                    os.write(to, packet)
            wait = min(0.1, waiting[0][0] - now) if waiting else 0.1
            for end in select.select(self.ends, [], [], max(0.0, wait))[0]:
                to = self.ends[1 - self.ends.index(end)]
                for packet in self._read(end):
                    when = self._when(time.monotonic())
                    if when is not None:
                        heapq.heappush(waiting, (when, next(order), to, packet))

    @staticmethod
    def _read(end):
        for _ in range(64):
            try:
                yield os.read(end, 65536)
            except OSError:  # nothing more, or a device that is not up yet
                return
