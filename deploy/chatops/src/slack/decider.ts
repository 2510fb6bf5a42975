// One person's word, brought to the control plane. A chat identity is not an approver: either the control plane knows
// whose account it is, or the person logs in for this one decision.
import { createHash } from 'node:crypto';

import grpc from '@grpc/grpc-js';

import type { HeldOperation } from '../core/api.js';
import { pause } from '../core/backoff.js';
import { isServiceError, type Approvals } from '../core/client.js';
import { fingerprint, type Ask } from './ask.js';

export interface Word {
  ask: Ask;
  approve: boolean;
  reason: string;
  channel: string;
  message: string;
  account: string; // "T0123/U0456", as Slack says it
}

// Nothing was decided; `message` is for the person.
export class Refused extends Error {
  constructor(message: string, readonly code: string, readonly is_over = false) {
    super(message);
  }
}

const TRIES = 4;
const PAUSE_MS = 500;
const UNSURE: readonly number[] = [grpc.status.UNAVAILABLE, grpc.status.DEADLINE_EXCEEDED, grpc.status.CANCELLED];

// The same click again, delivered twice or clicked twice, is the same decision.
function idempotencyKey(word: Word, version: string, by_login: boolean): string {
  const parts = [word.account, word.channel, word.message, word.ask.id, version, word.approve, by_login];
  return `slack-${createHash('sha256').update(JSON.stringify(parts)).digest('base64url')}`;
}

function refusalOf(error: unknown): unknown {
  if (!isServiceError(error)) return error;
  const code = grpc.status[error.code] ?? String(error.code);
  switch (error.code) {
    case grpc.status.FAILED_PRECONDITION:
    case grpc.status.NOT_FOUND:
      return new Refused(error.details, code, true);
    case grpc.status.PERMISSION_DENIED:
    case grpc.status.UNAUTHENTICATED:
    case grpc.status.INVALID_ARGUMENT:
    case grpc.status.ABORTED:
    case grpc.status.RESOURCE_EXHAUSTED:
      return new Refused(error.details, code);
    default:
      return new Refused('The control plane does not answer. Whether your decision arrived is not known: the ' +
        'message shows it if it did. To click again does not count twice.', code);
  }
}

export class Decider {
  constructor(private readonly approvals: Approvals, private readonly signal: AbortSignal) {}

  // `token`: of the person's own login; absent: by the linked account.
  async decide(word: Word, token?: string): Promise<HeldOperation> {
    let version = word.ask.version;
    for (let tries = 1; ; tries += 1) {
      try {
        return await this.once(word, version, token);
      } catch (error) {
        const code = isServiceError(error) ? error.code : undefined;
        if (tries >= TRIES || this.signal.aborted) throw refusalOf(error);
        if (code === grpc.status.ABORTED) version = await this.nextVersion(word);
        else if (code !== undefined && UNSURE.includes(code)) await pause(PAUSE_MS * tries, this.signal);
        else throw refusalOf(error);
      }
    }
  }

  private async once(word: Word, version: string, token?: string): Promise<HeldOperation> {
    return await this.approvals.decide({
      id: word.ask.id, approve: word.approve, reason: word.reason, expect_version: version,
      idempotency_key: idempotencyKey(word, version, token !== undefined),
      ...(token === undefined ? { account: { provider: 'slack', account: word.account } } : {}),
    }, token);
  }

  // It changed meanwhile. Where only another person's word was added, this one still stands; where what was shown is
  // another thing now, it must be read anew.
  private async nextVersion(word: Word): Promise<string> {
    const now = await this.approvals.get(word.ask.id).catch((error: unknown) => { throw refusalOf(error); });
    if (now.state !== 'WAITING') throw new Refused('It is not waiting any more.', 'FAILED_PRECONDITION', true);
    if (fingerprint(now) !== word.ask.seen)
      throw new Refused('It has changed since it was shown to you. Look again, and decide then.', 'ABORTED');
    return now.version;
  }
}
