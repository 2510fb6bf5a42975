"""What an intruder in one of the processes, or beside it as the same user, does not find: looked at
in the binaries, and from outside at the processes as they run."""

import os
import pwd
import re
import shutil
import signal
import subprocess
import sys
import time

import pytest
from support.memory import is_sanitized
from support.stack import CHAPERONE, CONTROLPLANE, ISSUER, SIDECAR

BINARIES = [CHAPERONE, SIDECAR, CONTROLPLANE, ISSUER]
SERVERS = ["sidecar", "controlplane"]
NOBODY = "nobody"

# Attaches as gdb does, and says how that went.
ATTACH = """
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
PTRACE_ATTACH = 16
done = libc.ptrace(PTRACE_ATTACH, int(sys.argv[1]), None, None)
print("attached" if done == 0 else os.strerror(ctypes.get_errno()))
"""

# Makes a thread that is stopped behind the instruction `syscall` go back to it, for another call. One that was stopped
# on its way goes on, until it is there.
CALL = """
import ctypes, os, sys, time
libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
GETREGS, SETREGS, ATTACH, DETACH = 12, 13, 16, 17
RAX, ORIG_RAX, RIP = 10, 15, 16  # places in struct user_regs_struct
SYSCALL = bytes((0x0f, 0x05))
pid, call = int(sys.argv[1]), int(sys.argv[2])
registers = (ctypes.c_ulonglong * 27)()
memory = os.open(f"/proc/{pid}/mem", os.O_RDONLY)
def ptrace(what, data=None):
    if libc.ptrace(what, pid, None, data) != 0:
        raise OSError(ctypes.get_errno(), f"ptrace {what}")
def stop():
    ptrace(ATTACH)
    os.waitpid(pid, 0x40000000)  # __WALL
    ptrace(GETREGS, ctypes.addressof(registers))
    return registers[ORIG_RAX] < 2**63 and os.pread(memory, 2, registers[RIP] - 2) == SYSCALL
while not stop():
    ptrace(DETACH)
    time.sleep(0.01)
registers[RAX], registers[ORIG_RAX] = call, 2**64 - 1
registers[RIP] -= 2
ptrace(SETREGS, ctypes.addressof(registers))
ptrace(DETACH)
"""


def readelf(*args):
    return subprocess.run(["readelf", "-W", *args], check=True, capture_output=True, text=True,
                          timeout=60).stdout


unsanitized = pytest.mark.skipif(is_sanitized(SIDECAR), reason="a sanitizer makes calls of its own")


# ---- the binaries


@pytest.mark.parametrize("path", BINARIES, ids=os.path.basename)
def test_the_compiler_and_the_linker_did_their_part(path):
    assert "DYN (Position-Independent Executable file)" in readelf("-h", path)
    segments = readelf("-l", path)
    assert "GNU_RELRO" in segments
    assert re.search(r"GNU_STACK .* RW +0x", segments), "a stack that can be executed"
    assert not re.search(r"LOAD .* RWE ", segments), "memory that is written and executed"
    assert re.search(r"\bNOW\b", readelf("-d", path)), "RELRO is not full"
    assert "RPATH" not in readelf("-d", path)
    for found in re.findall(r"RUNPATH.*\[(.*)\]", readelf("-d", path)):
        assert all(d.startswith(("/usr/lib/", "$ORIGIN")) for d in found.split(":")), found


@unsanitized
@pytest.mark.parametrize("path", BINARIES, ids=os.path.basename)
def test_the_code_checks_itself(path):
    symbols = readelf("--dyn-syms", path)
    assert "__stack_chk_fail" in symbols
    assert "__memcpy_chk" in symbols and "__snprintf_chk" in symbols  # FORTIFY_SOURCE
    code = subprocess.run(["objdump", "-d", "--disassemble=main", path], check=True,
                          capture_output=True, text=True, timeout=120).stdout
    assert "endbr64" in code.split("<main>:")[1].splitlines()[1]  # -fcf-protection


# ---- the processes


def status(pid, task=None):
    path = f"/proc/{pid}/status" if task is None else f"/proc/{pid}/task/{task}/status"
    with open(path, encoding="ascii") as f:
        return dict(line.rstrip("\n").split(":\t", 1) for line in f if ":\t" in line)


def is_gone(pid):
    try:
        return status(pid)["State"][0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def core_limit(pid):
    with open(f"/proc/{pid}/limits", encoding="ascii") as f:
        return re.search(r"Max core file size +(\S+) +(\S+)", f.read()).groups()


@unsanitized
def test_every_thread_is_confined(parts):
    running = parts()
    assert running.psql("-Atc", "SELECT 1").stdout == "1\n"
    for name in SERVERS:
        part = running.parts[name]
        said = part.wait_for("hardened")
        assert said["seccomp"] == "enforce" and said["no_new_privs"] == 1
        assert said["dumpable"] == 0
        assert core_limit(part.pid) == ("0", "0")
        seen = 0
        for task in os.listdir(f"/proc/{part.pid}/task"):
            try:
                found = status(part.pid, task)
            except (FileNotFoundError, ProcessLookupError):
                continue  # a thread that has ended
            seen += 1
            assert (found["NoNewPrivs"], found["Seccomp"]) == ("1", "2"), (name, found["Name"])
            # As root it keeps less than root: no writing to others' files, no administration.
            assert int(found["CapEff"], 16) & ~(1 << 10 | 1 << 19 | 1 << 2) == 0
            assert int(found["CapBnd"], 16) == int(found["CapEff"], 16)
        assert seen > 1


def give_to(user, path):
    for folder, _, names in os.walk(path):
        for name in [".", *names]:
            os.chown(os.path.join(folder, name), user.pw_uid, user.pw_gid, follow_symlinks=False)


def nobodys(*command):
    user = pwd.getpwnam(NOBODY)
    return ["setpriv", "--reuid", str(user.pw_uid), "--regid", str(user.pw_gid), "--clear-groups",
            *command]


def as_nobody(*command):
    return subprocess.run(nobodys(*command), capture_output=True, text=True, check=False,
                          timeout=60)


@pytest.fixture
def unprivileged(parts):
    """Both servers, started as root, with `user: nobody`."""
    if os.geteuid() != 0:
        pytest.skip("only root can become somebody else")
    running = parts()
    for name in SERVERS:
        assert running.parts[name].stop() == 0
        running.write(f"{name}.yaml", running.read(f"{name}.yaml")
                      + f"security: {{user: {NOBODY}}}\n")
    give_to(pwd.getpwnam(NOBODY), running.dir)
    running.start_controlplane()
    running.start_sidecar()
    return running


def test_root_is_given_up(unprivileged):
    user = pwd.getpwnam(NOBODY)
    for name in SERVERS:
        part = unprivileged.parts[name]
        found = status(part.pid)
        assert found["Uid"].split() == [str(user.pw_uid)] * 4
        assert found["Gid"].split() == [str(user.pw_gid)] * 4
        assert set(found["Groups"].split()) <= {str(user.pw_gid)}
        assert found["Umask"] == "0027"
        for kind in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
            assert int(found[kind], 16) == 0, (name, kind)
        assert part.wait_for("hardened")["capabilities"] == "none"
        assert not [e for e in part.events() if e["event"] == "runs_as_root"]
    assert unprivileged.psql("-Atc", "SELECT 'works'").stdout == "works\n"
    assert unprivileged.outcome_of("SELECT 'works'")["rows"] == 1


@unsanitized
def test_nobody_reads_its_memory_not_even_its_own_user(unprivileged):
    with subprocess.Popen(nobodys("sleep", "300")) as other:
        try:
            deadline = time.monotonic() + 60
            while status(other.pid)["Name"] != "sleep":
                assert time.monotonic() < deadline
            # So that this could fail: the same user may do it to a process that did nothing.
            assert as_nobody(sys.executable, "-c", ATTACH, str(other.pid)).stdout == "attached\n"
        finally:
            other.kill()
    for name in SERVERS:
        pid = unprivileged.parts[name].pid
        for secret in ("mem", "environ", "maps", "auxv"):
            assert os.stat(f"/proc/{pid}/{secret}").st_uid == 0
            said = as_nobody("head", "-c", "1", f"/proc/{pid}/{secret}")
            assert said.returncode != 0 and "Permission denied" in said.stderr
        assert as_nobody(sys.executable, "-c", ATTACH, str(pid)).stdout == \
            "Operation not permitted\n"


@unsanitized
@pytest.mark.skipif(os.uname().machine != "x86_64", reason="it sets registers by their names")
@pytest.mark.parametrize("name", SERVERS)
@pytest.mark.parametrize("call", [59, 101, 321], ids=["execve", "ptrace", "bpf"])
def test_an_intruders_call_ends_the_process(parts, name, call):
    """From inside, as an intruder who runs code of its own in it: root may set the registers of a
    thread that waits in the kernel, and lets it make another call."""
    part = parts().parts[name]
    done = subprocess.run([sys.executable, "-c", CALL, str(part.pid), str(call)],
                          capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    assert part.process.wait(60) == -signal.SIGSYS


@pytest.mark.parametrize("mode, found, said", [("log", "2", "log"), ("off", "0", "off")])
@unsanitized
def test_a_weaker_filter_is_said(parts, mode, found, said):
    running = parts(sidecar=f"security: {{seccomp: {mode}}}")
    assert running.sidecar.wait_for("system_calls_not_confined")["seccomp"] == said
    assert status(running.sidecar.pid)["Seccomp"] == found
    assert status(running.sidecar.pid)["NoNewPrivs"] == "1"
    assert running.psql("-Atc", "SELECT 1").stdout == "1\n"


@pytest.mark.parametrize("text, said", [
    ("security: {seccomp: perhaps}", "seccomp"),
    ("security: {user: no-such-user-here}", "no user no-such-user-here"),
    ("security: {user: root}", "is root"),
    ("security: {usr: nobody}", "did you mean `user`"),
])
def test_what_cannot_be_done_stops_the_start(parts, text, said):
    running = parts()
    running.sidecar.stop()
    running.controlplane.stop()
    for name, binary in (("sidecar", SIDECAR), ("controlplane", CONTROLPLANE)):
        path = running.path(f"{name}-wrong.yaml")
        shutil.copy(running.path(f"{name}.yaml"), path)
        with open(path, "a", encoding="utf-8") as f:
            f.write(text + "\n")
        done = subprocess.run([binary, "--config", path], capture_output=True, text=True,
                              check=False, timeout=60)
        assert done.returncode in (1, 2) and said in done.stderr, done.stderr
        assert '"listening"' not in done.stderr


# ---- the token's command


def children(pid):
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as f:
        return [int(x) for x in f.read().split()]


@unsanitized
def test_the_tokens_command_is_run_by_a_process_of_its_own(parts, tmp_path):
    running = parts()
    running.sidecar.stop()
    token = re.search(r'(?<!join_)token_file: "?([^"\n}]+)', running.read("sidecar.yaml")).group(1)
    script = tmp_path / "token.sh"
    script.write_text("grep -E '^(NoNewPrivs|Seccomp):' /proc/self/status"
                      f" > {tmp_path}/seen\nexec cat {token}\n")
    before = running.read("sidecar.yaml")
    ours = re.sub(r'(?<!join_)token_file: "?[^"\n}]+"?', f'token_command: ["/bin/sh", "{script}"]', before)
    running.write("sidecar.yaml", ours)
    sidecar = running.start_sidecar()
    assert running.psql("-Atc", "SELECT 1").stdout == "1\n"
    # The command may be any program: it has the sidecar's user, and is not confined as it is.
    assert (tmp_path / "seen").read_text() == "NoNewPrivs:\t1\nSeccomp:\t0\n"
    assert status(sidecar.pid)["Seccomp"] == "2"
    [helper] = children(sidecar.pid)
    assert status(helper)["Name"] == "chaperone-token"

    # Another command would be another program: not while it runs.
    running.write("sidecar.yaml", ours.replace("/bin/sh", "/bin/bash"))
    at = sidecar.mark()
    sidecar.signal(signal.SIGHUP)
    assert "next start" in sidecar.wait_for("reload_failed", after=at)["why"]
    assert running.psql("-Atc", "SELECT 1").stdout == "1\n"

    # It ends with its sidecar, however that ends.
    sidecar.kill()
    deadline = time.monotonic() + 60
    while not is_gone(helper):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_commands_of_the_operator_become_the_user_too(unprivileged):
    """Else a credential that root sets would be a file that the server cannot read."""
    done = subprocess.run([CONTROLPLANE, "credential", "set", "more", "--config",
                           unprivileged.path("controlplane.yaml")], input="a secret",
                          capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    user = pwd.getpwnam(NOBODY)
    for folder, _, names in os.walk(unprivileged.dir):
        for name in names:
            path = os.path.join(folder, name)
            try:
                assert os.stat(path).st_uid == user.pw_uid, path
            except FileNotFoundError:
                pass  # the servers go on meanwhile
