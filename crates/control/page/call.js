// One call as the relay has it.

import { get } from "./api.js";
import { element, facts, seconds, table } from "./dom.js";

export async function showCall(name) {
  const call = await get(`/v1/calls/${encodeURIComponent(name)}`);
  return [
    element("h3", {}, call.call),
    facts([
      ["since", `${seconds(call.age_ms)} ago`],
      ["worker", String(call.worker)],
      ["recorded", call.recording?.recording],
    ]),
    ...parties(call),
    ...cutOvers(call),
  ];
}

function parties({ legs }) {
  const head = ["party", "hears", "from where", "codecs", "packets in", "lost", "jitter, ms", "packets out", "dropped"];
  const row = (leg) => [
    leg.party,
    leg.hears,
    leg.remote,
    leg.codecs.join(", "),
    leg.packets,
    leg.lost,
    Number(leg.jitter_ms.toFixed(1)),
    leg.sent.packets,
    Object.entries(leg.drops).map(([reason, count]) => `${reason} ${count}`).join(", "),
  ];
  return legs.length ? [element("h2", {}, "Parties"), table(head, legs.map(row))] : [];
}

function cutOvers({ cut_overs }) {
  const head = ["cut-over", "state", "who hears it", "gap, µs", "sequence step", "late packets", "command to effect, µs"];
  const rows = ({ command, state, receipts }) => {
    const proven = receipts.length ? receipts : [{}];
    return proven.map((one) => [command, state, one.party, one.gap_us, one.seq_step, one.stale, one.command_to_effect_us]);
  };
  return cut_overs.length ? [element("h2", {}, "Cut-overs"), table(head, cut_overs.flatMap(rows))] : [];
}
