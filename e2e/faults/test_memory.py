"""Memory comes to its end: of the sidecar, of the control plane, by RLIMIT_AS and in a cgroup."""

import concurrent.futures
import contextlib
import errno
import http.client
import os
import signal
import subprocess
import threading
import time

import psycopg
import pytest
from support.memory import (MemoryGroup, NoGroups, is_sanitized, lift_address_space, limit_address_space,
                            status_kb)
from support.rounds import ROUNDS, Survived
from support.stack import CHAPERONE, CONTROLPLANE
from support.underload import (Counter, Witness, by_name, check_cut_off, check_end, check_stream,
                               everything, prepared, simple, start_loads, writing)
from support.wire import Wire, fields, query

WORKS = (simple, prepared, writing)
# Above what a process has at that moment: from nearly nothing to what one large statement may need.
MORE_KB = (512, 24 << 10, 4 << 10, 96 << 10, 256 << 10)
SEARCHED = 1000  # records of each search: tens of megabytes
# gRPC aborts, libpg_query exits; in a cgroup the kernel kills. A crash is none of them, but in the control plane:
# gRPC writes into a block of 8 KB without a look whether there is one (MemoryAllocator::MakeSlice).
ENDS = (-signal.SIGABRT, 1)


@pytest.fixture
def group():
    made = []

    def make(megabytes):
        try:
            made.append(MemoryGroup(megabytes))
        except NoGroups as why:
            pytest.skip(str(why))
        return made[-1]

    yield make
    for g in made:
        g.close()


def starve(stack, survived):
    """Statements that need much, on many connections. Each is answered, refused, or cut off."""
    for size in (1 << 18, 1 << 19):
        hungry = []
        text = "SELECT " + ", ".join(f"'{i}'" for i in range(size // 16))
        try:
            for _ in range(16):
                hungry.append(Wire(stack.port, timeout=20).login(application_name="hungry"))
                hungry[-1].send(query(text))
            for w in hungry:
                answer = dict(w.read_until())
                # Too many columns for the target, where it came so far. The spool is mapped: without room
                # for its next part nothing can be recorded.
                code = fields(answer[b"E"])["C"]
                assert code in ("53200", "53100", "54011"), code
                survived.add(**{"passed_on" if code == "54011" else "refused": 1})
        except (OSError, EOFError, PermissionError):
            survived.add(cut_off=1)
        for w in hungry:
            w.socket.close()


def is_ready(stack):
    """Not one that is at its end at this very moment, either."""
    try:
        return stack.http("/readyz")[0] == 200
    except (OSError, http.client.HTTPException):
        return False


def end_round(stack, loads, survived, ends):
    for load in loads:
        load.stopping.set()
        load.join(60)
    deadline = time.monotonic() + 60
    while not is_ready(stack):
        if stack.sidecar.process.poll() is not None:
            assert stack.sidecar.process.returncode in ends, stack.sidecar.log()
            survived.add(processes_that_ended=1)
            stack.start_sidecar()
        assert time.monotonic() < deadline, stack.sidecar.log()
        time.sleep(0.02)


def check_sidecars_rounds(stack, witness, loads, survived):
    executed = witness.read()
    records = everything(stack, seconds=90)  # there are many, and large ones
    check_stream(records)  # what cannot be read for want of memory is not lost: it is read later
    survived.add(open_ends=check_cut_off(loads, executed, by_name(records)),
                 executed=sum(map(len, executed.values())))
    assert survived.numbers.get("refused", 0) > 0
    survived.write()


def test_memory_of_the_sidecar(target, parts):
    """RLIMIT_AS a little above what it has, then statements that need much more. What it has no memory for is
    refused; at worst the process ends. What was executed is in the audit."""
    stack = parts(postgres=target)
    survived = Survived("memory limit of the sidecar", ROUNDS)
    witness = Witness(target)
    everyone = []
    for n in range(ROUNDS):
        loads = start_loads(stack, f"m{n}x", works=WORKS, pace=0.002)
        everyone += loads
        limit_address_space(stack.sidecar.pid, MORE_KB[n % len(MORE_KB)])
        starve(stack, survived)
        with contextlib.suppress(ProcessLookupError):
            lift_address_space(stack.sidecar.pid)
        end_round(stack, loads, survived, ENDS)
    check_sidecars_rounds(stack, witness, everyone, survived)


def test_cgroup_of_the_sidecar(target, group, parts):
    """As a container has it: no allocation fails, the kernel kills who goes beyond."""
    stack = parts(postgres=target)
    stack.sidecar.stop()
    stack.sidecar_in = group(96)
    stack.start_sidecar()
    survived = Survived("cgroup of 96 MB around the sidecar", ROUNDS)
    witness = Witness(target)
    everyone = []
    for n in range(ROUNDS):
        loads = start_loads(stack, f"g{n}x", works=WORKS, pace=0.002)
        everyone += loads
        starve(stack, survived)
        end_round(stack, loads, survived, (*ENDS, -signal.SIGKILL))
    check_sidecars_rounds(stack, witness, everyone, survived)


def search_newest(stack, **options):
    return stack.chaperone("audit", "search", "--json", "--limit", str(SEARCHED), **options)


def burden(stack, survived, records):
    """New sessions, searches, and records of some size, at once; each may fail, but none goes without an
    answer, and an answer that is called whole has `records` at least."""
    def session(n):
        try:
            with psycopg.connect(stack.dsn(application_name="new", connect_timeout=5)) as c:
                c.execute(f"SELECT length('{str(n) * 200000}')")
            survived.add(opened=1)
        except psycopg.Error:
            survived.add(refused=1)

    def search(_):
        done = search_newest(stack, check=False, timeout=60)
        survived.add(**{"searches" if done.returncode == 0 else "searches_that_failed": 1})
        assert done.returncode != 0 or len(done.stdout.splitlines()) >= records

    with concurrent.futures.ThreadPoolExecutor(24) as pool:
        for done in [*(pool.submit(session, n) for n in range(24)), *(pool.submit(search, n) for n in range(6))]:
            done.result()


def restart_if_ended(stack, survived, ends):
    part = stack.controlplane
    if part.process.poll() is not None:
        assert part.process.returncode in ends, part.log()
        survived.add(processes_that_ended=1)
        stack.start_controlplane()
        stack.wait_until_ready(60)


def count_newest(stack, survived, ends):
    """The kernel may take a while to end the control plane for what it did in the round before."""
    deadline = time.monotonic() + 60
    while (done := search_newest(stack, check=False, timeout=60)).returncode != 0:
        assert time.monotonic() < deadline, done.stderr
        restart_if_ended(stack, survived, ends)
        time.sleep(0.1)
    return len(done.stdout.splitlines())


def outlast(stack, target, survived, tighten, lift, ends):
    """Burdens the control plane again and again, and ends it in the middle of that every fifth time; sessions
    that are open do not notice."""
    witness = Witness(target)
    answers = Counter()
    loads = start_loads(stack, "p", works=WORKS, on_answer=answers, pace=0.01)
    for n in range(ROUNDS):
        records = count_newest(stack, survived, ends)
        part = stack.controlplane
        tighten(part.pid, n)
        burden(stack, survived, records)
        answers.wait(answers.count + 100)
        if n % 5 == 4:
            assert part.stop(30) in (0, *ends), part.log()
            survived.add(told_to_end=1)
            lift(part.pid)  # a group keeps its limit for the next one in it
            stack.start_controlplane()
            stack.wait_until_ready(60)
            continue
        lift(part.pid)
        with contextlib.suppress(subprocess.TimeoutExpired):  # it may be at its end at this very moment
            part.process.wait(0.5)
        restart_if_ended(stack, survived, ends)
        stack.wait_until_ready(60)
        answers.wait(answers.count + 50)
    records = check_end(stack, witness, loads, survived)
    survived.add(records=len(records))
    survived.write()


def test_memory_of_the_control_plane(target, parts):
    """RLIMIT_AS a little above what it has. What it acknowledged is there, what it could not take comes later."""
    def lift(pid):
        with contextlib.suppress(ProcessLookupError):
            lift_address_space(pid)

    outlast(parts(postgres=target), target, Survived("memory limit of the control plane", ROUNDS),
            lambda pid, n: limit_address_space(pid, MORE_KB[n % len(MORE_KB)]), lift, (*ENDS, -signal.SIGSEGV))


@pytest.fixture(scope="module")
def no_stacks(tmp_path_factory):
    library = str(tmp_path_factory.mktemp("no-stacks") / "no_stacks.so")
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library,
                    os.path.join(os.path.dirname(os.path.abspath(__file__)), "no_stacks.c"), "-ldl"], check=True)
    return library


def slow_search(stack, seconds):
    """One whose reader stands still for a while, so that gRPC has to wait for its socket."""
    with subprocess.Popen([CHAPERONE, "audit", "search", "--json", *stack.operator()], stdout=subprocess.PIPE,
                          text=True) as search:
        search.stdout.readline()
        search.send_signal(signal.SIGSTOP)
        time.sleep(seconds)
        search.send_signal(signal.SIGCONT)
        # communicate() would pass over what readline() has read ahead.
        late = threading.Timer(60, search.kill)
        late.start()
        lines = 1 + len(search.stdout.read().splitlines())
        late.cancel()
    assert search.returncode == 0
    return lines


def test_threads_of_grpc_without_memory_for_a_stack(target, parts, no_stacks):
    """gRPC does not look whether a thread was started, and gives it work all the same."""
    stack = parts(postgres=target)
    if is_sanitized(CONTROLPLANE):
        pytest.skip("a sanitizer starts threads by itself")
    survived = Survived("no stack for any thread of gRPC in the control plane")
    for n in range(1, 13):
        with psycopg.connect(stack.dsn()) as c:
            c.execute(f"SELECT length('{n:07}' || '{'x' * 500000}')")
    whole = len(stack.search())
    stack.controlplane.stop()
    stack.controlplane_env = dict(os.environ, LD_PRELOAD=no_stacks)
    stack.start_controlplane()
    stack.wait_until_ready(60)
    with concurrent.futures.ThreadPoolExecutor(24) as pool:
        for lines in pool.map(lambda n: slow_search(stack, 0.2), range(12)):
            assert lines >= whole
    with psycopg.connect(stack.dsn()) as c:
        assert c.execute("SELECT 1").fetchone() == (1,)
    part = stack.controlplane
    assert part.stop(30) == 0, part.log()
    survived.add(threads=sum("no stack for a thread of gRPC" in (line or "") for line in part.lines))
    assert survived.numbers["threads"] > 0
    stack.start_controlplane()
    stack.wait_until_ready(60)
    survived.write()


def test_cgroup_of_the_control_plane(target, group, parts):
    """As a container has it: little more than it has, and no allocation fails; the kernel kills."""
    stack = parts(postgres=target)
    stack.controlplane.stop()
    stack.controlplane_in = small = group(1024)
    stack.start_controlplane()
    stack.wait_until_ready(60)

    def tighten(pid, n):
        megabytes = status_kb(pid, "RssAnon") // 1024 + (4, 16, 8, 32)[n % 4]
        for more in range(0, 64, 4):
            try:
                small.tighten(megabytes + more)
                return
            except OSError as error:
                assert error.errno == errno.EBUSY
        pytest.fail("no limit can be set")

    outlast(stack, target, Survived("cgroup around the control plane", ROUNDS), tighten, lambda _: small.lift(),
            (*ENDS, -signal.SIGKILL))
