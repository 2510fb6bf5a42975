"""`chaperone dev --http` and `chaperone run`: web services without a configuration file, and for one command."""

import json
import os
import signal
import subprocess
import time

import pytest
import requests
from support.stack import CHAPERONE

TOKEN = "dev-token-5f0e2c77"


class Dev:
    """`chaperone dev --dir DIR` with web services only."""

    def __init__(self, directory):
        self.dir = str(directory)
        self.process = self.ready = None

    def start(self, *options):
        with open(os.path.join(self.dir, "said"), "ab") as said:
            self.process = subprocess.Popen([CHAPERONE, "dev", "--dir", os.path.join(self.dir, "stack"), *options],
                                            stdout=subprocess.PIPE, stderr=said, text=True)
        self.ready = self.process.stdout.readline().strip()
        return self.ready

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(60)

    def read(self, name):
        with open(os.path.join(self.dir, name), encoding="utf-8") as f:
            return f.read()

    def url(self, name):
        """Where the listener for it is: what is told to the person."""
        line = [x for x in self.read("said").splitlines() if x.startswith(f"{name}: ")][-1]
        return line.split()[1]

    def chaperone(self, *args):
        return subprocess.run([CHAPERONE, *args, "--dir", os.path.join(self.dir, "stack")], capture_output=True,
                              text=True, check=True, timeout=60).stdout

    def recorded(self, text):
        """All intents, when this one is among them: records arrive a moment after the answer."""
        deadline = time.monotonic() + 60
        while True:
            done = subprocess.run([CHAPERONE, "audit", "search", "--kind", "intent", "--json", "--dir",
                                   os.path.join(self.dir, "stack")], capture_output=True, text=True, check=False,
                                  timeout=60)
            if text in done.stdout:
                return done.stdout
            assert time.monotonic() < deadline, done.stderr
            time.sleep(0.1)


@pytest.fixture
def dev(tmp_path):
    made = Dev(tmp_path)
    yield made
    made.stop()


def with_token(url):
    return url.replace("://", f"://{TOKEN}@")


def test_a_web_service_alone(dev, web_node):
    ready = dev.start("--http", f"crm={with_token(web_node.url())}")
    assert ready == f"ready: curl {dev.url('crm')}/"
    with open(f"/proc/{dev.process.pid}/cmdline", encoding="utf-8") as f:
        assert TOKEN not in f.read()
    answer = requests.get(dev.url("crm") + "/echo?dev=1", timeout=60)
    (seen,) = web_node.log.requests(url="/echo?dev=1")
    assert ["authorization", f"Bearer {TOKEN}"] in [list(h) for h in seen["headers"]]
    assert answer.status_code == 200 and TOKEN not in answer.text
    said = dev.recorded("GET /echo?dev=1")
    assert TOKEN not in said
    # As the last time; and the service is not led to any more.
    before = dev.url("crm")
    dev.stop()
    assert dev.start() == f"ready: curl {before}/"
    assert requests.get(before + "/echo?dev=2", timeout=60).status_code == 200
    dev.stop()
    assert dev.start("--http", "crm=") == ""
    assert "--upstream" in dev.read("said") and "--http NAME=URL" in dev.read("said")


def test_a_command_finds_services_and_the_proxy(dev, web_node, tmp_path):
    dev.start("--http", f"crm={with_token(web_node.url())}")
    stack = os.path.join(dev.dir, "stack")
    join = tmp_path / "join"
    join.write_text(dev.chaperone("join-token", "create"))
    server = json.loads(dev.read("stack/cli.json"))["server"]
    config = tmp_path / "run.yaml"
    config.write_text(json.dumps({
        "state": str(tmp_path / "state"),
        "control_plane": {"server": server, "ca_file": f"{stack}/controlplane/ca/ca.pem",
                          "join_token_file": str(join)},
        "identity": {"token_file": f"{stack}/agent.token"},
        "listeners": [{"resource": "crm", "protocol": "http"},
                      {"protocol": "http", "proxy": {"hosts": {"crm.test": "crm"}}}]}))
    done = subprocess.run(
        [CHAPERONE, "run", "--config", str(config), "--", "sh", "-c",
         "curl -sSo /dev/null -w '%{http_code}\\n' $CHAPERONE_HTTP_CRM/customers/1?run=1 https://crm.test/customers/2?run=2; "
         "curl -sS https://elsewhere.test/; echo $? $PGHOST"],
        capture_output=True, text=True, check=False, timeout=120,
        env={**{k: v for k, v in os.environ.items() if not k.startswith("PG")}, "HTTPS_PROXY": "http://corporate:1"})
    assert done.stdout.splitlines()[0] == "200", done.stderr
    assert done.stdout.splitlines()[-1].strip() == "56", done.stdout  # no tunnel, and nothing of PostgreSQL
    assert "HTTPS_PROXY is the sidecar's for the command" in done.stderr and "corporate" not in done.stdout
    assert len(web_node.log.requests(url="/customers/1?run=1")) == 1
    assert len(web_node.log.requests(url="/customers/2?run=2")) == 1
