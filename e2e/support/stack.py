"""A whole Chaperone: `chaperone dev` on a PostgreSQL, and what a test asks of it."""

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import threading

from support.ports import free_port

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BIN = os.environ.get("CHAPERONE_BIN", os.path.join(ROOT, "bazel-bin"))
CHAPERONE = os.path.join(BIN, "cli", "chaperone")
SIDECAR = os.path.join(BIN, "sidecar", "chaperone-sidecar")
CONTROLPLANE = os.path.join(BIN, "controlplane", "chaperone-controlplane")
ISSUER = os.path.join(BIN, "cli", "issuer", "chaperone-dev-issuer")


class Stack:
    """`chaperone dev --dir DIR`; start again with the same dir to resume."""

    def __init__(self, postgres, database="postgres", directory=None, policy=None, identity=None,
                 port=None, more=()):
        self.postgres = postgres
        self.database = database
        self.owns_dir = directory is None
        self.dir = directory or tempfile.mkdtemp(prefix="chaperone-e2e-")
        self.port = port or free_port()
        self.policy = policy
        self.identity = identity
        self.more = more
        self.process = None
        self.said = []
        self.start()

    def start(self):
        command = [CHAPERONE, "dev", "--dir", self.dir, "--listen", f"127.0.0.1:{self.port}",
                   "--upstream", self.postgres.url(self.database)]
        if self.policy:
            command += ["--policy", self.policy]
        if self.identity:
            command += ["--identity", self.identity]
        command += self.more
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                        text=True)
        self._stderr = threading.Thread(target=self._collect, daemon=True)
        self._stderr.start()
        line = self.process.stdout.readline()
        if not line.startswith("ready: "):
            self.process.wait(60)
            self._stderr.join(5)
            raise RuntimeError(f"chaperone dev did not start: {line!r}\n" + "".join(self.said)
                               + self.logs())
        self.ready = line[len("ready: "):].strip()

    def read_to_the_end(self, seconds=60):
        """After its end: all that it said on stderr is in `said`."""
        self._stderr.join(seconds)
        assert not self._stderr.is_alive()

    def _collect(self):
        for line in self.process.stderr:
            self.said.append(line)

    def logs(self):
        text = ""
        for name in ("controlplane.log", "sidecar.log"):
            path = os.path.join(self.dir, name)
            if os.path.exists(path):
                with open(path, encoding="utf-8", errors="replace") as f:
                    text += f"--- {name}\n" + "".join(f.readlines()[-40:])
        return text

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(60)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
                raise
        return self.process.returncode if self.process else None

    def close(self):
        self.stop()
        if self.owns_dir:
            shutil.rmtree(self.dir, ignore_errors=True)

    # ---- the agent's side

    def env(self, **more):
        """For an unmodified client: the sidecar's address, and no credential at all."""
        clean = {k: v for k, v in os.environ.items() if not k.startswith("PG")}
        return {**clean, "PGHOST": "127.0.0.1", "PGPORT": str(self.port), "PGUSER": "agent",
                "PGDATABASE": self.database, "PGSSLMODE": "disable", "PGCONNECT_TIMEOUT": "60",
                **more}

    def psql(self, *args, stdin=None, check=True, **env):
        return subprocess.run(["psql", "-X", *args], env=self.env(**env), input=stdin, check=check,
                              capture_output=True, text=True, timeout=120)

    def dsn(self, **more):
        parts = {"host": "127.0.0.1", "port": self.port, "user": "agent", "dbname": self.database,
                 "sslmode": "disable", "connect_timeout": 60, **more}
        return " ".join(f"{k}='{v}'" for k, v in parts.items())

    # ---- the operator's side

    def operator(self):
        """The options that lead the command to this control plane."""
        return ["--dir", self.dir]

    def chaperone(self, *args, check=True, timeout=120):
        # What it keeps of a log is kept by address, and another stack had this one's before.
        env = {"XDG_STATE_HOME": os.path.join(self.dir, "kept"), **os.environ}
        return subprocess.run([CHAPERONE, *args, *self.operator()], capture_output=True, text=True,
                              check=check, timeout=timeout, env=env)

    def search(self, *args):
        """Without what the control plane records of its readers, this search among it, and of
        itself; `--kind action` gives that, too."""
        done = self.chaperone("audit", "search", "--json", *args)
        records = [json.loads(line) for line in done.stdout.splitlines()]
        if "--kind" in args:
            return records
        return [r for r in records if r["kind"] != "finding" and (
            r["kind"] != "action" or r["action"] in ("kill", "lift", "link", "unlink"))]

    @contextlib.contextmanager
    def tail(self, *args, seconds=60):
        """`audit tail`, whose lines are read; it lives that long at most, and no longer than who reads it."""
        with subprocess.Popen([CHAPERONE, "audit", "tail", "--json", "--since", "1h", *args,
                               *self.operator()],
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as tail:
            timer = threading.Timer(seconds, tail.kill)
            timer.start()
            try:
                yield tail
            finally:
                timer.cancel()
                tail.kill()

    def wait_for(self, predicate, *args, seconds=60):
        """Records arrive by themselves: follows `audit tail` until `predicate` holds for a record."""
        with self.tail(*args, seconds=seconds) as tail:
            for line in tail.stdout:
                record = json.loads(line)
                if predicate(record):
                    return record
        raise AssertionError("the record did not arrive\n" + self.logs())

    def outcome_of(self, text):
        """The outcome of the operation whose text this is; waits for it."""
        intent = self.wait_for(lambda r: r["kind"] == "intent" and r["text"] == text)
        return self.wait_for(lambda r: r["kind"] == "outcome"
                             and r["operation"] == intent["operation"],
                             "--session", intent["session"])

    def conversation(self, name):
        """All records of the session with this application_name, with rows; waits for its end."""
        opened = self.wait_for(lambda r: r["kind"] == "session_opened"
                               and r.get("application_name") == name)
        self.wait_for(lambda r: r["kind"] == "session_closed", "--session", opened["session"])
        shown = self.chaperone("audit", "show", opened["session"], "--json").stdout
        return [json.loads(line) for line in shown.splitlines()]

    def pid_of(self, name):
        """The process id of a part: "chaperone-sidecar", "chaperone-controlplane"."""
        done = subprocess.run(["pgrep", "-P", str(self.process.pid), "-f", name],
                              capture_output=True, text=True, check=False)
        pids = [int(p) for p in re.findall(r"\d+", done.stdout)]
        assert len(pids) == 1, f"{name}: {pids}"
        return pids[0]
