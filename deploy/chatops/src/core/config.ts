// The configuration that both bots share.
import { readFileSync } from 'node:fs';

import { parse } from 'yaml';

import type { Endpoint } from './client.js';
import type { Level } from './log.js';
import { requireSecure, type OidcClient } from './oidc.js';
import { ConfigError, Section } from './section.js';
import { ClientToken, FileToken, type TokenSource } from './tokens.js';

export interface CoreConfig {
  endpoint: Endpoint;
  tokens: TokenSource;
  state_dir: string;
  health?: { host: string; port: number };
  log_level: Level;
}

export function readDocument(path: string | undefined, env: NodeJS.ProcessEnv): Section {
  return Section.of(path === undefined ? {} : parse(readFileSync(path, 'utf8')), env);
}

export function readOidcClient(section: Section): OidcClient {
  const secret = section.secret('client_secret');
  const scope = section.optional('scope');
  const audience = section.optional('audience');
  const resource = section.optional('resource');
  return {
    issuer: requireSecure(section.text('issuer')),
    client_id: section.text('client_id'),
    ...(secret ? { client_secret: secret } : {}),
    ...(scope ? { scope } : {}), ...(audience ? { audience } : {}), ...(resource ? { resource } : {}),
    use: section.choice('use', ['access_token', 'id_token'], 'access_token'),
  };
}

function readTokens(section: Section): TokenSource {
  const has_oidc = section.has('oidc');
  if (has_oidc === section.has('file')) throw new ConfigError('token needs either file or oidc');
  return has_oidc ? new ClientToken(readOidcClient(section.part('oidc'))) : new FileToken(section.text('file'));
}

function readEndpoint(section: Section): Endpoint {
  const ca_file = section.optional('ca_file');
  const server_name = section.optional('server_name');
  return {
    address: section.text('address'), insecure: section.flag('insecure', false),
    ...(ca_file ? { ca_file } : {}), ...(server_name ? { server_name } : {}),
  };
}

function readHealth(text: string): { host: string; port: number } {
  const match = /^(?:(.+):)?(\d{1,5})$/.exec(text);
  const port = Number(match?.[2]);
  if (match === null || port > 65535) throw new ConfigError('health is no HOST:PORT');
  return { host: (match[1] ?? '127.0.0.1').replace(/^\[(.*)\]$/, '$1'), port };
}

export function readCore(root: Section): CoreConfig {
  const health = root.optional('health');
  return {
    endpoint: readEndpoint(root.part('controlplane')),
    tokens: readTokens(root.part('token')),
    state_dir: root.text('state_dir'),
    ...(health ? { health: readHealth(health) } : {}),
    log_level: root.choice('log_level', ['debug', 'info', 'warn', 'error'], 'info'),
  };
}
