// What people do: a button, a dialog, the slash command. Slack wants its acknowledgement within three seconds, so it
// gets it first; what came of it is told to the person alone.
import type { WebClient } from '@slack/web-api';

import { rfc3339 } from '../core/describe.js';
import type { Approvals } from '../core/client.js';
import { isServiceError } from '../core/client.js';
import { errorText, type Log } from '../core/log.js';
import type { DeviceLogin } from '../core/oidc.js';
import { parseAsk, parseDialog, type Dialog } from './ask.js';
import type { Board } from './board.js';
import { Refused, type Decider, type Word } from './decider.js';
import { CALLBACK, checkDialog, readDialog, renderDialog } from './dialogs.js';
import { code, link } from './escape.js';
import type { Logins } from './logins.js';
import { readClick, readCommand, readSubmission, typeOf, type Click } from './payloads.js';

export type Ack = (answer?: Record<string, unknown>) => Promise<void>;

interface Place {
  channel: string;
  user: string;
}

const LINK_DEADLINE_MS = 2500;
const HELP = 'Operations that wait for a decision come with buttons. A chat account decides nothing by itself: ' +
  '`/chaperone link` links yours to your own login, or take *Decide with my own login*.';

export class Clicks {
  private readonly busy = new Set<string>();

  // `logins` undefined: this bot offers none. `teams`: whose accounts are taken.
  constructor(private readonly slack: WebClient, private readonly approvals: Approvals, private readonly board: Board,
    private readonly decider: Decider, private readonly logins: Logins | undefined,
    private readonly teams: readonly string[], private readonly log: Log) {}

  async interactive(body: unknown, ack: Ack): Promise<void> {
    if (typeOf(body) === 'block_actions') {
      await ack();
      await this.click(readClick(body));
    } else if (typeOf(body) === 'view_submission') {
      await this.submit(body, ack);
    } else {
      await ack();
    }
  }

  async command(body: unknown, ack: Ack): Promise<void> {
    const { account, text } = readCommand(body);
    const say = (words: string): Promise<void> => ack({ response_type: 'ephemeral', text: words });
    if (!this.teams.includes(account.team)) return await say('This workspace is not known here.');
    if (text !== 'link') return await say(HELP);
    try {
      const { code: secret, expires_unix_ns } = await this.approvals.createLinkCode(
        { provider: 'slack', account: `${account.team}/${account.user}` }, LINK_DEADLINE_MS);
      this.log.info('link_code_created', { account: `${account.team}/${account.user}` });
      return await say(`Run ${code(`chaperone approvals link ${secret}`)} and log in as yourself, before ` +
        `${rfc3339(expires_unix_ns)}. It lets this chat account decide as you: give the code to nobody, and never ` +
        'confirm one that you did not ask for.');
    } catch (error) {
      this.log.warn('link_code_failed', { error: errorText(error) });
      const why = isServiceError(error) ? error.details : 'the control plane is away';
      return await say(`No code was made: ${code(why)}`);
    }
  }

  private async click(click: Click): Promise<void> {
    const place = { channel: click.channel, user: click.account.user };
    if (!['approve', 'deny', 'own_login'].includes(click.action)) return;
    if (!this.teams.includes(click.account.team)) return await this.tell(place, 'Your workspace is not known here.');
    const ask = parseAsk(click.value);
    const approve = click.action === 'own_login' ? undefined : click.action === 'approve';
    const by_login = approve === undefined || ask.forbids_linked;
    const dialog: Dialog = {
      ask, channel: click.channel, message: click.message, by_login, ...(approve === undefined ? {} : { approve }),
    };
    if (approve === true && !ask.needs_reason) return await this.decide(dialog, true, '', click.account);
    try {
      await this.slack.views.open({ trigger_id: click.trigger, view: renderDialog(dialog) });
    } catch (error) {
      this.log.warn('slack_dialog_failed', { error: errorText(error) });
      await this.tell(place, 'The dialog could not be opened. Click again.');
    }
  }

  private async submit(body: unknown, ack: Ack): Promise<void> {
    const { account, callback, metadata, values } = readSubmission(body);
    if (callback !== CALLBACK || !this.teams.includes(account.team)) return await ack();
    const dialog = parseDialog(metadata);
    const filled = readDialog(dialog, values);
    const errors = checkDialog(dialog, filled);
    if (filled.approve === undefined || Object.keys(errors).length > 0)
      return await ack({ response_action: 'errors', errors });
    await ack();
    return await this.decide(dialog, filled.approve, filled.reason, account);
  }

  private async decide(dialog: Dialog, approve: boolean, reason: string,
    account: { team: string; user: string }): Promise<void> {
    const { ask, channel, message, by_login } = dialog;
    const place = { channel, user: account.user };
    const word: Word = { ask, approve, reason, channel, message, account: `${account.team}/${account.user}` };
    const name = JSON.stringify([word.account, ask.id, approve]);
    if (!by_login && this.busy.has(name)) return; // a second click while the first is on its way
    if (!by_login) this.busy.add(name);
    const fields = { approval: ask.id, account: word.account, approve, by_login };
    try {
      const approval = by_login ? await this.byLogin(word, place) : await this.decider.decide(word);
      this.log.info('decision_taken', fields);
      await this.tell(place, `Your decision is recorded: ${approve ? 'approved' : 'denied'}.`);
      await this.board.refresh(approval);
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      this.log.info('decision_refused', { ...fields, code: error.code });
      await this.explain(error, dialog, place);
    } finally {
      if (!by_login) this.busy.delete(name);
    }
  }

  private async byLogin(word: Word, place: Place): ReturnType<Decider['decide']> {
    if (this.logins === undefined)
      throw new Refused(`This needs a login of your own: chaperone approvals show ${word.ask.id}`, 'NO_LOGIN');
    return await this.logins.decide(word, (login) => this.tell(place, loginText(word, login)));
  }

  private async explain(refused: Refused, dialog: Dialog, place: Place): Promise<void> {
    const other = this.logins ? ', or *Decide with my own login*.' : '';
    const hint = refused.code === 'PERMISSION_DENIED' && !dialog.by_login
      ? `\nIs your account linked? ${code('/chaperone link')}${other}` : '';
    await this.tell(place, `Not decided: ${code(refused.message, 1000)}${hint}`);
    if (!refused.is_over) return;
    // The buttons of this message have outlived what they are about.
    const approval = await this.approvals.get(dialog.ask.id).catch(() => undefined);
    if (approval !== undefined && approval.state !== 'WAITING')
      await this.board.refreshForgotten(approval, dialog.channel, dialog.message);
  }

  private async tell(place: Place, text: string): Promise<void> {
    try {
      await this.slack.chat.postEphemeral({ ...place, text, parse: 'none', link_names: false });
    } catch (error) {
      this.log.warn('slack_ephemeral_failed', { error: errorText(error) });
    }
  }
}

function loginText(word: Word, login: DeviceLogin): string {
  return `${link(login.url, `Log in to ${word.approve ? 'approve' : 'deny'}`)} ${code(word.ask.id)}, code ` +
    `${code(login.user_code)}, before ${new Date(login.expires_ms).toISOString()}. The login is used for this one ` +
    'decision and then forgotten. Whoever logs in decides: pass the link on to nobody.';
}
