// Calls Administration.Status again and again, each time with another token that is none.
// Arguments: HOST:PORT, the CA's certificate, how often. Prints how often each code was the answer.
import fs from 'node:fs';
import grpc from '@grpc/grpc-js';

const [server, ca, times] = process.argv.slice(2);
const client = new grpc.Client(server, grpc.credentials.createSsl(fs.readFileSync(ca)));
const nothing = () => Buffer.alloc(0);
const codes = {};

const call = (n) => new Promise((resolve) => {
  const metadata = new grpc.Metadata();
  metadata.set('authorization', `Bearer not-a-token-${n}`);
  client.makeUnaryRequest('/chaperone.v1.Administration/Status', nothing, nothing, {}, metadata, {}, (error) => {
    const code = grpc.status[error?.code ?? grpc.status.OK];
    codes[code] = (codes[code] ?? 0) + 1;
    resolve();
  });
});

let next = 0;
const caller = async () => {
  while (next < Number(times)) await call(next++);
};
await Promise.all(Array.from({ length: 50 }, caller));
client.close();
console.log(JSON.stringify(codes));
