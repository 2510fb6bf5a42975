// What a button and a dialog carry, so that a click is understood without memory: which operation, and what of it the
// person was shown.
import { createHash } from 'node:crypto';

import type { HeldOperation } from '../core/api.js';

export interface Ask {
  id: string;
  version: string;
  seen: string;          // of everything shown but who decided so far
  needs_reason: boolean;
  forbids_linked: boolean;
}

export interface Dialog {
  ask: Ask;
  channel: string;
  message: string;       // its timestamp, which is its name
  approve?: boolean;     // absent: the dialog asks
  by_login: boolean;
}

// Decisions of others change the version, too, but not what one decides on.
export function fingerprint(approval: HeldOperation): string {
  const { id, digest, prediction, locks, resource, terms, intent } = approval;
  const shown = JSON.stringify([id, digest.toString('hex'), prediction, locks, resource, terms,
    intent?.text.toString('hex')]);
  return createHash('sha256').update(shown).digest('base64url').slice(0, 22);
}

export function askOf(approval: HeldOperation): Ask {
  return {
    id: approval.id, version: approval.version, seen: fingerprint(approval),
    needs_reason: approval.terms?.needs_reason ?? true, forbids_linked: approval.terms?.forbids_linked ?? true,
  };
}

export function parseAsk(text: string): Ask {
  const ask = JSON.parse(text) as Partial<Ask>;
  if (typeof ask.id !== 'string' || !/^[0-9a-f-]{36}$/.test(ask.id) || !/^\d{1,20}$/.test(ask.version ?? '') ||
    typeof ask.seen !== 'string' || typeof ask.needs_reason !== 'boolean' || typeof ask.forbids_linked !== 'boolean')
    throw new Error('a button of another bot');
  return ask as Ask;
}

export function parseDialog(text: string): Dialog {
  const dialog = JSON.parse(text) as Partial<Dialog>;
  if (typeof dialog.channel !== 'string' || typeof dialog.message !== 'string' ||
    typeof dialog.by_login !== 'boolean' || (dialog.approve !== undefined && typeof dialog.approve !== 'boolean'))
    throw new Error('a dialog of another bot');
  return { ...dialog, ask: parseAsk(JSON.stringify(dialog.ask)) } as Dialog;
}
