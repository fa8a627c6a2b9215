// Elements. What comes from the network becomes text and never markup.

const SVG = "http://www.w3.org/2000/svg";

function made(node, attributes, content) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value !== undefined) node.setAttribute(name, value);
  }
  node.append(...content.filter((part) => part !== undefined && part !== null));
  return node;
}

export const element = (name, attributes = {}, ...content) => made(document.createElement(name), attributes, content);
export const drawn = (name, attributes = {}, ...content) => made(document.createElementNS(SVG, name), attributes, content);

/// Puts something else into an element.
export const clear = (node, ...content) => node.replaceChildren(...content.filter(Boolean));

/// A table of names and values; values that are not there are left out.
export function facts(entries) {
  const rows = entries.filter(([, value]) => value !== undefined && value !== null && value !== "");
  return element("table", {}, ...rows.map(([name, value]) => element("tr", {}, element("th", {}, name), element("td", {}, value))));
}

/// A table with a head; numbers stand right.
export function table(head, rows) {
  const cell = (value) => element("td", typeof value === "number" ? { class: "number" } : {}, String(value ?? "–"));
  return element(
    "table",
    {},
    element("tr", {}, ...head.map((name) => element("th", {}, name))),
    ...rows.map((row) => element("tr", {}, ...row.map(cell))),
  );
}

/// A URI without what may stand around it in a header field.
export const bare = (address) => /<([^>]*)>/.exec(address)?.[1] ?? address;
export const time = (ms) => (ms === undefined || ms === null ? undefined : new Date(ms).toLocaleString());
export const seconds = (ms) => `${(ms / 1000).toFixed(ms < 10_000 ? 2 : 1)} s`;
