// Numbers, sizes and times as text. Pure.

const GROUPED = new Intl.NumberFormat("en");

export function count(number) {
  return GROUPED.format(Math.round(number));
}

// "1 copy", "2 copies"
export function plural(number, one, many = `${one}s`) {
  return `${count(number)} ${number === 1 ? one : many}`;
}

// Three digits at most before the unit, and no more than two behind the point.
function scaled(number, step, units) {
  let unit = 0;
  while (Math.abs(number) >= step * 0.9995 && unit < units.length - 1) {
    number /= step;
    unit += 1;
  }
  const digits = unit === 0 && Number.isInteger(number) ? 0 : number < 9.995 ? 2 : number < 99.95 ? 1 : 0;
  return `${number.toFixed(digits)} ${units[unit]}`;
}

export function bytes(number) {
  return scaled(number, 1000, ["B", "kB", "MB", "GB", "TB", "PB"]);
}

export function bytesPerSecond(number) {
  return number < 1 ? "0 B/s" : `${bytes(Math.round(number))}/s`;
}

export function perSecond(number) {
  if (number === 0) return "0 /s";
  return number < 10 ? `${number.toFixed(number < 0.1 ? 2 : 1)} /s` : `${count(number)} /s`;
}

export function milliseconds(number) {
  if (number >= 1000) return `${(number / 1000).toFixed(2)} s`;
  return `${number.toFixed(number < 1 ? 2 : number < 100 ? 1 : 0)} ms`;
}

// "3 d 4 h", "12 min", "8 s": the two largest parts.
export function duration(seconds) {
  const parts = [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]];
  let rest = Math.max(0, Math.round(seconds));
  const shown = [];
  for (const [length, unit] of parts) {
    const whole = Math.floor(rest / length);
    rest -= whole * length;
    if (whole > 0) shown.push(`${whole} ${unit}`);
    else if (shown.length > 0) break;
    if (shown.length === 2) break;
  }
  return shown.join(" ") || "0 s";
}

const MOMENT = new Intl.DateTimeFormat("en-GB", {
  year: "numeric", month: "short", day: "numeric", hour: "2-digit", minute: "2-digit", second: "2-digit",
});

// In the reader's time zone.
export function moment(unixSeconds) {
  const date = new Date(unixSeconds * 1000);
  return Number.isNaN(date.getTime()) ? `${unixSeconds}` : MOMENT.format(date);
}

export function clock(unixMilliseconds) {
  return new Date(unixMilliseconds).toLocaleTimeString("en-GB");
}

// "in 3 d 4 h", "2 h ago"
export function away(unixSeconds, nowSeconds) {
  const seconds = unixSeconds - nowSeconds;
  return seconds >= 0 ? `in ${duration(seconds)}` : `${duration(-seconds)} ago`;
}
