/** The charts. They keep ten minutes of their own, so that they go on when the consumer is started again. */

/* global uPlot */

import { byId, keyed, make, say } from "./dom.js";
import { compact, count, duration, hourAndMinute, rate, time } from "./format.js";

const MINUTES = 10;
// Two seconds further apart than this have a gap between them.
const GAP = 3;
// Pixels of height from which a chart has room for words.
const WORDY = 140;
// Seconds at which a logarithmic axis is marked: powers of ten, until there are minutes and hours.
const STEPS = [1e-6, 1e-5, 1e-4, 0.001, 0.01, 0.1, 1, 10, 60, 600, 3600, 36000, 86400, 864000];
// Steps of an axis that counts: there is no half event.
const WHOLE = Array.from({ length: 16 }, (_, power) => [1, 2, 5].map((one) => one * 10 ** power)).flat();
const COLUMNS = ["at", "events", "rejected", "lag", "p50", "p99"];

/** The last ten minutes: a column each, as `History` in consumer/web/state.py. */
const kept = Object.fromEntries(COLUMNS.map((name) => [name, []]));
/** Moments that the charts mark: the consumer was started again, or a model was swapped in. */
let marks = [];
let latency = null;
let charts = [];

const positive = (values) => values.map((value) => (value > 0 ? value : null));
const color = (name) => getComputedStyle(document.body).getPropertyValue(name).trim();

/** Takes over a history: what this page has of before stays. */
export function join(history) {
  history.at.forEach((at, index) => {
    add(Object.fromEntries(COLUMNS.map((name) => [name, history[name][index]])));
  });
}

/** Adds one second in place of what is not before it, and forgets what is older than ten minutes. */
export function add(second) {
  const begin = kept.at.findIndex((at) => at >= second.at);
  if (begin >= 0) for (const name of COLUMNS) kept[name].splice(begin);
  const last = kept.at.at(-1);
  if (second.at - last > GAP) push({ at: last + 1 });
  push(second);
  const first = kept.at.findIndex((at) => at >= second.at - MINUTES * 60);
  for (const name of COLUMNS) kept[name].splice(0, first);
}

function push(second) {
  for (const name of COLUMNS) kept[name].push(second[name] ?? null);
}

/** Marks moments: a list of [Unix time, words]. */
export function mark(moments) {
  marks = moments;
}

/** Draws what there is. */
export function draw(state) {
  latency = state.latency;
  say("p50", duration(latency.p50));
  say("p99", duration(latency.p99));
  if (charts.length === 0) charts = build();
  for (const chart of charts) chart.draw();
  tell();
}

/** Draws all anew: the scheme has changed. */
export function restyle() {
  for (const chart of charts) chart.end();
  charts = [];
}

function build() {
  return [
    timeChart("chart-events", [
      { name: "events", words: (value) => `${rate(value)} events/s`, tone: "--data", fill: true },
    ], { format: compact, least: 10, bare: true }),
    timeChart("chart-rejected", [
      { name: "rejected", words: (value) => `${rate(value)} rejected/s`, tone: "--bad", fill: true },
    ], { format: compact, least: 2 }),
    timeChart("chart-latency", [
      { name: "p50", words: (value) => `p50 ${duration(value)}`, tone: "--data" },
      { name: "p99", words: (value) => `p99 ${duration(value)}`, tone: "--other" },
    ], { format: duration, logarithmic: true }),
    timeChart("chart-lag", [
      { name: "lag", words: (value) => `${count(value)} behind`, tone: "--data", fill: true },
    ], { format: compact, least: 10 }),
    histogram("chart-histogram"),
  ];
}

/**
 * A chart over the last ten minutes.
 *
 * @param id The element that it is drawn in; its size is the page's to say.
 * @param series What it shows: the column's name, its value in words, its colour, whether to fill below it.
 * @param options How the y axis is written; whether it is logarithmic, how far it reaches at least, and
 *   whether times are left to the chart below.
 */
function timeChart(id, series, options) {
  const data = () => [
    kept.at, ...series.map(({ name }) => (options.logarithmic ? positive(kept[name]) : kept[name])),
  ];
  const tellAt = (chart) => {
    const hovered = chart.cursor.idx ?? null;
    const index = hovered ?? kept.at.length - 1;
    if (index < 0) return;
    const values = series.map(({ name, words, tone }) => {
      const told = make("span", "", words(kept[name][index]));
      if (series.length > 1) told.prepend(swatch(tone));
      return told;
    });
    byId(`${id}-readout`).replaceChildren(...(hovered === null ? [] : [time(kept.at[index])]), ...values);
  };
  const chart = new uPlot({
    ...common(id),
    scales: {
      x: { time: true, range: () => lastMinutes() },
      y: options.logarithmic
        ? { distr: 3, range: (_, least, most) => reach(least, most) }
        : { range: (_, __, most) => [0, Math.max(options.least ?? 1, (most ?? 0) * 1.2)] },
    },
    axes: [options.bare ? xAxis({ values: () => [], size: 8 }) : xAxis(TIMES), yAxis(options)],
    series: [{}, ...series.map(line)],
    hooks: { setCursor: [tellAt], draw: [drawMarks] },
  }, data(), byId(id));
  return grown(id, chart, () => {
    chart.setData(data());
    tellAt(chart);
  });
}

function swatch(tone) {
  const line = make("i", "swatch");
  line.style.background = `var(${tone})`;
  return line;
}

/** The latency's buckets as bars, each as wide as any other; the ticks are their bounds. */
function histogram(id) {
  const readout = byId(`${id}-readout`);
  let shown = buckets();
  const data = () => [shown.counts.map((_, index) => index), shown.counts];
  const chart = new uPlot({
    ...common(id),
    scales: {
      x: { time: false, range: () => [-0.5, Math.max(0.5, shown.counts.length - 0.5)] },
      y: { range: (_, __, most) => [0, Math.max(4, (most ?? 0) * 1.12)] },
    },
    axes: [
      xAxis({
        splits: () => shown.bounds.map((_, index) => index + 0.5),
        values: (u) => {
          const every = Math.ceil((shown.bounds.length * 52) / Math.max(1, u.width - 60));
          return shown.bounds.map((bound, index) => (index % every ? "" : duration(bound)));
        },
        space: 0,
      }),
      yAxis({ format: compact }),
    ],
    series: [{}, {
      fill: color("--data"), width: 0, points: { show: false },
      paths: uPlot.paths.bars({ size: [0.92, 96], radius: 0.06 }),
    }],
    hooks: {
      setCursor: [(u) => {
        const index = u.cursor.idx;
        const there = index !== null && index !== undefined && index < shown.counts.length;
        say(readout, there ? `${count(shown.counts[index])} events ${shown.words[index]}` : "");
      }],
      draw: [(u) => {
        // Side by side however near they are; in rows where the first has no room before it.
        if (latency.p50 !== null) rule(u, placed(latency.p50, shown), "p50", { before: true });
        if (latency.p99 !== null) rule(u, placed(latency.p99, shown), "p99", { row: 1 });
      }],
    },
  }, data(), byId(id));
  return grown(id, chart, () => {
    shown = buckets();
    chart.setData(data());
  });
}

/** The buckets that hold something, and their neighbours: at least six. */
function buckets() {
  const { bounds, counts } = latency;
  const filled = counts.flatMap((events, index) => (events > 0 ? [index] : []));
  let first = Math.max(0, (filled[0] ?? 3) - 1);
  let last = Math.min(counts.length - 1, (filled.at(-1) ?? 8) + 1);
  while (last - first < 5 && (first > 0 || last < counts.length - 1)) {
    if (first > 0) first -= 1;
    if (last < counts.length - 1) last += 1;
  }
  const words = counts.map((_, index) => {
    if (index === bounds.length) return `took more than ${duration(bounds.at(-1))}`;
    return `took up to ${duration(bounds[index])}`;
  });
  return {
    first,
    lower: first > 0 ? bounds[first - 1] : 0,
    bounds: bounds.slice(first, Math.min(last, bounds.length - 1) + 1).slice(0, last - first),
    counts: counts.slice(first, last + 1),
    words: words.slice(first, last + 1),
  };
}

/** Where a latency lies among bars of the same width. */
function placed(value, { lower, bounds }) {
  const index = bounds.findIndex((bound) => value <= bound);
  if (index < 0) return bounds.length;
  const below = index === 0 ? lower : bounds[index - 1];
  return index - 0.5 + (value - below) / (bounds[index] - below);
}

/** What the time charts show: all that is kept, and two minutes at least. */
function lastMinutes() {
  const last = kept.at.at(-1) ?? Date.now() / 1000;
  return [Math.min(kept.at[0] ?? last, last - 120), last];
}

function reach(least, most) {
  if (!(least > 0)) return [0.001, 1];
  return [STEPS.findLast((step) => step <= least) ?? least, STEPS.find((step) => step >= most) ?? most];
}

function common(id) {
  const sync = id === "chart-histogram" ? undefined : { key: "time" };
  return {
    ...room(id),
    padding: [10, 20, 0, 0],
    legend: { show: false },
    cursor: { y: false, drag: { setScale: false }, points: { size: 7 }, sync },
  };
}

/** How large a chart may be: CSS says. */
function room(id) {
  const { clientWidth, clientHeight } = byId(id);
  return { width: Math.max(120, clientWidth), height: Math.max(60, clientHeight) };
}

function axis(more) {
  return {
    stroke: color("--quiet"),
    font: `12px ${color("--sans")}`,
    ticks: { show: false },
    grid: { stroke: color("--line"), width: 1 },
    ...more,
  };
}

// Marks are whole minutes, which is what they say.
const TIMES = { values: (_, splits) => splits.map(hourAndMinute), space: 64, incrs: [60, 120, 300] };
const xAxis = (more) => axis({ size: 26, gap: 8, grid: { show: false }, ...more });

function yAxis({ format, logarithmic }) {
  const splits = ({ scales: { y } }) => STEPS.filter((step) => step >= y.min && step <= y.max);
  return axis({
    size: 52, gap: 8, space: 30, values: (_, shown) => shown.map(format),
    ...(logarithmic ? { splits, filter: (_, all) => all } : { incrs: WHOLE }),
  });
}

/** The values with nothing before and after them, which make no line. */
function alone(u, index) {
  const there = (place) => (u.data[index][place] ?? null) !== null;
  return u.data[index].flatMap((_, place) => {
    return there(place) && !there(place - 1) && !there(place + 1) ? [place] : [];
  });
}

function line({ tone, fill }) {
  return {
    stroke: color(tone), width: 1.75, spanGaps: false,
    points: { show: false, filter: alone, size: 4, fill: color(tone) },
    fill: fill ? `${color(tone)}26` : undefined,
  };
}

function drawMarks(u) {
  const { min, max } = u.scales.x;
  for (const [at, words] of marks) if (at >= min && at <= max) rule(u, at, u.height < WORDY ? "" : words);
}

/** A dashed line from top to bottom with words beside it: before it if asked for and there is room, in a row. */
function rule(u, value, words, { before = false, row = 0 } = {}) {
  const { ctx } = u;
  const x = Math.round(u.valToPos(value, "x", true));
  const { top, left, width, height } = u.bbox;
  const ratio = window.devicePixelRatio;
  ctx.save();
  ctx.strokeStyle = color("--ink");
  ctx.fillStyle = color("--ink");
  ctx.lineWidth = ratio;
  ctx.setLineDash([3 * ratio, 3 * ratio]);
  ctx.beginPath();
  ctx.moveTo(x, top);
  ctx.lineTo(x, top + height);
  ctx.stroke();
  ctx.font = `${12 * ratio}px ${color("--sans")}`;
  const wide = ctx.measureText(words).width + 6 * ratio;
  ctx.textBaseline = "top";
  const ahead = before ? x - wide >= left : x + wide > left + width;
  ctx.textAlign = ahead ? "right" : "left";
  ctx.lineWidth = 4 * ratio;
  ctx.setLineDash([]);
  ctx.strokeStyle = color("--card");
  const beside = x + (ctx.textAlign === "right" ? -5 : 5) * ratio;
  const below = top + row * 16 * ratio;
  ctx.strokeText(words, beside, below);
  ctx.fillText(words, beside, below);
  ctx.restore();
}

/** A chart that grows and shrinks with its place. */
function grown(id, chart, drawing) {
  const watch = new ResizeObserver(() => {
    const { width, height } = room(id);
    if (width !== chart.width || height !== chart.height) chart.setSize({ width, height });
  });
  watch.observe(byId(id));
  return {
    draw: drawing,
    end() {
      watch.disconnect();
      chart.destroy();
    },
  };
}

/** The charts in words and as a table, for who does not see them. */
function tell() {
  const newest = kept.at.length - 1;
  if (newest < 0) return;
  const most = (name) => kept[name].reduce((so_far, value) => Math.max(so_far, value ?? 0), 0);
  const when = `From ${time(kept.at[0])} to ${time(kept.at[newest])}`;
  const now = (name) => kept[name][newest];
  say("chart-events-text", [
    `${when}: at most ${rate(most("events"))} events a second, at most ${rate(most("rejected"))} rejected.`,
    `In the last second ${rate(now("events"))}, of which ${rate(now("rejected"))} rejected.`,
  ].join(" "));
  say("chart-latency-text", [
    `${when}: p50 at most ${duration(most("p50"))}, p99 at most ${duration(most("p99"))}.`,
    `Of the last second’s events p50 ${duration(now("p50"))}, p99 ${duration(now("p99"))}.`,
  ].join(" "));
  say("chart-lag-text", `${when}: at most ${count(most("lag"))} offsets behind; now ${count(now("lag"))}.`);
  const { words, counts } = buckets();
  const filled = counts.map((events, index) => [words[index], events]).filter(([, events]) => events > 0);
  const told = filled.map(([took, events]) => `${count(events)} ${took}`).join(", ");
  say("chart-histogram-text", told ? `Each event counted once: ${told}.` : "No event in the last minute.");
  keyed(
    byId("histogram-table").tBodies[0], filled, ([took]) => took,
    ([took]) => {
      const head = make("th", "number", took.replace("took up to ", "").replace("took ", ""));
      head.scope = "row";
      return make("tr", "", head, make("td", "number"));
    },
    (row, [, events]) => say(row.cells[1], count(events)),
  );
}
