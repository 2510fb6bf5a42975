// Which message belongs to which operation; outlives the process.
import { readJson, writeJson } from '../core/files.js';

export interface Posted {
  channel: string;
  message: string;
  version: string; // that it shows
}

export class Messages {
  private readonly posted = new Map<string, Posted>();

  constructor(private readonly path: string) {
    const kept = readJson(path) as { messages?: Record<string, Posted> } | undefined;
    if (kept === undefined) return;
    if (typeof kept.messages !== 'object' || kept.messages === null) throw new Error(`${path} has no messages`);
    for (const [id, { channel, message, version }] of Object.entries(kept.messages))
      this.posted.set(id, { channel: String(channel), message: String(message), version: String(version) });
  }

  get(id: string): Posted | undefined {
    return this.posted.get(id);
  }

  ids(): string[] {
    return [...this.posted.keys()];
  }

  set(id: string, posted: Posted): void {
    this.posted.set(id, posted);
    this.save();
  }

  delete(id: string): void {
    if (this.posted.delete(id)) this.save();
  }

  private save(): void {
    writeJson(this.path, { messages: Object.fromEntries(this.posted) });
  }
}
