/** The figures of a state: every section but the charts and the events. */

import { byId, facts, fill, keyed, make, say, show, verdict } from "./dom.js";
import { count, duration, moment, NONE, rate, share } from "./format.js";

// From this many seconds on a worker that says nothing is shown as silent.
const SILENT = 5;
const SENTINEL = {
  rejection: "one path rejects the event",
  input: "another input was read",
  decision: "another decision",
  bits: "the same decision, other bits",
};
const SWAPS = {
  started: "was there at the start",
  swapped: "was swapped in",
  refused: "a new model was refused",
};

/** Shows a state's figures. */
export function showFigures(state) {
  showAbout(state.about);
  showThroughput(state);
  showLedger(state.ledger);
  showLag(state);
  showModels(state);
  showShadow(state.shadow);
  showSentinel(state.sentinel);
  showProof(state.proof, state.about);
  showWorkers(state.workers);
}

/** A worker's state as a word for CSS and tests, and as words for people. */
export function workerState(worker) {
  const why = worker.ready ? "" : `not ready: ${worker.why.join("; ") || "it does not say why"}`;
  if (worker.silent > SILENT) {
    const silent = `silent for ${duration(Math.floor(worker.silent))}`;
    return ["silent", why ? `${silent}, ${why}` : silent];
  }
  return worker.ready ? ["ready", "at work"] : ["not-ready", why];
}

function showAbout(about) {
  show("about", true);
  say("title", `${about.input_topic}, scored as it arrives`);
  say("about-version", about.version);
  show("about-version", true);
  say("about-group", about.group);
  say("about-input", about.input_topic);
  say("about-output", about.output_topic);
  say("about-dead-letters", about.dead_letter_topic);
  show("about-shadow-part", about.shadow_topic !== null);
  say("about-shadow", about.shadow_topic ?? "");
  say("about-guarantee", about.guarantee);
  say("about-since", moment(about.started));
}

function showThroughput({ about, rate: now, second, ledger }) {
  say("rate", rate(now));
  say("rejected-rate", rate(second?.rejected));
  byId("rejected-rate").parentElement.classList.toggle("bad", second?.rejected > 0);
  show("no-events", ledger.read === 0);
  say("no-events-command", about.commands.send);
}

function showLedger(ledger) {
  verdict("balanced", ledger.balanced, ledger.balanced ? "Balanced" : "Not balanced: the books do not close");
  for (const name of ["read", "scored", "rejected", "commits", "aborts", "undone"]) {
    say(name, count(ledger[name]));
  }
}

function showLag({ partitions, lag }) {
  const most = Math.max(1, ...partitions.map((one) => one.lag ?? 0));
  say("lag-total", count(lag));
  show("no-partitions", partitions.length === 0);
  show("partitions", partitions.length > 0);
  keyed(
    byId("partitions").tBodies[0], partitions, (one) => one.partition,
    (one) => {
      const head = make("th", "", String(one.partition));
      head.scope = "row";
      const bar = make("td", "bars", make("span", "bar", make("i")));
      return make("tr", "", head, make("td", "number"), make("td", "number"), bar);
    },
    (row, one) => {
      say(row.cells[1], count(one.position));
      say(row.cells[2], one.lag === null ? "not known" : count(one.lag));
      fill(row.cells[3].querySelector("i"), (one.lag ?? 0) / most);
    },
  );
}

function showModels({ models, swaps }) {
  keyed(
    byId("models-in-use").tBodies[0], models, (model) => `${model.role} ${model.sha256}`,
    (model) => {
      const head = make("th", "", model.role);
      head.scope = "row";
      const name = make("td", "", `${model.name}@${model.version} `, make("small", "", model.kind));
      return make("tr", "", head, name, make("td", "", make("code", "", model.sha256)));
    },
  );
  keyed(
    byId("swaps"), swaps, (swap) => `${swap.at} ${swap.what} ${swap.role}`,
    (swap) => {
      const element = make("li", swap.what, make("time", "", moment(swap.at)), " ");
      if (swap.model) element.append(make("b", "", swap.model), " ");
      element.append(SWAPS[swap.what] ?? swap.what);
      if (swap.role) element.append(make("small", "", ` as ${swap.role}`));
      if (swap.what === "refused") element.append(make("small", "", "; the log says why"));
      return element;
    },
  );
}

function showShadow(shadow) {
  show("shadow-there", shadow !== null);
  show("shadow-empty", shadow === null);
  if (shadow === null) return;
  say("agreement", share(shadow.agreement));
  show("shadow-off", !shadow.running);
  say("shadow-off", "✗ Switched off: it failed too often. Predictions are not affected.");
  facts("shadow-counts", [
    ["Both the same", "", count(shadow.agreed)],
    ["Raised", "the challenger alone says true", count(shadow.raised)],
    ["Lowered", "the champion alone says true", count(shadow.lowered)],
    ["Rejected", "by the challenger alone", count(shadow.rejected)],
    ["Accepted", "by the challenger alone", count(shadow.accepted)],
    ["Failures", "batches it could not score", count(shadow.failures), shadow.failures > 0 ? "bad" : ""],
  ]);
}

function showSentinel(sentinel) {
  show("sentinel-there", sentinel !== null);
  show("sentinel-empty", sentinel === null);
  if (sentinel === null) return;
  const kinds = Object.entries(sentinel.disagreements);
  verdict("sentinel-verdict", kinds.length === 0, kinds.length === 0 ? "0 disagreements" : "They disagree");
  facts("sentinel-counts", [
    ...kinds.map(([kind, events]) => [kind, SENTINEL[kind] ?? "", count(events), "bad"]),
    ["Scored again", "and compared, byte for byte", count(sentinel.events)],
    ["Left out", "drawn, but there was no time", count(sentinel.left_out)],
  ]);
}

function showProof(proof, about) {
  show("proof-there", proof !== null);
  show("proof-empty", proof === null);
  say("proof-command", about.commands.prove);
  if (proof === null) return;
  verdict("proof-verdict", proof.holds, proof.holds ? "Holds" : "Does not hold");
  say("proof-headline", proof.headline);
  facts("proof-counts", [
    ["Made", "", moment(proof.at)],
    ["Events", "", count(proof.events)],
    ...Object.entries(proof.counts).map(([found, events]) => [found.replaceAll("_", " "), "", count(events)]),
  ]);
  keyed(
    byId("proof-certificate"), proof.certificate.match(/.{1,8}/g) ?? [], (part) => part,
    (part) => make("span", "", part),
  );
  show("proof-report", proof.report);
}

function showWorkers(workers) {
  keyed(
    byId("worker-table").tBodies[0], workers, (worker) => worker.number,
    (worker) => {
      const head = make("th", "", String(worker.number));
      head.scope = "row";
      const cells = ["", "number", "number", "number"].map((one) => make("td", one));
      cells[0].append(make("span", "dot"), make("span"));
      return make("tr", "", head, ...cells);
    },
    (row, worker) => {
      const [word, words] = workerState(worker);
      row.dataset.worker = String(worker.number);
      row.dataset.state = word;
      say(row.cells[1].lastChild, words);
      say(row.cells[2], count(worker.partitions));
      say(row.cells[3], worker.pid === null ? NONE : String(worker.pid));
      say(row.cells[4], moment(worker.started));
    },
  );
}

