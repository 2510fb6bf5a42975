// What a stock gRPC client in another language sees of base/rpc.
//
//   node interop.mjs PATH_OF_INTEROP_SERVER
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

import grpc from '@grpc/grpc-js';
import protoLoader from '@grpc/proto-loader';

import { makeCertificates, Server } from './server.mjs';

const ROOT = resolve(fileURLToPath(import.meta.url), '../../..');
const MESSAGES = 10000;
const PATIENCE_MS = 60000; // for one check
const SHORT_MS = 1000; // a deadline that a call reaches the server within
const OPTIONS = {
  keepCase: true, longs: Number, enums: String, defaults: true, oneofs: true, includeDirs: [ROOT],
};

const load = (file) => grpc.loadPackageDefinition(protoLoader.loadSync(file, OPTIONS));
const { Echo } = load('base/rpc/testing/echo.proto').chaperone.rpc.test;
const { Health } = load('base/rpc/proto/health.proto').grpc.health.v1;
const reflections = {
  v1: load('base/rpc/proto/reflection.proto').grpc.reflection.v1,
  v1alpha: load('base/rpc/proto/reflection_v1alpha.proto').grpc.reflection.v1alpha,
};

// ---- small helpers --------------------------------------------------------------------------

const unary = (client, method, request, metadata = new grpc.Metadata(), options = {}) =>
  new Promise((done, fail) =>
    client[method](request, metadata, options, (error, reply) =>
      error ? fail(error) : done(reply)));

const rejects = async (promise, code, details) => {
  const error = await promise.then(() => assert.fail('it succeeded'), (e) => e);
  assert.equal(error.code, code, error.message);
  if (details !== undefined) assert.equal(error.details, details);
  return error;
};

// The messages of a stream and its status.
const drain = (call) =>
  new Promise((done) => {
    const messages = [];
    call.on('data', (message) => messages.push(message));
    call.on('error', () => {}); // the status says the same
    call.on('status', (status) => done({ messages, status }));
  });

const until = async (condition) => {
  const end = Date.now() + PATIENCE_MS;
  while (!(await condition())) {
    assert.ok(Date.now() < end, 'it did not happen');
    await sleep(5);
  }
};

const sequence = (messages) => messages.every((m, i) => m.sequence === i + 1);

// ---- checks: (context) => promise -----------------------------------------------------------

const checks = {
  async 'unary: the reply'({ echo, certificates }) {
    const payload = Buffer.from([0, 1, 2, 255]);
    const reply = await unary(echo, 'Unary', { text: 'grüezi', payload });
    assert.equal(reply.text, 'grüezi');
    assert.deepEqual(reply.payload, payload);
    assert.match(reply.peer, /^ipv4:127\.0\.0\.1:\d+$/);
    assert.equal(reply.has_deadline, false);
    assert.equal(reply.certificate_pem,
      certificates ? certificates.read('client.crt').toString() : '');
  },

  async 'unary: a status with details'({ echo }) {
    const text = 'nö: 50%\n';
    const error = await rejects(unary(echo, 'Unary', { code: 9, text, details: true }),
      grpc.status.FAILED_PRECONDITION, text);
    const [details] = error.metadata.get('grpc-status-details-bin');
    assert.deepEqual(details, Buffer.from('\x08\x09\x12\x0estatic details', 'latin1'));
  },

  async 'unary: metadata, text and binary'({ echo }) {
    const metadata = new grpc.Metadata();
    const raw = Buffer.from([0, 255, 10, 13, 128]);
    metadata.set('x-text', 'a value');
    metadata.set('x-raw-bin', raw);
    const text = await unary(echo, 'Unary', { metadata_name: 'x-text' }, metadata);
    assert.equal(text.metadata.toString(), 'a value');
    const binary = await unary(echo, 'Unary', { metadata_name: 'x-raw-bin' }, metadata);
    assert.deepEqual(binary.metadata, raw);
    const large = new grpc.Metadata(); // a token of 20 kB
    large.set('authorization', `Bearer ${'x'.repeat(20000)}`);
    const reply = await unary(echo, 'Unary', { metadata_name: 'authorization' }, large);
    assert.equal(reply.metadata.length, 20007);
  },

  async 'unary: deadline'({ echo }) {
    const before = (await unary(echo, 'Stats', {})).cancelled;
    await rejects(unary(echo, 'Unary', { delay_ms: PATIENCE_MS }, undefined,
      { deadline: Date.now() + SHORT_MS }), grpc.status.DEADLINE_EXCEEDED);
    await until(async () => (await unary(echo, 'Stats', {})).cancelled === before + 1);
    const reply = await unary(echo, 'Unary', {}, undefined, { deadline: Date.now() + PATIENCE_MS });
    assert.equal(reply.has_deadline, true);
  },

  async 'unary: cancellation reaches the handler'({ echo }) {
    const before = (await unary(echo, 'Stats', {})).cancelled;
    let call;
    const answered = new Promise((done) => {
      call = echo.Unary({ delay_ms: PATIENCE_MS }, (error) => done(error));
    });
    await sleep(50); // until it is with the handler; earlier would be right, too
    call.cancel();
    assert.equal((await answered).code, grpc.status.CANCELLED);
    await until(async () => (await unary(echo, 'Stats', {})).cancelled >= before + 1);
  },

  async 'unary: an unknown method'({ address, credentials }) {
    const client = new grpc.Client(address, credentials);
    const identity = (bytes) => bytes;
    await rejects(new Promise((done, fail) =>
      client.makeUnaryRequest('/no.Service/Method', identity, identity, Buffer.alloc(0),
        (error) => (error ? fail(error) : done()))), grpc.status.UNIMPLEMENTED);
    client.close();
  },

  async 'unary: a malformed request'({ address, credentials }) {
    const client = new grpc.Client(address, credentials);
    const identity = (bytes) => bytes;
    await rejects(new Promise((done, fail) =>
      client.makeUnaryRequest('/chaperone.rpc.test.Echo/Unary', identity, identity,
        Buffer.from([0x0a, 0xff]), (error) => (error ? fail(error) : done()))),
    grpc.status.INTERNAL);
    client.close();
  },

  async 'unary: compressed requests are refused'({ address, credentials }) {
    const client = new Echo(address, credentials, { 'grpc.default_compression_algorithm': 2 });
    await rejects(unary(client, 'Unary', { text: 'x'.repeat(10000) }), grpc.status.UNIMPLEMENTED);
    client.close();
  },

  async 'server stream: 10,000 messages in order'({ echo }) {
    const { messages, status } = await drain(echo.ServerStream({ count: MESSAGES, size: 100 }));
    assert.equal(status.code, grpc.status.OK);
    assert.equal(messages.length, MESSAGES);
    assert.ok(sequence(messages));
  },

  async 'server stream: a client that does not read costs no memory'({ echo, server }) {
    const cancelled = (await unary(echo, 'Stats', {})).cancelled;
    const before = server.residentMegabytes();
    const call = echo.ServerStream({ count: 1000000, size: 10000 }); // 10 GB
    let received = 0;
    call.on('data', () => received++);
    call.on('error', () => {}); // the status says the same
    const ended = new Promise((done) => call.on('status', done));
    await until(() => received > 0);
    call.pause();
    const paused = received;
    await sleep(500); // the server could fill a gigabyte in that time
    assert.ok(server.residentMegabytes() < before + 100);
    call.resume();
    await until(() => received > paused);
    call.cancel();
    assert.equal((await ended).code, grpc.status.CANCELLED);
    await until(async () => {
      const now = await unary(echo, 'Stats', {});
      return now.cancelled === cancelled + 1 && now.open === 0;
    });
  },

  async 'client stream: 10,000 messages'({ echo }) {
    let call;
    const answered = new Promise((done, fail) => {
      call = echo.ClientStream((error, reply) => (error ? fail(error) : done(reply)));
    });
    for (let i = 0; i < MESSAGES; i++)
      if (!call.write({ text: 'x' })) await once(call, 'drain');
    call.end();
    assert.equal((await answered).sequence, MESSAGES);
  },

  async 'bidirectional stream: 10,000 messages each way'({ echo }) {
    const call = echo.Bidi();
    const drained = drain(call);
    for (let i = 0; i < MESSAGES; i++)
      if (!call.write({ text: String(i) })) await once(call, 'drain');
    call.end();
    const { messages, status } = await drained;
    assert.equal(status.code, grpc.status.OK);
    assert.equal(messages.length, MESSAGES);
    assert.ok(messages.every((m, i) => m.text === String(i)));
  },

  async 'bidirectional stream: headers come before the first message'({ echo }) {
    const call = echo.Bidi();
    const drained = drain(call);
    await once(call, 'metadata');
    call.end();
    assert.equal((await drained).status.code, grpc.status.OK);
  },

  async 'bidirectional stream: a status with details ends it'({ echo }) {
    const call = echo.Bidi();
    const drained = drain(call);
    call.write({ text: 'one' });
    call.write({ code: 5, text: 'no such thing', details: true });
    const { messages, status } = await drained;
    assert.equal(messages.length, 1);
    assert.equal(status.code, grpc.status.NOT_FOUND);
    assert.equal(status.details, 'no such thing');
    assert.equal(status.metadata.get('grpc-status-details-bin').length, 1);
  },

  async 'bidirectional stream: refused by the handler'({ echo }) {
    const metadata = new grpc.Metadata();
    metadata.set('x-refuse', '1');
    const { status } = await drain(echo.Bidi(metadata));
    assert.equal(status.code, grpc.status.PERMISSION_DENIED);
    assert.equal(status.details, 'refused as you wished');
  },

  // Node says END_STREAM before it resets a stream that is still open for writing, so the handler
  // may see an ordinary end; what counts is that nothing stays behind.
  async 'bidirectional stream: cancellation ends it'({ echo }) {
    const call = echo.Bidi();
    const drained = drain(call);
    call.write({ text: 'one' });
    await once(call, 'data');
    await until(async () => (await unary(echo, 'Stats', {})).open === 1); // those before have ended
    call.cancel();
    assert.equal((await drained).status.code, grpc.status.CANCELLED);
    await until(async () => (await unary(echo, 'Stats', {})).open === 0);
  },

  async 'bidirectional stream: deadline'({ echo }) {
    const { status } = await drain(echo.Bidi({ deadline: Date.now() + SHORT_MS }));
    assert.equal(status.code, grpc.status.DEADLINE_EXCEEDED);
  },

  async 'health: Check'({ health, server }) {
    assert.equal((await unary(health, 'Check', { service: '' })).status, 'SERVING');
    await rejects(unary(health, 'Check', { service: 'no.Service' }), grpc.status.NOT_FOUND);
    server.say('stopped audit');
    await until(async () =>
      (await unary(health, 'Check', { service: 'audit' }).catch(() => ({}))).status ===
        'NOT_SERVING');
  },

  async 'health: Watch'({ health, server }) {
    const call = health.Watch({ service: 'policy' });
    call.on('error', () => {});
    const seen = [];
    call.on('data', (reply) => seen.push(reply.status));
    await until(() => seen.length === 1);
    server.say('serving policy');
    await until(() => seen.length === 2);
    server.say('stopped policy');
    await until(() => seen.length === 3);
    assert.deepEqual(seen, ['SERVICE_UNKNOWN', 'SERVING', 'NOT_SERVING']);
    call.cancel();
  },

  async 'reflection: the list of services'({ address, credentials }) {
    for (const { ServerReflection } of Object.values(reflections)) {
      const client = new ServerReflection(address, credentials);
      const [reply] = await reflect(client, [{ list_services: '*' }]);
      assert.equal(reply.message_response, 'list_services_response');
      assert.deepEqual(reply.list_services_response.service.map((s) => s.name).sort(), [
        'chaperone.rpc.test.Echo', 'grpc.health.v1.Health', 'grpc.reflection.v1.ServerReflection',
        'grpc.reflection.v1alpha.ServerReflection']);
      client.close();
    }
  },

  async 'reflection: a client made of nothing else'({ address, credentials }) {
    for (const { ServerReflection } of Object.values(reflections)) {
      const client = new ServerReflection(address, credentials);
      const [reply, missing] = await reflect(client, [
        { file_containing_symbol: 'chaperone.rpc.test.Echo' },
        { file_containing_symbol: 'chaperone.rpc.test.Nothing' }]);
      assert.equal(missing.error_response.error_code, grpc.status.NOT_FOUND);
      assert.equal(missing.original_request.file_containing_symbol, 'chaperone.rpc.test.Nothing');
      const set = fileDescriptorSet(reply.file_descriptor_response.file_descriptor_proto);
      const definition = protoLoader.loadFileDescriptorSetFromBuffer(set, OPTIONS);
      const Reflected = grpc.loadPackageDefinition(definition).chaperone.rpc.test.Echo;
      const echo = new Reflected(address, credentials);
      assert.equal((await unary(echo, 'Unary', { text: 'found' })).text, 'found');
      echo.close();
      client.close();
    }
  },

  async 'reflection: a file comes with what it imports'({ address, credentials }) {
    const client = new reflections.v1.ServerReflection(address, credentials);
    const [file, extension, numbers] = await reflect(client, [
      { file_by_filename: 'base/rpc/testing/imports.proto' },
      { file_containing_extension: {
        containing_type: 'chaperone.rpc.test.Extended', extension_number: 100 } },
      { all_extension_numbers_of_type: 'chaperone.rpc.test.Extended' }]);
    assert.equal(file.file_descriptor_response.file_descriptor_proto.length, 2);
    assert.equal(extension.file_descriptor_response.file_descriptor_proto.length, 2);
    assert.deepEqual(numbers.all_extension_numbers_response.extension_number.sort(), [100, 101]);
    client.close();
  },

  // The last one: the server is gone after it.
  async 'shutdown: streams are ended, the server exits'({ echo, health, server }) {
    const open = echo.Bidi();
    const ended = drain(open);
    open.write({ text: 'one' });
    await once(open, 'data');
    const watching = health.Watch({ service: '' });
    const watch = drain(watching);
    await once(watching, 'data'); // else the server may stop before it hears of it
    await until(async () => (await unary(echo, 'Stats', {})).open >= 1);
    const code = await server.stop();
    assert.equal(code, 0);
    assert.notEqual((await ended).status.code, grpc.status.OK);
    const { messages, status } = await watch;
    assert.equal(messages.at(-1)?.status, 'NOT_SERVING');
    assert.equal(status.code, grpc.status.UNAVAILABLE);
  },
};

// Asks one after the other on one stream; the answers.
async function reflect(client, requests) {
  const call = client.ServerReflectionInfo();
  const drained = drain(call);
  for (const request of requests) call.write({ host: 'localhost', ...request });
  call.end();
  const { messages, status } = await drained;
  assert.equal(status.code, grpc.status.OK);
  assert.equal(messages.length, requests.length);
  return messages;
}

// FileDescriptorSet { repeated FileDescriptorProto file = 1; }
function fileDescriptorSet(files) {
  return Buffer.concat(files.flatMap((file) => {
    const length = [];
    let rest = file.length;
    for (; rest > 127; rest >>>= 7) length.push((rest & 127) | 128);
    return [Buffer.from([0x0a, ...length, rest]), file];
  }));
}

// Over TLS only: who is let in.
const tlsChecks = {
  async 'a client without a certificate is let in as nobody'({ address, certificates }) {
    const client = new Echo(address, grpc.credentials.createSsl(certificates.read('ca.crt')));
    assert.equal((await unary(client, 'Unary', {})).certificate_pem, '');
    client.close();
  },

  async 'a client that does not know the CA does not connect'({ address }) {
    const client = new Echo(address, grpc.credentials.createSsl());
    await rejects(unary(client, 'Unary', {}), grpc.status.UNAVAILABLE);
    client.close();
  },
};

// ---- running --------------------------------------------------------------------------------

const tally = { count: 0, failed: 0 };

async function run(name, check, context) {
  tally.count++;
  const timer = new AbortController();
  try {
    await Promise.race([
      check(context),
      sleep(PATIENCE_MS, null, { signal: timer.signal }).then(() => {
        throw new Error('it took too long');
      }),
    ]);
    console.log(`ok ${tally.count} - ${name}`);
  } catch (error) {
    tally.failed++;
    console.log(`not ok ${tally.count} - ${name}`);
    console.log(String(error.stack ?? error).replace(/^/gm, '# '));
  } finally {
    timer.abort();
  }
}

async function runAll(transport, binary, certificates, list) {
  const server = await Server.start(binary, certificates);
  const credentials = certificates
    ? grpc.credentials.createSsl(...['ca.crt', 'client.key', 'client.crt'].map(certificates.read))
    : grpc.credentials.createInsecure();
  // By name over TLS: a server name cannot be an address.
  const address = server.address.replace('127.0.0.1', certificates ? 'localhost' : '127.0.0.1');
  const echo = new Echo(address, credentials);
  const health = new Health(address, credentials);
  const context = { address, credentials, certificates, echo, health, server };
  for (const [name, check] of Object.entries(list))
    await run(`${transport}: ${name}`, check, context);
  echo.close();
  health.close();
  server.kill(); // if the last check has not ended it
}

const [binary] = process.argv.slice(2);
if (!binary) {
  console.error('usage: node interop.mjs PATH_OF_INTEROP_SERVER');
  process.exit(2);
}
const certificates = makeCertificates();
try {
  await runAll('plaintext', resolve(binary), null, checks);
  await runAll('mutual TLS', resolve(binary), certificates, { ...tlsChecks, ...checks });
} finally {
  certificates.remove();
}
console.log(`1..${tally.count}`);
process.exit(tally.failed === 0 ? 0 : 1);
