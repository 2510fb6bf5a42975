"""The explicit proxy: absolute requests and CONNECT, with certificates of a CA that the agent trusts."""

import os
import subprocess

import pytest
import requests
from support.http_stack import Raw
from test_http_clients import curl, node


def proxied(web_proxy, *args, **more):
    return curl("--proxy", f"http://127.0.0.1:{web_proxy.proxy_port}", "--cacert", web_proxy.proxy_ca, *args, **more)


def test_curl_and_http(web_proxy, web_node):
    answer = proxied(web_proxy, "-w", "\n%{http_code}", "http://open.test/echo?proxied=1")
    assert answer.endswith("\n200")
    (seen,) = web_node.log.requests(url="/echo?proxied=1")
    names = [n.lower() for n, _ in seen["headers"]]
    assert "proxy-connection" not in names and "proxy-authorization" not in names
    assert proxied(web_proxy, "-w", "%{http_code}", "-o", "/dev/null", "http://open.test:8080/text") == "200"
    intent, _ = web_proxy.exchange("GET /echo?proxied=1")
    assert intent["resource"] == "open"


@pytest.mark.parametrize("version,said", [("--http1.1", "1.1"), ("--http2", "2")])
def test_curl_and_https(web_proxy, web_node, version, said):
    answer = proxied(web_proxy, version, "-w", "\n%{http_code} %{http_version}", f"https://open.test/echo?connect={said}")
    assert answer.endswith(f"\n200 {said}")
    assert web_node.log.requests(url=f"/echo?connect={said}")
    # The policy is the resource's own.
    assert "403" == proxied(web_proxy, version, "-o", "/dev/null", "-w", "%{http_code}", "https://crm.test/admin/x")
    assert "200" == proxied(web_proxy, version, "-o", "/dev/null", "-w", "%{http_code}", "https://crm.test/customers/1")


def test_the_certificate_is_for_the_host(web_proxy):
    done = subprocess.run(["curl", "-sS", "--max-time", "20", "--proxy", f"http://127.0.0.1:{web_proxy.proxy_port}",
                           "https://open.test/text"], capture_output=True, text=True, check=False)
    assert done.returncode == 60, done.stderr  # nobody but who trusts the CA
    said = subprocess.run(["openssl", "s_client", "-proxy", f"127.0.0.1:{web_proxy.proxy_port}", "-connect", "open.test:443",
                           "-servername", "open.test", "-CAfile", web_proxy.proxy_ca, "-verify_return_error",
                           "-verify_hostname", "open.test"], input="", capture_output=True, text=True, check=False, timeout=30)
    assert "Verify return code: 0 (ok)" in said.stdout, said.stdout + said.stderr


@pytest.mark.parametrize("url", ["http://elsewhere.test/", "https://elsewhere.test/", "https://open.test:8443/",
                                 "http://127.0.0.1/", "http://open.test:81/"])
def test_other_hosts_are_refused(web_proxy, web_node, url):
    mark = web_node.log.mark()
    done = subprocess.run(["curl", "-sS", "--max-time", "20", "-w", "%{http_code} %{http_connect}", "-o", "/dev/null", "--cacert",
                           web_proxy.proxy_ca, "--proxy", f"http://127.0.0.1:{web_proxy.proxy_port}", url],
                          capture_output=True, text=True, check=False)
    assert done.stdout.strip() in ("403 000", "000 403"), (done.stdout, done.stderr)
    assert not web_node.log.requests(mark)


def test_no_tunnel_to_another_host(web_proxy, web_node):
    """Within a tunnel to one host, requests name another one."""
    import ssl  # pylint: disable=import-outside-toplevel
    context = ssl.create_default_context(cafile=web_proxy.proxy_ca)
    mark = web_node.log.mark()
    with Raw(web_proxy.proxy_port) as raw:
        raw.send(b"CONNECT open.test:443 HTTP/1.1\r\nHost: open.test:443\r\n\r\n")
        assert raw._until(b"\r\n\r\n").startswith(b"HTTP/1.1 200")  # pylint: disable=protected-access
        raw.socket = context.wrap_socket(raw.socket, server_hostname="open.test")
        assert raw.get("/text", host="crm.test").status in (400, 403, 421)
    assert not web_node.log.requests(mark)


def test_what_is_in_a_tunnel_must_be_tls(web_proxy, web_node):
    mark = web_node.log.mark()
    with Raw(web_proxy.proxy_port) as raw:
        raw.send(b"CONNECT open.test:443 HTTP/1.1\r\nHost: open.test:443\r\n\r\n")
        assert raw._until(b"\r\n\r\n").startswith(b"HTTP/1.1 200")  # pylint: disable=protected-access
        raw.send(b"GET /text HTTP/1.1\r\nHost: open.test\r\n\r\n")
        assert raw.is_closed()
    assert not web_node.log.requests(mark)


def test_requests_by_environment(web_proxy, monkeypatch):
    proxy = f"http://127.0.0.1:{web_proxy.proxy_port}"
    for name, value in (("http_proxy", proxy), ("https_proxy", proxy), ("REQUESTS_CA_BUNDLE", web_proxy.proxy_ca),
                        ("no_proxy", "")):
        monkeypatch.setenv(name, value)
    for url in ("http://open.test/customers/4", "https://open.test/customers/4", "https://web.test/customers/4"):
        assert requests.get(url, timeout=30).json()["id"] == 4
    assert requests.get("http://elsewhere.test/", timeout=30).status_code == 403


def test_undici_through_the_proxy(web_proxy):
    found = node("""
import { ProxyAgent, request } from 'undici';
import { readFileSync } from 'node:fs';
const [proxy, ca] = process.argv.slice(1);
const dispatcher = new ProxyAgent({ uri: proxy, requestTls: { ca: readFileSync(ca) } });
const found = [];
for (const url of ['https://open.test/customers/6', 'https://web.test/customers/7']) {
  found.push((await (await request(url, { dispatcher })).body.json()).id);
}
console.log(JSON.stringify(found));
process.exit(0);
""", f"http://127.0.0.1:{web_proxy.proxy_port}", web_proxy.proxy_ca)
    assert found == [6, 7]


@pytest.mark.timeout(300)
def test_a_browser(web_proxy, web_node, tmp_path):
    """Chromium trusts the CA by its own store; the page's script fetches more."""
    store = tmp_path / ".pki" / "nssdb"
    store.mkdir(parents=True)
    for args in (["-N", "--empty-password"], ["-A", "-t", "C,,", "-n", "proxy", "-i", web_proxy.proxy_ca]):
        subprocess.run(["certutil", "-d", f"sql:{store}", *args], check=True, capture_output=True)
    mark = web_node.log.mark()
    done = subprocess.run([
        "chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
        "--disable-background-networking", "--disable-component-update", f"--user-data-dir={tmp_path}/profile",
        f"--proxy-server=http://127.0.0.1:{web_proxy.proxy_port}", "--virtual-time-budget=10000", "--dump-dom",
        "https://open.test/page"], capture_output=True, text=True, check=False, timeout=250,
        env=dict(os.environ, HOME=str(tmp_path)))
    assert "fetched Customer 3" in done.stdout, done.stdout[:2000] + done.stderr[-2000:]
    assert [r["url"] for r in web_node.log.requests(mark) if r["url"] in ("/page", "/customers/3")] == ["/page", "/customers/3"]


def test_the_authority_stays(own_web, web_node):
    """The CA is made once; a restart has the same."""
    sidecar = own_web([{"name": "all", "effect": "allow"}], proxy={"app.test": "app"})
    with open(sidecar.proxy_ca, encoding="ascii") as f:
        before = f.read()
    key = os.path.join(sidecar.state, "proxy-ca.key")
    assert os.stat(key).st_mode & 0o077 == 0
    sidecar.stop()
    sidecar.start()
    with open(sidecar.proxy_ca, encoding="ascii") as f:
        assert f.read() == before
    assert "200" == proxied(sidecar, "-o", "/dev/null", "-w", "%{http_code}", "https://app.test/text")
    assert web_node.log.requests(url="/text")
