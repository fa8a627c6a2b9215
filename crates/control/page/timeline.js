// What each party heard, and when.

import { drawn, seconds } from "./dom.js";

const [LEFT, WIDTH, LANE, TOP] = [90, 700, 26, 20];

/// `heard`: for each party pieces `{from_ms, to_ms, what, kind}` since the call began; `cuts`: times of cut-overs.
export function timeline(parties, end, cuts) {
  const scale = WIDTH / Math.max(end, 1);
  const height = TOP + LANE * parties.length + 22;
  const lane = ({ party, heard }, row) => {
    const y = TOP + LANE * row;
    const piece = ({ from_ms, to_ms, what, kind }) => {
      const [x, width] = [LEFT + from_ms * scale, Math.max(((to_ms ?? end) - from_ms) * scale, 1)];
      const told = `${party} hears ${what}: ${seconds(from_ms)} to ${seconds(to_ms ?? end)}`;
      const box = drawn("rect", { class: `heard ${kind}`, x, y, width, height: LANE - 6, rx: 2 }, drawn("title", {}, told));
      // A letter has some seven pixels.
      const fits = what.length * 7 < width;
      return drawn("g", {}, box, fits ? drawn("text", { x: x + 4, y: y + 14 }, what) : undefined);
    };
    return drawn("g", {}, drawn("text", { x: 0, y: y + 14 }, party), ...heard.map(piece));
  };
  const cut = (at) => drawn("line", { class: "cut", x1: LEFT + at * scale, x2: LEFT + at * scale, y1: TOP - 6, y2: height - 20 });
  const tick = (part) =>
    drawn("text", { class: "faint", x: LEFT + WIDTH * part, y: height - 4, "text-anchor": "middle" }, seconds(end * part));
  const width = LEFT + WIDTH + 30;
  return drawn(
    "svg",
    { class: "timeline", width, height, viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": "What each party heard" },
    ...parties.map(lane),
    ...cuts.map(cut),
    ...[0, 0.25, 0.5, 0.75, 1].map(tick),
  );
}
