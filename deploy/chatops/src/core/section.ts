// A part of the configuration: from YAML, each plain value also from the environment, which wins
// (CHAPERONE_CHATOPS_SLACK_CHANNEL for slack.channel). What nobody asked for is a mistake, and said so.
import { readSecret } from './files.js';

const PREFIX = 'CHAPERONE_CHATOPS';

export class ConfigError extends Error {}

type Values = Record<string, unknown>;

function isValues(value: unknown): value is Values {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

export class Section {
  private readonly asked = new Set<string>();
  private readonly parts: Section[] = [];

  constructor(private readonly values: Values, private readonly env: NodeJS.ProcessEnv,
    private readonly path: readonly string[] = [], private readonly has_env = true) {}

  static of(document: unknown, env: NodeJS.ProcessEnv): Section {
    if (document !== null && document !== undefined && !isValues(document))
      throw new ConfigError('the configuration is no mapping');
    return new Section((document ?? {}) as Values, env);
  }

  part(name: string): Section {
    const value = this.take(name) ?? {};
    if (!isValues(value)) throw this.wrong(name, 'is no mapping');
    const part = new Section(value, this.env, [...this.path, name], this.has_env);
    this.parts.push(part);
    return part;
  }

  // The parts of a list; they have no names in the environment.
  list(name: string): Section[] {
    const value = this.take(name) ?? [];
    if (!Array.isArray(value)) throw this.wrong(name, 'is no list');
    const parts = value.map((item, i) => {
      if (!isValues(item)) throw this.wrong(`${name}[${i}]`, 'is no mapping');
      return new Section(item, this.env, [...this.path, `${name}[${i}]`], false);
    });
    this.parts.push(...parts);
    return parts;
  }

  has(name: string): boolean {
    return this.values[name] !== undefined || this.fromEnv(name) !== undefined ||
      (this.has_env && Object.keys(this.env).some((key) => key.startsWith(`${this.variable(name)}_`)));
  }

  optional(name: string): string | undefined {
    const value = this.fromEnv(name) ?? this.take(name);
    this.asked.add(name);
    if (value === undefined || value === null) return undefined;
    if (typeof value !== 'string' && typeof value !== 'number') throw this.wrong(name, 'is no text');
    return String(value);
  }

  text(name: string): string {
    const value = this.optional(name);
    if (value === undefined || value === '') throw this.wrong(name, 'is missing');
    return value;
  }

  choice<T extends string>(name: string, choices: readonly T[], otherwise: T): T {
    const value = this.optional(name) ?? otherwise;
    if (!(choices as readonly string[]).includes(value)) throw this.wrong(name, `is none of ${choices.join(', ')}`);
    return value as T;
  }

  flag(name: string, otherwise: boolean): boolean {
    const value = this.fromEnv(name) ?? this.take(name) ?? otherwise;
    if (value === true || value === 'true') return true;
    if (value === false || value === 'false') return false;
    throw this.wrong(name, 'is neither true nor false');
  }

  count(name: string, otherwise: number, least: number, most: number): number {
    const value = Number(this.optional(name) ?? otherwise);
    if (!Number.isInteger(value) || value < least || value > most)
      throw this.wrong(name, `is no whole number from ${least} to ${most}`);
    return value;
  }

  texts(name: string): string[] {
    const value = this.take(name) ?? [];
    if (!Array.isArray(value) || !value.every((item) => typeof item === 'string'))
      throw this.wrong(name, 'is no list of texts');
    return value as string[];
  }

  // From `NAME_file`, read again at each use, or the environment; never from the file that people review and copy.
  secret(name: string): (() => string) | undefined {
    if (this.values[name] !== undefined)
      throw this.wrong(name, `is a secret: give ${name}_file, or ${this.variable(name)} in the environment`);
    const value = this.fromEnv(name);
    if (value !== undefined && value !== '') return () => value;
    const path = this.optional(`${name}_file`);
    return path === undefined ? undefined : () => readSecret(path);
  }

  needSecret(name: string): () => string {
    const secret = this.secret(name);
    if (secret === undefined) throw this.wrong(`${name}_file`, 'is missing');
    secret(); // that cannot be read: better said now than at the first use
    return secret;
  }

  // Somebody else's.
  skip(name: string): void {
    this.take(name);
  }

  // To be called at the end: what is left over was misspelt.
  finish(): void {
    for (const name of Object.keys(this.values))
      if (!this.asked.has(name)) throw this.wrong(name, 'is not known');
    for (const part of this.parts) part.finish();
  }

  wrong(name: string, what: string): ConfigError {
    return new ConfigError(`${[...this.path, name].join('.')} ${what}`);
  }

  private take(name: string): unknown {
    this.asked.add(name);
    return this.values[name];
  }

  private variable(name: string): string {
    return [PREFIX, ...this.path, name].join('_').toUpperCase();
  }

  private fromEnv(name: string): string | undefined {
    return this.has_env ? this.env[this.variable(name)] : undefined;
  }
}
