// Starts and stops the server under test, and makes the certificates for it.
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

const openssl = (directory, ...args) =>
  execFileSync('openssl', args, { cwd: directory, stdio: ['ignore', 'pipe', 'pipe'] });

// A CA, and a server and a client of it; in a directory that `remove` deletes.
export function makeCertificates() {
  const directory = mkdtempSync(join(tmpdir(), 'grpc-js-'));
  const key = (name) =>
    openssl(directory, 'genpkey', '-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-256',
      '-out', `${name}.key`);
  const sign = (name, extensions) => {
    key(name);
    writeFileSync(join(directory, `${name}.ext`), extensions);
    openssl(directory, 'req', '-new', '-key', `${name}.key`, '-subj', `/CN=${name}`,
      '-out', `${name}.csr`);
    openssl(directory, 'x509', '-req', '-in', `${name}.csr`, '-CA', 'ca.crt', '-CAkey', 'ca.key',
      '-CAcreateserial', '-days', '1', '-extfile', `${name}.ext`, '-out', `${name}.crt`);
  };
  key('ca');
  openssl(directory, 'req', '-new', '-x509', '-key', 'ca.key', '-subj', '/CN=test CA', '-days', '1',
    '-out', 'ca.crt');
  sign('server', 'subjectAltName=DNS:localhost,IP:127.0.0.1\n');
  sign('client', 'basicConstraints=CA:FALSE\n');
  return {
    path: (name) => join(directory, name),
    read: (name) => readFileSync(join(directory, name)),
    remove: () => rmSync(directory, { recursive: true }),
  };
}

export class Server {
  static async start(binary, certificates) {
    const args = ['127.0.0.1:0'];
    if (certificates)
      args.push(...['server.crt', 'server.key', 'ca.crt'].map(certificates.path));
    const server = new Server();
    server.process = spawn(binary, args, { stdio: ['pipe', 'pipe', 'inherit'] });
    server.exited = once(server.process, 'exit');
    const lines = createInterface({ input: server.process.stdout });
    const first = await Promise.race([once(lines, 'line'), server.exited]);
    const port = /^listening on (\d+)$/.exec(first[0]);
    if (!port) throw new Error(`the server did not start: ${first[0]}`);
    server.address = `127.0.0.1:${port[1]}`;
    return server;
  }

  say(line) {
    this.process.stdin.write(`${line}\n`);
  }

  residentMegabytes() {
    const status = readFileSync(`/proc/${this.process.pid}/status`, 'utf8');
    return Number(/VmRSS:\s+(\d+) kB/.exec(status)[1]) / 1024;
  }

  // Ends its input, which shuts it down; gives its exit code.
  async stop() {
    this.process.stdin.end();
    const [code] = await this.exited;
    return code;
  }

  kill() {
    this.process.kill('SIGKILL');
  }
}
