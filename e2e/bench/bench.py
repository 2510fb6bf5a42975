#!/usr/bin/python3
"""Several ways to one PostgreSQL, as ratios to a direct connection; and what Chaperone's parts cost.

All is measured in one run and interleaved in rounds, so that a machine that is slower for a while is
slower for everybody. To add a workload, add a line to workloads(); to add a way, add a class to WAYS.
"""

import argparse
import contextlib
import json
import os
import platform
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.dirname(HERE))
sys.path.insert(0, HERE)

import measures  # noqa: E402
import plot  # noqa: E402
from support.ports import free_port  # noqa: E402
from support.postgres import PASSWORD, USER, Postgres  # noqa: E402
from support.stack import BIN, Stack  # noqa: E402

SCALE = 10  # 1,000,000 rows: 130 MB, in memory
PATIENCE_S = 60


def workloads(clients, many, script):
    """Name, connections, what measures it: (way, seconds) to how often a second, and how often."""
    def bench(n, *arguments):
        return n, lambda way, seconds: measures.run_pgbench(way, n, seconds, arguments)

    modes = ("simple", "extended", "prepared")
    counts = dict.fromkeys((clients, 1, many))
    return ([(f"-S {m}, {n}", *bench(n, "-S", "-M", m)) for n in counts for m in modes]
            + [(f"TPC-B, {clients}", *bench(clients)),
               ("5,000 rows, masked", *bench(1, "-f", script)),
               ("COPY out, 1 MB", 1, measures.copy_out),
               ("COPY in, 1 MB", 1, measures.copy_in),
               (f"connect, {clients}", *bench(clients, "-S", "-C"))])


def wait_for_port(port, process):
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end and process.poll() is None:
        with socket.socket() as s:
            if s.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise RuntimeError(f"{process.args[0]} does not listen on port {port}")


class Direct:
    name = "direct"

    def __init__(self, postgres, _directory):
        self.port = postgres.port

    def env(self):
        return {"PGPORT": str(self.port), "PGUSER": USER, "PGPASSWORD": PASSWORD}

    def settle(self):
        return 0.0

    def close(self):
        pass


class Program(Direct):
    """A proxy that runs in the foreground with a configuration file."""

    def start(self, directory, suffix, text, *command):
        self.port = free_port()
        path = os.path.join(directory, self.name + suffix)
        with open(path, "w", encoding="ascii") as f:
            f.write(text.replace("PORT", str(self.port)))
        if os.geteuid() == 0:  # PgBouncer refuses to run as root
            command = ("runuser", "-u", USER, "--", *command)
        self.process = subprocess.Popen([*command, path], cwd="/", stdout=subprocess.DEVNULL,
                                        stderr=subprocess.DEVNULL)
        wait_for_port(self.port, self.process)

    def close(self):
        self.process.terminate()
        self.process.wait()


class PgBouncer(Program):
    name = "pgbouncer"

    def __init__(self, postgres, directory):
        self.start(directory, ".ini", f"""[databases]
postgres = host=127.0.0.1 port={postgres.port} user={USER} password={PASSWORD}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = PORT
unix_socket_dir =
auth_type = any
pool_mode = session
default_pool_size = 100
""", "/usr/sbin/pgbouncer", "-q")


class HAProxy(Program):
    name = "haproxy"

    def __init__(self, postgres, directory):
        self.start(directory, ".cfg", f"""defaults
    mode tcp
    timeout connect 10s
    timeout client 1h
    timeout server 1h
listen postgres
    bind 127.0.0.1:PORT
    server target 127.0.0.1:{postgres.port}
""", "/usr/sbin/haproxy", "-db", "-q", "-f")


class Chaperone(Direct):
    """With everything on: OIDC identity, policy, SQL parsing, recording, shipping, search index."""
    name = "chaperone"

    def __init__(self, postgres, _directory, policy=None):
        self.stack = Stack(postgres, policy=policy)
        with open(os.path.join(self.stack.dir, "sidecar.yaml"), encoding="utf-8") as f:
            self.health = re.search(r'health: {listen: "?([^"}]+)', f.read()).group(1)

    def env(self):
        return {"PGPORT": str(self.stack.port), "PGUSER": "agent"}

    def metrics(self):
        with urllib.request.urlopen(f"http://{self.health}/metrics", timeout=10) as reply:
            text = reply.read().decode()
        return {k: float(v) for k, v in re.findall(r"^(chaperone_\w+) (\S+)$", text, re.M)}

    def settle(self):
        """Until the control plane has all records: their way is not for another's account."""
        began = time.monotonic()
        while time.monotonic() < began + 600:
            m = self.metrics()
            if m["chaperone_sessions_active"] == 0 and (
                    m["chaperone_records_acknowledged_total"] >= m["chaperone_records_total"]):
                return time.monotonic() - began
            time.sleep(0.1)
        raise RuntimeError("the control plane does not catch up with the records")

    def close(self):
        self.stack.close()


def pgbench(way, clients, seconds, arguments):
    """Transactions a second, without the time to connect."""
    return measures.run_pgbench(way, clients, seconds, arguments)[0]


class Everything(Chaperone):
    """And a policy of 50 rules, of which one masks."""

    def __init__(self, postgres, directory):
        path = os.path.join(directory, "policy.yaml")
        with open(path, "w", encoding="ascii") as f:
            f.write(measures.policy())
        super().__init__(postgres, directory, policy=path)


WAYS = (Direct, PgBouncer, HAProxy, Everything)


def measure(ways, work, options):
    """Of each workload and way: how often a second in each round, and the processor's seconds for
    100,000 of them; and how long the last records were on their way."""
    rates = {name: {way.name: [] for way in ways} for name, _, _ in work}
    cpu = {name: {} for name, _, _ in work}
    behind, loads = [], []
    for n in range(options.rounds):
        print(f"round {n + 1} of {options.rounds}", file=sys.stderr, flush=True)
        for name, _, run in work:
            # Another one first in each round.
            for way in ways[n % len(ways):] + ways[:n % len(ways)]:
                pids = measures.processes(way)
                before = measures.cpu_seconds(pids)
                rate, count = run(way, options.seconds)
                behind.append(way.settle())  # what the records cost belongs to the account
                after = measures.cpu_seconds(pids)
                rates[name][way.name].append(rate)
                for part in pids:
                    cpu[name].setdefault(part, []).append(
                        (after[part] - before[part]) * 1e5 / count)
                loads.append(os.getloadavg()[0])
    return rates, cpu, max(behind), spread(loads)


def measure_latency(ways, options):
    """Microseconds that each way adds at one client: {mode: {way: {percentile: spread}}}."""
    added = {}
    for n in range(options.rounds):
        for mode in ("simple", "prepared"):
            found = {way.name: measures.latency(way, options.seconds, mode)
                     for way in ways[n % len(ways):] + ways[:n % len(ways)]}
            for way in ways[1:]:
                way.settle()
                for p, value in found[way.name].items():
                    added.setdefault(mode, {}).setdefault(way.name, {}).setdefault(p, []).append(
                        value - found["direct"][p])
    return {m: {w: {p: spread(v) for p, v in ps.items()} for w, ps in ws.items()}
            for m, ws in added.items()}


def spread(values):
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


def summarize(tps):
    result = {}
    for workload, by_way in tps.items():
        result[workload] = {
            way: {"tps": spread(values), "us_per_transaction": 1e6 / statistics.median(values),
                  "ratio": spread([v / d for v, d in zip(values, by_way["direct"])]),
                  "rounds": values}
            for way, values in by_way.items()}
    return result


def shown(s, digits=2):
    return f"{s['median']:.{digits}f} ({s['min']:.{digits}f}-{s['max']:.{digits}f})"


def print_tables(summary, cpu, added, memory, options):
    names = [way.name for way in WAYS]
    print(f"\nShare of direct connections' rate: median (min-max) of {options.rounds} rounds of"
          f" {options.seconds} s\n")
    print(f"{'workload, clients':<22}{'direct/s':>10}" + "".join(f"{n:>20}" for n in names[1:]))
    for workload, ways in summary.items():
        print(f"{workload:<22}{ways['direct']['tps']['median']:>10.0f}"
              + "".join(f"{shown(ways[n]['ratio']):>20}" for n in names[1:]))
    print("\nMicroseconds added to a transaction at one client, of pgbench -S\n")
    for mode, ways in added.items():
        for name, found in ways.items():
            print(f"{mode:<10}{name:<12}"
                  + "".join(f"{p:>8} {shown(s, 0):<20}" for p, s in found.items()))
    print("\nProcessor seconds for 100,000 transactions: median (min-max)\n")
    for workload, parts in cpu.items():
        print(f"{workload:<22}" + "  ".join(f"{p} {shown(spread(v), 1)}" for p, v in parts.items()))
    print("\nResident KB before there are sessions, after the first, for each of"
          f" {measures.SESSIONS} idle ones more, and after all\n")
    for part, m in memory.items():
        print(f"{part:<22}{m['before']:>10}{m['first']:>10}{m['per_session']:>10.1f}{m['after']:>10}")


def parse_options():
    parser = argparse.ArgumentParser(prog="e2e/bench/run.sh", description=__doc__.split("\n\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=4, help="of each measurement")
    parser.add_argument("--clients", type=int, default=4)
    parser.add_argument("--many", type=int, default=32, help="clients, too")
    parser.add_argument("--only", action="append", metavar="TEXT",
                        help="workloads with this in their name, and nothing else; may be repeated")
    parser.add_argument("--search-records", type=int, default=10_000_000)
    parser.add_argument("--quick", action="store_true",
                        help="one round of two seconds each, a search of 100,000 records")
    options = parser.parse_args()
    if options.quick:
        options.rounds, options.seconds, options.search_records = 1, 2, 100_000
    if options.only and not any(text in w[0] for text in options.only
                                for w in workloads(options.clients, options.many, "")):
        parser.error("no workload has that in its name")
    if min(options.rounds, options.seconds, options.clients) < 1:
        parser.error("each number is at least 1")
    if "-opt" not in os.path.realpath(os.path.join(BIN, "cli", "chaperone")):
        parser.error(f"{BIN} is not a build with -c opt: what it measures says nothing")
    return options


@contextlib.contextmanager
def prepared():
    """All ways to one PostgreSQL that has what the workloads read, and a directory."""
    # As a database is run that keeps what it commits; the tests' own do without.
    ways, postgres = [], Postgres(settings=("log_statement=none", "shared_buffers=256MB", "fsync=on", "autovacuum=on"))
    try:
        with tempfile.TemporaryDirectory(prefix="chaperone-bench-") as directory:
            os.chmod(directory, 0o755)
            postgres.psql(measures.SCHEMA)
            subprocess.run(["pgbench", "-i", "-q", "-s", str(SCALE)], env=postgres.env(), check=True,
                           capture_output=True)
            for way in WAYS:
                ways.append(way(postgres, directory))
            yield ways, directory
    finally:
        for way in ways:
            way.close()
        postgres.close()


def run_all(ways, directory, options):
    script = os.path.join(directory, "people.sql")
    with open(script, "w", encoding="ascii") as f:
        f.write("SELECT * FROM bench_people;\n")
    memory = {}
    for way in ways:
        memory.update(measures.memory(way))
    work = [w for w in workloads(options.clients, options.many, script)
            if not options.only or any(text in w[0] for text in options.only)]
    rates, cpu, behind, load = measure(ways, work, options)
    added = {} if options.only else measure_latency(ways, options)
    for way in ways:
        for part, kb in measures.rss_kb(measures.processes(way)).items():
            memory[part]["after"] = kb
    return {"workloads": summarize(rates), "cpu_s_per_100000": cpu, "added_us": added,
            "memory_kb": memory, "catch_up_s": behind, "load": load}


def write_results(result, options):
    directory = os.path.join(HERE, "results")
    os.makedirs(directory, exist_ok=True)
    with open(os.path.join(directory, "latest.json"), "w", encoding="utf-8") as f:
        json.dump({"time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
                   "cpus": os.cpu_count(), "kernel": platform.release(),
                   "options": vars(options), **result}, f, indent=1)
    shares = {w: {n: ways[n]["ratio"] for n in ways if n != "direct"}
              for w, ways in result["workloads"].items()}
    with open(os.path.join(directory, "latest.svg"), "w", encoding="utf-8") as f:
        f.write(plot.draw(shares, "Share of a direct connection (1.00): median, and the spread of the rounds"))
    print(f"\nEverything: {os.path.relpath(directory)}/latest.json and latest.svg")


def main():
    options = parse_options()
    with prepared() as (ways, directory):
        result = run_all(ways, directory, options)
    print_tables(result["workloads"], result["cpu_s_per_100000"], result["added_us"],
                 result["memory_kb"], options)
    print(f"\nAfter a measurement the control plane had all records within {result['catch_up_s']:.1f}"
          f" s. The machine: {os.cpu_count()} CPUs, load {shown(result['load'], 1)}.\n")
    if options.only:
        return
    result["programs"] = measures.small_programs(BIN, options.search_records, options.quick)
    for name, said in result["programs"].items():
        print(f"--- {name}\n{said}")
    write_results(result, options)


if __name__ == "__main__":
    main()
