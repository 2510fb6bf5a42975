// A Slack, a provider and an Approvals service, and the bots on them; everything is gone after the test.
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { makeCertificates } from '../../grpc-js/server.mjs';
import { ApprovalsServer, BOT } from './approvals.mjs';
import { Bot } from './bot.mjs';
import { Provider } from './provider.mjs';
import { APP_TOKEN, BOT_TOKEN, Slack } from './slack.mjs';

export class World {
  bots = [];

  static async make(test) {
    const world = new World();
    world.certificates = makeCertificates();
    world.dir = mkdtempSync(join(tmpdir(), 'chatops-'));
    world.approvals = await ApprovalsServer.start(world.certificates);
    world.slack = await Slack.start();
    world.provider = await Provider.start();
    test.after(() => world.close());
    return world;
  }

  async close() {
    for (const bot of this.bots) await bot.kill();
    this.approvals.stop();
    await this.slack.stop();
    await this.provider.stop();
    this.certificates.remove();
    rmSync(this.dir, { recursive: true });
  }

  write(name, content) {
    const path = join(this.dir, name);
    writeFileSync(path, typeof content === 'string' ? content : JSON.stringify(content), { mode: 0o600 });
    return path;
  }

  read(name) {
    const path = join(this.dir, 'state', name);
    return existsSync(path) ? readFileSync(path, 'utf8') : undefined;
  }

  // JSON is YAML.
  core(more = {}) {
    return {
      controlplane: { address: `127.0.0.1:${this.approvals.port}`, ca_file: this.certificates.path('ca.crt') },
      token: { file: this.write('token', `${BOT}\n`) }, state_dir: join(this.dir, 'state'), health: '127.0.0.1:0', ...more,
    };
  }

  slackConfig(more = {}, core = {}) {
    return this.core({
      slack: {
        app_token_file: this.write('app-token', `${APP_TOKEN}\n`), bot_token_file: this.write('bot-token', BOT_TOKEN),
        channel: 'C0OPS', routes: [{ resource: 'pay-*', channel: 'C0PAY' }], api_url: this.slack.url,
        device: { issuer: this.provider.issuer, client_id: 'chaperone-bot', scope: 'openid', resource: 'urn:chaperone' },
        ...more,
      },
      ...core,
    });
  }

  run(kind, config, env) {
    const bot = Bot.run(kind, this.write(`${kind}.yaml`, config), env);
    this.bots.push(bot);
    return bot;
  }

  async slackBot(more, core) {
    const bot = this.run('slack', this.slackConfig(more, core));
    await bot.logged('slack_socket_open');
    await this.approvals.until(() => this.approvals.streams() > 0, 'the bot watches');
    return bot;
  }

  // With everything that a person could have been shown or a log could keep.
  everything() {
    return JSON.stringify([this.slack.messages, this.slack.ephemerals, this.slack.views]) +
      this.bots.map((bot) => bot.text).join('');
  }
}

export const linked = (user) => `T0TEAM/${user}`;
