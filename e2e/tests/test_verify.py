"""`chaperone audit verify`: whatever is done to an evidence package or a log, it is found, and said what it is."""

import base64
import copy
import json
import os
import random
import re
import shutil
import struct
import subprocess
import zipfile
import zlib
from pathlib import Path

import pytest

from support import packages, translog
from support.packages import Log, Package, Record, write_folder
from support.parts import Parts

BIN = Path(os.environ["CHAPERONE_BIN"]) if "CHAPERONE_BIN" in os.environ else None


@pytest.fixture(scope="module")
def log():
    return Log(sessions=8, operations=40)


@pytest.fixture(scope="module")
def package(log):
    return Package(log, sample=7, seed="a seed that nobody knew")


@pytest.fixture
def keys(log, tmp_path):
    (tmp_path / "log.pub").write_text(log.signer.text + "\n")
    (tmp_path / "witness.pub").write_text("# the witness\n" + log.witness.text + "\n")
    return ["--log-key", str(tmp_path / "log.pub"), "--witness-key", str(tmp_path / "witness.pub")]


class Verdict:
    def __init__(self, run):
        self.code, self.errors = run.returncode, run.stderr
        self.said = json.loads(run.stdout) if run.stdout.startswith("{") else {"problems": [], "notes": []}

    @property
    def kinds(self):
        return {p["kind"] for p in self.said["problems"]}

    @property
    def text(self):
        return "\n".join(p["text"] for p in self.said["problems"])

    def wrong(self, kind, *words):
        assert self.code == 1, (self.code, self.said, self.errors)
        assert kind in self.kinds, self.text
        for word in words:
            assert word in self.text, self.text
        return self


def verify(path, *arguments):
    binary = BIN / "cli/chaperone" if BIN else "chaperone"
    run = subprocess.run([binary, "audit", "verify", path, "--json", *arguments], capture_output=True, text=True,
                         timeout=120, check=False)
    # A crash is a code of its own, and sanitizers have theirs.
    assert run.returncode in (0, 1, 2), (run.returncode, run.stderr)
    return Verdict(run)


@pytest.fixture
def check(tmp_path, keys):
    """Verifies these files as a folder, or a package."""

    def run(files, *arguments):
        if isinstance(files, Package):
            files = files.sealed()
        folder = tmp_path / f"package-{len(list(tmp_path.iterdir()))}"
        write_folder(files, folder)
        return verify(folder, *keys, *arguments)

    return run


@pytest.fixture
def edited(package):
    return copy.deepcopy(package)


# ---- whole


def test_a_whole_package(package, keys, tmp_path):
    verdict = verify(package.write(tmp_path / "p.zip"), *keys)
    assert verdict.code == 0, verdict.said
    assert verdict.said["result"] == "whole"
    assert verdict.said["records"] == package.log.size
    assert verdict.said["links"] == package.log.size - 2
    assert verdict.said["operations"] == 8 * 40
    assert verdict.said["checkpoint"]["witnesses"] == 1
    assert verdict.said["keys_given"] is True


def test_the_same_unpacked(package, keys, tmp_path):
    with zipfile.ZipFile(package.write(tmp_path / "p.zip")) as z:
        z.extractall(tmp_path / "out")
    assert verify(tmp_path / "out" / package.folder, *keys).code == 0


def test_a_part_of_the_log(log, check):
    session = log.records[200].session
    part = [r for r in log.records if r.session == session]
    assert check(Package(log, part, {"session": session})).code == 0
    middle = [r for r in log.records if log.records[100].time <= r.time <= log.records[300].time]
    times = {"since": packages.rfc3339(middle[0].time), "until": packages.rfc3339(middle[-1].time)}
    assert check(Package(log, middle, times)).code == 0


@pytest.mark.parametrize("size", [1, 2, 255, 256, 257, 512, 513, 65536 + 300])
def test_any_size(size, tmp_path):
    log = Log(sessions=1, operations=0)
    stream, last = log.streams[0], log.records[-1].time
    while len(log.records) < size:
        last += 1000
        log.records.append(stream.record(16, b"", last))
    log.records = log.records[:size]
    log.number()
    packages.KINDS[16] = "loss"
    verdict = verify(Package(log).write(tmp_path / "p.zip"), "--log-key", log.signer.text)
    assert verdict.code == 0, verdict.said
    log.write_directory(tmp_path / "log")
    assert verify(tmp_path / "log", "--log-key", log.signer.text).code == 0


def log_with_an_erased_session(log, *named):
    """A session of `log` is erased; an action says that those that are named are."""
    erased = copy.deepcopy(log)
    event = packages.data(1, "erase") + b"".join(packages.data(9, s) for s in named)
    erased.records.append(erased.streams[0].record(17, event, erased.records[-1].time + 10**9))
    erased.number()
    for r in erased.records:
        r.erased = r.session == log.records[90].session and r.kind != 10
    return erased


def test_erased_records_are_proved_too(log, check):
    erased = log_with_an_erased_session(log, "another", log.records[90].session)
    verdict = check(Package(erased, sample=5))
    assert verdict.code == 0, verdict.said
    assert verdict.said["erased"] == sum(r.erased for r in erased.records)
    # The stream goes on over them.
    assert verdict.said["links"] > log.size - 2 - 2 * verdict.said["erased"]


def test_what_nobody_erased_is_not_said_to_be_whole(log, check):
    """Records that are gone under the name of retention."""
    for named in ((), ("another",)):
        verdict = check(Package(log_with_an_erased_session(log, *named)))
        assert verdict.code == 2 and verdict.said["result"] == "not checked"
        (problem,) = verdict.said["problems"]
        assert log.records[90].session in problem["text"] and "no record says who erased" in problem["text"]
    # What a filter left out may say it.
    erased = log_with_an_erased_session(log)
    part = [r for r in erased.records if r.session == log.records[90].session]
    assert check(Package(erased, part, filter={"session": part[0].session})).code == 0


def test_the_key_of_the_package_is_taken_with_a_warning(package, tmp_path):
    verdict = verify(package.write(tmp_path / "p.zip"))
    assert verdict.code == 0
    assert verdict.said["keys_given"] is False
    assert any("NOBODY SAID WHICH KEY TO BELIEVE" in n for n in verdict.said["notes"])


# ---- records


def test_changed(edited, check):
    r = edited.records[100]
    r.canonical = r.canonical.replace(b"SELECT", b"DELETE")
    r.hash = packages.sha256(b"\0" + r.canonical)
    edited.relist(edited.records)
    said = check(edited).wrong("changed", f"record at position {r.position} ", r.session,
                               "its bytes were changed after it was logged")
    assert [p["position"] for p in said.said["problems"] if "its bytes" in p["text"]] == [r.position]
    if r.operation:
        assert f"operation {r.operation}" in said.text


def test_removed(edited, check):
    gone = edited.records.pop(100)
    edited.relist(edited.records)
    check(edited).wrong("removed", f"record at position {gone.position}: it is missing")


def test_removed_in_the_middle_of_a_time(log, check):
    middle = [r for r in log.records if log.records[100].time <= r.time <= log.records[300].time]
    times = {"since": packages.rfc3339(middle[0].time), "until": packages.rfc3339(middle[-1].time)}
    gone = middle.pop(50)
    check(Package(log, middle, times)).wrong("removed", f"numbers {gone.sequence} to {gone.sequence}")


def test_an_operation_removed_from_a_session(log, check):
    session = log.records[200].session
    part = [r for r in log.records if r.session == session and r.operation != 7]
    check(Package(log, part, {"session": session})).wrong("removed", "operations 7 to 7 are missing")


def test_truncated(edited, check):
    last = max(r.position for r in edited.records)
    edited.relist([r for r in edited.records if r.position <= last - 10])
    check(edited).wrong("truncated", f"records at positions {last - 9} to {last}: they are missing, at the end")


def test_inserted(edited, check):
    made = edited.log.streams[0].record(11, packages.number(1, 99), edited.records[50].time)
    made.position = edited.log.size + 1
    edited.relist(edited.records[:51] + [made] + edited.records[51:])
    check(edited).wrong("inserted", f"record at position {made.position}", "the log has only")


def test_inserted_beside_the_logged_one(edited, check):
    at = next(n for n, r in enumerate(edited.records) if r.kind == 11 and n > 50)
    made = copy.copy(edited.records[at])
    made.canonical = made.canonical.replace(b"orders", b"salary")
    made.hash = packages.sha256(b"\0" + made.canonical)
    for place in (at, at + 1):
        records = edited.records[:place] + [made] + edited.records[place:]
        p = copy.copy(edited)
        p.files, p.manifest = dict(edited.files), copy.deepcopy(edited.manifest)
        p.relist(records)
        check(p).wrong("inserted", f"record at position {made.position}", "another record is there besides")


def test_duplicated(edited, check):
    twice = edited.records[70]
    edited.relist(edited.records[:71] + [twice] + edited.records[71:])
    check(edited).wrong("duplicated", f"record at position {twice.position}", "it is there twice")


def test_reordered_in_the_file(edited, check):
    a, b = edited.records[30], edited.records[31]
    edited.relist(edited.records[:30] + [b, a] + edited.records[32:])
    check(edited).wrong("reordered", f"record at position {a.position}", "it stands behind a later one")


def test_swapped_positions(edited, check):
    a, b = edited.records[30], edited.records[40]
    a.position, b.position = b.position, a.position
    edited.relist(edited.records)
    check(edited).wrong("reordered", f"it is the record that was logged at position {b.position}")


def test_an_erased_record_that_was_another(log, check):
    changed = copy.deepcopy(log)
    changed.records[33].erased = True
    package = Package(changed)
    changed.records[33].hash = packages.sha256(b"something else")
    package.relist(package.records)
    check(package).wrong("changed", "said to be erased", "position 34")


def test_a_stream_that_was_rewritten_and_logged(tmp_path):
    """What the log itself got wrong is found, too: its own proofs are right."""
    log = Log(sessions=2, operations=5)
    r = log.records[4]
    r.canonical = r.canonical.replace(b"SELECT", b"UPDATE")
    r.hash = packages.sha256(b"\0" + r.canonical)
    verify(Package(log).write(tmp_path / "p.zip"), "--log-key", log.signer.text).wrong(
        "changed", "does not carry the hash of number 5")


def test_a_forged_heartbeat(tmp_path):
    log = Log(sessions=2, operations=5)
    stream = log.streams[0]
    stream.key, good = packages.Key(), stream.key
    log.records.append(stream.heartbeat(log.records[-1].time + 1))
    stream.key = good
    log.number()
    verify(Package(log).write(tmp_path / "p.zip"), "--log-key", log.signer.text).wrong(
        "signature", "another key than the sidecar's")
    log.records[-1] = Record(log.records[-1].canonical[:-70] + bytes(70), 15, stream.name, 1, log.records[-1].time)
    log.number()
    assert verify(Package(log).write(tmp_path / "q.zip"), "--log-key", log.signer.text).code == 1


# ---- the log and its keys


def test_foreign_keys(edited, check, tmp_path):
    other = packages.LogKey(packages.ORIGIN)
    edited.log.signer = other
    edited.files["checkpoint"] = edited.log.note()
    edited.files["keys.json"] = json.dumps({"origin": packages.ORIGIN, "log_keys": [other.text],
                                            "witness_keys": [edited.log.witness.text]}).encode()
    check(edited).wrong("signature", "not to be believed")
    # Who gives no key believes the package's: and is told so.
    alone = verify(edited.write(tmp_path / "p.zip"))
    assert alone.said["keys_given"] is False and alone.said["notes"]


def test_a_witness_that_did_not_sign(edited, check):
    text = translog.checkpoint(packages.ORIGIN, edited.log.size, edited.root)
    edited.files["checkpoint"] = translog.note(text, edited.log.signer).encode()
    check(edited).wrong("signature", "not to be believed")
    assert check(edited, "--quorum", "0").code == 0 or "proof" in check(edited, "--quorum", "0").text


def test_another_root(edited, check):
    root = packages.sha256(b"another")
    text = translog.checkpoint(packages.ORIGIN, edited.log.size, root)
    edited.files["checkpoint"] = translog.note(text, edited.log.signer, edited.log.witness).encode()
    edited.manifest["checkpoint"]["root"] = root.hex()
    check(edited).wrong("forked", "another root than the checkpoint")


def test_a_forked_log(log, package, keys, tmp_path):
    """The log signed two trees: one was kept, the package has the other."""
    fork = copy.deepcopy(log)
    fork.records = fork.records[:100]
    fork.records[50].hash = packages.sha256(b"another")
    (tmp_path / "kept").write_bytes(fork.note())
    path = package.write(tmp_path / "p.zip")
    verify(path, *keys, "--checkpoint", str(tmp_path / "kept")).wrong("forked", "its first 100 records are others")
    fork.records[50] = log.records[50]
    (tmp_path / "kept").write_bytes(fork.note())
    assert verify(path, *keys, "--checkpoint", str(tmp_path / "kept")).code == 0


def test_an_old_checkpoint_replayed(log, keys, tmp_path):
    old = copy.deepcopy(log)
    old.records = old.records[:400]
    (tmp_path / "kept").write_bytes(log.note())
    path = Package(old).write(tmp_path / "p.zip")
    assert verify(path, *keys).code == 0
    verify(path, *keys, "--checkpoint", str(tmp_path / "kept")).wrong("older", "400 records, and")


def test_an_old_checkpoint_beside_new_records(log, edited, check):
    old = copy.deepcopy(log)
    old.records = old.records[:400]
    edited.files["checkpoint"] = old.note()
    check(edited).wrong("changed", "another checkpoint than the one that is there")


# ---- the manifest, and what explains


def test_a_file_more_or_less(package, check):
    files = package.sealed()
    check({**files, "sessions/x.txt": b""}).wrong("inserted", "sessions/x.txt")
    check({**files, "run-me.sh": b""}).wrong("inserted", "run-me.sh")
    for name in files:
        less = dict(files)
        del less[name]
        assert check(less).code == 1, name


def test_counts(package, check):
    for key in package.manifest["counts"]:
        p = copy.copy(package)
        p.manifest = copy.deepcopy(package.manifest)
        p.manifest["counts"][key] += 1
        check(p).wrong("removed", "the manifest counts")


def test_a_manifest_that_says_more_than_it_may(package, check):
    for change in ({"extra": 1}, {"format": "chaperone-evidence/2"}, {"sample": 3}, {"kinds": {"intent": 0}},
                   {"made": "yesterday"}):
        p = copy.copy(package)
        p.manifest = {**package.manifest, **change}
        check(p).wrong("malformed")
    files = package.sealed()
    twice = files["manifest.json"].replace(b'{"format"', b'{"made_by": "x", "format"', 1)
    check({**files, "manifest.json": twice}).wrong("malformed")
    check({**files, "manifest.json": b"[" * 100000}).wrong("malformed")


def test_a_sample_of_another_seed(package, check):
    p = copy.deepcopy(package)
    p.manifest["sample"]["seed"] = "a seed that suits better"
    check(p).wrong("changed", "the sample is not the one of its seed")
    p = copy.deepcopy(package)
    p.manifest["sample"]["positions"][0] = p.manifest["sample"]["positions"][1]
    check(p).wrong("changed", "the sample is not the one of its seed")
    p = copy.deepcopy(package)
    name = f"proofs/{p.manifest['sample']['positions'][0]}.tlog-proof"
    other = f"proofs/{p.manifest['sample']['positions'][1]}.tlog-proof"
    p.files[name] = p.files[other]
    check(p).wrong("changed", "proves nothing")


def test_a_policy_that_was_changed(package, check):
    p = copy.deepcopy(package)
    p.files["policies/1.document"] += b" "
    check(p).wrong("changed", "its document is another than its hash says")
    p = copy.deepcopy(package)
    other = packages.Policy(1, ["another"])
    p.files.update(other.files())
    check(p).wrong("removed", f"policy {package.log.policy.hash}, which records name, is not in the package")
    p = copy.deepcopy(package)
    p.files["policies/1.key.der"] = packages.Key().der
    check(p).wrong("changed", "its signature is wrong")


def test_lists_of_other_records(package, check):
    for name in ("records.jsonl", "records.csv"):
        p = copy.deepcopy(package)
        lines = p.files[name].splitlines(keepends=True)
        lines[20], lines[21] = lines[21], lines[20]
        p.files[name] = b"".join(lines)
        check(p).wrong("changed", name)
        p.files[name] = b"".join(lines[:20] + lines[22:])
        assert check(p).code == 1
        p.files[name] = b"".join(lines) + lines[-1]
        assert check(p).code == 1


def test_lines_that_say_something_else(package, check):
    lines = package.files["records.jsonl"].splitlines(keepends=True)
    n = next(n for n, line in enumerate(lines) if b"SELECT 3 " in line)
    for old, new in ((b"SELECT 3 ", b"SELECT 4 "), (b'"allow"', b'"deny"'), (b'"intent"', b'"outcome"'),
                     (b":43:", b":44:"), (b'"sequence":', b'"sequence":1'), (b'"session":"0', b'"session":"1')):
        p = copy.deepcopy(package)
        assert old in lines[n]
        p.files["records.jsonl"] = b"".join(lines[:n] + [lines[n].replace(old, new, 1)] + lines[n + 1:])
        check(p).wrong("changed", f"records.jsonl: line {n + 1} does not say what the record")


# ---- one bit


def mutations(files, count, seed):
    """(name, offset, bit): in every file, and more in the larger ones."""
    chance = random.Random(seed)
    names = [n for n, d in files.items() if d]
    for n in range(count):
        name = names[n] if n < len(names) else chance.choice(names)
        yield name, chance.randrange(len(files[name])), chance.randrange(8)


# What a manifest says of itself and nothing else does.
FREE = ("made", "made_by", "version", "reason")


def free_bytes(manifest):
    """The offsets whose change can mean nothing else than another word of these, or other white space."""
    text = manifest.decode()
    free = {n for n, c in enumerate(text) if c in " \n"}
    for key in FREE:
        begin = text.index(f'"{key}": "') + len(key) + 5
        free.update(range(begin, text.index('"', begin)))
    return free


def test_a_flipped_bit_in_any_file(package, tmp_path, keys):
    files = package.sealed()
    folder = tmp_path / "p"
    write_folder(files, folder)
    free = free_bytes(files["manifest.json"])
    passed, tried = [], 0
    for name, offset, bit in mutations(files, 400, 1):
        if name == "manifest.json" and offset in free:
            continue
        tried += 1
        bad = bytearray(files[name])
        bad[offset] ^= 1 << bit
        (folder / name).write_bytes(bad)
        if verify(folder, *keys).code != 1:
            passed.append((name, offset, bit))
        (folder / name).write_bytes(files[name])
    assert tried >= 350
    assert passed == []
    assert verify(folder, *keys).code == 0


def zip_free_bytes(path):
    """What of a zip file is not about its content: times, versions, attributes."""
    free, raw = set(), path.read_bytes()
    with zipfile.ZipFile(path) as z:
        for info in z.infolist():
            at = info.header_offset
            free.update((at + 4, at + 5, *range(at + 10, at + 14)))
    at = 0
    while (at := raw.find(b"PK\1\2", at)) >= 0:
        free.update((*range(at + 4, at + 8), *range(at + 12, at + 16), *range(at + 36, at + 42)))
        at += 4
    return free


def is_padding(path, raw, offset, bit):
    """Whether the bit fills the last byte of a deflate stream or of a block's header (RFC 1951, 3.2.3 and 3.2.4): the
    stream goes to its end with it, and says the same."""
    with zipfile.ZipFile(path) as z:
        for info in z.infolist():
            names = struct.unpack_from("<HH", raw, info.header_offset + 26)
            begin = info.header_offset + 30 + sum(names)
            if not begin <= offset < begin + info.compress_size or info.compress_type != zipfile.ZIP_DEFLATED:
                continue
            good = raw[begin:begin + info.compress_size]
            bad = bytearray(good)
            bad[offset - begin] ^= 1 << bit
            stream = zlib.decompressobj(-15)
            try:
                said = stream.decompress(bytes(bad))
            except zlib.error:
                return False
            return stream.eof and not stream.unused_data and said == zlib.decompress(good, -15)
    return False


def test_a_flipped_bit_in_the_zip_file(package, tmp_path, keys):
    path = package.write(tmp_path / "p.zip")
    whole = package.write(tmp_path / "whole.zip")
    raw, free, chance, passed, tried = path.read_bytes(), zip_free_bytes(path), random.Random(2), [], 0
    directory = raw.index(b"PK\1\2")
    while tried < 300:
        # Half of them in the directory, which is the smaller half.
        offset = chance.randrange(len(raw)) if tried % 2 else chance.randrange(directory, len(raw))
        if offset in free:
            continue
        bit = chance.randrange(8)
        if is_padding(whole, raw, offset, bit):
            continue
        tried += 1
        bad = bytearray(raw)
        bad[offset] ^= 1 << bit
        path.write_bytes(bad)
        if verify(path, *keys).code == 0:
            passed.append(offset)
    assert passed == []


def test_a_zip_file_cut_off_or_with_more(package, tmp_path, keys):
    path = package.write(tmp_path / "p.zip")
    raw, chance = path.read_bytes(), random.Random(3)
    for size in [0, 1, 21, 22, len(raw) - 1, *(chance.randrange(len(raw)) for _ in range(20))]:
        path.write_bytes(raw[:size])
        assert verify(path, *keys).code != 0
    for more in (raw + b"x", b"x" + raw, raw + raw, raw[:100] + b"x" + raw[100:]):
        path.write_bytes(more)
        assert verify(path, *keys).code != 0


# ---- hostile packages


@pytest.mark.parametrize("name", ["../evil", "a/../../evil", "/etc/passwd", "c:\\evil", "a//b", "./a", "a\\b", "a\nb", "é",
                                  "x" * 300])
def test_hostile_names(name, package, tmp_path, keys):
    path = package.write(tmp_path / "p.zip")
    with zipfile.ZipFile(path, "a") as z:
        z.writestr(name if name.startswith("/") else f"{package.folder}/{name}", b"evil")
    assert verify(path, *keys).code == 1
    assert not (tmp_path.parent / "evil").exists()


def test_links_and_what_is_no_file(package, tmp_path, keys):
    path = package.write(tmp_path / "p.zip")
    with zipfile.ZipFile(path, "a") as z:
        info = zipfile.ZipInfo(f"{package.folder}/link")
        info.external_attr, info.create_system = 0o120777 << 16, 3
        z.writestr(info, "/etc/passwd")
    verify(path, *keys).wrong("inserted", "no plain file")
    folder = tmp_path / "p"
    write_folder(package.sealed(), folder)
    (folder / "checkpoint").rename(tmp_path / "checkpoint")
    (folder / "checkpoint").symlink_to(tmp_path / "checkpoint")
    verify(folder, *keys).wrong("inserted", "it is a link")
    (folder / "checkpoint").unlink()
    os.mkfifo(folder / "checkpoint")
    assert verify(folder, *keys).code == 1


def test_two_members_of_one_name(package, tmp_path, keys):
    for name in ("checkpoint", "CheckPoint"):
        path = package.write(tmp_path / "p.zip")
        with zipfile.ZipFile(path, "a") as z, pytest.warns(UserWarning) if name == "checkpoint" else open(os.devnull):
            z.writestr(f"{package.folder}/{name}", b"another")
        verify(path, *keys).wrong("duplicated", "the name is there twice")


def test_a_zip_bomb(package, tmp_path, keys):
    package = copy.deepcopy(package)
    path = tmp_path / "bomb.zip"
    files = package.sealed()
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as z:
        for name, content in files.items():
            z.writestr(f"{package.folder}/{name}", content)
        with z.open(f"{package.folder}/sessions/x.txt", "w", force_zip64=True) as out:
            for _ in range(1024):
                out.write(bytes(1 << 20))
    verdict = verify(path, *keys)
    assert verdict.code == 1 and "unchecked" in verdict.kinds
    assert "expands to more than" in verdict.text


def test_huge_sizes_in_records(package, check):
    for head in (struct.pack(">QI", 1, 0xffffffff), struct.pack(">QI", 1, 1 << 21), struct.pack(">QI", 0, 5),
                 struct.pack(">QI", 2**64 - 1, 5)):
        p = copy.deepcopy(package)
        p.files["records/000000.rec"] = head + p.files["records/000000.rec"]
        check(p).wrong("malformed", "records/000000.rec")
    p = copy.deepcopy(package)
    p.files["records/000000.rec"] = p.files["records/000000.rec"][:-5]
    check(p).wrong("truncated", "it ends in the middle of a record")


def test_lying_sizes_in_the_directory(package, tmp_path, keys):
    """Sizes in the directory that send a reader elsewhere, in 32 and in 64 bits."""
    path = package.write(tmp_path / "p.zip")
    raw = path.read_bytes()
    directory = raw.index(b"PK\1\2")
    for offset, value in ((20, 1), (20, 0xffffffff), (24, 1), (24, 0xffffffff), (42, 1), (42, 0xffffffff)):
        bad = bytearray(raw)
        bad[directory + offset:directory + offset + 4] = struct.pack("<I", value)
        path.write_bytes(bad)
        assert verify(path, *keys).code != 0, (offset, value)
    end = len(raw) - 22
    locator = struct.pack("<IIQI", 0x07064b50, 0, 2**63, 1)
    path.write_bytes(raw[:end] + locator + raw[end:])
    assert verify(path, *keys).code != 0


def test_garbage(tmp_path, keys):
    chance = random.Random(4)
    for n in range(20):
        path = tmp_path / f"{n}.zip"
        path.write_bytes(b"PK\3\4" * (n % 2) + chance.randbytes(1000 * n))
        assert verify(path, *keys).code != 0
    assert verify(tmp_path / "no-such-file", *keys).code == 2
    (tmp_path / "empty").mkdir()
    assert verify(tmp_path / "empty", *keys).code == 1


# ---- a log's directory


@pytest.fixture
def directory(log, tmp_path):
    log.write_directory(tmp_path / "log")
    return tmp_path / "log"


def test_a_whole_log(directory, log, keys):
    verdict = verify(directory, *keys)
    assert (verdict.code, verdict.said["records"], verdict.said["subject"]) == (0, log.size, "log")


def test_a_flipped_bit_in_any_file_of_a_log(directory, keys):
    chance, passed = random.Random(5), []
    paths = [p for p in directory.rglob("*") if p.is_file()]
    for n in range(100):
        path = paths[n % len(paths)]
        good = path.read_bytes()
        bad = bytearray(good)
        bad[chance.randrange(len(bad))] ^= 1 << chance.randrange(8)
        path.write_bytes(bad)
        if verify(directory, *keys).code != 1:
            passed.append(path)
        path.write_bytes(good)
    assert passed == []


def test_a_log_without_its_end(directory, keys):
    shutil.rmtree(max((directory / "tile/0").glob("*.p")))
    verify(directory, *keys).wrong("truncated", "it is missing")


def test_a_changed_entry_of_a_log(directory, log, keys):
    path = directory / "tile/entries/000"
    raw = bytearray(path.read_bytes())
    raw[10 * 34 + 5] ^= 1
    path.write_bytes(raw)
    verify(directory, *keys).wrong("changed", "entry of the record at position 11")


def test_a_log_that_was_rolled_back(log, tmp_path, keys):
    old = copy.deepcopy(log)
    old.records = old.records[:300]
    old.write_directory(tmp_path / "old")
    (tmp_path / "kept").write_bytes(log.note())
    verify(tmp_path / "old", *keys, "--checkpoint", str(tmp_path / "kept")).wrong("older")


def test_a_log_needs_a_key(directory):
    assert verify(directory).code == 2


# ---- the page of steps with stock tools


PAGE = Path(__file__).parent.parent.parent / "docs/verify.md"


def follow_the_page(package, log, tmp_path):
    """The page's blocks as they stand there; the number of the first step that says no, or None."""
    path = package.write(tmp_path / f"{len(list(tmp_path.iterdir()))}.zip")
    folder = tmp_path / (path.stem + ".d")
    with zipfile.ZipFile(path) as z:
        z.extractall(folder)
    work = tmp_path / (path.stem + ".work")
    work.mkdir()
    steps = re.findall(r"^```sh\n(.*?)^```$", PAGE.read_text(), re.DOTALL | re.MULTILINE)
    assert len(steps) == 8
    for n, step in enumerate(steps):
        run = subprocess.run(["sh", "-ec", step], cwd=folder / package.folder, capture_output=True, text=True, check=False,
                             env={**os.environ, "LOG_KEY": log.signer.text, "WORK": str(work)}, timeout=120)
        if run.returncode != 0:
            return n + 1
    return None


@pytest.fixture(scope="module")
def small():
    return Log(sessions=4, operations=30)


def test_the_page_says_yes_to_good_packages(small, tmp_path):
    assert follow_the_page(Package(small, sample=3), small, tmp_path) is None
    session = small.records[70].session
    part = [r for r in small.records if r.session == session]
    assert follow_the_page(Package(small, part, {"session": session}), small, tmp_path) is None


def test_the_page_wants_every_tile_linked(tmp_path):
    log = Log(sessions=10, operations=30)
    part = log.records[:40]
    whole = Package(log, part)
    assert follow_the_page(whole, log, tmp_path) == 5  # no filter, and records are missing
    del whole.files["tiles/tile/1/000.p/2"]
    assert follow_the_page(whole, log, tmp_path) == 4


def test_the_page_says_no_to_bad_ones(small, tmp_path):
    def made(change):
        package = Package(copy.deepcopy(small), sample=3)
        change(package)
        return follow_the_page(package, small, tmp_path)

    def change_a_record(p):
        p.files["records/000000.rec"] = p.files["records/000000.rec"].replace(b"SELECT 3 ", b"SELECT 4 ", 1)

    def remove_a_record(p):
        p.relist(p.records[:50] + p.records[51:])

    def double_a_record(p):
        p.relist(p.records[:50] + p.records[49:])

    def change_a_tile(p):
        p.files["tiles/tile/0/000.p/252"] = bytes(32) + p.files["tiles/tile/0/000.p/252"][32:]

    def sign_with_another_key(p):
        p.log.signer = packages.LogKey(packages.ORIGIN)
        p.files["checkpoint"] = p.log.note()

    def forge_a_witness(p):
        p.log.witness = packages.Witness("witness.example")
        line = p.log.note().decode().splitlines()[-1]
        key = p.files["keys.json"].decode().split("witness.example+")[1][:8]
        lines = p.files["checkpoint"].decode().splitlines()
        value = bytes.fromhex(key) + base64.b64decode(line.split(" ")[2])[4:]
        lines[-1] = f"\u2014 witness.example {base64.b64encode(value).decode()}"
        p.files["checkpoint"] = ("\n".join(lines) + "\n").encode()

    def change_a_heartbeat_key(p):
        p.files["sidecars.json"] = re.sub(rb'"key_hash": "..', b'"key_hash": "zz', p.files["sidecars.json"])

    def choose_another_seed(p):
        p.manifest["sample"]["seed"] = "another"

    def change_a_policy(p):
        p.files["policies/1.document"] += b" "

    def forge_a_policy(p):
        p.files["policies/1.key.der"] = packages.Key().der

    assert {f.__name__: made(f) for f in (change_a_record, remove_a_record, double_a_record, change_a_tile,
                                          sign_with_another_key, forge_a_witness, change_a_heartbeat_key,
                                          choose_another_seed, change_a_policy, forge_a_policy)} == {
        "change_a_record": 4, "remove_a_record": 5, "double_a_record": 4, "change_a_tile": 4, "sign_with_another_key": 2,
        "forge_a_witness": 3, "change_a_heartbeat_key": 6, "choose_another_seed": 7, "change_a_policy": 8,
        "forge_a_policy": 8}


def test_a_file_changed_after_the_manifest_was_made(small, tmp_path):
    package = Package(small)
    folder = tmp_path / "out"
    write_folder(package.sealed(), folder)
    (folder / "index.html").write_bytes(b"<!doctype htmL>\n")
    step = re.findall(r"^```sh\n(.*?)^```$", PAGE.read_text(), re.DOTALL | re.MULTILINE)[0]
    run = subprocess.run(["sh", "-ec", step], cwd=folder, capture_output=True, text=True, check=False)
    assert run.returncode != 0 and "index.html was changed" in run.stderr


# ---- a real control plane


@pytest.fixture(scope="module")
def fleet(postgres):
    running = Parts(postgres)
    for n in range(3):
        running.psql(stdin="".join(f"SELECT {n}, {m};\n" for m in range(30)), PGAPPNAME=f"verify-{n}")
        running.conversation(f"verify-{n}")
    yield running
    running.close()


def test_everything_that_a_control_plane_has(fleet, tmp_path):
    fleet.chaperone("audit", "checkpoint", "--save", str(tmp_path / "kept"))
    run = fleet.chaperone("audit", "verify", "--json", check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    said = json.loads(run.stdout)
    assert (said["result"], said["subject"], said["keys_given"]) == ("whole", "everything", False)
    assert said["records"] == said["checkpoint"]["size"] >= 3 * 30 * 2
    assert said["operations"] >= 90
    run = fleet.chaperone("audit", "verify", "--json", "--checkpoint", str(tmp_path / "kept"), check=False)
    assert run.returncode == 0, run.stdout
    # Another key than this log's.
    run = fleet.chaperone("audit", "verify", "--json", "--log-key", packages.LogKey(said["checkpoint"]["origin"]).text,
                          check=False)
    assert run.returncode == 1 and "not to be believed" in run.stdout


def test_a_flipped_bit_in_any_file_of_a_real_package(fleet, tmp_path):
    path = tmp_path / "x.zip"
    # Of everything: from when on records were asked for, only the manifest says, and a little later or earlier may be true.
    fleet.chaperone("audit", "export", "--out", str(path), "--sample", "3", "--seed", "s")
    with zipfile.ZipFile(path) as z:
        z.extractall(tmp_path)
    folder = next(tmp_path.glob("evidence-*"))
    files = {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    key = json.loads(files["keys.json"])["log_keys"][0]
    assert verify(folder, "--log-key", key).code == 0
    text = files["manifest.json"].decode()
    free = {n for n, c in enumerate(text) if c in " \n"}
    for name in FREE:
        begin = text.index(f'"{name}":"') + len(name) + 4
        free.update(range(begin, text.index('"', begin)))
    passed = []
    for name, offset, bit in mutations(files, 150, 6):
        if name == "manifest.json" and offset in free:
            continue
        bad = bytearray(files[name])
        bad[offset] ^= 1 << bit
        (folder / name).write_bytes(bad)
        if verify(folder, "--log-key", key).code != 1:
            passed.append((name, offset, bit))
        (folder / name).write_bytes(files[name])
    assert passed == []


def test_the_page_says_yes_to_a_real_package(fleet, tmp_path):
    class Exported:
        folder = None

        def write(self, path):
            fleet.chaperone("audit", "export", "--since", "1d", "--out", str(path), "--sample", "3", "--seed", "s")
            with zipfile.ZipFile(path) as z:
                self.folder = z.namelist()[0].split("/")[0]
                text = json.loads(z.read(self.folder + "/keys.json"))["log_keys"][0]
            self.key = type("Key", (), {"signer": type("Signer", (), {"text": text})})
            return path

    package = Exported()
    package.write(tmp_path / "first.zip")
    assert follow_the_page(package, package.key, tmp_path) is None
