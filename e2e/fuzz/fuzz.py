#!/usr/bin/python3
"""Runs each fuzz target over its checked-in corpus until it has used its minutes of processor time.

It stops at the first input that crashes, leaks, or takes too long, and says where that input is. The
programs are those in $CHAPERONE_FUZZ_BIN; run.sh builds them where it is not set.
"""

import argparse
import contextlib
import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
RESULTS = os.path.join(ROOT, "e2e", "fuzz", "results", "latest.json")
CACHE = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
TICKS = os.sysconf("SC_CLK_TCK")

# One input's limits: libFuzzer's clock is the wall's, so what it calls a timeout is asked again by
# the processor's. With --idle most of the time is others'. What waits for ever is no better.
CPU_SECONDS = 10
IDLE_WALL_SECONDS = 120
WAIT_SECONDS = 600
MEMORY_MB = 2048
TIMEOUT_STATUS = 70

# Words that chance does not find: e2e/fuzz/NAME.dict.
DICTIONARIES = {"sql": "sql", "lineage": "sql", "postgres": "sql", "server_log": "sql"}

# What is checked in is replayed by every test run, and read by people.
CORPUS_FILE = 4096
CORPUS_FILES = 150
CORPUS_BYTES = 128 * 1024


class Finding(Exception):
    """An input that a target does not stand."""


class Target:
    """One fuzz target: its program, its corpus, and its row in the results."""

    def __init__(self, folder, name, work):
        self.name = name
        self.label = f"//{folder}:{name}_fuzz"
        self.program = os.path.join(os.environ["CHAPERONE_FUZZ_BIN"], folder, name + "_fuzz")
        self.corpus = os.path.join(ROOT, folder, name + "_corpus")
        self.found = os.path.join(work, "found", name)
        self.findings = os.path.join(work, "findings", "")
        self.log = os.path.join(work, name + ".log")
        self.row = {"target": name, "label": self.label, "date": "", "cpu_seconds": 0.0,
                    "executions": 0, "edges": 0, "findings": 0}

    def command(self, *options):
        return [self.program, f"-rss_limit_mb={MEMORY_MB}", f"-timeout_exitcode={TIMEOUT_STATUS}",
                "-reload=0", "-print_final_stats=1",
                f"-artifact_prefix={self.findings}{self.name}-", *options]


class Run:
    """A target at work: one process of libFuzzer."""

    def __init__(self, target, seconds, idle):
        self.target, self.seconds = target, seconds
        self.asked = False
        os.makedirs(target.found, exist_ok=True)
        os.makedirs(target.findings, exist_ok=True)
        options = [f"-timeout={IDLE_WALL_SECONDS if idle else CPU_SECONDS}"]
        if target.name in DICTIONARIES:
            options.append(f"-dict={ROOT}/e2e/fuzz/{DICTIONARIES[target.name]}.dict")
        command = target.command(*options, target.found, target.corpus)
        with open(target.log, "wb") as log:
            # A session of its own: Ctrl-C is for us, we end them in order.
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            start_new_session=True, env=environment(),
                                            preexec_fn=be_idle if idle else None)

    def used(self):
        """Seconds of processor time until now."""
        try:
            with open(f"/proc/{self.process.pid}/stat", encoding="ascii", errors="replace") as f:
                fields = f.read().rpartition(")")[2].split()
        except FileNotFoundError:
            return 0.0
        return (int(fields[11]) + int(fields[12])) / TICKS

    def ask_to_end(self):
        """libFuzzer ends between two inputs, with its figures."""
        if not self.asked:
            self.asked = True
            self.process.send_signal(signal.SIGUSR1)

    def ended(self):
        """Whether it ended; then its row has what it did. Raises Finding."""
        pid, status, usage = os.wait4(self.process.pid, os.WNOHANG)
        if pid == 0:
            if self.used() >= self.seconds:
                self.ask_to_end()
            return False
        self.process.returncode = status = os.waitstatus_to_exitcode(status)
        with open(self.target.log, encoding="utf-8", errors="replace") as f:
            text = f.read()
        row = self.target.row
        row["date"] = time.strftime("%Y-%m-%d", time.gmtime())
        row["cpu_seconds"] = round(row["cpu_seconds"] + usage.ru_utime + usage.ru_stime, 1)
        row["executions"] += last_number(r"stat::number_of_executed_units: +(\d+)", text)
        row["edges"] = max(row["edges"], last_number(r" cov: (\d+)", text))
        # One that was asked before it listened for the signal has done nothing yet.
        if status != 0 and not (self.asked and status == -signal.SIGUSR1):
            self.judge(status, text)
        return True

    def judge(self, status, text):
        """Raises Finding, unless it only waited for a busy machine."""
        target = self.target
        written = re.findall(r"Test unit written to (.*)", text)
        path = written[-1] if written else None
        if status == TIMEOUT_STATUS and path is not None and not is_slow(target, path):
            os.unlink(path)
            return
        target.row["findings"] += 1
        summary = re.findall(r"SUMMARY: (.*)", text)
        what = summary[-1] if summary else f"it ended with status {status}"
        again = f"{target.program} {path}" if path else "the log has no input"
        raise Finding(f"{target.name}: {what}\n       input: {path}\n       log: {target.log}\n"
                      f"       again: {again}")


def environment():
    env = dict(os.environ)
    env.setdefault("ASAN_OPTIONS", "detect_leaks=1:abort_on_error=0")
    env.setdefault("UBSAN_OPTIONS", "print_stacktrace=1:halt_on_error=1")
    return env


def be_idle():
    """The idle class; and as sessions share the processor fairly, this session's share too."""
    os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    os.nice(19)
    with contextlib.suppress(OSError), open("/proc/self/autogroup", "w", encoding="ascii") as f:
        f.write("19")


def last_number(pattern, text):
    found = re.findall(pattern, text)
    return int(found[-1]) if found else 0


def is_slow(target, path):
    """Whether one input alone takes more processor time than it may."""
    try:
        done = subprocess.run(
            [target.program, "-timeout=0", path], env=environment(), check=False,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            timeout=WAIT_SECONDS,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS + 1)))
    except (OSError, subprocess.TimeoutExpired):
        return True
    return done.returncode != 0


def find_targets(work, only):
    """x_fuzz.c with x_corpus beside it, in the order of `only`, or all."""
    targets = {}
    listed = subprocess.run(["git", "-C", ROOT, "ls-files", "*_fuzz.c"], check=True,
                            capture_output=True, text=True).stdout.split()
    for path in sorted(listed, key=os.path.basename):
        name = os.path.basename(path)[:-len("_fuzz.c")]
        targets[name] = Target(os.path.dirname(path), name, work)
    names = [name.removesuffix("_fuzz") for name in only or targets]
    for name in names:
        if name not in targets:
            sys.exit(f"error: there is no target {name}; there are {' '.join(targets)}")
        for needed in (targets[name].program, targets[name].corpus):
            if not os.path.exists(needed):
                sys.exit(f"error: {name}: {needed} is missing")
    return targets, names


def load_rows(targets, names, resume):
    """What earlier runs reached. A target that starts anew forgets it; the others keep their row."""
    try:
        with open(RESULTS, encoding="utf-8") as f:
            rows = {row["target"]: row for row in json.load(f)["targets"]}
    except FileNotFoundError:
        return
    for target in targets.values():
        if target.name in rows and (resume or target.name not in names):
            target.row.update(rows[target.name])


def save_rows(targets):
    rows = []
    for target in targets.values():
        row = target.row
        if row["date"]:
            sizes = [os.path.getsize(path) for path in files_of(target.corpus)]
            row["executions_per_second"] = round(row["executions"] / max(row["cpu_seconds"], 0.1))
            row["corpus_files"], row["corpus_bytes"] = len(sizes), sum(sizes)
            rows.append(row)
    os.makedirs(os.path.dirname(RESULTS), exist_ok=True)
    document = {"command": "e2e/fuzz/run.sh", "cores": os.cpu_count(), "targets": rows}
    with open(RESULTS + ".new", "w", encoding="utf-8") as f:
        json.dump(document, f, indent=1)
        f.write("\n")
    os.replace(RESULTS + ".new", RESULTS)


def files_of(folder):
    return sorted(os.path.join(folder, name) for name in os.listdir(folder))


def print_table(targets):
    rows = [target.row for target in targets.values() if target.row["date"]]
    print(f"\n{'target':18} {'CPU s':>7} {'executions':>12} {'per CPU s':>9} {'edges':>6} "
          f"{'corpus':>6} {'bytes':>7} {'found':>5}")
    for row in rows:
        print(f"{row['target']:18} {row['cpu_seconds']:7.0f} {row['executions']:12,} "
              f"{row['executions_per_second']:9,} {row['edges']:6} {row['corpus_files']:6} "
              f"{row['corpus_bytes']:7} {row['findings']:5}")
    minutes = sum(row["cpu_seconds"] for row in rows) / 60
    print(f"{len(rows)} of {len(targets)} targets, {minutes:.1f} minutes of processor time, "
          f"{sum(row['executions'] for row in rows):,} executions")


class Progress:
    """A line that changes on a terminal; elsewhere only what is done."""

    def __init__(self):
        self.live = sys.stderr.isatty()
        self.shown = 0.0

    def say(self, text):
        self.clear()
        print(text, file=sys.stderr, flush=True)

    def clear(self):
        if self.live:
            print("\r\033[K", end="", file=sys.stderr)

    def show(self, runs, done, wanted):
        if self.live and time.monotonic() - self.shown > 1:
            self.shown = time.monotonic()
            width = shutil.get_terminal_size().columns - 1
            each = ", ".join(f"{r.target.name} {r.used():.0f}/{r.seconds:.0f} s" for r in runs)
            self.clear()
            print(f"{done} of {wanted} done; {each}"[:width], end="", file=sys.stderr, flush=True)


def fuzz(targets, names, options):
    """All of `names`, some at once. Returns at the first finding, and on Ctrl-C, with all ended."""
    progress, runs, done = Progress(), [], 0
    waiting = [targets[name] for name in names]
    problem = None
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        while waiting or runs:
            while waiting and len(runs) < options.jobs:
                target = waiting.pop(0)
                left = options.minutes * 60 - target.row["cpu_seconds"]
                if left <= 0:
                    done += 1
                    continue
                runs.append(Run(target, left, options.idle))
            for run in list(runs):
                if run.ended():
                    runs.remove(run)
                    row = run.target.row
                    save_rows(targets)
                    if row["cpu_seconds"] < options.minutes * 60 - 1:
                        waiting.insert(0, run.target)
                        continue
                    done += 1
                    progress.say(f"{row['target']:18} {row['cpu_seconds']:6.0f} CPU s, "
                                 f"{row['executions']:,} executions, {row['edges']} edges")
            progress.show(runs, done, len(names))
            time.sleep(0.2)
    except KeyboardInterrupt:
        problem = "stopped; --resume goes on from here"
    except Finding as finding:
        runs.remove(run)
        problem = str(finding)
    problem = end_all(runs, problem)
    progress.clear()
    save_rows(targets)
    return problem


def end_all(runs, problem):
    """Ends what still runs; what that finds is worth more than why we stop."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for run in runs:
        run.ask_to_end()
    deadline = time.monotonic() + IDLE_WALL_SECONDS
    while runs:
        for run in list(runs):
            try:
                if not run.ended():
                    if time.monotonic() > deadline:
                        run.process.kill()
                    continue
            except Finding as finding:
                problem = str(finding)
            runs.remove(run)
        time.sleep(0.1)
    return problem


def keep_corpus(target, idle):
    """Adds the found inputs that reach edges which the checked-in ones do not; returns how many."""
    if not os.path.isdir(target.found):
        return 0
    present = files_of(target.corpus)
    with tempfile.TemporaryDirectory() as merged:
        for path in present:
            shutil.copy(path, merged)
        # Edges only: with counters a corpus grows tenfold, for little more.
        command = target.command("-merge=1", "-use_counters=0", f"-max_len={CORPUS_FILE}", merged,
                                 target.found)
        with open(target.log, "ab") as log:
            subprocess.run(command, check=True, stdout=log, stderr=log, env=environment(),
                           start_new_session=idle, preexec_fn=be_idle if idle else None)
        names = {os.path.basename(path) for path in present}
        added = [path for path in files_of(merged) if os.path.basename(path) not in names]
        files, size, kept = len(present), sum(os.path.getsize(path) for path in present), 0
        for path in sorted(added, key=os.path.getsize):
            if files + 1 > CORPUS_FILES or size + os.path.getsize(path) > CORPUS_BYTES:
                break
            shutil.copy(path, target.corpus)
            files, size, kept = files + 1, size + os.path.getsize(path), kept + 1
    return kept


def parse_options():
    parser = argparse.ArgumentParser(
        prog="e2e/fuzz/run.sh", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10, metavar="N",
                        help="minutes of processor time for each target (10)")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), metavar="N",
                        help="how many targets at once (the number of processors)")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="these targets, in this order")
    parser.add_argument("--resume", action="store_true",
                        help="add to what e2e/fuzz/results/latest.json has, with the inputs found so far")
    parser.add_argument("--keep-corpus", action="store_true",
                        help="afterwards check in, beside each target, inputs that reach new edges")
    parser.add_argument("--idle", action="store_true",
                        help="only when nothing else on this machine wants the processor")
    parser.add_argument("--work", default=os.path.join(CACHE, "chaperone-fuzz"), metavar="DIR",
                        help="where found inputs and logs are (%(default)s)")
    options = parser.parse_args()
    if options.minutes < 0 or options.jobs < 1:
        parser.error("--minutes is at least 0, --jobs at least 1")
    if "CHAPERONE_FUZZ_BIN" not in os.environ:
        parser.error("$CHAPERONE_FUZZ_BIN is not set: start e2e/fuzz/run.sh")
    return options


def main():
    options = parse_options()
    targets, names = find_targets(options.work, options.only)
    load_rows(targets, names, options.resume)
    for name in names:
        if not options.resume:
            shutil.rmtree(targets[name].found, ignore_errors=True)
    problem = fuzz(targets, names, options)
    if problem is None and options.keep_corpus:
        for name in names:
            kept = keep_corpus(targets[name], options.idle)
            print(f"{name}: {kept} inputs added to its corpus", file=sys.stderr)
        save_rows(targets)
    print_table(targets)
    if problem is not None:
        sys.exit(f"error: {problem}")


if __name__ == "__main__":
    main()
