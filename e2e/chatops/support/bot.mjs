// A bot as a process of its own, as it is shipped.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

import { Changes } from './changes.mjs';

const PROGRAM = resolve(fileURLToPath(import.meta.url), '../../../../deploy/chatops/dist/main.js');

export class Bot extends Changes {
  events = [];  // its log
  text = '';

  static run(kind, config, env = {}) {
    const bot = new Bot();
    bot.process = spawn(process.execPath, [PROGRAM, kind, '--config', config],
      { stdio: ['ignore', 'inherit', 'pipe'], env: { PATH: process.env.PATH, ...env } });
    // When it has ended and all that it said is here.
    bot.exited = once(bot.process, 'close').then(([code, signal]) => code ?? signal);
    bot.exited.then(() => { bot.isGone = true; bot.changed(); });
    createInterface({ input: bot.process.stderr }).on('line', (line) => {
      bot.text += `${line}\n`;
      try {
        bot.events.push(JSON.parse(line));
      } catch {
        // A message for whoever started it; `text` has it.
      }
      bot.changed();
    });
    return bot;
  }

  async logged(event, fields = {}) {
    return await this.until(() => {
      const found = this.events.find((e) => e.event === event && Object.entries(fields).every(([k, v]) => e[k] === v));
      if (!found && this.isGone) throw new Error(`the bot has ended:\n${this.text}`);
      return found;
    }, `${event} in the log`);
  }

  healthPort() {
    return this.events.find((e) => e.event === 'started').health_port;
  }

  async stop() {
    if (!this.isGone) this.process.kill('SIGTERM');
    return await this.exited;
  }

  async kill() {
    if (!this.isGone) this.process.kill('SIGKILL');
    return await this.exited;
  }
}
