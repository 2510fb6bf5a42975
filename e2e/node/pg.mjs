// node-postgres, unmodified, through the sidecar: simple, parameterised and prepared queries, errors,
// transactions, a cursor's worth of rows.
import assert from 'node:assert/strict';
import pg from 'pg';

const client = new pg.Client({ ssl: false });
await client.connect();
assert.deepEqual((await client.query('SELECT 1 AS one')).rows, [{ one: 1 }]);
assert.deepEqual((await client.query('SELECT $1::text AS t, $2::int AS n', ['x', 5])).rows, [{ t: 'x', n: 5 }]);
for (let i = 0; i < 5; i++) {
  const got = await client.query({ name: 'by-id', text: 'SELECT name FROM customers WHERE id = $1', values: [i + 1] });
  assert.equal(got.rows[0].name, `name ${i + 1}`);
}
await assert.rejects(client.query('SELECT * FROM nowhere WHERE a = $1', [1]), { code: '42P01' });
await client.query('BEGIN');
await assert.rejects(client.query('SELECT 1/$1::int', [0]), { code: '22012' });
await assert.rejects(client.query('SELECT 1'), { code: '25P02' });
await client.query('ROLLBACK');
assert.equal((await client.query('SELECT * FROM orders')).rowCount, 5000);
await client.end();
console.log('all as expected');
