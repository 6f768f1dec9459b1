/**
 * The live page: listens to the consumer, shows what it says, and says when it says nothing.
 *
 * The consumer computes, this page draws (consumer/web/state.py). What is shown is fresh while a state comes
 * of another moment than the last one's; a connection that lives and tells old news is stale, too.
 */

import { add, draw, join, mark, restyle } from "./charts.js";
import { byId, keyed, make, say, show } from "./dom.js";
import { prepare, showEvents } from "./events.js";
import { showFigures, workerState } from "./figures.js";
import { duration, moment, time } from "./format.js";

const STREAM = "/page/stream";
// All in seconds: without news the page is stale; without any the connection is made anew.
const STALE = 3;
const DEAD = 12;
const AGAIN = 2;
// What needs no notice; it is there for a screen reader all the same.
const QUIET = ["live", "connecting"];

let source = null;
let state = null;
/** When the last new state came, on a clock that nobody sets. */
let heard = performance.now();
/** When the connection was made, or said anything at all. */
let alive = performance.now();
let restarts = [];
/** Why there is no stream, in the consumer's words; empty where it says nothing. */
let refused = "";
/** Whether the form was asked for. */
let sends = false;

const since = (then) => (performance.now() - then) / 1000;

function connect() {
  source?.close();
  alive = performance.now();
  source = new EventSource(STREAM);
  source.addEventListener("error", async () => {
    refused = source.readyState === EventSource.CLOSED ? await whyRefused() : "";
  });
  source.addEventListener("history", (event) => {
    alive = performance.now();
    join(JSON.parse(event.data));
  });
  source.addEventListener("state", (event) => {
    alive = performance.now();
    take(JSON.parse(event.data));
  });
}

/** What the consumer answers instead of a stream: an EventSource does not tell. */
async function whyRefused() {
  const asking = new AbortController();
  try {
    const answer = await fetch(STREAM, { signal: asking.signal });
    const told = !answer.ok && answer.headers.get("Content-Type")?.startsWith("text/plain");
    return told ? (await answer.text()).trim() : "";
  } catch {
    return "";
  } finally {
    asking.abort();
  }
}

function take(next) {
  if (state && next.about.run !== state.about.run) restarted(next.about);
  else if (next.at === state?.at) return;
  state = next;
  heard = performance.now();
  if (next.second) add(next.second);
  mark(marks(next));
  showFigures(next);
  draw(next);
  showEvents(next);
  showStatus();
  letSend(next.about);
}

function restarted(about) {
  restarts.push(about.started);
  const dismiss = make("button", "button", "Dismiss");
  dismiss.type = "button";
  dismiss.addEventListener("click", () => byId("restarted").replaceChildren());
  byId("restarted").replaceChildren(
    `The consumer was started again at ${time(about.started)}. `,
    "The charts go on with a gap; all counts began anew. ",
    dismiss,
  );
}

function marks({ swaps }) {
  const swapped = swaps.filter((swap) => swap.what === "swapped").map((swap) => [swap.at, swap.model]);
  return [...restarts.map((at) => [at, "started again"]), ...swapped];
}

/** Shows the form while the consumer takes events; one that is started again may begin to, or end. */
async function letSend(about) {
  show("send", about.send_form && byId("send").hasChildNodes());
  if (!about.send_form || sends) return;
  sends = true;
  const { mount } = await import("./send.js");
  mount(byId("send"), about);
}

/** What the page says of itself: a change of the status is announced, the reasons are there to be read. */
function showStatus() {
  const { status, word, banner, why = [] } = judged();
  document.body.dataset.status = status;
  say("status", word);
  document.title = state ? `${word}: ${state.about.group}, Tandem` : "Tandem";
  byId("notice").className = QUIET.includes(status) ? "hidden" : "notice";
  say("banner", banner);
  keyed(byId("why"), why, ([worker]) => worker, () => make("li"), (element, [worker, words]) => {
    say(element, `Worker ${worker}: ${words}.`);
  });
  if (state) say("updated", `updated ${duration(Math.floor(since(heard)))} ago`);
}

function judged() {
  const late = since(heard) > STALE;
  if (state === null && refused) {
    return { status: "stale", word: "Turned away", banner: `${refused} This page goes on trying.` };
  }
  if (state === null && late) {
    const banner = "The consumer does not answer. This page goes on trying.";
    return { status: "stale", word: "No answer", banner };
  }
  if (state === null) return { status: "connecting", word: "Connecting", banner: "" };
  if (late) {
    const banner = `No news since ${moment(state.at)}: the figures are of then. This page goes on trying.`;
    return { status: "stale", word: "Stale", banner };
  }
  const told = state.workers.map((worker) => [worker.number, ...workerState(worker)]);
  const troubled = told.filter(([, word]) => word !== "ready");
  if (state.ready && troubled.length === 0) {
    return { status: "live", word: "Live", banner: "Live: every worker is at work." };
  }
  const banner = `${troubled.length === told.length ? "No worker is" : "Not every worker is"} at work.`;
  const why = troubled.map(([worker, , words]) => [worker, words]);
  return { status: "not-ready", word: "Not ready", banner, why };
}

function watch() {
  showStatus();
  const givenUp = source.readyState === EventSource.CLOSED && since(alive) > AGAIN;
  if (givenUp || since(alive) > DEAD) connect();
}

prepare();
connect();
setInterval(watch, 500);
document.addEventListener("visibilitychange", watch);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  restyle();
  if (state) draw(state);
});
