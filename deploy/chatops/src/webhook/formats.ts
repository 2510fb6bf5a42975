// A change as each receiver wants it. Pure. Markup of what others wrote: JSON has none, Teams' TextRun shows text as
// it is, and PagerDuty's fields are plain.
import { isEnded, type HeldOperation } from '../core/api.js';
import { decode, describeBody, describeCommands, describeDecision, describeDelegates, describeHead, describeIdentity,
  describeParameter, describePerson, describeReasons, describeRows, describeTarget, describeTerms, reveal,
  rfc3339 } from '../core/describe.js';
import type { Receiver } from './config.js';

const TEAMS_ROOM = 4000;      // of a statement; a card may have 28 KB
const PAGERDUTY_ROOM = 1000;  // of each detail
const SUMMARY_ROOM = 1024;    // PagerDuty Events API v2

function clip(text: string, room: number): string {
  return text.length > room ? `${text.slice(0, room)}... (cut)` : text;
}

function optionalTime(unix_ns: string): string | null {
  return unix_ns === '0' ? null : rfc3339(unix_ns);
}

function summary(approval: HeldOperation): string {
  return reveal(`${describeCommands(approval)} of ${describeIdentity(approval.identity)} on ${approval.resource}: ` +
    String(approval.state).toLowerCase()).replaceAll('\n', ' ');
}

function statementOf(approval: HeldOperation): string {
  const { intent } = approval;
  if (intent === null) return '';
  if (intent.http) return [describeHead(intent.http), describeBody(intent.http).text].join('\n\n').trimEnd();
  return decode(intent.text).text;
}

function isTruncated(approval: HeldOperation): boolean {
  const { intent } = approval;
  return intent !== null && (intent.text_truncated || (!!intent.http && !describeBody(intent.http).is_whole));
}

function parametersOf(approval: HeldOperation): string[] {
  return (approval.intent?.parameters ?? []).map((p, i) => describeParameter(p, i + 1));
}

function json(approval: HeldOperation, receiver: Receiver): object {
  const { intent, terms, prediction } = approval;
  return {
    type: `approval.${String(approval.state).toLowerCase()}`,
    timestamp: rfc3339(isEnded(approval.state) && approval.ended_unix_ns !== '0'
      ? approval.ended_unix_ns : approval.requested_unix_ns),
    data: {
      id: approval.id, state: approval.state, version: Number(approval.version), session: approval.session,
      identity: { issuer: approval.identity?.issuer, subject: approval.identity?.subject,
        verified: approval.identity?.assurance === 'VERIFIED' },
      on_behalf_of: approval.on_behalf_of.map((d) => ({ subject: d.subject, verified: d.assurance === 'VERIFIED' })),
      reasons: approval.reasons.map((r) => ({ text: r.text, verified: r.assurance === 'VERIFIED' })),
      resource: approval.resource, protocol: approval.protocol, database: approval.database,
      target_user: approval.target_user, commands: intent?.commands ?? [], rule: intent?.rule ?? '',
      // A path says as much as a statement does.
      objects: (intent?.objects ?? []).filter(({ kind }) => receiver.has_statement || kind !== 'path')
        .map(({ kind, name, access }) => ({ kind, name, access })),
      digest: approval.digest.toString('hex'),
      ...(receiver.has_statement ? {
        statement: statementOf(approval), statement_truncated: isTruncated(approval),
        parameters: parametersOf(approval), plan: prediction?.plan ?? '',
      } : {}),
      rows: describeRows(approval), groups: terms?.groups ?? [], people: terms?.people ?? 0,
      requested: rfc3339(approval.requested_unix_ns), expires: rfc3339(approval.expires_unix_ns),
      ended: optionalTime(approval.ended_unix_ns), end_reason: approval.end_reason,
      decisions: approval.decisions.map((d) => ({ by: describePerson(d.by), approve: d.approve, reason: d.reason,
        time: rfc3339(d.time_unix_ns), linked: d.is_linked })),
    },
  };
}

function facts(approval: HeldOperation): [string, string][] {
  const all: [string, string][] = [
    ['Who', describeIdentity(approval.identity)], ['On behalf of', describeDelegates(approval.on_behalf_of)],
    ['Stated reason', describeReasons(approval.reasons)], ['Resource', describeTarget(approval)],
    ['Rule', approval.intent?.rule ?? ''], ['To be decided by', describeTerms(approval)],
    ['Rows', approval.intent?.http ? '' : describeRows(approval)],
    ['Held until', rfc3339(approval.expires_unix_ns)], ['Ended because', approval.end_reason],
    ...approval.decisions.map((d): [string, string] => ['Decision', describeDecision(d)]),
    ['Decide with', `chaperone approvals show ${approval.id}`],
  ];
  return all.filter(([, value]) => value !== '').map(([name, value]) => [name, reveal(value)]);
}

// https://learn.microsoft.com/adaptive-cards/: TextBlock and FactSet read Markdown, TextRun does not.
function teams(approval: HeldOperation, receiver: Receiver): object {
  const run = (text: string, more: object = {}) => ({ type: 'TextRun', text, ...more });
  const rich = (...inlines: object[]) => ({ type: 'RichTextBlock', inlines });
  const shown = [statementOf(approval), ...parametersOf(approval)].join('\n');
  const body = [
    rich(run(summary(approval), { size: 'large', weight: 'bolder' })),
    ...facts(approval).map(([name, value]) => rich(run(`${name}: `, { weight: 'bolder' }), run(clip(value, 500)))),
    ...(receiver.has_statement ? [rich(run(clip(reveal(shown), TEAMS_ROOM), { fontType: 'monospace' }))] : []),
  ];
  return {
    type: 'message',
    attachments: [{
      contentType: 'application/vnd.microsoft.card.adaptive', contentUrl: null,
      content: {
        $schema: 'http://adaptivecards.io/schemas/adaptive-card.json', type: 'AdaptiveCard', version: '1.4', body,
      },
    }],
  };
}

// Events API v2: an incident while it waits, resolved by whatever comes after.
function pagerduty(approval: HeldOperation, receiver: Receiver): object {
  const key = { routing_key: receiver.routing_key?.() ?? '', dedup_key: `chaperone-${approval.id}` };
  if (approval.state !== 'WAITING') return { ...key, event_action: 'resolve' };
  const details = Object.fromEntries(facts(approval).map(([name, value]) => [name, clip(value, PAGERDUTY_ROOM)]));
  return {
    ...key, event_action: 'trigger',
    payload: {
      summary: summary(approval).slice(0, SUMMARY_ROOM), source: approval.resource || 'chaperone', severity: 'warning',
      timestamp: rfc3339(approval.requested_unix_ns), component: approval.protocol, class: 'approval',
      custom_details: receiver.has_statement
        ? { ...details, Statement: clip(reveal(statementOf(approval)), PAGERDUTY_ROOM) } : details,
    },
  };
}

export function renderBody(approval: HeldOperation, receiver: Receiver): string {
  const render = { json, teams, pagerduty }[receiver.format];
  return JSON.stringify(render(approval, receiver));
}
