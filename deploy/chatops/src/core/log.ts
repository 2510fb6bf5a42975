// One JSON object a line on standard error: an event's name and fields. Never a payload or a secret: what looks
// like a token is cut out even of a library's own messages.
export type Level = 'debug' | 'info' | 'warn' | 'error';
export type Fields = Record<string, string | number | boolean | undefined>;

const ORDER: readonly Level[] = ['debug', 'info', 'warn', 'error'];
const SECRETS = new RegExp([
  String.raw`\b(?:x(?:ox[a-z]|app)-[\w-]+|eyJ[\w-]+\.[\w.-]+|whsec_[\w+/=]+)`,
  String.raw`Bearer\s+\S+`,
  String.raw`(?<=[?&](?:ticket|code|token)=)[^&\s]+`,
].join('|'), 'g');
const LONGEST = 500;

export function redact(text: string): string {
  const short = text.length > LONGEST ? `${text.slice(0, LONGEST)}...` : text;
  return short.replace(SECRETS, '[redacted]');
}

export class Log {
  constructor(private readonly least: Level, private readonly write: (line: string) => void) {}

  debug(event: string, fields: Fields = {}): void { this.emit('debug', event, fields); }
  info(event: string, fields: Fields = {}): void { this.emit('info', event, fields); }
  warn(event: string, fields: Fields = {}): void { this.emit('warn', event, fields); }
  error(event: string, fields: Fields = {}): void { this.emit('error', event, fields); }

  private emit(level: Level, event: string, fields: Fields): void {
    if (ORDER.indexOf(level) < ORDER.indexOf(this.least)) return;
    const clean = Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)
      .map(([name, value]) => [name, typeof value === 'string' ? redact(value) : value]));
    this.write(`${JSON.stringify({ time: new Date().toISOString(), level, event, ...clean })}\n`);
  }
}

export function errorText(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const cause = error.cause instanceof Error ? ` (${error.cause.message})` : '';
  return `${error.message}${cause}`;
}
