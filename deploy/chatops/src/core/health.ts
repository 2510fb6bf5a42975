// GET /healthz: 200 while each part has its connection, 503 otherwise, with the name of each part.
import { once } from 'node:events';
import http from 'node:http';
import type { AddressInfo } from 'node:net';

export type Parts = Record<string, () => boolean>;

export class Health {
  private constructor(private readonly server: http.Server) {}

  static async listen(host: string, port: number, parts: Parts): Promise<Health> {
    const server = http.createServer((request, response) => answer(request, response, parts));
    server.headersTimeout = 5000;
    server.requestTimeout = 5000;
    server.listen(port, host);
    await once(server, 'listening');
    return new Health(server);
  }

  port(): number {
    return (this.server.address() as AddressInfo).port;
  }

  async close(): Promise<void> {
    const closed = once(this.server, 'close');
    this.server.close();
    this.server.closeAllConnections();
    await closed;
  }
}

function answer(request: http.IncomingMessage, response: http.ServerResponse, parts: Parts): void {
  if (request.url !== '/healthz' || !['GET', 'HEAD'].includes(request.method ?? '')) {
    response.writeHead(404).end();
    return;
  }
  const states = Object.entries(parts).map(([name, is_up]) => [name, is_up()] as const);
  const is_well = states.every(([, up]) => up);
  response.writeHead(is_well ? 200 : 503, { 'content-type': 'application/json' });
  response.end(JSON.stringify({
    status: is_well ? 'ok' : 'unavailable',
    ...Object.fromEntries(states.map(([name, up]) => [name, up ? 'connected' : 'disconnected'])),
  }));
}
