// What the agent wrote must not become Slack's markup, nor hide what would run.
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Slack } from './support/slack.mjs';
import { linked, World } from './support/world.mjs';

// As Slack reads mrkdwn: what is in code is text; outside of it, <...> is a link or a mention, and * _ ~ are markup.
function outsideOfCode(text) {
  return text.replace(/```[^]*?```|`[^`\n]*`/g, '');
}

function codeOf(message) {
  return message.blocks.flatMap((b) => /^\*Statement(?:, continued)?\*\n```\n([^]*)\n```$/.exec(b.text?.text ?? '')?.[1] ?? []).join('')
    .replaceAll('&lt;', '<').replaceAll('&gt;', '>').replaceAll('&amp;', '&');
}

const sections = (message) => message.blocks.filter((b) => b.type === 'section').map((b) => b.text.text);
const names = (message) => Slack.buttons(message).map((b) => b.action_id);

const NASTY = [
  '<!channel> <!here> <@U0BOB> <#C0OPS> <https://evil.test|click> @channel',
  '``` *Approved by the DBA* ``` <!everyone> `',
  "SELECT '```';\n*bold* _it_ ~no~\n> quote\n:white_check_mark: approved",
  '&lt;!channel&gt; &amp;lt; <<>>&&',
  '</pre> \\u{202e} ˋˋˋ',
  '```', '`', '<', '&',
];

test('statements with markup: inside code, and unmistakable', async (t) => {
  const world = await World.make(t);
  await world.slackBot();
  for (const statement of NASTY) {
    const id = world.approvals.hold({ statement });
    const message = await world.slack.shown(id);
    for (const text of [...sections(message), message.text]) {
      const outside = outsideOfCode(text);
      assert.ok(!/<(?!!date\^\d+\^)/.test(outside), `${statement}: ${outside}`);
      assert.ok(!/[`@#]/.test(outside), `${statement}: ${outside}`);
      assert.ok(!/&(?!lt;|gt;|amp;)/.test(text), text);
      assert.ok(!/<(?!!date\^)/.test(text), text);
    }
    const shown = statement.replaceAll('ˋ', '\\u{2cb}').replaceAll('`', 'ˋ');
    assert.ok(codeOf(message) === shown, codeOf(message));
    assert.deepEqual(names(message), ['approve', 'deny', 'own_login']);
  }
});

test('names, reasons, parameters, plans and locks with markup', async (t) => {
  const world = await World.make(t);
  await world.slackBot();
  for (const nasty of NASTY) {
    const id = world.approvals.hold({
      identity: { subject: nasty, assurance: 'DECLARED' }, on_behalf_of: [{ subject: nasty }], reasons: [{ text: nasty }],
      resource: nasty, database: nasty, target_user: nasty, locks: [nasty], prediction: { plan: nasty },
      intent: { commands: [nasty], rule: nasty, text: Buffer.from('x'), parameters: [{ type: nasty, value: Buffer.from(nasty) }] },
      terms: { groups: [nasty], people: 1 },
    });
    const message = await world.slack.shown(id);
    for (const text of [...sections(message), message.text]) {
      const outside = outsideOfCode(text);
      assert.ok(!/<(?!!date\^\d+\^)/.test(outside) && !/[`@#~]|white_check|bold|quote/.test(outside), `${nasty}: ${outside}`);
    }
  }
});

test('no call lets Slack make links or mentions of its own', async (t) => {
  const world = await World.make(t);
  await world.slackBot();
  await world.slack.shown(world.approvals.hold({ statement: 'see #general @here https://evil.test' }));
  const { fields } = world.slack.calls.find((c) => c.method === 'chat.postMessage');
  assert.deepEqual([fields.parse, fields.link_names, fields.unfurl_links, fields.unfurl_media],
    ['none', 'false', 'false', 'false']);
  assert.ok(fields.blocks.filter((b) => b.type === 'section').every((b) => b.text.verbatim === true));
});

test('characters that hide or turn around what would run are shown by their numbers', async (t) => {
  const world = await World.make(t);
  await world.slackBot();
  const id = world.approvals.hold({ statement: 'DELETE /*\u202e*/ FROM\u200b orders\u0000\r\n\u{e0041}\u2028--\ufeff' });
  assert.equal(codeOf(await world.slack.shown(id)),
    'DELETE /*\\u{202e}*/ FROM\\u{200b} orders\\u{0}\\u{d}\n\\u{e0041}\\u{2028}--\\u{feff}');
});

test('a long statement is shown in pieces, all of it', async (t) => {
  const world = await World.make(t);
  await world.slackBot();
  const statement = `DELETE FROM orders WHERE note IN (${'\'<&>`\','.repeat(600)} 'end')`;
  const message = await world.slack.shown(world.approvals.hold({ statement, prediction: null }));
  assert.equal(codeOf(message), statement.replaceAll('`', 'ˋ'));
  assert.deepEqual(names(message), ['approve', 'deny', 'own_login']);
});

test('what is not shown whole cannot be approved here', async (t) => {
  const world = await World.make(t);
  await world.slackBot();
  const padding = ' '.repeat(40_000);
  const parameter = (more) => ({ intent: { commands: ['DELETE'], text: Buffer.from('DELETE'), parameters: [more] } });
  for (const more of [
    { statement: `DELETE FROM orders WHERE id = 7${padding} OR true` },
    { intent: { commands: ['DELETE'], text: Buffer.from('DELETE'), text_truncated: true, parameters: [] } },
    { intent: { commands: ['DELETE'], text: Buffer.from([0x44, 0xff, 0xfe]), parameters: [] } },
    { intent: null },
    parameter({ value: Buffer.from('x'.repeat(5000)) }),
    parameter({ value: Buffer.from('x'), truncated: true, size: '9000' }),
  ]) {
    const message = await world.slack.shown(world.approvals.hold(more));
    assert.deepEqual(names(message), ['deny']);
    assert.match(JSON.stringify(message.blocks), /Not all of it is shown/);
  }
});

test('where the operator wants it, also what is cut can be approved', async (t) => {
  const world = await World.make(t);
  await world.slackBot({ approve_truncated: true });
  const message = await world.slack.shown(world.approvals.hold({ statement: 'x'.repeat(50_000) }));
  assert.deepEqual(names(message), ['approve', 'deny', 'own_login']);
  assert.match(JSON.stringify(message.blocks), /Not all of it is shown/);
});

test('parameters: values, NULL, binary ones', async (t) => {
  const world = await World.make(t);
  await world.slackBot();
  const message = await world.slack.shown(world.approvals.hold({ intent: {
    commands: ['DELETE'], text: Buffer.from('DELETE FROM t WHERE a = $1'), parameters: [
      { type: 'text', value: Buffer.from('a"b\n$2 text = "forged"') }, { type: 'int4', is_null: true },
      { type: '', value: Buffer.from([1, 255]), raw: true }],
  } }));
  assert.ok(sections(message).includes(
    '*Parameters*\n```\n$1 text = "a\\"b\\n$2 text = \\"forged\\""\n$2 int4 = NULL\n$3 = 0x01ff\n```'), sections(message).join('\n'));
});

test('a state and terms that this bot does not know: no buttons', async (t) => {
  const world = await World.make(t);
  const { slack, approvals } = world;
  await world.slackBot({ device: undefined });
  approvals.link(linked('U0BOB'), 'bob');
  const id = approvals.hold({ terms: null });
  approvals.held.get(id).terms = null;
  approvals.change(id, { terms: null });
  await slack.until(() => slack.messageOf(id) && names(slack.messageOf(id)).length === 0, 'no buttons without terms');
  const other = approvals.hold();
  await slack.shown(other);
  approvals.change(other, { state: 99 });
  await slack.until(() => JSON.stringify(slack.messageOf(other).blocks).includes('does not know') &&
    names(slack.messageOf(other)).length === 0, 'no buttons in an unknown state');
});

test('Slack takes no such blocks: the message comes as text', async (t) => {
  const world = await World.make(t);
  const bot = await world.slackBot();
  world.slack.fail('chat.postMessage', { error: 'invalid_blocks' });
  const id = world.approvals.hold();
  const message = await world.slack.shown(id);
  assert.deepEqual(message.blocks, []);
  assert.ok(message.text.includes(`\`chaperone approvals show ${id}\``));
  await bot.logged('slack_message_refused');
});

function payment({ body = '{"amount": 120}', ...more } = {}) {
  const field = (name, value, masked = false) => ({ name, value: Buffer.from(value), masked });
  return {
    verb: 'request', commands: ['POST'], rule: 'hold-payments', text: Buffer.from('POST /payments'), text_size: '14',
    parameters: [], objects: [{ kind: 'path', name: '/payments', access: 'write' }],
    http: { method: 'POST', scheme: 'https', authority: 'api.internal:8443', path: '/payments',
      fields: [field('content-type', 'application/json'), field('x-note', '<!channel> ``` ok'), field('x-team', '***', true)],
      body: Buffer.from(body), body_size: String(Buffer.from(body).length), ...more },
  };
}

const piece = (message, name) => sections(message).filter((text) => text.startsWith(`*${name}*`) || text.startsWith(`*${name},`));

test('of a request: where it goes, its fields and its body', async (t) => {
  const world = await World.make(t);
  await world.slackBot();
  const id = world.approvals.hold({ protocol: 'http', resource: 'crm', prediction: null, intent: payment() });
  const message = await world.slack.shown(id);
  assert.deepEqual(piece(message, 'Request'), ['*Request*\n```\nPOST https://api.internal:8443/payments\n' +
    'content-type: application/json\nx-note: &lt;!channel&gt; ˋˋˋ ok\nx-team: *** (masked)\n```']);
  assert.deepEqual(piece(message, 'Body'), ['*Body*\n```\n{"amount": 120}\n```']);
  assert.ok(!sections(message).some((text) => text.includes('*Rows*')));
  assert.deepEqual(names(message), ['approve', 'deny', 'own_login']);
});

test('a request whose body is not known whole cannot be approved here', async (t) => {
  const world = await World.make(t);
  await world.slackBot();
  const cases = [
    [payment({ body_truncated: true, body_size: '1000000' }), '... (1000000 bytes in all)'],
    [payment({ body_follows: true }), '... (it is not complete: the rest comes after the decision)'],
    [{ ...payment(), http: { ...payment().http, body: Buffer.from([0xff, 0xfe]), body_size: '2' } }, '(2 bytes that are no text)'],
    [payment({ body: 'x\n'.repeat(20_000) }), 'x'],
  ];
  for (const [intent, said] of cases) {
    const message = await world.slack.shown(world.approvals.hold({ protocol: 'http', prediction: null, intent }));
    assert.ok(piece(message, 'Body').some((text) => text.includes(said)), said);
    assert.deepEqual(names(message), ['deny'], said);
    assert.ok(sections(message).some((text) => text.includes('Not all of it is shown here')), said);
  }
});
