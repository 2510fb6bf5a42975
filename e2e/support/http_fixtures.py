"""Fixtures of the HTTP tests: servers, and one fleet for those that do not break it."""

import os

import pytest

from support.http_stack import (API_KEY, BEARER, CLIENT_SECRET, PASSWORD, HttpControlPlane, http_provider)
from support.http_target import Certificates, Grpc, Nginx, Node, TokenServer
from support.manual import write

HOLD = {"approvers": {"groups": ["approvers"]}}


def rule(name, resources, effect="allow", http=None, **more):
    match = {"resources": resources, **({"http": http} if http else {})}
    return {"name": name, "effect": effect, "match": match, **more}


def policy():
    """What each resource of the shared fleet lets through."""
    mask = [{"fields": ["email", "*_token", "password"], "with": {"partial": {"keep_last": 4}}},
            {"json": ["/customers/*/ssn", "/ssn"], "headers": ["x-customer-email"], "with": {"fixed": "[masked]"}}]
    return {"version": 1, "rules": [
        rule("open", ["open", "web", "nginx", "nginxs", "grpc", "basic", "apikey", "oauth", "mtls"]),
        rule("open-websockets", ["open", "web"], http={"paths": ["/ws"], "websocket": True}),
        rule("read-customers", ["crm"], http={"methods": ["read"], "paths": ["/customers", "/customers/{id}"]}),
        rule("echo", ["crm"], http={"paths": ["/echo/**", "/echo", "/a/**"]}),
        rule("no-admin", ["crm"], "deny", {"paths": ["/admin/**"]}, message="Administration is for people."),
        rule("admin-too", ["crm"], http={"paths": ["/admin/**"]}),
        rule("pay", ["crm"], "hold", {"methods": ["POST"], "paths": ["/payments"]}, hold=HOLD),
        rule("transfer", ["crm"], "hold", {"methods": ["POST"], "paths": ["/transfers"]},
             hold={**HOLD, "mode": "retry", "retry_window": "5m"}),
        rule("now-and-then", ["crm"], http={"paths": ["/limited"]},
             obligations={"rate": {"requests": 3, "per": "10m"}}),
        rule("small-requests", ["crm"], http={"paths": ["/upload"]}, obligations={"max_request_bytes": 1000}),
        rule("small-answers", ["crm"], http={"paths": ["/large", "/coded/**"]}, obligations={"max_response_bytes": 1000}),
        rule("small-orders", ["crm"], http={"methods": ["POST"], "paths": ["/orders"], "body": {
            "/amount": {"max": 100}, "/currency": ["EUR"], "/items/*/sku": ["A-*"]}}),
        rule("expand", ["crm"], http={"paths": ["/search"], "query": {"expand": ["orders", "a*"]}}),
        rule("no-secrets", ["crm"], "deny", {"query": {"expand": ["secrets"]}}),
        rule("team", ["crm"], http={"paths": ["/team"], "headers": {"x-team": ["care"]}}),
        rule("masked", ["masked", "maskedweb"], obligations={"mask": mask}),
        rule("detected", ["detected"], obligations={"mask": [{"detect": ["email"], "with": {"fixed": "[masked]"}}]}),
    ]}


def resources(node, nginx, grpc, oauth, certificates, secrets):
    tls = {"mode": "verify-full", "ca_file": certificates.ca}
    client = {"certificate": {"file": certificates.client[0]}, "key": {"file": certificates.client[1]}}

    def one(name, address, credential):
        return {"name": name, "protocol": "http", "address": address, "credential": credential,
                **({"tls": tls} if address.startswith("https") else {})}

    bearer, none = {"bearer": {"file": secrets["bearer"]}}, {"none": True}
    return [
        one("open", node.url(), none), one("web", node.url("tls"), bearer),
        one("nginx", nginx.url(), none), one("nginxs", nginx.url("tls"), none),
        one("grpc", grpc.url(), bearer), one("crm", node.url(), bearer),
        one("basic", node.url(), {"basic": {"user": "bot", "password_file": secrets["password"]}}),
        one("apikey", node.url("tls"), {"header": {"name": "x-api-key", "value_file": secrets["key"]}}),
        one("mtls", node.url("mtls"), {"client_certificate": client}),
        one("oauth", node.url(), {"oauth2": {"token_url": oauth.url, "client_id": "chaperone",
                                             "client_secret_file": secrets["client"], "scope": "a b"}}),
        one("masked", node.url(), bearer), one("maskedweb", node.url("tls"), none), one("detected", node.url(), none),
    ]


@pytest.fixture(scope="session")
def web_certificates():
    made = Certificates()
    yield made
    made.close()


@pytest.fixture(scope="session")
def web_node(web_certificates):
    running = Node(web_certificates)
    yield running
    running.close()


@pytest.fixture(scope="session")
def web_nginx(web_certificates, web_node):
    running = Nginx(web_certificates, upstream=f"127.0.0.1:{web_node.ports['h1']}")
    yield running
    running.close()


@pytest.fixture(scope="session")
def web_grpc(web_certificates):
    running = Grpc(web_certificates)
    yield running
    running.close()


@pytest.fixture(scope="session")
def web_oauth():
    running = TokenServer()
    yield running
    running.close()


@pytest.fixture(scope="session")
def web_provider():
    running = http_provider()
    yield running
    running.close()


@pytest.fixture(scope="session")
def web_secrets(web_certificates):
    return {name: write(os.path.join(web_certificates.dir, name), text) for name, text in
            (("bearer", BEARER), ("password", PASSWORD), ("key", API_KEY), ("client", CLIENT_SECRET))}


@pytest.fixture(scope="session")
def web_fleet(web_provider, web_node, web_nginx, web_grpc, web_oauth, web_certificates, web_secrets):
    running = HttpControlPlane(
        web_provider, resources(web_node, web_nginx, web_grpc, web_oauth, web_certificates, web_secrets), policy())
    yield running
    running.close()


@pytest.fixture(scope="session")
def web(web_fleet):
    """A sidecar with a listener for each resource."""
    return web_fleet.http_sidecar([r["name"] for r in web_fleet.config["resources"]])


@pytest.fixture(scope="session")
def web_proxy(web_fleet):
    """A sidecar with an explicit proxy, too."""
    return web_fleet.http_sidecar(["crm"], proxy={
        "crm.test": "crm", "open.test": "open", "open.test:8080": "open", "web.test": "web", "masked.test": "masked"})


@pytest.fixture(scope="session")
def web_tls(web_fleet, web_certificates):
    """A sidecar that speaks TLS with the agent."""
    return web_fleet.http_sidecar(["crm"], tls={"open": web_certificates.server, "web": web_certificates.server})


@pytest.fixture
def own_web(web_provider, web_node, web_certificates, web_secrets):
    """make(policy, credential=...): control plane and sidecar with one resource, `app`, for a test that kills or
    changes them."""
    made = []

    def make(rules=None, address=None, credential=None, resource=None, start=True, **more):
        running = HttpControlPlane(web_provider, [{
            "name": "app", "protocol": "http", "address": address or web_node.url(),
            "credential": credential or {"none": True}, **(resource or {})}],
            {"version": 1, "rules": rules} if rules else None)
        made.append(running)
        return running.http_sidecar(["app"], start=start, **more)

    yield make
    for running in made:
        running.close()
