"""`chaperone witness`: it signs what extends what it signed before, and nothing else, whoever asks, and whenever it
dies."""

import concurrent.futures
import glob
import http.client
import itertools
import os
import queue
import random
import resource
import signal
import socket
import ssl
import subprocess
import threading
import time

import pytest
from support.certificates import Authority
from support.stack import CHAPERONE
from support.translog import Signer, Tree, b64, checkpoint, note, request
from support.witness import NAME, Witness

ORIGIN = "log.test/audit"


@pytest.fixture
def signer():
    return Signer(ORIGIN)


@pytest.fixture
def witness(tmp_path, signer):
    running = Witness(tmp_path / "witness", signer.text).start()
    yield running
    running.stop()
    assert "ERROR" not in running.log() and '"error"' not in running.log()


def leaves(size, branch="", fork=0):
    """Two branches have the first `fork` leaves in common."""
    return [b"%d" % i + (branch.encode() if i >= fork else b"") for i in range(size)]


def tree_of(size, branch="", fork=0):
    return Tree(leaves(size, branch, fork))


# ---- its key, its directory


def test_key_is_made_once(tmp_path, signer):
    w = Witness(tmp_path / "witness", signer.text)
    bare = [CHAPERONE, "witness", "--dir", w.dir, "--show-key"]
    without_name = subprocess.run(bare, capture_output=True, text=True, timeout=60, check=False)
    assert without_name.returncode == 1 and "--name NAME is needed" in without_name.stderr
    w.start()
    key = w.key
    assert key.startswith(NAME + "+")
    assert os.stat(w.dir + "/key.pem").st_mode & 0o777 == 0o600
    shown = subprocess.run(bare, capture_output=True, text=True, timeout=60, check=True)
    assert shown.stdout == key + "\n"
    assert w.stop() == 0
    w.start()
    assert w.key == key
    assert w.stop(signal.SIGINT) == 130
    other = Witness(w.dir, signer.text, name="other.test").run("--listen", "127.0.0.1:0")
    assert other.returncode == 1 and "this witness has the name " + NAME in other.stderr
    os.chmod(w.dir + "/key.pem", 0o644)
    assert "0600" in w.run("--listen", "127.0.0.1:0").stderr


def test_one_process_has_the_directory(witness):
    second = witness.run("--listen", "127.0.0.1:0")
    assert second.returncode == 1 and "another witness runs in this directory" in second.stderr


def test_says_what_it_is(witness):
    status, _, text = witness.ask(None, "GET", "/")
    assert status == 200 and witness.key in text
    assert witness.ask(None, "GET")[0] == 405
    assert witness.ask(None, "GET", "/other")[0] == 404
    assert witness.ask(b"x", "POST", "/")[0] == 404


@pytest.mark.parametrize("damage", [
    lambda text: text[:-1], lambda text: text.replace("\n3\n", "\n2\n"), lambda text: "", lambda text: text[40:],
    lambda text: text.replace(ORIGIN, "log.test/other")])
def test_what_it_signed_was_changed(tmp_path, signer, damage):
    """It does not start, rather than to take it for nothing."""
    w = Witness(tmp_path / "witness", signer.text).start()
    assert w.submit(signer, tree_of(3), 0)[0] == 200
    w.stop()
    [path] = glob.glob(w.dir + "/seen/*")
    with open(path, encoding="utf-8") as f:
        text = f.read()
    with open(path, "w", encoding="utf-8") as f:
        f.write(damage(text))
    refused = w.run("--listen", "127.0.0.1:0")
    assert refused.returncode == 1 and "is not what this witness wrote" in refused.stderr


def test_another_key_does_not_go_on(tmp_path, signer):
    """What was signed with the lost key is not taken for its own."""
    w = Witness(tmp_path / "witness", signer.text).start()
    assert w.submit(signer, tree_of(3), 0)[0] == 200
    w.stop()
    os.unlink(w.dir + "/key.pem")
    assert w.run("--listen", "127.0.0.1:0").returncode == 1
    os.unlink(w.dir + "/witness.pub")
    refused = w.run("--listen", "127.0.0.1:0")
    assert refused.returncode == 1 and "is not what this witness wrote" in refused.stderr


def test_logs_are_read_again(tmp_path, signer):
    w = Witness(tmp_path / "witness").start()
    later, third = Signer("log.test/later"), Signer("third")
    assert w.count == 0
    assert w.submit(later, tree_of(3), 0)[0] == 404
    with open(w.dir + "/logs", "w", encoding="utf-8") as f:
        f.write(f"# those of the fleet\n\n{later.text}\n{third.text} log.test/with space\n")
    w.process.send_signal(signal.SIGHUP)
    w.wait_for_log('"reloaded"')
    assert w.submit(later, tree_of(3), 0)[0] == 200
    assert w.submit(third, tree_of(3), 0)[0] == 404
    assert w.submit(third, tree_of(3), 0, origin="log.test/with space")[0] == 200
    with open(w.dir + "/logs", "a", encoding="utf-8") as f:
        f.write("nonsense\n")
    w.process.send_signal(signal.SIGHUP)
    w.wait_for_log("/logs:5: not a verifier key")
    assert w.submit(later, tree_of(5), 3)[0] == 200
    assert w.stop() == 0
    assert "/logs:5: not a verifier key" in w.run("--listen", "127.0.0.1:0").stderr


def test_over_tls(tmp_path, signer):
    authority = Authority(tmp_path, "ca")
    certificate, key = authority.issue("witness", "witness", "IP:127.0.0.1")
    os.chmod(key, 0o600)
    w = Witness(tmp_path / "witness", signer.text, tls_cert=certificate, tls_key=key)
    w.context = ssl.create_default_context(cafile=authority.certificate)
    w.start()
    assert w.url.scheme == "https"
    assert w.submit(signer, tree_of(3), 0)[0] == 200
    w.context = ssl.create_default_context(cafile=authority.certificate)
    w.context.maximum_version = ssl.TLSVersion.TLSv1_2
    assert w.submit(signer, tree_of(3), 3)[0] == 200
    w.stop()
    os.chmod(key, 0o644)
    assert "expected mode 0600" in w.run("--listen", "127.0.0.1:0").stderr
    broken = Witness(tmp_path / "witness", signer.text, tls_cert=certificate, tls_key=authority.certificate)
    os.chmod(authority.certificate, 0o600)
    assert broken.run("--listen", "127.0.0.1:0").returncode == 1


# ---- what it signs


def test_an_honest_log(witness, signer):
    """Also across restarts; the same tree again as often as it is asked for."""
    old = 0
    for size in [1, 2, 3, 7, 8, 9, 255, 256, 257, 1000]:
        assert witness.submit(signer, tree_of(size), old)[0] == 200
        assert witness.submit(signer, tree_of(size), size)[0] == 200
        old = size
    witness.stop()
    witness.start()
    assert witness.submit(signer, tree_of(1001), 0) == (409, "text/x.tlog.size", "1000\n")
    assert witness.submit(signer, tree_of(1001), 1000)[0] == 200


def test_other_signatures_go_along(witness, signer):
    text = checkpoint(ORIGIN, 3, tree_of(3).head())
    stranger, namesake = Signer("stranger"), Signer(ORIGIN)
    assert witness.ask(request(0, [], note(text, stranger, namesake, signer)))[0] == 200
    assert witness.ask(request(3, [], note(text, stranger, namesake)))[0] == 403
    wrong = signer.line(text + "x")
    assert witness.ask(request(3, [], note(text, signer) + wrong))[0] == 403


def test_a_log_with_two_keys(tmp_path, signer):
    new = Signer(ORIGIN)
    w = Witness(tmp_path / "witness", signer.text, new.text).start()
    assert w.count == 1
    assert w.submit(signer, tree_of(3), 0)[0] == 200
    assert w.submit(new, tree_of(5), 3)[0] == 200
    assert w.submit(signer, tree_of(5, "x"), 5)[0] == 409
    w.stop()


def test_another_size_than_it_saw(witness, signer):
    tree = tree_of(20)
    assert witness.submit(signer, tree, 3)[0:2] == (409, "text/x.tlog.size")
    assert witness.submit(signer, tree, 0, 8)[0] == 200
    for old, size in [(0, 20), (3, 20), (9, 20), (20, 20), (0, 7), (3, 7), (7, 7), (0, 0)]:
        assert witness.submit(signer, tree, old, size) == (409, "text/x.tlog.size", "8\n"), (old, size)
    # Back to a smaller tree: no proof leads there.
    assert witness.submit(signer, tree, 8, 7, proof=[])[0] == 400
    assert witness.submit(signer, tree, 8, 20)[0] == 200


def test_a_fork(witness, signer):
    assert witness.submit(signer, tree_of(10), 0)[0] == 200
    fork = tree_of(10, "b", 6)
    for old in (10, 0, 6):
        assert witness.submit(signer, fork, old, proof=[]) == (409, "text/x.tlog.size", "10\n")
    # The log's own signature on it is kept, once: beside what it signed before it is the proof.
    [path] = glob.glob(witness.dir + "/forks/*")
    with open(path, encoding="utf-8") as f:
        assert f.read() == note(checkpoint(ORIGIN, 10, fork.head()), signer)
    assert '"fork"' in witness.log()
    # A larger tree of the other branch: no proof fits.
    larger = tree_of(12, "b", 6)
    assert witness.submit(signer, larger, 10)[0] == 422
    assert witness.submit(signer, larger, 10, proof=tree_of(12).consistency(10))[0] == 422
    assert witness.submit(signer, tree_of(12), 10)[0] == 200


def test_proofs_that_do_not_fit(witness, signer):
    tree = tree_of(100)
    assert witness.submit(signer, tree, 0, 37)[0] == 200
    good = tree.consistency(37)
    flipped = [bytes([good[0][0] ^ 1]) + good[0][1:]] + good[1:]
    for proof in [[], good[1:], good[:-1], good + good[:1], list(reversed(good)), flipped, good * 5]:
        assert witness.submit(signer, tree, 37, proof=proof)[0] == 422
    assert witness.submit(signer, tree, 37, proof=good + [b"x" * 32] * 64)[0] == 400
    assert witness.submit(signer, tree, 37, proof=good)[0] == 200
    assert witness.submit(signer, tree, 100, proof=good)[0] == 422
    new = Signer(ORIGIN + "/new")
    assert witness.submit(new, tree, 0)[0] == 404


def test_a_proof_from_nothing_is_empty(witness, signer):
    assert witness.submit(signer, tree_of(5), 0, proof=[b"x" * 32])[0] == 422
    assert witness.submit(signer, tree_of(0), 0)[0] == 200
    assert witness.submit(signer, tree_of(5), 0)[0] == 200


def test_who_is_not_the_log(witness, signer):
    stranger, namesake = Signer("stranger"), Signer(ORIGIN)
    tree = tree_of(5)
    assert witness.submit(stranger, tree, 0)[0] == 404
    assert witness.submit(stranger, tree, 0, origin=ORIGIN)[0] == 403
    assert witness.submit(namesake, tree, 0)[0] == 403
    assert witness.submit(signer, tree, 0, origin="log.test/another")[0] == 404
    text, other = checkpoint(ORIGIN, 5, tree.head()), checkpoint(ORIGIN, 6, tree.head())
    assert witness.ask(request(0, [], text + "\n" + signer.line(other)))[0] == 403
    assert glob.glob(witness.dir + "/seen/*") == []


def test_garbage(witness, signer):
    good = request(0, [], note(checkpoint(ORIGIN, 5, tree_of(5).head()), signer))
    bodies = [b"", b"\n", b"\0" * 100, os.urandom(5000), b"old", b"old 0\n\n", good.replace(b"old 0", b"old -1"),
              good.replace(b"\n5\n", b"\n05\n"), good.replace(b"\n5\n", b"\n99999999999999999999\n"),
              good.replace(b"\n", b"\r\n"), b"\xff" + good, good + b"\n", good + b"x", good[:-2], good[:-1]]
    for body in bodies:
        assert witness.ask(body)[0] == 400, body[:80]
    # Cut anywhere, it is never signed.
    for size in range(0, len(good), 7):
        assert witness.ask(good[:size])[0] in (400, 403)
    assert witness.ask(good)[0] == 200


def test_giant_bodies(witness, signer):
    for size in (300_000, 5_000_000):
        connection = witness.connect()
        connection.putrequest("POST", "/add-checkpoint")
        connection.putheader("Content-Length", str(size))
        connection.endheaders()
        assert connection.getresponse().status == 413
        connection.close()
    # Of a length that is not said before: read and dropped up to a limit.
    connection = witness.connect()
    connection.request("POST", "/add-checkpoint", itertools.repeat(b"x" * 1000, 500), encode_chunked=True,
                       headers={"Transfer-Encoding": "chunked"})
    assert connection.getresponse().status == 413
    connection.close()
    connection = witness.connect()
    with pytest.raises((http.client.HTTPException, OSError)):
        connection.request("POST", "/add-checkpoint", itertools.repeat(b"x" * 100_000, 1000), encode_chunked=True,
                           headers={"Transfer-Encoding": "chunked"})
        connection.getresponse()
    connection.close()
    with open(f"/proc/{witness.process.pid}/status", encoding="ascii") as f:
        resident = next(int(line.split()[1]) for line in f if line.startswith("VmRSS"))
    assert resident < 100_000  # KiB
    assert witness.submit(signer, tree_of(5), 0)[0] == 200


def test_idle_connections_do_not_keep_it_from_others(witness, signer):
    idle = [socket.create_connection((witness.url.hostname, witness.url.port)) for _ in range(60)]
    try:
        for s in idle[::2]:
            s.sendall(b"POST /add-checkpoint HTTP/1.1\r\nHost: x\r\nContent-Length: 500\r\n\r\nold")
        assert witness.submit(signer, tree_of(5), 0)[0] == 200
    finally:
        for s in idle:
            s.close()


def test_what_cannot_be_written_is_not_signed(tmp_path, signer):
    w = Witness(tmp_path / "witness", signer.text).start()
    assert w.submit(signer, tree_of(5), 0)[0] == 200
    os.rename(w.dir + "/seen", w.dir + "/away")
    status, _, text = w.submit(signer, tree_of(8), 5)
    assert (status, "\u2014" in text) == (500, False)
    assert '"not_signed"' in w.log()
    os.rename(w.dir + "/away", w.dir + "/seen")
    assert w.submit(signer, tree_of(9, "b", 5), 5)[0] == 200
    w.stop()


def test_a_disk_that_is_full(tmp_path, signer):
    """In the middle of a file: nothing is signed, and what was signed stays."""
    w = Witness(tmp_path / "witness", signer.text)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # a write fails instead, in the witness too
    try:
        w.start(restore_signals=False)
    finally:
        signal.signal(signal.SIGXFSZ, before)
    assert w.submit(signer, tree_of(5), 0)[0] == 200
    for size in (0, 1, 100):
        resource.prlimit(w.process.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
        assert w.submit(signer, tree_of(8), 5)[0] == 500
        assert w.submit(signer, tree_of(5), 5)[0] == 200  # needs no write
    w.kill()
    assert glob.glob(w.dir + "/seen/*.new") == []
    w.start()
    assert w.submit(signer, tree_of(9, "b", 5), 5)[0] == 200
    w.stop()


# ---- several at a time, random ones, and its death


class Signed:
    """All that the witness signed, as those who asked got it."""

    def __init__(self):
        self.lock = threading.Lock()
        self.trees = {}  # size -> leaves

    def add(self, tree):
        with self.lock:
            size = len(tree.leaves)
            assert self.trees.setdefault(size, tree.leaves) == tree.leaves, f"two trees of {size} leaves"

    def check(self):
        """One history."""
        sizes = sorted(self.trees)
        for a, b in zip(sizes, sizes[1:]):
            assert self.trees[b][:a] == self.trees[a], f"{b} does not extend {a}"
        return sizes[-1] if sizes else 0


def test_of_many_at_a_time_one_wins(witness, signer):
    signed, old = Signed(), 0
    history = Tree([])
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        for turn in range(25):
            size = old + 3
            trees = [Tree(history.leaves + [b"%d %d %d" % (turn, branch, i) for i in range(3)]) for branch in range(8)]
            answers = list(pool.map(lambda t: witness.submit(signer, t, old), trees))
            winners = [t for t, a in zip(trees, answers) if a[0] == 200]
            assert len(winners) == 1
            assert all(a == (409, "text/x.tlog.size", f"{size}\n") for a in answers if a[0] != 200)
            signed.add(winners[0])
            history, old = winners[0], size
    assert signed.check() == old


def test_its_logs_are_read_again_in_between(witness, signer):
    """What was seen is read from the disk each time, while many ask."""
    signed, over = Signed(), threading.Event()

    def grow(branch):
        history = []
        while not over.is_set():
            tree = Tree(history + [b"%d %d" % (branch, len(history))])
            if witness.submit(signer, tree, len(history))[0] == 200:
                signed.add(tree)
                history = tree.leaves
            elif signed.trees:
                history = signed.trees[max(signed.trees)]

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        growing = [pool.submit(grow, branch) for branch in range(4)]
        for turn in range(1, 40):
            witness.process.send_signal(signal.SIGHUP)
            deadline = time.monotonic() + 30
            while witness.log().count('"reloaded"') < turn and time.monotonic() < deadline:
                time.sleep(0.005)
        while max(signed.trees, default=0) < 21 and time.monotonic() < deadline:
            time.sleep(0.005)
        over.set()
        for g in growing:
            g.result(30)
    assert witness.log().count('"reloaded"') == 39
    assert signed.check() > 20


def test_random_growth_and_forks(witness, signer):
    """Whatever is asked: what it signs is one history. Each mistake gets its own answer."""
    chance = random.Random(20261121)
    signed, history = Signed(), Tree([])
    for _ in range(400):
        seen = len(history.leaves)
        fork = chance.randint(0, seen)
        is_fork = chance.random() < 0.4 and fork < seen
        size = max(0, seen + chance.randint(-3, 12))
        base = history.leaves[:fork] + [b"f%d" % chance.getrandbits(30) for _ in range(seen - fork)]
        base = base if is_fork else history.leaves
        tree = Tree((base + [b"n%d" % chance.getrandbits(30) for _ in range(max(0, size - len(base)))])[:size])
        old = seen if chance.random() < 0.7 else chance.randint(0, size)
        proof = tree.consistency(old) if old <= size else []
        if proof and chance.random() < 0.1:
            proof = proof[:-1]
        status, _, answer = witness.submit(signer, tree, old, proof=proof)
        extends = tree.leaves[:seen] == history.leaves and size >= seen
        is_good = extends and old == seen and proof == tree.consistency(old)
        assert (status == 200) == is_good, (status, seen, old, size, is_fork)
        if status == 409:
            assert answer == f"{seen}\n"
        if status == 200:
            signed.add(tree)
            history = tree
    assert signed.check() == len(history.leaves) > 100


def last_written(witness):
    """The size and the root that are on the disk; none: an empty tree."""
    for path in glob.glob(witness.dir + "/seen/*"):
        if not path.endswith(".new"):
            with open(path, encoding="utf-8") as f:
                _, size, root = f.read().split("\n")[:3]
            return int(size), root
    return 0, b64(Tree([]).head())


def test_killed_at_any_moment(tmp_path, signer):
    """60 times in the middle of requests that contradict each other: all that ever left it is one history."""
    w = Witness(tmp_path / "witness", signer.text)
    signed, chance, answered = Signed(), random.Random(7), queue.Queue()
    asked = {b64(Tree([]).head()): []}  # root -> leaves
    lost = 0

    def grow(number, branch, history):
        """Asks for ever larger trees of its own branch, until it is refused or the witness is gone."""
        leaves_now = list(history)
        while True:
            old = len(leaves_now)
            tree = Tree(leaves_now + [b"%d %d %d" % (number, branch, old)])
            asked[b64(tree.head())] = tree.leaves
            try:
                status, _, _ = w.submit(signer, tree, old)
            except (OSError, http.client.HTTPException):
                return
            if status != 200:
                return
            signed.add(tree)
            answered.put(tree)
            leaves_now = tree.leaves

    for number in range(60):
        w.start()
        at = signed.check()
        # It still knows all that it signed, or one more, whose answer did not get out.
        size, root = last_written(w)
        history = asked[root]
        assert (len(history), history[:at]) == (size, signed.trees.get(at, []))
        assert size in (at, at + 1)
        lost += size - at
        other = Tree(history[:-1] + [b"other", b"another"])
        if history:
            assert w.submit(signer, other, 0)[2] == f"{size}\n"
            assert w.submit(signer, Tree(other.leaves[:size]), size)[0] == 409
            assert w.submit(signer, other, size, size + 1)[0] == 422
            assert w.submit(signer, Tree(history), size)[0] == 200
            signed.add(Tree(history))
        threads = [threading.Thread(target=grow, args=(number, n, history)) for n in range(4)]
        for t in threads:
            t.start()
        # In the middle of the next ones.
        for _ in range(chance.randint(1, 5)):
            answered.get(timeout=30)
        threading.Event().wait(chance.random() * 0.005)
        w.kill()
        for t in threads:
            t.join(30)
        while not answered.empty():
            answered.get()
    print(f"{signed.check()} trees signed, {lost} of them without an answer")
