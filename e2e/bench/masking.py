#!/usr/bin/python3
"""What masking costs: results of 5,000 rows with one text column masked, as a share of the same without.

Both go through sidecars that differ by their policy only, in rounds that take turns.
"""

import argparse
import json
import os
import platform
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.dirname(HERE))
sys.path.insert(0, HERE)

from bench import Chaperone, Direct, pgbench, spread  # noqa: E402
from support.postgres import Postgres  # noqa: E402

ROWS = 5000
SCHEMA = f"""
CREATE TABLE people (id int PRIMARY KEY, name text, ssn text, email text, born date, city text,
    street text, balance numeric(12, 2), active bool, note text);
INSERT INTO people SELECT i, 'person ' || i, lpad(i::text, 9, '7'), 'p' || i || '@example.org',
    date '1960-01-01' + i, 'city ' || i % 100, i || ' long street', i * 1.25, i % 2 = 0,
    repeat('note ', 1 + i % 10)
FROM generate_series(1, {ROWS}) i;
"""
RULES = "version: 1\nrules:\n  - name: all\n    effect: allow\n"
SSN = ("    obligations: {mask: [{columns: [public.people.ssn],"
       " with: {partial: {keep_last: 4}}}]}\n")
CONTENT = ("    obligations: {mask: [{detect: [email, card, iban, phone, jwt, private_key, api_key],"
           ' with: {fixed: "[masked]"}}]}\n')


class Masked(Chaperone):
    def __init__(self, name, postgres, directory, policy):
        self.name = name
        path = os.path.join(directory, name.replace(" ", "-") + ".yaml")
        with open(path, "w", encoding="ascii") as f:
            f.write(policy)
        super().__init__(postgres, directory, policy=path)


def parse_options():
    parser = argparse.ArgumentParser(prog="e2e/bench/run.sh --masking",
                                     description=__doc__.split("\n\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=4, help="of each measurement")
    parser.add_argument("--clients", type=int, default=1)
    return parser.parse_args()


def main():
    options = parse_options()
    ways, postgres = [], Postgres(settings=("log_statement=none", "shared_buffers=256MB"))
    try:
        postgres.psql(SCHEMA)
        with tempfile.TemporaryDirectory(prefix="chaperone-bench-") as directory:
            script = os.path.join(directory, "people.sql")
            with open(script, "w", encoding="ascii") as f:
                f.write("SELECT * FROM people;\n")
            ways = [Direct(postgres, directory), Masked("no mask", postgres, directory, RULES),
                    Masked("one column", postgres, directory, RULES + SSN),
                    Masked("all content", postgres, directory, RULES + CONTENT)]
            tps = {way.name: [] for way in ways}
            for n in range(options.rounds):
                print(f"round {n + 1} of {options.rounds}", file=sys.stderr, flush=True)
                for way in ways[n % len(ways):] + ways[:n % len(ways)]:
                    tps[way.name].append(pgbench(way, options.clients, options.seconds,
                                                 ["-f", script]))
                    way.settle()
    finally:
        for way in ways:
            way.close()
        postgres.close()
    base = tps["no mask"]
    summary = {name: {"tps": spread(values),
                      "share": spread([v / b for v, b in zip(values, base)])}
               for name, values in tps.items()}
    print(f"\nResults of {ROWS} rows a second, and as a share of those without a mask:"
          f" median (min-max) of {options.rounds} rounds of {options.seconds} s,"
          f" {options.clients} clients\n")
    for name, s in summary.items():
        print(f"{name:<14}{s['tps']['median']:>10.1f}"
              f"{'%.2f (%.2f-%.2f)' % (s['share']['median'], s['share']['min'], s['share']['max']):>20}")
    path = os.path.join(HERE, "results", "masking.json")
    with open(path, "w", encoding="utf-8") as f:
        json.dump({"time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
                   "cpus": os.cpu_count(), "kernel": platform.release(),
                   "options": vars(options), "ways": summary}, f, indent=1)
    print(f"\nEverything: {os.path.relpath(path)}")


if __name__ == "__main__":
    main()
