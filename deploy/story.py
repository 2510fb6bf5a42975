#!/usr/bin/python3
"""Tells what the audit log knows of the one session of deploy/quickstart.sh.

Every sentence is made of what `chaperone` prints, and every claim at the end is checked: exit code 1
and a line "NOT SO" when one does not hold.
"""

import argparse
import datetime
import json
import os
import re
import subprocess
import sys
import textwrap
import threading
from collections import namedtuple

INDENT = "      "
DOES = {"read": "reads", "insert": "adds to", "update": "changes", "delete": "deletes from",
        "call": "calls", "drop": "drops"}


def say(text="", depth=0):
    lead = INDENT + "   " * depth
    for line in text.splitlines() or [""]:
        print(textwrap.fill(line, 100, initial_indent=lead, subsequent_indent=lead + "  ",
                            break_long_words=False, break_on_hyphens=False) if line else "")


def plural(count, word):
    return f"{count} {word}{'' if count == 1 else 's'}"


def listed(words):
    words = list(words)
    return " and ".join([", ".join(words[:-1])] * (len(words) > 1) + words[-1:])


def moment(record):
    return datetime.datetime.fromisoformat(record["time"].replace("Z", "+00:00"))


def apart(earlier, later):
    seconds = (moment(later) - moment(earlier)).total_seconds()
    return f"{seconds:.1f} s" if seconds >= 1 else f"{seconds * 1000:.1f} ms"


class Audit:
    def __init__(self, chaperone, directory):
        self.chaperone, self.directory = chaperone, directory

    def command(self, *args):
        return [self.chaperone, *args, "--dir", self.directory]

    def text(self, *args):
        return subprocess.run(self.command(*args), check=True, capture_output=True, text=True).stdout

    def ask(self, *args):
        return [json.loads(line) for line in self.text(*args, "--json").splitlines()]

    def search(self, *args):
        """The records; exit code 1 is that there are none."""
        done = subprocess.run(self.command("audit", "search", *args, "--json"), capture_output=True, text=True, check=False)
        if done.returncode > 1:
            sys.exit("error: " + done.stderr)
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


def approval_of(intent, records):
    """What became of a held statement: its records by state, and the approval's id goes with all of them."""
    return {r["state"]: r for r in records
            if r["kind"] == "approval" and r["approval"] == intent.get("approval", "none")}


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


def decision(intent, records):
    steps = approval_of(intent, records)
    asked, decided, released = (steps.get(s) for s in ("requested", "decided", "approved"))
    if not asked:
        return ["Nobody was asked."]
    lines = [f"It waited for {asked['people']} of {' or '.join(asked['groups'])} to agree, who could see what the"
             f" database would do: about {plural(asked.get('estimated_rows', 0), 'row')}, by its plan."]
    lines += ["  " + line for line in asked.get("plan", "").splitlines()]
    if decided:
        word = "agreed" if decided["approve"] else "refused"
        lines.append(f"{decided['decided_by']} {word} after {apart(asked, decided)}, at"
                     f" {moment(decided):%H:%M:%S.%f} UTC, from {decided['from']}: \"{decided['reason']}\".")
    if released:
        lines.append(f"Chaperone checked again that it is the same statement, and let it through"
                     f" {apart(decided, released)} after that.")
    return lines


def masked(outcome):
    of_column = [f"{m['column']} in {plural(m['rows'], 'row')}"
                 + (" (by what it looks like)" if m["by_content"] else "") for m in outcome.get("masked", [])]
    return [f"Chaperone masked {listed(of_column)}."] if of_column else []


def answer(outcome):
    if outcome is None:
        return ["No answer is recorded."]
    if outcome["status"] == "refused":
        return [f"Chaperone refused it, and the database never saw it: {outcome['error'].rstrip('.')}."]
    if outcome["status"] == "failed":
        return [f"The database answered with error {outcome['error_code']}: {outcome['error']}."]
    took = f"{outcome['duration_us'] / 1000:.1f} ms"
    expected = f" of about {outcome['predicted_rows']} expected" if "predicted_rows" in outcome else ""
    lines = [f"The database answered {outcome['command_tag']} after {took}"
             f" ({plural(outcome['rows'], 'row')}{expected}, {plural(outcome['bytes'], 'byte')})."]
    lines += masked(outcome)
    for result in outcome.get("results", []):
        if result["columns"]:
            lines.append("The agent saw: " + ", ".join(result["columns"]))
        lines += ["  " + " | ".join("NULL" if c is None else c for c in row) for row in result["rows"]]
    return lines


def what(operations, records):
    say()
    say("What did it do?")
    for intent, outcome in operations:
        verdict = {"allow": "allowed", "deny": "refused", "hold": "held"}.get(intent["verdict"], intent["verdict"])
        say(f"{intent['operation']}. It {title(intent)}: {verdict} by the rule \"{intent['rule']}\".", 1)
        say(intent["text"].strip(), 2)
        for reason in intent["reasons"]:
            where = reason["source"].replace("sql_comment", "a comment in the SQL")
            say(f"Why, as {reason['assurance']} in {where}: {reason['text']}.", 2)
        for line in (decision(intent, records) if intent["verdict"] == "hold" else []) + answer(outcome):
            say(line, 2)


# ---- what else there is to compare with ---------------------------------------------------------------

Logged = namedtuple("Logged", "time how text")


def database_saw(path, user):
    """The statements in PostgreSQL's own log: when, how ("statement", or "execute NAME"), and which."""
    seen, inside = [], False
    with open(path, encoding="utf-8") as log:
        for line in log:
            if line.startswith("\t"):
                if inside:
                    seen[-1] = seen[-1]._replace(text=seen[-1].text + "\n" + line[1:].rstrip("\n"))
                continue
            found = re.match(rf"(\S+ \S+) UTC \[\d+\] {re.escape(user)}@\S+ LOG:  "
                             r"(statement|execute [^:]*): (.*)", line)
            inside = found is not None
            if inside:
                time = datetime.datetime.fromisoformat(found.group(1) + "+00:00")
                seen.append(Logged(time, found.group(2), found.group(3)))
    return seen


def is_question(logged, name):
    """By the names that Chaperone gives to what it asks the database itself."""
    return logged.how == f"execute {name}/{name}"


def kept_files(directory):
    """All that Chaperone has on the disk, by path."""
    for folder, _, names in os.walk(directory):
        for path in (os.path.join(folder, name) for name in names):
            if os.path.isfile(path):
                try:
                    with open(path, "rb") as f:
                        content = f.read()
                except FileNotFoundError:
                    continue  # the processes go on: one that was done with
                # A spool has its full size from the beginning on.
                yield os.path.relpath(path, directory), content.rstrip(b"\0")


def lines_of(path):
    with open(path, encoding="utf-8") as f:
        return f.read().splitlines()


# ---- the claims: each with whether it holds -----------------------------------------------------------

class Claims:
    def __init__(self, audit, records, options):
        self.audit, self.records, self.options = audit, records, options
        self.opened = next(r for r in records if r["kind"] == "session_opened")
        self.operations = pairs(records)
        self.held = [i for i, _ in self.operations if i["verdict"] == "hold"]
        self.refused = [i for i, _ in self.operations if i["verdict"] == "deny"]
        self.passed_on = [i for i, o in self.operations
                          if i["verdict"] == "allow" or "approved" in approval_of(i, records)]
        logged = database_saw(options.database_log, self.opened["target_user"])
        self.plans = [x for x in logged if is_question(x, "chaperone_prediction")]
        self.inquiries = [x for x in logged if is_question(x, "chaperone_inquiry")]
        self.seen = [x for x in logged if x not in self.plans + self.inquiries]

    def recorded_first(self):
        before = [o is not None and i["sequence"] < o["sequence"] and i["time"] <= o["time"]
                  for i, o in self.operations]
        return (before and all(before),
                f"Recorded before it happened: {plural(len(before), 'intent')}, each with an outcome"
                " that comes after it in the sidecar's stream of records.")

    def nothing_missing(self):
        sidecar = self.opened["sidecar"]
        stream = sorted(r["sequence"] for r in self.records if r["sidecar"] == sidecar)
        # A session of more than ten seconds has some within.
        beats = [r["sequence"] for r in self.audit.search("--kind", "heartbeat")
                 if r["sidecar"] == sidecar and stream[0] < r["sequence"] < stream[-1]]
        elsewhere = [r for r in self.records if r["sidecar"] != sidecar]
        among = f" (with {plural(len(beats), 'heartbeat')} of the sidecar's own)" if beats else ""
        return (sorted(stream + beats) == list(range(stream[0], stream[-1] + 1))
                and all(r["kind"] == "approval" and r["state"] == "decided" for r in elsewhere),
                f"Nothing is missing: the session's records are {stream[0]} to {stream[-1]} of that stream{among},"
                f" without a gap. What a person decided ({plural(len(elsewhere), 'record')}) stands in the control"
                " plane's own.")

    def database_agrees(self):
        with open(self.options.database_log, encoding="utf-8") as f:
            log = f.read()
        drops = [i for i in self.refused if (i["command"] or "").startswith("DROP")]
        return ([x.text for x in self.seen] == [i["text"] for i in self.passed_on]
                and drops and not any(i["text"] in log for i in self.refused),
                f"The database agrees: its own log has {plural(len(self.seen), 'statement')} of the agent, and they are"
                f" the {len(self.passed_on)} that the audit log says were let through, in the same order. Of the"
                f" {plural(len(self.refused), 'refused statement')}, {listed(i['command'] for i in self.refused)}, it"
                " has no trace.")

    def own_questions(self):
        tables = {o["name"] for i, _ in self.operations for o in i["objects"] if o["kind"] == "table"}
        about_data = re.compile(r"\b(" + "|".join(map(re.escape, tables)) + r")\b")
        asked = [text for i in self.held
                 for text in ("BEGIN READ ONLY", "EXPLAIN " + i["text"], "EXPLAIN (FORMAT JSON) " + i["text"],
                              "ROLLBACK")]
        return (all(re.match("SELECT|WITH", x.text) and not about_data.search(x.text) for x in self.inquiries)
                and asked == [x.text for x in self.plans],
                f"What else is in that log, Chaperone asked under names of its own:"
                f" {plural(len(self.inquiries), 'question')} about the catalog, to know where columns come"
                f" from (none names {listed(sorted(tables))}), and"
                " EXPLAIN of what was held, which plans it and does not run it, in a transaction that can write"
                " nothing.")

    def masked_stays_masked(self):
        secrets, plain = set(lines_of(self.options.secrets)), self.options.plain
        shown = {"the agent's psql": "\n".join(lines_of(self.options.agent_saw)),
                 "what approvers saw": "\n".join(lines_of(self.options.shown)),
                 "audit show": self.audit.text("audit", "show", self.opened["session"]),
                 "audit search": self.audit.text("audit", "search", "--json", "--rows")}
        files = dict(kept_files(self.options.dir))
        leaks = [where for where, text in shown.items() if any(s in text for s in secrets)]
        leaks += [path for path, content in files.items() if any(s.encode() in content for s in secrets)]
        found = [path for path, content in files.items() if plain.encode() in content]
        receipts = sum(m["rows"] for _, o in self.operations if o for m in o.get("masked", []))
        # The control plane's database has contents encrypted: there, what it gives out is looked at.
        is_sound = (any("spool/" in path for path in found) and plain in shown["audit search"]
                    and not any("controlplane.db" in path for path in found))
        return (secrets and receipts and not leaks and is_sound and plain in shown["the agent's psql"],
                f"What is masked was not recorded either: none of the {len(secrets)} e-mail addresses, social security"
                f" and telephone numbers of this database is in what psql, `chaperone audit` or `approvals` print, nor"
                f" in the {len(files)} files that Chaperone keeps (where the same search finds {plain}, whose name is"
                f" not masked, in {listed(sorted(found))}; the control plane's database has contents encrypted, and its"
                " answers were searched)." + (f" FOUND IN {listed(leaks)}" if leaks else ""))

    def approved_first(self):
        """By three clocks that are one: the control plane's, the sidecar's and the database's."""
        good, sentences = bool(self.held), []
        for intent in self.held:
            steps = approval_of(intent, self.records)
            outcome = dict((i["operation"], o) for i, o in self.operations)[intent["operation"]]
            runs = [x for x in self.seen if x.text == intent["text"]]
            good = good and {"requested", "decided", "approved"} <= set(steps) and len(runs) == 1
            if not good:
                break
            asked, decided, released = steps["requested"], steps["decided"], steps["approved"]
            # PostgreSQL's log has milliseconds.
            floor = moment(decided).replace(microsecond=moment(decided).microsecond // 1000 * 1000)
            meanwhile = [x for x in self.seen if moment(asked) < x.time < floor]
            good = (intent["sequence"] < asked["sequence"] < released["sequence"] < outcome["sequence"]
                    and asked["time"] < decided["time"] <= released["time"] and floor <= runs[0].time
                    and not meanwhile and outcome.get("predicted_rows") == asked.get("estimated_rows"))
            sentences.append(f"held and asked for at {moment(asked):%H:%M:%S.%f}, approved at"
                             f" {moment(decided):%H:%M:%S.%f}, once in the database's log, at"
                             f" {runs[0].time.strftime('%H:%M:%S.%f')[:-3]}")
        return (good, "The DELETE came to the database only after it was approved:"
                      f" {listed(sentences or ['it never was'])}.")

    def bound(self):
        approvals = [approval_of(i, self.records) for i in self.held]
        digests = [{r.get("digest") for r in steps.values()} for steps in approvals]
        by = {steps["decided"]["decided_by"] for steps in approvals if "decided" in steps}
        agent, own = self.opened["identity"], lines_of(self.options.own_word)[-1]
        shown = "\n".join(lines_of(self.options.shown))
        return (digests and all(len(d) == 1 and None not in d for d in digests)
                and all(d.removeprefix("\\x") in shown for d in set().union(*digests))
                and all(i["text"] in shown for i in self.held)
                and all("approved" in steps for steps in approvals)
                and by and agent not in by and agent in own,
                f"The approval is for these bytes only: what was asked, shown, decided and released has the same"
                f" SHA-256 ({listed(next(iter(d))[2:14] + '...' for d in digests if d)}). The word of"
                f" {listed(sorted(by))} counted; the agent's own did not: {own.removeprefix('chaperone: ')}.")

    def no_password(self):
        names = sorted(line.split("=")[0] for line in lines_of(self.options.environment) if line.startswith("PG"))
        direct = lines_of(self.options.direct)[-1]
        return ("PGPASSWORD" not in names and "PGPASSFILE" not in names and "password" in direct,
                f"The agent never had the password: it had only {', '.join(names)}. The same psql straight"
                f" to the database was turned away: \"{direct.split('failed: ')[-1]}\".")

    def all(self):
        return (self.recorded_first(), self.nothing_missing(), self.database_agrees(), self.own_questions(),
                self.masked_stays_masked(), self.approved_first(), self.bound(), self.no_password())


def main():
    parser = argparse.ArgumentParser()
    for name in ("chaperone", "dir", "database-log", "environment", "direct", "secrets", "plain", "agent-saw",
                 "shown", "own-word"):
        parser.add_argument("--" + name, required=True)
    options = parser.parse_args()
    audit = Audit(options.chaperone, options.dir)
    session = audit.wait_for_end()
    records = audit.ask("audit", "show", session)
    say(f"$ chaperone session list --all; chaperone audit show {session}")
    say()
    who(next(r for r in records if r["kind"] == "session_opened"),
        [s for s in audit.ask("session", "list", "--all") if s["session"] == session])
    what(pairs(records), records)
    say()
    say("Is that all true?")
    good = True
    for holds, sentence in Claims(audit, records, options).all():
        good = good and bool(holds)
        say(("yes     " if holds else "NOT SO  ") + sentence, 1)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
