#!/usr/bin/python3
"""Tells what the audit log knows of the one session of deploy/quickstart.sh.

Every sentence is made of what `chaperone` prints, and every claim at the end is checked: exit code 1
and a line "NOT SO" when one does not hold.
"""

import argparse
import json
import re
import subprocess
import sys
import textwrap
import threading

INDENT = "      "
DOES = {"read": "reads", "insert": "adds to", "update": "changes", "delete": "deletes from",
        "call": "calls"}


def say(text="", depth=0):
    lead = INDENT + "   " * depth
    for line in text.splitlines() or [""]:
        print(textwrap.fill(line, 100, initial_indent=lead, subsequent_indent=lead + "  ",
                            break_long_words=False, break_on_hyphens=False) if line else "")


def plural(count, word):
    return f"{count} {word}{'' if count == 1 else 's'}"


class Audit:
    def __init__(self, chaperone, directory):
        self.chaperone, self.directory = chaperone, directory

    def command(self, *args):
        return [self.chaperone, *args, "--dir", self.directory]

    def ask(self, *args):
        done = subprocess.run(self.command(*args, "--json"), check=True, capture_output=True, text=True)
        return [json.loads(line) for line in done.stdout.splitlines()]

    def wait_for_end(self, seconds=30):
        """Records travel from the sidecar to the control plane: `audit tail` shows them arrive."""
        follow = self.command("audit", "tail", "--json", "--since", "1h", "--kind", "session_closed")
        with subprocess.Popen(follow, stdout=subprocess.PIPE, text=True) as tail:
            timer = threading.Timer(seconds, tail.kill)
            timer.start()
            line = tail.stdout.readline()
            timer.cancel()
            tail.kill()
        if not line:
            sys.exit("error: the session's records did not arrive; see sidecar.log and controlplane.log")
        return json.loads(line)["session"]


def pairs(records):
    """Each intent with its outcome, or None."""
    outcomes = {r["operation"]: r for r in records if r["kind"] == "outcome"}
    return [(r, outcomes.get(r["operation"])) for r in records if r["kind"] == "intent"]


def who(opened, sessions):
    session = sessions[0]
    groups = " and ".join(opened["groups"])
    say("Who was it?")
    say(f"{opened['identity']}, a member of {groups}, on behalf of {opened['on_behalf_of']}."
        f" That is {opened['assurance']}: it is in a token signed by {opened['issuer']}.", 1)
    say(f"It came as {opened['process']['executable']} (process {opened['process']['pid']}) from"
        f" {opened['agent_address']}, and was let through to the database {opened['database']} at"
        f" {opened['target_address']} by the rule \"{opened['rule']}\". There Chaperone logged in as"
        f" {opened['target_user']}.", 1)
    say(f"The session is {session['state']}: {plural(session['operations'], 'statement')}.", 1)


def title(intent):
    """The tables come first: they are what people ask about."""
    by_access = {}
    for o in sorted(intent["objects"], key=lambda o: o["kind"] != "table"):
        by_access.setdefault(o["access"], []).append(o["name"])
    touched = [f"{DOES.get(access, access)} {' and '.join(names)}" for access, names in by_access.items()]
    return ", ".join(touched) or f"sends {intent['command'] or 'something that is no SQL'}"


def answer(outcome):
    if outcome is None:
        return ["No answer is recorded."]
    if outcome["status"] == "refused":
        return [f"Chaperone refused it, and the database never saw it: {outcome['error']}."]
    if outcome["status"] == "failed":
        return [f"The database answered with error {outcome['error_code']}: {outcome['error']}."]
    took = f"{outcome['duration_us'] / 1000:.1f} ms"
    lines = [f"The database answered {outcome['command_tag']} after {took}"
             f" ({plural(outcome['rows'], 'row')}, {plural(outcome['bytes'], 'byte')})."]
    for result in outcome.get("results", []):
        if result["columns"]:
            lines.append("The agent saw: " + ", ".join(result["columns"]))
        lines += ["  " + " | ".join("NULL" if c is None else c for c in row) for row in result["rows"]]
    return lines


def what(operations):
    say()
    say("What did it do?")
    for intent, outcome in operations:
        verdict = {"allow": "allowed", "deny": "refused"}.get(intent["verdict"], intent["verdict"])
        say(f"{intent['operation']}. It {title(intent)}: {verdict} by the rule \"{intent['rule']}\".", 1)
        say(intent["text"].strip(), 2)
        for reason in intent["reasons"]:
            where = reason["source"].replace("sql_comment", "a comment in the SQL")
            say(f"Why, as {reason['assurance']} in {where}: {reason['text']}.", 2)
        for line in answer(outcome):
            say(line, 2)


def database_saw(path, user):
    """The statements in PostgreSQL's own log, as one list."""
    seen, inside = [], False
    with open(path, encoding="utf-8") as log:
        for line in log:
            if line.startswith("\t"):
                if inside:
                    seen[-1] += "\n" + line[1:].rstrip("\n")
                continue
            found = re.match(rf"\S+ \S+ \S+ \[\d+\] {re.escape(user)}@\S+ LOG:  statement: (.*)", line)
            inside = found is not None
            if inside:
                seen.append(found.group(1))
    return seen


def claims(records, operations, options):
    opened = next(r for r in records if r["kind"] == "session_opened")
    first, last = min(r["sequence"] for r in records), max(r["sequence"] for r in records)
    before = [o is not None and i["sequence"] < o["sequence"] and i["time"] <= o["time"]
              for i, o in operations]
    yield (operations and all(before),
           f"Recorded before it happened: {plural(len(operations), 'intent')}, each with an outcome"
           " that comes after it in the sidecar's stream of records.")
    yield (sorted(r["sequence"] for r in records) == list(range(first, last + 1)),
           f"Nothing is missing: the session's records are {first} to {last} of that stream, without"
           " a gap.")
    passed_on = [i["text"] for i, o in operations if i["verdict"] == "allow"]
    refused = plural(len(operations) - len(passed_on), "refused statement")
    seen = database_saw(options.database_log, opened["target_user"])
    yield (passed_on == seen,
           f"The database agrees: its own log has {plural(len(seen), 'statement')}, and they are the"
           f" {len(passed_on)} that the audit log says were let through, in the same order."
           f" {refused} never got there.")
    with open(options.environment, encoding="utf-8") as f:
        names = sorted(line.split("=")[0] for line in f if line.startswith("PG"))
    with open(options.direct, encoding="utf-8") as f:
        direct = f.read().strip().splitlines()[-1]
    yield ("PGPASSWORD" not in names and "PGPASSFILE" not in names and "password" in direct,
           f"The agent never had the password: it had only {', '.join(names)}. The same psql straight"
           f" to the database was turned away: \"{direct.split('failed: ')[-1]}\".")


def main():
    parser = argparse.ArgumentParser()
    for name in ("chaperone", "dir", "database-log", "environment", "direct"):
        parser.add_argument("--" + name, required=True)
    options = parser.parse_args()
    audit = Audit(options.chaperone, options.dir)
    session = audit.wait_for_end()
    records = audit.ask("audit", "show", session)
    operations = pairs(records)
    say(f"$ chaperone session list --all; chaperone audit show {session}")
    say()
    who(next(r for r in records if r["kind"] == "session_opened"),
        [s for s in audit.ask("session", "list", "--all") if s["session"] == session])
    what(operations)
    say()
    say("Is that all true?")
    good = True
    for holds, sentence in claims(records, operations, options):
        good = good and bool(holds)
        say(("yes     " if holds else "NOT SO  ") + sentence, 1)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
