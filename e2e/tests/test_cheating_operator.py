"""Whoever runs the control plane changes its database: what an auditor finds who asks it for all records, and keeps
a checkpoint and the log's key."""

import contextlib
import hashlib
import json
import os
import re
import shutil
import sqlite3
import struct
import zipfile

import pytest
from support import sections
from support.parts import Parts
from test_log import Log, records, wait_for_state, work

EARLY, STATEMENTS = 60, 300  # together more than a tile


class Fleet:
    """A control plane with records, stopped; each test has its data as they were then."""

    def __init__(self, postgres, directory):
        self.stack = stack = Parts(postgres)
        self.log, self.kept = Log(stack), str(directory / "kept")
        # What has arrived before the rest begins is in batches of its own, however slow the machine is.
        work(stack, "cheat_first", EARLY)
        work(stack, "cheat_first", STATEMENTS)
        stack.psql("-c", "SELECT 'before'", PGAPPNAME="cheated")
        self.session = stack.conversation("cheated")[0]["session"]
        self.log.wait(records(stack))
        stack.chaperone("audit", "checkpoint", "--save", self.kept)
        with open(self.kept + ".keys", encoding="utf-8") as f:
            self.key = next(x for x in f.read().splitlines() if x and not x.startswith("#"))
        package = str(directory / "all.zip")
        stack.chaperone("audit", "export", "--out", package)
        self.bytes = dict(records_of(package))
        stack.sidecar.stop()  # it would ship again what the control plane has lost
        stack.controlplane.stop()
        self.backup = str(directory / "backup")
        shutil.copytree(self.log.data, self.backup)

    @contextlib.contextmanager
    def cheated(self, *changes):
        """With these done to the database: a function of it, or SQL with its parameters."""
        shutil.rmtree(self.log.data)
        shutil.copytree(self.backup, self.log.data)
        with sqlite3.connect(os.path.join(self.log.data, "controlplane.db")) as database:
            for change in changes:
                if callable(change):
                    change(database)
                else:
                    assert database.execute(*change).rowcount != 0, change
        database.close()
        self.stack.start_controlplane()
        try:
            yield self.stack
        finally:
            self.stack.controlplane.stop()

    def position(self, kind=11, number=0):
        """Of the session's intents, say."""
        with sqlite3.connect(os.path.join(self.backup, "controlplane.db")) as database:
            found = sections.positions(database, self.session, kind)
        database.close()  # its -wal goes with it, and not while the directory is copied
        return found[number]

    def cut(self):
        """The first position behind a hundred that begins a batch."""
        with sqlite3.connect(os.path.join(self.backup, "controlplane.db")) as database:
            first = sections.batch_of(database, 100)[1] + 1
        database.close()
        assert 100 < first < len(self.bytes)
        return first

    def verify(self):
        run = self.stack.chaperone("audit", "verify", "--json", "--log-key", self.key, "--checkpoint", self.kept,
                                   check=False)
        said = json.loads(run.stdout) if run.stdout else {"problems": []}
        return run.returncode, said["problems"], run.stderr

    def is_halted(self, stack):
        """No checkpoint is made of these records, and whoever asks is told why."""
        wait_for_state(stack, "forked")
        code, problems, said = self.verify()
        assert (code, problems) == (1, []), said
        assert re.search(r"the log has stopped: the first \d+ records are not those that were signed", said), said


def records_of(package):
    """(position, canonical bytes)"""
    with zipfile.ZipFile(package) as file:
        for name in sorted(n for n in file.namelist() if "/records/" in n):
            content, at = file.read(name), 0
            while at < len(content):
                position, size = struct.unpack_from(">QI", content, at)
                yield position, content[at + 12:at + 12 + size]
                at += 12 + size


@pytest.fixture(scope="module")
def fleet(postgres, tmp_path_factory):
    made = Fleet(postgres, tmp_path_factory.mktemp("cheating"))
    yield made
    made.stack.close()


IN_SESSION = "session IN (SELECT id FROM audit_session WHERE session = ?)"


def forged(fleet, position):
    bad = fleet.bytes[position].replace(b"'before'", b"'afters'")
    assert bad != fleet.bytes[position]
    return bad


def test_nothing_was_changed(fleet):
    with fleet.cheated():
        assert fleet.verify()[:2] == (0, [])


def test_other_bytes(fleet):
    at = fleet.position()
    others = {**fleet.bytes, at: forged(fleet, at)}
    with fleet.cheated(lambda database: sections.set_content(database, at, others)):
        code, problems, _ = fleet.verify()
        assert code == 1 and ("changed", at) in {(p["kind"], p["position"]) for p in problems}


def test_other_bytes_with_their_hash(fleet):
    """The log's directory is made from the hashes of the store: it must not become that of the forged one."""
    at = fleet.position()
    bad = forged(fleet, at)
    with fleet.cheated(lambda database: sections.set_content(database, at, {**fleet.bytes, at: bad}),
                       lambda database: sections.set_hash(database, at, hashlib.sha256(b"\0" + bad).digest())) as stack:
        fleet.is_halted(stack)


def test_another_hash_far_back(fleet):
    """In a tile that is full, and looked at after the start."""
    with fleet.cheated(lambda database: sections.set_hash(database, 100, bytes(32))) as stack:
        wait_for_state(stack, "forked")


def test_two_records_in_each_others_place(fleet):
    first, second = fleet.position(number=0), fleet.position(kind=13)
    others = {**fleet.bytes, first: fleet.bytes[second], second: fleet.bytes[first]}

    def exchange(database):
        old = sections.set_hash(database, first, bytes(32))
        sections.set_hash(database, first, sections.set_hash(database, second, old))
        for at, kind in ((first, 13), (second, 11)):
            sections.set_kind(database, at, kind)
            sections.set_content(database, at, others)
    with fleet.cheated(exchange) as stack:
        fleet.is_halted(stack)


def test_one_batch_less(fleet):
    at = fleet.position()
    with fleet.cheated(lambda database: sections.delete_batches(database, *sections.batch_of(database, at))) as stack:
        fleet.is_halted(stack)


def test_the_newest_records_less(fleet):
    cut = fleet.cut()
    with fleet.cheated(lambda database: sections.delete_batches(database, cut, 1 << 62)) as stack:
        wait_for_state(stack, "rolled_back")
        code, problems, said = fleet.verify()
        assert (code, problems) == (1, [])
        # With what the control plane has written itself since.
        there = int(re.search(r"the log has stopped: there are (\d+)", said).group(1))
        assert cut - 1 <= there < cut + 9


def test_and_their_checkpoints(fleet):
    """A tail, and everything that says that it was there: only the one who kept a checkpoint knows."""
    shutil.copytree(fleet.backup, fleet.backup + ".whole")
    shutil.rmtree(os.path.join(fleet.backup, "log"))
    if os.path.exists(os.path.join(fleet.backup, "log.signed")):
        os.unlink(os.path.join(fleet.backup, "log.signed"))
    cut = fleet.cut()
    try:
        with fleet.cheated(lambda database: sections.delete_batches(database, cut, 1 << 62),
                           ("DELETE FROM log_checkpoint WHERE size >= ?", (cut,))) as stack:
            wait_for_state(stack, "signing")
            code, problems, _ = fleet.verify()
            assert code == 1 and {p["kind"] for p in problems} & {"older", "forked", "truncated"}, problems
            told = stack.chaperone("audit", "checkpoint", "--since", fleet.kept, check=False)
            assert told.returncode == 1 and "ALARM" in told.stderr
    finally:
        shutil.rmtree(fleet.backup)
        os.rename(fleet.backup + ".whole", fleet.backup)


def test_another_root_in_a_checkpoint(fleet):
    with fleet.cheated(("UPDATE log_checkpoint SET root = ? WHERE size = (SELECT max(size) FROM log_checkpoint)",
                        (bytes(32),))) as stack:
        wait_for_state(stack, "forked", "foreign")


def test_filed_under_another_agent(fleet):
    """What searches and filtered exports go by is in no proof, but each record says whose it is."""
    with fleet.cheated(("INSERT INTO audit_name (name) VALUES ('nobody')", ()),
                       ("UPDATE audit_section SET identity = (SELECT id FROM audit_name WHERE name = 'nobody') WHERE "
                        + IN_SESSION, (fleet.session,))):
        code, problems, _ = fleet.verify()
        assert code == 1 and ("changed", fleet.position()) in {(p["kind"], p["position"]) for p in problems}
        assert all(p["kind"] == "changed" and 'agent "nobody"' in p["text"] for p in problems)


def test_filed_under_another_session(fleet):
    with fleet.cheated(("UPDATE audit_session SET session = 'another' WHERE session = ?", (fleet.session,))):
        code, problems, said = fleet.verify()
        # It cannot be opened under another session's name.
        assert (code, problems) == (1, []) and "was changed in the database" in said


def test_filed_as_another_kind(fleet):
    at = fleet.position()
    with fleet.cheated(lambda database: sections.set_kind(database, at, 15)):
        code, problems, _ = fleet.verify()
        assert code == 1 and ("changed", at) in {(p["kind"], p["position"]) for p in problems}


def test_erased_and_not_said(fleet):
    """What retention erases is recorded before: content that is only hidden under that name is no retention."""
    with fleet.cheated(("UPDATE audit_section SET form = 2, content = x'' WHERE " + IN_SESSION, (fleet.session,)),
                       ("DELETE FROM audit_content_key WHERE " + IN_SESSION, (fleet.session,))):
        code, problems, _ = fleet.verify()
        assert code == 2 and [p["kind"] for p in problems] == ["unchecked"]
        assert fleet.session in problems[0]["text"] and "no record says who erased" in problems[0]["text"]
