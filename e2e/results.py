#!/usr/bin/python3
"""Counts what passed and failed in one section of e2e/run.sh.

results.py SECTION bazel|junit|tap FILE COUNTS FAILURES
appends "PASSED FAILED SKIPPED" to COUNTS and a line for each failure to FAILURES, and prints what a
failed test said.
"""

import json
import re
import sys
import urllib.parse
import xml.etree.ElementTree

OUTPUT_LINES = 60  # of a failed test
NAME_CHARACTERS = 160  # pytest's names hold the parameters


def read(path):
    with open(path, encoding="utf-8", errors="replace") as f:
        return f.read()


def read_uri(uri):
    return read(urllib.parse.unquote(urllib.parse.urlparse(uri).path))


def cmocka_cases(log):
    """(passed, failed, skipped) names; all empty where the test is not one of cmocka."""
    def named(word):
        return set(re.findall(rf"^\[ *{word} *\] (\w+)$", log, re.M))
    failed = named("FAILED") | named("ERROR")
    return named("OK") - failed, failed, named("SKIPPED") - failed


def bazel(path):
    """From the build event protocol: each case of a target, or the target as one."""
    targets, summaries = set(), {}
    for line in read(path).splitlines():
        event = json.loads(line)
        if event.get("configured", {}).get("testSize"):
            targets.add(event["id"]["targetConfigured"]["label"])
        if "testSummary" in event:
            summaries[event["id"]["testSummary"]["label"]] = event["testSummary"]
    passed, skipped, failures = 0, 0, []
    for label in sorted(targets):
        summary = summaries.get(label)
        status = summary["overallStatus"] if summary else "not built, or not run"
        logs = [f["uri"] for part in ("passed", "failed") for f in (summary or {}).get(part, [])]
        log = "\n".join(read_uri(uri) for uri in logs)
        good, bad, left_out = cmocka_cases(log)
        skipped += len(left_out)
        if status == "PASSED":
            passed += len(good) or 1
            continue
        passed += len(good)
        failures += [f"{label} {name}" for name in sorted(bad)] or [f"{label} ({status})"]
        print(f"---- {label}: {status}")
        print("\n".join(log.splitlines()[-OUTPUT_LINES:]))
    if not targets:
        failures.append("bazel test found no test")
    return passed, failures, skipped


def junit(path):
    passed, skipped, failures = 0, 0, []
    for case in xml.etree.ElementTree.parse(path).iter("testcase"):
        parts = {child.tag for child in case}
        if parts & {"failure", "error"}:
            failures.append(f"{case.get('classname')}.{case.get('name')}")
        elif "skipped" in parts:
            skipped += 1
        else:
            passed += 1
    if not passed and not failures:
        failures.append("pytest ran no test")
    return passed, failures, skipped


def tap(path):
    text = read(path)
    lines = re.findall(r"^(ok|not ok) \d+ - (.*)$", text, re.M)
    failures = [name for result, name in lines if result == "not ok"]
    if not lines:
        failures.append("no test ran")
    if failures:
        print("\n".join(text.splitlines()[-OUTPUT_LINES:]))
    return len(lines) - sum(result == "not ok" for result, _ in lines), failures, 0


def main():
    section, kind, path, counts, failures_path = sys.argv[1:]
    passed, failures, skipped = {"bazel": bazel, "junit": junit, "tap": tap}[kind](path)
    with open(counts, "a", encoding="utf-8") as f:
        f.write(f"{passed} {len(failures)} {skipped}\n")
    with open(failures_path, "a", encoding="utf-8") as f:
        f.writelines(f"{section}: {failure[:NAME_CHARACTERS]}\n" for failure in failures)


if __name__ == "__main__":
    main()
