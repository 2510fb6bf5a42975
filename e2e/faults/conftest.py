"""Fixtures for what breaks around a sidecar that stands in a network of its own."""

import os
import re

import pytest
from support.disk import Disk
from support.network import Namespace
from support.parts import Parts
from support.postgres import Postgres


@pytest.fixture
def target():
    """One of its own: these tests read all of its log."""
    server = Postgres()
    yield server
    server.close()


@pytest.fixture
def disk(tmp_path):
    made = []

    def make(megabytes, path=None):
        made.append(Disk(path or tmp_path / "disk", megabytes))
        return made[-1]

    yield make
    for d in made:
        d.close()


class Remote(Parts):
    """The sidecar and its agents in a namespace; the control plane and the target reached over a link
    each, `to_control` and `to_target`. Agents use a unix socket, which needs no network."""

    def __init__(self, namespace, target, **options):
        self.namespace = namespace
        self.to_control, self.to_target = namespace.link(), namespace.link()
        self.target = target
        super().__init__(target, **options)

    def start_controlplane(self):
        text = self.read("controlplane.yaml")
        text = re.sub(r'^listen: "127.0.0.1:', 'listen: "0.0.0.0:', text, flags=re.M)
        text = text.replace(f'address: "127.0.0.1:{self.target.port}"',
                            f'address: "{self.to_target.here}:{self.target.port}"')
        self.write("controlplane.yaml", text)
        return super().start_controlplane()

    def configure(self, more):
        text = self.read("sidecar.yaml")
        text = re.sub(r'server: "127.0.0.1:(\d+)"',
                      rf'server: "{self.to_control.here}:\1"\n  server_name: 127.0.0.1', text)
        text = re.sub(r'^    listen: .*$', f'    listen: "unix:{self.socket()}"', text, flags=re.M)
        self.write("sidecar.yaml", text)
        super().configure(more)

    def socket(self):
        return os.path.join(self.dir, ".s.PGSQL.5432")

    def sidecar_command(self):
        return [*self.namespace.prefix(), *super().sidecar_command()]

    def http(self, path, config="sidecar.yaml"):
        with self.namespace.inside():
            return super().http(path, config)

    def env(self, **more):
        return super().env(PGHOST=self.dir, PGPORT="5432", **more)

    def dsn(self, **more):
        return super().dsn(host=self.dir, **{"port": 5432, **more})


@pytest.fixture
def remote(tmp_path):
    """Needs root, for the namespace and its devices."""
    if os.geteuid() != 0 or not os.path.exists("/dev/net/tun"):
        pytest.skip("network namespaces and /dev/net/tun need root")
    server = Postgres(settings=["listen_addresses='*'"])
    namespace = Namespace()
    made = []

    def make(**options):
        made.append(Remote(namespace, server, **options))
        return made[-1]

    with server.access("host all all 10.0.0.0/8 scram-sha-256"):
        yield make
        for stack in made:
            stack.close()
    namespace.close()
    server.close()
