// The bot, Slack and the control plane go away and come back; nothing is missed.
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Slack } from './support/slack.mjs';
import { linked, World } from './support/world.mjs';

const says = (world, id, part) => world.slack.until(() => {
  const message = world.slack.messageOf(id);
  return message && JSON.stringify(message.blocks).includes(part) ? message : undefined;
}, `the message about ${id} says ${part}`);

test('what came and what ended while the bot was away', async (t) => {
  const world = await World.make(t);
  const { slack, approvals } = world;
  const first = await world.slackBot();
  const [expired, kept] = [approvals.hold(), approvals.hold({ terms: { people: 2 } })];
  await slack.shown(expired);
  await slack.shown(kept);
  await first.until(() => first.events.filter((e) => e.event === 'slack_message_posted').length === 2, 'both are written down');
  assert.equal(await first.kill(), 'SIGKILL');

  approvals.change(expired, { state: 'EXPIRED' });
  const during = approvals.hold();
  await world.slackBot();
  await slack.shown(during);
  await says(world, expired, 'expired');
  assert.equal(slack.messages.length, 3);

  approvals.link(linked('U0BOB'), 'bob');
  await slack.click('U0BOB', slack.messageOf(kept), 'approve');
  await slack.ephemeral('U0BOB', 'recorded');
  await says(world, kept, 'approved by bob');
  assert.equal(slack.messages.length, 3);
});

test('a first start shows what waits now, and nothing of what is over', async (t) => {
  const world = await World.make(t);
  const over = world.approvals.hold();
  world.approvals.change(over, { state: 'USED' });
  const waiting = world.approvals.hold();
  await world.slackBot();
  await world.slack.shown(waiting);
  assert.equal(world.slack.messages.length, 1);
  assert.equal(world.approvals.watches[0].only_waiting, true);
});

test('nothing was held yet at the first start: what comes while the bot is away is not missed', async (t) => {
  const world = await World.make(t);
  const first = await world.slackBot();
  await first.kill();
  const id = world.approvals.hold();
  world.approvals.change(world.approvals.hold(), { state: 'EXPIRED' });
  await world.slackBot();
  await world.slack.shown(id);
  assert.deepEqual(world.approvals.watches.map((w) => [w.after, w.only_waiting]), [['0', false], ['0', false]]);
});

test('killed within the first list: all of it comes again', async (t) => {
  const world = await World.make(t);
  const { slack, approvals } = world;
  const ids = [approvals.hold(), approvals.hold(), approvals.hold()];
  const first = await world.slackBot();
  await first.logged('slack_message_posted');
  await first.kill();
  await world.slackBot();
  for (const id of ids) await slack.shown(id);
  // The kill may have come between a message and its note: one may be there twice, none is missing.
  assert.ok(slack.messages.length <= ids.length + 1);
});

test('a message that was posted but not written down: its old buttons still come to an end', async (t) => {
  const world = await World.make(t);
  const { slack, approvals } = world;
  const first = await world.slackBot();
  const id = approvals.hold();
  const message = await slack.shown(id);
  await first.logged('slack_message_posted');
  await first.kill();
  world.write('state/slack-messages.json', { messages: {} });
  world.write('state/slack-cursor.json', { cursor: String(approvals.log.length) });
  approvals.change(id, { state: 'EXPIRED' });
  await world.slackBot();
  approvals.link(linked('U0BOB'), 'bob');
  await slack.click('U0BOB', message, 'approve');
  await slack.ephemeral('U0BOB', 'it is expired already');
  await slack.until(() => Slack.buttons(message).length === 0, 'the buttons are gone');
});

test('the control plane goes away and comes back', async (t) => {
  const world = await World.make(t);
  const { slack, approvals } = world;
  const bot = await world.slackBot();
  const [before] = [approvals.hold()];
  await slack.shown(before);
  approvals.stop();
  await bot.logged('watch_failed');
  const answer = await fetch(`http://127.0.0.1:${bot.healthPort()}/healthz`);
  assert.equal(answer.status, 503);
  assert.equal((await answer.json()).controlplane, 'disconnected');
  const during = approvals.hold();
  approvals.change(before, { state: 'EXPIRED' });
  await approvals.listen();
  await slack.shown(during);
  await says(world, before, 'expired');
  assert.equal(slack.messages.length, 2);
  assert.equal((await fetch(`http://127.0.0.1:${bot.healthPort()}/healthz`)).status, 200);
});

test('a decision while the control plane is away for a moment arrives once', async (t) => {
  const world = await World.make(t);
  const { slack, approvals } = world;
  await world.slackBot();
  approvals.link(linked('U0BOB'), 'bob');
  const id = approvals.hold();
  const message = await slack.shown(id);
  approvals.stop();
  await slack.click('U0BOB', message, 'approve');
  await approvals.listen();
  await slack.until(() => slack.ephemerals.length > 0, 'an answer');
  // Answered either way; where it says "not known", the second click is the first one again.
  if (!slack.ephemerals[0].text.includes('recorded')) await slack.click('U0BOB', message, 'approve');
  await slack.ephemeral('U0BOB', 'recorded: approved');
  assert.equal(approvals.held.get(id).decisions.length, 1);
});

test('a control plane that was set up anew knows no such cursor', async (t) => {
  const world = await World.make(t);
  const { slack, approvals } = world;
  const first = await world.slackBot();
  const old = approvals.hold();
  await slack.shown(old);
  await first.stop();
  world.write('state/slack-cursor.json', { cursor: '999999' });
  approvals.change(old, { state: 'WITHDRAWN' });
  const waiting = approvals.hold();
  const second = await world.slackBot();
  await second.logged('watch_failed', { code: 'OUT_OF_RANGE' });
  await slack.shown(waiting);
  await says(world, old, 'withdrawn');
});

test('a control plane that was set up anew does not know what the old one held', async (t) => {
  const world = await World.make(t);
  const { slack, approvals } = world;
  const first = await world.slackBot();
  const old = approvals.hold();
  await slack.shown(old);
  await first.logged('slack_message_posted');
  await first.stop();
  world.write('state/slack-cursor.json', { cursor: '999999' });
  approvals.held.delete(old);
  approvals.log.length = 0;
  const second = await world.slackBot();
  await second.logged('slack_message_forgotten', { approval: old });
  await slack.shown(approvals.hold());
});

test('Slack is away when it happens: the message comes late, and once', async (t) => {
  const world = await World.make(t);
  await world.slackBot();
  world.slack.fail('chat.postMessage', { status: 503 }, 6);
  const id = world.approvals.hold();
  await world.slack.shown(id);
  world.slack.fail('chat.postMessage', { status: 429, headers: { 'retry-after': '1' } }, 1);
  await world.slack.shown(world.approvals.hold());
  world.slack.fail('chat.postMessage', { error: 'internal_error' }, 2);
  await world.slack.shown(world.approvals.hold());
  assert.equal(world.slack.messages.length, 3);
});

test('the message was deleted by somebody: the bot goes on', async (t) => {
  const world = await World.make(t);
  const bot = await world.slackBot();
  const id = world.approvals.hold();
  await world.slack.shown(id);
  world.slack.messages.length = 0;
  world.approvals.change(id, { state: 'EXPIRED' });
  await bot.logged('slack_message_lost');
  await world.slack.shown(world.approvals.hold());
});

test('Socket Mode: Slack changes its server, and breaks the connection', async (t) => {
  const world = await World.make(t);
  const { slack, approvals } = world;
  const bot = await world.slackBot();
  approvals.link(linked('U0BOB'), 'bob');
  const id = approvals.hold();
  const message = await slack.shown(id);
  const opened = (n) => bot.until(() => bot.events.filter((e) => e.event === 'slack_socket_open').length === n, `${n} connections`);
  slack.refresh();
  await opened(2);
  slack.fail('apps.connections.open', { status: 500 }, 2);
  slack.connections.forEach((socket) => socket.terminate());
  await opened(3);
  await slack.click('U0BOB', message, 'approve');
  await slack.ephemeral('U0BOB', 'recorded');
});

test('Socket Mode: a connection that ends before its hello was none', async (t) => {
  const world = await World.make(t);
  world.slack.hangUps = 2;
  const bot = await world.slackBot();
  assert.deepEqual(bot.events.map((e) => e.event).filter((e) => e.startsWith('slack_socket')),
    ['slack_socket_failed', 'slack_socket_failed', 'slack_socket_open']);
});

test('what is no click of ours is acknowledged, logged at most, and harms nothing', async (t) => {
  const world = await World.make(t);
  const { slack, approvals } = world;
  const bot = await world.slackBot();
  approvals.link(linked('U0BOB'), 'bob');
  const id = approvals.hold();
  const message = await slack.shown(id);
  await slack.click('U0BOB', message, 'approve', { button: { value: '{"id":"../../x"}' } });
  await bot.logged('slack_event_failed');
  await slack.click('U0BOB', message, 'something', { button: { value: 'x' } });
  await slack.click('U0BOB', message, 'approve');
  await slack.ephemeral('U0BOB', 'recorded');
  assert.equal(approvals.decides.length, 1);
});

test('1,000 at once: each has its message, once, and follows it to its end', async (t) => {
  const world = await World.make(t);
  const { slack, approvals } = world;
  await world.slackBot();
  const ids = Array.from({ length: 1000 }, () => approvals.hold());
  await slack.until(() => slack.messages.length === 1000, 'all are there', 300_000);
  ids.forEach((id) => approvals.change(id, { state: 'EXPIRED' }));
  await slack.until(() => slack.messages.every((m) => Slack.buttons(m).length === 0), 'all have ended', 300_000);
  const shown = slack.messages.map((m) => /\*Id\*  `([^`]+)`/.exec(JSON.stringify(m.blocks))[1]);
  assert.deepEqual(new Set(shown), new Set(ids));
  assert.equal(shown.length, 1000);
});
