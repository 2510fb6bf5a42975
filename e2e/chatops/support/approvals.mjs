// An Approvals service from the real proto, over TLS: in memory, with the rules that the API states.
import { createHash, randomBytes, randomUUID } from 'node:crypto';
import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

import grpc from '@grpc/grpc-js';
import protoLoader from '@grpc/proto-loader';

import { Changes } from './changes.mjs';

const ROOT = resolve(fileURLToPath(import.meta.url), '../../../..');
const loaded = grpc.loadPackageDefinition(protoLoader.loadSync('api/approvals.proto', {
  keepCase: true, longs: String, enums: String, defaults: true, arrays: true, includeDirs: [ROOT],
}));
const { service } = loaded.chaperone.v1.Approvals;

export const BOT = 'token-of-the-bot';
const now = () => String(BigInt(Date.now()) * 1_000_000n);
const fail = (code, details) => { throw Object.assign(new Error(details), { code: grpc.status[code], details }); };

export class ApprovalsServer extends Changes {
  held = new Map();
  log = [];            // ids, in the order of their changes: the cursor is the index + 1
  people = new Map();  // token: subject
  links = new Map();   // account: subject
  codes = new Map();
  decides = [];        // each call: {token, request}
  watches = [];        // each call's request
  refuseTokens = false;
  #answers = new Map();
  #streams = new Set();

  static async start(certificates, port = 0) {
    const server = new ApprovalsServer();
    server.certificates = certificates;
    await server.listen(port);
    return server;
  }

  async listen(port = this.port) {
    this.server = new grpc.Server();
    const unary = (work) => (call, done) => {
      try {
        done(null, work.call(this, call.request, this.#tokenOf(call)));
      } catch (error) {
        done(error);
      }
      this.changed();
    };
    this.server.addService(service, {
      List: unary(({ limit }) => ({ approvals: [...this.held.values()].reverse().slice(0, limit || 100) })),
      Get: unary((request) => this.held.get(request.id) ?? fail('NOT_FOUND', 'there is no such approval')),
      Decide: unary(this.#decide),
      CreateLinkCode: unary(this.#createLinkCode),
      ConfirmLink: unary(this.#confirmLink),
      RemoveLink: unary(({ account }) => ({ removed: this.links.delete(account.account) })),
      Watch: (call) => this.#watch(call),
    });
    const { read } = this.certificates;
    const credentials = grpc.ServerCredentials.createSsl(null,
      [{ private_key: read('server.key'), cert_chain: read('server.crt') }]);
    this.port = await new Promise((done, failed) => this.server.bindAsync(`127.0.0.1:${port}`, credentials,
      (error, bound) => (error ? failed(error) : done(bound))));
  }

  stop() {
    this.#streams.clear();
    this.server.forceShutdown();
  }

  // ---- the other side: what sidecars and people elsewhere do

  hold({ statement = 'DELETE FROM orders WHERE id = 7', terms = {}, ...more } = {}) {
    const id = randomUUID();
    const text = Buffer.from(statement);
    this.held.set(id, {
      id, state: 'WAITING', version: '0', sidecar: 's1', session: randomUUID(), operation: '3',
      identity: { issuer: 'https://idp.test', subject: 'agent-7', groups: ['agents'], name: '', assurance: 'VERIFIED' },
      on_behalf_of: [{ subject: 'alice', issuer: '', assurance: 'DECLARED', source: 'application_name' }],
      reasons: [{ text: 'ticket 4711', assurance: 'DECLARED', source: 'sql_comment' }],
      resource: 'orders', protocol: 'postgres', database: 'shop', target_user: 'app',
      intent: { verb: 'query', commands: ['DELETE'], rule: 'hold-deletes', text, text_size: String(text.length),
        parameters: [], objects: [] },
      terms: { groups: ['dba'], people: 1, excludes_requester: true, ...terms },
      prediction: { plan: 'Delete on orders\n  ->  Index Scan using orders_pkey on orders', estimated_rows: 1 },
      locks: [], digest: createHash('sha256').update(text).digest(), shape: '', requested_unix_ns: now(),
      expires_unix_ns: String(BigInt(Date.now() + 600_000) * 1_000_000n), ended_unix_ns: '0', end_reason: '',
      decisions: [], standing: '', ...more,
    });
    this.change(id, {});
    return id;
  }

  change(id, what) {
    const approval = { ...this.held.get(id), ...what };
    approval.version = String(BigInt(approval.version) + 1n);
    if (!['WAITING', 'APPROVED'].includes(approval.state)) approval.ended_unix_ns = now();
    this.held.set(id, approval);
    this.log.push(id);
    for (const call of this.#streams) call.write(this.#event(this.log.length));
    this.changed();
  }

  link(account, subject) {
    this.links.set(account, subject);
  }

  endStreams(code, details) {
    for (const call of this.#streams) call.emit('error', { code: grpc.status[code], details });
    this.#streams.clear();
  }

  streams() {
    return this.#streams.size;
  }

  // ---- the service

  #tokenOf(call) {
    const [value] = call.metadata.get('authorization');
    const token = /^Bearer (\S+)$/.exec(value ?? '')?.[1];
    if (this.refuseTokens || (token !== BOT && !this.people.has(token))) fail('UNAUTHENTICATED', 'this token is not taken');
    return token;
  }

  #event(cursor) {
    return { cursor: String(cursor), approval: this.held.get(this.log[cursor - 1]) };
  }

  #watch(call) {
    try {
      this.#tokenOf(call);
      if (BigInt(call.request.after) > BigInt(this.log.length)) fail('OUT_OF_RANGE', 'there is no such cursor');
    } catch (error) {
      call.emit('error', error);
      return;
    }
    const { after, only_waiting } = call.request;
    this.watches.push(call.request);
    if (only_waiting) this.#listWaiting(call);
    else this.log.forEach((_, i) => { if (BigInt(i + 1) > BigInt(after)) call.write(this.#event(i + 1)); });
    this.#streams.add(call);
    call.on('cancelled', () => { this.#streams.delete(call); this.changed(); });
    this.changed();
  }

  // Only the last has a cursor to go on from; where there is none, it comes alone.
  #listWaiting(call) {
    const all = [...this.held.values()].filter((approval) => approval.state === 'WAITING');
    all.forEach((approval, i) =>
      call.write({ cursor: i === all.length - 1 ? String(this.log.length) : '0', approval }));
    if (all.length === 0) call.write({ cursor: String(this.log.length) });
  }

  #decide(request, token) {
    this.decides.push({ request, token });
    const key = `${token} ${request.idempotency_key}`;
    if (!this.#answers.has(key)) this.#answers.set(key, this.#judge(request, token));
    return { approval: this.#answers.get(key) };
  }

  #judge(request, token) {
    const approval = this.held.get(request.id) ?? fail('NOT_FOUND', 'there is no such approval');
    const is_linked = token === BOT;
    const account = request.account?.account;
    if (is_linked && !account) fail('PERMISSION_DENIED', 'a bot decides nothing by itself');
    if (!is_linked && account) fail('PERMISSION_DENIED', 'only a bot names an account');
    const subject = is_linked ? this.links.get(account) : this.people.get(token);
    if (!subject) fail('PERMISSION_DENIED', `${account} is linked to nobody`);
    const { terms } = approval;
    if (is_linked && terms.forbids_linked) fail('PERMISSION_DENIED', 'the rule takes no linked account');
    if (approval.on_behalf_of.some((d) => d.subject === subject))
      fail('PERMISSION_DENIED', `rule hold-deletes: ${subject} asked for it`);
    if (approval.state !== 'WAITING') fail('FAILED_PRECONDITION', `it is ${approval.state.toLowerCase()} already`);
    if (approval.decisions.some((d) => d.by.subject === subject)) fail('FAILED_PRECONDITION', `${subject} has decided already`);
    if (request.expect_version !== '0' && request.expect_version !== approval.version)
      fail('ABORTED', `its version is ${approval.version}`);
    if (terms.needs_reason && !request.reason) fail('INVALID_ARGUMENT', 'a reason is needed');
    const decisions = [...approval.decisions, {
      by: { issuer: 'https://idp.test', subject, groups: ['dba'], name: '', assurance: 'VERIFIED' },
      approve: request.approve, reason: request.reason, time_unix_ns: now(), from: 'test', is_linked,
    }];
    const state = !request.approve ? 'DENIED' : decisions.length >= terms.people ? 'APPROVED' : 'WAITING';
    this.change(request.id, { decisions, state });
    return this.held.get(request.id);
  }

  #createLinkCode({ account }, token) {
    if (token !== BOT) fail('PERMISSION_DENIED', 'for bots');
    const code = randomBytes(6).toString('hex').toUpperCase();
    this.codes.set(code, account);
    return { code, expires_unix_ns: String(BigInt(Date.now() + 600_000) * 1_000_000n) };
  }

  #confirmLink({ code }, token) {
    const account = this.codes.get(code) ?? fail('NOT_FOUND', 'there is no such code');
    this.codes.delete(code);
    this.links.set(account.account, this.people.get(token));
    return { account, expires_unix_ns: now() };
  }
}
