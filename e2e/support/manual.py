"""Control plane and sidecars as an administrator sets them up: each with a configuration of its own
(JSON, which is YAML too), an OpenID provider from outside, and enrolment by join token."""

import json
import os
import shutil
import signal
import subprocess
import tempfile
import threading
import time
import urllib.error
import urllib.request

from support.parts import Part
from support.ports import free_port
from support.stack import CHAPERONE, CONTROLPLANE, SIDECAR, Stack


def write(path, what):
    """A configuration, or a secret as it is; for nobody else to read."""
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w",
              encoding="utf-8") as f:
        f.write(what if isinstance(what, str) else json.dumps(what, indent=1))
    return path


class ControlPlane(Stack):
    """`config`: identity_providers, roles, credentials, resources, grants and what else there is.
    `operator_token` is the token of who searches the audit."""

    def __init__(self, config, operator_token="", env=None):
        # pylint: disable=super-init-not-called
        self.dir = tempfile.mkdtemp(prefix="chaperone-e2e-")
        self.server_port = free_port()
        self.env_more = env or {}
        self.data = os.path.join(self.dir, "controlplane")
        self.ca = os.path.join(self.data, "ca", "ca.pem")
        self.config = {"listen": f"127.0.0.1:{self.server_port}", "data": self.data, **config}
        self.config_file = write(os.path.join(self.dir, "controlplane.yaml"), self.config)
        self.operator_file = write(os.path.join(self.dir, "operator.token"), operator_token)
        self.sidecars = []
        self.part = None
        self.start()

    def start(self):
        write(self.config_file, self.config)
        self.part = Part([CONTROLPLANE, "--config", self.config_file],
                         env=dict(os.environ, **self.env_more))
        self.part.wait_for("listening")

    def reload(self):
        """Reads `config` again, without a new process."""
        write(self.config_file, self.config)
        before = self.part.mark()
        self.part.signal(signal.SIGHUP)
        self.part.wait_for("configuration_reloaded", after=before)

    def push(self, policy):
        """Publishes it; its sidecars go by it when this returns."""
        path = write(os.path.join(self.dir, "policy.json"), policy)
        revision = json.loads(self.chaperone("policy", "push", path, "--json").stdout)["revision"]
        for sidecar in self.sidecars:
            sidecar.part.wait_for("policy_active", revision=revision)

    def command(self, *args, stdin=None):
        """`chaperone-controlplane ...`, for credentials and join tokens."""
        done = subprocess.run([CONTROLPLANE, *args, "--config", self.config_file], input=stdin,
                              check=True, capture_output=True, text=True, timeout=120)
        return done.stdout.strip()

    def sidecar(self, resources, identity, **options):
        made = Sidecar(self, len(self.sidecars), resources, identity, **options)
        self.sidecars.append(made)
        made.start()
        return made

    def stop(self):
        return self.part.stop() if self.part else None

    def close(self):
        codes = [sidecar.stop() for sidecar in self.sidecars] + [self.stop()]
        said = self.logs()
        shutil.rmtree(self.dir, ignore_errors=True)
        assert not any(codes), said  # a sanitizer's last word, too

    def operator(self, token_file=None):
        return ["--server", f"127.0.0.1:{self.server_port}", "--ca", self.ca,
                "--token-file", token_file or self.operator_file]

    def chaperone_as(self, token_file, *args):
        return subprocess.run([CHAPERONE, *args, *self.operator(token_file)], capture_output=True,
                              text=True, check=False, timeout=120)

    def approval_awaited(self, text, token_file):
        """The approval that waits for the operation with this in its text, as somebody sees it who watches."""
        args = [CHAPERONE, "approvals", "watch", "--json", *self.operator(token_file)]
        with subprocess.Popen(args, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as watch:
            timer = threading.Timer(60, watch.kill)
            timer.start()
            try:
                for line in watch.stdout:
                    held = json.loads(line)
                    held = held.get("approval", held)
                    if isinstance(held, dict) and held["state"] == "waiting" and text in held["text"]:
                        return held
            finally:
                timer.cancel()
                watch.kill()
        raise AssertionError(f"{text} is not waited for\n" + self.logs())

    def logs(self):
        return self.part.log() + "".join(s.part.log() for s in self.sidecars if s.part)


class Sidecar(Stack):
    """Listens for each of its resources on a port: `ports`; the first one's is `port`. `identity` is
    that part of its configuration, `listener` what all listeners have."""

    def __init__(self, controlplane, number, resources, identity, database="postgres",
                 listener=None, env=None):
        # pylint: disable=super-init-not-called
        self.controlplane = controlplane
        self.dir = os.path.join(controlplane.dir, f"sidecar-{number}")
        os.mkdir(self.dir, 0o700)
        self.database = database
        self.ports = {name: free_port() for name in resources}
        self.port = next(iter(self.ports.values()))
        self.health_port = free_port()
        self.env_more = env or {}
        self.state = os.path.join(self.dir, "state")
        self.join_token = controlplane.command("join-token", "create")
        self.config = {
            "state": self.state,
            "control_plane": {"server": f"127.0.0.1:{controlplane.server_port}",
                              "ca_file": controlplane.ca,
                              "join_token_file": write(os.path.join(self.dir, "join.token"),
                                                       self.join_token)},
            "identity": identity,
            "health": {"listen": f"127.0.0.1:{self.health_port}"},
            "listeners": [{"resource": name, "listen": f"127.0.0.1:{port}", **(listener or {})}
                          for name, port in self.ports.items()],
        }
        self.config_file = os.path.join(self.dir, "sidecar.yaml")
        self.part = None

    def start(self, prefix=(), limits=()):
        """`prefix`: a command that runs it as somebody else, say; `limits` as in Part."""
        write(self.config_file, self.config)
        self.part = Part([*prefix, SIDECAR, "--config", self.config_file], limits,
                         env=dict(os.environ, **self.env_more))
        self.part.wait_for("listening")
        deadline = time.monotonic() + 60
        while self.ask("/readyz") is None:
            assert time.monotonic() < deadline, "not ready\n" + self.logs()
            with self.part.changed:
                self.part.changed.wait(0.05)  # what it needs next is not always said

    def ask(self, path):
        """The answer of the health port; None when it is not 200."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.health_port}{path}",
                                        timeout=60) as answer:
                return answer.read().decode()
        except urllib.error.HTTPError:
            return None

    def stop(self):
        return self.part.stop() if self.part else None

    def operator(self):
        return self.controlplane.operator()

    def logs(self):
        return self.controlplane.logs()


def postgres_resource(server, **more):
    """(resources, credentials) for a PostgreSQL of the tests."""
    return ([{"name": "db", "protocol": "postgres", "address": f"127.0.0.1:{server.port}",
              "databases": ["*"], "database": "postgres", "tls": {"mode": "disable"},
              "credential": "db", **more}],
            [{"name": "db", "user": "postgres", "password": {"env": "TARGET_PASSWORD"}}])
