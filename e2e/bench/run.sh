#!/usr/bin/env bash
# How fast PostgreSQL is through Chaperone, PgBouncer and HAProxy, as a share of direct connections,
# and what its parts cost (--quick: in a few minutes);
# with --fleet as the first option: how fast a policy reaches a thousand sidecars; with --masking: what
# masking costs; with --approvals: how long after a decision the held statement goes; with --http: how fast nginx is
# through Chaperone, HAProxy and nginx as a reverse proxy; with --where: of which program the processors' time is.
# The other options are those of each: bash e2e/bench/run.sh [--fleet | --masking | --approvals | --http | --where] --help
set -euo pipefail

root=$(cd "$(dirname "$0")/../.." && pwd)
# shellcheck source=deploy/common.sh
. "$root/deploy/common.sh"
export HOME=${HOME:-$(getent passwd "$(id -u)" | cut -d: -f6)}

program=bench.py
targets=(//cli:chaperone //cli/issuer:chaperone-dev-issuer //sidecar:chaperone-sidecar
    //controlplane:chaperone-controlplane)
small=(//policies:policy_bench //sidecar/sql:sql_bench //sidecar/audit:recorder_bench
    //controlplane/audit:audit_bench //controlplane/store:store_bench)
if [ "${1:-}" = --fleet ]; then
    shift
    program=fleet.py
    targets=(//cli/issuer:chaperone-dev-issuer //controlplane:chaperone-controlplane
        //e2e/bench/fleet:fleet_bench)
elif [ "${1:-}" = --masking ]; then
    shift
    program=masking.py
elif [ "${1:-}" = --approvals ]; then
    shift
    program=approvals.py
elif [ "${1:-}" = --http ]; then
    shift
    program=http_bench.py
elif [ "${1:-}" = --where ]; then
    shift
    program=where.py
else
    targets+=("${small[@]}")
fi

case " $* " in
*' --help '* | *' -h '*) exec /usr/bin/python3 "$root/e2e/bench/$program" --help ;;
esac

bash "$root/deploy/install-packages.sh" "$root/deploy/packages.txt" "$root/deploy/packages-test.txt" >&2
if [ -z "${CHAPERONE_BIN:-}" ]; then
    log=$(mktemp /tmp/chaperone-build.XXXXXX)
    bazel_remember
    trap bazel_forget EXIT
    bazel_progress "$log" build -c opt "${targets[@]}" >&2 || {
        grep -v '^\[' "$log" | tail -n 30 >&2
        die "the build failed; all of it is in $log"
    }
    CHAPERONE_BIN=$(cd "$root" && bazel info -c opt bazel-bin 2>/dev/null)
    export CHAPERONE_BIN
    # Its server would take part in what is measured.
    bazel_forget
    rm -f "$log"
fi
/usr/bin/python3 -B "$root/e2e/bench/$program" "$@"
