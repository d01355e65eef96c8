// One link: its meter, its history, and what can be done with it. The page's address names it
// (#link=ID), so that it can be kept and sent to somebody.

import { get, post } from "./api.js";
import { confirm } from "./confirm.js";
import { away, bytes, count, moment, plural } from "./format.js";

const LOOK_MS = 2000;
const SETTLED_MS = 6000;
const HISTORY = 50;
const SEGMENTS = 16;  // a limit up to it is drawn piece by piece
const ID = /^(?!\.{1,2}$)[A-Za-z0-9_:.-]{1,96}$/;

const part = (id) => document.getElementById(id);
const input = part("link-id");
const message = part("link-message");

let wanted = null;  // the id that is looked at
let shown = null;   // what the server said of it last
let past = noHistory();  // `text` is shown; the link was as `of` says since `at`

function noHistory() {
  return { of: "", at: 0, text: "" };
}

function say(text, bad = false) {
  message.textContent = text;
  message.classList.toggle("bad", bad);
}

const STATES = {
  active: "active", held: "held: not paid", refunded: "refunded", revoked: "revoked",
};
const BLOCKED = {
  copies: "no download is left; raise the limit or reset the count to open it",
  traffic: "the line broke so often that the traffic is used up; raise the limit or reset the count to open it",
};
const SPENT = { copies: "used up", traffic: "traffic used up" };
const OUTCOMES = { complete: "complete", partial: "partial", probe: "probe", refused: "refused" };

function setFacts(list, facts) {
  while (list.children.length > facts.length) list.lastElementChild.remove();
  facts.forEach(([name, value, className], index) => {
    let pair = list.children[index];
    if (pair === undefined) {
      pair = document.createElement("div");
      pair.append(document.createElement("dt"), document.createElement("dd"));
      list.append(pair);
    }
    pair.className = className ?? "";
    const [term, description] = pair.children;
    if (term.textContent !== name) term.textContent = name;
    if (description.textContent !== value) description.textContent = value;
  });
}
export { setFacts };

function drawMeter(link) {
  const meter = part("link-meter");
  const limit = link.limit;
  const pieces = limit !== null && limit > 0 && limit <= SEGMENTS ? limit : 1;
  while (meter.children.length > pieces) meter.lastElementChild.remove();
  while (meter.children.length < pieces) meter.append(document.createElement("span"));
  const share = limit === null || limit === 0 ? 0 : link.used / limit;
  [...meter.children].forEach((piece, index) => {
    const filled = pieces === 1 ? share : index < link.used ? 1 : 0;
    piece.classList.toggle("used", pieces > 1 && filled === 1);
    piece.style.setProperty("--filled", String(filled));
  });
  meter.classList.toggle("full", limit !== null && link.used >= limit);
  meter.classList.toggle("unlimited", limit === null);
  meter.setAttribute("aria-valuemin", "0");
  meter.setAttribute("aria-valuemax", String(limit ?? Math.max(link.used, 1)));
  meter.setAttribute("aria-valuenow", String(link.used));
}

function show(link) {
  shown = link;
  const now = Date.now() / 1000;
  const active = link.state === "active";
  const expired = link.expires_at !== null && link.expires_at <= now;
  part("link-name").textContent = link.id;
  const badge = part("link-state");
  const spent = link.blocked === null ? STATES.active : SPENT[link.blocked] ?? link.blocked;
  badge.textContent = !active ? STATES[link.state] ?? link.state : expired ? "expired" : spent;
  badge.className = `badge ${active ? (expired || link.blocked ? "degraded" : "ok") : "failed"}`;
  part("link-path").textContent = link.path ?? "not used yet: which file is not known here";
  part("link-used").textContent = link.limit === null
    ? `${plural(link.used, "download")} used, without a limit`
    : `${count(link.used)} of ${plural(link.limit, "download")} used`;
  drawMeter(link);
  setFacts(part("link-facts"), [
    ["copies", count(link.copies)],
    ["traffic", bytes(link.traffic_bytes)],
    ["in flight", count(link.in_flight)],
    ["expires", link.expires_at === null ? "as signed"
      : `${moment(link.expires_at)} (${away(link.expires_at, now)})`, "whole"],
    ["blocked", link.blocked === null ? "no" : BLOCKED[link.blocked] ?? link.blocked,
      link.blocked === null ? "whole" : "whole bad"],
  ]);
  part("revoke").disabled = link.state === "revoked";
  part("restore").disabled = active;
  part("link-view").hidden = false;
  part("link-empty").hidden = true;
}

function hide() {
  shown = null;
  past = noHistory();
  part("history").replaceChildren();
  part("history-note").hidden = true;
  part("link-view").hidden = true;
  part("link-empty").hidden = false;
}

function historyRow(download) {
  const row = document.createElement("li");
  row.className = "download";
  const add = (className, text) => {
    const element = document.createElement("span");
    element.className = className;
    element.textContent = text;
    row.append(element);
  };
  add(`outcome ${download.outcome}`, OUTCOMES[download.outcome] ?? download.outcome);
  add("when", moment(download.at));
  add("figures", [
    bytes(download.bytes),
    download.counted > 0 ? plural(download.counted, "copy", "copies") : "no copy",
    download.client ?? "client not kept",
    ...(download.path ? [download.path] : []),
  ].join(" · "));
  return row;
}

function showHistory(answer) {
  const text = JSON.stringify(answer);
  if (text === past.text) return;
  past.text = text;
  part("history").replaceChildren(...answer.downloads.map(historyRow));
  const note = part("history-note");
  note.textContent = !answer.kept ? "There is no shop's table that would keep a history."
    : answer.downloads.length === 0 ? "No download yet." : "";
  note.hidden = note.textContent === "";
  part("history").hidden = !note.hidden;
}

// Asked for when the link has changed and for a while afterwards: the shop is told a moment later.
async function lookAtHistory(link) {
  const of = JSON.stringify([link.id, link.used, link.copies, link.traffic_bytes, link.in_flight]);
  if (of !== past.of) past = { of, at: Date.now(), text: past.text };
  else if (link.in_flight === 0 && Date.now() - past.at > SETTLED_MS) return;
  try {
    const answer = await get(`/v1/links/${link.id}/history?limit=${HISTORY}`);
    if (wanted === link.id) showHistory(answer);
  } catch (failure) {
    if (wanted !== link.id) return;
    past = noHistory();
    part("history").hidden = true;
    part("history-note").hidden = false;
    part("history-note").textContent = `The history cannot be read: ${failure.message}`;
  }
}

// Looks once; what has become of it meanwhile is not shown if another link is wanted by then.
async function look() {
  const id = wanted;
  if (id === null) return;
  try {
    const link = await get(`/v1/links/${id}`);
    if (wanted !== id) return;
    show(link);
    await lookAtHistory(link);
  } catch (failure) {
    if (wanted !== id) return;
    if (failure.status === 404) {
      hide();
      say(`No link “${id}” is known: nobody has used it, and the shop has no row for it.`, true);
    } else if (failure.kind === "refused" || shown === null) {
      say(failure.message, true);
    }
  }
}

async function open(id) {
  if (id !== wanted) hide();
  input.value = id;
  if (!ID.test(id)) {
    wanted = null;
    hide();
    say("A link’s id is 1 to 96 of the characters A–Z a–z 0–9 - _ : and .", true);
    return;
  }
  wanted = id;
  say("");
  await look();
}

async function change(button, body, done) {
  const id = wanted;
  button.setAttribute("aria-busy", "true");
  try {
    const link = await post(`/v1/links/${id}`, body);
    if (wanted !== id) return;
    show(link);
    say(done);
  } catch (failure) {
    if (wanted === id) say(failure.kind === "lost" ? failure.message : `Not done. ${failure.message}`, true);
  } finally {
    button.removeAttribute("aria-busy");
  }
}

async function revoke() {
  const id = shown.id;
  const sure = await confirm({
    heading: "Revoke this link?", question: `The link ${id} is refused from now on, until it is restored.`,
    button: "Revoke", danger: true,
  });
  if (sure) await change(part("revoke"), { action: "revoke" }, "Revoked: it is refused from now on.");
}

async function restore() {
  const id = shown.id;
  const sure = await confirm({
    heading: "Restore this link?", question: `The link ${id} works again, as far as its limit and its expiry allow.`,
    button: "Restore",
  });
  if (sure) await change(part("restore"), { action: "restore" }, "Restored: it works again.");
}

async function raise() {
  const { id, limit, used } = shown;
  const now = limit === null ? "There is no limit now" : `Now it is ${count(limit)}`;
  const max = await confirm({
    heading: "Raise the limit", question: `How many downloads the link ${id} is good for. ${now}; ${count(used)} used.`,
    button: "Set limit", limit: Math.max(limit ?? 0, used) + 1,
  });
  if (max === null) return;
  const said = max === -1 ? "It has no limit any more." : `The limit is ${count(max)} now.`;
  await change(part("raise"), { action: "set", max }, said);
}

async function reset() {
  const id = shown.id;
  const sure = await confirm({
    heading: "Reset the count?",
    question: `The count of the link ${id} begins at zero again; what was used is forgiven.`,
    button: "Reset", danger: true,
  });
  if (sure) await change(part("reset"), { action: "reset" }, "Reset: its count begins at zero again.");
}

function readAddress() {
  const found = /^#link=(.*)$/.exec(location.hash);
  if (found === null) return;
  let id = found[1];
  try {
    id = decodeURIComponent(id);
  } catch {
    // Shown as it stands there.
  }
  open(id);
  part("link").scrollIntoView({ block: "nearest" });
}

export function start() {
  part("search").addEventListener("submit", (event) => {
    event.preventDefault();
    const id = input.value.trim();
    const address = `#link=${encodeURIComponent(id)}`;
    if (location.hash === address) open(id);
    else location.hash = address;
  });
  for (const [id, action] of [["revoke", revoke], ["restore", restore], ["raise", raise], ["reset", reset]]) {
    part(id).addEventListener("click", () => shown !== null && action());
  }
  addEventListener("hashchange", readAddress);
  readAddress();
  const again = async () => {
    if (!document.hidden) await look();
    setTimeout(again, LOOK_MS);
  };
  setTimeout(again, LOOK_MS);
}
