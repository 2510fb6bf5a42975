// What a person is told of a held operation, as plain text: the parts that Slack's and the webhooks' forms share.
import type { Decision, Delegate, HeldOperation, HttpRequest, Identity, Parameter, Stated } from './api.js';

const CONTROL = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g;
// What changes how the text around it is shown, or is not shown itself: writing direction (CVE-2021-42574), joiners,
// tags, variation selectors, fillers, line separators. An approver must see what would run.
const DECEPTIVE = new RegExp(`[${[
  '\\u00ad\\u034f\\u061c\\u115f\\u1160\\u17b4\\u17b5\\u180b-\\u180f\\u200b-\\u200f\\u2028-\\u202e\\u2060-\\u206f',
  '\\u3164\\ufe00-\\ufe0f\\ufeff\\uffa0\\ufff0-\\uffff\\u{e0000}-\\u{e0fff}',
].join('')}]`, 'gu');

export function reveal(text: string): string {
  const show = (c: string): string => `\\u{${(c.codePointAt(0) as number).toString(16)}}`;
  return text.replace(CONTROL, show).replace(DECEPTIVE, show);
}

export function decode(bytes: Buffer): { text: string; is_text: boolean } {
  try {
    return { text: new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes), is_text: true };
  } catch {
    return { text: bytes.toString('latin1'), is_text: false };
  }
}

function assurance(item: { assurance: string }): string {
  return item.assurance === 'VERIFIED' ? '' : ' (declared)';
}

export function describeIdentity(identity: Identity | null): string {
  return identity === null ? 'unknown' : `${identity.subject}${assurance(identity)}`;
}

// A person: the name is for reading, the subject is what was checked.
export function describePerson(identity: Identity | null): string {
  if (identity === null) return 'unknown';
  return identity.name === '' ? identity.subject : `${identity.name} (${identity.subject})`;
}

export function describeDelegates(delegates: readonly Delegate[]): string {
  return delegates.map((d) => `${d.subject}${assurance(d)}`).join(', ');
}

export function describeReasons(reasons: readonly Stated[]): string {
  return reasons.map((r) => `${r.text}${assurance(r)}`).join('; ');
}

export function describeTarget(approval: HeldOperation): string {
  const { resource, database, target_user } = approval;
  return resource + (database === '' ? '' : `, database ${database}`) + (target_user === '' ? '' : ` as ${target_user}`);
}

export function describeRows(approval: HeldOperation): string {
  const prediction = approval.prediction;
  if (prediction === null) return 'not predicted';
  if (prediction.has_exact) return `${prediction.exact_rows} (exact, from a dry run)`;
  if (prediction.unavailable !== '') return `not predicted: ${prediction.unavailable}`;
  return `about ${Math.round(prediction.estimated_rows)} (estimated)`;
}

export function describeTerms(approval: HeldOperation): string {
  const terms = approval.terms;
  if (terms === null) return '';
  const people = terms.people === 1 ? '1 person' : `${terms.people} people`;
  return `${people} of ${terms.groups.join(' or ')}`;
}

export function describeParameter(parameter: Parameter, position: number): string {
  const name = `$${position}${parameter.type === '' ? '' : ` ${parameter.type}`}`;
  if (parameter.is_null) return `${name} = NULL`;
  const { text, is_text } = decode(parameter.value);
  const value = parameter.raw || !is_text ? `0x${parameter.value.toString('hex')}` : JSON.stringify(text);
  return `${name} = ${value}${parameter.truncated ? ` ... (${parameter.size} bytes)` : ''}`;
}

// The first line and the fields, one a line: none of them may begin another one.
export function describeHead(http: HttpRequest): string {
  const oneLine = (text: string): string => text.replace(/[\r\n]/g, ' ');
  const target = `${http.method} ${http.scheme === '' ? '' : `${http.scheme}://${http.authority}`}${http.path}`;
  const fields = http.fields.map((f) => `${f.name}: ${decode(f.value).text}${f.masked ? ' (masked)' : ''}`);
  return [target, ...fields].map(oneLine).join('\n');
}

// What is known of the body, and whether that is all of it.
export function describeBody(http: HttpRequest): { text: string; is_whole: boolean } {
  const { text, is_text } = decode(http.body);
  const is_cut = http.body_truncated || http.body_follows;
  const shown = is_text || is_cut ? text : '';
  const note = !is_text && !is_cut ? `(${http.body_size} bytes that are no text)`
    : http.body_follows ? '... (it is not complete: the rest comes after the decision)'
      : is_cut ? `... (${http.body_size} bytes in all)` : '';
  return { text: [shown, note].filter((part) => part !== '').join('\n'), is_whole: is_text && !is_cut };
}

export function describeDecision(decision: Decision): string {
  const reason = decision.reason === '' ? '' : `: ${decision.reason}`;
  return `${decision.approve ? 'approved' : 'denied'} by ${describePerson(decision.by)}${reason}`;
}

export function describeCommands(approval: HeldOperation): string {
  return approval.intent?.commands.join(', ') || approval.intent?.verb || 'an operation';
}

export function unixSeconds(unix_ns: string): number {
  return Number(BigInt(unix_ns) / 1_000_000_000n);
}

export function rfc3339(unix_ns: string): string {
  return new Date(Number(BigInt(unix_ns) / 1_000_000n)).toISOString();
}
