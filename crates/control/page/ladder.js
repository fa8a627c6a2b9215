// SIP messages as a ladder: a line for each side, an arrow for each message, time going down.

import { drawn, element } from "./dom.js";

const [LEFT, COLUMN, ROW, TOP] = [80, 190, 24, 34];
const US = "pivot";

/// Its messages, and below it the text of the one that was chosen.
export function ladder({ messages, left_out }) {
  if (!messages.length) return [element("p", { class: "hint" }, "No message of it is kept.")];
  const sides = [...new Set(messages.map((message) => message.party ?? message.remote))];
  sides.splice(1, 0, US);
  const at = (side) => LEFT + COLUMN * (sides.indexOf(side) + 0.5);
  const [width, height] = [LEFT + COLUMN * sides.length, TOP + ROW * (messages.length + 1)];
  const text = element("pre", { hidden: "", id: "message" });
  const choose = (message) => () => {
    text.hidden = false;
    text.textContent = `${message.local} ${message.direction === "in" ? "◀" : "▶"} ${message.remote} (${message.transport})\n\n${message.text}`;
  };
  const seen = new Set();
  const arrows = messages.map((message, row) => {
    const key = [message.direction, message.remote, message.first_line, message.call_id, message.cseq].join("\n");
    const isAgain = seen.has(key);
    seen.add(key);
    return arrow(message, isAgain, TOP + ROW * (row + 1), at(US), at(message.party ?? message.remote), choose(message));
  });
  const lives = sides.map((side) =>
    drawn(
      "g",
      {},
      drawn("text", { x: at(side), y: 14, "text-anchor": "middle" }, side),
      drawn("line", { class: "life", x1: at(side), x2: at(side), y1: 22, y2: height }),
    ),
  );
  const picture = drawn(
    "svg",
    { class: "ladder", width, height, viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": "SIP messages" },
    ...lives,
    ...arrows,
  );
  const missing = left_out ? element("p", { class: "hint" }, `${left_out} messages in between are not kept.`) : undefined;
  return [picture, missing, text].filter(Boolean);
}

function arrow(message, isAgain, y, us, them, chosen) {
  const [from, to] = message.direction === "in" ? [them, us] : [us, them];
  const point = to > from ? -1 : 1;
  const label = labelled(message);
  return drawn(
    "g",
    {
      class: `message ${kind(message)} ${isAgain ? "again" : ""}`,
      tabindex: 0,
      onclick: chosen,
      onkeydown: (event) => event.key === "Enter" && chosen(),
    },
    drawn("title", {}, message.first_line),
    drawn("text", { class: "faint", x: 0, y: y + 4 }, (message.at_ms / 1000).toFixed(3)),
    drawn("text", { x: (from + to) / 2, y: y - 4, "text-anchor": "middle" }, isAgain ? `${label} (again)` : label),
    drawn("line", { x1: from, x2: to, y1: y, y2: y }),
    drawn("path", { d: `M${to} ${y} l${8 * point} -4 v8 z` }),
  );
}

/// `INVITE`, `200 OK (INVITE)`, and of a NOTIFY what it says.
function labelled({ first_line, cseq, text }) {
  const method = cseq?.split(" ")[1] ?? "";
  if (first_line.startsWith("SIP/2.0 ")) return `${first_line.slice(8)} (${method})`;
  const name = first_line.split(" ")[0];
  const told = name === "NOTIFY" && /\r?\n\r?\nSIP\/2\.0 (.*)/.exec(text ?? "");
  const sdp = text?.includes("\nv=0") ? " + SDP" : "";
  return told ? `NOTIFY: ${told[1].trim()}` : name + sdp;
}

function kind({ first_line }) {
  const code = first_line.startsWith("SIP/2.0 ") ? Number(first_line.slice(8, 11)) : 0;
  if (!code) return "request";
  // A challenge is no failure.
  if (code < 200 || code === 401 || code === 407) return "provisional";
  return code < 300 ? "good" : "bad";
}
