// What is listed, what is shown, and when it is asked for anew.

import { get, listen, NoToken, takeToken } from "./api.js";
import { showCall } from "./call.js";
import { bare, clear, element, time } from "./dom.js";
import { showTransfer } from "./transfer.js";

const LISTED = 200;
const place = (id) => document.getElementById(id);

let transfers = [];
let calls = [];

async function list() {
  const [first, second] = await Promise.allSettled([get(`/v1/transfers?limit=${LISTED}`), get("/v1/calls")]);
  for (const { reason } of [first, second]) if (reason instanceof NoToken) return askForToken();
  // Without a pivot there are no transfers.
  transfers = first.value?.transfers ?? [];
  calls = second.value?.calls ?? [];
  place("token").hidden = true;
  draw();
}

function draw() {
  const wanted = place("filter").value.trim().toLowerCase();
  const fits = (...texts) => texts.some((text) => String(text ?? "").toLowerCase().includes(wanted));
  const line = (href, ...content) => {
    const link = element("a", { href }, ...content);
    if (location.hash === href) link.setAttribute("aria-current", "page");
    return element("li", {}, link);
  };
  const ofTransfer = (transfer) =>
    line(
      `#/transfers/${encodeURIComponent(transfer.transfer)}`,
      element("span", { class: `state ${transfer.state}` }, transfer.state),
      ` ${bare(transfer.refer_to)}`,
      element("br"),
      element("small", {}, `${time(transfer.began_ms)} · ${transfer.call}`),
    );
  const ofCall = (call) => line(`#/calls/${encodeURIComponent(call.call)}`, call.call);
  const some = (entries, none) => (entries.length ? entries : [element("li", { class: "hint" }, none)]);
  clear(
    place("transfers"),
    ...some(
      transfers.filter((one) => fits(one.transfer, one.state, one.refer_to, one.call, one.transferor, one.target)).map(ofTransfer),
      transfers.length ? "None of them contains that." : "There has been none yet.",
    ),
  );
  clear(place("calls"), ...some(calls.filter((one) => fits(one.call)).map(ofCall), "There is none."));
}

/// Shows what the address names.
async function show() {
  const [, kind, name] = location.hash.split("/");
  const asked = location.hash;
  const shown = place("shown");
  draw();
  if (!name) return clear(shown, element("p", { class: "hint" }, "Choose a transfer or a call."));
  let content;
  try {
    content = await (kind === "transfers" ? showTransfer : showCall)(decodeURIComponent(name));
  } catch (error) {
    if (error instanceof NoToken) return askForToken();
    content = [element("p", { class: "hint" }, error.message)];
  }
  // Somebody may have chosen something else meanwhile.
  if (location.hash === asked) clear(shown, ...content);
}

function askForToken() {
  place("token").hidden = false;
  place("token").querySelector("input").focus();
}

/// However much happens, the server is asked twice a second at most.
function atMost(milliseconds, work) {
  let waits = false;
  return () => {
    if (waits) return;
    waits = true;
    setTimeout(() => {
      waits = false;
      work();
    }, milliseconds);
  };
}

const listSoon = atMost(500, list);
const showSoon = atMost(500, show);

function happened(name, event) {
  if (["transfer", "call-created", "call-deleted"].includes(name)) listSoon();
  const [, kind, shown] = location.hash.split("/");
  if (!shown) return;
  const wanted = decodeURIComponent(shown);
  const call = kind === "calls" ? wanted : transfers.find((one) => one.transfer === wanted)?.call;
  if (name === "transfer" ? event.transfer === wanted || event.call === call : event.call === call) showSoon();
}

function isLive(yes) {
  const live = place("live");
  live.textContent = yes ? "live" : "connection lost, trying again";
  live.className = yes ? "is-live" : "is-lost";
  if (yes) {
    list();
    show();
  }
}

place("filter").addEventListener("input", draw);
place("token").addEventListener("submit", (event) => {
  event.preventDefault();
  takeToken(event.target.querySelector("input").value);
  list();
  show();
});
addEventListener("hashchange", show);
listen(happened, isLive, askForToken);
