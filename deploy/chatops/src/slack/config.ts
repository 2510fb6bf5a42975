import { readOidcClient } from '../core/config.js';
import { requireSecure, type OidcClient } from '../core/oidc.js';
import type { Section } from '../core/section.js';

export interface Route {
  resource: string; // "orders", or with a star at its end "orders-*"
  channel: string;
}

export interface SlackConfig {
  app_token: () => string;
  bot_token: () => string;
  channel: string;
  routes: Route[];
  teams: string[];  // empty: the bot's own workspace
  device?: OidcClient;
  approves_truncated: boolean;
  api_url?: string;
}

function readShape(section: Section, name: string, prefix: string): () => string {
  const secret = section.needSecret(name);
  if (!secret().startsWith(prefix)) throw section.wrong(name, `does not begin with ${prefix}`);
  return secret;
}

function readChannel(section: Section): string {
  const channel = section.text('channel');
  // By id: a name can be given to another channel.
  if (!/^[CG][A-Z0-9]{2,}$/.test(channel)) throw section.wrong('channel', 'is no channel id (C0123...)');
  return channel;
}

export function readSlack(section: Section): SlackConfig {
  const api_url = section.optional('api_url');
  const config: SlackConfig = {
    app_token: readShape(section, 'app_token', 'xapp-'),
    bot_token: readShape(section, 'bot_token', 'xoxb-'),
    channel: readChannel(section),
    routes: section.list('routes').map((route) => ({ resource: route.text('resource'), channel: readChannel(route) })),
    teams: section.texts('teams'),
    approves_truncated: section.flag('approve_truncated', false),
    ...(api_url ? { api_url: `${requireSecure(api_url).replace(/\/$/, '')}/` } : {}),
  };
  if (section.has('device')) config.device = readOidcClient(section.part('device'));
  return config;
}

export function channelFor(config: SlackConfig, resource: string): string {
  const route = config.routes.find(({ resource: pattern }) => pattern.endsWith('*')
    ? resource.startsWith(pattern.slice(0, -1)) : resource === pattern);
  return route?.channel ?? config.channel;
}
