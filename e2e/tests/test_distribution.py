"""What a sidecar makes of a control plane that hands out what it should not: a policy that is none, a
wrong signature, another key, an older revision. The last good one stays, and `policy status` says why."""

import base64
import contextlib
import json
import os
import shutil
import sqlite3
import time

import psycopg
import pytest
from support.parts import Parts
from test_policy import EVERYTHING, NO_CUSTOMERS, active, publish, rules_of, status

DATABASE = "controlplane/controlplane.db"


@pytest.fixture(scope="module")
def fleet(postgres):
    running = Parts(postgres)
    yield running
    running.close()


@contextlib.contextmanager
def while_stopped(fleet):
    """The control plane's files are changed meanwhile."""
    fleet.controlplane.stop()
    yield
    fleet.start_controlplane()
    fleet.wait_until_ready()


def change(fleet, sql, *values):
    with contextlib.closing(sqlite3.connect(fleet.path(DATABASE))) as db, db:
        assert db.execute(sql, values).rowcount == 1


def rejected(fleet, words, revision=None, seconds=60):
    """Waits until the sidecar has refused what it was sent, for this reason."""
    deadline = time.monotonic() + seconds
    while True:
        (sidecar,) = status(fleet)
        if sidecar["state"] == "rejected" and words in sidecar["reason"]:
            assert revision in (None, sidecar["revision"])
            return sidecar
        assert time.monotonic() < deadline, sidecar
        time.sleep(0.05)


def test_a_policy_that_is_none_is_rejected_and_the_last_good_one_stays(fleet):
    revision = publish(fleet, NO_CUSTOMERS)
    with psycopg.connect(fleet.dsn(), autocommit=True) as open_before:
        with while_stopped(fleet):
            change(fleet, "UPDATE policy SET document = substr(document, 1, 40)"
                          " WHERE revision = ?", revision)
        rejected(fleet, "policy:1:41: ", revision + 1)
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="no-customers"):
            open_before.execute("SELECT * FROM customers")
    assert "no-customers" in rules_of(fleet)
    shown = fleet.chaperone("policy", "status").stdout
    assert "rejected" in shown and "policy:1:41: " in shown
    publish(fleet, EVERYTHING)
    assert rules_of(fleet) == "everything"


def test_a_wrong_signature_is_rejected(fleet):
    publish(fleet, NO_CUSTOMERS)
    revision = publish(fleet, EVERYTHING)
    with while_stopped(fleet):
        change(fleet, "INSERT INTO policy (revision, hash, document, signature, public_key, source,"
                      " created_by, created_ns, message) SELECT ?1 + 1, hash, document,"
                      " zeroblob(64), public_key, source, created_by, created_ns, message"
                      " FROM policy WHERE revision = ?1 - 1", revision)
    rejected(fleet, "signature does not hold", revision + 1)
    assert rules_of(fleet) == "everything"
    publish(fleet, EVERYTHING)


def test_the_signature_of_another_revision_is_rejected(fleet):
    publish(fleet, NO_CUSTOMERS)
    revision = publish(fleet, EVERYTHING)
    with while_stopped(fleet):  # good once, and of this very document
        change(fleet, "INSERT INTO policy (revision, hash, document, signature, public_key, source,"
                      " created_by, created_ns, message) SELECT ?1 + 1, hash, document, signature,"
                      " public_key, source, created_by, created_ns, message"
                      " FROM policy WHERE revision = ?1 - 1", revision)
    rejected(fleet, "signature does not hold", revision + 1)
    assert rules_of(fleet) == "everything"
    publish(fleet, EVERYTHING)


def test_the_signature_of_another_key_is_rejected(fleet):
    publish(fleet, NO_CUSTOMERS)
    key = fleet.path("controlplane/policy.key")
    with while_stopped(fleet):
        os.rename(key, key + ".kept")
    rejected(fleet, "another key than the one this sidecar has pinned")
    assert "no-customers" in rules_of(fleet)
    with while_stopped(fleet):
        os.replace(key + ".kept", key)
    publish(fleet, EVERYTHING)
    assert rules_of(fleet) == "everything"


def test_an_older_revision_is_rejected(fleet):
    publish(fleet, EVERYTHING)
    fleet.controlplane.stop()
    shutil.copy(fleet.path(DATABASE), fleet.path("backup.db"))
    fleet.start_controlplane()
    fleet.wait_until_ready()
    newest = publish(fleet, NO_CUSTOMERS)
    with while_stopped(fleet):
        shutil.copy(fleet.path(DATABASE), fleet.path("newest.db"))
        shutil.copy(fleet.path("backup.db"), fleet.path(DATABASE))
    rejected(fleet, f"revision {newest - 1} is older than revision {newest}", newest - 1)
    assert "no-customers" in rules_of(fleet)
    # The next number is taken already, by what the sidecar has.
    path = fleet.path("pushed.yaml")
    fleet.write("pushed.yaml", EVERYTHING + "  - {name: other, effect: allow}\n")
    pushed = json.loads(fleet.chaperone("policy", "push", path, "--json").stdout)
    assert pushed["revision"] == newest
    rejected(fleet, "is another document than the one this sidecar has", newest)
    assert "no-customers" in rules_of(fleet)
    with while_stopped(fleet):
        shutil.copy(fleet.path("newest.db"), fleet.path(DATABASE))
    active(fleet, newest)


def test_a_restarted_sidecar_refuses_as_well(fleet):
    """What it refused to take while it ran it also does not take when it starts."""
    revision = publish(fleet, NO_CUSTOMERS)
    fleet.sidecar.stop()
    with contextlib.ExitStack() as stack:
        fleet.controlplane.stop()
        stack.callback(fleet.wait_until_ready)
        stack.callback(fleet.start_sidecar)
        stack.callback(fleet.start_controlplane)
        change(fleet, "UPDATE policy SET document = x'7b7d', hash = 'x' WHERE revision = ?", revision)
    rejected(fleet, "", revision + 1)
    assert "no-customers" in rules_of(fleet)
    publish(fleet, EVERYTHING)


def test_the_masking_key_is_nowhere_else(fleet):
    with open(fleet.path("controlplane/masking.key"), "rb") as f:
        key = f.read()
    assert len(key) == 32
    assert os.stat(fleet.path("controlplane/masking.key")).st_mode & 0o777 == 0o600
    publish(fleet, EVERYTHING)
    fleet.psql("-c", "SELECT count(*) FROM customers")
    fleet.outcome_of("SELECT count(*) FROM customers")
    fleet.sidecar.stop()  # what it has is on the disk now
    fleet.start_sidecar()
    forms = (key, key.hex().encode(), key.hex().upper().encode(), base64.b64encode(key)[:-2],
             base64.urlsafe_b64encode(key)[:-2])
    seen = 0
    for folder, _, names in os.walk(fleet.dir):
        for name in names:
            path = os.path.join(folder, name)
            if name == "masking.key" or not os.path.isfile(path):
                continue
            try:
                with open(path, "rb") as f:
                    content = f.read()
            except FileNotFoundError:  # what was shipped goes, what is replaced has had another name
                continue
            seen += len(content)
            assert not any(form in content for form in forms), path
    assert seen > 100000  # the spool, the database and the logs were there
