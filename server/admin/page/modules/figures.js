// What happened between two answers of /v1/live. Pure.

// The value below which a share of the observations lay, from a histogram's growth; in its unit, and
// within its bucket by proportion. Null: nothing was observed.
export function quantile(share, before, now) {
  const total = now.count - before.count;
  if (total <= 0) return null;
  const wanted = share * total;
  let lower = 0;
  let below = 0;
  for (let i = 0; i < now.le.length; i += 1) {
    const [bound, upTo] = now.le[i];
    const grown = upTo - before.le[i][1];
    if (grown >= wanted && grown > below) return lower + (bound - lower) * ((wanted - below) / (grown - below));
    lower = bound;
    below = grown;
  }
  return lower;  // beyond the last bound: at least that
}

// Null: they are of two lives of the server, or of one moment.
export function between(before, now) {
  const seconds = (now.now_ms - before.now_ms) / 1000;
  if (seconds <= 0 || now.started_at !== before.started_at) return null;
  const rate = (name) => Math.max(0, now[name] - before[name]) / seconds;
  const refusals = {};
  for (const [name, total] of Object.entries(now.refusals)) {
    refusals[name] = Math.max(0, total - (before.refusals[name] ?? 0)) / seconds;
  }
  const inMilliseconds = (value) => (value === null ? null : value * 1000);
  return {
    bytes: rate("bytes_sent_total"),
    requests: rate("requests_total"),
    refusals,
    refused: Object.values(refusals).reduce((sum, each) => sum + each, 0),
    fsyncHalf: inMilliseconds(quantile(0.5, before.fsync, now.fsync)),
    fsyncMost: inMilliseconds(quantile(0.99, before.fsync, now.fsync)),
  };
}
