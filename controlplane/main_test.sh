#!/bin/bash
# The program as people and scripts use it: arguments, exit codes, commands, signals.
set -u
program=$PWD/$1
dir=$(mktemp -d)
server=
finish() {
    [ -z "$server" ] || kill -KILL "$server" 2>/dev/null
    rm -rf "$dir"
}
trap finish EXIT
failures=0

fail() {
    echo "FAILED: $*"
    failures=$((failures + 1))
}

# expect CODE WORDS COMMAND...: the exit code, and words in what it prints.
expect() {
    local code=$1 words=$2 out got
    shift 2
    out=$("$@" 2>&1 </dev/null)
    got=$?
    [ $got -eq "$code" ] || fail "$*: exit code $got, expected $code: $out"
    case $out in
    *"$words"*) ;;
    *) fail "$*: expected \"$words\" in: $out" ;;
    esac
}

# await WHAT COMMAND...: until it succeeds.
await() {
    local what=$1
    shift
    for _ in $(seq 200); do
        "$@" >/dev/null 2>&1 && return 0
        sleep 0.05
    done
    fail "$what did not happen"
}

printf 'listen: 127.0.0.1:0\ndata: state\n' >"$dir/good.yaml"
printf 'listen: 127.0.0.1:0\ndata: state\nroles: {boss: [a]}\n' >"$dir/bad.yaml"
printf 'data: state2\nidentity_providers: [{name: p, issuer: "http://example.com", audience: a}]\n' \
    >"$dir/issuer.yaml"

expect 0 "Usage: chaperone-controlplane" "$program" --help
expect 0 "chaperone-controlplane " "$program" --version
expect 2 "--config FILE is needed" "$program"
expect 2 "Try: chaperone-controlplane --help" "$program" --bogus
expect 2 "unknown command" "$program" --config "$dir/good.yaml" credential forget x
expect 2 "none.yaml" "$program" --config "$dir/none.yaml" --check
expect 0 "good.yaml: ok" "$program" --config "$dir/good.yaml" --check
[ ! -e "$dir/state" ] || fail "--check made the data directory"
expect 2 "bad.yaml:3:9: roles: unknown key \`boss\`" "$program" --config "$dir/bad.yaml" --check
expect 2 "bad.yaml:3:9: roles" "$program" --config "$dir/bad.yaml"
expect 2 "identity_providers: " "$program" --config "$dir/issuer.yaml" --check

# Credentials: stored, listed, removed; never in clear.
expect 2 "found nothing" "$program" credential set a --config "$dir/good.yaml"
printf 's3cret-value\n' | "$program" credential set a --config "$dir/good.yaml" >/dev/null ||
    fail "credential set"
expect 0 "a	20" "$program" credential list --config "$dir/good.yaml"
grep -rq s3cret-value "$dir/state" && fail "the secret is in clear"
[ "$(stat -c %a "$dir/state")" = 700 ] || fail "the data directory's mode"
for key in credentials.key masking.key; do
    [ "$(stat -c %a "$dir/state/$key")" = 600 ] || fail "the mode of $key"
done
chmod 644 "$dir/state/credentials.key"
expect 1 "mode 0644" "$program" --config "$dir/good.yaml"
chmod 600 "$dir/state/credentials.key"
expect 0 "a is removed" "$program" credential remove a --config "$dir/good.yaml"
expect 1 "no secret \"a\"" "$program" credential remove a --config "$dir/good.yaml"

# Join tokens.
expect 0 "chaperone-join-" "$program" join-token create --config "$dir/good.yaml" --lifetime 5m
expect 2 "found \"25h\"" "$program" join-token create --config "$dir/good.yaml" --lifetime 25h

# The server: it says where it listens, survives a bad reload, ends when asked to.
"$program" --config "$dir/good.yaml" 2>"$dir/log" &
server=$!
await "listening" grep -q '"event":"listening"' "$dir/log"
await "the port file" test -s "$dir/state/controlplane.port"
port=$(cat "$dir/state/controlplane.port")
grep -q "\"port\":$port}" "$dir/log" || fail "the port of the file is not the log's"
grep -q '"event":"policy_absent"' "$dir/log" || fail "no warning that there is no policy"
(exec 3<>"/dev/tcp/127.0.0.1/$port") || fail "nothing listens"
[ -s "$dir/state/ca/ca.pem" ] || fail "no CA certificate for clients"
expect 1 "stop it first" "$program" log restart --reason test --config "$dir/good.yaml"
expect 0 "chaperone.localhost/audit+" "$program" log rotate-key --config "$dir/good.yaml"
expect 1 "still signs" "$program" log rotate-key --config "$dir/good.yaml"
await "the new key" grep -q '"event":"log_key_changed"' "$dir/log"
"$program" --config "$dir/good.yaml" 2>"$dir/second" && fail "two keep one log"
grep -q "one keeper" "$dir/second" || fail "no word that another control plane is running"
cp "$dir/bad.yaml" "$dir/good.yaml"
kill -HUP "$server"
await "the refusal" grep -q '"event":"configuration_refused"' "$dir/log"
printf 'listen: 127.0.0.1:0\ndata: state\nlog: {level: debug}\n' >"$dir/good.yaml"
kill -HUP "$server"
await "the reload" grep -q '"event":"configuration_reloaded"' "$dir/log"
grep -q '"event":"restart_needed","key":"log"' "$dir/log" || fail "no word that a restart is needed"
kill -TERM "$server"
wait "$server"
code=$?
server=
[ $code -eq 0 ] || fail "SIGTERM: exit code $code"
grep -q '"event":"stopped"' "$dir/log" || fail "not stopped in order"
[ ! -e "$dir/state/controlplane.port" ] || fail "the port file stays"

# The audit log: another one begins, the one before it is kept.
[ "$(stat -c %a "$dir/state/log.key")" = 600 ] || fail "the mode of log.key"
expect 2 "reason TEXT is needed" "$program" log restart --config "$dir/good.yaml"
expect 0 "chaperone.localhost/audit/2" "$program" log restart --reason test --config "$dir/good.yaml"
[ -s "$dir/state/log.1/checkpoint" ] || fail "the log that was ended is not kept"

[ $failures -eq 0 ] || { [ ! -e "$dir/log" ] || cat "$dir/log"; }
exit $((failures > 0))
