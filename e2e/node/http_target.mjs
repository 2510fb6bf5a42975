// A web server of the tests: over HTTP/1.1, over TLS with ALPN (h2 and http/1.1), over TLS with client certificates,
// and over HTTP/2 without TLS. It is the witness, too: what it saw of each request, as it saw it, is a line in the file
// HTTP_TARGET_LOG, written before the answer.
//
// HTTP_TARGET_CERTIFICATE, _KEY, _CA: for TLS. Prints {"h1": port, "tls": port, "mtls": port, "h2c": port}; ends when
// its standard input does.
import { createHash, randomBytes } from 'node:crypto';
import { appendFileSync, readFileSync } from 'node:fs';
import http from 'node:http';
import http2 from 'node:http2';
import { once } from 'node:events';
import zlib from 'node:zlib';
import { spawn } from 'node:child_process';
import { WebSocketServer } from 'ws';

const LOG = process.env.HTTP_TARGET_LOG;
const tls = {
  cert: readFileSync(process.env.HTTP_TARGET_CERTIFICATE),
  key: readFileSync(process.env.HTTP_TARGET_KEY),
  ca: readFileSync(process.env.HTTP_TARGET_CA),
};
const BODY_KEPT = 64 << 10;
let count = 0;

function log(entry) {
  appendFileSync(LOG, JSON.stringify(entry) + '\n');
}

// ---- answers ------------------------------------------------------------------------------------

const CUSTOMERS = Array.from({ length: 20 }, (_, i) => ({
  id: i, name: `Customer ${i}`, email: `customer.${i}@example.org`, ssn: `123-45-${6700 + i}`,
  address: { street: `${i} Long Street`, phone: `+1 202 555 01${10 + i}` }, api_token: `tok-${i}-abcdefghijklmnop`,
  balance: 12.5 * i, note: `write to customer.${i}@example.org`, tags: ['a', 'b'],
}));

function json(response, status, value, headers = {}) {
  const body = Buffer.from(JSON.stringify(value));
  response.writeHead(status, { 'content-type': 'application/json', 'content-length': body.length, ...headers });
  response.end(body);
}

// Node 20 has no zstd: the command has.
async function zstd(body) {
  const child = spawn('zstd', ['-q', '-c'], { stdio: ['pipe', 'pipe', 'ignore'] });
  const parts = [];
  child.stdout.on('data', (part) => parts.push(part));
  child.stdin.end(body);
  await once(child.stdout, 'end');
  return Buffer.concat(parts);
}

const CODINGS = {
  identity: async (body) => body,
  gzip: async (body) => zlib.gzipSync(body),
  deflate: async (body) => zlib.deflateSync(body),
  br: async (body) => zlib.brotliCompressSync(body),
  zstd,
};

// `step`: so many bytes in each chunk; 0: with a Content-Length.
async function coded(response, name, body, headers, step = 0) {
  const bytes = await CODINGS[name](Buffer.from(body));
  const coding = name === 'identity' ? {} : { 'content-encoding': name };
  if (step === 0) {
    response.writeHead(200, { ...headers, ...coding, 'content-length': bytes.length });
    response.end(bytes);
    return;
  }
  response.writeHead(200, { ...headers, ...coding });
  for (let at = 0; at < bytes.length; at += step) {
    if (!response.write(bytes.subarray(at, at + step))) await once(response, 'drain');
    else await new Promise(setImmediate); // a chunk and a frame of its own
  }
  response.end();
}

const BLOCK = Buffer.alloc(256 << 10, 'chaperone large body ');

async function large(response, size) {
  response.writeHead(200, { 'content-type': 'application/octet-stream', 'content-length': size });
  for (let left = size; left > 0;) {
    const part = BLOCK.subarray(0, Math.min(left, BLOCK.length));
    if (response.destroyed) return;
    if (!response.write(part)) await Promise.race([once(response, 'drain'), once(response, 'close')]);
    left -= part.length;
  }
  response.end();
}

// JSON of any size: customers.
async function largeJson(response, size) {
  response.writeHead(200, { 'content-type': 'application/json' });
  const one = JSON.stringify(CUSTOMERS[7]);
  const block = Array.from({ length: 500 }, () => one).join(',');
  let written = 1;
  response.write('{"customers":[' + one);
  while (written < size && !response.destroyed) {
    if (!response.write(',' + block)) await Promise.race([once(response, 'drain'), once(response, 'close')]);
    written += block.length + 1;
  }
  response.end(']}');
}

function events(response, url) {
  const n = Number(url.searchParams.get('count') ?? 5);
  response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' });
  let i = 0;
  const next = () => {
    if (response.destroyed) return;
    if (i === n) { response.end(); return; }
    response.write(`event: tick\nid: ${i}\ndata: {"n": ${i}, "email": "customer.${i}@example.org"}\n\n`);
    i += 1;
    setTimeout(next, 5);
  };
  next();
}

const released = [];

async function answer(request, response, seen) {
  const url = new URL(request.url, 'http://target');
  const path = url.pathname;
  const body = seen.body;
  let found;
  if ((found = /^\/customers\/(\d+)$/.exec(path))) {
    const customer = CUSTOMERS[Number(found[1]) % CUSTOMERS.length];
    return json(response, 200, customer, { 'x-customer-email': customer.email });
  }
  if (path === '/customers') return json(response, 200, { customers: CUSTOMERS });
  if (path === '/echo') {
    return json(response, 200, { method: request.method, url: request.url, version: request.httpVersion,
      headers: seen.headers, trailers: seen.trailers, body: body.toString('latin1'), port: seen.port });
  }
  if (path === '/echo-headers') {
    const back = {};
    for (const [name, value] of seen.headers) {
      if (/^(x-|authorization|cookie)/i.test(name)) back[`x-echo-${name.toLowerCase()}`] = value;
    }
    return json(response, 200, {}, back);
  }
  if (path === '/echo-raw') { // the body as it came
    response.writeHead(200, { 'content-type': url.searchParams.get('type') ?? request.headers['content-type'] ?? 'text/plain' });
    return response.end(body);
  }
  // What the client sent, or all of its header, in a coding: /coded/gzip?what=echo&step=3
  if ((found = /^\/coded\/(\w+)$/.exec(path)) && found[1] in CODINGS) {
    const what = url.searchParams.get('what') ?? 'customers';
    const type = url.searchParams.get('type') ?? 'application/json';
    const texts = { customers: () => JSON.stringify({ customers: CUSTOMERS }), body: () => body,
      echo: () => JSON.stringify(Object.fromEntries(seen.headers)) };
    return coded(response, found[1], texts[what](), { 'content-type': type }, Number(url.searchParams.get('step') ?? 0));
  }
  if (path === '/form') {
    response.writeHead(200, { 'content-type': 'application/x-www-form-urlencoded' });
    return response.end('name=Ann&email=ann%40example.org&password=hunter2&note=ann%40example.org');
  }
  if (path === '/text') {
    response.writeHead(200, { 'content-type': 'text/plain' });
    return response.end('call ann@example.org or bob@example.org\n');
  }
  if (path === '/page') {
    response.writeHead(200, { 'content-type': 'text/html' });
    return response.end('<html><body><p id="p">plain</p><script>fetch("/customers/3").then(r => r.json())'
      + '.then(c => { document.title = c.name; document.getElementById("p").textContent = "fetched " + c.name; })'
      + '</script></body></html>');
  }
  if (path === '/binary') {
    response.writeHead(200, { 'content-type': 'application/octet-stream' });
    return response.end(Buffer.concat([Buffer.from([0, 1, 2, 255]), Buffer.from('ann@example.org')]));
  }
  if (path === '/badly-coded') {
    response.writeHead(200, { 'content-type': 'application/json', 'content-encoding': url.searchParams.get('as') ?? 'gzip' });
    return response.end('{"email": "ann@example.org"}');
  }
  if (path === '/large') return large(response, Number(url.searchParams.get('bytes') ?? 1 << 20));
  if (path === '/large-json') return largeJson(response, Number(url.searchParams.get('bytes') ?? 1 << 20));
  if (path === '/upload') return json(response, 200, { bytes: seen.bytes, sha256: seen.sha256 });
  if (path === '/sse') return events(response, url);
  if (path === '/slow') { // until somebody asks for /release
    released.push(() => json(response, 200, { slow: true }));
    return undefined;
  }
  if (path === '/release') {
    released.splice(0).forEach((go) => go());
    return json(response, 200, {});
  }
  if (path === '/drop') return request.socket?.destroy() ?? response.stream.close();
  if (path === '/early-hints') {
    response.writeEarlyHints({ link: '</style.css>; rel=preload' });
    return json(response, 200, {});
  }
  if (path === '/trailers') {
    response.writeHead(200, { 'content-type': 'text/plain', trailer: 'x-sum' });
    response.write('with trailers\n');
    response.addTrailers({ 'x-sum': '42' });
    return response.end();
  }
  if (path === '/chunked') {
    response.writeHead(200, { 'content-type': 'text/plain' });
    for (const part of ['one ', 'two ', 'three']) {
      response.write(part);
      await new Promise(setImmediate);
    }
    return response.end();
  }
  if ((found = /^\/status\/(\d{3})$/.exec(path))) {
    const status = Number(found[1]);
    if (status === 204 || status === 304) { response.writeHead(status); return response.end(); }
    return json(response, status, { status });
  }
  return json(response, 200, { path, id: randomBytes(4).toString('hex') });
}

// ---- what it saw ----------------------------------------------------------------------------------

function pairs(raw) {
  return Array.from({ length: raw.length / 2 }, (_, i) => [raw[2 * i], raw[2 * i + 1]]);
}

function headersOf(request) {
  // Of HTTP/2 the raw ones have pseudo-headers first.
  return pairs(request.rawHeaders);
}

const handler = (kind) => (request, response) => {
  const seen = { n: count += 1, kind, method: request.method, url: request.url, version: request.httpVersion,
    headers: headersOf(request), port: request.socket?.remotePort };
  const certificate = request.socket?.getPeerCertificate?.();
  if (certificate?.subject) seen.client = certificate.subject.CN;
  log({ event: 'request', ...seen });
  const hash = createHash('sha256');
  const kept = [];
  let bytes = 0;
  const isUpload = request.url.startsWith('/upload');
  request.on('data', (part) => {
    hash.update(part);
    bytes += part.length;
    if (!isUpload && bytes <= BODY_KEPT) kept.push(part);
  });
  request.on('end', () => {
    seen.sha256 = hash.digest('hex');
    seen.bytes = bytes;
    seen.trailers = pairs(request.rawTrailers);
    seen.body = Buffer.concat(kept);
    log({ event: 'end', n: seen.n, bytes, sha256: seen.sha256, trailers: seen.trailers });
    answer(request, response, seen).catch((error) => { console.error(error); response.destroy?.(); });
  });
  request.on('error', () => {});
  request.on('aborted', () => log({ event: 'aborted', n: seen.n, bytes }));
  response.on('error', () => {});
  response.on('close', () => { if (!response.writableFinished) log({ event: 'unanswered', n: seen.n, url: seen.url }); });
};

function refused(kind) {
  return (error, socket) => {
    if (error.code !== 'ECONNRESET') {
      log({ event: 'malformed', kind, code: error.code, raw: error.rawPacket?.toString('latin1') });
    }
    if (socket.writable) socket.end('HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n');
  };
}

// ---- WebSocket ------------------------------------------------------------------------------------

// Says what it hears; "burst N": N messages; "close": closes.
const sockets = new WebSocketServer({ noServer: true, maxPayload: 64 << 20 });

function upgrade(kind) {
  return (request, socket, head) => {
    log({ event: 'request', n: count += 1, kind, method: request.method, url: request.url, version: request.httpVersion,
      headers: pairs(request.rawHeaders), upgrade: request.headers.upgrade });
    if (!request.url.startsWith('/ws')) { socket.end('HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n'); return; }
    sockets.handleUpgrade(request, socket, head, (client) => {
      client.on('message', (data, isBinary) => {
        log({ event: 'message', text: isBinary ? undefined : data.toString(), bytes: data.length });
        const burst = /^burst (\d+)$/.exec(isBinary ? '' : data.toString());
        if (!isBinary && data.toString() === 'close') client.close(4001, 'as asked');
        else if (burst) for (let i = 0; i < Number(burst[1]); i++) client.send(JSON.stringify({ n: i, email: `c${i}@example.org` }));
        else client.send(data, { binary: isBinary });
      });
      client.on('error', () => {});
    });
  };
}

const LIMITS = { maxHeaderSize: 128 << 10, keepAliveTimeout: 600_000, requestTimeout: 0, headersTimeout: 600_000 };
const servers = {
  h1: http.createServer(LIMITS, handler('h1')),
  tls: http2.createSecureServer({ ...tls, ...LIMITS, allowHTTP1: true }, handler('tls')),
  mtls: http2.createSecureServer({ ...tls, ...LIMITS, allowHTTP1: true, requestCert: true, rejectUnauthorized: true },
    handler('mtls')),
  h2c: http2.createServer(handler('h2c')),
};
const ports = {};
for (const [kind, server] of Object.entries(servers)) {
  server.on('clientError', refused(kind));
  server.on('upgrade', upgrade(kind));
  server.on('sessionError', () => {});
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  ports[kind] = server.address().port;
}
console.log(JSON.stringify(ports));
process.stdin.resume();
process.stdin.on('end', () => process.exit(0));
process.on('uncaughtException', (error) => console.error(error));
