"""Bodies that are larger than memory: a gigabyte each way, and the sidecar stays as it is."""

import hashlib
import json
import os
import subprocess
import time

import pytest
from support.http_stack import Raw, request
from support.memory import is_sanitized
from support.stack import SIDECAR

GIGABYTE = 1 << 30
SIZE = GIGABYTE // 16 if os.path.exists(SIDECAR) and is_sanitized(SIDECAR) else GIGABYTE
MORE_KB = 200_000 if SIZE < GIGABYTE else 12_000  # than before
VERSIONS = ["--http1.1", "--http2-prior-knowledge"]


def measured(sidecar, *command):
    """What the command wrote; nothing but some buffers was kept meanwhile."""
    before = peak = sidecar.memory_kb()
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as running:
        deadline = time.monotonic() + 270
        while running.poll() is None:
            assert time.monotonic() < deadline
            peak = max(peak, sidecar.memory_kb())
            time.sleep(0.02)  # twenty megabytes pass meanwhile
        assert running.returncode == 0, running.stderr.read()
        said = running.stdout.read()
    assert peak - before < MORE_KB, f"{before} KB before, {peak} KB at most"
    return said


@pytest.fixture(scope="module")
def large(web):
    for resource in ("open", "web", "nginx"):
        request(web.url(resource, "/text"))
    return web


@pytest.mark.timeout(300)
@pytest.mark.parametrize("resource,version", [("open", VERSIONS[0]), ("web", VERSIONS[1])])
def test_a_gigabyte_down(large, resource, version):
    url = large.url(resource, f"/large?bytes={SIZE}&down={resource}")
    said = measured(large, "curl", "-sS", version, "-o", "/dev/null", "-w", "%{size_download}", url)
    assert int(said) == SIZE
    outcome = large.outcome_of(f"GET /large?bytes={SIZE}&down={resource}")
    assert outcome["bytes"] == SIZE and outcome["status"] == "success"


@pytest.mark.timeout(300)
@pytest.mark.parametrize("resource,version", [("open", VERSIONS[0]), ("web", VERSIONS[1])])
def test_a_gigabyte_up(large, resource, version, tmp_path):
    path = tmp_path / "large"
    block = os.urandom(1 << 20)
    expected = hashlib.sha256()
    with open(path, "wb") as f:
        for _ in range(SIZE >> 20):
            f.write(block)
            expected.update(block)
    try:
        said = measured(large, "curl", "-sS", version, "-T", str(path), "-H", "Expect:", large.url(resource, f"/upload?up={resource}"))
    finally:
        path.unlink()
    assert json.loads(said) == {"bytes": SIZE, "sha256": expected.hexdigest()}
    outcome = large.outcome_of(f"PUT /upload?up={resource}")
    assert outcome["bytes_in"] == SIZE and outcome["digest_in"].removeprefix("\\x") == expected.hexdigest()


def test_an_agent_that_reads_slowly_holds_up_the_target_only(large):
    """It asks for a gigabyte and reads none of it; others are served, and memory stays."""
    before = large.memory_kb()
    with Raw(large.ports["open"]) as slow:
        slow.send(f"GET /large?bytes={SIZE} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        for n in range(50):
            assert request(large.url("open", f"/customers/{n}")).status == 200
        assert large.memory_kb() - before < MORE_KB
        assert len(slow.socket.recv(1 << 16)) > 0
