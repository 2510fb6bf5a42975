// The few fields that are read of what Slack sends; anything else is not for this bot.
export interface Click {
  account: { team: string; user: string };
  action: string;
  value: string;
  channel: string;
  message: string;
  trigger: string;
}

export interface Submission {
  account: { team: string; user: string };
  callback: string;
  metadata: string;
  values: Record<string, Record<string, { value?: string | null; selected_option?: { value?: string } | null }>>;
}

export interface Command {
  account: { team: string; user: string };
  command: string;
  text: string;
}

type Json = Record<string, unknown>;

function at(value: unknown, ...path: string[]): unknown {
  return path.reduce<unknown>((v, name) =>
    (typeof v === 'object' && v !== null ? (v as Json)[name] : undefined), value);
}

function textAt(value: unknown, ...path: string[]): string {
  const found = at(value, ...path);
  if (typeof found !== 'string' || found === '') throw new Error(`the payload has no ${path.join('.')}`);
  return found;
}

// In a shared channel the person may be of another workspace than the channel: theirs counts.
function accountOf(payload: unknown): { team: string; user: string } {
  const team = at(payload, 'user', 'team_id') ?? at(payload, 'team', 'id');
  const account = { team: String(team ?? ''), user: textAt(payload, 'user', 'id') };
  return checkAccount(account);
}

function checkAccount(account: { team: string; user: string }): { team: string; user: string } {
  if (!/^[TE][A-Z0-9]+$/.test(account.team) || !/^[UW][A-Z0-9]+$/.test(account.user))
    throw new Error('the payload names no account');
  return account;
}

export function typeOf(payload: unknown): string {
  return String(at(payload, 'type'));
}

export function readClick(payload: unknown): Click {
  const actions = at(payload, 'actions');
  const action: unknown = Array.isArray(actions) && actions.length === 1 ? actions[0] : undefined;
  return {
    account: accountOf(payload), action: textAt(action, 'action_id'), value: textAt(action, 'value'),
    channel: textAt(payload, 'container', 'channel_id'), message: textAt(payload, 'container', 'message_ts'),
    trigger: textAt(payload, 'trigger_id'),
  };
}

export function readSubmission(payload: unknown): Submission {
  return {
    account: accountOf(payload), callback: textAt(payload, 'view', 'callback_id'),
    metadata: textAt(payload, 'view', 'private_metadata'),
    values: (at(payload, 'view', 'state', 'values') ?? {}) as Submission['values'],
  };
}

export function readCommand(payload: unknown): Command {
  const text = at(payload, 'text');
  return {
    account: checkAccount({ team: textAt(payload, 'team_id'), user: textAt(payload, 'user_id') }),
    command: textAt(payload, 'command'), text: typeof text === 'string' ? text.trim() : '',
  };
}
