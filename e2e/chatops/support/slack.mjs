// A Slack on loopback, as far as the bot can see it: the Web API with Slack's own limits on blocks, Socket Mode with
// envelopes and acknowledgements, and people who click.
import { randomBytes, randomUUID } from 'node:crypto';
import { once } from 'node:events';
import http from 'node:http';

import { WebSocketServer } from 'ws';

import { Changes } from './changes.mjs';

export const APP_TOKEN = 'xapp-1-A0TEST-1234567890-abcdef';
export const BOT_TOKEN = 'xoxb-1234567890-1234567890-abcdefghijkl';
export const TEAM = 'T0TEAM';
const TRIGGER_MS = 20_000; // Slack's are 3 seconds, on a machine that never stands still

const refuse = (error) => { throw new Error(error); };
const need = (condition, error = 'invalid_blocks') => condition || refuse(error);

// ---- limits: https://docs.slack.dev/reference/block-kit ----------------------------------------

function checkText(text, types, most) {
  need(typeof text === 'object' && types.includes(text.type) && typeof text.text === 'string');
  need(text.text.length >= 1 && text.text.length <= most);
  need(text.verbatim === undefined || text.type === 'mrkdwn');
  need(text.emoji === undefined || text.type === 'plain_text');
}

const elements = {
  button(e) {
    checkText(e.text, ['plain_text'], 75);
    need(e.action_id.length <= 255 && (e.value ?? '').length <= 2000);
    need([undefined, 'primary', 'danger'].includes(e.style));
  },
  plain_text_input: (e) => need(e.action_id.length <= 255 && (e.max_length ?? 3000) <= 3000),
  radio_buttons(e) {
    need(e.options.length >= 1 && e.options.length <= 10);
    e.options.forEach((o) => { checkText(o.text, ['plain_text', 'mrkdwn'], 75); need(o.value.length <= 150); });
  },
};

const blockTypes = {
  header: (b) => checkText(b.text, ['plain_text'], 150),
  section: (b) => checkText(b.text, ['plain_text', 'mrkdwn'], 3000),
  actions(b) {
    need(b.elements.length >= 1 && b.elements.length <= 25);
    b.elements.forEach((e) => elements[e.type](e));
    need(new Set(b.elements.map((e) => e.action_id)).size === b.elements.length);
  },
  input(b) {
    checkText(b.label, ['plain_text'], 2000);
    elements[b.element.type](b.element);
  },
};

function checkBlocks(blocks, most) {
  need(Array.isArray(blocks) && blocks.length <= most);
  blocks.forEach((b) => {
    need(b.type in blockTypes && (b.block_id ?? '').length <= 255);
    blockTypes[b.type](b);
  });
}

function checkView(view) {
  need(view.type === 'modal' && view.private_metadata.length <= 3000, 'invalid_arguments');
  for (const part of [view.title, view.submit, view.close]) checkText(part, ['plain_text'], 24);
  checkBlocks(view.blocks, 100);
  need(view.submit || !view.blocks.some((b) => b.type === 'input'), 'invalid_arguments');
}

// ---- the server --------------------------------------------------------------------------------

export class Slack extends Changes {
  messages = [];    // as they are now, with `history` of what they showed
  ephemerals = [];
  views = [];
  calls = [];
  connections = new Set();
  channels = new Set(['C0OPS', 'C0PAY']);
  failures = [];    // {method, error | status, times}
  hangUps = 0;      // so many connections end before a hello
  #acks = new Map();
  #triggers = new Map();
  #tickets = new Set();

  static async start() {
    const slack = new Slack();
    slack.server = http.createServer((request, response) => slack.#serve(request, response));
    slack.sockets = new WebSocketServer({ noServer: true });
    slack.server.on('upgrade', (request, socket, head) => slack.#upgrade(request, socket, head));
    slack.server.listen(0, '127.0.0.1');
    await once(slack.server, 'listening');
    slack.port = slack.server.address().port;
    slack.url = `http://127.0.0.1:${slack.port}/api/`;
    return slack;
  }

  async stop() {
    this.sockets.clients.forEach((socket) => socket.terminate());
    this.server.close();
    this.server.closeAllConnections();
    await once(this.server, 'close');
  }

  fail(method, failure, times = 1) {
    this.failures.push({ method, times, ...failure });
  }

  count(method) {
    return this.calls.filter((call) => call.method === method).length;
  }

  // ---- what people see and do

  messageOf(id) {
    return this.messages.find((m) => JSON.stringify([m.text, m.blocks]).includes(id));
  }

  shown(id) {
    return this.until(() => this.messageOf(id), `a message about ${id}`);
  }

  ephemeral(user, part) {
    return this.until(() => this.ephemerals.find((e) => e.user === user && e.text.includes(part)),
      `${user} is told ${part}; told so far: ${JSON.stringify(this.ephemerals)}`);
  }

  static buttons(message) {
    return message.blocks.filter((b) => b.type === 'actions').flatMap((b) => b.elements);
  }

  // A button of what the person sees; of an older look with `button` given.
  async click(user, message, action_id, { team = TEAM, button } = {}) {
    const pressed = button ?? Slack.buttons(message).find((b) => b.action_id === action_id);
    if (!pressed) throw new Error(`there is no button ${action_id}`);
    const payload = {
      type: 'block_actions', trigger_id: this.#trigger(), api_app_id: 'A0TEST', token: 'unused',
      user: { id: user, username: user, team_id: team }, team: { id: TEAM, domain: 'test' },
      container: { type: 'message', message_ts: message.ts, channel_id: message.channel, is_ephemeral: false },
      channel: { id: message.channel, name: 'ops' }, message: { ts: message.ts },
      actions: [{ type: 'button', action_id, block_id: 'decide', value: pressed.value, action_ts: String(Date.now()) }],
    };
    this.lastEnvelope = { type: 'interactive', payload, accepts_response_payload: false };
    return await this.#send(this.lastEnvelope);
  }

  // What was sent last, delivered again as Slack does where no acknowledgement came.
  redeliver() {
    return this.#send({ ...this.lastEnvelope, retry_attempt: 1, retry_reason: 'timeout' });
  }

  submit(user, view, { reason, pick } = {}) {
    const values = { reason: { text: { type: 'plain_text_input', value: reason ?? null } } };
    if (pick) values.choice = { pick: { type: 'radio_buttons', selected_option: { value: pick } } };
    return this.#send({
      type: 'interactive', accepts_response_payload: true,
      payload: {
        type: 'view_submission', user: { id: user, team_id: TEAM }, team: { id: TEAM, domain: 'test' }, token: 'unused',
        trigger_id: this.#trigger(), api_app_id: 'A0TEST',
        view: { ...view, id: view.id, state: { values } }, response_urls: [],
      },
    });
  }

  command(user, text, team = TEAM) {
    return this.#send({
      type: 'slash_commands', accepts_response_payload: true,
      payload: { command: '/chaperone', text, team_id: team, user_id: user, channel_id: 'D0SELF', trigger_id: 'x',
        token: 'unused', response_url: 'http://127.0.0.1:1/' },
    });
  }

  async viewAfter(count) {
    return await this.until(() => this.views[count], 'a dialog');
  }

  // Slack asks for this now and then: its servers change.
  refresh() {
    for (const socket of this.connections) socket.send(JSON.stringify({ type: 'disconnect', reason: 'refresh_requested' }));
  }

  // ---- Socket Mode

  async #send(envelope) {
    const socket = await this.until(() => [...this.connections].at(-1), 'a connection');
    const envelope_id = randomUUID();
    const acknowledged = new Promise((done) => this.#acks.set(envelope_id, done));
    socket.send(JSON.stringify({ envelope_id, ...envelope }));
    return await acknowledged;
  }

  #trigger() {
    const trigger = `${Date.now()}.${randomBytes(4).toString('hex')}`;
    this.#triggers.set(trigger, Date.now() + TRIGGER_MS);
    return trigger;
  }

  #upgrade(request, socket, head) {
    const ticket = new URL(request.url, this.url).searchParams.get('ticket');
    if (!this.#tickets.delete(ticket)) {
      socket.destroy();
      return;
    }
    this.sockets.handleUpgrade(request, socket, head, (connection) => {
      this.connections.add(connection);
      connection.on('close', () => { this.connections.delete(connection); this.changed(); });
      connection.on('message', (data) => this.#acknowledge(JSON.parse(data)));
      if (this.hangUps > 0) {
        this.hangUps -= 1;
        connection.close();
        return;
      }
      connection.send(JSON.stringify({
        type: 'hello', num_connections: this.connections.size, connection_info: { app_id: 'A0TEST' },
        debug_info: { host: 'local', approximate_connection_time: 18060 },
      }));
      this.changed();
    });
  }

  #acknowledge({ envelope_id, payload }) {
    const done = this.#acks.get(envelope_id);
    if (!done) throw new Error('an acknowledgement of nothing');
    this.#acks.delete(envelope_id);
    done(payload ?? {});
  }

  // ---- Web API

  async #serve(request, response) {
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    const method = new URL(request.url, this.url).pathname.replace('/api/', '');
    const failure = this.failures.find((f) => f.method === method && f.times > 0);
    if (failure) failure.times -= 1;
    if (failure?.status) {
      response.writeHead(failure.status, failure.headers).end();
      return;
    }
    let answer;
    try {
      if (failure) refuse(failure.error);
      answer = { ok: true, ...this.#call(method, request, Buffer.concat(chunks).toString()) };
    } catch (error) {
      answer = { ok: false, error: error.message };
    }
    response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(answer));
    this.changed();
  }

  #call(method, request, body) {
    const wanted = method === 'apps.connections.open' ? APP_TOKEN : BOT_TOKEN;
    const { authorization } = request.headers;
    need(authorization !== undefined, 'not_authed');
    need(authorization === `Bearer ${wanted}`, 'not_allowed_token_type');
    const fields = Object.fromEntries(new URLSearchParams(body));
    need(!('token' in fields), 'token_in_body');
    for (const name of ['blocks', 'view']) if (fields[name]) fields[name] = JSON.parse(fields[name]);
    this.calls.push({ method, fields });
    const work = this.methods[method];
    return work ? work(fields) : refuse('unknown_method');
  }

  methods = {
    'auth.test': () => ({ team_id: TEAM, user_id: 'U0BOT', bot_id: 'B0BOT' }),
    'apps.connections.open': () => {
      const ticket = randomUUID();
      this.#tickets.add(ticket);
      return { url: `ws://127.0.0.1:${this.port}/link?ticket=${ticket}&app_id=A0TEST` };
    },
    'chat.postMessage': (fields) => {
      const { channel, text, blocks = [] } = this.#checkMessage(fields);
      const ts = `${Math.floor(Date.now() / 1000)}.${String(this.messages.length + 1).padStart(6, '0')}`;
      this.messages.push({ channel, ts, text, blocks, history: [{ text, blocks }] });
      return { channel, ts };
    },
    'chat.update': (fields) => {
      const { channel, text, blocks = [] } = this.#checkMessage(fields);
      const message = this.messages.find((m) => m.ts === fields.ts && m.channel === channel);
      need(message, 'message_not_found');
      Object.assign(message, { text, blocks });
      message.history.push({ text, blocks });
      return { channel, ts: fields.ts };
    },
    'chat.postEphemeral': (fields) => {
      this.#checkMessage(fields);
      need(/^U/.test(fields.user), 'user_not_in_channel');
      this.ephemerals.push(fields);
      return { message_ts: '1.1' };
    },
    'views.open': ({ trigger_id, view }) => {
      const until = this.#triggers.get(trigger_id);
      need(this.#triggers.delete(trigger_id), 'exchanged_trigger_id');
      need(Date.now() < until, 'expired_trigger_id');
      checkView(view);
      this.views.push({ ...view, id: `V${this.views.length}` });
      return { view: this.views.at(-1) };
    },
  };

  #checkMessage(fields) {
    need(this.channels.has(fields.channel), 'channel_not_found');
    need(fields.text, 'no_text');
    need(fields.text.length <= 40000, 'msg_too_long');
    if (fields.blocks) checkBlocks(fields.blocks, 50);
    return fields;
  }
}
