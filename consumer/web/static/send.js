/**
 * The form that sends one event and follows it, step by step, to what becomes of it.
 *
 * What is sent is text: numbers go as they are typed, and what is no event goes, too. The steps and their times
 * come from the consumer (consumer/web/steps.py), one a line, when they happen.
 */

import { keyed, make, say } from "./dom.js";
import { score, time } from "./format.js";

const FORM = "/page/form";
const SEND = "/page/send";
const STYLE = "/page/static/send.css";
const NAMES = {
  received: "Received", connected: "Connected", stored: "Stored", scored: "Scored", published: "Published",
  waiting: "Not yet answered", failed: "Failed",
};
const LAST = ["published", "waiting", "failed"];
const WHOLE = /^-?(0|[1-9]\d*)$/;
const milliseconds = new Intl.NumberFormat(document.documentElement.lang, { maximumFractionDigits: 1 });

let form = null;
let elements = null;
/** Ends the following of the last event. */
let following = new AbortController();

/** Fills the section of the page; what it is about, the page has told already. */
export async function mount(section, about) {
  const style = make("link");
  style.rel = "stylesheet";
  style.href = STYLE;
  document.head.append(style);
  elements = parts(about);
  section.replaceChildren(...elements.all);
  section.hidden = false;
  await renew();
}

function parts(about) {
  const title = make("h2", "", "Send one event");
  title.id = "send-title";
  const what = make(
    "p", "what", "Sends it to ", make("code", "", about.input_topic),
    ", where a consumer takes it as any other, and shows each step until its answer can be read.",
  );
  const fields = make("fieldset", "send-fields");
  const legend = make("legend", "hidden", "The event");
  fields.append(legend);
  const text = make("textarea", "send-text");
  text.id = "send-raw";
  text.rows = 8;
  text.spellcheck = false;
  const label = make("label", "", "The event’s text: anything may be sent");
  label.htmlFor = text.id;
  const raw = make("div", "send-raw", label, text);
  raw.hidden = true;
  const button = (name, classes, type = "button") => Object.assign(make("button", `button ${classes}`, name), { type });
  const send = button("Send", "strong", "submit");
  const broken = button("Send a broken one", "");
  const asText = button("Edit as text", "");
  asText.setAttribute("aria-pressed", "false");
  const asked = make("form", "send-form", fields, raw, make("div", "actions", send, broken, asText));
  asked.autocomplete = "off";
  const steps = make("ol", "timeline send-steps");
  steps.id = "send-steps";
  const log = make("div", "send-log", make("h3", "", "What became of it"), make("p", "empty", "Nothing was sent yet."), steps);
  log.setAttribute("aria-live", "polite");
  const problem = make("p", "notice");
  problem.setAttribute("role", "alert");
  problem.hidden = true;
  asked.addEventListener("submit", (event) => {
    event.preventDefault();
    withForm(() => follow(eventText()));
  });
  broken.addEventListener("click", () => withForm(() => follow(torn(eventText()))));
  asText.addEventListener("click", () => withForm(() => editAsText(asText.getAttribute("aria-pressed") !== "true")));
  const all = [title, what, problem, make("div", "send", asked, log)];
  return { all, fields, text, raw, asText, asked, steps, log, problem };
}

/** Asks for the form anew: the next event has a new id, and a new model may have other inputs. */
async function renew() {
  let next;
  try {
    const answer = await fetch(FORM);
    if (!answer.ok) throw new Error(await answer.text());
    next = await answer.json();
    elements.problem.hidden = true;
  } catch (error) {
    elements.problem.hidden = false;
    say(elements.problem, `The form cannot be shown: ${error.message}`);
    return;
  }
  if (form?.model !== next.model) {
    const legend = elements.fields.firstElementChild;
    elements.fields.replaceChildren(legend, ...next.fields.map(field));
  } else {
    const [old, fresh] = [form, next].map((one) => one.fields.find(({ role }) => role === "event_id"));
    const input = inputOf(fresh);
    if (input.value === typed(old)) input.value = typed(fresh);
  }
  form = next;
}

/** Does what needs the form; one that could not be had is asked for again. */
async function withForm(act) {
  if (!form) await renew();
  if (form) act();
}

const idOf = ({ name }) => `send-field-${name}`;
const inputOf = (asked) => document.getElementById(idOf(asked));
/** What stands in the field of the example. */
const typed = ({ example }) => (example === null ? "" : example.startsWith('"') ? JSON.parse(example) : example);

function field(asked) {
  const chosen = asked.values ?? (asked.type === "boolean" ? ["true", "false"] : null);
  const input = chosen ? select(asked, chosen) : written(asked);
  input.id = idOf(asked);
  input.value = typed(asked);
  input.required = asked.required;
  const label = make("label", "", asked.name);
  label.htmlFor = input.id;
  const notes = [asked.description, bounds(asked), asked.required ? null : "may be left out"].filter(Boolean);
  const note = make("small", "", notes.join("; "));
  note.id = `${input.id}-note`;
  if (notes.length) input.setAttribute("aria-describedby", note.id);
  return make("div", "send-field", label, input, note);
}

function select(asked, values) {
  const input = make("select");
  if (!asked.required) input.append(new Option(asked.default === null ? "left out" : `left out: ${asked.default}`, ""));
  input.append(...values.map((value) => new Option(value, value)));
  return input;
}

function written(asked) {
  const input = make("input");
  const number = ["integer", "number"].includes(asked.type);
  input.type = number ? "number" : "text";
  if (number) {
    input.step = asked.type === "integer" ? "1" : "any";
    if (asked.lowest !== null) input.min = asked.lowest;
    if (asked.highest !== null) input.max = asked.highest;
  }
  if (asked.default !== null) input.placeholder = asked.default;
  return input;
}

function bounds({ lowest, highest }) {
  if (lowest === null && highest === null) return null;
  if (lowest === null) return `at most ${highest}`;
  return highest === null ? `at least ${lowest}` : `${lowest} to ${highest}`;
}

/** The event as it is sent: one line of JSON of the fields that are filled in, or the text as it stands. */
function eventText() {
  if (!elements.raw.hidden) return elements.text.value;
  const filled = form.fields.map((asked) => [asked, inputOf(asked).value]).filter(([, value]) => value !== "");
  return `{${filled.map(([asked, value]) => `${JSON.stringify(asked.name)}: ${literal(asked, value)}`).join(", ")}}`;
}

/** A value as JSON, with each digit that was typed. */
function literal({ type }, value) {
  if (type === "boolean" || (type === "id" && WHOLE.test(value))) return value;
  if (type !== "integer" && type !== "number") return JSON.stringify(value);
  try {
    JSON.parse(value);
    return value;
  } catch {
    // What a field takes for a number and JSON does not, such as .5
    return JSON.stringify(Number(value));
  }
}

/** The first half of an event: what a sender leaves that dies while it writes. */
const torn = (text) => text.slice(0, text.length / 2);

function editAsText(wanted) {
  if (wanted) elements.text.value = eventText();
  elements.asText.setAttribute("aria-pressed", String(wanted));
  elements.raw.hidden = !wanted;
  elements.fields.hidden = wanted;
  // Fields that are not seen must not keep the text from being sent.
  elements.fields.disabled = wanted;
  if (wanted) elements.text.focus();
}

async function follow(value) {
  following.abort();
  following = new AbortController();
  const { signal } = following;
  const steps = [];
  const tell = (step) => {
    steps.push(step);
    if (!signal.aborted) show(steps);
  };
  show(steps);
  try {
    const body = JSON.stringify({ value });
    const answer = await fetch(SEND, { method: "POST", headers: { "Content-Type": "application/json" }, body, signal });
    if (!answer.ok) throw new Error(await answer.text());
    for await (const line of lines(answer.body)) tell(JSON.parse(line));
    if (!LAST.includes(steps.at(-1)?.step)) throw new Error("the consumer ended the connection");
  } catch (error) {
    const stored = steps.some(({ step }) => step === "stored");
    const hint = stored ? "The event is in Kafka, and is scored all the same." : null;
    if (!signal.aborted) tell({ step: "failed", text: error.message, hint, position: null, predicted: null, rejected: null });
  }
  await renew();
}

async function* lines(stream) {
  const decoder = new TextDecoder();
  const reader = stream.getReader();
  let rest = "";
  for (let part = await reader.read(); !part.done; part = await reader.read()) {
    const whole = (rest + decoder.decode(part.value, { stream: true })).split("\n");
    rest = whole.pop();
    yield* whole;
  }
}

function show(steps) {
  const { log, steps: list } = elements;
  log.querySelector(".empty").hidden = true;
  const underWay = !LAST.includes(steps.at(-1)?.step);
  log.setAttribute("aria-busy", String(underWay));
  // Kept elements are those of this event: of another one all are made anew.
  if (steps.length === 0) list.replaceChildren();
  const pending = underWay ? [{ step: "pending" }] : [];
  keyed(list, [...steps, ...pending], ({ step }) => step, stepOf);
}

function stepOf(step) {
  if (step.step === "pending") {
    const waiting = make("li", "pending", "…");
    waiting.setAttribute("aria-hidden", "true");
    return waiting;
  }
  const head = make("p", "send-step", make("b", "", NAMES[step.step]));
  if (step.since !== undefined) {
    const at = make("time", "", `${milliseconds.format(step.since)} ms`);
    at.dateTime = new Date(step.at * 1000).toISOString();
    at.title = time(step.at);
    // Without a duration its place stays, so that the times stand below each other.
    const took = step.took === null ? "" : `+${milliseconds.format(step.took)} ms`;
    head.append(" ", at, " ", make("span", "took", took));
  }
  const told = make("li", step.step, head, make("p", "", step.text));
  if (step.position) told.append(make("code", "quiet", step.position));
  if (step.hint) told.append(make("p", "hint", step.hint));
  const answer = step.predicted ? predicted(step.predicted) : step.rejected ? rejected(step.rejected) : null;
  if (answer) {
    answer.append(make("p", "what", `Answered ${milliseconds.format(step.answered)} ms after Kafka had it.`));
    told.append(answer);
  }
  return told;
}

function predicted({ text, score: value, decision, decided, threshold }) {
  const answer = make(
    "p", "answer", make("span", "score", score(value)),
    make("span", decided ? "decision yes" : "decision", `${decision}: ${decided ? "yes" : "no"}, ${decided ? "above" : "not above"} ${score(threshold)}`),
  );
  const shown = make("pre", "", text);
  shown.tabIndex = 0;
  shown.setAttribute("role", "group");
  shown.setAttribute("aria-label", "The prediction as it stands on its topic");
  return make("div", "send-answer", answer, shown);
}

function rejected({ reason, field: at, detail }) {
  const verdict = make("p", "verdict bad", make("span", "sign", "✗"), `Rejected: ${reason}`);
  verdict.firstElementChild.setAttribute("aria-hidden", "true");
  return make("div", "send-answer", verdict, make("p", "", detail), ...(at ? [make("p", "quiet", `Field: ${at}`)] : []));
}
