/** The latest predictions and dead letters, which stand still while somebody looks at them. */

import { byId, keyed, make, say, show } from "./dom.js";
import { count, NONE, score, signed, time } from "./format.js";

const OFF = "Not shown here, only their figures: start the consumer with --page events.";

let paused = false;
let pointed = false;
let focused = false;
let newest = null;
/** The letter that is open: the letters of its reason as they were then, and which of them. */
let open = { letters: [], index: 0 };

/** Lets people pause the list, and look at a letter. */
export function prepare() {
  const list = byId("prediction-list");
  list.addEventListener("pointerenter", (event) => {
    // A finger that scrolls by does not ask for the list to stand still.
    pointed = event.pointerType === "mouse";
    follow();
  });
  list.addEventListener("pointerleave", () => {
    pointed = false;
    follow();
  });
  for (const name of ["focusin", "focusout"]) {
    list.addEventListener(name, () => {
      focused = name === "focusin";
      follow();
    });
  }
  byId("pause").addEventListener("click", () => {
    paused = !paused;
    byId("pause").ariaPressed = String(paused);
    follow();
  });
  const dialog = byId("letter");
  byId("letter-close").addEventListener("click", () => dialog.close());
  byId("letter-newer").addEventListener("click", () => showLetter(open.letters, open.index - 1));
  byId("letter-older").addEventListener("click", () => showLetter(open.letters, open.index + 1));
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog) dialog.close();
  });
}

/** Shows a state's events. */
export function showEvents(state) {
  newest = state;
  follow();
  showReasons(state);
}

function follow() {
  const held = paused || pointed || focused;
  say("held", held && !paused ? "stands still while you look" : "");
  byId("prediction-list").classList.toggle("standing", held);
  if (newest && !held) showPredictions(newest.latest);
}

function showPredictions(latest) {
  const predictions = latest?.predictions ?? [];
  show("predictions-empty", predictions.length === 0);
  say("predictions-empty", latest === null ? OFF : "None yet.");
  show("prediction-list", predictions.length > 0);
  show("pause", predictions.length > 0);
  keyed(byId("prediction-list"), predictions, (one) => one.position, prediction);
}

function prediction(one) {
  const who = make("p", "who", make("b", "", one.customer));
  if (one.event !== null) who.append(" ", make("span", "event", one.event));
  const where = make("p", "where", make("code", "", one.position), ` ${time(one.committed / 1000)}`);
  const [tone, decided] = one.decision ? ["yes", "▲ true"] : ["no", "▽ false"];
  const decision = make("span", `decision ${tone}`, decided);
  const answer = make("p", "answer", make("span", "score", score(one.score)), " ", decision);
  const most = Math.max(...one.inputs.map((input) => Math.abs(input.contribution ?? 0)), Number.MIN_VALUE);
  const inputs = make("ul", "inputs", ...one.inputs.map((input) => contribution(input, most)));
  const element = make("li", "", make("div", "which", who, where), answer, inputs);
  element.dataset.position = one.position;
  return element;
}

function contribution({ input, value, contribution: added }, most) {
  const name = make("span", "name", input, " ", make("b", "", value));
  if (added === null) return make("li", "", name);
  const bar = make("i", added < 0 ? "down" : "up");
  bar.style.width = `${(Math.abs(added) / most) * 50}%`;
  const way = make("span", "way", bar);
  way.ariaHidden = "true";
  return make("li", "", name, " ", way, " ", make("span", "added", signed(added)));
}

function showReasons({ ledger, latest }) {
  const reasons = Object.entries(ledger.reasons).sort(([, one], [, other]) => other - one);
  show("reasons", reasons.length > 0);
  show("letters-empty", reasons.length === 0);
  say("letters-empty", ledger.read === 0 ? "None yet." : "None: every event could be scored.");
  show("letters-hint", latest === null);
  say("letters-hint", latest === null ? OFF : "");
  keyed(byId("reasons").tBodies[0], reasons, ([reason]) => reason, reasonRow, (row, [reason, events]) => {
    say(row.cells[1], count(events));
    row.querySelector(".look").hidden = lettersOf(reason).length === 0;
  });
}

function reasonRow([reason]) {
  const head = make("th", "", reason, " ", make("small", "", newest.about.reasons[reason] ?? ""));
  head.scope = "row";
  const look = make("button", "button look", "Look at one");
  look.type = "button";
  look.append(make("span", "hidden", ` of ${reason}`));
  look.addEventListener("click", () => {
    showLetter(lettersOf(reason), 0);
    byId("letter").showModal();
  });
  const row = make("tr", "", head, make("td", "number"), make("td", "looks", look));
  row.dataset.reason = reason;
  return row;
}

const lettersOf = (reason) => (newest.latest?.letters ?? []).filter((one) => one.reason === reason);

/** Fills the dialog with a letter, if there is one; nothing that comes later changes it. */
function showLetter(letters, index) {
  const letter = letters[index];
  if (!letter) return;
  open = { letters, index };
  say("letter-title", letter.position);
  say("letter-detail", letter.detail);
  byId("letter-facts").replaceChildren(
    ...factsOf(letter).map(([name, value]) => make("div", "", make("dt", "", name), make("dd", "", value))),
  );
  say("letter-value", valueOf(letter));
  show("letter-cut", letter.cut);
  byId("letter-value").classList.toggle("without", letter.value === null);
  say("letter-command", `${newest.about.commands.show_letter} ${letter.position}`);
  say("letter-place", letters.length > 1 ? `${index + 1} of the latest ${letters.length}` : "");
  for (const [id, there] of [["letter-newer", index > 0], ["letter-older", index < letters.length - 1]]) {
    show(id, letters.length > 1);
    // Not `disabled`, which would take the focus away from under the reader.
    byId(id).ariaDisabled = String(!there);
  }
}

const stamp = (milliseconds) => (milliseconds === null ? NONE : time(milliseconds / 1000));

function factsOf(letter) {
  return [
    ["Reason", letter.reason],
    ["Field", letter.field ?? NONE],
    ["Model", letter.model],
    ["Key", letter.key ?? (newest.about.masked ? "masked" : NONE)],
    ["Event’s timestamp", stamp(letter.stamped)],
    ["Committed", stamp(letter.committed)],
    ["Size", `${count(letter.size)} bytes`],
  ];
}

function valueOf(letter) {
  if (letter.value !== null) return letter.value;
  return letter.reason === "tombstone" || letter.size === 0 ? "It has none." : "Masked (--mask-customers).";
}
