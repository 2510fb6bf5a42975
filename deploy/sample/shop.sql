-- A small shop: the sample database of deploy/quickstart.sh. All people are invented; social
-- security numbers that begin with 9 were never given to anybody, telephone numbers are among
-- those that Ofcom keeps for films and examples.

CREATE TABLE customers (
    id     int PRIMARY KEY,
    name   text NOT NULL,
    email  text NOT NULL UNIQUE,
    ssn    text NOT NULL,
    joined date NOT NULL
);

CREATE TABLE orders (
    id       int PRIMARY KEY,
    customer int NOT NULL REFERENCES customers,
    placed   date NOT NULL,
    item     text NOT NULL,
    status   text NOT NULL CHECK (status IN ('paid', 'shipped', 'delivered', 'refunded')),
    total    numeric(10, 2) NOT NULL,
    note     text
);

INSERT INTO customers
SELECT i,
       first || ' ' || last,
       lower(first) || '.' || lower(last) || '@example.com',
       format('9%s-%s-%s', lpad((i % 90)::text, 2, '0'), lpad((i * 7 % 100)::text, 2, '0'),
              lpad((i * 6151 % 10000)::text, 4, '0')),
       date '2024-01-01' + i * 5
FROM (SELECT (row_number() OVER (ORDER BY l.n, f.n))::int AS i, first, last
      FROM unnest(ARRAY['Amara', 'Bruno', 'Chiara', 'Dmitri', 'Elif', 'Farid', 'Grace', 'Hana',
                        'Ivan', 'Jonas']) WITH ORDINALITY AS f(first, n),
           unnest(ARRAY['Adeyemi', 'Brandt', 'Costa', 'Demir', 'Evans', 'Fischer', 'Garcia',
                        'Haddad', 'Ito', 'Jensen']) WITH ORDINALITY AS l(last, n)) AS people;

INSERT INTO orders
SELECT 1000 + i,
       1 + i * 37 % 100,
       date '2026-01-01' + i / 2,
       (ARRAY['kettle', 'desk lamp', 'backpack', 'headphones', 'notebook', 'rain jacket'])[1 + i % 6],
       (ARRAY['delivered', 'delivered', 'shipped', 'paid'])[1 + i % 4],
       15 + i * 13 % 180 + 0.95,
       CASE i % 4
           WHEN 2 THEN format('Call +44 20 7946 %s before delivery', lpad((i % 1000)::text, 4, '0'))
           WHEN 0 THEN format('Invoice to books%s@example.net, please', i)
       END
FROM generate_series(1, 400) AS i;

-- What the agent's statements run as: not the owner, and it may not read everything.
CREATE ROLE shop LOGIN;
GRANT SELECT, UPDATE, DELETE ON customers, orders TO shop;

ANALYZE;
