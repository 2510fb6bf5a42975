// One receiver: every change to it at least once, in order. What it does not take goes to the dead letters, so that
// one change that cannot be delivered does not keep back all others. A receiver that is down holds up nobody else:
// each has a Watch and a cursor of its own.
import { join } from 'node:path';

import type { HeldOperation } from '../core/api.js';
import { Backoff, pause } from '../core/backoff.js';
import { appendLine } from '../core/files.js';
import type { Follower } from '../core/follow.js';
import { errorText, type Log } from '../core/log.js';
import type { Receiver } from './config.js';
import { renderBody } from './formats.js';
import { signHeaders } from './sign.js';

const LONGEST_WAIT_MS = 5 * 60_000;
const TOLD_MAX = 10_000; // operations whose last version is remembered

interface Failure {
  reason: string;
  is_final: boolean;     // the same again would fail again
  retry_after_ms?: number;
}

// RFC 9110 section 10.2.3, in seconds.
function retryAfter(response: Response): number | undefined {
  const value = response.headers.get('retry-after');
  return value !== null && /^\d{1,6}$/.test(value) ? Math.min(Number(value) * 1000, LONGEST_WAIT_MS) : undefined;
}

export class Notifier implements Follower {
  readonly name: string;
  private readonly told = new Map<string, string>();
  private is_down = false;

  constructor(private readonly receiver: Receiver, private readonly state_dir: string, private readonly log: Log) {
    this.name = `webhook ${receiver.name}`;
  }

  async handle(approval: HeldOperation, signal: AbortSignal): Promise<void> {
    // An event tells how it is now: of several, the first has already said what the others would.
    if (!this.isWanted(approval) || this.told.get(approval.id) === approval.version) return;
    const failure = await this.deliver(approval, signal);
    if (signal.aborted && failure !== undefined) throw new Error('stopped before it was delivered');
    if (failure !== undefined) this.bury(approval, failure);
    this.is_down = failure !== undefined && !failure.is_final;
    this.remember(approval);
  }

  private isWanted(approval: HeldOperation): boolean {
    const { states, resources } = this.receiver;
    return (states.length === 0 || states.includes(String(approval.state))) &&
      (resources.length === 0 || resources.includes(approval.resource));
  }

  private remember(approval: HeldOperation): void {
    this.told.delete(approval.id);
    this.told.set(approval.id, approval.version);
    for (const oldest of this.told.keys()) {
      if (this.told.size <= TOLD_MAX) break;
      this.told.delete(oldest);
    }
  }

  private async deliver(approval: HeldOperation, signal: AbortSignal): Promise<Failure | undefined> {
    // Of one that is down, one try each tells when it is back.
    const attempts = this.is_down ? 1 : this.receiver.attempts;
    const backoff = new Backoff(this.receiver.first_wait_ms, LONGEST_WAIT_MS);
    for (let attempt = 1; ; attempt += 1) {
      const failure = await this.post(approval, signal);
      if (failure === undefined) {
        this.log.info('webhook_delivered', { receiver: this.receiver.name, approval: approval.id, attempt });
        return undefined;
      }
      this.log.warn('webhook_failed', { receiver: this.receiver.name, approval: approval.id, attempt,
        error: failure.reason });
      if (failure.is_final || attempt >= attempts || signal.aborted) return failure;
      await pause(failure.retry_after_ms ?? backoff.next(), signal);
    }
  }

  private async post(approval: HeldOperation, signal: AbortSignal): Promise<Failure | undefined> {
    const timeout = new AbortController();
    const stop = (): void => timeout.abort();
    const timer = setTimeout(stop, this.receiver.timeout_ms);
    signal.addEventListener('abort', stop, { once: true });
    try {
      const body = renderBody(approval, this.receiver);
      const response = await fetch(this.receiver.url(), {
        method: 'POST', body, redirect: 'manual', signal: timeout.signal,
        headers: {
          'content-type': 'application/json', 'user-agent': 'chaperone-chatops', ...this.sign(approval, body),
        },
      });
      await response.body?.cancel();
      return this.judge(response);
    } catch (error) {
      return { reason: timeout.signal.aborted ? 'no answer in time' : errorText(error), is_final: false };
    } finally {
      clearTimeout(timer);
      signal.removeEventListener('abort', stop);
    }
  }

  private sign(approval: HeldOperation, body: string): Record<string, string> {
    const secret = this.receiver.secret?.();
    if (secret === undefined) return {};
    // The same for each try and after a restart: the receiver knows a second one by it.
    const id = `apr_${approval.id}_${approval.version}`;
    return signHeaders(secret, id, Math.floor(Date.now() / 1000), body);
  }

  private judge(response: Response): Failure | undefined {
    if (response.ok) return undefined;
    const { status } = response;
    const retry_after_ms = retryAfter(response);
    const is_final = status < 500 && ![408, 425, 429].includes(status);
    return { reason: `HTTP ${status}`, is_final, ...(retry_after_ms === undefined ? {} : { retry_after_ms }) };
  }

  private bury(approval: HeldOperation, failure: Failure): void {
    const body = renderBody(approval, this.receiver);
    appendLine(join(this.state_dir, `dead-letters-${this.receiver.name}.jsonl`), JSON.stringify({
      time: new Date().toISOString(), id: `apr_${approval.id}_${approval.version}`, error: failure.reason,
      body: this.receiver.format === 'pagerduty' ? undefined : JSON.parse(body) as unknown, // its body has the key
    }));
    this.log.error('webhook_dead_letter', {
      receiver: this.receiver.name, approval: approval.id, error: failure.reason,
    });
  }
}
