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

# What holds, and what is masked.
cat >"$scratch/policy.yaml" <<'END'
version: 1
rules:
  - name: reads
    effect: allow
    match: {sql: {commands: [read], tables: [public.*]}}
    obligations: {mask: [{columns: [public.customers.ssn], computed: "null"}]}
  - name: deletes
    effect: hold
    message: ask first
    match: {sql: {commands: [DELETE], tables: [public.*]}}
    hold: {approvers: {groups: [dba, security]}, people: 2}
END
cat >"$scratch/cases/wrong.yaml" <<'END'
policy: ../policy.yaml
catalog:
  public.customers: {id: int4, ssn: text, name: "varchar[]"}
cases:
  - {name: good, as: sub=a, sql: DELETE FROM customers, verdict: hold, groups: [security, dba], people: 2}
  - {name: fewer, as: sub=a, sql: DELETE FROM customers, verdict: hold, groups: [dba], people: 1}
  - {name: none, as: sub=a, sql: SELECT id FROM customers, verdict: allow, masked: {}}
  - {name: all, as: sub=a, sql: 'SELECT *, upper(ssn) FROM customers', verdict: allow, masked: {ssn: reads, 4: reads}}
  - {name: forgotten, as: sub=a, sql: SELECT * FROM customers, verdict: allow, masked: {}}
  - {name: too many, as: sub=a, sql: SELECT * FROM customers, verdict: allow, masked: {ssn: reads, id: reads}}
  - {name: other rule, as: sub=a, sql: SELECT * FROM customers, verdict: allow, masked: {ssn: deletes}}
  - {name: refused, as: sub=a, sql: SELECT id FROM customers ORDER BY ssn, verdict: deny, rule: reads}
END
code=0; "$chaperone" policy test "$scratch/cases" >"$scratch/out" 2>&1 || code=$?
[ "$code" = 1 ] || fail "failing cases have the exit code $code"
for name in good none all refused; do
    grep -q "^ok [0-9]* - $name\$" "$scratch/out" || fail "$name"
done
for name in fewer forgotten 'too many' 'other rule'; do
    grep -q "^not ok [0-9]* - $name\$" "$scratch/out" || fail "$name passed"
done
grep -q 'expected hold, for dba, 1 people, found hold by deletes (ask first), for dba+security, 2 people$' \
    "$scratch/out" || fail "why it is not held so"
grep -q 'expected allow, masked:, found allow by reads, masked: ssn by reads$' "$scratch/out" ||
    fail "why it is not masked so"

wrong() { # POLICY TEST's complaint about a file of cases
    printf '%s\n' "$1" >"$scratch/cases/wrong.yaml"
    code=0; "$chaperone" policy test "$scratch/cases" >"$scratch/out" 2>&1 || code=$?
    [ "$code" = 1 ] && grep -q "wrong.yaml:$2" "$scratch/out" || fail "$2"
}
case_="policy: ../policy.yaml
cases: [{as: sub=a, sql: SELECT 1"
wrong "$case_, verdict: allow, masked: {}}]" '2:.*masked: it needs a `catalog` beside `cases`'
wrong "$case_, verdict: allow, people: 2}]" '2:.*people: it is about `verdict: hold`'
tables="policy: ../policy.yaml
cases: []
catalog:"
wrong "$tables {customers: {id: int4}}" '3:11: .*expected SCHEMA.TABLE such as public.customers'
wrong "$tables {public.c: {id: int44}}" '3:.*expected a type of PostgreSQL.*did you mean "int4"?'
wrong "$tables {public.c: id}" '3:.*expected a map of columns and their types'
wrong "$tables [a]" '3:.*expected a map'

cat >"$scratch/catalog.yaml" <<'END'
public.customers: {id: int4, ssn: text}
END
explain() {
    code=0
    "$chaperone" policy explain --as sub=a --file "$scratch/policy.yaml" --catalog "$scratch/catalog.yaml" \
        "$@" >"$scratch/out" 2>&1 || code=$?
}
explain 'SELECT id, ssn AS number FROM customers'
[ "$code" = 0 ] || fail "explain of what is masked has the exit code $code"
grep -q '^masked: statement 1, column 2 number (public.customers.ssn) by rule reads$' "$scratch/out" ||
    fail "explain masked"
explain 'SELECT id FROM customers'
grep -q '^masked: no column by its name or type$' "$scratch/out" || fail "explain nothing masked"
explain "SELECT id FROM customers WHERE ssn = '1'"
[ "$code" = 1 ] || fail "explain of what masks refuse has the exit code $code"
grep -q '^verdict: deny by rule reads: public.customers.ssn is used in WHERE$' "$scratch/out" ||
    fail "explain why refused"
explain 'DELETE FROM customers WHERE id = 1'
[ "$code" = 1 ] || fail "explain of a hold has the exit code $code"
grep -q '^  read table customers -> .*by rule' "$scratch/out" || fail "explain hold parts"
! grep -q ' deny ' "$scratch/out" || fail "explain hold has a part that is refused"
grep -q '^verdict: hold by rule deletes: ask first$' "$scratch/out" || fail "explain hold"
grep -q '^people: 2 of dba or security, within 15m, or 1m in a transaction$' "$scratch/out" ||
    fail "explain people"
explain --json 'DELETE FROM customers WHERE id = 1'
grep -q '"hold":{"groups":\["dba","security"\],"people":2,' "$scratch/out" || fail "explain hold as JSON"

code=0
"$chaperone" policy explain --as sub=a,groups=analysts --file policies/library/read-only-analyst.yaml \
    'SELECT * FROM orders; SELECT * FROM pg_authid' >"$scratch/out" 2>&1 || code=$?
[ "$code" = 1 ] || fail "explain has the exit code $code"
grep -q 'read table orders -> allow by rule analysts-read' "$scratch/out" || fail "explain allow"
grep -q '^verdict: deny by rule no-credentials: ' "$scratch/out" || fail "explain verdict"
echo PASSED
