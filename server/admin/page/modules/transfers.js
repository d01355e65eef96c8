// The transfers in flight, each with a button that cuts it.

import { get, post } from "./api.js";
import { confirm } from "./confirm.js";
import { bytes, bytesPerSecond, count, duration } from "./format.js";

const SHOWN = 50;

const list = document.getElementById("transfers-list");
const counter = document.getElementById("transfers-count");
const empty = document.getElementById("transfers-empty");
const message = document.getElementById("transfers-message");

const rows = new Map();  // by the transfer's id

function make(name, className, parent) {
  const element = document.createElement(name);
  element.className = className;
  parent.append(element);
  return element;
}

function say(text, bad = false) {
  message.textContent = text;
  message.classList.toggle("bad", bad);
}

async function cut(transfer) {
  const wanted = await confirm({
    heading: "Cut this transfer?",
    question: `${transfer.client} is downloading ${transfer.path} with the link ${transfer.link}. What has arrived ` +
      "counts; the customer can resume.",
    button: "Cut",
    danger: true,
  });
  if (wanted === null) return;
  try {
    await post(`/v1/transfers/${transfer.id}`, { action: "cut" });
    say(`The transfer of link ${transfer.link} was cut.`);
  } catch (failure) {
    say(failure.status === 404 ? "That transfer had ended already." : failure.message, failure.status !== 404);
  }
}

function makeRow(transfer) {
  const row = make("li", "transfer", list);
  const link = make("a", "id", row);
  link.href = `#link=${transfer.link}`;
  link.textContent = transfer.link;
  link.title = transfer.link;
  const path = make("span", "path", row);
  path.textContent = transfer.path;
  path.title = transfer.path;
  const button = make("button", "danger small", row);
  button.type = "button";
  button.textContent = "Cut…";
  button.setAttribute("aria-label", `Cut the transfer of link ${transfer.link}, ${transfer.path}`);
  button.addEventListener("click", () => cut(transfer));
  const bar = make("span", "progress", row);
  bar.setAttribute("role", "progressbar");
  bar.setAttribute("aria-label", "sent");
  const done = make("span", "done", bar);
  const below = make("span", "below", row);
  const figures = make("span", "figures", below);
  make("span", "figures client", below).textContent = `${transfer.client}${transfer.tls ? " · TLS" : ""}`;
  return { row, bar, done, figures };
}

// What it sent since the last look; over its life where there was none.
function rateOf(transfer, before, now) {
  if (before === undefined || now <= before.at) return transfer.rate;
  return ((transfer.bytes_sent - before.sent) * 1000) / (now - before.at);
}

export function show(answer, now) {
  const there = new Set();
  for (const transfer of answer.transfers) {
    there.add(transfer.id);
    let entry = rows.get(transfer.id);
    if (entry !== undefined && entry.startedAt !== transfer.started_at_ms) {
      entry.row.remove();
      entry = undefined;
    }
    if (entry === undefined) {
      entry = { ...makeRow(transfer), startedAt: transfer.started_at_ms };
      rows.set(transfer.id, entry);
    }
    const rate = rateOf(transfer, entry.before, now);
    entry.before = { at: now, sent: transfer.bytes_sent };
    const share = transfer.bytes_total > 0 ? Math.min(1, transfer.bytes_sent / transfer.bytes_total) : 1;
    entry.done.style.transform = `scaleX(${share})`;
    entry.bar.setAttribute("aria-valuenow", String(Math.floor(share * 100)));
    entry.figures.textContent = [
      `${bytes(transfer.bytes_sent)} of ${bytes(transfer.bytes_total)}`, bytesPerSecond(Math.max(0, rate)),
      duration((now - transfer.started_at_ms) / 1000),
    ].join(" · ");
  }
  for (const [id, entry] of rows) {
    if (there.has(id)) continue;
    entry.row.remove();
    rows.delete(id);
  }
  empty.hidden = answer.total > 0;
  const shown = answer.transfers.length;
  counter.textContent = shown < answer.total ? `${shown} of ${count(answer.total)}` : count(answer.total);
}

export function look() {
  return get(`/v1/transfers?limit=${SHOWN}`);
}
