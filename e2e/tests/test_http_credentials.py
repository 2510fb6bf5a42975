"""Who asks, and as whom the target is asked: the agent's token, and the target's credential, which no agent sees."""

import base64
import json
import time

import pytest
from support.http_stack import API_KEY, BEARER, CLIENT_SECRET, OTHER, PASSWORD, Raw, request
from support.manual import write

BASIC = base64.b64encode(f"bot:{PASSWORD}".encode()).decode()
CREDENTIALS = {  # resource: what the target sees, what must not be seen
    "crm": ("authorization", f"Bearer {BEARER}", BEARER),
    "basic": ("authorization", f"Basic {BASIC}", PASSWORD),
    "apikey": ("x-api-key", API_KEY, API_KEY),
}


def seen_by(node, url):
    (found,) = node.log.requests(url=url)
    return {}, [(n.lower(), v) for n, v in found["headers"]], found


@pytest.mark.parametrize("resource", CREDENTIALS)
def test_the_target_sees_the_credential_and_nobody_else(web, web_node, resource):
    name, value, secret = CREDENTIALS[resource]
    mine = "of-the-agent"
    url = f"/echo?credential={resource}"
    answer = request(web.url(resource, url), headers={name: mine, "x-other": "stays"})
    _, headers, _ = seen_by(web_node, url)
    assert [v for n, v in headers if n == name] == [value]  # in place of the agent's own
    assert ("x-other", "stays") in headers
    # The target gave it back, in a body; the agent gets something else.
    seen = answer.json()
    assert secret.encode() not in answer.body and BASIC.encode() not in answer.body
    assert [v for n, v in seen["headers"] if n.lower() == name] and mine not in json.dumps(seen)
    records = json.dumps(web.exchange(f"GET {url}"))
    assert secret not in records and BASIC not in records and mine not in records


@pytest.mark.parametrize("resource", ["basic", "apikey"])
@pytest.mark.parametrize("coding", ["identity", "gzip", "deflate", "br", "zstd"])
@pytest.mark.parametrize("step", [0, 1, 7])
def test_an_echoed_credential_is_masked_in_all_codings(web, web_node, resource, coding, step):
    _, value, secret = CREDENTIALS[resource]
    path = f"/coded/{coding}?what=echo&step={step}"
    direct = request(web_node.url() + path, headers={"x-api-key": value})
    assert value.encode() in decode(direct)  # the test can see it
    answer = request(web.url(resource, path))
    text = decode(answer)
    assert secret.encode() not in text and BASIC.encode() not in text and secret.encode() not in answer.body
    assert isinstance(json.loads(text), dict)  # and it is still JSON


def decode(answer):
    import gzip  # pylint: disable=import-outside-toplevel
    import io  # pylint: disable=import-outside-toplevel
    import zlib  # pylint: disable=import-outside-toplevel

    import brotli  # pylint: disable=import-outside-toplevel
    import zstandard  # pylint: disable=import-outside-toplevel
    decoders = {None: lambda b: b, "gzip": gzip.decompress, "deflate": zlib.decompress, "br": brotli.decompress,
                "zstd": lambda b: zstandard.ZstdDecompressor().stream_reader(io.BytesIO(b), read_across_frames=True).read()}
    return decoders[answer.header("content-encoding")](answer.body)


@pytest.mark.parametrize("resource", CREDENTIALS)
def test_a_credential_in_a_header_of_the_answer(web, resource):
    name, _, secret = CREDENTIALS[resource]
    answer = request(web.url(resource, "/a/../echo-headers" if resource == "crm" else "/echo-headers"))
    if resource == "crm":
        return  # no rule allows it: nothing is shown
    assert answer.status == 200
    assert secret not in json.dumps(answer.headers) and BASIC not in json.dumps(answer.headers)
    assert f"x-echo-{name}" in answer.headers


@pytest.mark.parametrize("encode", [
    lambda s: s, lambda s: base64.b64encode(s.encode()).decode(), lambda s: base64.b64encode(b"x" + s.encode()).decode(),
    lambda s: base64.b64encode(b"xy" + s.encode()).decode(), lambda s: s.encode().hex(),
    lambda s: s.replace("-", "%2D"), lambda s: s.replace("t", "\\u0074"),
], ids=["plain", "base64", "base64-1", "base64-2", "hex", "percent", "json"])
def test_forms_in_which_a_credential_may_come_back(web, encode):
    """The agent cannot know it; a target might say it in many ways."""
    text = json.dumps({"a": "b"})[:-1] + f', "said": "{encode(API_KEY)}"}}'
    answer = request(web.url("apikey", "/echo-raw"), "POST", {"Content-Type": "application/json"}, text.encode())
    assert answer.status == 200 and encode(API_KEY).encode() not in answer.body
    assert API_KEY not in json.dumps(answer.json())


def test_mutual_tls(web, web_node):
    assert request(web.url("mtls", "/echo?mtls")).status == 200
    (seen,) = web_node.log.requests(url="/echo?mtls")
    assert seen["kind"] == "mtls" and seen["client"] == "chaperone-client"


def test_a_wrong_client_certificate(own_web, web_node, web_certificates):
    sidecar = own_web(address=web_node.url("mtls"), resource={"tls": {"ca_file": web_certificates.ca}}, credential={
        "client_certificate": {"certificate": {"file": web_certificates.stranger[0]},
                               "key": {"file": web_certificates.stranger[1]}}})
    answer = request(sidecar.url("app", "/x"))
    assert answer.status in (502, 503) and answer.problem()


def test_a_target_that_nobody_vouches_for(own_web, web_node, web_certificates):
    mark = web_node.log.mark()
    sidecar = own_web(address=web_node.url("tls"), resource={"tls": {"ca_file": web_certificates.stranger[0]}})
    answer = request(sidecar.url("app", "/x"))
    assert answer.status in (502, 503) and "certificate" in answer.problem()["detail"]
    assert not web_node.log.requests(mark)


def test_oauth2(web, web_node, web_oauth):
    answer = request(web.url("oauth", "/echo?oauth=1"))
    (seen,) = web_node.log.requests(url="/echo?oauth=1")
    token = web_oauth.tokens[-1]
    assert ["authorization", f"Bearer {token}"] in [[n.lower(), v] for n, v in seen["headers"]]
    assert token.encode() not in answer.body
    authorization, form = web_oauth.asked[-1]
    assert base64.b64decode(authorization.removeprefix("Basic ")).decode() == f"chaperone:{CLIENT_SECRET}"
    assert form["grant_type"] == "client_credentials" and form["scope"] == "a b"
    count = len(web_oauth.asked)
    for _ in range(3):
        assert request(web.url("oauth", "/text")).status == 200
    assert len(web_oauth.asked) == count  # it is kept while it is good


def test_an_oauth2_server_that_refuses(own_web, web_oauth, web_secrets):
    sidecar = own_web(credential={"oauth2": {"token_url": web_oauth.url, "client_id": "other",
                                             "client_secret_file": web_secrets["client"]}})
    web_oauth.fails = True
    try:
        answer = request(sidecar.url("app", "/x"))
        assert answer.status in (502, 503) and CLIENT_SECRET.encode() not in answer.body
        assert answer.problem()["detail"]
    finally:
        web_oauth.fails = False
    deadline = time.monotonic() + 60
    while request(sidecar.url("app", "/x")).status != 200:  # a failure holds for two seconds
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_a_credential_that_is_renewed(own_web, web_node, tmp_path):
    path = write(str(tmp_path / "token"), "first-token-of-the-target")
    sidecar = own_web(credential={"bearer": {"file": path}})
    assert request(sidecar.url("app", "/echo?renew=1")).status == 200
    write(path, "second-token-of-the-target")
    assert request(sidecar.url("app", "/echo?renew=2")).status == 200
    for n, text in ((1, "first"), (2, "second")):
        (seen,) = web_node.log.requests(url=f"/echo?renew={n}")
        assert f"Bearer {text}-token-of-the-target" in [v for _, v in seen["headers"]]


# ---- the agent's own token


def test_a_token_in_band(own_web, web_node, web_provider):
    sidecar = own_web(identity={"in_band": True}, credential={"none": True})
    answer = request(sidecar.url("app", "/echo?in-band=none"))
    assert answer.status == 401 and "Bearer" in (answer.header("www-authenticate") or "") and answer.problem()
    answer = request(sidecar.url("app", "/echo?in-band=bad"), headers={"Authorization": "Bearer no.token.this"})
    assert answer.status in (401, 403) and answer.problem()
    token = web_provider.token(OTHER)
    answer = request(sidecar.url("app", "/echo?in-band=good"), headers={"Authorization": f"Bearer {token}"})
    assert answer.status == 200
    # It was for the sidecar: the target does not get it.
    (seen,) = web_node.log.requests(url="/echo?in-band=good")
    assert token not in json.dumps(seen)
    intent = sidecar.intent_of("GET /echo?in-band=good")
    assert intent["identity"] == OTHER
    assert token not in json.dumps(sidecar.show(intent["session"]))
    assert not web_node.log.requests(url="/echo?in-band=none") and not web_node.log.requests(url="/echo?in-band=bad")


def test_another_token_on_the_same_connection(own_web, web_node, web_provider):
    sidecar = own_web(identity={"in_band": True})
    one, other = web_provider.token(OTHER), web_provider.token("agent-7")
    with Raw(sidecar.port) as raw:
        assert raw.get("/echo?same=1", f"Authorization: Bearer {one}").status == 200
        assert raw.get("/echo?same=2", f"Authorization: Bearer {one}").status == 200
        assert raw.get("/echo?same=3", f"Authorization: Bearer {other}").status in (401, 421)
    assert not web_node.log.requests(url="/echo?same=3")
