// Who gets webhooks: keeps them, and answers as it is told.
import { once } from 'node:events';
import http from 'node:http';

import { Changes } from './changes.mjs';

export class Receiver extends Changes {
  got = [];      // {path, headers, body, time}
  answers = [];  // the next ones: {status, headers}; then 204

  static async start() {
    const receiver = new Receiver();
    receiver.server = http.createServer((request, response) => receiver.#serve(request, response));
    receiver.server.listen(0, '127.0.0.1');
    await once(receiver.server, 'listening');
    receiver.url = `http://127.0.0.1:${receiver.server.address().port}/hook`;
    return receiver;
  }

  async stop() {
    this.server.close();
    this.server.closeAllConnections();
    await once(this.server, 'close');
  }

  async #serve(request, response) {
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    const answer = this.answers.shift() ?? { status: 204 };
    this.got.push({ path: request.url, headers: request.headers, body: Buffer.concat(chunks).toString(),
      time: performance.now(), answered: answer.status });
    if (answer.status) response.writeHead(answer.status, answer.headers).end();
    this.changed();
  }

  count(n) {
    return this.until(() => this.got.length >= n && this.got, `${n} webhooks`);
  }
}
