// The program around the bots: configuration, secrets, health, its end.
import assert from 'node:assert/strict';
import { existsSync, readFileSync, statSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

import { BOT } from './support/approvals.mjs';
import { APP_TOKEN, BOT_TOKEN } from './support/slack.mjs';
import { World } from './support/world.mjs';

test('mistakes of the configuration are named, and it does not start', async (t) => {
  const world = await World.make(t);
  const good = world.slackConfig();
  const slack = (more) => ({ ...good, slack: { ...good.slack, ...more } });
  const hook = (more) => ({ ...world.core(), webhook: { receivers: [{ name: 'a', url: 'https://x.test/', format: 'teams', ...more }] } });
  const cases = [
    [slack({ chanel: 'C0OPS' }), /slack\.chanel is not known/],
    [slack({ channel: '#ops' }), /slack\.channel is no channel id/],
    [slack({ app_token: APP_TOKEN, app_token_file: undefined }), /slack\.app_token is a secret: give app_token_file/],
    [slack({ app_token_file: world.write('wrong', BOT_TOKEN) }), /slack\.app_token does not begin with xapp-/],
    [slack({ bot_token_file: '/does/not/exist' }), /ENOENT/],
    [slack({ bot_token_file: world.write('empty', '\n') }), /empty is empty/],
    [slack({ routes: [{ resource: 'x' }] }), /slack\.routes\[0\]\.channel is missing/],
    [slack({ device: { issuer: 'http://idp.test', client_id: 'x' } }), /http:\/\/idp\.test is not https/],
    [{ ...good, token: {} }, /token needs either file or oidc/],
    [{ ...good, token: { file: 'x', oidc: {} } }, /token needs either file or oidc/],
    [{ ...good, health: 'here' }, /health is no HOST:PORT/],
    [{ ...good, log_level: 'loud' }, /log_level is none of/],
    [{ ...good, state_dir: undefined }, /state_dir is missing/],
    [{ ...good, controlplane: { address: 'cp.test:1', insecure: true } }, /cp\.test:1 is not on this machine/],
    ['- a list', /no mapping/],
    ['a: [', /./],
    [hook({ url: 'http://x.test/' }), /is not https/, 'webhook'],
    [hook({ url_file: 'x' }), /url or url_file is needed, and one of them/, 'webhook'],
    [hook({ format: 'json' }), /secret_file is missing/, 'webhook'],
    [hook({ secret_file: world.write('short', 'whsec_AAAA') }), /24 to 64 bytes in base64/, 'webhook'],
    [hook({ name: '../x' }), /name is not of/, 'webhook'],
    [hook({ attempts: 0 }), /attempts is no whole number/, 'webhook'],
    [hook({ format: 'pagerduty' }), /routing_key_file is missing/, 'webhook'],
    [world.core(), /receivers is empty/, 'webhook'],
  ];
  for (const [config, message, kind = 'slack'] of cases) {
    const bot = world.run(kind, config);
    assert.notEqual(await bot.exited, 0, String(message));
    assert.match(bot.text, message);
    assert.ok(!bot.text.includes(APP_TOKEN) && !bot.text.includes('    at '), bot.text);
  }
  assert.equal(world.slack.calls.length, 0);
});

test('the examples are good configurations', async (t) => {
  const world = await World.make(t);
  const bots = resolve(fileURLToPath(import.meta.url), '../../../deploy/chatops');
  const { readDocument, readCore } = await import(join(bots, 'dist/core/config.js'));
  const { readSlack } = await import(join(bots, 'dist/slack/config.js'));
  const { readWebhook } = await import(join(bots, 'dist/webhook/config.js'));
  const secrets = { 'slack-app-token': APP_TOKEN, 'slack-bot-token': BOT_TOKEN, 'chatops-client-secret': 'x',
    'chatops-token': 'x', 'teams-url': 'https://teams.test/x', 'pagerduty-key': 'x',
    'tickets-secret': `whsec_${Buffer.alloc(24).toString('base64')}` };
  for (const [name, secret] of Object.entries(secrets)) world.write(name, secret);
  for (const [kind, read] of [['slack', readSlack], ['webhook', readWebhook]]) {
    const text = readFileSync(join(bots, `${kind}.example.yaml`), 'utf8');
    const root = readDocument(world.write(`${kind}.yaml`, text.replaceAll('/run/credentials', world.dir)), {});
    assert.equal(readCore(root).endpoint.address, 'chaperone.example:7443');
    read(root.part(kind));
    root.finish();
  }
});

test('values and secrets from the environment', async (t) => {
  const world = await World.make(t);
  const { app_token_file, ...slack } = world.slackConfig().slack;
  const bot = world.run('slack', world.core({ slack, log_level: 'error' }), {
    CHAPERONE_CHATOPS_SLACK_CHANNEL: 'C0PAY', CHAPERONE_CHATOPS_SLACK_APP_TOKEN: APP_TOKEN,
    CHAPERONE_CHATOPS_LOG_LEVEL: 'info',
  });
  await bot.logged('slack_socket_open');
  assert.equal((await world.slack.shown(world.approvals.hold())).channel, 'C0PAY');
});

test('no file at all: everything from the environment', async (t) => {
  const world = await World.make(t);
  const { slack, controlplane, state_dir, token } = world.slackConfig();
  const bot = world.run('slack', '', {
    CHAPERONE_CHATOPS_CONTROLPLANE_ADDRESS: controlplane.address, CHAPERONE_CHATOPS_CONTROLPLANE_CA_FILE: controlplane.ca_file,
    CHAPERONE_CHATOPS_TOKEN_FILE: token.file, CHAPERONE_CHATOPS_STATE_DIR: state_dir,
    CHAPERONE_CHATOPS_SLACK_CHANNEL: 'C0OPS', CHAPERONE_CHATOPS_SLACK_APP_TOKEN: APP_TOKEN,
    CHAPERONE_CHATOPS_SLACK_BOT_TOKEN: BOT_TOKEN, CHAPERONE_CHATOPS_SLACK_API_URL: slack.api_url,
    CHAPERONE_CHATOPS_SLACK_DEVICE_ISSUER: slack.device.issuer, CHAPERONE_CHATOPS_SLACK_DEVICE_CLIENT_ID: 'chaperone-bot',
  });
  await bot.logged('slack_socket_open');
  const message = await world.slack.shown(world.approvals.hold());
  assert.ok(JSON.stringify(message.blocks).includes('own_login'));
});

test('the token file is read again: a renewed token counts at once', async (t) => {
  const world = await World.make(t);
  world.approvals.people.set('an-old-token', 'nobody');
  const bot = await world.slackBot();
  world.write('token', 'expired-token');
  world.approvals.endStreams('UNAUTHENTICATED', 'the token has expired');
  await bot.logged('watch_failed', { code: 'UNAUTHENTICATED' });
  world.write('token', BOT);
  await world.slack.shown(world.approvals.hold());
});

test('another certificate than the CA signed: no token is sent', async (t) => {
  const world = await World.make(t);
  const other = await World.make(t);
  const bot = world.run('slack', world.slackConfig({}, { controlplane: {
    address: `127.0.0.1:${world.approvals.port}`, ca_file: other.certificates.path('ca.crt') } }));
  await bot.logged('watch_failed', { code: 'UNAVAILABLE' });
  assert.equal(world.approvals.watches.length, 0);
});

test('/healthz says which part is away', async (t) => {
  const world = await World.make(t);
  world.slack.fail('apps.connections.open', { error: 'internal_error' }, 1000);
  const bot = world.run('slack', world.slackConfig());
  await world.approvals.until(() => world.approvals.streams() > 0, 'it watches');
  await bot.logged('slack_socket_failed');
  const url = `http://127.0.0.1:${bot.healthPort()}`;
  const answer = await fetch(`${url}/healthz`);
  assert.equal(answer.status, 503);
  assert.deepEqual(await answer.json(), { status: 'unavailable', controlplane: 'connected', slack: 'disconnected' });
  world.slack.failures.length = 0;
  await bot.logged('slack_socket_open');
  assert.equal((await fetch(`${url}/healthz`)).status, 200);
  assert.equal((await fetch(`${url}/`)).status, 404);
  assert.equal((await fetch(`${url}/healthz`, { method: 'POST' })).status, 404);
});

test('SIGTERM: a clean end, at once', async (t) => {
  const world = await World.make(t);
  const bot = await world.slackBot();
  const began = performance.now();
  assert.equal(await bot.stop(), 0);
  assert.ok(performance.now() - began < 5000);
  await bot.logged('stopped').catch(() => assert.fail(bot.text));
  await world.approvals.until(() => world.approvals.streams() === 0, 'the stream has ended');
});

test('SIGTERM while everything is away', async (t) => {
  const world = await World.make(t);
  world.approvals.stop();
  world.slack.fail('auth.test', { status: 503 }, 1000);
  const bot = world.run('slack', world.slackConfig());
  await bot.logged('watch_failed');
  await bot.logged('slack_login_failed');
  const began = performance.now();
  assert.equal(await bot.stop(), 0);
  assert.ok(performance.now() - began < 12_000);
});

test('state is for the bot alone, and a damaged one is not taken for an empty one', async (t) => {
  const world = await World.make(t);
  const first = await world.slackBot();
  await world.slack.shown(world.approvals.hold());
  await first.stop();
  for (const name of ['slack-messages.json', 'slack-cursor.json']) {
    const path = join(world.dir, 'state', name);
    assert.equal(statSync(path).mode & 0o077, 0);
    assert.ok(!existsSync(`${path}.new`));
    const kept = world.read(name);
    world.write(`state/${name}`, kept.slice(0, -5));
    const bot = world.run('slack', world.slackConfig());
    assert.equal(await bot.exited, 1);
    assert.match(bot.text, new RegExp(`${name} is damaged; remove it`));
    world.write(`state/${name}`, kept);
  }
});

test('the log has no secret, statement or parameter', async (t) => {
  const world = await World.make(t);
  const bot = await world.slackBot({}, { log_level: 'debug' });
  const id = world.approvals.hold({ statement: 'DELETE FROM secrets_9917' });
  const message = await world.slack.shown(id);
  await world.slack.click('U0BOB', message, 'approve');
  await world.slack.ephemeral('U0BOB', 'Not decided');
  await world.slack.command('U0BOB', 'link');
  for (const secret of [APP_TOKEN, BOT_TOKEN, BOT, 'secrets_9917', 'ticket=', ...world.approvals.codes.keys()])
    assert.ok(!bot.text.includes(secret), secret);
  assert.ok(bot.text.trim().split('\n').every((line) => JSON.parse(line).event));
});
