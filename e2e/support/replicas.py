"""Several control planes on one PostgreSQL, and sidecars that know all of them."""

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import time

from support.manual import ControlPlane, Sidecar, postgres_resource, write
from support.parts import Part
from support.ports import free_port
from support.postgres import PASSWORD, Postgres
from support.stack import CONTROLPLANE

SHARED = ("content.key", "credentials.key", "masking.key", "policy.key", "log.key", "log.yaml")


class Store(Postgres):
    """The control planes' PostgreSQL: as in production it syncs, and it can be killed."""

    def __init__(self):
        super().__init__(settings=("fsync=on", "log_statement=none", "restart_after_crash=on"))

    def kill(self):
        """kill -9 of the whole server."""
        with open(os.path.join(self.data, "postmaster.pid"), encoding="ascii") as f:
            os.kill(int(f.readline()), signal.SIGKILL)

    def start_again(self, seconds=60):
        """Its children go by themselves, which takes a moment; until then it does not start."""
        deadline = time.monotonic() + seconds
        while True:
            with contextlib.suppress(subprocess.CalledProcessError):
                self.start()
                return
            assert time.monotonic() < deadline, "PostgreSQL does not start again"


class Member(ControlPlane):
    """One of them. `like`: the one whose keys it shares."""

    def __init__(self, name, directory, config, operator_file, env, like=None):
        # pylint: disable=super-init-not-called
        self.name = name
        self.dir = os.path.join(directory, name)
        os.mkdir(self.dir, 0o700)
        self.server_port = free_port()
        self.env_more = env
        self.data = os.path.join(self.dir, "data")
        self.ca = os.path.join(self.data, "ca", "ca.pem")
        self.config = {"listen": f"127.0.0.1:{self.server_port}", "data": self.data, **config}
        self.config_file = os.path.join(self.dir, "controlplane.yaml")
        self.operator_file = operator_file
        self.sidecars = []
        self.part = None
        if like:
            os.mkdir(self.data, 0o700)
            for key in SHARED:
                shutil.copy2(os.path.join(like.data, key), self.data)
            shutil.copytree(os.path.join(like.data, "ca"), os.path.join(self.data, "ca"))
        write(self.config_file, self.config)

    def launch(self):
        """As `start`, but does not wait for it."""
        self.part = Part([CONTROLPLANE, "--config", self.config_file],
                         env=dict(os.environ, **self.env_more))
        return self.part

    def start(self):
        self.launch().wait_for("listening", seconds=60)

    def kill(self):
        self.part.kill()

    def log_state(self):
        """"signing", "following", ... as it said last."""
        said = [e["state"] for e in self.part.events() if e["event"] == "audit_log"]
        return said[-1] if said else ""

    def checkpoint(self):
        """What it publishes; None before the first."""
        with contextlib.suppress(FileNotFoundError):
            with open(os.path.join(self.data, "log", "checkpoint"), encoding="utf-8") as f:
                return f.read()
        return None


class Replicas:
    """`a` and `b`, on a store; `sidecar("ab")` prefers `a`."""

    def __init__(self, provider, target, store, agent="agent", policy=None):
        self.dir = tempfile.mkdtemp(prefix="chaperone-e2e-")
        self.provider = provider
        self.store = store
        url = write(os.path.join(self.dir, "store.url"), store.url() + "\n")
        resources, credentials = postgres_resource(target)
        config = {
            "store": {"postgres": {"url": {"file": url}}},
            "identity_providers": [{"name": "p", "issuer": provider.issuer,
                                    "audience": provider.resource}],
            "roles": {"admin": ["admins"], "approver": ["dba"], "auditor": ["admins"]},
            "credentials": credentials, "resources": resources,
            "grants": [{"name": "agents", "resources": ["*"], "groups": ["agents"]}],
            "audit_log": {"origin": "replicas.example/audit", "checkpoint_interval": "500ms"},
        }
        operator = write(os.path.join(self.dir, "operator.token"), provider.token("admin"))
        self.agent_file = write(os.path.join(self.dir, "agent.token"), provider.token(agent))
        env = {"TARGET_PASSWORD": PASSWORD}
        self.a = Member("a", self.dir, config, operator, env)
        self.a.start()
        self.b = Member("b", self.dir, config, operator, env, like=self.a)
        self.b.start()
        self.members = {"a": self.a, "b": self.b}
        self.sidecars = []
        if policy:
            self.push(self.a, policy)

    def push(self, member, policy):
        path = write(os.path.join(self.dir, "policy.json"), policy)
        return member.chaperone("policy", "push", path, "--json")

    def sidecar(self, order):
        made = Sidecar(self.members[order[0]], len(self.sidecars), ["db"],
                       {"token_file": self.agent_file})
        servers = [f"127.0.0.1:{self.members[name].server_port}" for name in order]
        made.config["control_plane"]["server"] = servers if len(servers) > 1 else servers[0]
        self.sidecars.append(made)
        made.start()
        return made

    def logs(self):
        return "".join(f"--- {m.name}\n{m.part.log()}" for m in self.members.values() if m.part) + \
            "".join(f"--- sidecar {n}\n{s.part.log()}" for n, s in enumerate(self.sidecars) if s.part)

    def close(self):
        codes = [s.stop() for s in self.sidecars] + [m.stop() for m in self.members.values()]
        said = self.logs()
        shutil.rmtree(self.dir, ignore_errors=True)
        assert not any(codes), said  # a sanitizer's last word, too
