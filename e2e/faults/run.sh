#!/usr/bin/env bash
# Every fault as often as docs/reliability.md says, after a build. As root, for namespaces and mounts.
set -euo pipefail

root=$(cd "$(dirname "$0")/../.." && pwd)
export CHAPERONE_FAULT_ROUNDS=50 CHAPERONE_FAULT_SECONDS=600 CHAPERONE_FAULT_IDLE=5000

usage() {
    cat <<END
Usage: e2e/faults/run.sh [--rounds N] [--seconds N] [--idle N] [PYTEST OPTION]...

Runs the faults of e2e/faults against the programs in \$CHAPERONE_BIN (default: bazel-bin), and prints what
was survived. The ordinary run (e2e/run.sh) has the same tests with 5 rounds, 20 seconds, 1,000 connections.

  --rounds N     how often each part is killed, each disk filled, ... ($CHAPERONE_FAULT_ROUNDS)
  --seconds N    how long the control plane is unreachable ($CHAPERONE_FAULT_SECONDS)
  --idle N       how many idle connections ($CHAPERONE_FAULT_IDLE)
END
}

while [ $# -gt 0 ]; do
    case "$1" in
    --rounds) export CHAPERONE_FAULT_ROUNDS=$2 && shift 2 ;;
    --seconds) export CHAPERONE_FAULT_SECONDS=$2 && shift 2 ;;
    --idle) export CHAPERONE_FAULT_IDLE=$2 && shift 2 ;;
    -h | --help) usage && exit 0 ;;
    *) break ;;
    esac
done

results=$(mktemp /tmp/chaperone-faults.XXXXXX)
trap 'rm -f "$results"' EXIT
export CHAPERONE_FAULT_RESULTS=$results CHAPERONE_BIN=${CHAPERONE_BIN:-$root/bazel-bin}

status=0
ulimit -n "$(ulimit -Hn)"
(cd "$root" && /usr/bin/python3 -B -m pytest -q --no-header -p no:cacheprovider --tb=short \
    --timeout=3600 "$@" e2e/faults) || status=$?
echo
date -u +'%Y-%m-%d, '"$(nproc) cores"
/usr/bin/python3 - "$results" <<'END'
import json, sys
for line in open(sys.argv[1], encoding="utf-8"):
    entry = json.loads(line)
    fault, survived = entry.pop("fault"), entry.pop("survived")
    print(f"{survived:5} survived  {fault}: "
          + ", ".join(f"{name} {value}" for name, value in entry.items()))
END
exit "$status"
