// "Decide with my own login": the device flow, and whose token makes the decision.
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { BOT } from './support/approvals.mjs';
import { Slack } from './support/slack.mjs';
import { linked, World } from './support/world.mjs';

const TOKEN = 'token-of-bob-0123456789';

// The person clicked and chose; what the bot told them, and the login's code at the provider.
async function begin(world, user, message, { pick = 'approve', reason } = {}) {
  const before = world.slack.views.length;
  const told = world.slack.ephemerals.length;
  await world.slack.click(user, message, 'own_login');
  const view = await world.slack.viewAfter(before);
  assert.equal(view.title.text, 'Decide');
  await world.slack.submit(user, view, { pick, reason });
  const { text } = await world.slack.until(() => world.slack.ephemerals.slice(told)
    .find((e) => e.user === user && e.text.includes('Log in to')), 'the link');
  return { text, code: /user_code=(\w+)/.exec(text)[1] };
}

test('the person logs in, and their own token makes the one decision', async (t) => {
  const world = await World.make(t);
  const { slack, approvals, provider } = world;
  await world.slackBot();
  approvals.people.set(TOKEN, 'bob');
  const id = approvals.hold();
  const { text, code } = await begin(world, 'U0BOB', await slack.shown(id));
  assert.ok(text.includes(`<${provider.issuer}/go?user_code=${code}&amp;x=1|Log in to approve>`), text);
  assert.deepEqual(provider.asked[0].fields, { client_id: 'chaperone-bot', scope: 'openid', resource: 'urn:chaperone' });
  await provider.until(() => provider.asked.filter((a) => a.path === '/token').length >= 2, 'it asks again');
  assert.equal(approvals.decides.length, 0);

  provider.finish(code, { access_token: TOKEN });
  await slack.ephemeral('U0BOB', 'recorded: approved');
  assert.equal(approvals.decides.length, 1);
  assert.equal(approvals.decides[0].token, TOKEN);
  assert.equal(approvals.decides[0].request.account, null);
  assert.deepEqual([approvals.held.get(id).state, approvals.held.get(id).decisions[0].is_linked], ['APPROVED', false]);
  assert.ok(!world.everything().includes(TOKEN), 'the token is in no message and no log');
  assert.ok(!JSON.stringify([world.read('slack-messages.json'), world.read('slack-cursor.json')]).includes(TOKEN));
});

test('the dialog: a decision is picked, and a denial has a reason', async (t) => {
  const world = await World.make(t);
  const { slack, approvals, provider } = world;
  await world.slackBot();
  approvals.people.set(TOKEN, 'bob');
  const id = approvals.hold();
  const message = await slack.shown(id);
  await slack.click('U0BOB', message, 'own_login');
  const view = await slack.viewAfter(0);
  assert.ok((await slack.submit('U0BOB', view, {})).errors.choice);
  assert.ok((await slack.submit('U0BOB', view, { pick: 'deny' })).errors.reason);
  const { code } = await begin(world, 'U0BOB', message, { pick: 'deny', reason: 'no' });
  provider.finish(code, { access_token: TOKEN });
  await slack.ephemeral('U0BOB', 'recorded: denied');
  assert.equal(approvals.held.get(id).state, 'DENIED');
});

test('a rule that takes no linked account: Approve leads to the login at once', async (t) => {
  const world = await World.make(t);
  const { slack, approvals, provider } = world;
  await world.slackBot();
  approvals.people.set(TOKEN, 'bob');
  approvals.link(linked('U0BOB'), 'bob');
  const id = approvals.hold({ terms: { forbids_linked: true } });
  await slack.click('U0BOB', await slack.shown(id), 'approve');
  const { text } = await slack.ephemeral('U0BOB', 'Log in to approve');
  provider.finish(/user_code=(\w+)/.exec(text)[1], { access_token: TOKEN });
  await slack.ephemeral('U0BOB', 'recorded: approved');
  assert.deepEqual(approvals.decides.map((d) => d.token), [TOKEN]);
});

test('without a provider such a rule gets no buttons, but the command', async (t) => {
  const world = await World.make(t);
  const { slack, approvals } = world;
  await world.slackBot({ device: undefined });
  const message = await slack.shown(approvals.hold({ terms: { forbids_linked: true } }));
  assert.deepEqual(Slack.buttons(message), []);
  assert.match(JSON.stringify(message.blocks), /chaperone approvals show/);
  const other = await slack.shown(approvals.hold());
  assert.deepEqual(Slack.buttons(other).map((b) => b.action_id), ['approve', 'deny']);
});

test('slow_down is obeyed; a refused login decides nothing', async (t) => {
  const world = await World.make(t);
  const { slack, approvals, provider } = world;
  provider.slowDowns = 1;
  await world.slackBot();
  const id = approvals.hold();
  const { code } = await begin(world, 'U0BOB', await slack.shown(id));
  provider.finish(code, { error: 'access_denied' });
  await slack.ephemeral('U0BOB', 'The login was refused');
  const [first, second] = provider.asked.filter((a) => a.path === '/token').map((a) => a.time);
  assert.ok(second - first >= 5000, `${second - first} ms`); // RFC 8628 section 3.5
  assert.equal(approvals.decides.length, 0);
  assert.equal(approvals.held.get(id).state, 'WAITING');
});

test('somebody outside of the group logs in: the refusal is shown, nothing is decided', async (t) => {
  const world = await World.make(t);
  const { slack, approvals, provider } = world;
  await world.slackBot();
  approvals.people.set('token-of-alice-012345', 'alice');
  const id = approvals.hold();
  const { code } = await begin(world, 'U0BOB', await slack.shown(id));
  provider.finish(code, { access_token: 'token-of-alice-012345' });
  await slack.ephemeral('U0BOB', 'alice asked for it');
  assert.equal(approvals.held.get(id).state, 'WAITING');
});

test('it ends while somebody logs in: the login is over, and no token is asked for any more', async (t) => {
  const world = await World.make(t);
  const { slack, approvals, provider } = world;
  await world.slackBot();
  approvals.people.set(TOKEN, 'bob');
  const id = approvals.hold();
  const { code } = await begin(world, 'U0BOB', await slack.shown(id));
  approvals.change(id, { state: 'EXPIRED' });
  await slack.ephemeral('U0BOB', 'This login was ended');
  provider.finish(code, { access_token: TOKEN });
  assert.equal(approvals.decides.length, 0);
});

test('a second login takes the place of the first', async (t) => {
  const world = await World.make(t);
  const { slack, approvals, provider } = world;
  await world.slackBot();
  approvals.people.set(TOKEN, 'bob');
  const id = approvals.hold();
  const message = await slack.shown(id);
  const first = await begin(world, 'U0BOB', message);
  const second = await begin(world, 'U0BOB', message, { pick: 'deny', reason: 'on second thought' });
  await slack.ephemeral('U0BOB', 'This login was ended');
  provider.finish(first.code, { access_token: TOKEN });
  provider.finish(second.code, { access_token: TOKEN });
  await slack.ephemeral('U0BOB', 'recorded: denied');
  assert.deepEqual(approvals.held.get(id).decisions.map((d) => d.approve), [false]);
});

test('the bot stops while somebody logs in: they are told, and nothing is decided', async (t) => {
  const world = await World.make(t);
  const { slack, approvals } = world;
  const bot = await world.slackBot();
  const id = approvals.hold();
  await begin(world, 'U0BOB', await slack.shown(id));
  assert.equal(await bot.stop(), 0);
  await slack.ephemeral('U0BOB', 'The bot is restarting');
});

test("the bot's own token by client credentials, taken anew when it is not accepted", async (t) => {
  const world = await World.make(t);
  const { approvals, provider, slack } = world;
  provider.nextToken = 'an-old-token';
  const bot = world.run('slack', world.slackConfig({}, {
    token: { oidc: { issuer: provider.issuer, client_id: 'chaperone-bot', client_secret_file: world.write('secret', 'secret-of-the-bot') } },
  }));
  await bot.logged('watch_failed', { code: 'UNAUTHENTICATED' });
  provider.nextToken = BOT;
  await slack.shown(approvals.hold());
});
