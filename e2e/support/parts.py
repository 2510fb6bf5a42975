"""The parts of a stack as processes of their own, for tests that kill, starve or reconfigure one.

`chaperone dev` ends everything when one of its parts dies; here each lives and dies alone."""

import contextlib
import http.client
import json
import os
import re
import resource
import subprocess
import threading
import time

from support.stack import CONTROLPLANE, ISSUER, SIDECAR, Stack


class Part:
    """A process whose log (JSON lines on stderr) is followed as it is written."""

    def __init__(self, command, limits=(), cwd=None, env=None):
        def limit():
            for what, value in limits:
                resource.setrlimit(what, (value, value))

        self.name = os.path.basename(command[0])
        self.lines = []
        self.changed = threading.Condition()
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                                        text=True, preexec_fn=limit, cwd=cwd, env=env)
        self.pid = self.process.pid
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self):
        for line in self.process.stderr:
            with self.changed:
                self.lines.append(line)
                self.changed.notify_all()
        with self.changed:
            self.lines.append(None)  # the end
            self.changed.notify_all()

    def events(self):
        with self.changed:
            lines = [x for x in self.lines if x and x.startswith("{")]
        return [json.loads(x) for x in lines]

    def wait_for(self, event, seconds=60, after=0, **fields):
        """The next entry of the log, behind the first `after` lines, with this event and fields."""
        deadline = time.monotonic() + seconds
        at = after
        with self.changed:
            while True:
                while at < len(self.lines):
                    line, at = self.lines[at], at + 1
                    assert line is not None, f"{self.name} ended before {event}\n{self.log()}"
                    if f'"{event}"' not in line:
                        continue
                    entry = json.loads(line)
                    if entry["event"] == event and all(entry.get(k) == v
                                                       for k, v in fields.items()):
                        return entry
                assert self.changed.wait(deadline - time.monotonic()), \
                    f"{self.name} did not say {event}\n{self.log()}"

    def mark(self):
        """For `after`: what comes from here on."""
        with self.changed:
            return len(self.lines)

    def log(self):
        return "".join(x for x in self.lines[-40:] if x)

    def kill(self):
        self.process.kill()
        self.process.wait(30)

    def signal(self, number):
        self.process.send_signal(number)

    def stop(self, seconds=60):
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(seconds)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
                raise
        return self.process.returncode


class Parts(Stack):
    """Made once by `chaperone dev`; `sidecar` is appended to the sidecar's configuration. `..._env`:
    all of the environment of that part, from its next start on; so are the limits, and `..._in`, a
    MemoryGroup."""

    sidecar_env = controlplane_env = None
    sidecar_in = controlplane_in = None
    controlplane_limits = ()

    def __init__(self, postgres, sidecar="", state=None, limits=(), **options):
        self.parts = {}
        self.extra = sidecar
        self.limits = limits
        super().__init__(postgres, **options)
        with contextlib.ExitStack() as failed:
            failed.callback(self.close)  # nothing goes on that nobody has
            assert super().stop() == 0, self.logs()
            self.process = None
            self.start_issuer()
            self.start_controlplane()
            if state:
                self.move_state(state)
            self.configure(sidecar)
            self.start_sidecar()
            failed.pop_all()

    # ---- configuration

    def path(self, name):
        return os.path.join(self.dir, name)

    def read(self, name):
        with open(self.path(name), encoding="utf-8") as f:
            return f.read()

    def write(self, name, text):
        with open(self.path(name), "w", encoding="utf-8") as f:
            f.write(text)

    def configure(self, more):
        """Appends to the sidecar's configuration; takes effect at its next start or SIGHUP."""
        if more:
            self.write("sidecar.yaml", self.read("sidecar.yaml") + more + "\n")

    def move_state(self, directory):
        """Another state directory: a sidecar that is not enrolled yet."""
        text = self.read("sidecar.yaml")
        self.write("sidecar.yaml", re.sub(r'^state: .*$', f'state: "{directory}"', text, flags=re.M))
        self.write("join.token", self.chaperone("join-token", "create").stdout)

    def address(self, name, key):
        found = re.search(key + r': "?([\d.]+):(\d+)"?', self.read(name))
        return found.group(1), int(found.group(2))

    # ---- processes

    def start_issuer(self):
        issuer = re.search(r'issuer: "http://([\d.:]+)"', self.read("controlplane.yaml")).group(1)
        self.parts["issuer"] = subprocess.Popen(
            [ISSUER, "--dir", self.path("issuer"), "--listen", issuer], stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL, text=True)
        assert self.parts["issuer"].stdout.readline().startswith("ready: ")

    def start_controlplane(self):
        command = [CONTROLPLANE, "--config", self.path("controlplane.yaml")]
        part = Part(self.controlplane_in.command(command) if self.controlplane_in else command,
                    self.controlplane_limits, env=self.controlplane_env)
        self.parts["controlplane"] = part
        part.wait_for("listening")
        return part

    def sidecar_command(self):
        command = [SIDECAR, "--config", self.path("sidecar.yaml")]
        return self.sidecar_in.command(command) if self.sidecar_in else command

    def start_sidecar(self, ready=True):
        """`ready`: sessions can be opened. Without, it only listens (the control plane is away)."""
        part = Part(self.sidecar_command(), self.limits, env=self.sidecar_env)
        self.parts["sidecar"] = part
        part.wait_for("listening")
        if ready:
            self.wait_until_ready()
        return part

    def wait_until_ready(self, seconds=60, config="sidecar.yaml"):
        """The sidecar is connected (again): sessions can be opened."""
        deadline = time.monotonic() + seconds
        while self.http("/readyz", config)[0] != 200:
            assert time.monotonic() < deadline, self.sidecar.log()
            time.sleep(0.01)  # it needs the processor more than who asks

    @property
    def sidecar(self):
        return self.parts["sidecar"]

    @property
    def controlplane(self):
        return self.parts["controlplane"]

    def stop(self):
        if not self.parts:
            return super().stop()
        code = 0
        for name in ("sidecar", "controlplane"):
            if name in self.parts:
                code = self.parts[name].stop() or code
        issuer = self.parts.get("issuer")
        if issuer:
            issuer.terminate()
            issuer.wait(60)
        self.parts = {}
        return code

    def logs(self):
        return super().logs() + "".join(f"--- {n}\n{p.log()}" for n, p in self.parts.items()
                                        if isinstance(p, Part))

    # ---- the health port

    def http(self, path, config="sidecar.yaml"):
        """(status, body) of GET on the health port of the sidecar with this configuration."""
        connection = http.client.HTTPConnection(*self.address(config, "health: {listen"),
                                                timeout=20)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()

    def metrics(self):
        status, text = self.http("/metrics")
        assert status == 200
        return {m.group(1): float(m.group(2))
                for m in re.finditer(r"^chaperone_(\w+) (\S+)$", text, re.M)}

