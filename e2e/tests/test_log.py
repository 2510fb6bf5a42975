"""The transparency log of a running control plane, checked by a second implementation, and what
becomes of it when the control plane is killed, or its database is an old one."""

import itertools
import json
import os
import random
import re
import signal
import shutil
import sqlite3
import subprocess
import time

import pytest
from support.stack import CONTROLPLANE
from support.tlog_directory import Directory, Key, check_proof_file, leaf, open_checkpoint, tree_root


# The key of another log (golang.org/x/mod/sumdb/note's example).
STRANGER = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"


@pytest.fixture
def kept(tmp_path, monkeypatch):
    """Where the command keeps what it saw."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path


def data_of(stack):
    config = open(os.path.join(stack.dir, "controlplane.yaml"), encoding="utf-8").read()
    return re.search(r'^data: "?([^"\n]+)"?$', config, re.M).group(1)


class Log:
    """The directory as it is served, with the keys that log.yaml names."""

    def __init__(self, stack):
        self.data = data_of(stack)
        self.directory = Directory(os.path.join(self.data, "log"))

    def keys(self):
        text = open(os.path.join(self.data, "log.yaml"), encoding="utf-8").read()
        return [Key(k) for k in re.findall(r"key: '([^']+)'", text)]

    def verify(self):
        return self.directory.verify(self.keys()[-1])

    def wait(self, size, seconds=60):
        """Until a checkpoint of at least `size` records is published."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                now = int(self.directory.checkpoint().split("\n")[1])
            except FileNotFoundError:
                now = 0
            if now >= size:
                return now
            assert time.monotonic() < deadline, f"{now} of {size} records are signed"
            time.sleep(0.05)


def status(stack):
    return json.loads(stack.chaperone("status", "--json").stdout)


def wait_for_state(stack, *states, seconds=60):
    deadline = time.monotonic() + seconds
    while status(stack)["log"]["state"] not in states:
        assert time.monotonic() < deadline, status(stack)["log"]
        time.sleep(0.1)
    return status(stack)["log"]


def records(stack):
    return status(stack)["records"]


turns = itertools.count(1)


def work(stack, table, rows=5):
    """Returns when all that it made has arrived."""
    name = f"{table} {next(turns)}"
    stack.psql("-c", f"CREATE TABLE IF NOT EXISTS {table} (id int)",
               *(x for n in range(rows) for x in ("-c", f"INSERT INTO {table} VALUES ({n})")), PGAPPNAME=name)
    stack.conversation(name)


# ---- what is served


def test_a_second_implementation_agrees(own_stack, kept):
    stack = own_stack()
    log = Log(stack)
    work(stack, "log_served", 120)
    log.wait(records(stack))
    size, root, entries = log.verify()
    assert size >= 240
    key = log.keys()[-1]
    for position in (1, 2, size // 2, size):
        proof, record = kept / f"{position}.tlog-proof", kept / f"{position}.record"
        stack.chaperone("audit", "prove", str(position), "--out", str(proof), "--record",
                        str(record))
        # An entry is the hash of the record; the leaf is the hash of the entry.
        entry = leaf(record.read_bytes())
        assert entry == entries[position - 1]
        index, of = check_proof_file(proof.read_text(), entry, key)
        assert (index, of >= size) == (position - 1, True)
    # The same log later: its beginning makes the root that was signed before.
    work(stack, "log_served", 200)
    log.wait(records(stack))
    later, _, all_entries = log.verify()
    assert later > size and all_entries[:size] == entries
    assert tree_root([leaf(e) for e in all_entries[:size]]) == root


def test_the_command_checks_what_it_is_told(own_stack, kept):
    stack = own_stack()
    log = Log(stack)
    work(stack, "log_command")
    log.wait(5)
    first = stack.chaperone("audit", "checkpoint", "--save", str(kept / "first"))
    assert "seen for the first time" in first.stderr
    assert open_checkpoint(first.stdout, log.keys()[-1])[0] >= 5
    work(stack, "log_command", 20)
    log.wait(records(stack))
    second = stack.chaperone("audit", "checkpoint", "--since", str(kept / "first"))
    assert "a continuation of what was kept" in second.stderr
    record = stack.search("--kind", "intent")[0]
    shown = stack.chaperone("audit", "prove", f"{record['sidecar']}:{record['sequence']}")
    assert f"position {record['position']}:" in shown.stdout
    assert "proved in the log of" in shown.stdout
    # A new key: whoever kept the old one believes it, for both sign for a while.
    rotated = subprocess.run([CONTROLPLANE, "log", "rotate-key", "--config",
                              os.path.join(stack.dir, "controlplane.yaml")],
                             capture_output=True, text=True, check=True)
    work(stack, "log_command")
    stack.wait_for(lambda r: r["kind"] == "action" and r.get("action") == "log_key")
    log.wait(records(stack))
    third = stack.chaperone("audit", "checkpoint")
    open_checkpoint(third.stdout, *log.keys())
    known, = (kept / "state/chaperone/logs").glob("*.keys")
    assert rotated.stdout.strip() in known.read_text().splitlines()
    # A person who trusts another key: an alarm, and nothing that looks like a checkpoint.
    wrong = stack.chaperone("audit", "checkpoint", "--log-key", STRANGER, check=False)
    assert wrong.returncode == 1 and wrong.stdout == "" and "ALARM" in wrong.stderr


# ---- faults


def test_killed_forty_times(parts, kept):
    stack = parts()
    log = Log(stack)
    work(stack, "log_killed")
    log.wait(1)
    roots = {}
    dice = random.Random(20261121)
    for n in range(40):
        stack.psql("-c", f"INSERT INTO log_killed VALUES ({1000 + n})", check=False)
        if n % 4 == 0:  # not always before it has come to signing
            log.wait(records(stack))
        time.sleep(dice.random() * 0.25)
        stack.controlplane.kill()
        size, root, _ = log.verify()  # whole at any moment
        assert roots.setdefault(size, root) == root
        stack.start_controlplane()
    stack.wait_until_ready()
    work(stack, "log_killed")
    log.wait(records(stack))
    size, _, entries = log.verify()
    leaves = [leaf(e) for e in entries]
    for before, root in roots.items():
        assert tree_root(leaves[:before]) == root
    # One tree for each size that was ever signed, in the store, too.
    stack.controlplane.stop()
    with sqlite3.connect(os.path.join(log.data, "controlplane.db")) as db:
        rows = db.execute("SELECT size, root FROM log_checkpoint").fetchall()
    assert len(rows) > 5
    for before, root in rows:
        assert tree_root(leaves[:before]) == bytes(root), before
    stack.start_controlplane()


def copy_database(log, to):
    shutil.copy(os.path.join(log.data, "controlplane.db"), to)


def restore_database(log, path):
    for end in ("-wal", "-shm"):
        if os.path.exists(os.path.join(log.data, "controlplane.db" + end)):
            os.unlink(os.path.join(log.data, "controlplane.db" + end))
    shutil.copy(path, os.path.join(log.data, "controlplane.db"))


def test_an_older_database_is_noticed_and_a_person_begins_another_log(parts, kept):
    stack = parts()
    log = Log(stack)
    work(stack, "log_restored")
    log.wait(records(stack))
    stack.controlplane.stop()
    copy_database(log, kept / "backup.db")
    stack.start_controlplane()
    stack.wait_until_ready()
    work(stack, "log_restored", 50)
    log.wait(records(stack))
    stack.chaperone("audit", "checkpoint")
    stack.sidecar.stop()  # it would ship again what the control plane has lost
    stack.controlplane.stop()
    signed = log.directory.checkpoint()
    restore_database(log, kept / "backup.db")
    stack.start_controlplane()
    state = wait_for_state(stack, "rolled_back")
    assert "were signed" in state["detail"]
    found = stack.wait_for(lambda r: r["kind"] == "finding" and r["finding"] == "log_rolled_back")
    assert found["detail"] == state["detail"]
    time.sleep(3)  # longer than the interval in which it would sign
    assert log.directory.checkpoint() == signed
    refused = subprocess.run([CONTROLPLANE, "log", "restart", "--reason", "x", "--config",
                              os.path.join(stack.dir, "controlplane.yaml")],
                             capture_output=True, text=True, check=False)
    assert refused.returncode == 1 and "stop it first" in refused.stderr
    stack.controlplane.stop()
    begun = subprocess.run([CONTROLPLANE, "log", "restart", "--reason", "the disk was replaced",
                            "--config", os.path.join(stack.dir, "controlplane.yaml")],
                           capture_output=True, text=True, check=True)
    assert begun.stdout.splitlines()[0].endswith("/audit/2")
    stack.start_controlplane()
    wait_for_state(stack, "signing")
    log.wait(records(stack))
    log.verify()
    # Whoever kept a checkpoint of the log that ended is told.
    told = stack.chaperone("audit", "checkpoint", check=False)
    assert told.returncode == 1 and "ALARM" in told.stderr
    ended = [a for a in stack.search("--kind", "action") if a["action"] == "log_restart"]
    assert [a["reason"] for a in ended] == ["the disk was replaced"]


def test_a_restored_directory_is_noticed_by_who_kept_a_checkpoint(parts, kept):
    """Database and log directory together: nothing here can know, but an auditor does."""
    stack = parts()
    log = Log(stack)
    work(stack, "log_whole")
    log.wait(records(stack))
    stack.sidecar.stop()
    stack.controlplane.stop()
    shutil.copytree(log.data, kept / "backup")
    stack.start_controlplane()
    stack.start_sidecar()
    work(stack, "log_whole", 50)
    log.wait(records(stack))
    stack.chaperone("audit", "checkpoint", "--save", str(kept / "mine"))
    stack.sidecar.stop()
    stack.controlplane.stop()
    shutil.rmtree(log.data)
    shutil.copytree(kept / "backup", log.data)
    stack.start_controlplane()
    wait_for_state(stack, "signing")
    told = stack.chaperone("audit", "checkpoint", "--since", str(kept / "mine"), check=False)
    assert told.returncode == 1 and "ALARM" in told.stderr
    assert "fewer records" in told.stderr
    assert list((kept / "state/chaperone/logs").glob("*.contradiction"))


def test_a_flipped_bit_is_mended(parts, kept):
    stack = parts()
    log = Log(stack)
    work(stack, "log_flipped", 200)
    log.wait(records(stack))
    tile = os.path.join(log.data, "log/tile/0/000")
    stack.controlplane.signal(signal.SIGSTOP)  # it may be about to sign, and would mend it at once
    with open(tile, "r+b") as f:
        f.seek(5 * 32)
        byte = f.read(1)[0]
        f.seek(5 * 32)
        f.write(bytes([byte ^ 0x10]))
    with pytest.raises(AssertionError):
        log.verify()
    stack.controlplane.signal(signal.SIGCONT)
    # A proof that the tile makes wrong is not given; a new checkpoint finds the damage as well.
    asked = stack.chaperone("audit", "prove", "5", check=False)
    assert asked.returncode == 0 or "mended" in asked.stderr
    stack.controlplane.wait_for("log_tile_damaged")
    stack.controlplane.wait_for("log_directory_rebuilt")
    deadline = time.monotonic() + 60
    while (asked := stack.chaperone("audit", "prove", "5", check=False)).returncode != 0:
        assert time.monotonic() < deadline, asked.stderr
    log.verify()
