-- The database that the corpus attacks: every secret of planted.yaml is in it, and nothing else is.
CREATE EXTENSION hstore;
CREATE EXTENSION pgcrypto;
CREATE EXTENSION tablefunc;
CREATE EXTENSION dblink;
CREATE EXTENSION postgres_fdw;
CREATE EXTENSION file_fdw;
CREATE EXTENSION citext;
CREATE EXTENSION pageinspect;
CREATE EXTENSION xml2;
CREATE EXTENSION pg_trgm;
CREATE EXTENSION lo;

-- ---- masked by name: customers (with a parent and a child), people, payments

CREATE TABLE parties (id int, name text, ssn text);
CREATE TABLE customers (
    id int PRIMARY KEY,
    name text NOT NULL,
    ssn text NOT NULL UNIQUE,
    city text,
    email text UNIQUE,
    card text,
    signup date DEFAULT '2024-05-01'
) INHERITS (parties);
CREATE TABLE vip_customers (level int) INHERITS (customers);
INSERT INTO customers (id, name, city, ssn, email, card, signup) VALUES
    (1, 'Ada Lovett', 'Lisbon', '978-89-6021', 'qzxvkw@wjpyfg.org', '4987 8979 8798 2046', '2020-01-15'),
    (2, 'Bo Marsh', 'Oslo', '897-98-4410', 'hkqzjw.vbxr@fzkwqp.org', '5589 7897 8978 3103', '2021-02-16'),
    (3, 'Cy Noble', 'Lisbon', '789-79-0525', 'vgqkzt@xjzhwb.org', '4988 9799 7897 2043', '2022-03-17'),
    (4, 'Di Quint', 'Oslo', '998-87-1346', 'wzbqxj-kpv@qhvzkg.org', '4897 8789 8978 3102', NULL);
INSERT INTO vip_customers (id, name, city, ssn, email, card, signup, level) VALUES
    (5, 'Ed Rusk', 'Turin', '879-99-3502', 'jxkqvd@zpwhqf.org', '5379 8987 9787 2040', '2023-04-18', 9);

CREATE TABLE people (id int, region text, name text, secret text) PARTITION BY LIST (region);
CREATE TABLE people_eu PARTITION OF people FOR VALUES IN ('eu');
CREATE TABLE people_us PARTITION OF people FOR VALUES IN ('us');
INSERT INTO people VALUES (1, 'eu', 'Gil', 'gxqvortz-kwyjbq-zpfhgm-5417'),
                          (2, 'us', 'Hal', 'bvqhzkwj-pxgfzt-qjwdvk-8263');

CREATE SCHEMA hr;
CREATE TABLE hr.people (
    id int PRIMARY KEY,
    name text,
    secret text,
    backwards text GENERATED ALWAYS AS (reverse(secret)) STORED
);
INSERT INTO hr.people VALUES (1, 'Ivy', 'hzqjvwxk-fbgpqz-kdxwjq-3390'),
                             (2, 'Joe', 'zjqkpwvx-gqhbfz-wvkxqd-7158');

CREATE TABLE payments (id int PRIMARY KEY, amount numeric(10, 2), ssn text REFERENCES customers (ssn));
INSERT INTO payments VALUES (1, 10.00, '978-89-6021'), (2, 20.50, '897-98-4410');

-- ---- masked by what it is

CREATE TABLE notes (id int PRIMARY KEY, body text, data jsonb, tags text[], num numeric, raw json);
INSERT INTO notes VALUES
    (1, 'Please write to qvnzkx@hqpwzd.net today.', '{"to": "qvnzkx@hqpwzd.net"}', '{a,qvnzkx@hqpwzd.net}', 7,
     '{"deep": [{"to": "fqwzkj\u0040pxvhgq.net"}]}'),
    (2, 'Card: 4787898789879788, no hurry.', '{"card": 4787898789879788}', '{4787898789879788}', 4787898789879788,
     '{"card": 4787898789879788}'),
    (3, 'From DE73 8798 7978 8987 9878 79 or GB71WQZX97887989878978', '["DE73879879788987987879"]',
     '{GB71WQZX97887989878978}', NULL, '"GB71WQZX97887989878978"'),
    (4, 'Bearer eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJ6cXh3dmtqaGciLCJ3aG8iOiJwcXp4a3dqdiJ9.wQzXkVjHgPqZtRwVbXkJqZfGhWvKxQdPzJqKwVxGqHb',
     NULL, NULL, NULL, NULL),
    (5, E'-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIHqzXwVkJhGfPqZtRwVbXkJqZfGhWvKxQdPzJqKwVxGq\n-----END PRIVATE KEY-----\n',
     NULL, NULL, NULL, NULL),
    (6, 'token=ghp_zQxWvKjHgFpQzTrWvBxKjQzFgHwVkXqDpZ94', '{"aws": "AKIAQZXWVKJHGFPQZTRW"}', NULL, NULL, NULL),
    (7, 'nothing of note', '{"a": [1, 2]}', '{x,y}', 12.50, '{"b":  null}');

-- ---- open to everybody

CREATE TABLE orders (id int PRIMARY KEY, customer_id int REFERENCES customers, amount numeric(10, 2), status text);
INSERT INTO orders VALUES (1, 1, 10.50, 'paid'), (2, 1, 20.00, 'open'), (3, 2, 7.25, 'paid'),
                          (4, 3, 99.99, 'sent'), (5, 4, 1.00, NULL);
CREATE TABLE empty (id int, ssn text, note text);
CREATE SEQUENCE tickets;

-- ---- what reads them under another name

CREATE VIEW customer_list AS SELECT id, name, city FROM customers;
CREATE VIEW customer_tax AS SELECT id, name, ssn AS tax_number FROM customers;
CREATE VIEW customer_tax_again AS SELECT id, tax_number AS t FROM customer_tax WHERE id > 0;
CREATE VIEW customer_contact AS SELECT id, email || ' / ' || card AS contact FROM customers;
CREATE VIEW customer_row AS SELECT c FROM customers c;
CREATE VIEW customer_union (id, what) AS SELECT id, name FROM customers UNION ALL SELECT id, ssn FROM customers;
CREATE VIEW customer_barrier WITH (security_barrier) AS SELECT id, ssn FROM customers WHERE city = 'Oslo';
CREATE VIEW hr.directory AS
    SELECT p.id, p.name, q.secret FROM people p JOIN hr.people q USING (id);
CREATE MATERIALIZED VIEW customer_snapshot AS SELECT id, name, ssn AS code FROM customers;
CREATE MATERIALIZED VIEW customer_snapshot_again AS SELECT id, lower(code) AS code FROM customer_snapshot;
CREATE RECURSIVE VIEW customer_chain (n, ssn) AS
    SELECT 1, ssn FROM customers WHERE id = 1
    UNION ALL SELECT n + 1, c.ssn FROM customer_chain h JOIN customers c ON c.id = h.n + 1;

-- ---- code that was there before

CREATE FUNCTION ssn_of(who int) RETURNS text LANGUAGE sql STABLE
    AS 'SELECT ssn FROM public.customers WHERE id = $1';
CREATE FUNCTION ssn_by_atomic(who int) RETURNS text LANGUAGE sql STABLE
    BEGIN ATOMIC SELECT ssn FROM customers WHERE id = who; END;
CREATE FUNCTION ssn_of_plpgsql(who int) RETURNS text LANGUAGE plpgsql SECURITY DEFINER AS
    $$ BEGIN RETURN (SELECT ssn FROM public.customers WHERE id = who); END $$;
CREATE FUNCTION all_customers() RETURNS SETOF customers LANGUAGE sql AS 'SELECT * FROM public.customers';
CREATE FUNCTION customer_pairs(OUT id int, OUT what text) RETURNS SETOF record LANGUAGE sql
    AS 'SELECT id, ssn FROM public.customers';
CREATE FUNCTION raise_ssn(who int) RETURNS void LANGUAGE plpgsql AS
    $$ BEGIN RAISE EXCEPTION 'no: %', (SELECT ssn FROM public.customers WHERE id = who); END $$;
CREATE FUNCTION notice_ssn(who int) RETURNS void LANGUAGE plpgsql AS
    $$ BEGIN RAISE NOTICE 'see: %', (SELECT ssn FROM public.customers WHERE id = who); END $$;
CREATE FUNCTION hint_ssn(who int) RETURNS void LANGUAGE plpgsql AS
    $$ DECLARE s text := (SELECT ssn FROM public.customers WHERE id = who);
       BEGIN RAISE EXCEPTION 'no' USING DETAIL = s, HINT = s, COLUMN = s, CONSTRAINT = s, SCHEMA = s; END $$;
CREATE FUNCTION echo(anyelement) RETURNS anyelement LANGUAGE sql IMMUTABLE AS 'SELECT $1';
CREATE PROCEDURE show_ssn(who int, INOUT what text) LANGUAGE sql
    AS 'SELECT ssn FROM public.customers WHERE id = $1';
CREATE FUNCTION cursor_of_customers() RETURNS refcursor LANGUAGE plpgsql AS
    $$ DECLARE c refcursor := 'given'; BEGIN OPEN c FOR SELECT * FROM public.customers; RETURN c; END $$;
CREATE OPERATOR <?> (RIGHTARG = int, FUNCTION = ssn_of);
CREATE FUNCTION keep(text, text) RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT $1 || ',' || $2 $$;
CREATE AGGREGATE spill(text) (SFUNC = keep, STYPE = text, INITCOND = '');
CREATE TYPE person AS (id int, what text);
CREATE FUNCTION person_of(int) RETURNS person LANGUAGE sql STABLE
    AS 'SELECT ROW(id, ssn)::public.person FROM public.customers WHERE id = $1';
CREATE CAST (int AS person) WITH FUNCTION person_of(int);
CREATE DOMAIN not_long AS text CHECK (length(VALUE) < 3);

CREATE TABLE intake (id int, code text DEFAULT ssn_of(1), kind text DEFAULT 'new');
CREATE TABLE watched (id int, what text);
INSERT INTO watched VALUES (1, 'x');
CREATE FUNCTION watch() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN NEW.what := (SELECT ssn FROM public.customers WHERE id = NEW.id);
       RAISE NOTICE 'now %', NEW.what; RETURN NEW; END $$;
CREATE TRIGGER watch BEFORE INSERT OR UPDATE ON watched FOR EACH ROW EXECUTE FUNCTION watch();
CREATE TABLE ruled (id int, what text);
CREATE RULE ruled AS ON INSERT TO ruled DO INSTEAD
    INSERT INTO empty SELECT c.id, c.ssn, NEW.what FROM customers c RETURNING id, ssn;
CREATE TABLE ruled_also (id int);
CREATE RULE ruled_also AS ON UPDATE TO ruled_also DO ALSO SELECT ssn FROM customers;

CREATE STATISTICS customer_statistics (mcv, dependencies) ON ssn, city FROM customers;
CREATE STATISTICS customer_expressions ON (upper(email)) FROM customers;
ANALYZE;
