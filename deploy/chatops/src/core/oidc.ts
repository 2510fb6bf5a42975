// What this bot asks of an OpenID provider: its own token (RFC 6749 section 4.4), and a person's by the device
// flow (RFC 8628). Tokens are not looked into here: the control plane checks them.
import { pause } from './backoff.js';

export interface OidcClient {
  issuer: string;
  client_id: string;
  client_secret?: () => string;
  scope?: string;
  audience?: string;  // as some providers name the API
  resource?: string;  // RFC 8707
  use: 'access_token' | 'id_token';  // which of them the control plane takes
}

export interface Token {
  value: string;
  expires_ms: number;
}

export interface DeviceLogin {
  url: string;          // where the person logs in
  user_code: string;
  expires_ms: number;
  token: Promise<Token>;  // rejects with what to tell the person
}

export class OidcError extends Error {
  constructor(readonly code: string, message: string) {
    super(message);
  }
}

const TIMEOUT_MS = 10_000;
const LONGEST_ANSWER = 1 << 20;
const DEVICE_GRANT = 'urn:ietf:params:oauth:grant-type:device_code';
const INTERVAL_S = 5;  // RFC 8628 section 3.2
const SLOW_DOWN_S = 5; // section 3.5
const SHORTEST_LIFE_S = 30;

type Answer = Record<string, unknown>;

async function ask(url: string, options: RequestInit, signal?: AbortSignal): Promise<{ ok: boolean; body: Answer }> {
  const timeout = AbortSignal.timeout(TIMEOUT_MS);
  const both = new AbortController();
  const stop = (): void => both.abort();
  for (const s of [timeout, signal]) s?.addEventListener('abort', stop, { once: true });
  if (signal?.aborted) stop();
  try {
    const response = await fetch(url, { ...options, redirect: 'error', signal: both.signal });
    const text = await response.text();
    if (text.length > LONGEST_ANSWER) throw new Error('the answer is too long');
    const body: unknown = JSON.parse(text);
    if (typeof body !== 'object' || body === null) throw new Error('the answer is no JSON object');
    return { ok: response.ok, body: body as Answer };
  } finally {
    signal?.removeEventListener('abort', stop);
  }
}

function text(body: Answer, name: string): string | undefined {
  const value = body[name];
  return typeof value === 'string' && value !== '' ? value : undefined;
}

function needText(body: Answer, name: string): string {
  const value = text(body, name);
  if (value === undefined) throw new OidcError('invalid_answer', `the OpenID provider's answer has no ${name}`);
  return value;
}

function seconds(body: Answer, name: string, otherwise: number): number {
  const value = body[name];
  return typeof value === 'number' && Number.isFinite(value) && value > 0 ? value : otherwise;
}

// http only where nobody can listen in.
export function requireSecure(url: string): string {
  const { protocol, hostname } = new URL(url);
  const is_local = ['localhost', '127.0.0.1', '[::1]'].includes(hostname);
  if (protocol !== 'https:' && !(protocol === 'http:' && is_local)) throw new Error(`${url} is not https`);
  return url;
}

async function discover(client: OidcClient, endpoint: string): Promise<string> {
  const issuer = client.issuer.replace(/\/$/, '');
  const { ok, body } = await ask(`${requireSecure(issuer)}/.well-known/openid-configuration`, {});
  // OpenID Connect Discovery 1.0 section 4.3: the issuer must be the one that was asked.
  if (!ok || text(body, 'issuer')?.replace(/\/$/, '') !== issuer)
    throw new OidcError('discovery', `${issuer} gives no discovery document of its own`);
  return requireSecure(needText(body, endpoint));
}

function form(client: OidcClient, fields: Record<string, string>): RequestInit {
  const secret = client.client_secret?.();
  const body = new URLSearchParams({ ...fields, client_id: client.client_id });
  if (secret) body.set('client_secret', secret);
  return { method: 'POST', body, headers: { accept: 'application/json' } };
}

function target(client: OidcClient): Record<string, string> {
  const { scope, audience, resource } = client;
  return { ...(scope ? { scope } : {}), ...(audience ? { audience } : {}), ...(resource ? { resource } : {}) };
}

function tokenOf(client: OidcClient, body: Answer): Token {
  return {
    value: needText(body, client.use),
    expires_ms: Date.now() + seconds(body, 'expires_in', SHORTEST_LIFE_S) * 1000,
  };
}

function refusal(body: Answer): OidcError {
  const code = text(body, 'error') ?? 'unknown';
  return new OidcError(code, `the OpenID provider says: ${text(body, 'error_description') ?? code}`);
}

export async function getClientToken(client: OidcClient): Promise<Token> {
  const endpoint = await discover(client, 'token_endpoint');
  const { ok, body } = await ask(endpoint, form(client, { grant_type: 'client_credentials', ...target(client) }));
  if (!ok) throw refusal(body);
  return tokenOf(client, body);
}

export async function startDeviceLogin(client: OidcClient, signal: AbortSignal): Promise<DeviceLogin> {
  const endpoint = await discover(client, 'device_authorization_endpoint');
  const { ok, body } = await ask(endpoint, form(client, target(client)), signal);
  if (!ok) throw refusal(body);
  const device_code = needText(body, 'device_code');
  const expires_ms = Date.now() + seconds(body, 'expires_in', SHORTEST_LIFE_S) * 1000;
  const token = poll(client, device_code, seconds(body, 'interval', INTERVAL_S), expires_ms, signal);
  token.catch(() => {}); // whoever asked looks at it later
  return {
    url: requireSecure(text(body, 'verification_uri_complete') ?? needText(body, 'verification_uri')),
    user_code: needText(body, 'user_code'), expires_ms, token,
  };
}

async function poll(client: OidcClient, device_code: string, interval_s: number, expires_ms: number,
  signal: AbortSignal): Promise<Token> {
  const endpoint = await discover(client, 'token_endpoint');
  const request = { grant_type: DEVICE_GRANT, device_code, ...(client.resource ? { resource: client.resource } : {}) };
  let wait_s = interval_s;
  for (;;) {
    await pause(wait_s * 1000, signal);
    if (signal.aborted) throw new OidcError('aborted', 'the login was ended');
    if (Date.now() >= expires_ms) throw new OidcError('expired_token', 'nobody logged in in time');
    let answer;
    try {
      answer = await ask(endpoint, form(client, request), signal);
    } catch {
      wait_s *= 2; // section 3.5: on a connection timeout, exponential backoff
      continue;
    }
    if (answer.ok) return tokenOf(client, answer.body);
    const refused = refusal(answer.body);
    if (refused.code === 'slow_down') wait_s += SLOW_DOWN_S;
    else if (refused.code !== 'authorization_pending') throw refused;
  }
}
