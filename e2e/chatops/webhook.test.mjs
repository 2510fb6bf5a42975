// The signed webhooks: what a receiver can rely on.
import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { test } from 'node:test';

import { Receiver } from './support/receiver.mjs';
import { World } from './support/world.mjs';

const KEY = Buffer.from('0123456789abcdef0123456789abcdef');
const SECRET = `whsec_${KEY.toString('base64')}`;

async function make(t) {
  const world = await World.make(t);
  const receiver = await Receiver.start();
  t.after(() => receiver.stop());
  return { world, receiver };
}

async function start(world, ...receivers) {
  const bot = world.run('webhook', world.core({ webhook: { receivers: receivers.map((r, i) => ({
    name: `r${i}`, secret_file: world.write('webhook-secret', SECRET), first_wait_ms: 20, ...r,
  })) } }));
  await world.approvals.until(() => world.approvals.streams() === receivers.length, 'it watches');
  return bot;
}

// As https://www.standardwebhooks.com has it, written apart from the bot.
function verify({ headers, body }) {
  const { 'webhook-id': id, 'webhook-timestamp': time, 'webhook-signature': signature } = headers;
  assert.ok(Math.abs(Date.now() / 1000 - Number(time)) < 60, time);
  const mac = createHmac('sha256', KEY).update(`${id}.${time}.${body}`).digest('base64');
  assert.equal(signature, `v1,${mac}`);
  return JSON.parse(body);
}

test('each change is posted, signed, in order', async (t) => {
  const { world, receiver } = await make(t);
  await start(world, { url: receiver.url });
  const id = world.approvals.hold({ statement: 'DELETE FROM orders -- <!channel> "\u202e' });
  await receiver.count(1);
  world.approvals.change(id, { state: 'DENIED', end_reason: 'no',
    decisions: [{ by: { subject: 'bob' }, approve: false, reason: 'no', time_unix_ns: '1700000000000000000' }] });
  const [held, denied] = (await receiver.count(2)).map(verify);
  assert.equal(held.type, 'approval.waiting');
  const { data } = held;
  assert.deepEqual([data.id, data.version, data.identity.subject, data.identity.verified, data.resource, data.rule],
    [id, 1, 'agent-7', true, 'orders', 'hold-deletes']);
  assert.equal(data.statement, 'DELETE FROM orders -- <!channel> "\u202e');
  assert.deepEqual(data.on_behalf_of, [{ subject: 'alice', verified: false }]);
  assert.equal(denied.type, 'approval.denied');
  assert.deepEqual(denied.data.decisions,
    [{ by: 'bob', approve: false, reason: 'no', time: '2023-11-14T22:13:20.000Z', linked: false }]);
  assert.ok(denied.data.ended);
  assert.deepEqual(receiver.got.map((g) => g.headers['webhook-id']), [`apr_${id}_1`, `apr_${id}_2`]);
  assert.equal(receiver.got[0].headers['content-type'], 'application/json');
});

test('retried after a 500, a reset and a 429; the id stays, and it is not posted again after', async (t) => {
  const { world, receiver } = await make(t);
  await start(world, { url: receiver.url, timeout_ms: 3000 });
  receiver.answers = [{ status: 500 }, { status: 0 }, { status: 429, headers: { 'retry-after': '1' } }];
  world.approvals.hold();
  const got = await receiver.count(4);
  got.forEach(verify);
  assert.equal(new Set(got.map((g) => g.headers['webhook-id'])).size, 1);
  assert.ok(got[3].time - got[2].time >= 950, 'as Retry-After says');
  const next = world.approvals.hold();
  assert.equal(verify((await receiver.count(5))[4]).data.id, next);
});

test('what is never taken goes to the dead letters, and the next one comes', async (t) => {
  const { world, receiver } = await make(t);
  const bot = await start(world, { url: receiver.url, attempts: 3 });
  receiver.answers = [{ status: 500 }, { status: 500 }, { status: 500 }];
  const id = world.approvals.hold();
  await bot.logged('webhook_dead_letter');
  const [line] = world.read('dead-letters-r0.jsonl').trim().split('\n').map(JSON.parse);
  assert.deepEqual([line.id, line.error, line.body.data.id], [`apr_${id}_1`, 'HTTP 500', id]);
  // While it is down, each is tried once; when it is back, all come again.
  receiver.answers = [{ status: 503 }];
  world.approvals.hold();
  await receiver.count(4);
  const back = world.approvals.hold();
  assert.equal(verify((await receiver.count(5))[4]).data.id, back);
  assert.equal(world.read('dead-letters-r0.jsonl').trim().split('\n').length, 2);
});

test('a 400 and a redirect are not tried again', async (t) => {
  const { world, receiver } = await make(t);
  const bot = await start(world, { url: receiver.url });
  receiver.answers = [{ status: 400 }, { status: 302, headers: { location: '/elsewhere' } }];
  world.approvals.hold();
  world.approvals.hold();
  await bot.logged('webhook_dead_letter', { error: 'HTTP 302' });
  assert.deepEqual(receiver.got.map((g) => g.path), ['/hook', '/hook']);
});

test('a receiver that is down holds up no other one', async (t) => {
  const { world, receiver } = await make(t);
  const down = 'http://127.0.0.1:1/hook'; // where nobody listens, nor will
  await start(world, { url: down, attempts: 50, first_wait_ms: 60_000 }, { url: receiver.url });
  world.approvals.hold();
  world.approvals.hold();
  (await receiver.count(2)).forEach(verify);
});

test('killed in the middle: at least once, and nothing is missed', async (t) => {
  const { world, receiver } = await make(t);
  const options = { url: receiver.url, first_wait_ms: 60_000 };
  const first = await start(world, options);
  world.approvals.hold();
  await receiver.count(1);
  receiver.answers = [{ status: 500 }];
  const interrupted = world.approvals.hold();
  await receiver.count(2);
  await first.kill();
  const during = world.approvals.hold();
  await world.approvals.until(() => world.approvals.streams() === 0, 'the stream has ended');
  await start(world, options);
  const rest = (await receiver.count(4)).filter((g) => g.answered === 204).map((g) => verify(g).data.id);
  assert.deepEqual(rest.slice(-2), [interrupted, during]);
});

test('a request is the statement of HTTP, and stays here where none must leave', async (t) => {
  const { world, receiver } = await make(t);
  const quiet = await Receiver.start();
  t.after(() => quiet.stop());
  await start(world, { url: receiver.url }, { url: quiet.url, name: 'quiet', statement: false });
  world.approvals.hold({ protocol: 'http', prediction: null, intent: {
    commands: ['POST'], rule: 'hold-payments', text: Buffer.from('POST /payments/secret_9917'), parameters: [],
    objects: [{ kind: 'path', name: '/payments/secret_9917', access: 'write' }],
    http: { method: 'POST', scheme: 'https', authority: 'api.internal', path: '/payments/secret_9917',
      fields: [{ name: 'x-team', value: Buffer.from('care') }], body: Buffer.from('{"amount":'), body_size: '99',
      body_truncated: true } } });
  const [{ data }] = (await receiver.count(1)).map(verify);
  assert.equal(data.statement,
    'POST https://api.internal/payments/secret_9917\nx-team: care\n\n{"amount":\n... (99 bytes in all)');
  assert.equal(data.statement_truncated, true);
  assert.equal(data.objects[0].name, '/payments/secret_9917');
  await quiet.count(1);
  assert.ok(!quiet.got[0].body.includes('secret_9917'));
});

test('only the states and resources that it asked for, and no statement where it must not leave', async (t) => {
  const { world, receiver } = await make(t);
  await start(world, { url: receiver.url, states: ['waiting'], resources: ['orders'], statement: false });
  world.approvals.hold({ resource: 'other' });
  const id = world.approvals.hold({ statement: 'DELETE secret_9917', intent: undefined });
  world.approvals.held.get(id).intent = { commands: ['DELETE'], text: Buffer.from('secret_9917'),
    parameters: [{ value: Buffer.from('secret_9918') }] };
  const [first] = await receiver.count(1);
  assert.equal(verify(first).data.id, id);
  assert.ok(!/secret_99/.test(first.body));
  world.approvals.change(id, { state: 'EXPIRED' });
  const last = world.approvals.hold();
  assert.equal(verify((await receiver.count(2))[1]).data.id, last);
});

test('what ended before the first start is no news', async (t) => {
  const { world, receiver } = await make(t);
  const waiting = world.approvals.hold();
  world.approvals.change(world.approvals.hold(), { state: 'USED' });
  await start(world, { url: receiver.url });
  await receiver.count(1);
  // An operation that a standing approval let through has no other change than this one.
  const next = world.approvals.hold({ state: 'USED', standing: 's-1' });
  assert.deepEqual((await receiver.count(2)).map((g) => verify(g).data.id), [waiting, next]);
});

test('Teams: an adaptive card without markup of the agent', async (t) => {
  const { world, receiver } = await make(t);
  await start(world, { url_file: world.write('teams-url', `${receiver.url}\n`), url: undefined, format: 'teams' });
  const nasty = '**bold** [click](https://evil.test) <at>all</at>';
  world.approvals.hold({ statement: nasty, reasons: [{ text: nasty }] });
  const [{ body }] = await receiver.count(1);
  const { type, attachments: [{ contentType, content }] } = JSON.parse(body);
  assert.deepEqual([type, contentType, content.type], ['message', 'application/vnd.microsoft.card.adaptive', 'AdaptiveCard']);
  // TextRun shows text as it is; TextBlock and FactSet would read Markdown.
  assert.ok(content.body.every((b) => b.type === 'RichTextBlock' && b.inlines.every((i) => i.type === 'TextRun')));
  assert.equal(content.msteams, undefined);
  const text = content.body.map((b) => b.inlines.map((i) => i.text).join('')).join('\n');
  for (const part of [nasty, 'Who: agent-7', 'Rule: hold-deletes']) assert.ok(text.includes(part), text);
});

test('PagerDuty: an incident while it waits, resolved by its end', async (t) => {
  const { world, receiver } = await make(t);
  await start(world, { url: receiver.url, format: 'pagerduty', secret_file: undefined,
    routing_key_file: world.write('routing-key', 'R0UT1NGKEY'), attempts: 1 });
  const id = world.approvals.hold();
  await receiver.count(1);
  receiver.answers = [{ status: 400 }];
  world.approvals.change(id, { state: 'EXPIRED' });
  const [trigger, resolve] = (await receiver.count(2)).map((g) => JSON.parse(g.body));
  assert.deepEqual([trigger.routing_key, trigger.event_action, trigger.dedup_key], ['R0UT1NGKEY', 'trigger', `chaperone-${id}`]);
  assert.deepEqual([trigger.payload.source, trigger.payload.severity], ['orders', 'warning']);
  assert.match(trigger.payload.summary, /^DELETE of agent-7 on orders: waiting$/);
  assert.deepEqual(resolve, { routing_key: 'R0UT1NGKEY', dedup_key: `chaperone-${id}`, event_action: 'resolve' });
  await world.bots[0].logged('webhook_dead_letter');
  assert.ok(!(world.read('dead-letters-r0.jsonl') + world.bots[0].text).includes('R0UT1NGKEY'));
});
