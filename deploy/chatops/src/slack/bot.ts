// The Slack bot, put together.
import { join } from 'node:path';

import grpc from '@grpc/grpc-js';
import { WebClient } from '@slack/web-api';

import { isEnded } from '../core/api.js';
import { Backoff } from '../core/backoff.js';
import { isServiceError, type Approvals } from '../core/client.js';
import { Follow, type Follower } from '../core/follow.js';
import type { Parts } from '../core/health.js';
import { errorText, type Log } from '../core/log.js';
import { Board } from './board.js';
import { Clicks } from './clicks.js';
import type { SlackConfig } from './config.js';
import { Decider } from './decider.js';
import { Logins } from './logins.js';
import { Messages } from './messages.js';
import { libraryLog, Socket } from './socket.js';

export interface Bot {
  parts: Parts;
  run(): Promise<void>;
}

async function compare(board: Board, approvals: Approvals): Promise<void> {
  for (const id of board.openIds()) {
    try {
      await board.refresh(await approvals.get(id));
    } catch (error) {
      if (!isServiceError(error) || error.code !== grpc.status.NOT_FOUND) throw error;
      board.forget(id); // of the control plane that was there before
    }
  }
}

function followerOf(board: Board, logins: Logins | undefined, approvals: Approvals): Follower {
  return {
    name: 'slack',
    handle: async (approval) => {
      if (isEnded(approval.state)) logins?.forget(approval.id);
      await board.show(approval);
    },
    resync: () => compare(board, approvals),
  };
}

// Whose accounts are taken: as configured, or the workspace that the bot is installed in.
async function findTeams(slack: WebClient, config: SlackConfig, log: Log, signal: AbortSignal): Promise<string[]> {
  const backoff = new Backoff(500, 30_000);
  while (config.teams.length === 0 && !signal.aborted) {
    try {
      const { team_id } = await slack.auth.test();
      if (typeof team_id === 'string') return [team_id];
      throw new Error('auth.test names no workspace');
    } catch (error) {
      log.warn('slack_login_failed', { error: errorText(error) });
      await backoff.wait(signal);
    }
  }
  return config.teams;
}

export function makeSlackBot(config: SlackConfig, approvals: Approvals, state_dir: string, log: Log,
  signal: AbortSignal): Bot {
  const slack = new WebClient(config.bot_token(), {
    logger: libraryLog(log), retryConfig: { retries: 3, minTimeout: 500, maxTimeout: 5000 }, timeout: 10_000,
    ...(config.api_url ? { slackApiUrl: config.api_url } : {}),
  });
  const board = new Board(slack, new Messages(join(state_dir, 'slack-messages.json')), config, log);
  const decider = new Decider(approvals, signal);
  const logins = config.device ? new Logins(config.device, decider, log, signal) : undefined;
  const follow = new Follow(approvals, followerOf(board, logins, approvals), join(state_dir, 'slack-cursor.json'), log);
  let socket: Socket | undefined;
  const listen = async (): Promise<void> => {
    const teams = await findTeams(slack, config, log, signal);
    const clicks = new Clicks(slack, approvals, board, decider, logins, teams, log);
    socket = new Socket(config.app_token, config.api_url, clicks, log);
    await socket.run(signal);
  };
  return {
    parts: { controlplane: () => follow.isConnected(), slack: () => socket?.isOpen() ?? false },
    run: async () => { await Promise.all([follow.run(signal), listen()]); },
  };
}
