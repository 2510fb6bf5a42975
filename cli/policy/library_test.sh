#!/bin/sh
# The golden cases of the shipped policies; and that `policy check` and `policy test` say no.
set -eu
chaperone=$1
scratch=${TEST_TMPDIR:-$(mktemp -d)}
fail() { echo "FAILED: $1"; cat "$scratch/out"; exit 1; }

for policy in policies/library/*.yaml; do
    "$chaperone" policy check "$policy" >"$scratch/out" 2>&1 || fail "check $policy"
done
"$chaperone" policy test policies/library/tests >"$scratch/out" 2>&1 || fail "golden cases"
grep -q '^# [1-9][0-9]* cases, 0 failed$' "$scratch/out" || fail "no case was run"

cp policies/library/read-only-analyst.yaml "$scratch/policy.yaml"
mkdir -p "$scratch/cases"
cat >"$scratch/cases/wrong.yaml" <<'END'
policy: ../policy.yaml
cases:
  - {as: "sub=a,groups=analysts", sql: SELECT 1, verdict: allow}
  - {name: a wish, as: "sub=a,groups=analysts", sql: DROP TABLE t, verdict: allow, rule: x}
END
code=0; "$chaperone" policy test "$scratch/cases" >"$scratch/out" 2>&1 || code=$?
[ "$code" = 1 ] || fail "a failing case has the exit code $code"
grep -q '^ok 1 - SELECT 1$' "$scratch/out" || fail "ok"
grep -q '^not ok 2 - a wish$' "$scratch/out" || fail "not ok"
grep -q 'expected allow by x, found deny by default' "$scratch/out" || fail "why"
grep -q '^# 2 cases, 1 failed$' "$scratch/out" || fail "count"

printf 'version: 1\nrules:\n  - {name: a, effect: alow}\n' >"$scratch/bad.yaml"
code=0; "$chaperone" policy check "$scratch/bad.yaml" >"$scratch/out" 2>&1 || code=$?
[ "$code" = 1 ] || fail "a bad policy has the exit code $code"
grep -q 'bad.yaml:3:23.*rules\[0\].effect: .*did you mean "allow"' "$scratch/out" || fail "suggestion"

printf 'version: 1\nrules:\n  - {name: a, effect: hold}\n' >"$scratch/bad.yaml"
code=0; "$chaperone" policy check "$scratch/bad.yaml" >"$scratch/out" 2>&1 || code=$?
[ "$code" = 1 ] || fail "hold has the exit code $code"

code=0
"$chaperone" policy explain --as sub=a,groups=analysts --file "$scratch/policy.yaml" \
    'SELECT * FROM orders; SELECT * FROM pg_authid' >"$scratch/out" 2>&1 || code=$?
[ "$code" = 1 ] || fail "explain has the exit code $code"
grep -q 'read table orders -> allow by rule analysts-read' "$scratch/out" || fail "explain allow"
grep -q '^verdict: deny by rule no-credentials: ' "$scratch/out" || fail "explain verdict"
echo PASSED
