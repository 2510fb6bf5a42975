"""The control plane's log and its witnesses, all of them real: what they sign is checked by other code, and a log that
was brought back from a backup is stopped by what they saw."""

import os
import re
import shutil
import threading
import time

import pytest
from support.certificates import Authority
from support.ports import free_port
from support.translog import cosignature_time, split_note
from support.witness import Witness


class Log:
    """The log of a control plane that runs as a part of its own."""

    def __init__(self, parts):
        self.parts = parts
        self.data = parts.path("controlplane")
        text = parts.read("controlplane/log.yaml")
        self.origin = re.search(r"origin: '([^']+)'", text).group(1)
        self.key = re.search(r"key: '([^']+)'", text).group(1)
        self.configuration = parts.read("controlplane.yaml")

    def configure(self, witnesses, quorum, **ca_files):
        lines = ["audit_log:", "  checkpoint_interval: 200ms", f"  quorum: {quorum}", "  witnesses:"]
        for w in witnesses:
            lines.append(f"    - url: '{w.url.geturl()}'\n      key: '{w.key}'")
            if w in ca_files.get("of", {}):
                lines.append(f"      ca_file: '{ca_files['of'][w]}'")
        self.parts.write("controlplane.yaml", self.configuration + "\n" + "\n".join(lines) + "\n")

    def stop(self):
        assert self.parts.controlplane.stop() == 0

    def start(self):
        self.parts.start_controlplane()
        self.parts.wait_until_ready()

    def checkpoint(self):
        """(size, text, the lines of signatures)"""
        with open(self.data + "/log/checkpoint", encoding="utf-8") as f:
            text, lines = split_note(f.read())
        assert text.split("\n")[0] == self.origin
        return int(text.split("\n")[1]), text, lines

    def grow(self, *witnesses, seconds=60):
        """Something is recorded: until there is a checkpoint of it that these witnesses signed."""
        before = self.size()
        self.parts.psql("-c", f"select {before} as witnessed")
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if self.size() > before:
                size, text, lines = self.checkpoint()
                signed = [line for line in lines if any(line.split(" ")[1] == w.name for w in witnesses)]
                if len(signed) == len(witnesses):
                    for w in witnesses:
                        [line] = [x for x in signed if x.split(" ")[1] == w.name]
                        assert abs(cosignature_time(line, text, w.key) - time.time()) < 60
                    return size
            threading.Event().wait(0.05)
        raise AssertionError(f"no such checkpoint\n{self.parts.logs()}")

    def size(self):
        return self.checkpoint()[0] if os.path.exists(self.data + "/log/checkpoint") else 0


@pytest.fixture
def log(parts):
    return Log(parts())


@pytest.fixture
def witness(tmp_path, log):
    made = []

    def make(name, **files):
        made.append(Witness(tmp_path / name.replace("/", "-"), log.key, name=name, **files))
        return made[-1].start(port=free_port())  # its own also while it is stopped

    yield make
    for w in made:
        w.stop()


def test_two_witnesses_one_of_them_over_tls(log, witness, tmp_path):
    authority, stranger = Authority(tmp_path, "ca"), Authority(tmp_path, "stranger")
    certificate, key = authority.issue("witness", "witness", "IP:127.0.0.1")
    os.chmod(key, 0o600)
    near = witness("near.test/w1")
    far = witness("far.test/w2", tls_cert=certificate, tls_key=key)
    log.stop()
    log.configure([near, far], 2, of={far: authority.certificate})
    log.start()
    first = log.grow(near, far)
    # One is away: with a quorum of two nothing is published, and what waits is made up for.
    mark = log.parts.controlplane.mark()
    near.stop()
    log.parts.psql("-c", "select 'unwitnessed'")
    log.parts.controlplane.wait_for("witness_refused", after=mark, witness="near.test/w1")
    size, _, lines = log.checkpoint()
    assert size >= first
    assert {line.split(" ")[1] for line in lines} == {log.origin, "near.test/w1", "far.test/w2"}
    near.start(port=near.url.port)
    assert log.grow(near, far, seconds=90) > size
    # A certificate that another authority signed is none.
    log.stop()
    log.configure([near, far], 1, of={far: stranger.certificate})
    log.start()
    log.grow(near)
    refused = log.parts.controlplane.wait_for("witness_refused", witness="far.test/w2")
    assert refused["error"] == "unavailable" and "certificate" in refused["reason"]


def test_a_log_that_was_brought_back_from_a_backup(log, witness, tmp_path):
    """All of its own files agree; only the witness knows that there was more."""
    w = witness("w.test/w1")
    log.stop()
    log.configure([w], 1)
    log.start()
    log.grow(w)
    log.stop()
    shutil.copytree(log.data, tmp_path / "backup")
    log.start()
    later = log.grow(w)
    log.parts.sidecar.stop()  # it would go on with what it has sent already
    log.stop()
    shutil.rmtree(log.data)
    shutil.copytree(tmp_path / "backup", log.data)
    before = len(w.entries())
    log.parts.start_controlplane()
    halted = log.parts.controlplane.wait_for("audit_log", seconds=60, state="rolled_back")
    assert "w.test/w1" in halted["reason"], halted
    assert log.size() < later
    # It asked; the witness signed nothing else than it had signed already.
    assert [e for e in w.entries()[before:] if e["event"] == "cosigned"] == []
