#!/bin/bash
# The program as a person starts it: it says when it is ready, mints, rotates, ends on a signal.
set -u
issuer=$1
dir=$(mktemp -d "${TEST_TMPDIR:-/tmp}/issuer.XXXXXX")
pid=
trap '[ -n "$pid" ] && kill "$pid" 2>/dev/null; rm -rf "$dir"' EXIT

fail() {
    echo "FAILED: $*" >&2
    exit 1
}

# ask METHOD PATH [FORM]: prints the answer.
ask() {
    local form=${3-} port=${url##*:}
    exec 4<>"/dev/tcp/127.0.0.1/$port" || fail "no connection to $url"
    printf '%s %s HTTP/1.1\r\nHost: 127.0.0.1:%s\r\nConnection: close\r\n' "$1" "$2" "$port" >&4
    printf 'Content-Type: application/x-www-form-urlencoded\r\nContent-Length: %d\r\n\r\n%s' \
        "${#form}" "$form" >&4
    cat <&4
    exec 4>&-
}

"$issuer" --help | grep -q -- '--listen' || fail "--help does not explain --listen"
"$issuer" 2>/dev/null
[ $? -eq 2 ] || fail "without --dir the exit code is not 2"
"$issuer" --dir "$dir" --listen nonsense 2>/dev/null
[ $? -eq 2 ] || fail "with a nonsensical --listen the exit code is not 2"
"$issuer" --dir "$dir" --listen 0.0.0.0:0 2>"$dir/err"
[ $? -eq 1 ] || fail "it listens on 0.0.0.0"
grep -q '127.0.0.1 or ::1 only' "$dir/err" || fail "it does not say why not"

mkfifo "$dir/out"
"$issuer" --dir "$dir/keys" >"$dir/out" 2>"$dir/err" &
pid=$!
read -r -t 30 ready url <"$dir/out"
[ "$ready" = ready: ] || fail "it is not ready: $ready"
grep -q 'development only' "$dir/err" || fail "it does not warn"
[ "$(stat -c %a "$dir/keys/issuer-keys.json")" = 600 ] || fail "others may read the keys"
ask GET /.well-known/openid-configuration | grep -q "\"issuer\":\"$url\"" || fail "no discovery"
ask POST /token 'subject=a&format=text' | grep -q '^eyJ[^.]*\.[^.]*\.[^.]*$' || fail "no token"
ask POST /rotate | grep -q '"keys"' || fail "no rotation"

kill -TERM "$pid"
wait "$pid"
code=$?
pid=
[ $code -eq 0 ] || fail "after SIGTERM the exit code is $code"
echo "PASSED"
