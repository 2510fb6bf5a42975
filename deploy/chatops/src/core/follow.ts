// Every change, once at least, in order: the cursor is written down only after the change was dealt with, so that
// what was missed while the bot was away, or in the middle of when it died, comes again.
import grpc from '@grpc/grpc-js';

import type { HeldOperation } from './api.js';
import { Backoff } from './backoff.js';
import { isServiceError, type Approvals } from './client.js';
import { readJson, writeJson } from './files.js';
import { errorText, type Log } from './log.js';

const FIRST_MS = 250;
const LONGEST_MS = 15_000;

export interface Follower {
  name: string;  // in the log
  handle(approval: HeldOperation, signal: AbortSignal): Promise<void>;
  // The changes since the cursor cannot be had any more: what is known must be compared. May be absent.
  resync?(signal: AbortSignal): Promise<void>;
}

class Cursor {
  private value: bigint | undefined;

  constructor(private readonly path: string) {
    const kept = readJson(path) as { cursor?: unknown } | undefined;
    if (kept === undefined) return;
    if (typeof kept.cursor !== 'string' || !/^\d{1,20}$/.test(kept.cursor)) throw new Error(`${path} has no cursor`);
    this.value = BigInt(kept.cursor);
  }

  get(): string | undefined {
    return this.value?.toString();
  }

  advance(cursor: string): void {
    const next = BigInt(cursor);
    // 0 is what a list of what waits has before its last: whoever goes away before that begins it again.
    if (next <= (this.value ?? 0n)) return;
    writeJson(this.path, { cursor });
    this.value = next;
  }

  // There was nothing yet: all that comes is new.
  begin(): void {
    writeJson(this.path, { cursor: '0' });
    this.value = 0n;
  }

  forget(): void {
    this.value = undefined;
  }
}

export class Follow {
  private readonly cursor: Cursor;
  private is_watching = false;
  private is_open = false; // the server's first word came; of a quiet one that may take long

  constructor(private readonly approvals: Approvals, private readonly follower: Follower, cursor_path: string,
    private readonly log: Log) {
    this.cursor = new Cursor(cursor_path);
  }

  isConnected(): boolean {
    return this.is_watching && this.approvals.isReady();
  }

  // Returns when `signal` says so.
  async run(signal: AbortSignal): Promise<void> {
    const backoff = new Backoff(FIRST_MS, LONGEST_MS);
    while (!signal.aborted) {
      try {
        await this.once(signal, backoff);
        if (!signal.aborted) this.log.info('watch_ended', { follower: this.follower.name });
      } catch (error) {
        await this.notice(error, signal);
      }
      this.is_watching = this.is_open = false;
      if (!signal.aborted) await backoff.wait(signal);
    }
  }

  private async once(signal: AbortSignal, backoff: Backoff): Promise<void> {
    if (this.cursor.get() === undefined && await this.approvals.isEmpty()) this.cursor.begin();
    const after = this.cursor.get();
    const opened = (): void => {
      if (this.is_open) return;
      this.is_open = true;
      backoff.reset();
      this.log.info('watch_open', { follower: this.follower.name, after: after ?? 'waiting' });
    };
    this.is_watching = true;
    const request = after === undefined ? { only_waiting: true } : { after };
    for await (const { cursor, approval } of this.approvals.watch(request, signal, opened)) {
      opened();
      if (approval !== null) await this.follower.handle(approval, signal);
      if (signal.aborted) return;
      this.cursor.advance(cursor);
    }
  }

  private async notice(error: unknown, signal: AbortSignal): Promise<void> {
    const code = isServiceError(error) ? grpc.status[error.code] : undefined;
    this.log.warn('watch_failed', { follower: this.follower.name, code, error: errorText(error) });
    // A control plane that was set up anew or restored knows no such cursor.
    if (code !== 'OUT_OF_RANGE') return;
    this.cursor.forget();
    try {
      await this.follower.resync?.(signal);
    } catch (problem) {
      this.log.warn('resync_failed', { follower: this.follower.name, error: errorText(problem) });
    }
  }
}
