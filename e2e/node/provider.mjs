// A certified OpenID provider (oidc-provider) on loopback, for the tests of identity. It issues JWT access
// tokens to its clients (client_credentials, with a resource indicator as the audience). People log in at its pages
// (any name, any password) through the public client `chaperone-cli`: authorization code with PKCE on a loopback
// address, or a device code; OIDC_PEOPLE says what their tokens hold.
//
// It obeys one JSON object a line on its standard input, and answers each with one:
//   {"do": "rotate", "keep": true}   new keys; the old ones stay published, or do not
//   {"do": "stop"}, {"do": "start"}  the server, on the same port (OIDC_PORT: one that nobody gets meanwhile)
//   {"do": "pad", "bytes": N}        the key set grows by a member of that size
//   {"do": "count"}                  how often the key set was asked for
//   {"do": "lives", "seconds": N}    how long ID tokens live from now on
//   {"do": "metadata", "set": {}}    members that the discovery document has instead of its own
//   {"do": "forge", "header": {}, "claims": {}, "with": W}
//       a token that the provider would never issue; W: "key" the real one, "unknown" another one with the real
//       one's id, "stranger" one with an id of its own, "public" HMAC with the public key's PEM, "none" no signature
import { createHmac, generateKeyPairSync, createPublicKey, createPrivateKey, randomUUID } from 'node:crypto';
import { createInterface } from 'node:readline';
import { once } from 'node:events';
import http from 'node:http';
import Provider from 'oidc-provider';
import * as jose from 'jose';

const RESOURCE = 'https://chaperone.test/controlplane';
const PREFIXES = { RS256: 'rsa', PS256: 'rsa', ES256: 'ec', EdDSA: 'okp' };

// A client is an agent or a person: what its tokens say is part of its registration.
const clients = JSON.parse(process.env.OIDC_CLIENTS).map(({ id, ...claims }) => ({
  client_id: id,
  client_secret: 'the-client-secret',
  token_endpoint_auth_method: 'client_secret_post',
  grant_types: ['client_credentials'],
  redirect_uris: [],
  response_types: [],
  claims_of_tokens: claims,
}));
const DEVICE_CODE = 'urn:ietf:params:oauth:grant-type:device_code';
const people = JSON.parse(process.env.OIDC_PEOPLE ?? '{}');
const publicClient = {
  client_id: 'chaperone-cli',
  application_type: 'native',
  token_endpoint_auth_method: 'none',
  grant_types: ['authorization_code', 'refresh_token', DEVICE_CODE],
  redirect_uris: ['http://127.0.0.1/callback'],
  response_types: ['code'],
  claims_of_tokens: {},
};

function makeKeys() {
  const make = {
    rsa: () => generateKeyPairSync('rsa', { modulusLength: 2048 }),
    ec: () => generateKeyPairSync('ec', { namedCurve: 'P-256' }),
    okp: () => generateKeyPairSync('ed25519'),
  };
  return Object.entries(make).map(([name, generate]) => ({
    ...generate().privateKey.export({ format: 'jwk' }), kid: `${name}-${randomUUID()}`, use: 'sig',
  }));
}

let keys = makeKeys();
let retired = [];
let padding = 0;
let asked = 0;
let lives = 600;
let metadata = {};
let port = Number(process.env.OIDC_PORT ?? 0);
let server;

const keyFor = (alg) => keys.find((k) => k.kid.startsWith(PREFIXES[alg]));

function makeProvider() {
  const provider = new Provider(`http://127.0.0.1:${port}`, {
    clients: [...clients, publicClient],
    findAccount: (ctx, id) => ({ accountId: id, claims: () => ({ sub: id, ...people[id] }) }),
    claims: { openid: ['sub'], profile: ['name'], groups: ['groups'] },
    scopes: ['openid', 'offline_access', 'groups'],
    conformIdTokenClaims: false,
    pkce: { methods: ['S256'], required: () => true },
    ttl: { IdToken: () => lives },
    cookies: { keys: ['of the tests'] },
    jwks: { keys: [...keys, ...retired] },
    extraClientMetadata: { properties: ['claims_of_tokens'] },
    features: {
      devInteractions: { enabled: true },
      clientCredentials: { enabled: true },
      deviceFlow: { enabled: true },
      revocation: { enabled: true },
      resourceIndicators: {
        enabled: true,
        getResourceServerInfo: (ctx, resource, client) => {
          const alg = client.claims_of_tokens.alg ?? 'RS256';
          return {
            scope: '', audience: resource, accessTokenTTL: 3600, accessTokenFormat: 'jwt',
            jwt: { sign: { alg, kid: keyFor(alg).kid } },
          };
        },
      },
    },
    extraTokenClaims: (ctx, token) => {
      const { alg, acts_for: _, ...claims } = token.client.claims_of_tokens;
      return token.accountId === undefined ? claims : people[token.accountId];
    },
    formats: {
      customizers: {
        // RFC 8693 section 4.1: `sub` is on whose behalf, `act` who acts.
        jwt: (ctx, token, jwt) => {
          const party = token.client.claims_of_tokens.acts_for;
          if (party !== undefined) {
            jwt.payload.act = { sub: jwt.payload.sub, ...jwt.payload.act };
            jwt.payload.sub = party;
          }
        },
      },
    },
  });
  provider.use(async (ctx, next) => {
    await next();
    if (ctx.path === '/jwks') {
      asked += 1;
      ctx.body = padding > 0 ? { ...ctx.body, padding: 'x'.repeat(padding) } : ctx.body;
    } else if (ctx.path === '/.well-known/openid-configuration') {
      ctx.body = { ...ctx.body, ...metadata };
    }
  });
  provider.on('server_error', (ctx, error) => console.error(error));
  return provider;
}

async function start() {
  let callback;
  server = http.createServer((request, response) => callback(request, response));
  server.listen(port, '127.0.0.1');
  await once(server, 'listening');
  port = server.address().port;
  let provider = makeProvider();
  callback = (request, response) => provider.callback()(request, response);
  server.renew = () => { provider = makeProvider(); };
}

async function stop() {
  const closed = once(server, 'close');
  server.close();
  server.closeAllConnections();
  await closed;
}

const encode = (value) => Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64url');

async function forge({ header = {}, claims = {}, with: how = 'key' }) {
  const now = Math.floor(Date.now() / 1000);
  const payload = { iss: `http://127.0.0.1:${port}`, aud: RESOURCE, sub: 'agent-7', iat: now, exp: now + 600, ...claims };
  const alg = header.alg ?? 'RS256';
  const jwk = keyFor(PREFIXES[alg] ? alg : 'RS256');
  const head = { typ: 'at+jwt', kid: jwk.kid, alg, ...header };
  if (how === 'none') {
    return `${encode({ ...head, alg: 'none' })}.${encode(payload)}.`;
  }
  if (how === 'public') {
    const pem = createPublicKey(createPrivateKey({ key: jwk, format: 'jwk' })).export({ type: 'spki', format: 'pem' });
    const input = `${encode({ ...head, alg: 'HS256' })}.${encode(payload)}`;
    return `${input}.${createHmac('sha256', pem).update(input).digest('base64url')}`;
  }
  if (how === 'stranger') {
    head.kid = `stranger-${randomUUID()}`;
  }
  const key = how === 'key' ? jwk : makeKeys().find((k) => k.kty === jwk.kty);
  return new jose.SignJWT(payload).setProtectedHeader(head).sign(await jose.importJWK(key, alg));
}

const orders = {
  rotate: ({ keep }) => {
    retired = keep ? [...keys, ...retired] : [];
    keys = makeKeys();
    server.renew();
  },
  stop,
  start,
  pad: ({ bytes }) => { padding = bytes; },
  count: () => ({ asked }),
  lives: ({ seconds }) => { lives = seconds; },
  metadata: ({ set }) => { metadata = set; },
  forge: async (order) => ({ token: await forge(order) }),
};

await start();
console.log(JSON.stringify({ issuer: `http://127.0.0.1:${port}`, resource: RESOURCE }));
for await (const line of createInterface({ input: process.stdin })) {
  const order = JSON.parse(line);
  console.log(JSON.stringify({ done: order.do, ...await orders[order.do](order) }));
}
process.exit(0);
