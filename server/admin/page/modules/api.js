// Asks the server, and says in plain words what went wrong.

const PATIENCE_MS = 8000;

// `kind`: "lost" (no answer), "login" (not logged in any more), "refused" (the server's answer).
export class Failure extends Error {
  constructor(kind, sentence, status = 0) {
    super(sentence);
    this.kind = kind;
    this.status = status;
  }
}

let csrf = null;

async function send(method, path, body) {
  const headers = { Accept: "application/json" };
  if (method !== "GET") {
    headers["Content-Type"] = "application/json";
    if (csrf !== null) headers["X-Tallygate-CSRF"] = csrf;
  }
  const giveUp = new AbortController();
  const timer = setTimeout(() => giveUp.abort(), PATIENCE_MS);
  try {
    const response = await fetch(path, {
      method, headers, body, signal: giveUp.signal, credentials: "same-origin", redirect: "error", cache: "no-store",
    });
    return { status: response.status, text: await response.text() };
  } catch {
    const what = giveUp.signal.aborted ? "The server does not answer." : "The server cannot be reached.";
    throw new Failure("lost", method === "GET" ? what : `${what} Whether it was done is not known: look again.`);
  } finally {
    clearTimeout(timer);
  }
}

function parse(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

function sentence(said) {
  return said.charAt(0).toUpperCase() + said.slice(1) + (/[.!?]$/.test(said) ? "" : ".");
}

// The JSON of a good answer; throws a Failure. Health says why it is failed with a 503: `anyStatus`.
export async function ask(method, path, body, anyStatus = false) {
  const { status, text } = await send(method, path, body === undefined ? undefined : JSON.stringify(body));
  const answer = parse(text);
  const good = status >= 200 && status < 300;
  if (status === 401) throw new Failure("login", "You are not logged in any more.", status);
  if (good && status === 204) return null;
  if ((good || anyStatus) && answer !== null) return answer;
  const said = answer !== null && typeof answer.error === "string" ? answer.error : "";
  throw new Failure("refused", said ? sentence(said) : `The server answered with status ${status}.`, status);
}

export function get(path) {
  return ask("GET", path);
}

// Another window may have logged in anew, and this page's secret is then that of the login before.
export async function post(path, body) {
  try {
    return await ask("POST", path, body);
  } catch (failure) {
    if (failure.status !== 403 || csrf === null) throw failure;
    const old = csrf;
    await openSession();
    if (csrf === old) throw failure;
    return ask("POST", path, body);
  }
}

// Whether there is a login to end: over the socket and with a token there is none.
export async function openSession() {
  const session = await get("/v1/session");
  csrf = session.csrf;
  return session.by === "cookie";
}
