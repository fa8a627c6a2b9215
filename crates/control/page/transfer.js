// One transfer: what became of it and why, what was heard, what was said.

import { get, save } from "./api.js";
import { bare, element, facts, seconds, table, time } from "./dom.js";
import { ladder } from "./ladder.js";
import { timeline } from "./timeline.js";

export async function showTransfer(name) {
  const path = `/v1/transfers/${encodeURIComponent(name)}`;
  const [transfer, trace, heard] = await Promise.all([
    get(path),
    // A trace may be off, and is kept for a while only.
    get(`${path}/trace`).catch(() => ({ messages: [], left_out: 0 })),
    get(`${path}/timeline`).catch(() => undefined),
  ]);
  return [
    element("h3", {}, `${transfer.transferee} to ${bare(transfer.refer_to)}: `, element("span", { class: `state ${transfer.state}` }, transfer.state)),
    element(
      "p",
      { class: "links" },
      element("span", { class: "faint" }, `transfer ${transfer.transfer} of call `),
      element("a", { href: `#/calls/${encodeURIComponent(transfer.call)}` }, transfer.call),
      element("a", { href: "", onclick: bundle(path, transfer) }, "Save the evidence"),
    ),
    ...transfer.failures.map(why),
    element("h2", {}, "Facts"),
    known(transfer),
    ...receipts(transfer),
    ...media(heard, transfer),
    element("h2", {}, "Signalling"),
    ...ladder(trace),
  ];
}

const bundle = (path, { transfer }) => (event) => {
  event.preventDefault();
  save(`${path}/bundle`, `transfer-${transfer}.tar`).catch((error) => event.target.replaceWith(error.message));
};

function why({ explanation, causes }) {
  const cause = ({ what, check }) => element("li", {}, `${what}: `, element("span", { class: "faint" }, check));
  return element("div", { class: "why" }, element("p", {}, explanation), element("ul", {}, ...causes.map(cause)));
}

function known(transfer) {
  const { began_ms, connected_ms, ended_ms } = transfer;
  return facts([
    ["asked for", `${time(began_ms)} by ${transfer.transferor} (${transfer.chosen_by})`],
    ["method", transfer.method],
    ["target", transfer.target],
    ["connected", connected_ms && `after ${seconds(connected_ms - began_ms)}`],
    ["over", ended_ms && `after ${seconds(ended_ms - began_ms)}`],
    ["refused by the rule", transfer.rule],
    ["transferor", transfer.transferor_left ? "hung up before it was decided" : undefined],
    ["NOTIFY", transfer.notify_refused ? "refused by the transferor" : undefined],
    ["without effect", transfer.without_effect.join(", ")],
  ]);
}

function receipts({ receipts: proven }) {
  if (!proven.length) return [];
  const row = (one) => [one.party, one.gap_us, one.seq_step, one.ts_step, one.stale, one.command_to_effect_us];
  const head = ["who hears it", "gap, µs", "sequence step", "timestamp step", "late packets", "command to effect, µs"];
  return [element("h2", {}, "Receipts"), table(head, proven.map(row))];
}

function media(heard, transfer) {
  if (!heard?.parties.length) return [];
  const cuts = [transfer.connected_ms].filter(Boolean).map((at) => at - heard.began_ms);
  return [element("h2", {}, "What each party heard"), timeline(heard.parties, heard.lasted_ms, cuts)];
}
