-- Every value that deploy/sample/policy.yaml masks, one a line.
SELECT ssn FROM customers
UNION ALL
SELECT email FROM customers
UNION ALL
SELECT (regexp_match(note, '\+[0-9 ]*[0-9]|\S+@[a-z.]+'))[1] FROM orders WHERE note IS NOT NULL;
