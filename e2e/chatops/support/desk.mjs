// The local Slack and the people in it, for tests in other languages: obeys one JSON object a line on its standard
// input, and answers each with one.
//   {"do": "shown", "part": TEXT, "buttons": ID?}   the message that has this text (and this button, or "" for none)
//   {"do": "click", "user": U, "part": TEXT, "action": ID}
//   {"do": "submit", "user": U, "reason": TEXT?, "pick": TEXT?}   the dialog of the last click
//   {"do": "command", "user": U, "text": TEXT}
//   {"do": "told", "user": U, "part": TEXT}         what only this person was told
import { createInterface } from 'node:readline';

import { APP_TOKEN, BOT_TOKEN, Slack } from './slack.mjs';

const slack = await Slack.start();
let dialogs = 0; // before the last click

function find({ part, buttons }) {
  return slack.messages.find((message) => {
    const has = Slack.buttons(message).map((b) => b.action_id);
    const fits = buttons === undefined || (buttons === '' ? has.length === 0 : has.includes(buttons));
    return fits && message.blocks.some((b) => b.text?.text.includes(part));
  });
}

const orders = {
  async shown(order) {
    const { ts, channel, text, blocks } = await slack.until(() => find(order), JSON.stringify(order));
    return { ts, channel, text, words: blocks.map((b) => b.text?.text ?? '').join('\n') };
  },
  async click({ user, part, action }) {
    dialogs = slack.views.length;
    await slack.click(user, find({ part, buttons: action }), action);
    return {};
  },
  async submit({ user, reason, pick }) {
    const view = await slack.viewAfter(dialogs);
    return { answer: await slack.submit(user, view, { reason, pick }), title: view.title.text };
  },
  command: async ({ user, text }) => ({ answer: await slack.command(user, text) }),
  told: async ({ user, part }) => ({ text: (await slack.ephemeral(user, part)).text }),
  count: ({ method }) => ({ count: slack.count(method) }),
};

console.log(JSON.stringify({ api: slack.url, app_token: APP_TOKEN, bot_token: BOT_TOKEN }));
for await (const line of createInterface({ input: process.stdin })) {
  const order = JSON.parse(line);
  const answer = await Promise.resolve().then(() => orders[order.do](order)).catch((error) => ({ error: error.message }));
  console.log(JSON.stringify(answer));
}
process.exit(0);
