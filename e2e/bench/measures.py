"""What bench.py measures beside throughput: latency, processor time, memory, and the small programs.

A function takes a way to PostgreSQL (bench.py) and returns plain numbers.
"""

import glob
import os
import re
import shutil
import subprocess
import tempfile
import time

TICKS = os.sysconf("SC_CLK_TCK")
COPY_ROWS = 10000  # of 104 bytes: 1 MB
LONGEST_S = 60
SESSIONS = 80  # PostgreSQL takes 100
SCHEMA = f"""
CREATE TABLE bench_people (id int PRIMARY KEY, name text, ssn text, email text, born date, city text,
    street text, balance numeric(12, 2), active bool, note text);
INSERT INTO bench_people SELECT i, 'person ' || i, lpad(i::text, 9, '7'), 'p' || i || '@example.org',
    date '1960-01-01' + i, 'city ' || i % 100, i || ' long street', i * 1.25, i % 2 = 0,
    repeat('note ', 1 + i % 10)
FROM generate_series(1, 5000) i;
CREATE TABLE bench_lines (line text);
CREATE TABLE bench_source AS SELECT lpad(i::text, 103, 'x') AS line FROM generate_series(1, {COPY_ROWS}) i;
"""


def policy():
    """50 rules: most about tables that the workloads do not touch, one masks a column."""
    rules = [f"  - name: not-t{n}\n    effect: deny\n    match: {{sql: {{tables: [private.t{n}]}}}}\n"
             for n in range(48)]
    rules.append("  - name: mask\n    effect: allow\n    match: {sql: {commands: [read],"
                 " tables: [public.bench_people]}}\n    obligations: {mask: [{columns:"
                 " [public.bench_people.ssn], with: {partial: {keep_last: 4}}}]}\n")
    rules.append("  - name: all\n    effect: allow\n    obligations: {record: full}\n")
    return "version: 1\nrules:\n" + "".join(rules)


def clean_env(way):
    env = {k: v for k, v in os.environ.items() if not k.startswith("PG")}
    return dict(env, PGHOST="127.0.0.1", PGDATABASE="postgres", PGSSLMODE="disable", **way.env())


def run_pgbench(way, clients, seconds, arguments, cwd=None):
    """Transactions a second without the time to connect, and how many there were."""
    done = subprocess.run(["pgbench", "-n", "-c", str(clients), "-j", str(min(clients, 2)),
                           "-T", str(seconds), *arguments],
                          env=clean_env(way), capture_output=True, text=True, check=False, cwd=cwd)
    found = re.search(r"actually processed: (\d+).*^tps = ([0-9.]+)", done.stdout, re.M | re.S)
    if done.returncode != 0:
        raise RuntimeError(f"pgbench through {way.name}: {done.stderr}{done.stdout}")
    if not found and seconds < LONGEST_S:  # the time was over before all had connected
        return run_pgbench(way, clients, 4 * seconds, arguments, cwd)
    return float(found.group(2)), int(found.group(1))


def copies(way, seconds, script, expected):
    """How often a second psql runs `script`, in one session; and how often it did."""
    with tempfile.NamedTemporaryFile("w", suffix=".sql") as f:
        times, count, began = [], 4, time.monotonic()
        f.write(script * count)
        f.flush()
        while not times or time.monotonic() - began < seconds:
            start = time.monotonic()
            done = subprocess.run(["psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-f", f.name],
                                  env=clean_env(way), capture_output=True, check=False)
            if done.returncode != 0 or len(done.stdout) < expected * count:
                raise RuntimeError(f"psql through {way.name}: {done.stderr}")
            times.append(time.monotonic() - start)
    return count * len(times) / sum(times), count * len(times)


def copy_out(way, seconds):
    return copies(way, seconds, "COPY bench_source TO STDOUT;\n", COPY_ROWS * 104)


def copy_in(way, seconds):
    lines = "".join("%0103d\n" % n for n in range(COPY_ROWS))
    return copies(way, seconds, f"BEGIN; TRUNCATE bench_lines;\nCOPY bench_lines FROM STDIN;\n{lines}\\.\nCOMMIT;\n", 0)


def percentiles(values):
    values = sorted(values)
    return {name: values[min(len(values) - 1, int(len(values) * share))]
            for name, share in (("p50", 0.5), ("p99", 0.99), ("p99.9", 0.999))}


def latency(way, seconds, mode):
    """Microseconds of a transaction at one client, from pgbench's own log."""
    with tempfile.TemporaryDirectory(prefix="chaperone-bench-") as directory:
        run_pgbench(way, 1, seconds, ["-S", "-M", mode, "-l", "--log-prefix=t"], cwd=directory)
        values = []
        for path in glob.glob(os.path.join(directory, "t.*")):
            with open(path, encoding="ascii") as f:
                values += [int(line.split()[2]) for line in f]
    return percentiles(values)


# ---- processes ----------------------------------------------------------------------------------


def descendants(pid):
    found = [pid]
    for other in os.listdir("/proc"):
        if other.isdigit():
            try:
                with open(f"/proc/{other}/stat", encoding="ascii", errors="replace") as f:
                    parent = int(f.read().rsplit(")", 1)[1].split()[1])
            except (OSError, ValueError):
                continue
            if parent == pid:
                found += descendants(int(other))
    return found


def processes(way):
    """{name: pid} of what stands between the client and PostgreSQL."""
    if way.name == "direct":
        return {}
    root = way.stack.process.pid if hasattr(way, "stack") else way.process.pid
    named = {}
    for pid in descendants(root):
        name = os.path.basename(os.readlink(f"/proc/{pid}/exe"))
        if name not in ("runuser", "chaperone"):
            named[name] = pid
    return named


def cpu_seconds(pids):
    result = {}
    for name, pid in pids.items():
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as f:
            fields = f.read().rsplit(")", 1)[1].split()
        result[name] = (int(fields[11]) + int(fields[12])) / TICKS
    return result


def rss_kb(pids):
    result = {}
    for name, pid in pids.items():
        with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as f:
            result[name] = int(re.search(r"^VmRSS:\s+(\d+)", f.read(), re.M).group(1))
    return result


def memory_of_idle(way, pids, sessions):
    """Resident KB while so many sessions have asked something, and do nothing more."""
    with tempfile.NamedTemporaryFile("w", suffix=".sql") as f:
        f.write("SELECT 1;\n\\sleep 6 s\n")
        f.flush()
        with subprocess.Popen(["pgbench", "-n", "-c", str(sessions), "-t", "1", "-f", f.name], env=clean_env(way),
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL):
            time.sleep(5)
            return rss_kb(pids)


def memory(way):
    """Resident KB: before there are sessions; after the first; and for each idle session more, without what
    a crowd of them brings for all (code, the target's catalog, the spool's pages)."""
    pids = processes(way)
    idle = rss_kb(pids)
    run_pgbench(way, 1, 1, ["-S"])
    way.settle()
    first = rss_kb(pids)
    few, many = (memory_of_idle(way, pids, n) for n in (SESSIONS // 4, SESSIONS))
    return {name: {"before": idle[name], "first": first[name],
                   "per_session": (many[name] - few[name]) / (SESSIONS - SESSIONS // 4)}
            for name in pids}


# ---- the small programs -------------------------------------------------------------------------


def program(binaries, name, *arguments):
    path = os.path.join(binaries, name)
    if not os.path.exists(path):
        return None
    done = subprocess.run([path, *arguments], capture_output=True, text=True, check=False)
    return (done.stdout + ("" if done.returncode == 0 else done.stderr)).strip()


def instructions(binaries, name, divide_by, arguments, only=None):
    """Of callgrind, for each of `divide_by`: they repeat where times do not."""
    path = os.path.join(binaries, name)
    if not os.path.exists(path) or shutil.which("valgrind") is None:
        return None
    command = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null"]
    if only:
        command.append(f"--toggle-collect={only}")
    done = subprocess.run([*command, path, *arguments], capture_output=True, text=True, check=False)
    found = re.search(r"Collected : (\d+)", done.stderr)
    return int(found.group(1)) / divide_by if found else None


def small_programs(binaries, search_records, is_quick):
    records = 10000 if is_quick else 200000
    with tempfile.TemporaryDirectory(prefix="chaperone-bench-") as d:
        for part in ("ingest", "counted", "spool", "spool-counted"):
            os.mkdir(os.path.join(d, part))
        ingest = "controlplane/audit/audit_bench"
        recorder = "sidecar/audit/recorder_bench"
        return {
            "policy": program(binaries, "policies/policy_bench"),
            "sql": program(binaries, "sidecar/sql/sql_bench"),
            "recorder": program(binaries, recorder, os.path.join(d, "spool"), str(records)),
            "ingest": program(binaries, ingest, os.path.join(d, "ingest"), str(records)),
            "search": program(binaries, "controlplane/store/store_bench", os.path.join(d, "s.db"),
                              str(search_records)),
            "ingest_instructions_a_record": instructions(
                binaries, ingest, 10000, [os.path.join(d, "counted"), "10000", "1000", "1"],
                "audit_ingest_append"),
            "recorder_instructions_a_statement": instructions(
                binaries, recorder, 10000, [os.path.join(d, "spool-counted"), "10000"]),
        }
