// The HTTP API of the server that this page came from.

/// The server wants a token, or another one.
export class NoToken extends Error {}

const KEY = "patchcord-token";
let arrived = () => {};

/// It is kept for as long as the tab is open.
export function takeToken(token) {
  sessionStorage.setItem(KEY, token);
  arrived();
}

async function request(path, options = {}) {
  const token = sessionStorage.getItem(KEY);
  const headers = token ? { Authorization: `Bearer ${token}` } : {};
  const response = await fetch(path, { ...options, headers });
  if (response.status === 401) throw new NoToken("The server asks for its token.");
  if (response.ok) return response;
  const said = await response.json().catch(() => ({}));
  throw new Error(said.error?.message ?? said.message ?? `${path}: ${response.status} ${response.statusText}`);
}

/// What is at a path, as JSON.
export async function get(path) {
  return (await request(path)).json();
}

/// Saves what is at a path as a file. A link could not carry the token.
export async function save(path, name) {
  const address = URL.createObjectURL(await (await request(path)).blob());
  const link = document.createElement("a");
  link.href = address;
  link.download = name;
  link.click();
  URL.revokeObjectURL(address);
}

/// Reads the event stream for ever: `happened(name, event)`, `isLive(true or false)`. `EventSource` could not carry the token.
export async function listen(happened, isLive, wantsToken) {
  for (let wait = 500; ; wait = Math.min(wait * 2, 10_000)) {
    try {
      const response = await request("/v1/events");
      isLive(true);
      wait = 500;
      await read(response.body, happened);
    } catch (error) {
      if (error instanceof NoToken) {
        wantsToken();
        await new Promise((resolve) => (arrived = resolve));
        wait = 500;
        continue;
      }
    }
    isLive(false);
    await new Promise((resolve) => setTimeout(resolve, wait));
  }
}

async function read(body, happened) {
  let rest = "";
  for await (const piece of pieces(body.pipeThrough(new TextDecoderStream()))) {
    const events = (rest + piece).split("\n\n");
    rest = events.pop();
    for (const event of events) {
      const field = (name) => event.split("\n").find((line) => line.startsWith(`${name}:`))?.slice(name.length + 1).trim();
      const [name, data] = [field("event"), field("data")];
      if (name && data) happened(name, JSON.parse(data));
    }
  }
}

async function* pieces(stream) {
  const reader = stream.getReader();
  for (let { done, value } = await reader.read(); !done; { done, value } = await reader.read()) yield value;
}
