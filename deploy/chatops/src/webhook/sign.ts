// Signatures as Standard Webhooks 1.0 has them: HMAC-SHA256 over "ID.TIMESTAMP.BODY".
import { createHmac } from 'node:crypto';

const PREFIX = 'whsec_';
const SHORTEST = 24; // bytes, section "Signature scheme"
const LONGEST = 64;

export function keyOf(secret: string): Buffer {
  const encoded = secret.startsWith(PREFIX) ? secret.slice(PREFIX.length) : '';
  const key = Buffer.from(encoded, 'base64');
  const is_base64 = key.toString('base64').replace(/=+$/, '') === encoded.replace(/=+$/, '');
  if (!is_base64 || key.length < SHORTEST || key.length > LONGEST)
    throw new Error(`a webhook's secret is ${PREFIX} and ${SHORTEST} to ${LONGEST} bytes in base64`);
  return key;
}

export function signHeaders(secret: string, id: string, time_s: number, body: string): Record<string, string> {
  const mac = createHmac('sha256', keyOf(secret)).update(`${id}.${time_s}.${body}`).digest('base64');
  return { 'webhook-id': id, 'webhook-timestamp': String(time_s), 'webhook-signature': `v1,${mac}` };
}
