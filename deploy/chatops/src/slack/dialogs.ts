// The dialogs: for a reason, and for a decision with one's own login.
import type { ModalView } from '@slack/web-api';

import type { Dialog } from './ask.js';

export const CALLBACK = 'chaperone_decide';
const REASON_LONGEST = 1000;

export interface Filled {
  approve: boolean | undefined;
  reason: string;
}

function reasonInput(is_optional: boolean): ModalView['blocks'][number] {
  return {
    type: 'input', block_id: 'reason', optional: is_optional,
    label: { type: 'plain_text', text: 'Reason' },
    element: { type: 'plain_text_input', action_id: 'text', multiline: true, max_length: REASON_LONGEST },
  };
}

function choiceInput(): ModalView['blocks'][number] {
  const option = (text: string, value: string) => ({ text: { type: 'plain_text' as const, text }, value });
  return {
    type: 'input', block_id: 'choice', label: { type: 'plain_text', text: 'Decision' },
    element: {
      type: 'radio_buttons', action_id: 'pick', options: [option('Approve', 'approve'), option('Deny', 'deny')],
    },
  };
}

export function renderDialog(dialog: Dialog): ModalView {
  const { approve, by_login, ask } = dialog;
  const title = approve === undefined ? 'Decide' : approve ? 'Approve' : 'Deny';
  return {
    type: 'modal', callback_id: CALLBACK, private_metadata: JSON.stringify(dialog),
    title: { type: 'plain_text', text: title },
    submit: { type: 'plain_text', text: by_login ? 'Log in' : title },
    close: { type: 'plain_text', text: 'Cancel' },
    blocks: [
      ...(approve === undefined ? [choiceInput()] : []),
      reasonInput(approve === undefined || (approve && !ask.needs_reason)),
    ],
  };
}

interface Values {
  [block: string]: { [action: string]: { value?: string | null; selected_option?: { value?: string } | null } };
}

export function readDialog(dialog: Dialog, values: Values): Filled {
  const picked = values['choice']?.['pick']?.selected_option?.value;
  return {
    approve: dialog.approve ?? (picked === 'approve' ? true : picked === 'deny' ? false : undefined),
    reason: (values['reason']?.['text']?.value ?? '').trim(),
  };
}

// By the field, what is missing; as Slack wants it (response_action "errors").
export function checkDialog(dialog: Dialog, filled: Filled): Record<string, string> {
  const errors: Record<string, string> = {};
  if (filled.approve === undefined) errors['choice'] = 'Approve or deny?';
  if (filled.reason === '' && (filled.approve === false || dialog.ask.needs_reason))
    errors['reason'] = 'A reason is needed.';
  return errors;
}
