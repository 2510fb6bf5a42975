# Shared by the scripts that people run; sourced, not executed. They set `root` to the source tree.
# shellcheck shell=bash disable=SC2034,SC2154

if [ -t 1 ] && [ -z "${NO_COLOR:-}" ]; then
    bold=$'\e[1m' red=$'\e[31m' dim=$'\e[2m' plain=$'\e[0m'
else
    bold='' red='' dim='' plain=''
fi

note() { printf '      %s%s%s\n' "$dim" "$*" "$plain"; }

die() {
    printf '%serror:%s %s\n' "$red" "$plain" "$*" >&2
    exit 1
}

# A Bazel server of this tree stays for the next build, but we leave none that was not there.
bazel_server_runs() { grep -qzx -- "--workspace_directory=$root" /proc/[0-9]*/cmdline 2>/dev/null; }

bazel_remember() {
    bazel_was_running=no
    if bazel_server_runs; then bazel_was_running=yes; fi
}

bazel_job=''

bazel_forget() {
    if [ -n "$bazel_job" ]; then
        kill -INT -- "-$bazel_job" 2>/dev/null || true
        wait "$bazel_job" 2>/dev/null || true
        bazel_job=''
    fi
    if [ "${bazel_was_running:-yes}" = no ] && bazel_server_runs; then
        (cd "$root" && bazel shutdown >/dev/null 2>&1) || true
    fi
}

# What Bazel says, as a line now and then.
bazel_condense() {
    awk -v dim="$dim" -v plain="$plain" '
        /^\[[0-9,]+ \/ [0-9,]+\]/ {
            gsub(/[][,]/, "")
            if ($3 > 1 && $1 != last) printf "      %s%d of %d actions%s\n", dim, $1, $3, plain
            last = $1
            fflush()
        }'
}

# bazel_progress LOG ARGUMENT...: runs Bazel with all its output in LOG. It is a job of its own, waited for,
# because a shell takes no signal while it runs a command in the foreground.
bazel_progress() {
    local log=$1 status=0
    shift
    set -m
    (cd "$root" && bazel "$@" --symlink_prefix=/ --show_progress --curses=no --color=no \
        --show_progress_rate_limit=4 2>&1 | tee "$log" | bazel_condense) &
    bazel_job=$!
    set +m
    wait "$bazel_job" || status=$?
    bazel_job=''
    return "$status"
}
