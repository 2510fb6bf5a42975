// A held operation as a Slack message. Pure. Everything that others wrote goes through escape.ts.
import type { Button, KnownBlock } from '@slack/web-api';

import type { HeldOperation, HttpRequest } from '../core/api.js';
import { decode, describeBody, describeCommands, describeDecision, describeDelegates, describeHead, describeIdentity,
  describeParameter, describeReasons, describeRows, describeTarget, describeTerms, reveal, rfc3339,
  unixSeconds } from '../core/describe.js';
import { askOf } from './ask.js';
import { code, fit } from './escape.js';

export interface Look {
  has_login: boolean;         // "Decide with my own login" can be offered
  approves_truncated: boolean; // also where not everything fits
}

export interface Message {
  text: string; // in notifications, and where blocks cannot be shown
  blocks: KnownBlock[];
}

interface Shown {
  blocks: KnownBlock[];
  is_whole: boolean;
}

const SECTION_ROOM = 2900;   // of Slack's 3000, less the fence
const STATEMENT_BLOCKS = 4;
const HEAD_BLOCKS = 2; // of a request: its fields
const PLAN_ROOM = 1500;
const FENCE = '```';
const DECISIONS_SHOWN = 5;

function section(text: string): KnownBlock {
  // verbatim: Slack makes no links and mentions of its own.
  return { type: 'section', text: { type: 'mrkdwn', text, verbatim: true } };
}

// Each piece says what it is: a statement that looks like a plan, or like the parameters, is none.
function fenced(name: string, raw: string, blocks: number, room = SECTION_ROOM): Shown {
  const made: KnownBlock[] = [];
  let rest = reveal(raw);
  while (rest !== '' && made.length < blocks) {
    const piece = fit(rest, room);
    const title = `*${name}${made.length === 0 ? '' : ', continued'}*`;
    made.push(section(`${title}\n${FENCE}\n${piece.text}\n${FENCE}`));
    rest = piece.rest;
  }
  return { blocks: made, is_whole: rest === '' };
}

function headline(approval: HeldOperation): string {
  switch (approval.state) {
    case 'WAITING': return 'waits for a decision';
    case 'APPROVED': return 'is approved';
    case 'DENIED': return 'was denied';
    case 'EXPIRED': return 'expired: nobody decided in time, it did not run';
    case 'WITHDRAWN': return 'was withdrawn, it did not run';
    case 'USED': return 'was approved and released';
    default: return 'is in a state that this bot does not know';
  }
}

function date(unix_ns: string): string {
  return `<!date^${unixSeconds(unix_ns)}^{date_short_pretty}, {time_secs}|${rfc3339(unix_ns)}>`;
}

function facts(approval: HeldOperation): KnownBlock {
  const { intent, end_reason } = approval;
  const lines: [string, string][] = [
    ['Who', code(describeIdentity(approval.identity))],
    ['On behalf of', code(describeDelegates(approval.on_behalf_of))],
    ['Stated reason', code(describeReasons(approval.reasons), 500)],
    ['Resource', code(describeTarget(approval))],
    ['Rule', code(intent?.rule ?? '')],
    ['To be decided by', code(describeTerms(approval))],
    ...(intent?.http ? [] : [['Rows', code(describeRows(approval))] as [string, string]]),
    ['Held until', date(approval.expires_unix_ns)],
  ];
  if (end_reason !== '') lines.push(['Ended because', code(end_reason)]);
  lines.push(['Id', code(approval.id)]);
  return section(lines.map(([name, value]) => `*${name}*  ${value}`).join('\n'));
}

function request(http: HttpRequest): Shown {
  const body = describeBody(http);
  const head = fenced('Request', describeHead(http), HEAD_BLOCKS);
  const shown = fenced('Body', body.text, STATEMENT_BLOCKS);
  return { blocks: [...head.blocks, ...shown.blocks], is_whole: body.is_whole && head.is_whole && shown.is_whole };
}

function statement(approval: HeldOperation): Shown {
  const intent = approval.intent;
  if (intent === null) return { blocks: [], is_whole: false };
  if (intent.http) return request(intent.http);
  const { text, is_text } = decode(intent.text);
  const shown = fenced('Statement', text, STATEMENT_BLOCKS);
  const listed = intent.parameters.map((p, i) => describeParameter(p, i + 1)).join('\n');
  const parameters = fenced('Parameters', listed, 1);
  const is_whole = is_text && !intent.text_truncated && !intent.parameters.some((p) => p.truncated) &&
    shown.is_whole && parameters.is_whole;
  return { blocks: [...shown.blocks, ...parameters.blocks], is_whole };
}

function prediction(approval: HeldOperation): KnownBlock[] {
  const made: KnownBlock[] = [];
  if (approval.prediction?.plan)
    made.push(...fenced('Plan', approval.prediction.plan, 1, PLAN_ROOM).blocks);
  if (approval.locks.length > 0)
    made.push(section(`*Its open transaction holds*  ${code(approval.locks.join(', '), 1000)}`));
  if (approval.intent?.without_where === true)
    made.push(section(':warning: *No WHERE: it is about every row.*'));
  return made;
}

function decisions(approval: HeldOperation): KnownBlock[] {
  return approval.decisions.slice(-DECISIONS_SHOWN).map((decision) => section(
    `${decision.approve ? ':white_check_mark:' : ':no_entry:'} ${code(describeDecision(decision), 500)}`));
}

function button(text: string, action_id: string, value: string, style?: 'primary' | 'danger'): Button {
  return { type: 'button', text: { type: 'plain_text', text }, action_id, value, ...(style ? { style } : {}) };
}

function buttons(approval: HeldOperation, is_whole: boolean, look: Look): KnownBlock[] {
  const value = JSON.stringify(askOf(approval));
  const here = `\`chaperone approvals show ${approval.id.replace(/[^0-9a-f-]/g, '')}\``;
  const may_approve = is_whole || look.approves_truncated;
  const may_click = look.has_login || approval.terms?.forbids_linked === false;
  const elements = [
    ...(may_click && may_approve ? [button('Approve', 'approve', value, 'primary')] : []),
    ...(may_click ? [button('Deny', 'deny', value, 'danger')] : []),
    ...(look.has_login && may_approve ? [button('Decide with my own login', 'own_login', value)] : []),
  ];
  const made: KnownBlock[] = [];
  if (!is_whole) made.push(section(`:warning: *Not all of it is shown here.* The whole: ${here}`));
  if (!may_click) made.push(section(`The rule takes no decision by a chat account. Decide after ${here}`));
  if (elements.length > 0) made.push({ type: 'actions', block_id: 'decide', elements });
  return made;
}

export function renderMessage(approval: HeldOperation, look: Look): Message {
  const title = `${describeCommands(approval)} ${headline(approval)}`;
  const shown = statement(approval);
  return {
    text: `${code(describeCommands(approval), 100)} of ${code(describeIdentity(approval.identity), 100)} on ` +
      `${code(approval.resource, 100)} ${headline(approval)}`,
    blocks: [
      { type: 'header', text: { type: 'plain_text', text: reveal(title).slice(0, 150), emoji: false } },
      facts(approval), ...shown.blocks, ...prediction(approval), ...decisions(approval),
      ...(approval.state === 'WAITING' ? buttons(approval, shown.is_whole, look) : []),
    ],
  };
}

// Where Slack takes no more than text.
export function renderBare(approval: HeldOperation): Message {
  const { text } = renderMessage(approval, { has_login: false, approves_truncated: false });
  return { text: `${text}: ${code(`chaperone approvals show ${approval.id}`)}`, blocks: [] };
}
