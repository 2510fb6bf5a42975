#!/usr/bin/env bash
# Every fuzz target for minutes of processor time: docs/reliability.md has what came of it.
# The options are those of fuzz.py: bash e2e/fuzz/run.sh --help
set -euo pipefail

root=$(cd "$(dirname "$0")/../.." && pwd)
# shellcheck source=deploy/common.sh
. "$root/deploy/common.sh"
export HOME=${HOME:-$(getent passwd "$(id -u)" | cut -d: -f6)}

case " $* " in
*' --help '* | *' -h '*) exec /usr/bin/python3 -B "$root/e2e/fuzz/fuzz.py" --help ;;
esac

bash "$root/deploy/install-packages.sh" "$root/deploy/packages.txt" "$root/deploy/packages-test.txt" >&2
if [ -z "${CHAPERONE_FUZZ_BIN:-}" ]; then
    cd "$root"
    log=$(mktemp /tmp/chaperone-build.XXXXXX)
    bazel_remember
    trap bazel_forget EXIT
    # //... leaves out what has the tag manual in a build, but not in a query.
    mapfile -t targets < <(bazel query 'kind(cc_binary, filter("_fuzz$", //...))' 2>/dev/null)
    [ ${#targets[@]} -gt 0 ] || die "bazel query finds no fuzz target"
    note "building ${#targets[@]} fuzz targets with libFuzzer, AddressSanitizer and UndefinedBehaviorSanitizer"
    bazel_progress "$log" build --config=fuzz "${targets[@]}" >&2 || {
        grep -v '^\[' "$log" | tail -n 30 >&2
        die "the build failed; all of it is in $log"
    }
    CHAPERONE_FUZZ_BIN=$(bazel info --config=fuzz bazel-bin 2>/dev/null)
    export CHAPERONE_FUZZ_BIN
    bazel_forget
    trap - EXIT
    rm -f "$log"
fi
exec /usr/bin/python3 -B "$root/e2e/fuzz/fuzz.py" "$@"
