// The messages in the channels: one for each held operation, which follows it to its end.
import type { WebClient } from '@slack/web-api';

import { isEnded, type HeldOperation } from '../core/api.js';
import type { Log } from '../core/log.js';
import { renderBare, renderMessage, type Look, type Message } from './blocks.js';
import { channelFor, type SlackConfig } from './config.js';
import type { Messages } from './messages.js';

// Slack will say the same again.
const BAD_MESSAGE = ['invalid_blocks', 'invalid_blocks_format', 'msg_too_long', 'msg_blocks_too_long'];
const BAD_CHANNEL = ['channel_not_found', 'not_in_channel', 'is_archived', 'restricted_action'];
const GONE = ['message_not_found', 'cant_update_message', 'edit_window_closed', ...BAD_CHANNEL];

export function slackError(error: unknown): string | undefined {
  const data = (error as { data?: { error?: unknown } } | null)?.data;
  return typeof data?.error === 'string' ? data.error : undefined;
}

function isOneOf(error: unknown, errors: readonly string[]): boolean {
  return errors.includes(slackError(error) ?? '');
}

export class Board {
  private turn: Promise<unknown> = Promise.resolve();

  constructor(private readonly slack: WebClient, private readonly messages: Messages,
    private readonly config: SlackConfig, private readonly log: Log) {}

  // A change, in the order of the Watch: the only thing that makes a new message.
  show(approval: HeldOperation): Promise<void> {
    return this.inTurn(async () => {
      if (this.messages.get(approval.id) !== undefined) await this.update(approval);
      else if (approval.state === 'WAITING') await this.post(approval);
    });
  }

  // News from elsewhere, which may be older than what is shown.
  refresh(approval: HeldOperation): Promise<void> {
    return this.inTurn(() => this.update(approval));
  }

  // A message that this bot does not remember: it died between posting and writing that down.
  refreshForgotten(approval: HeldOperation, channel: string, message: string): Promise<void> {
    return this.inTurn(() => this.write(approval, channel, message));
  }

  openIds(): string[] {
    return this.messages.ids();
  }

  forget(id: string): void {
    this.messages.delete(id);
    this.log.warn('slack_message_forgotten', { approval: id });
  }

  private inTurn(work: () => Promise<void>): Promise<void> {
    const done = this.turn.then(work);
    this.turn = done.catch(() => {});
    return done;
  }

  private look(): Look {
    return { has_login: this.config.device !== undefined, approves_truncated: this.config.approves_truncated };
  }

  private async post(approval: HeldOperation): Promise<void> {
    const channel = channelFor(this.config, approval.resource);
    const message = await this.postTo(channel, approval).catch((error: unknown) => {
      if (channel === this.config.channel || !isOneOf(error, BAD_CHANNEL)) throw error;
      this.log.error('slack_route_failed', { channel, error: slackError(error) });
      return this.postTo(this.config.channel, approval);
    });
    this.messages.set(approval.id, { ...message, version: approval.version });
    this.log.info('slack_message_posted', { approval: approval.id, channel: message.channel });
  }

  private async postTo(channel: string, approval: HeldOperation): Promise<{ channel: string; message: string }> {
    const send = async (message: Message): Promise<{ channel: string; message: string }> => {
      const answer = await this.slack.chat.postMessage({
        channel, ...message, parse: 'none', link_names: false, unfurl_links: false, unfurl_media: false,
      });
      if (answer.ts === undefined) throw new Error('Slack gave the message no timestamp');
      return { channel: answer.channel ?? channel, message: answer.ts };
    };
    try {
      return await send(renderMessage(approval, this.look()));
    } catch (error) {
      if (!isOneOf(error, BAD_MESSAGE)) throw error;
      this.log.error('slack_message_refused', { approval: approval.id, error: slackError(error) });
      return send(renderBare(approval));
    }
  }

  private async update(approval: HeldOperation): Promise<void> {
    const posted = this.messages.get(approval.id);
    if (posted === undefined) return;
    if (BigInt(approval.version) > BigInt(posted.version)) {
      await this.write(approval, posted.channel, posted.message);
      this.messages.set(approval.id, { ...posted, version: approval.version });
    }
    if (isEnded(approval.state)) this.messages.delete(approval.id);
  }

  private async write(approval: HeldOperation, channel: string, ts: string): Promise<void> {
    const send = (message: Message) =>
      this.slack.chat.update({ channel, ts, ...message, parse: 'none', link_names: false });
    try {
      await send(renderMessage(approval, this.look())).catch((error: unknown) => {
        if (!isOneOf(error, BAD_MESSAGE)) throw error;
        return send(renderBare(approval));
      });
      this.log.info('slack_message_updated', { approval: approval.id, state: String(approval.state) });
    } catch (error) {
      if (!isOneOf(error, GONE)) throw error;
      this.log.error('slack_message_lost', { approval: approval.id, channel, error: slackError(error) });
    }
  }
}
