#!/usr/bin/python3
"""How long after a push the last sidecar of a whole fleet has acknowledged the policy.

Simulated sidecars, each enrolled with a certificate of its own and with a connection and a Watch
stream of its own, on one control plane of the usual kind, on this machine.
"""

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.dirname(HERE))

from support.ports import free_port  # noqa: E402
from support.stack import BIN, CONTROLPLANE, ISSUER  # noqa: E402

FLEET = os.path.join(BIN, "e2e", "bench", "fleet", "fleet_bench")
PATIENCE_S = 20


def mint(issuer, subject, groups, directory):
    path = os.path.join(directory, subject + ".token")
    done = subprocess.run(["curl", "-fsS", f"{issuer}/token", "-d", f"subject={subject}", "-d",
                           f"groups={groups}", "-d", "format=text"], check=True,
                          capture_output=True, text=True)
    with open(path, "w", encoding="ascii") as f:
        f.write(done.stdout)
    return path


class ControlPlane:
    def __init__(self, directory):
        self.dir = directory
        self.issuer = subprocess.Popen([ISSUER, "--dir", directory, "--listen",
                                        f"127.0.0.1:{free_port()}"], stdout=subprocess.PIPE,
                                       text=True)
        url = self.issuer.stdout.readline().split()[-1]
        assert url.startswith("http://"), url
        config = os.path.join(directory, "controlplane.yaml")
        self.address = f"127.0.0.1:{free_port()}"
        with open(config, "w", encoding="ascii") as f:
            f.write(f"listen: {self.address}\ndata: {directory}/data\nlog: {{level: warn}}\n"
                    f"identity_providers:\n  - {{name: dev, issuer: \"{url}\", audience: chaperone}}\n"
                    "roles: {admin: [admins]}\n")
        self.token = mint(url, "admin", "admins", directory)
        self.process = subprocess.Popen([CONTROLPLANE, "--config", config])
        self.ca = os.path.join(directory, "data", "ca", "ca.pem")
        end = time.monotonic() + PATIENCE_S
        while not os.path.exists(self.ca):
            assert self.process.poll() is None and time.monotonic() < end, "it does not start"
            time.sleep(0.02)

    def close(self):
        for process in (self.process, self.issuer):
            process.terminate()
            process.wait(60)


def raise_files(wanted):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < wanted:
        if hard != resource.RLIM_INFINITY and hard < wanted:
            hard = wanted  # may need privilege; then setrlimit says so
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def spread(values):
    return {"min": min(values), "median": statistics.median(values), "max": max(values)}


def main():
    parser = argparse.ArgumentParser(prog="e2e/bench/run.sh --fleet", description=__doc__)
    parser.add_argument("--sidecars", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=10)
    options = parser.parse_args()
    if min(options.sidecars, options.rounds) < 1:
        parser.error("each number is at least 1")
    raise_files(8 * options.sidecars + 256)  # the control plane inherits it
    with tempfile.TemporaryDirectory(prefix="chaperone-fleet-") as directory:
        plane = ControlPlane(directory)
        try:
            done = subprocess.run([FLEET, plane.address, plane.ca, plane.token,
                                   str(options.sidecars), str(options.rounds)], check=True,
                                  stdout=subprocess.PIPE, text=True)
        finally:
            plane.close()
    rounds = [json.loads(line) for line in done.stdout.splitlines()]
    names = ("answered_ms", "acknowledged_ms", "shown_ms")
    result = {name: spread([r[name] for r in rounds]) for name in names}
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    print(f"{now}: a policy push to {options.sidecars} sidecars, {options.rounds} rounds,"
          f" {os.cpu_count()} CPUs; ms since the push, min / median / max")
    for name, words in zip(names, ("the push is answered", "the last one has acknowledged",
                                   "`policy status` shows all of them active")):
        r = result[name]
        print(f"  {words:<42} {r['min']:8.1f} {r['median']:8.1f} {r['max']:8.1f}")
    path = os.path.join(HERE, "results", "fleet.json")
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as f:
        json.dump({"time": now, "cpus": os.cpu_count(), "kernel": platform.release(),
                   "options": vars(options), **result, "rounds": rounds}, f, indent=1)
        f.write("\n")


if __name__ == "__main__":
    main()
