"""Limits of a process's memory: of its address space, and of a cgroup that it stands in."""

import os
import resource
import time


def status_kb(pid, name):
    with open(f"/proc/{pid}/status", encoding="ascii") as f:
        return next(int(line.split()[1]) for line in f if line.startswith(name + ":"))


def is_sanitized(path):
    with open(path, "rb") as f:
        return b"__asan_init" in f.read()


def limit(pid, what, soft):
    resource.prlimit(pid, what, (soft, resource.prlimit(pid, what)[1]))


def limit_address_space(pid, kb_more):
    """So much above what it has."""
    limit(pid, resource.RLIMIT_AS, (status_kb(pid, "VmSize") + kb_more) * 1024)


def lift_address_space(pid):
    limit(pid, resource.RLIMIT_AS, resource.RLIM_INFINITY)


class NoGroups(Exception):
    """What the kernel, or who we are, does not let one do."""


class MemoryGroup:
    """A cgroup of one's own, v2 or v1, below the one that this process stands in where that can be."""

    def __init__(self, megabytes):
        self.path, self.is_v2 = self._make()
        try:
            self.tighten(megabytes)
        except OSError as error:
            self.close()
            raise NoGroups(f"no limit can be set: {error}") from error

    @staticmethod
    def _make():
        name = f"chaperone-fault-{os.getpid()}-{time.monotonic_ns()}"
        with open("/proc/self/cgroup", encoding="ascii") as f:
            mine = [line.rstrip("\n").split(":", 2) for line in f]
        tried = []
        for _, controllers, group in mine:
            # Of v2 only the root may hold processes and give a controller to a group below.
            if controllers == "":
                parent, file = "/sys/fs/cgroup", "memory.max"
            elif "memory" in controllers.split(","):
                parent, file = "/sys/fs/cgroup/memory" + group, "memory.limit_in_bytes"
            else:
                continue
            path = os.path.join(parent, name)
            try:
                os.mkdir(path)
            except OSError as error:
                tried.append(str(error))
                continue
            if os.path.exists(os.path.join(path, file)):
                return path, controllers == ""
            os.rmdir(path)
            tried.append(f"no memory controller in {parent}")
        raise NoGroups("no cgroup for memory can be made: " + "; ".join(tried or ["there are none"]))

    def _write(self, name, value):
        with open(os.path.join(self.path, name), "w", encoding="ascii") as f:
            f.write(str(value))

    def tighten(self, megabytes):
        """Swap is no way out. Of v1 that limit may not be below the other at any time, and neither below
        what is in use and cannot be taken back."""
        if self.is_v2:
            limits = {"memory.max": megabytes << 20, "memory.swap.max": 0}
        else:
            limits = dict.fromkeys(("memory.limit_in_bytes", "memory.memsw.limit_in_bytes"), megabytes << 20)
        for name, value in limits.items():
            if os.path.exists(os.path.join(self.path, name)):
                self._write(name, value)

    def lift(self):
        for name in ("memory.max",) if self.is_v2 else ("memory.memsw.limit_in_bytes", "memory.limit_in_bytes"):
            if os.path.exists(os.path.join(self.path, name)):
                self._write(name, "max" if self.is_v2 else -1)

    def command(self, command):
        """The same command, in this group from its start."""
        return ["/bin/sh", "-c", 'echo $$ > "$0" && exec "$@"', os.path.join(self.path, "cgroup.procs"), *command]

    def close(self):
        deadline = time.monotonic() + 60
        while True:
            try:
                os.rmdir(self.path)
                return
            except FileNotFoundError:
                return
            except OSError:  # the last process is not quite gone
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)
