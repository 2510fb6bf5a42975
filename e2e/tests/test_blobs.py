"""Large records in blobs: in a directory, and in an S3-compatible store."""

import json
import os
import sqlite3
import subprocess
import time

import pytest
from support.parts import Parts
from support.s3 import KEY, S3
from support.stack import CONTROLPLANE

DATABASE = "controlplane/controlplane.db"

LARGE = "SELECT '{word}' || repeat(md5(i::text), 4) AS of_{word} FROM generate_series(1, 200) i"


class Kept:
    """A stack whose large records are elsewhere; `files` are those."""

    def __init__(self, postgres, section, files, key=KEY, secret=KEY):
        self.stack = Parts(postgres)
        self.files = files
        self.stack.controlplane_env = dict(os.environ, BLOB_ID=key, BLOB_SECRET=secret)
        self.restart(section(self.stack))

    def restart(self, section=None):
        self.stack.controlplane.stop()
        if section:
            text = self.stack.read("controlplane.yaml").split("\nblobs:")[0]
            self.stack.write("controlplane.yaml", f"{text}\nblobs: {section}\n")
        self.stack.start_controlplane()
        self.stack.wait_until_ready()

    def session(self, word):
        name = f"blobs-{word}"
        self.stack.psql("-c", LARGE.format(word=word), PGAPPNAME=name)
        return self.stack.conversation(name)

    def close(self):
        self.stack.close()


def in_directory(stack):
    return f"{{threshold: 1KiB, directory: {stack.path('blobs')}}}"


def directory_files(stack):
    return [os.path.join(folder, name) for folder, _, names in os.walk(stack.path("blobs"))
            for name in names]


def s3_section(server):
    return (f"{{threshold: 1KiB, s3: {{endpoint: '{server.endpoint}', bucket: {server.bucket}, "
            "region: us-east-1, prefix: records/, timeout: 20s, access_key_id: {env: BLOB_ID}, "
            "secret_access_key: {env: BLOB_SECRET}}}")


@pytest.fixture(scope="module")
def s3():
    server = S3()
    yield server
    server.close()


@pytest.fixture(scope="module", params=["directory", "s3"])
def kept(request, postgres, s3):
    if request.param == "directory":
        running = Kept(postgres, in_directory, None)
        running.files = lambda: directory_files(running.stack)
    else:
        running = Kept(postgres, lambda _: s3_section(s3), s3.files)
    yield running
    running.close()


def contents(files):
    for path in files:
        with open(path, "rb") as f:
            yield f.read()


def names_in_use(stack):
    with sqlite3.connect(stack.path(DATABASE)) as db:
        return {name.hex() for name, in db.execute("SELECT name FROM audit_blob WHERE state = 1")}


def age_waiting(stack):
    """As if the processes that were killed had been killed long ago."""
    with sqlite3.connect(stack.path(DATABASE)) as db:
        db.execute("UPDATE audit_blob SET since_ns = 1 WHERE state = 0")


def test_what_the_agent_saw_is_in_a_blob_and_is_shown(kept):
    before = set(kept.files())
    records = kept.session("ultramarine")
    new = set(kept.files()) - before
    assert new, kept.stack.logs()
    assert not any(b"ultramarine" in c for c in contents(new))
    assert "ultramarine" in json.dumps(records)
    found = kept.stack.search("--text", "of_ultramarine")
    assert any(r["kind"] == "intent" for r in found)


def test_a_package_has_what_is_in_blobs_and_is_verified(kept, tmp_path):
    session = kept.session("vermilion")[0]["session"]
    package = tmp_path / "package.zip"
    deadline = time.monotonic() + 60
    while True:
        done = kept.stack.chaperone("audit", "export", "--session", session, "--out", str(package),
                                    check=False)
        if done.returncode == 0:
            break
        assert time.monotonic() < deadline, done.stderr
        time.sleep(1)
    verified = kept.stack.chaperone("audit", "verify", str(package), check=False)
    assert verified.returncode == 0, verified.stdout + verified.stderr


def flip(path):
    with open(path, "r+b") as f:
        f.seek(20)
        byte = f.read(1)
        f.seek(20)
        f.write(bytes([byte[0] ^ 1]))


def test_a_changed_blob_is_named(kept):
    before = set(kept.files())
    session = kept.session("cerulean")[0]["session"]
    changed = set(kept.files()) - before
    assert changed
    for path in changed:
        flip(path)
    mark = kept.stack.controlplane.mark()
    shown = kept.stack.chaperone("audit", "show", session, "--json", check=False)
    assert shown.returncode != 0
    failed = kept.stack.controlplane.wait_for("audit_search_failed", after=mark)
    assert "the record at position" in failed["reason"]
    assert "was changed" in failed["reason"]
    for path in changed:
        flip(path)
    assert "cerulean" in kept.stack.chaperone("audit", "show", session, "--json").stdout


def test_while_s3_is_away_nothing_is_acknowledged_and_nothing_is_lost(postgres, s3):
    kept = Kept(postgres, lambda _: s3_section(s3), s3.files)
    try:
        kept.session("before")
        s3.stop()
        mark = kept.stack.controlplane.mark()
        kept.stack.psql("-c", LARGE.format(word="meanwhile"), PGAPPNAME="blobs-meanwhile")
        kept.stack.controlplane.wait_for("audit_append_failed", after=mark, error="unavailable")
        s3.start()
        records = kept.stack.conversation("blobs-meanwhile")
        assert "meanwhile" in json.dumps(records)
    finally:
        kept.close()


def test_with_an_unknown_key_nothing_is_taken_and_the_key_is_not_said(postgres, s3):
    section = s3_section(s3).replace("records/", "forged/")
    kept = Kept(postgres, lambda _: section, s3.files, key="stranger", secret="wrong-and-secret")
    try:
        mark = kept.stack.controlplane.mark()
        kept.stack.psql("-c", LARGE.format(word="sienna"), PGAPPNAME="blobs-sienna")
        failed = kept.stack.controlplane.wait_for("audit_append_failed", after=mark)
        assert "403" in failed["reason"]
        assert not any("/forged/" in path for path in s3.files())
        assert "wrong-and-secret" not in kept.stack.controlplane.log()
    finally:
        kept.close()


def test_kill_9_leaves_nothing_behind_that_is_not_found_again(postgres):
    kept = Kept(postgres, in_directory, None)
    kept.files = lambda: directory_files(kept.stack)
    try:
        for i in range(5):
            kept.stack.psql("-c", LARGE.format(word=f"kill{i}"), PGAPPNAME=f"blobs-kill{i}")
            kept.stack.controlplane.kill()
            kept.stack.start_controlplane()
            kept.stack.wait_until_ready()
        for i in range(5):
            assert f"kill{i}" in json.dumps(kept.stack.conversation(f"blobs-kill{i}"))
        kept.stack.controlplane.stop()
        assert names_in_use(kept.stack) <= {os.path.basename(p) for p in kept.files()}
        age_waiting(kept.stack)
        subprocess.run([CONTROLPLANE, "blobs", "sweep", "--config",
                        kept.stack.path("controlplane.yaml")], check=True, capture_output=True)
        assert names_in_use(kept.stack) == {os.path.basename(p) for p in kept.files()}
        kept.stack.start_controlplane()
    finally:
        kept.close()
