// "Decide with my own login": a device login (RFC 8628) for one person and one decision. The token is used for
// that call and kept nowhere.
import type { HeldOperation } from '../core/api.js';
import { errorText, type Log } from '../core/log.js';
import { OidcError, startDeviceLogin, type DeviceLogin, type OidcClient } from '../core/oidc.js';
import { Refused, type Decider, type Word } from './decider.js';

const LOGINS_MAX = 100; // at once: each polls the provider

export class Logins {
  private readonly open = new Map<string, AbortController>();

  constructor(private readonly client: OidcClient, private readonly decider: Decider, private readonly log: Log,
    private readonly signal: AbortSignal) {}

  // `show` tells the person where to log in. Rejects with Refused.
  async decide(word: Word, show: (login: DeviceLogin) => Promise<void>): Promise<HeldOperation> {
    const name = `${word.account} ${word.ask.id}`;
    this.open.get(name)?.abort(); // they began anew
    if (this.open.size >= LOGINS_MAX) throw new Refused('Too many people are logging in now. Try again.', 'BUSY');
    const stop = new AbortController();
    const abort = (): void => stop.abort();
    this.open.set(name, stop);
    this.signal.addEventListener('abort', abort, { once: true });
    try {
      return await this.login(word, show, stop.signal);
    } finally {
      this.signal.removeEventListener('abort', abort);
      stop.abort();
      if (this.open.get(name) === stop) this.open.delete(name);
    }
  }

  // The operation is over: nobody needs to log in for it any more.
  forget(id: string): void {
    for (const [name, stop] of this.open) if (name.endsWith(` ${id}`)) stop.abort();
  }

  private async login(word: Word, show: (login: DeviceLogin) => Promise<void>,
    stop: AbortSignal): Promise<HeldOperation> {
    let token;
    try {
      const login = await startDeviceLogin(this.client, stop);
      await show(login);
      token = await login.token;
    } catch (error) {
      throw this.refusal(error, stop);
    }
    return await this.decider.decide(word, token.value);
  }

  private refusal(error: unknown, stop: AbortSignal): Refused {
    if (this.signal.aborted) return new Refused('The bot is restarting. Nothing was decided; click again.', 'ABORTED');
    if (stop.aborted) return new Refused('This login was ended. Nothing was decided by it.', 'ENDED');
    this.log.warn('device_login_failed', { error: errorText(error) });
    if (!(error instanceof OidcError)) return new Refused('The OpenID provider does not answer.', 'UNAVAILABLE');
    if (error.code === 'access_denied') return new Refused('The login was refused. Nothing was decided.', 'DENIED');
    return new Refused(`${error.message}. Nothing was decided.`, 'LOGIN');
  }
}
