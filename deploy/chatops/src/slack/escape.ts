// What others wrote, made harmless for Slack's mrkdwn: only ever inside code, where nothing is markup but the three
// characters of https://docs.slack.dev/messaging/formatting-message-text#escaping and the backtick that ends it.
import { reveal } from '../core/describe.js';

// Looks like a backtick and is none; a real one of its kind is shown by its number, so that it stays unmistakable.
const BACKTICK = '\u02cb';

function escapeCharacter(c: string): string {
  switch (c) {
    case '&': return '&amp;';
    case '<': return '&lt;';
    case '>': return '&gt;';
    case '`': return BACKTICK;
    case BACKTICK: return '\\u{2cb}';
    default: return c;
  }
}

export interface Piece {
  text: string; // escaped
  rest: string; // not escaped; what did not fit
}

// As much of `raw` as fits into `room` characters once it is escaped; an escape is never cut in two.
export function fit(raw: string, room: number): Piece {
  let text = '';
  let taken = 0;
  for (const c of raw) {
    const escaped = escapeCharacter(c);
    if (text.length + escaped.length > room) break;
    text += escaped;
    taken += c.length;
  }
  return { text, rest: raw.slice(taken) };
}

const CUT = '...';

// One line of code: `value`.
export function code(raw: string, room = 300): string {
  if (raw === '') return '-';
  const line = reveal(raw).replaceAll('\n', '\\n').replaceAll('\t', ' ');
  const { text, rest } = fit(line, room - CUT.length - 2);
  return `\`${text}${rest === '' ? '' : CUT}\``;
}

// A link that the OpenID provider gave.
export function link(url: string, label: string): string {
  const safe = new URL(url).href.replaceAll('&', '&amp;').replaceAll('<', '%3C').replaceAll('>', '%3E')
    .replaceAll('|', '%7C');
  return `<${safe}|${label}>`;
}
