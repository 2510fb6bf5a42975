// The bot's own token. A file is read again for every call: it is small, and whoever renews it owes us no signal.
import { readSecret } from './files.js';
import { getClientToken, type OidcClient, type Token } from './oidc.js';

export interface TokenSource {
  get(): Promise<string>;
  // The control plane did not take it: the next `get` must not answer from memory.
  reject(): void;
}

export class FileToken implements TokenSource {
  constructor(private readonly path: string) {}

  async get(): Promise<string> {
    return readSecret(this.path);
  }

  reject(): void {}
}

const EARLY_MS = 30_000; // before its end, a new one: the way to the control plane takes time, and clocks differ

export class ClientToken implements TokenSource {
  private kept: Token | undefined;
  private asking: Promise<Token> | undefined;

  constructor(private readonly client: OidcClient) {}

  async get(): Promise<string> {
    if (this.kept !== undefined && Date.now() < this.kept.expires_ms - EARLY_MS) return this.kept.value;
    this.asking ??= getClientToken(this.client).finally(() => { this.asking = undefined; });
    this.kept = await this.asking;
    return this.kept.value;
  }

  reject(): void {
    this.kept = undefined;
  }
}
