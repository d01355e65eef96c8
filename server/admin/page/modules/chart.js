// Charts that move: some lines over the last minutes, drawn as SVG in the size that there is. What they
// show stands beside them as text, and in their label.

const SVG = "http://www.w3.org/2000/svg";
export const SPAN_MS = 180_000;  // from the left edge to the right one
const TOP = 6;                   // pixels above the highest line
const HOLE_MS = 4_500;           // where no figures came for so long, the line has a hole

function make(name, attributes = {}, parent = null) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  if (parent !== null) parent.append(element);
  return element;
}

// 1, 2 or 5 times a power of ten, not below `value`.
function niceCeiling(value) {
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 5, 10].map((factor) => factor * power).find((each) => each >= value * 0.999);
}

// The figures of the last minutes: {at, values: [number or null, ...]}, in the order of time.
export class Series {
  constructor() {
    this.points = [];
  }

  add(at, values) {
    if (this.points.length > 0 && at <= this.points.at(-1).at) this.points = [];  // the clock was set back
    this.points.push({ at, values });
    const first = this.points.findIndex((point) => point.at >= at - SPAN_MS - HOLE_MS);
    this.points.splice(0, first);
  }

  max() {
    let most = 0;
    for (const point of this.points) {
      for (const value of point.values) if (value !== null && value > most) most = value;
    }
    return most;
  }

  // The point that is nearest in time and has a value; undefined: there is none.
  near(at) {
    let best;
    for (const point of this.points) {
      if (point.values.every((value) => value === null)) continue;
      if (best === undefined || Math.abs(point.at - at) < Math.abs(best.at - at)) best = point;
    }
    return best;
  }
}

// The outline of one line of a series. A value that stands alone becomes a dot.
function outline(points, index, x, y) {
  let path = "";
  let previous = null;
  for (const point of points) {
    const value = point.values[index];
    if (value === null || value === undefined) {
      previous = null;
      continue;
    }
    const begins = previous === null || point.at - previous > HOLE_MS;
    path += `${begins ? "M" : "L"}${x(point.at).toFixed(1)} ${y(value).toFixed(1)}`;
    if (begins) path += "h.1";
    previous = point.at;
  }
  return path;
}

function area(points, index, x, y, bottom) {
  let path = "";
  let run = [];
  const close = () => {
    if (run.length > 1) {
      path += `M${x(run[0].at).toFixed(1)} ${bottom}`;
      for (const point of run) path += `L${x(point.at).toFixed(1)} ${y(point.values[index]).toFixed(1)}`;
      path += `L${x(run.at(-1).at).toFixed(1)} ${bottom}Z`;
    }
    run = [];
  };
  for (const point of points) {
    const missing = point.values[index] === null || point.values[index] === undefined;
    if (missing || (run.length > 0 && point.at - run.at(-1).at > HOLE_MS)) close();
    if (!missing) run.push(point);
  }
  close();
  return path;
}

// A line alone, for rows of a table: no scale, no labels.
export class Sparkline {
  constructor(parent) {
    this.svg = make("svg", { class: "spark", "aria-hidden": "true", focusable: "false" });
    this.fill = make("path", { class: "fill line-0" }, this.svg);
    this.line = make("path", { class: "line line-0" }, this.svg);
    parent.append(this.svg);
  }

  draw(series, now, most) {
    const { width, height } = this.svg.getBoundingClientRect();
    if (width === 0) return;
    const x = (at) => width - ((now - at) / SPAN_MS) * width;
    const y = (value) => height - 1 - (value / most) * (height - 3);
    this.fill.setAttribute("d", area(series.points, 0, x, y, height));
    this.line.setAttribute("d", outline(series.points, 0, x, y));
  }
}

// `figure` is an element of index.html with .title, .value, .note and .plot in it.
//   lines     what each line is called; one without a name is what the title says
//   show      a value as text; least: the scale ends there or above
export class Chart {
  constructor(figure, { lines, show, least }) {
    this.series = new Series();
    this.lines = lines;
    this.show = show;
    this.least = least;
    this.now = 0;
    this.title = figure.querySelector(".title").textContent;
    this.value = figure.querySelector(".value");
    this.note = figure.querySelector(".note");
    this.plot = figure.querySelector(".plot");
    this.svg = make("svg", { role: "img", tabindex: "0" });
    this.grid = make("path", { class: "grid" }, this.svg);
    this.fill = make("path", { class: "fill line-0" }, this.svg);
    this.paths = [];
    for (let index = lines.length - 1; index >= 0; index -= 1) {  // the first is on top
      this.paths[index] = make("path", { class: `line line-${index}` }, this.svg);
    }
    this.cursor = make("path", { class: "cursor" }, this.svg);
    this.scale = document.createElement("span");
    this.scale.className = "scale";
    this.tip = document.createElement("span");
    this.tip.className = "tip";
    this.tip.hidden = true;
    this.plot.append(this.svg, this.scale, this.tip);
    this.plot.after(this.axis());
    this.pointed = null;  // how many milliseconds before now the reader points at
    this.listen();
    new ResizeObserver(() => this.draw()).observe(this.plot);
    this.label();
  }

  // Below the plot: from when to when, and which line is which.
  axis() {
    const axis = document.createElement("p");
    axis.className = "axis";
    axis.setAttribute("aria-hidden", "true");
    const add = (text, className = "") => {
      const part = document.createElement("span");
      part.textContent = text;
      part.className = className;
      axis.append(part);
    };
    add(`−${SPAN_MS / 60_000} min`);
    if (this.lines.length > 1) this.lines.forEach((name, index) => add(name, `name line-${index}`));
    add("now");
    return axis;
  }

  // The figures of one moment, and how they are said.
  add(at, values, text, note) {
    this.now = at;
    this.series.add(at, values);
    this.say(text, note);
    this.draw();
  }

  say(text, note) {
    this.value.textContent = text;
    this.note.textContent = note;
    this.label();
  }

  label() {
    const note = this.note.textContent;
    this.svg.setAttribute("aria-label", `${this.title}: ${this.value.textContent}${note ? `, ${note}` : ""}`);
  }

  listen() {
    const point = (event) => {
      const { left, width } = this.svg.getBoundingClientRect();
      this.pointAt(SPAN_MS * (1 - Math.min(1, Math.max(0, (event.clientX - left) / width))));
    };
    this.svg.addEventListener("pointermove", point);
    this.svg.addEventListener("pointerdown", point);
    for (const end of ["pointerleave", "pointercancel", "blur"]) {
      this.svg.addEventListener(end, () => this.pointAt(null));
    }
    this.svg.addEventListener("keydown", (event) => {
      const step = { ArrowLeft: 1000, ArrowRight: -1000, PageUp: 30_000, PageDown: -30_000 }[event.key];
      if (event.key === "Escape") this.pointAt(null);
      if (step === undefined) return;
      event.preventDefault();
      this.pointAt(Math.min(SPAN_MS, Math.max(0, (this.pointed ?? 0) + step)));
    });
  }

  pointAt(ago) {
    this.pointed = ago;
    this.draw();
  }

  draw() {
    const width = this.plot.clientWidth;
    const height = this.plot.clientHeight;
    if (width === 0 || height === 0) return;
    this.svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    const most = niceCeiling(Math.max(this.series.max(), this.least));
    const x = (at) => width - 2 - ((this.now - at) / SPAN_MS) * (width - 2);
    const y = (value) => height - 1 - (value / most) * (height - 1 - TOP);
    this.grid.setAttribute("d", [0, 0.5, 1].map((part) => `M0 ${Math.round(y(part * most)) + 0.5}H${width}`).join(""));
    this.fill.setAttribute("d", area(this.series.points, 0, x, y, height));
    this.paths.forEach((path, index) => path.setAttribute("d", outline(this.series.points, index, x, y)));
    this.scale.textContent = this.show(most);
    this.drawCursor(x, width, height);
  }

  drawCursor(x, width, height) {
    const point = this.pointed === null ? undefined : this.series.near(this.now - this.pointed);
    this.tip.hidden = point === undefined;
    this.cursor.setAttribute("d", point === undefined ? "" : `M${x(point.at).toFixed(1)} 0V${height}`);
    if (point === undefined) return;
    const values = point.values.flatMap((value, index) =>
      (value === null ? [] : [`${this.lines[index]} ${this.show(value)}`.trim()]));
    const ago = Math.round((this.now - point.at) / 1000);
    this.tip.textContent = `${values.join(" · ")} — ${ago === 0 ? "now" : `${ago} s ago`}`;
    const left = Math.min(Math.max(0, x(point.at) - this.tip.offsetWidth / 2), width - this.tip.offsetWidth);
    this.tip.style.transform = `translateX(${Math.round(Math.max(0, left))}px)`;
  }
}
