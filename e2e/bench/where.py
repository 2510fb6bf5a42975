#!/usr/bin/python3
"""Where the machine's time goes while pgbench -S runs: microseconds for a statement, of each program.

The processor's time of every thread is the kernel's own count (/proc/PID/task/TID/schedstat). With the
control plane stopped meanwhile (SIGSTOP) the sidecar only fills its spool: what is then left of the
machine is what a control plane elsewhere would leave.
"""

import argparse
import os
import re
import signal
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.dirname(HERE))
sys.path.insert(0, HERE)

import measures  # noqa: E402
from bench import prepared, spread  # noqa: E402

LEAD_S = 0.5  # until all clients have logged in
TICK_NS = 1e9 / measures.TICKS
SHOWN_US = 0.3


def program_times():
    """{program: (ns on a processor, ns of it in the kernel)} of all threads that there are."""
    found = {}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/comm", encoding="utf-8", errors="replace") as f:
                name = f.read().strip().split("/")[0]  # a thread of the kernel has its processor behind it
            with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as f:
                kernel = int(f.read().rsplit(")", 1)[1].split()[12]) * TICK_NS
            run = 0
            for task in os.listdir(f"/proc/{pid}/task"):
                with open(f"/proc/{pid}/task/{task}/schedstat", encoding="ascii") as f:
                    run += int(f.read().split()[0])
        except (OSError, ProcessLookupError):
            continue
        before = found.get(name, (0, 0))
        found[name] = (before[0] + run, before[1] + kernel)
    return found


def account(way, mode, options, stopped=None):
    """Statements a second, and {program: (us, us in the kernel)} for one of them."""
    command = ["pgbench", "-n", "-S", "-M", mode, "-c", str(options.clients), "-j", str(min(options.clients, 2)),
               "-T", str(options.seconds + 1)]
    with subprocess.Popen(command, env=measures.clean_env(way), stdout=subprocess.PIPE, text=True) as bench:
        time.sleep(LEAD_S)
        if stopped:
            os.kill(stopped, signal.SIGSTOP)
        try:
            began, before = time.monotonic(), program_times()
            time.sleep(options.seconds - LEAD_S)
            after, seconds = program_times(), time.monotonic() - began
            said = bench.communicate()[0]
        finally:
            if stopped:
                os.kill(stopped, signal.SIGCONT)
    rate = float(re.search(r"^tps = ([0-9.]+)", said, re.M).group(1))
    spent = {name: tuple((new - old) / 1e3 / (rate * seconds) for new, old in zip(times, before.get(name, (0, 0))))
             for name, times in after.items()}
    way.settle()
    return rate, spent


def show(found, options):
    for mode in options.modes:
        print(f"\n{mode}, {options.clients} clients")
        for name, rounds in found[mode].items():
            rates = spread([rate for rate, _ in rounds])
            print(f"  {name:<30}{rates['median']:>8.0f} a second ({rates['min']:.0f}-{rates['max']:.0f})")
            programs = {p for _, spent in rounds for p in spent}
            table = {p: [spread([spent.get(p, (0, 0))[k] for _, spent in rounds])["median"] for k in (0, 1)]
                     for p in programs}
            for p, (us, kernel) in sorted(table.items(), key=lambda row: -row[1][0]):
                if us >= SHOWN_US:
                    print(f"    {p:<18}{us:>8.1f} us, of which in the kernel {kernel:.1f}")


def parse_options():
    parser = argparse.ArgumentParser(prog="e2e/bench/run.sh --where", description=__doc__.split("\n\n")[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=3, help="of each measurement; at least 2")
    parser.add_argument("--clients", type=int, default=4)
    parser.add_argument("--modes", nargs="+", default=["simple", "extended", "prepared"])
    options = parser.parse_args()
    if options.rounds < 1 or options.seconds < 2 or options.clients < 1:
        parser.error("at least one round, one client and two seconds")
    return options


def main():
    options = parse_options()
    found = {mode: {} for mode in options.modes}
    with prepared() as (ways, _):
        controlplane = measures.processes(ways[-1])["chaperone-controlplane"]
        for n in range(options.rounds):
            print(f"round {n + 1} of {options.rounds}", file=sys.stderr, flush=True)
            for mode in options.modes:
                for way in ways:
                    found[mode].setdefault(way.name, []).append(account(way, mode, options))
                found[mode].setdefault("chaperone, control plane stopped", []).append(
                    account(ways[-1], mode, options, controlplane))
    show(found, options)


if __name__ == "__main__":
    main()
