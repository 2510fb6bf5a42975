// Held operations in Slack, from the first message to the last look of it.
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Slack } from './support/slack.mjs';
import { linked, World } from './support/world.mjs';

const names = (message) => Slack.buttons(message).map((b) => b.action_id);
const words = (message) => message.blocks.map((b) => b.text?.text ?? '').join('\n');
const ended = (slack, id, part) => slack.until(() => {
  const message = slack.messageOf(id);
  return message && words(message).includes(part) && names(message).length === 0 ? message : undefined;
}, `the message about ${id} says ${part}`);

test('a held operation is a message; a linked person approves it; the message follows', async (t) => {
  const { slack, approvals } = await World.make(t).then((w) => w.slackBot().then(() => w));
  approvals.link(linked('U0BOB'), 'bob');
  const id = approvals.hold();
  const message = await slack.shown(id);
  assert.equal(message.channel, 'C0OPS');
  const text = words(message);
  for (const part of ['`agent-7`', '`alice (declared)`', '`ticket 4711 (declared)`', '`orders, database shop as app`',
    '`hold-deletes`', '`1 person of dba`', '```\nDELETE FROM orders WHERE id = 7\n```', 'about 1 (estimated)',
    'Index Scan using orders_pkey', '<!date^'])
    assert.ok(text.includes(part), `${part} in ${text}`);
  assert.deepEqual(names(message), ['approve', 'deny', 'own_login']);

  await slack.click('U0BOB', message, 'approve');
  await slack.ephemeral('U0BOB', 'recorded: approved');
  assert.equal(approvals.held.get(id).state, 'APPROVED');
  const [{ request }] = approvals.decides;
  assert.deepEqual([request.account, request.approve, request.expect_version],
    [{ provider: 'slack', account: 'T0TEAM/U0BOB' }, true, '1']);
  assert.ok(words(await ended(slack, id, 'is approved')).includes('`approved by bob`'));

  approvals.change(id, { state: 'USED' });
  await ended(slack, id, 'approved and released');
  assert.equal(slack.messages.length, 1);
});

test('the channel goes by the resource', async (t) => {
  const world = await World.make(t);
  await world.slackBot();
  const id = world.approvals.hold({ resource: 'pay-eu' });
  assert.equal((await world.slack.shown(id)).channel, 'C0PAY');
});

test('a channel that is gone: the message comes in the one for everything', async (t) => {
  const world = await World.make(t);
  const bot = await world.slackBot({ routes: [{ resource: 'orders', channel: 'C0GONE' }] });
  assert.equal((await world.slack.shown(world.approvals.hold())).channel, 'C0OPS');
  await bot.logged('slack_route_failed');
});

test('deny asks for the reason', async (t) => {
  const world = await World.make(t);
  const { slack, approvals } = world;
  await world.slackBot();
  approvals.link(linked('U0BOB'), 'bob');
  const id = approvals.hold();
  await slack.click('U0BOB', await slack.shown(id), 'deny');
  const view = await slack.viewAfter(0);
  assert.equal(view.title.text, 'Deny');
  assert.equal(approvals.decides.length, 0);
  const answer = await slack.submit('U0BOB', view, { reason: '  ' });
  assert.deepEqual(Object.keys(answer.errors), ['reason']);
  assert.deepEqual(await slack.submit('U0BOB', view, { reason: 'not on a Friday' }), {});
  const message = await ended(slack, id, 'was denied');
  assert.ok(words(message).includes('`denied by bob: not on a Friday`'));
  assert.equal(approvals.held.get(id).decisions[0].reason, 'not on a Friday');
});

test('a rule that wants a reason is asked for one at Approve, too', async (t) => {
  const world = await World.make(t);
  const { slack, approvals } = world;
  await world.slackBot();
  approvals.link(linked('U0BOB'), 'bob');
  const id = approvals.hold({ terms: { needs_reason: true } });
  await slack.click('U0BOB', await slack.shown(id), 'approve');
  const view = await slack.viewAfter(0);
  assert.ok((await slack.submit('U0BOB', view)).errors.reason);
  await slack.submit('U0BOB', view, { reason: 'ticket checked' });
  await slack.ephemeral('U0BOB', 'approved');
  assert.equal(approvals.held.get(id).decisions[0].reason, 'ticket checked');
});

test('an account that is linked to nobody decides nothing, and is told the way', async (t) => {
  const world = await World.make(t);
  const { slack, approvals } = world;
  await world.slackBot();
  const id = approvals.hold();
  const message = await slack.shown(id);
  await slack.click('U0EVE', message, 'approve');
  const { text, channel } = await slack.ephemeral('U0EVE', 'Not decided');
  assert.equal(channel, 'C0OPS');
  assert.match(text, /linked to nobody.*\n.*\/chaperone link/);
  assert.equal(approvals.held.get(id).state, 'WAITING');

  // The same button after the account was linked.
  approvals.link(linked('U0EVE'), 'eve');
  await slack.click('U0EVE', message, 'approve');
  await slack.ephemeral('U0EVE', 'recorded: approved');
});

test('for whom the agent acts: the refusal of the API is shown', async (t) => {
  const world = await World.make(t);
  const { slack, approvals } = world;
  await world.slackBot();
  approvals.link(linked('U0ALICE'), 'alice');
  const id = approvals.hold();
  await slack.click('U0ALICE', await slack.shown(id), 'approve');
  await slack.ephemeral('U0ALICE', 'rule hold-deletes: alice asked for it');
  assert.equal(approvals.held.get(id).state, 'WAITING');
});

test('an account of another workspace is nobody here, even with the same user id', async (t) => {
  const world = await World.make(t);
  const { slack, approvals } = world;
  await world.slackBot();
  approvals.link(linked('U0BOB'), 'bob');
  const id = approvals.hold();
  await slack.click('U0BOB', await slack.shown(id), 'approve', { team: 'T0OTHER' });
  await slack.ephemeral('U0BOB', 'workspace is not known');
  assert.match((await slack.command('U0BOB', 'link', 'T0OTHER')).text, /not known/);
  assert.equal(approvals.decides.length, 0);
  assert.equal(approvals.codes.size, 0);
});

test('the same click delivered twice, and clicked twice, is one decision', async (t) => {
  const world = await World.make(t);
  const { slack, approvals } = world;
  await world.slackBot();
  approvals.link(linked('U0BOB'), 'bob');
  const id = approvals.hold({ terms: { people: 2 } });
  const message = { ...await slack.shown(id) };
  await Promise.all([slack.click('U0BOB', message, 'approve'), slack.redeliver(), slack.click('U0BOB', message, 'approve')]);
  await slack.ephemeral('U0BOB', 'recorded');
  await slack.click('U0BOB', message, 'approve'); // of the first look, once more
  await slack.until(() => slack.ephemerals.length >= 2, 'an answer to the late click');
  assert.equal(approvals.held.get(id).decisions.length, 1);
  assert.equal(approvals.held.get(id).state, 'WAITING');
  const keys = approvals.decides.filter((d) => d.request.expect_version === '1').map((d) => d.request.idempotency_key);
  assert.equal(new Set(keys).size, 1);
});

test('two people: the second click on the old look counts, for what it shows is the same', async (t) => {
  const world = await World.make(t);
  const { slack, approvals } = world;
  await world.slackBot();
  approvals.link(linked('U0BOB'), 'bob');
  approvals.link(linked('U0CAT'), 'cat');
  const id = approvals.hold({ terms: { people: 2 } });
  const old = { ...await slack.shown(id) };
  await slack.click('U0BOB', old, 'approve');
  await slack.ephemeral('U0BOB', 'recorded');
  assert.ok(words(await slack.until(() => {
    const m = slack.messageOf(id);
    return words(m).includes('approved by bob') ? m : undefined;
  }, 'the first word is shown')).includes('2 people of dba'));
  await slack.click('U0CAT', old, 'approve');
  await slack.ephemeral('U0CAT', 'recorded');
  assert.equal(approvals.held.get(id).state, 'APPROVED');
});

test('what was shown is another thing now: the old button decides nothing', async (t) => {
  const world = await World.make(t);
  const { slack, approvals } = world;
  await world.slackBot();
  approvals.link(linked('U0BOB'), 'bob');
  const id = approvals.hold();
  const old = { ...await slack.shown(id) };
  approvals.change(id, { prediction: { plan: 'Seq Scan', has_exact: true, exact_rows: '90000' } });
  await slack.until(() => words(slack.messageOf(id)).includes('90000 (exact'), 'the new prediction is shown');
  await slack.click('U0BOB', old, 'approve');
  await slack.ephemeral('U0BOB', 'changed since it was shown');
  assert.equal(approvals.held.get(id).decisions.length, 0);
});

for (const [state, part, reason] of [['EXPIRED', 'expired: nobody decided in time', ''],
  ['WITHDRAWN', 'was withdrawn', 'the agent <!channel> went away']]) {
  test(`${state}: the message says so and has no buttons`, async (t) => {
    const world = await World.make(t);
    const { slack, approvals } = world;
    await world.slackBot();
    const id = approvals.hold();
    const old = { ...await slack.shown(id) };
    approvals.change(id, { state, end_reason: reason });
    const message = await ended(slack, id, part);
    assert.ok(words(message).includes(reason.replace('<!channel>', '&lt;!channel&gt;')));
    // A click that was on its way.
    approvals.link(linked('U0BOB'), 'bob');
    await slack.click('U0BOB', old, 'approve');
    await slack.ephemeral('U0BOB', `it is ${state.toLowerCase()} already`);
    assert.equal(approvals.held.get(id).state, state);
  });
}

test('decided elsewhere: the message says by whom', async (t) => {
  const world = await World.make(t);
  const { slack, approvals } = world;
  await world.slackBot();
  const id = approvals.hold();
  await slack.shown(id);
  approvals.change(id, { state: 'DENIED', decisions: [{ by: { subject: 'sub-9', name: 'Dana <@U1>' }, approve: false, reason: 'no' }] });
  assert.ok(words(await ended(slack, id, 'was denied')).includes('`denied by Dana &lt;@U1&gt; (sub-9): no`'));
});

test('/chaperone link: a code for the person alone, who confirms it with a login of their own', async (t) => {
  const world = await World.make(t);
  const { slack, approvals } = world;
  await world.slackBot();
  const { response_type, text } = await slack.command('U0BOB', 'link');
  assert.equal(response_type, 'ephemeral');
  const [, code] = /`chaperone approvals link (\w+)`/.exec(text);
  assert.deepEqual(approvals.codes.get(code), { provider: 'slack', account: 'T0TEAM/U0BOB' });
  assert.match((await slack.command('U0BOB', 'help')).text, /\/chaperone link/);
  assert.ok(!world.bots[0].text.includes(code), 'no log has the code');
});

test('/chaperone link while the control plane is away', async (t) => {
  const world = await World.make(t);
  await world.slackBot();
  world.approvals.stop();
  assert.match((await world.slack.command('U0BOB', 'link')).text, /^No code was made/);
});
