#!/usr/bin/python3
"""pgbench over several ways to one PostgreSQL, as ratios to a direct connection.

All is measured in one run and interleaved in rounds, so that a machine that is slower for a while is
slower for everybody. To add a workload, add a line to WORKLOADS; to add a way, add a class to WAYS.
"""

import argparse
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

from support.postgres import PASSWORD, USER, Postgres, free_port  # noqa: E402
from support.stack import BIN, Stack  # noqa: E402

SCALE = 10  # 1,000,000 rows: 130 MB, in memory
PATIENCE_S = 60


def workloads(clients):
    """Name, connections, pgbench's arguments."""
    modes = ("simple", "extended", "prepared")
    return ([(f"-S {mode}", clients, ["-S", "-M", mode]) for mode in modes]
            + [(f"-S {mode}, 1 client", 1, ["-S", "-M", mode]) for mode in modes])


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


WAYS = (Direct, PgBouncer, HAProxy, Chaperone)


def pgbench(way, clients, seconds, arguments):
    """Transactions a second, without the time to connect."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith("PG")}
    env = dict(clean, PGHOST="127.0.0.1", PGDATABASE="postgres", PGSSLMODE="disable", **way.env())
    done = subprocess.run(["pgbench", "-n", "-c", str(clients), "-j", str(min(clients, 2)),
                           "-T", str(seconds), *arguments],
                          env=env, capture_output=True, text=True, check=False)
    found = re.search(r"^tps = ([0-9.]+)", done.stdout, re.M)
    if done.returncode != 0 or not found:
        raise RuntimeError(f"pgbench through {way.name}: {done.stderr}{done.stdout}")
    return float(found.group(1))


def measure(ways, options):
    """{workload: {way: [tps of each round]}}, and how long the last records were on their way."""
    work = workloads(options.clients)
    tps = {name: {way.name: [] for way in ways} for name, _, _ in work}
    behind = []
    for n in range(options.rounds):
        print(f"round {n + 1} of {options.rounds}", file=sys.stderr, flush=True)
        for name, clients, arguments in work:
            # Another one first in each round.
            for way in ways[n % len(ways):] + ways[:n % len(ways)]:
                tps[name][way.name].append(pgbench(way, clients, options.seconds, arguments))
                behind.append(way.settle())
    return tps, max(behind)


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


def print_tables(summary, options):
    names = [way.name for way in WAYS]
    print(f"\nShare of direct connections' transactions a second, {options.clients} clients:"
          f" median (min-max) of {options.rounds} rounds of {options.seconds} s\n")
    print(f"{'pgbench':<14}{'direct tps':>12}" + "".join(f"{n:>20}" for n in names[1:]))
    for workload, ways in summary.items():
        if "1 client" not in workload:
            ratios = [ways[n]["ratio"] for n in names[1:]]
            print(f"{workload:<14}{ways['direct']['tps']['median']:>12.0f}" + "".join(
                f"{'%.2f (%.2f-%.2f)' % (r['median'], r['min'], r['max']):>20}" for r in ratios))
    print("\nMicroseconds a transaction at one client: median\n")
    print(f"{'pgbench':<14}" + "".join(f"{n:>12}" for n in names))
    for workload, ways in summary.items():
        if "1 client" in workload:
            print(f"{workload.split(',')[0]:<14}"
                  + "".join(f"{ways[n]['us_per_transaction']:>12.1f}" for n in names))


def parse_options():
    parser = argparse.ArgumentParser(prog="e2e/bench/run.sh", description=__doc__.split("\n\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=4, help="of each measurement")
    parser.add_argument("--clients", type=int, default=4)
    options = parser.parse_args()
    if min(options.rounds, options.seconds, options.clients) < 1:
        parser.error("each number is at least 1")
    if "-opt" not in os.path.realpath(os.path.join(BIN, "cli", "chaperone")):
        parser.error(f"{BIN} is not a build with -c opt: what it measures says nothing")
    return options


def main():
    options = parse_options()
    ways, postgres = [], Postgres(settings=("log_statement=none", "shared_buffers=256MB"))
    try:
        with tempfile.TemporaryDirectory(prefix="chaperone-bench-") as directory:
            os.chmod(directory, 0o755)
            subprocess.run(["pgbench", "-i", "-q", "-s", str(SCALE)], env=postgres.env(), check=True,
                           capture_output=True)
            for way in WAYS:
                ways.append(way(postgres, directory))
            tps, behind = measure(ways, options)
    finally:
        for way in ways:
            way.close()
        postgres.close()
    summary = summarize(tps)
    print_tables(summary, options)
    print(f"\nAfter a measurement the control plane had all records within {behind:.1f} s.")
    path = os.path.join(HERE, "results", "latest.json")
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as f:
        json.dump({"time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
                   "cpus": os.cpu_count(), "kernel": platform.release(),
                   "options": vars(options), "catch_up_s": behind, "workloads": summary}, f, indent=1)
    print(f"Everything: {os.path.relpath(path)}")


if __name__ == "__main__":
    main()
