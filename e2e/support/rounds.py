"""How often a fault is made: few times in an ordinary run, many in e2e/faults/run.sh."""

import json
import os
import time

ROUNDS = int(os.environ.get("CHAPERONE_FAULT_ROUNDS", "5"))
AWAY_SECONDS = int(os.environ.get("CHAPERONE_FAULT_SECONDS", "20"))
RESULTS = os.environ.get("CHAPERONE_FAULT_RESULTS")


class Survived:
    """Counts the rounds of one fault, and writes them down when the test has held all of it."""

    def __init__(self, fault, rounds=1):
        self.fault, self.rounds = fault, rounds
        self.began = time.monotonic()
        self.numbers = {}

    def times(self):
        """Of each recovery, in seconds, for `took`."""
        return self.numbers.setdefault("recovery", [])

    def add(self, **numbers):
        for name, value in numbers.items():
            self.numbers[name] = self.numbers.get(name, 0) + value

    def write(self):
        print(f"{self.fault}: {self.rounds} survived, {self.numbers}")
        if RESULTS:
            with open(RESULTS, "a", encoding="utf-8") as f:
                json.dump({"fault": self.fault, "survived": self.rounds, **self.numbers,
                           "seconds": round(time.monotonic() - self.began, 1)}, f)
                f.write("\n")
