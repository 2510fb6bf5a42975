// Socket Mode, kept open. The library's own reconnection ends in an unhandled rejection when Slack is away for long,
// so it is told to leave that to this loop.
import { SocketModeClient } from '@slack/socket-mode';
import { LogLevel, type Logger } from '@slack/web-api';

import { Backoff } from '../core/backoff.js';
import { errorText, type Log } from '../core/log.js';
import type { Ack } from './clicks.js';

const FIRST_MS = 250;
const LONGEST_MS = 30_000;
const OPEN_TIMEOUT_MS = 30_000;

export interface Listener {
  interactive(body: unknown, ack: Ack): Promise<void>;
  command(body: unknown, ack: Ack): Promise<void>;
}

interface Envelope {
  body: unknown;
  ack: Ack;
}

// What Slack's libraries say, in our log; at debug their text holds whole payloads, which no log may have.
export function libraryLog(log: Log): Logger {
  const say = (level: 'info' | 'warn') => (...words: unknown[]): void =>
    log[level]('slack_library', { text: words.map(String).join(' ') });
  return {
    debug: () => {}, info: () => {}, warn: say('info'), error: say('warn'),
    setLevel: () => {}, getLevel: () => LogLevel.WARN, setName: () => {},
  };
}

export class Socket {
  private is_open = false;
  private readonly pending = new Set<Promise<void>>(); // what people did and were not answered yet

  constructor(private readonly app_token: () => string, private readonly api_url: string | undefined,
    private readonly listener: Listener, private readonly log: Log) {}

  isOpen(): boolean {
    return this.is_open;
  }

  // Returns when `signal` says so, and everybody who clicked was answered.
  async run(signal: AbortSignal): Promise<void> {
    const backoff = new Backoff(FIRST_MS, LONGEST_MS);
    while (!signal.aborted) {
      try {
        await this.once(signal, backoff);
      } catch (error) {
        this.log.warn('slack_socket_failed', { error: errorText(error) });
      }
      this.is_open = false;
      if (!signal.aborted) await backoff.wait(signal);
    }
    await Promise.all(this.pending);
  }

  private async once(signal: AbortSignal, backoff: Backoff): Promise<void> {
    const client = new SocketModeClient({
      appToken: this.app_token(), autoReconnectEnabled: false, logger: libraryLog(this.log),
      clientOptions: { retryConfig: { retries: 0 }, ...(this.api_url ? { slackApiUrl: this.api_url } : {}) },
    });
    const ended = new Promise<void>((done) => {
      client.once('disconnected', () => done());
      signal.addEventListener('abort', () => done(), { once: true });
    });
    this.listen(client);
    try {
      const is_open = await this.open(client, ended);
      if (signal.aborted) return;
      if (!is_open) throw new Error('the connection ended before Slack said hello');
      this.is_open = true;
      backoff.reset();
      this.log.info('slack_socket_open');
      await ended;
    } finally {
      client.disconnect().catch(() => {});
    }
  }

  // False where it ended first.
  private async open(client: SocketModeClient, ended: Promise<void>): Promise<boolean> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, fail) => {
      timer = setTimeout(() => fail(new Error('Slack did not say hello')), OPEN_TIMEOUT_MS);
    });
    const started = client.start();
    started.catch(() => {}); // where another of them was first
    try {
      return await Promise.race([started.then(() => true), ended.then(() => false), late]);
    } finally {
      clearTimeout(timer);
    }
  }

  private listen(client: SocketModeClient): void {
    const handle = (work: (body: unknown, ack: Ack) => Promise<void>) => ({ body, ack }: Envelope): void => {
      const done = work(body, ack)
        .catch((error: unknown) => this.log.error('slack_event_failed', { error: errorText(error) }))
        .finally(() => this.pending.delete(done));
      this.pending.add(done);
    };
    client.on('interactive', handle((body, ack) => this.listener.interactive(body, ack)));
    client.on('slash_commands', handle((body, ack) => this.listener.command(body, ack)));
  }
}
