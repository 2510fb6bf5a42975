#!/usr/bin/python3
"""Several ways to one nginx, as ratios to a direct connection: HAProxy, nginx as a reverse proxy, and Chaperone.

Chaperone has everything on: OIDC identity, a policy of 50 rules, the target's credential put in and looked for in
answers, recording, shipping, search index; where the workload says so it masks fields of the answer's JSON. All is
measured in one run, in rounds in which the ways take turns.
"""

import argparse
import json
import os
import platform
import re
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.dirname(HERE))
sys.path.insert(0, HERE)

import measures  # noqa: E402
import plot  # noqa: E402
from bench import shown, spread, wait_for_port  # noqa: E402
from support.http_stack import BEARER, HttpControlPlane, http_provider  # noqa: E402
from support.manual import write  # noqa: E402
from support.ports import free_port  # noqa: E402
from support.stack import BIN  # noqa: E402

CUSTOMERS = 20  # of 200 bytes: an answer of 4 KB
PATIENCE_S = 600


def customers():
    return json.dumps({"customers": [
        {"id": i, "name": f"Customer {i}", "email": f"customer.{i}@example.org", "ssn": f"{i:09}", "balance": i * 1.25,
         "address": {"street": f"{i} Long Street", "city": "Springfield"}, "note": "called twice, will call again"}
        for i in range(CUSTOMERS)]})


def policy():
    """50 rules: most about paths that the workloads do not touch, one masks."""
    rules = [{"name": f"not-{n}", "effect": "deny", "match": {"http": {"paths": [f"/private/{n}/**"]}}} for n in range(48)]
    rules.append({"name": "read", "effect": "allow", "match": {"resources": ["plain"], "http": {
        "methods": ["read"], "paths": ["/{name}"]}}})
    rules.append({"name": "masked", "effect": "allow", "match": {"resources": ["masked"], "http": {
        "methods": ["read"], "paths": ["/{name}"]}}, "obligations": {"mask": [
            {"fields": ["email", "ssn"], "with": {"partial": {"keep_last": 4}}}]}})
    return {"version": 1, "rules": rules}


# ---- what measures ------------------------------------------------------------------------------


def microseconds(text):
    number, unit = re.fullmatch(r"([\d.]+)(us|ms|s)", text).groups()
    return float(number) * {"us": 1, "ms": 1e3, "s": 1e6}[unit]


def wrk(url, connections, seconds):
    """Requests a second, and microseconds of p50 and p99."""
    done = subprocess.run(["wrk", "-t", str(min(connections, 2)), "-c", str(connections), "-d", f"{seconds}s", "--latency", url],
                          capture_output=True, text=True, check=True)
    if "Non-2xx" in done.stdout or "Socket errors" in done.stdout:
        raise RuntimeError(f"{url}: {done.stdout}")
    return {"rate": float(re.search(r"Requests/sec:\s+([\d.]+)", done.stdout)[1]),
            **{p: microseconds(re.search(rf"^\s+{p[1:]}%\s+(\S+)", done.stdout, re.M)[1]) for p in ("p50", "p99")}}


def h2load(url, connections, seconds, streams):
    """The same over HTTP/2 without TLS, or with streams=0 over HTTP/1.1."""
    with tempfile.NamedTemporaryFile("r") as log:
        version = ["-m", str(streams)] if streams else ["--h1"]
        done = subprocess.run(["h2load", "-c", str(connections), "-t", "1", *version, "-D", str(seconds), "--log-file",
                               log.name, url], capture_output=True, text=True, check=True)
        times = sorted(int(x[2]) for x in (line.split("\t") for line in log) if x[1] == "200")
    bad = re.search(r"(\d+) failed, (\d+) errored", done.stdout)
    if not times or any(int(x) for x in bad.groups()):
        raise RuntimeError(f"{url}: {done.stdout}")
    return {"rate": float(re.search(r"finished in .*?, ([\d.]+) req/s", done.stdout)[1]),
            **{p: float(measures.percentiles(times)[p]) for p in ("p50", "p99")}}


def workloads(options):
    """Name, resource, path, what measures it: (url, seconds) to its result."""
    def by_wrk(n):
        return lambda url, seconds: wrk(url, n, seconds)

    def by_h2load(n, streams):
        return lambda url, seconds: h2load(url, n, seconds, streams)

    n = options.clients
    return [("1 KB, h1, 1", "plain", "/1k.txt", by_wrk(1)), (f"1 KB, h1, {n}", "plain", "/1k.txt", by_wrk(n)),
            (f"4 KB of JSON, h1, {n}", "plain", "/customers.json", by_wrk(n)),
            (f"the same, masked, {n}", "masked", "/customers.json", by_wrk(n)),
            ("100 KB, h1, 4", "plain", "/100k.txt", by_wrk(4)),
            ("1 KB, h1 (h2load), 4", "plain", "/1k.txt", by_h2load(4, 0)),
            ("1 KB, h2, 4 x 1", "plain", "/1k.txt", by_h2load(4, 1)),
            ("1 KB, h2, 4 x 10", "plain", "/1k.txt", by_h2load(4, 10)),
            ("JSON, h2, masked, 4 x 10", "masked", "/customers.json", by_h2load(4, 10))]


# ---- the ways -------------------------------------------------------------------------------------


class Program:
    """In the foreground with a configuration file; `ports`: h1 and h2."""

    def start(self, directory, text, *command):
        self.ports = {"h1": free_port(), "h2": free_port()}
        path = os.path.join(directory, self.name + ".conf")
        for name, value in (("PORT1", self.ports["h1"]), ("PORT2", self.ports["h2"]), ("DIRECTORY", directory),
                            ("NAME", self.name), ("USER", "user root;" if os.geteuid() == 0 else "")):
            text = text.replace(name, str(value))
        write(path, text)
        self.process = subprocess.Popen([*command, path], cwd="/", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for port in self.ports.values():
            wait_for_port(port, self.process)

    def url(self, _resource, version):
        return f"http://127.0.0.1:{self.ports[version]}"

    def settle(self):
        pass

    def pids(self):
        return {}

    def close(self):
        self.process.terminate()
        self.process.wait()


NGINX = """daemon off; pid DIRECTORY/NAME.pid; error_log DIRECTORY/NAME.log; worker_processes 1; USER
events { worker_connections 4096; }
http {
    access_log off; sendfile off; output_buffers 2 128k; keepalive_requests 1000000000; http2_max_requests 1000000000;
    client_body_temp_path DIRECTORY/b; proxy_temp_path DIRECTORY/p; fastcgi_temp_path DIRECTORY/f;
    uwsgi_temp_path DIRECTORY/u; scgi_temp_path DIRECTORY/s;
    types { text/plain txt; application/json json; }
    MORE
    server { listen 127.0.0.1:PORT1; listen 127.0.0.1:PORT2 http2; PLACE }
}
"""


class Direct(Program):
    name = "direct"

    def __init__(self, directory, _target):
        self.start(directory, NGINX.replace("MORE", "").replace("PLACE", "root DIRECTORY/files;"),
                   "/usr/sbin/nginx", "-e", "stderr", "-c")


class Nginx(Program):
    name = "nginx"

    def __init__(self, directory, target):
        self.start(directory, NGINX.replace(
            "MORE", f"upstream target {{ server 127.0.0.1:{target.ports['h1']}; keepalive 128; keepalive_requests 1000000000; }}"
        ).replace("PLACE", 'location / { proxy_pass http://target; proxy_http_version 1.1; proxy_set_header Connection ""; }'),
                   "/usr/sbin/nginx", "-e", "stderr", "-c")

    def pids(self):
        return {"nginx": measures.descendants(self.process.pid)[-1]}  # the worker


class HAProxy(Program):
    name = "haproxy"

    def __init__(self, directory, target):
        self.start(directory, f"""global
    nbthread 1
defaults
    mode http
    timeout connect 10s
    timeout client 1h
    timeout server 1h
    http-reuse always
listen web
    bind 127.0.0.1:PORT1
    bind 127.0.0.1:PORT2 proto h2
    server target 127.0.0.1:{target.ports['h1']}
""", "/usr/sbin/haproxy", "-db", "-q", "-f")

    def pids(self):
        return {"haproxy": self.process.pid}


class Chaperone:
    name = "chaperone"

    def __init__(self, directory, target):
        self.provider = http_provider()
        bearer = write(os.path.join(directory, "bearer"), BEARER)
        self.fleet = HttpControlPlane(self.provider, [
            {"name": name, "protocol": "http", "address": target.url("", "h1"), "credential": {"bearer": {"file": bearer}}}
            for name in ("plain", "masked")], policy())
        self.sidecar = self.fleet.http_sidecar(["plain", "masked"])

    def url(self, resource, _version):
        return self.sidecar.url(resource)

    def pids(self):
        return {"chaperone-sidecar": self.sidecar.part.pid, "chaperone-controlplane": self.fleet.part.pid}

    def settle(self):
        """Until the control plane has all records."""
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            m = {k: float(v) for k, v in re.findall(r"^chaperone_(\w+) (\S+)$", self.sidecar.ask("/metrics"), re.M)}
            if m["records_acknowledged_total"] >= m["records_total"] and m["sessions_active"] == 0:
                return
            time.sleep(0.1)
        raise RuntimeError("the control plane does not catch up with the records")

    def close(self):
        self.fleet.close()
        self.provider.close()


WAYS = (Direct, HAProxy, Nginx, Chaperone)


def measure(ways, options):
    """{workload: {way: [result of each round]}}, and the processor's seconds for 100,000 requests."""
    found, cpu = {}, {}
    for n in range(options.rounds):
        print(f"round {n + 1} of {options.rounds}", file=sys.stderr, flush=True)
        for name, resource, path, run in workloads(options):
            version = "h2" if ", h2," in name else "h1"
            for way in ways[n % len(ways):] + ways[:n % len(ways)]:
                pids = way.pids()
                before = measures.cpu_seconds(pids)
                result = run(way.url(resource, version) + path, options.seconds)
                way.settle()
                after = measures.cpu_seconds(pids)
                found.setdefault(name, {}).setdefault(way.name, []).append(result)
                for part in pids:
                    cpu.setdefault(name, {}).setdefault(part, []).append(
                        (after[part] - before[part]) * 1e5 / (result["rate"] * options.seconds))
    return found, cpu


def summarize(found):
    return {workload: {
        way: {**{what: spread([r[what] for r in rounds]) for what in ("rate", "p50", "p99")},
              "ratio": spread([r["rate"] / d["rate"] for r, d in zip(rounds, ways["direct"])])}
        for way, rounds in ways.items()} for workload, ways in found.items()}


def print_tables(summary, cpu, memory, options):
    names = [way.name for way in WAYS]
    print(f"\nRequests a second, and the share of direct connections': median (min-max) of {options.rounds} rounds of"
          f" {options.seconds} s\n")
    print(f"{'workload, connections':<28}{'direct/s':>10}" + "".join(f"{n:>30}" for n in names[1:]))
    for workload, ways in summary.items():
        print(f"{workload:<28}{ways['direct']['rate']['median']:>10.0f}" + "".join(
            f"{ways[n]['rate']['median']:>10.0f} {shown(ways[n]['ratio']):>19}" for n in names[1:]))
    print("\nMicroseconds of a request, p50 / p99: medians of the rounds\n")
    print(f"{'workload, connections':<28}" + "".join(f"{n:>20}" for n in names))
    for workload, ways in summary.items():
        print(f"{workload:<28}" + "".join(
            f"{ways[n]['p50']['median']:>11.0f} /{ways[n]['p99']['median']:>7.0f}" for n in names))
    print("\nProcessor seconds for 100,000 requests: median (min-max)\n")
    for workload, parts in cpu.items():
        print(f"{workload:<28}" + "  ".join(f"{p} {shown(spread(v), 1)}" for p, v in parts.items()))
    print("\nResident KB before and after: " + ", ".join(f"{p} {b} and {a}" for p, (b, a) in memory.items()))


def parse_options():
    parser = argparse.ArgumentParser(prog="e2e/bench/run.sh --http", description=__doc__.split("\n\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=4, help="of each measurement")
    parser.add_argument("--clients", type=int, default=32, help="connections")
    parser.add_argument("--quick", action="store_true", help="one round of a second each")
    options = parser.parse_args()
    if options.quick:
        options.rounds, options.seconds = 1, 1
    if min(options.rounds, options.seconds, options.clients) < 1:
        parser.error("each number is at least 1")
    return options


def write_results(summary, cpu, memory, options):
    directory = os.path.join(HERE, "results")
    os.makedirs(directory, exist_ok=True)
    with open(os.path.join(directory, "http.json"), "w", encoding="utf-8") as f:
        json.dump({"time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "cpus": os.cpu_count(),
                   "kernel": platform.release(), "options": vars(options), "workloads": summary,
                   "cpu_s_per_100000": cpu, "memory_kb": memory}, f, indent=1)
    shares = {w: {n: ways[n]["ratio"] for n in ways if n != "direct"} for w, ways in summary.items()}
    with open(os.path.join(directory, "http.svg"), "w", encoding="utf-8") as f:
        f.write(plot.draw(shares, "HTTP: share of a direct connection (1.00): median, and the spread of the rounds"))
    print(f"\nEverything: {os.path.relpath(directory)}/http.json and http.svg, of {BIN}")


def main():
    options, ways = parse_options(), []
    with tempfile.TemporaryDirectory(prefix="chaperone-bench-") as directory:
        os.chmod(directory, 0o755)
        os.mkdir(os.path.join(directory, "files"))
        for name, text in (("1k.txt", "x" * 1023 + "\n"), ("100k.txt", "x" * 102399 + "\n"), ("customers.json", customers())):
            with open(os.path.join(directory, "files", name), "w", encoding="ascii") as f:
                f.write(text)
        try:
            for way in WAYS:
                ways.append(way(directory, ways[0] if ways else None))
            before = {p: kb for way in ways for p, kb in measures.rss_kb(way.pids()).items()}
            found, cpu = measure(ways, options)
            after = {p: kb for way in ways for p, kb in measures.rss_kb(way.pids()).items()}
        finally:
            for way in ways:
                way.close()
    summary, memory = summarize(found), {p: (kb, after[p]) for p, kb in before.items()}
    print_tables(summary, cpu, memory, options)
    write_results(summary, cpu, memory, options)


if __name__ == "__main__":
    main()
