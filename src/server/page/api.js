// The API: requests with the token, lists with their continuation, and the stream that says that something changed.

const TOKEN = "stellate-token";

/** What the API answers when it does not give what was asked for. */
export class Problem extends Error {
  constructor({ status, reason, detail, help }) {
    super(detail || reason || `HTTP ${status}`);
    this.status = status;
    this.reason = reason;
    this.help = help;
  }
}

/** Keeps the token as long as this tab is open. */
export function remember(token) {
  if (token) sessionStorage.setItem(TOKEN, token);
  else sessionStorage.removeItem(TOKEN);
}

/** Whether a token is kept. */
export function hasToken() {
  return sessionStorage.getItem(TOKEN) !== null;
}

function headers() {
  const token = sessionStorage.getItem(TOKEN);
  return token ? { Authorization: `Bearer ${token}` } : {};
}

// Relative to the page: it may be served below a path.
async function ask(path, options) {
  const response = await fetch(`api/v1${path}`, { ...options, headers: headers(), credentials: "omit" });
  if (response.ok) return response;
  const body = await response.json().catch(() => ({}));
  throw new Problem({ ...body, status: response.status });
}

/** Builds a path of parts that may hold anything. */
export function path(...parts) {
  return "/" + parts.map(encodeURIComponent).join("/");
}

/** Adds what is not empty behind `?`. */
export function query(base, values) {
  const given = Object.entries(values).filter(([, value]) => value !== undefined && value !== null && value !== "");
  return given.length ? `${base}?${new URLSearchParams(given)}` : base;
}

export async function get(path, signal) {
  return (await ask(path, { signal })).json();
}

export async function post(path) {
  return (await ask(path, { method: "POST" })).json();
}

/** Calls back for every change of the board, and with how the connection is; connects again until `signal` ends it. */
export async function watch(signal, changed, state) {
  let pause = 500;
  while (!signal.aborted) {
    try {
      const response = await ask("/events", { signal });
      state("live");
      pause = 500;
      let rest = "";
      const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
      for (;;) {
        const { value, done } = await reader.read();
        if (done) break;
        const events = (rest + value).split("\n\n");
        rest = events.pop();
        if (events.some((event) => event.includes("event: board"))) changed();
      }
    } catch (problem) {
      if (signal.aborted || problem.status === 401) return;
    }
    state("reconnecting");
    await new Promise((resolve) => setTimeout(resolve, pause * (0.75 + Math.random() / 2)));
    pause = Math.min(pause * 2, 15_000);
  }
}
