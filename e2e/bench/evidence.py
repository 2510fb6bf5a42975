#!/usr/bin/python3
"""What an evidence package of a million records costs: time, memory, and the size of the file.

The store is filled while the control plane is stopped (evidence_fill); then the package is made by
`chaperone audit export` as anybody would."""

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
import zipfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.dirname(HERE))
sys.path.insert(0, HERE)

from support.parts import Parts  # noqa: E402
from support.postgres import Postgres  # noqa: E402
from support.stack import BIN, CHAPERONE  # noqa: E402

FILL = os.path.join(BIN, "controlplane", "evidence", "evidence_fill")


def parse_options():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--records", type=int, default=1000000)
    parser.add_argument("--session", type=int, default=40, help="records in a session")
    parser.add_argument("--runs", type=int, default=1)
    parser.add_argument("--directory", default=None, help="where the package is written")
    parser.add_argument("more", nargs="*", help="for chaperone audit export, behind --")
    return parser.parse_args()


def memory_of(pid):
    """The most that the process had resident, in bytes."""
    with open(f"/proc/{pid}/status", encoding="ascii") as f:
        return next(int(line.split()[1]) * 1024 for line in f if line.startswith("VmHWM"))


def measure(stack, out, more):
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.monotonic()
    subprocess.run([CHAPERONE, "audit", "export", "--out", out, "--reason", "benchmark", *more,
                    *stack.operator()], check=True)
    took = time.monotonic() - began
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    # Of the largest child so far, which is this one.
    return took, cpu, after.ru_maxrss * 1024


def main():
    options = parse_options()
    postgres = Postgres()
    stack = Parts(postgres)
    try:
        stack.parts["sidecar"].stop()
        stack.parts["controlplane"].stop()
        began = time.monotonic()
        subprocess.run([FILL, stack.path("controlplane"), str(options.records),
                        str(options.session)], check=True)
        filled = time.monotonic() - began
        stack.start_controlplane()
        began = time.monotonic()
        while True:
            status = json.loads(stack.chaperone("status", "--json").stdout)
            if status.get("log", {}).get("size", 0) >= options.records:
                break
            time.sleep(0.2)
        signed = time.monotonic() - began
        with tempfile.TemporaryDirectory(dir=options.directory) as folder:
            for run in range(options.runs):
                out = os.path.join(folder, f"{run}.zip")
                took, cpu, memory = measure(stack, out, options.more)
                with zipfile.ZipFile(out) as z:
                    files = len(z.namelist())
                print(json.dumps({
                    "records": options.records, "session": options.session,
                    "seconds": round(took, 2), "command_cpu_seconds": round(cpu, 2),
                    "command_memory_mb": round(memory / 1e6, 1),
                    "control_plane_memory_mb":
                        round(memory_of(stack.parts["controlplane"].pid) / 1e6, 1),
                    "package_mb": round(os.path.getsize(out) / 1e6, 1), "files": files,
                    "fill_seconds": round(filled, 1), "log_seconds": round(signed, 1),
                    "cpus": os.cpu_count(), "machine": platform.machine()}), flush=True)
    finally:
        stack.close()
        postgres.close()


if __name__ == "__main__":
    main()
