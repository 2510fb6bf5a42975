import { readSecret } from '../core/files.js';
import { requireSecure } from '../core/oidc.js';
import type { Section } from '../core/section.js';
import { keyOf } from './sign.js';

export const FORMATS = ['json', 'teams', 'pagerduty'] as const;
export type Format = (typeof FORMATS)[number];

export interface Receiver {
  name: string;
  url: () => string;
  format: Format;
  secret?: () => string;       // of the signature; needed for json
  routing_key?: () => string;  // of PagerDuty
  states: string[];            // empty: all
  resources: string[];         // empty: all
  has_statement: boolean;      // statement, parameters and plan are sent
  attempts: number;
  first_wait_ms: number;
  timeout_ms: number;
}

// `url`, or `url_file`: of Teams, the address alone lets one post.
function readUrl(section: Section): () => string {
  const plain = section.optional('url');
  const path = section.optional('url_file');
  if ((plain === undefined) === (path === undefined))
    throw section.wrong('url', 'or url_file is needed, and one of them');
  const url = path === undefined ? (): string => plain ?? '' : (): string => readSecret(path);
  requireSecure(url());
  return url;
}

function readReceiver(section: Section): Receiver {
  const name = section.text('name');
  if (!/^[a-z0-9-]{1,40}$/.test(name)) throw section.wrong('name', 'is not of a-z, 0-9 and -');
  const format = section.choice('format', FORMATS, 'json');
  const url = readUrl(section);
  const secret = format === 'json' ? section.needSecret('secret') : section.secret('secret');
  if (secret) keyOf(secret());
  const routing_key = format === 'pagerduty' ? section.needSecret('routing_key') : undefined;
  return {
    name, url, format, ...(secret ? { secret } : {}), ...(routing_key ? { routing_key } : {}),
    states: section.texts('states').map((state) => state.toUpperCase()), resources: section.texts('resources'),
    has_statement: section.flag('statement', true),
    attempts: section.count('attempts', 8, 1, 50),
    first_wait_ms: section.count('first_wait_ms', 1000, 1, 600_000),
    timeout_ms: section.count('timeout_ms', 10_000, 10, 120_000),
  };
}

export function readWebhook(section: Section): Receiver[] {
  const receivers = section.list('receivers').map(readReceiver);
  if (receivers.length === 0) throw section.wrong('receivers', 'is empty');
  if (new Set(receivers.map((r) => r.name)).size < receivers.length)
    throw section.wrong('receivers', 'has a name twice'); // it is also the cursor's
  return receivers;
}
