// The live page: asks /v1/live and /v1/transfers once a second and shows what came. Whatever comes from
// the server becomes text (textContent), never markup.

import { ask, get, openSession, post } from "./modules/api.js";
import { Chart, Series, Sparkline } from "./modules/chart.js";
import { between } from "./modules/figures.js";
import { bytes, bytesPerSecond, clock, count, duration, milliseconds, perSecond, plural } from "./modules/format.js";
import * as link from "./modules/link.js";
import * as transfers from "./modules/transfers.js";

const EVERY_MS = 1000;
const REASON_EVERY_MS = 5000;
const LOGIN_EVERY_MS = 5000;

const part = (id) => document.getElementById(id);

function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

// -- charts

const whole = (value) => count(value);
const seconds = (value) => duration(value);

const charts = {
  bytes: new Chart(part("chart-bytes"), { lines: [""], show: bytesPerSecond, least: 1000 }),
  transfers: new Chart(part("chart-transfers"), { lines: [""], show: whole, least: 5 }),
  requests: new Chart(part("chart-requests"), { lines: [""], show: perSecond, least: 5 }),
  refusals: new Chart(part("chart-refusals"), { lines: [""], show: perSecond, least: 1 }),
  fsync: new Chart(part("chart-fsync"), { lines: ["p99", "p50"], show: milliseconds, least: 1 }),
  lag: new Chart(part("chart-lag"), { lines: [""], show: seconds, least: 10 }),
};

let lastFsync = "–";  // of the last second in which there was one

function addFigures(live, moved) {
  const at = live.now_ms;
  const of = (value) => (moved === null ? null : value(moved));
  const say = (value, show) => (value === null ? "–" : show(value));
  const sent = of((m) => m.bytes);
  charts.bytes.add(at, [sent], say(sent, bytesPerSecond), `${bytes(live.bytes_sent_total)} in all`);
  charts.transfers.add(at, [live.transfers], count(live.transfers), plural(live.connections, "connection"));
  const asked = of((m) => m.requests);
  charts.requests.add(at, [asked], say(asked, perSecond), `${count(live.requests_total)} in all`);
  const refused = of((m) => m.refused);
  const refusals = Object.values(live.refusals).reduce((sum, each) => sum + each, 0);
  charts.refusals.add(at, [refused], say(refused, perSecond), `${count(refusals)} in all`);
  const most = of((m) => m.fsyncMost);
  const half = of((m) => m.fsyncHalf);
  if (most !== null) lastFsync = milliseconds(most);
  charts.fsync.add(at, [most, half], lastFsync, half === null ? "p99; idle" : `p99; p50 ${milliseconds(half)}`);
  addLag(live);
}

function addLag(live) {
  const { shop } = live;
  part("chart-lag").classList.toggle("bad", shop !== null && !shop.reachable);
  if (shop === null) {
    charts.lag.add(live.now_ms, [null], "no shop", "counts stay here");
    return;
  }
  const waiting = shop.copies_waiting === 0 ? shop.engine : `${count(shop.copies_waiting)} waiting`;
  charts.lag.add(live.now_ms, [shop.lag_seconds], seconds(shop.lag_seconds),
    shop.reachable ? waiting : `not reachable, ${count(shop.copies_waiting)} waiting`);
}

// -- refusals by reason

const REASONS = [
  ["link-invalid", "not genuine"],
  ["link-not-yet-valid", "before its time"],
  ["link-expired", "its time is over"],
  ["link-revoked", "revoked, refunded, unpaid"],
  ["downloads-exhausted", "no download is left"],
  ["traffic-exhausted", "the line broke too often"],
  ["downloads-in-progress", "all left are running"],
  ["file-missing", "the file is not there"],
  ["temporarily-unavailable", "ledger or shop away"],
  ["http", "not proper HTTP"],
];

const reasons = REASONS.map(([name, words]) => {
  const row = part("reasons").insertRow();
  const head = document.createElement("th");
  head.scope = "row";
  const code = document.createElement("span");
  code.className = "code";
  code.textContent = name === "http" ? "http-…" : name;
  const explained = document.createElement("span");
  explained.className = "explained";
  explained.textContent = words;
  head.append(code, explained);
  row.append(head);
  const plot = row.insertCell();
  plot.className = "wide";
  const [now, total] = [row.insertCell(), row.insertCell()];
  now.className = "number";
  total.className = "number";
  return { name, row, now, total, series: new Series(), spark: new Sparkline(plot) };
});

function sumOf(name, figures) {
  if (name !== "http") return figures[name] ?? 0;
  const own = Object.entries(figures).filter(([each]) => each.startsWith("http-"));
  return own.reduce((sum, [, value]) => sum + value, 0);
}

function addReasons(live, moved) {
  for (const reason of reasons) {
    const rate = moved === null ? null : sumOf(reason.name, moved.refusals);
    const total = sumOf(reason.name, live.refusals);
    reason.series.add(live.now_ms, [rate]);
    setText(reason.now, rate === null ? "–" : perSecond(rate));
    setText(reason.total, count(total));
    reason.row.classList.toggle("none", total === 0);
  }
  drawReasons(live.now_ms);
}

function drawReasons(now) {
  const most = Math.max(1, ...reasons.map((reason) => reason.series.max()));
  for (const reason of reasons) reason.spark.draw(reason.series, now, most);
}

// -- the rest

function addTotals(live) {
  const answered = Object.entries(live.requests_by_status)
    .filter(([, number]) => number > 0)
    .map(([status, number]) => `${status === "none" ? "no answer" : status}: ${count(number)}`)
    .join(" · ");
  link.setFacts(part("totals-facts"), [
    ["downloads completed", count(live.copies_total)],
    ["bytes sent", bytes(live.bytes_sent_total)],
    ["links known", count(live.links)],
    ["connections", count(live.connections)],
    ["open files", count(live.open_files)],
    ["reads from disk", count(live.cold_reads_total)],
    ["TLS handshakes", count(live.tls_handshakes_total)],
    ["longest stall", milliseconds(live.loop_stall_longest_ms)],
    ["log lines dropped", count(live.log_lines_dropped), live.log_lines_dropped > 0 ? "bad" : ""],
    ["answers by status", answered || "none yet", "whole"],
  ]);
}

// Why it is not well: what health says of it.
function reasonsOf(health) {
  const { ledger = {}, shop = {}, settings = {} } = health;
  return [
    ledger.failure, ledger.warning, shop.alarm, shop.warning, shop.reachable === false ? shop.last_error : undefined,
    ...(settings.mistakes ?? []).map((mistake) => `not reloaded: ${mistake}`),
  ].filter((each) => typeof each === "string" && each !== "");
}

let reasonAskedAt = 0;

async function tellCondition(live) {
  const { status } = live;
  setText(part("state"), status);
  part("state").className = `badge ${status}`;
  document.title = status === "ok" ? "tallygate" : `${status}: tallygate`;
  setText(part("about"),
    `${live.version} · up ${duration(live.now_ms / 1000 - live.started_at)}`);
  const condition = part("condition");
  condition.className = status;
  if (status === "ok") setText(condition, "All is well.");
  else if (status === "draining") setText(condition, "It is ending: no new connections, running downloads finish.");
  else if (Date.now() - reasonAskedAt >= REASON_EVERY_MS) {
    reasonAskedAt = Date.now();
    const why = reasonsOf(await ask("GET", "/healthz", undefined, true));
    setText(condition, why.join(" · ") || `It is ${status}; its standard error says why.`);
  }
}

// -- the line to the server

let before = null;  // the last answer of /v1/live
let lostAt = null;

function tellLine(state, text) {
  document.body.dataset.line = state;
  setText(part("line"), text);
}

function tellFailure(failure) {
  const condition = part("condition");
  setText(part("state"), "unknown");
  part("state").className = "badge";
  if (failure.kind === "login") {
    tellLine("login", "logged out");
    part("logout").disabled = true;
    condition.className = "failed";
    if (condition.querySelector("a") === null) {
      const anchor = document.createElement("a");
      anchor.href = "/login";
      anchor.textContent = "Log in again";
      condition.replaceChildren(
        "You are not logged in any more: the server was started anew, or the login is too old. ", anchor);
    }
    return;
  }
  lostAt ??= Date.now();
  tellLine("lost", `no connection for ${duration((Date.now() - lostAt) / 1000)}`);
  condition.className = "failed";
  const since = before === null ? "" : ` What is shown is of ${clock(before.now_ms)}.`;
  setText(condition, `${failure.message}${since} It is asked again every second.`);
}

async function turn() {
  const [live, flying] = await Promise.all([get("/v1/live"), transfers.look()]);
  const moved = before === null ? null : between(before, live);
  before = live;
  lostAt = null;
  tellLine("live", "live");
  addFigures(live, moved);
  addReasons(live, moved);
  addTotals(live);
  transfers.show(flying, live.now_ms);
  await tellCondition(live);
}

async function openAgain() {
  part("logout").disabled = !(await openSession());
}

let isOpen = false;

async function run() {
  const began = Date.now();
  let wait = EVERY_MS;
  try {
    if (!isOpen) await openAgain();
    isOpen = true;
    await turn();
  } catch (failure) {
    if (failure.kind === undefined) throw failure;
    isOpen = false;
    reasonAskedAt = 0;
    if (failure.kind === "login") wait = LOGIN_EVERY_MS;
    tellFailure(failure);
  } finally {
    setTimeout(run, Math.max(100, wait - (Date.now() - began)));
  }
}

part("logout").addEventListener("click", async () => {
  try {
    await post("/logout");
  } catch (failure) {
    if (failure.kind !== "login") {
      tellFailure(failure);
      return;
    }
  }
  location.assign("/login");
});

new ResizeObserver(() => before !== null && drawReasons(before.now_ms)).observe(part("refusals"));
link.start();
run();
