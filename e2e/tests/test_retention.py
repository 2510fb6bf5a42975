"""Content is erased when it was kept as long as the configuration says, unless a legal hold is about
it; who, where and when stay, and so does its place in the log."""

import json
import os
import signal
import time

import pytest
from support.parts import Parts

DATABASE = "controlplane/controlplane.db"


@pytest.fixture(scope="module")
def kept(postgres):
    running = Parts(postgres)
    yield running
    running.close()


def run_session(stack, word):
    """A session with this word in a statement and in its answer; its id."""
    name = f"retention-{word}"
    stack.psql("-c", f"SELECT '{word}' AS of_{word}", PGAPPNAME=name)
    return stack.conversation(name)[0]["session"]


def keep(stack, rules):
    """Sets the retention, and lets a run begin with it."""
    text = stack.read("controlplane.yaml").split("\nretention:")[0]
    stack.write("controlplane.yaml", f"{text}\nretention: {rules}\n")
    run(stack)


def run(stack):
    mark = stack.controlplane.mark()
    stack.controlplane.signal(signal.SIGHUP)
    stack.controlplane.wait_for("configuration_reloaded", after=mark)


def wait_until(what, stack, seconds=60):
    """Each reload begins a run: what was too young for one is old enough for a later one."""
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, stack.controlplane.log()
        run(stack)
        time.sleep(0.2)


def records_of(stack, session):
    shown = stack.chaperone("audit", "show", session, "--json").stdout
    return [json.loads(line) for line in shown.splitlines()]


def is_erased(stack, session):
    records = records_of(stack, session)
    assert records
    return all("erased" in r for r in records)


def in_database(stack, word):
    for name in (DATABASE, DATABASE + "-wal"):
        path = stack.path(name)
        if os.path.exists(path):
            with open(path, "rb") as f:
                if word.encode() in f.read():
                    return True
    return False


def in_log(stack, position, seconds=60):
    """Waits until a checkpoint has the record."""
    deadline = time.monotonic() + seconds
    while stack.chaperone("audit", "prove", str(position), check=False).returncode != 0:
        assert time.monotonic() < deadline, stack.controlplane.log()
        time.sleep(0.2)


def test_content_is_erased_and_its_place_stays(kept):
    session = run_session(kept, "aardvark")
    before = records_of(kept, session)
    assert in_database(kept, "aardvark")
    saved = kept.path("before.checkpoint")
    in_log(kept, before[-1]["position"])
    kept.chaperone("audit", "checkpoint", "--save", saved)
    # What is searched for is recorded, and stays: another word than the one that is looked for.
    assert kept.search("--text", "of", "--session", session)
    keep(kept, "[{resource: '*', keep: 1s}]")
    wait_until(lambda: is_erased(kept, session), kept)
    after = records_of(kept, session)
    same = ("time", "kind", "session", "sequence", "identity", "resource", "sidecar", "position",
            "hash")
    assert [[r.get(k) for k in same if k != "time"] for r in after] == \
        [[r.get(k) for k in same if k != "time"] for r in before]
    assert "aardvark" not in json.dumps(after)
    assert not kept.chaperone("audit", "search", "--text", "of", "--session", session,
                              check=False).stdout
    shown = kept.chaperone("audit", "show", session).stdout
    assert shown.count("erased on 20") == len(after)
    # An auditor still proves each place, in a log that goes on from what it was.
    grown = kept.chaperone("audit", "checkpoint", "--since", saved)
    assert grown.returncode == 0
    for record in after:
        proved = kept.chaperone("audit", "prove", str(record["position"]))
        assert "erased" in proved.stdout
    assert kept.chaperone("audit", "completeness").returncode == 0
    # Neither in the database nor in its journal, once the run has ended.
    wait_until(lambda: not in_database(kept, "aardvark"), kept)


def test_erasing_is_recorded(kept):
    session = run_session(kept, "bandicoot")
    keep(kept, "[{resource: '*', keep: 1s}]")
    wait_until(lambda: is_erased(kept, session), kept)
    erased = [r for r in kept.search("--kind", "action")
              if r["action"] == "erase" and session in r["sessions"]]
    assert erased
    assert erased[0]["object"].startswith("resource ")
    assert erased[0]["reason"] == "retention: kept for 1 seconds"


def test_a_legal_hold_keeps_until_it_is_lifted(kept):
    keep(kept, "[]")
    held = run_session(kept, "capybara")
    other = run_session(kept, "dingo")
    placed = kept.chaperone("audit", "legal-hold", "add", "--session", held, "--reason", "case 7",
                            "--json")
    hold = json.loads(placed.stdout)
    assert hold["session"] == held and hold["reason"] == "case 7"
    keep(kept, "[{resource: '*', keep: 1s}]")
    wait_until(lambda: is_erased(kept, other), kept)
    run(kept)
    assert not is_erased(kept, held)
    (preview,) = [json.loads(x) for x in
                  kept.chaperone("audit", "retention", "--json").stdout.splitlines()]
    assert preview["keep_s"] == 1 and preview["sessions"] == 0
    listed = kept.chaperone("audit", "legal-hold", "list").stdout
    assert hold["id"] in listed and "case 7" in listed
    lifted = kept.chaperone("audit", "legal-hold", "lift", hold["id"], "--reason", "over", "--json")
    assert json.loads(lifted.stdout)["lifted_by"]
    assert hold["id"] not in kept.chaperone("audit", "legal-hold", "list").stdout
    assert hold["id"] in kept.chaperone("audit", "legal-hold", "list", "--all").stdout
    wait_until(lambda: is_erased(kept, held), kept)
    actions = [(r["action"], r["object"], r.get("reason")) for r in
               kept.search("--kind", "action")]
    assert ("legal_hold", f"session {held}", "case 7") in actions
    assert ("legal_hold_lift", f"session {held}", "over") in actions


def test_a_hold_says_what_and_why(kept):
    for wrong in (["add", "--session", "x"], ["add", "--reason", "why"], ["hold"],
                  ["add", "--session", "x", "--identity", "y", "--reason", "why"],
                  ["lift", "--reason", "why"], ["lift", "x"], ["list", "x"]):
        done = kept.chaperone("audit", "legal-hold", *wrong, check=False)
        assert done.returncode == 2, wrong
    done = kept.chaperone("audit", "legal-hold", "lift", "x", "--reason", "why", check=False)
    assert done.returncode == 1 and "no such hold" in done.stderr


def test_erased_stays_erased_after_a_restart(kept):
    keep(kept, "[]")
    session = run_session(kept, "echidna")
    keep(kept, "[{resource: '*', keep: 1s}]")
    wait_until(lambda: is_erased(kept, session), kept)
    keep(kept, "[]")
    kept.controlplane.kill()
    kept.start_controlplane()
    kept.wait_until_ready()
    assert is_erased(kept, session)
    assert not is_erased(kept, run_session(kept, "ferret"))
