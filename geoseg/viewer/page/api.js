// Requests to the server. The token is in the address on the first visit; afterwards the cookie carries it.

const asked = new URLSearchParams(location.search).get("token");
const token = asked ?? "";
export const embedded = window.self !== window.top;

// in a frame the address stays as it is: a notebook of another origin gets no cookie
if (asked && !embedded) history.replaceState(null, "", location.pathname);

export const headers = token ? { Authorization: `Bearer ${token}` } : {};

export function absolute(path) {
  return new URL(path, location.origin + "/").href;
}

export class Refused extends Error {
  constructor(status, detail) {
    super(detail);
    this.status = status;
  }
}

// Counts what was asked for last, so that a late answer to an earlier question is dropped.
export class Turns {
  #last = 0;

  // Returns a function that says whether nothing else was asked for since.
  take() {
    const mine = ++this.#last;
    return () => mine === this.#last;
  }
}

async function answer(response) {
  if (response.ok) return response.json(); // a request that is given up while its answer comes is no empty answer
  const body = await response.json().catch(() => ({}));
  throw new Refused(response.status, body.detail ?? `error ${response.status}`);
}

export async function get(path, signal) {
  return answer(await fetch(absolute(path), { headers, signal, credentials: "same-origin" }));
}

export async function post(path, value) {
  const sent = { ...headers, "Content-Type": "application/json" };
  return answer(
    await fetch(absolute(path), { method: "POST", headers: sent, body: JSON.stringify(value), credentials: "same-origin" }),
  );
}
