"""Descriptors and connections come to their ends."""

import concurrent.futures
import os
import re
import resource
import subprocess
import sys
import time

import psycopg
import pytest
from support.memory import is_sanitized, limit, status_kb
from support.ports import free_port
from support.rounds import ROUNDS, Survived
from support.stack import SIDECAR
from support.underload import Counter, Witness, check_end, prepared, simple, start_loads, writing
from support.wire import Wire, query

FOLDER = os.path.dirname(os.path.abspath(__file__))
IDLE = int(os.environ.get("CHAPERONE_FAULT_IDLE", "1000"))
BEFORE_KB = 14 << 10  # resident, with nobody connected
SESSION_KB = 24
LEFT_KB = 8 << 10  # when they have gone


@pytest.mark.parametrize("whose", ["sidecar", "control plane"])
def test_descriptors(target, parts, whose):
    """None is left for anything new. Open sessions do not notice; afterwards all works again."""
    stack = parts(postgres=target)
    witness = Witness(target)
    answers = Counter()
    survived = Survived(f"no descriptors for the {whose}", ROUNDS)
    loads = start_loads(stack, "f", works=(simple, prepared, writing), on_answer=answers, pace=0.01)
    for _ in range(ROUNDS):
        pid = (stack.sidecar if whose == "sidecar" else stack.controlplane).pid
        limit(pid, resource.RLIMIT_NOFILE, len(os.listdir(f"/proc/{pid}/fd")))
        for _ in range(5):
            try:
                psycopg.connect(stack.dsn(application_name="new", connect_timeout=2)).close()
            except psycopg.OperationalError:
                survived.add(refused=1)
        answers.wait(answers.count + 100)
        limit(pid, resource.RLIMIT_NOFILE, 4096)
        stack.wait_until_ready(60)
        deadline = time.monotonic() + 60
        while True:
            try:
                psycopg.connect(stack.dsn(application_name="new", connect_timeout=5)).close()
                break
            except psycopg.OperationalError:
                assert time.monotonic() < deadline
    check_end(stack, witness, loads, survived)
    assert survived.numbers.get("refused", 0) > 0 or whose == "control plane"
    survived.write()


@pytest.mark.parametrize("listens", ["unix", "TCP"])
def test_idle_connections(parts, listens):
    """Thousands of agents that are connected and silent; what each costs, that others do not notice, and that
    it comes back. All of them are one process: over TCP each must be found among its descriptors."""
    port = free_port()
    with subprocess.Popen([sys.executable, os.path.join(FOLDER, "many_target.py"), str(port)],
                          stdout=subprocess.PIPE) as fake:
        class Many:
            @staticmethod
            def url(database):
                return f"postgres://many:unproved@127.0.0.1:{port}/{database}"

        assert fake.stdout.readline() == b"ready\n"
        files = 2 * IDLE + 500
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(files, 4096), resource.getrlimit(
            resource.RLIMIT_NOFILE)[1]))
        stack = parts(postgres=Many, limits=[(resource.RLIMIT_NOFILE, files)])
        path = stack.path(".s.PGSQL.5432") if listens == "unix" else None
        if path:
            stack.write("sidecar.yaml", re.sub(r'^    listen: .*$', f'    listen: "unix:{path}"',
                                               stack.read("sidecar.yaml"), flags=re.M))
            stack.sidecar.stop()
            stack.start_sidecar()
        at = (None, path) if path else (stack.port,)
        survived = Survived(f"{IDLE} idle agent connections, {listens}")
        Wire(*at).login().socket.close()
        before = status_kb(stack.sidecar.pid, "VmRSS")
        began = time.monotonic()
        with concurrent.futures.ThreadPoolExecutor(16) as pool:
            idle = list(pool.map(lambda n: Wire(*at, timeout=60).login(
                application_name=f"idle-{n}"), range(IDLE)))
        opened = time.monotonic() - began
        after = status_kb(stack.sidecar.pid, "VmRSS")
        began = time.monotonic()
        with Wire(*at) as busy:
            busy.login()
            for _ in range(200):
                busy.send(query("SELECT 1"))
                busy.read_until()
        survived.add(opened_per_s=round(IDLE / opened), rss_before_kb=before, rss_after_kb=after,
                     kb_per_session=round((after - before) / IDLE, 1),
                     us_per_statement=round((time.monotonic() - began) / 200 * 1e6))
        for w in idle[::100]:  # they live
            w.send(query("SELECT 1"))
            assert w.read_until()[-1][0] == b"Z"
        for w in idle:
            w.socket.close()
        deadline = time.monotonic() + 60
        while stack.metrics()["sessions_active"] > 0:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        assert len(stack.conversation(f"idle-{IDLE - 1}")) == 2
        left = status_kb(stack.sidecar.pid, "VmRSS")
        survived.add(rss_left_kb=left)
        if not is_sanitized(SIDECAR):
            assert before < BEFORE_KB
            assert survived.numbers["kb_per_session"] < SESSION_KB
            assert left < before + LEFT_KB
        survived.write()
        fake.kill()

