"""The CA of the explicit proxy, while the configuration changes."""

import os
import signal
import subprocess

import pytest
from support.manual import write


def ask(proxy, url, ca=None):
    """(curl's exit code, what it got)"""
    done = subprocess.run(["curl", "-sS", "--max-time", "20", "--proxy", f"http://127.0.0.1:{proxy.proxy_port}", "--cacert",
                           ca or proxy.proxy_ca, "-o", "/dev/null", "-w", "%{http_code}", url],
                          capture_output=True, text=True, check=False, timeout=60)
    return done.returncode, done.stdout


def reload(proxy, event):
    write(proxy.config_file, proxy.config)
    before = proxy.part.mark()
    proxy.part.signal(signal.SIGHUP)
    proxy.part.wait_for(event, after=before)


@pytest.fixture
def proxy(web_fleet):
    made = web_fleet.http_sidecar(["crm"], proxy={"open.test": "open"})
    yield made
    made.stop()


def settings(proxy):
    return proxy.config["listeners"][-1]["proxy"]


def test_an_added_host_needs_another_ca(proxy):
    assert ask(proxy, "https://open.test/text") == (0, "200")
    settings(proxy)["hosts"]["crm.test"] = "crm"
    reload(proxy, "reload_failed")
    assert "is a CA for other hosts than \\\"crm.test\\\"" in proxy.part.log()
    assert ask(proxy, "https://open.test/text") == (0, "200")  # as before
    assert ask(proxy, "https://crm.test/customers/1")[0] == 56
    old = write(os.path.join(proxy.dir, "old.pem"), open(proxy.proxy_ca, encoding="ascii").read())
    os.remove(proxy.proxy_ca)
    os.remove(os.path.join(proxy.state, "proxy-ca.key"))
    reload(proxy, "reloaded")
    assert ask(proxy, "https://crm.test/customers/1") == (0, "200")
    assert ask(proxy, "https://open.test/text", old)[0] == 60  # agents must trust the new one


def test_a_host_may_lead_elsewhere_and_go(proxy, web_node):
    assert ask(proxy, "https://open.test/text") == (0, "200")
    settings(proxy)["hosts"]["open.test"] = "crm"
    reload(proxy, "reloaded")
    assert ask(proxy, "https://open.test/admin/x") == (0, "403")  # by crm's rules
    assert ask(proxy, "https://open.test/customers/1?led=1") == (0, "200")
    assert web_node.log.requests(url="/customers/1?led=1")


def test_a_ca_of_ones_own(proxy):
    certificate, key = os.path.join(proxy.dir, "own.pem"), os.path.join(proxy.dir, "own.key")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", certificate, "-subj",
                    "/CN=Our CA", "-addext", "keyUsage=critical,keyCertSign", "-days", "30"],
                   check=True, capture_output=True, timeout=60)
    os.chmod(key, 0o644)
    settings(proxy)["ca"] = {"certificate": certificate, "key": key}
    settings(proxy)["hosts"]["crm.test"] = "crm"
    reload(proxy, "reload_failed")
    assert "others may read it" in proxy.part.log()
    os.chmod(key, 0o600)
    reload(proxy, "reloaded")
    assert ask(proxy, "https://crm.test/customers/1", certificate) == (0, "200")
    assert ask(proxy, "https://crm.test/customers/1")[0] == 60
