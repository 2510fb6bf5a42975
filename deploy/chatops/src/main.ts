#!/usr/bin/env node
// chaperone-chatops slack|webhook [--config FILE]
import { join } from 'node:path';
import { parseArgs } from 'node:util';

import type { Approvals } from './core/client.js';
import { readCore, readDocument, type CoreConfig } from './core/config.js';
import { Health } from './core/health.js';
import { errorText, Log } from './core/log.js';
import type { Bot } from './slack/bot.js';
import { readSlack } from './slack/config.js';
import { readWebhook, type Receiver } from './webhook/config.js';

const USAGE = `Usage: chaperone-chatops slack|webhook [--config FILE]

  slack      held operations as Slack messages, decided there by people
  webhook    every change of a held operation, to signed webhooks, Teams, PagerDuty

Each value of the configuration can also come from the environment: slack.channel from
CHAPERONE_CHATOPS_SLACK_CHANNEL. docs/chatops.md has them all.
`;
const GRACE_MS = 10_000; // for what is on its way when it is told to stop

// The libraries of the one bot are loaded when its configuration is known to be good.
type Make = (approvals: Approvals, core: CoreConfig, log: Log, signal: AbortSignal) => Promise<Bot>;

function makeWebhookBot(receivers: Receiver[]): Make {
  return async (approvals, core, log, signal) => {
    const { Follow } = await import('./core/follow.js');
    const { Notifier } = await import('./webhook/notifier.js');
    const follows = receivers.map((receiver) => new Follow(approvals, new Notifier(receiver, core.state_dir, log),
      join(core.state_dir, `webhook-cursor-${receiver.name}.json`), log));
    return {
      parts: { controlplane: () => follows.every((follow) => follow.isConnected()) },
      run: async () => { await Promise.all(follows.map((follow) => follow.run(signal))); },
    };
  };
}

function readConfig(kind: string, path: string | undefined): { core: CoreConfig; make: Make } {
  const root = readDocument(path, process.env);
  const core = readCore(root);
  let make: Make;
  if (kind === 'slack') {
    const slack = readSlack(root.part('slack'));
    make = async (approvals, { state_dir }, log, signal) => {
      const { makeSlackBot } = await import('./slack/bot.js');
      return makeSlackBot(slack, approvals, state_dir, log, signal);
    };
    root.skip('webhook'); // of the other bot, which may share the file
  } else {
    make = makeWebhookBot(readWebhook(root.part('webhook')));
    root.skip('slack');
  }
  root.finish();
  return { core, make };
}

async function run(core: CoreConfig, make: Make): Promise<void> {
  const log = new Log(core.log_level, (line) => process.stderr.write(line));
  // Node's own, which would break the log's lines.
  process.removeAllListeners('warning');
  process.on('warning', (warning) => log.debug('node_warning', { text: warning.message }));
  const stop = new AbortController();
  const { Approvals } = await import('./core/client.js');
  const approvals = new Approvals(core.endpoint, core.tokens);
  const bot = await make(approvals, core, log, stop.signal);
  const health = core.health && await Health.listen(core.health.host, core.health.port, bot.parts);
  const end = (signal: NodeJS.Signals): void => {
    log.info('stopping', { signal });
    stop.abort();
    // What does not end comes again at the next start: the cursor has not moved.
    setTimeout(() => process.exit(0), GRACE_MS).unref();
  };
  process.once('SIGTERM', end);
  process.once('SIGINT', end);
  log.info('started', { controlplane: core.endpoint.address, ...(health ? { health_port: health.port() } : {}) });
  await bot.run();
  approvals.close();
  await health?.close();
  log.info('stopped');
}

async function main(): Promise<number> {
  let kind: string | undefined;
  let config;
  try {
    const { values, positionals } = parseArgs({
      allowPositionals: true, options: { config: { type: 'string' }, help: { type: 'boolean', short: 'h' } },
    });
    if (values.help) {
      process.stdout.write(USAGE);
      return 0;
    }
    kind = positionals[0];
    if (positionals.length !== 1 || (kind !== 'slack' && kind !== 'webhook')) throw new Error('slack or webhook?');
    config = readConfig(kind, values.config);
  } catch (error) {
    process.stderr.write(`chaperone-chatops: ${errorText(error)}${kind === undefined ? `\n${USAGE}` : '\n'}`);
    return 2;
  }
  await run(config.core, config.make);
  return 0;
}

main().then((status) => process.exit(status), (error: unknown) => {
  process.stderr.write(`chaperone-chatops: ${errorText(error)}\n`);
  process.exit(1);
});
