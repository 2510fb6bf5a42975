#!/usr/bin/env bash
# Every test there is, from a fresh clone on a fresh Debian 12. The last line counts them.
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck source=deploy/common.sh
. "$root/deploy/common.sh"

sections=(lint unit interop chatops e2e faults quickstart asan-unit asan-interop asan-e2e)

usage() {
    cat <<END
Usage: e2e/run.sh [--quick] [--only SECTION]...

Installs what is missing (Debian packages, as root or through sudo; npm packages), builds, runs every
test, and goes on after a failure. The last line is "N passed, M failed"; the exit code is 0 when
nothing failed. Sections:

  lint          each .c and .h file is as clang-format leaves it
  unit          bazel test //...: each case of each unit test, and the replay of each fuzz corpus
  interop       stock gRPC clients (@grpc/grpc-js) against base/rpc
  chatops       the bots against a local Slack, OpenID provider and Approvals service
  e2e           real clients, a real PostgreSQL and a real OpenID provider (pytest)
  faults        what kills, starves and slows the parts, a few rounds of each; e2e/faults/run.sh has all
  quickstart    deploy/quickstart.sh, whose story checks itself
  asan-unit, asan-interop, asan-e2e
                the same under AddressSanitizer and UndefinedBehaviorSanitizer; asan-e2e without the
                tests that take long (the adversarial corpus, replicas, ...: their parsers are in asan-unit)

  --quick           without the asan sections
  --only SECTION    only this one; may be given more than once
  --help            this text
END
}

misuse() {
    echo "run.sh: $1; --help lists what there is" >&2
    exit 2
}

chosen=()
while [ $# -gt 0 ]; do
    case "$1" in
    --quick) chosen=(lint unit interop chatops e2e faults quickstart) ;;
    --only)
        case " ${sections[*]} " in
        *" ${2:-?} "*) chosen+=("$2") ;;
        *) misuse "no section ${2:-after --only}" ;;
        esac
        shift
        ;;
    -h | --help)
        usage
        exit 0
        ;;
    *) misuse "unknown option $1" ;;
    esac
    shift
done
[ "${#chosen[@]}" -gt 0 ] || chosen=("${sections[@]}")

work=$(mktemp -d /tmp/chaperone-tests.XXXXXX)
touch "$work/counts" "$work/failures"
export HOME=${HOME:-$(getent passwd "$(id -u)" | cut -d: -f6)}

cleanup() {
    bazel_forget
    # The logs of a failure are to be read.
    if [ -s "$work/failures" ]; then echo "The logs are in $work" >&2; else rm -rf "$work"; fi
}
trap cleanup EXIT
trap 'exit 130' INT TERM

# count KIND FILE: what passed and failed there, into the totals.
count() {
    /usr/bin/python3 "$root/e2e/results.py" "$section" "$1" "$2" "$work/counts" "$work/failures"
}

# For what gives no list of its own: one test.
count_one() {
    local name=$1 status=$2
    if [ "$status" -eq 0 ]; then
        echo "1 0 0" >>"$work/counts"
    else
        echo "0 1 0" >>"$work/counts"
        echo "$section: $name" >>"$work/failures"
    fi
}

configuration() { case "$1" in asan-*) echo --config=asan ;; esac; }

# The programs of a configuration, in `bin`.
build() {
    local config=()
    if [ -n "$1" ]; then config=("$1"); fi
    if ! bazel_progress "$work/$section-build.log" build "${config[@]}" //cli:chaperone \
        //cli/issuer:chaperone-dev-issuer //sidecar:chaperone-sidecar \
        //controlplane:chaperone-controlplane //base/rpc:interop_server //sidecar/sql:sql_extract \
        //sidecar/catalog:catalog_dump //controlplane/export/testing:kafka_mock; then
        grep -v '^\[' "$work/$section-build.log" | tail -n 30
        count_one "the build" 1
        return 1
    fi
    bin=$(cd "$root" && bazel info "${config[@]}" bazel-bin 2>/dev/null)
}

# Sanitizers write a file each time they find something: each is a failure, whatever the test said.
sanitize() {
    mkdir -p "$work/$section-reports"
    # The quarantine of freed memory (256 MB) would hide from a test how much the sidecar really has.
    export ASAN_OPTIONS="detect_leaks=1:quarantine_size_mb=32:log_path=$work/$section-reports/asan"
    export UBSAN_OPTIONS="print_stacktrace=1:halt_on_error=1:log_path=$work/$section-reports/ubsan"
}

count_reports() {
    local report
    unset ASAN_OPTIONS UBSAN_OPTIONS
    for report in "$work/$section-reports"/*; do
        [ -e "$report" ] || continue
        head -n 60 "$report"
        count_one "a sanitizer's report, $report" 1
    done
}

run_lint() {
    local file status=0
    (cd "$root" && find . \( -name node_modules -o -name '.?*' \) -prune -o -type f -name '*.[ch]' -print0 |
        xargs -0 -n 40 -P "$(nproc)" clang-format --dry-run -Werror) 2>"$work/lint.log" || status=1
    for file in $(sed -n 's/^\([^ :]*\):[0-9]*:[0-9]*: error: .*/\1/p' "$work/lint.log" | sort -u); do
        count_one "$file: clang-format -i is missing" 1
    done
    if [ "$status" -eq 0 ] || [ ! -s "$work/failures" ]; then count_one "clang-format" "$status"; fi
}

run_unit() {
    local config=()
    if [ -n "$1" ]; then config=("$1"); fi
    bazel_progress "$work/$section.log" test "${config[@]}" --keep_going --test_output=summary \
        "--build_event_json_file=$work/$section.json" //... || true
    if [ -s "$work/$section.json" ]; then
        grep -E '^(ERROR|.*error:)' "$work/$section.log" | head -n 20 || true
        count bazel "$work/$section.json"
    else
        tail -n 20 "$work/$section.log"
        count_one "bazel test did not run" 1
    fi
}

run_interop() {
    build "$1" || return 0
    if [ -n "$1" ]; then sanitize; fi
    timeout 900 node "$root/e2e/grpc-js/interop.mjs" "$bin/base/rpc/interop_server" \
        >"$work/$section.tap" 2>&1 || true
    if [ -n "$1" ]; then count_reports; fi
    count tap "$work/$section.tap"
}

run_chatops() {
    (cd "$root/e2e/chatops" && timeout 1200 npm test --silent) >"$work/$section.tap" 2>"$work/$section.log" || true
    grep -q '^# tests' "$work/$section.tap" || tail -n 30 "$work/$section.log"
    count tap "$work/$section.tap"
}

# They take long, or look at the programs themselves; what parses there is in asan-unit.
not_under_asan=(adversarial blobs cheating_operator export_jobs hardening killed_all_at_once replicas verify
    witness_server)

run_e2e() {
    build "$1" || return 0
    local left_out=() name
    if [ -n "$1" ]; then
        sanitize
        for name in "${not_under_asan[@]}"; do left_out+=("--ignore=e2e/tests/test_$name.py"); done
    fi
    (cd "$root" && CHAPERONE_BIN=$bin timeout 7200 /usr/bin/python3 -B -m pytest -q --no-header -p no:cacheprovider \
        --continue-on-collection-errors --timeout=600 --tb=short --durations=5 --junitxml="$work/$section.xml" \
        "${left_out[@]}" e2e/tests) || true
    if [ -n "$1" ]; then count_reports; fi
    if [ -s "$work/$section.xml" ]; then
        count junit "$work/$section.xml"
    else
        count_one "pytest did not come to its end" 1
    fi
}

run_faults() {
    build "$1" || return 0
    (cd "$root" && CHAPERONE_BIN=$bin CHAPERONE_FAULT_ROUNDS=2 CHAPERONE_FAULT_SECONDS=10 timeout 4800 \
        /usr/bin/python3 -B -m pytest -q --no-header -p no:cacheprovider --timeout=600 --tb=short \
        --durations=5 --junitxml="$work/$section.xml" e2e/faults) || true
    if [ -s "$work/$section.xml" ]; then
        count junit "$work/$section.xml"
    else
        count_one "pytest did not come to its end" 1
    fi
}

run_quickstart() {
    build "$1" || return 0
    local status=0
    CHAPERONE_BIN=$bin timeout 900 bash "$root/deploy/quickstart.sh" >"$work/quickstart.log" 2>&1 || status=$?
    if [ "$status" -ne 0 ]; then tail -n 60 "$work/quickstart.log"; fi
    count_one "deploy/quickstart.sh" "$status"
}

run_section() {
    section=$1
    local began=$SECONDS before
    before=$(wc -l <"$work/failures")
    printf '\n%s== %s%s\n' "$bold" "$section" "$plain"
    "run_${section#asan-}" "$(configuration "$section")"
    tail -n "+$((before + 1))" "$work/failures" | sed "s/^/${red}FAILED${plain} /"
    awk -v began="$began" -v now="$SECONDS" -v section="$section" -v from="$counted" '
        NR > from { p += $1; f += $2; s += $3 }
        END { printf "-- %s: %d passed, %d failed%s (%d s)\n", section, p, f, s ? ", " s " skipped" : "", now - began }
        ' "$work/counts"
    counted=$(wc -l <"$work/counts")
}

install() {
    printf '%s== packages%s\n' "$bold" "$plain"
    bash "$root/deploy/install-packages.sh" "$root/deploy/packages.txt" "$root/deploy/packages-test.txt"
    local folder
    for folder in e2e/node e2e/grpc-js e2e/chatops deploy/chatops; do
        # npm writes this file last.
        if [ "$root/$folder/node_modules/.package-lock.json" -nt "$root/$folder/package-lock.json" ]; then
            continue
        fi
        note "npm ci in $folder"
        (cd "$root/$folder" && npm ci --no-audit --no-fund --loglevel=error) >"$work/npm.log" 2>&1 || {
            cat "$work/npm.log" >&2
            section=packages count_one "npm ci in $folder" 1
        }
    done
}

install
bazel_remember
counted=$(wc -l <"$work/counts")
for name in "${chosen[@]}"; do run_section "$name"; done

echo
if [ -s "$work/failures" ]; then
    echo "Failed:"
    sed 's/^/  /' "$work/failures"
fi
read -r passed failed < <(awk '{ p += $1; f += $2 } END { print p + 0, f + 0 }' "$work/counts")
trap - EXIT
cleanup
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
