// Makes a sidecar's calls as whoever has stolen its key and certificate: once each.
// Arguments: HOST:PORT, the CA's certificate, the stolen certificate and key, a PKCS#10 request for that key
// (DER). Prints for each call its code and message.
import fs from 'node:fs';
import grpc from '@grpc/grpc-js';

const [server, ca, certificate, key, csr] = process.argv.slice(2);
const credentials = grpc.credentials.createSsl(fs.readFileSync(ca), fs.readFileSync(key), fs.readFileSync(certificate));
const client = new grpc.Client(server, credentials);
const bytes = (message) => message;

// RenewRequest: field 1, the request.
const der = fs.readFileSync(csr);
const size = der.length < 128 ? [der.length] : [0x80 | (der.length & 0x7f), der.length >> 7];
const renewal = Buffer.concat([Buffer.from([0x0a, ...size]), der]);

const call = (method, request) => new Promise((resolve) => {
  client.makeUnaryRequest(`/chaperone.v1.${method}`, bytes, bytes, request, (error) => {
    resolve({ method, code: grpc.status[error?.code ?? grpc.status.OK], message: error?.details ?? '' });
  });
});

const answers = [await call('Enrolment/Renew', renewal)];
for (const method of ['Sidecar/OpenSession', 'Sidecar/RequestApproval', 'AuditIngest/Resume']) {
  answers.push(await call(method, Buffer.alloc(0)));
}
client.close();
console.log(JSON.stringify(answers));
