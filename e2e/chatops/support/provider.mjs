// An OpenID provider with the device flow (RFC 8628) and client credentials, as small as the bot can tell: it says who
// asked for what, and a test says when somebody logs in.
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import http from 'node:http';

import { Changes } from './changes.mjs';

export class Provider extends Changes {
  logins = new Map();   // user code: {device_code, answer}
  asked = [];           // each POST: {path, fields, time}
  interval = 0.05;      // seconds
  slowDowns = 0;
  nextToken = 'token-of-the-bot';

  static async start() {
    const provider = new Provider();
    provider.server = http.createServer((request, response) => provider.#serve(request, response));
    provider.server.listen(0, '127.0.0.1');
    await once(provider.server, 'listening');
    provider.issuer = `http://127.0.0.1:${provider.server.address().port}`;
    return provider;
  }

  async stop() {
    this.server.close();
    this.server.closeAllConnections();
    await once(this.server, 'close');
  }

  // The person behind the link logs in, or refuses.
  finish(user_code, answer) {
    this.logins.get(user_code).answer = answer;
  }

  async #serve(request, response) {
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    const fields = Object.fromEntries(new URLSearchParams(Buffer.concat(chunks).toString()));
    const path = request.url;
    if (request.method === 'POST') this.asked.push({ path, fields, time: performance.now() });
    const [status, body] = this.#answer(path, fields);
    response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
    this.changed();
  }

  #answer(path, fields) {
    if (path === '/.well-known/openid-configuration') return [200, {
      issuer: this.issuer, token_endpoint: `${this.issuer}/token`, device_authorization_endpoint: `${this.issuer}/device`,
    }];
    if (path === '/device' && fields.client_id === 'chaperone-bot') return [200, this.#begin()];
    if (path === '/token') return this.#token(fields);
    return [400, { error: 'invalid_request' }];
  }

  #begin() {
    const user_code = randomBytes(4).toString('hex').toUpperCase();
    const device_code = randomBytes(16).toString('hex');
    this.logins.set(user_code, { device_code });
    return { device_code, user_code, verification_uri: `${this.issuer}/go`, interval: this.interval, expires_in: 60,
      verification_uri_complete: `${this.issuer}/go?user_code=${user_code}&x=1` };
  }

  #token(fields) {
    if (fields.grant_type === 'client_credentials') {
      if (fields.client_secret !== 'secret-of-the-bot') return [401, { error: 'invalid_client' }];
      return [200, { access_token: this.nextToken, token_type: 'Bearer', expires_in: 3600 }];
    }
    const login = [...this.logins.values()].find((l) => l.device_code === fields.device_code);
    if (!login) return [400, { error: 'invalid_grant' }];
    if (this.slowDowns > 0) {
      this.slowDowns -= 1;
      return [400, { error: 'slow_down' }];
    }
    if (login.answer === undefined) return [400, { error: 'authorization_pending' }];
    if (login.answer.error) return [400, login.answer];
    return [200, { token_type: 'Bearer', expires_in: 300, ...login.answer }];
  }
}
