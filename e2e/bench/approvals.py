#!/usr/bin/python3
"""How long after a person's decision the held statement is at the target.

One agent's session holds one statement after the other; each is approved with the command. The
beginning is the moment that the control plane gives the decision, the end the moment at which
PostgreSQL began with the statement (statement_timestamp), on one machine and one clock.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import threading
import time
from datetime import datetime

import psycopg

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.dirname(HERE))
sys.path.insert(0, HERE)

from bench import spread  # noqa: E402
from support.postgres import Postgres  # noqa: E402
from support.stack import CHAPERONE, Stack  # noqa: E402

POLICY = """
version: 1
rules:
  - {name: rest, effect: allow}
  - name: updates
    effect: hold
    match: {sql: {commands: [UPDATE]}}
    hold: {approvers: {groups: [chaperone-operators]}, predict: PREDICT}
"""
STATEMENT = "UPDATE counter SET n = n + 1 RETURNING extract(epoch FROM statement_timestamp())::float8"


def parse_options():
    parser = argparse.ArgumentParser(prog="e2e/bench/run.sh --approvals",
                                     description=__doc__.split("\n\n")[0])
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--predict", choices=("none", "plan"), default="plan")
    return parser.parse_args()


def seconds_of(moment):
    """RFC 3339 with nine digits."""
    whole, _, rest = moment.rstrip("Z").partition(".")
    return datetime.fromisoformat(whole + "+00:00").timestamp() + float("0." + (rest or "0"))


def approve(stack, waiting, rounds, decided):
    """Approves what is waited for, as it comes."""
    for line in waiting.stdout:
        held = json.loads(line)
        held = held.get("approval", held)
        if isinstance(held, dict) and held.get("state") == "waiting":
            done = stack.chaperone("approvals", "approve", held["id"], "--reason", "bench", "--json")
            decided.append(seconds_of(json.loads(done.stdout)["decisions"][-1]["time"]))
            if len(decided) == rounds:
                return


def measure(stack, options):
    command = [CHAPERONE, "approvals", "watch", "--json", *stack.operator()]
    decided, at_target = [], []
    with psycopg.connect(stack.dsn(), autocommit=True) as agent, \
            subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as waiting:
        approver = threading.Thread(target=approve, args=(stack, waiting, options.rounds, decided),
                                    daemon=True)
        approver.start()
        for _ in range(options.rounds):
            at_target.append(agent.execute(STATEMENT).fetchone()[0])
        approver.join(30)
        waiting.kill()
    return [(end - start) * 1000 for start, end in zip(decided, at_target)]


def main():
    options = parse_options()
    postgres, stack = Postgres(settings=("log_statement=none",)), None
    try:
        postgres.psql("CREATE TABLE counter (n int); INSERT INTO counter VALUES (0)")
        with tempfile.NamedTemporaryFile("w", suffix=".yaml") as policy:
            policy.write(POLICY.replace("PREDICT", options.predict))
            policy.flush()
            stack = Stack(postgres, policy=policy.name)
            times = measure(stack, options)
    finally:
        if stack is not None:
            stack.close()
        postgres.close()
    summary = spread(times)
    times.sort()
    summary["p95"] = times[int(len(times) * 0.95)]
    print(f"\nFrom the decision to the statement at the target: median {summary['median']:.1f} ms,"
          f" {summary['min']:.1f} to {summary['max']:.1f}, 95 % below {summary['p95']:.1f},"
          f" of {options.rounds}")
    path = os.path.join(HERE, "results", "approvals.json")
    with open(path, "w", encoding="utf-8") as f:
        json.dump({"time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
                   "cpus": os.cpu_count(), "kernel": platform.release(),
                   "options": vars(options), "ms": summary}, f, indent=1)
    print(f"\nEverything: {os.path.relpath(path)}")


if __name__ == "__main__":
    main()
