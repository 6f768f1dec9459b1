/** The charts. They keep ten minutes of their own, so that they go on when the consumer is started again. */

/* global uPlot */

import { byId, keyed, make, say } from "./dom.js";
import { compact, count, duration, hourAndMinute, rate, time } from "./format.js";

const MINUTES = 10;
// Two seconds further apart than this have a gap between them.
const GAP = 3;
const COLUMNS = ["at", "events", "rejected", "lag", "p50", "p99"];

/** The last ten minutes: a column each, as `History` in consumer/web/state.py. */
const kept = Object.fromEntries(COLUMNS.map((name) => [name, []]));
/** Moments that the charts mark: the consumer was started again, or a model was swapped in. */
let marks = [];
let latency = null;
let charts = [];

const positive = (values) => values.map((value) => (value > 0 ? value : null));
const color = (name) => getComputedStyle(document.body).getPropertyValue(name).trim();
const faded = (tone, alpha) => `${tone}${alpha}`;

/** Takes over a history: what this page has of before stays. */
export function join(history) {
  const begin = history.at[0] ?? Infinity;
  const own = kept.at.findIndex((at) => at >= begin);
  if (own >= 0) for (const name of COLUMNS) kept[name].splice(own);
  history.at.forEach((at, index) => {
    add(Object.fromEntries(COLUMNS.map((name) => [name, history[name][index]])));
  });
}

/** Adds one second, and forgets what is older than ten minutes. */
export function add(second) {
  const last = kept.at.at(-1);
  if (last !== undefined && second.at <= last) return;
  if (last !== undefined && second.at - last > GAP) push({ at: last + 1 });
  push(second);
  const first = kept.at.findIndex((at) => at >= second.at - MINUTES * 60);
  if (first > 0) for (const name of COLUMNS) kept[name].splice(0, first);
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
  say("latency-seconds", count(latency.seconds));
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
    timeChart("chart-events", 168, [
      { name: "events", words: "events/s", tone: "--data", fill: true, format: rate },
    ], { format: compact }),
    timeChart("chart-rejected", 84, [
      { name: "rejected", words: "rejected/s", tone: "--bad", fill: true, format: rate },
    ], { format: compact, least: 1 }),
    timeChart("chart-latency", 220, [
      { name: "p50", words: "p50", tone: "--data", format: duration },
      { name: "p99", words: "p99", tone: "--other", dash: [5, 3], format: duration },
    ], { format: duration, logarithmic: true }),
    timeChart("chart-lag", 112, [
      { name: "lag", words: "behind", tone: "--data", fill: true, format: count },
    ], { format: compact, least: 10 }),
    histogram("chart-histogram", 220),
  ];
}

/** A chart over the last ten minutes. */
function timeChart(id, height, series, options) {
  const data = () => [kept.at, ...series.map(({ name }) => (options.logarithmic ? positive(kept[name]) : kept[name]))];
  const readout = byId(`${id}-readout`);
  const say_at = (chart) => {
    const hovered = chart.cursor.idx;
    const index = hovered ?? kept.at.length - 1;
    if (index < 0) return;
    const values = series.map(({ name, words, format, tone }) => {
      const swatch = make("i", series.length > 1 ? "swatch" : "");
      swatch.style.background = `var(${tone})`;
      return make("span", "", swatch, `${format(kept[name][index])} ${series.length > 1 || hovered !== null ? words : words}`);
    });
    readout.replaceChildren(make("span", "quiet", hovered === null || hovered === undefined ? "" : time(kept.at[index])), ...values);
  };
  const chart = new uPlot({
    ...common(id, height),
    scales: {
      x: { time: true, range: () => span() },
      y: options.logarithmic
        ? { distr: 3, range: (_, least, most) => decades(least, most) }
        : { range: (_, __, most) => [0, Math.max(options.least ?? 1, (most ?? 0) * 1.12)] },
    },
    axes: [xAxis({ values: (_, splits) => splits.map(hourAndMinute), space: 64 }), yAxis(options)],
    series: [{}, ...series.map((one) => line(one))],
    hooks: { setCursor: [say_at], draw: [drawMarks] },
  }, data(), byId(id));
  return grown(id, height, chart, () => {
    chart.setData(data());
    say_at(chart);
  });
}

/** The latency's buckets as bars, each as wide as any other; the ticks are their bounds. */
function histogram(id, height) {
  const readout = byId(`${id}-readout`);
  let shown = buckets();
  const data = () => [shown.counts.map((_, index) => index), shown.counts];
  const chart = new uPlot({
    ...common(id, height),
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
        for (const name of ["p50", "p99"]) if (latency[name] !== null) rule(u, placed(latency[name], shown), name);
      }],
    },
  }, data(), byId(id));
  return grown(id, height, chart, () => {
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

function span() {
  const last = kept.at.at(-1) ?? Date.now() / 1000;
  return [last - MINUTES * 60, last];
}

function decades(least, most) {
  if (!(least > 0)) return [0.001, 1];
  return [10 ** Math.floor(Math.log10(least)), 10 ** Math.max(Math.ceil(Math.log10(most)), Math.floor(Math.log10(least)) + 1)];
}

function common(id, height) {
  return {
    width: Math.max(120, byId(id).clientWidth),
    height,
    padding: [10, 8, 0, 0],
    legend: { show: false },
    cursor: { y: false, drag: { setScale: false }, points: { size: 7 }, sync: id === "chart-histogram" ? undefined : { key: "time" } },
  };
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

const xAxis = (more) => axis({ size: 26, gap: 8, grid: { show: false }, ...more });
const yAxis = ({ format, logarithmic }) => axis({
  size: 52, gap: 8, space: 36,
  values: (_, splits) => splits.map((value) => (logarithmic && !Number.isInteger(Math.round(Math.log10(value) * 1e6) / 1e6) ? "" : format(value))),
  ...(logarithmic ? { splits: (u) => powers(u.scales.y.min, u.scales.y.max), filter: (_, splits) => splits } : {}),
});

function powers(least, most) {
  const found = [];
  for (let power = Math.round(Math.log10(least)); power <= Math.round(Math.log10(most)); power += 1) found.push(10 ** power);
  return found;
}

function line({ tone, fill, dash }) {
  return {
    stroke: color(tone), width: 1.75, dash, spanGaps: false, points: { show: false },
    fill: fill ? faded(color(tone), "26") : undefined,
  };
}

function drawMarks(u) {
  for (const [at, words] of marks) if (at >= u.scales.x.min && at <= u.scales.x.max) rule(u, at, words);
}

/** A dashed line from top to bottom with words beside it. */
function rule(u, value, words) {
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
  ctx.textAlign = x + wide > left + width ? "right" : "left";
  ctx.lineWidth = 4 * ratio;
  ctx.setLineDash([]);
  ctx.strokeStyle = color("--card");
  const beside = x + (ctx.textAlign === "right" ? -5 : 5) * ratio;
  ctx.strokeText(words, beside, top);
  ctx.fillText(words, beside, top);
  ctx.restore();
}

/** A chart that grows and shrinks with its place. */
function grown(id, height, chart, drawing) {
  const place = byId(id);
  const watch = new ResizeObserver(() => {
    const width = place.clientWidth;
    if (width > 0 && width !== chart.width) chart.setSize({ width, height });
  });
  watch.observe(place);
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
  say("chart-events-text", `${when}: at most ${rate(most("events"))} events a second, of which at most ${rate(most("rejected"))} were rejected; in the last second ${rate(now("events"))}, of which ${rate(now("rejected"))} rejected.`);
  say("chart-latency-text", `${when}: p50 at most ${duration(most("p50"))}, p99 at most ${duration(most("p99"))}; of the last second’s events p50 ${duration(now("p50"))}, p99 ${duration(now("p99"))}.`);
  say("chart-lag-text", `${when}: at most ${count(most("lag"))} offsets behind; now ${count(now("lag"))}.`);
  const { words, counts } = buckets();
  const filled = counts.map((events, index) => [words[index], events]).filter(([, events]) => events > 0);
  say("chart-histogram-text", filled.length === 0 ? "No event in the last minute." : `${filled.map(([took, events]) => `${count(events)} ${took}`).join(", ")}. Each event is counted once.`);
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
