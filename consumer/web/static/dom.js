/** The few ways in which this page changes what is seen. Text is text: nothing is ever parsed as HTML. */

/** The element of an id. */
export const byId = (id) => document.getElementById(id);

/** Sets an element's text where it changes, so that nothing is laid out or announced for nothing. */
export function say(id, text) {
  const element = typeof id === "string" ? byId(id) : id;
  if (element.textContent !== text) element.textContent = text;
}

/** Shows or hides an element. */
export function show(id, shown) {
  byId(id).hidden = !shown;
}

/** A new element with classes and children, which are elements or texts. */
export function make(tag, classes = "", ...children) {
  const element = document.createElement(tag);
  if (classes) element.className = classes;
  element.append(...children);
  return element;
}

/**
 * Makes a parent's children those of a list: one a key, in the list's order. Elements that stay are kept, and
 * with them focus and selection.
 */
export function keyed(parent, items, key, create, update = () => {}) {
  const wanted = new Set(items.map((item) => String(key(item))));
  for (const child of [...parent.children]) if (!wanted.has(child.dataset.key)) child.remove();
  const old = new Map([...parent.children].map((child) => [child.dataset.key, child]));
  let before = parent.firstElementChild;
  for (const item of items) {
    const name = String(key(item));
    let element = old.get(name);
    if (!element) {
      element = create(item);
      element.dataset.key = name;
    }
    update(element, item);
    if (element === before) before = before.nextElementSibling;
    else parent.insertBefore(element, before);
  }
}

/** Shows a list of [name, note, value, tone] as the rows of a description list. */
export function facts(id, rows) {
  keyed(
    byId(id), rows, ([name]) => name,
    ([name, note]) => {
      const term = make("dt", "", name);
      if (note) term.append(" ", make("small", "", note));
      return make("div", "", term, make("dd"));
    },
    (element, [, , value, tone]) => {
      element.className = tone ?? "";
      say(element.lastElementChild, value);
    },
  );
}

/** A sentence with its sign before it: ✓ good, ✗ bad. */
export function verdict(id, good, text) {
  const element = byId(id);
  element.className = `verdict ${good ? "good" : "bad"}`;
  if (!element.firstChild) {
    const sign = make("span", "sign");
    sign.ariaHidden = "true";
    element.append(sign, make("span"));
  }
  say(element.firstChild, good ? "✓" : "✗");
  say(element.lastChild, text);
}

/** A bar that fills its place by a share from 0 to 1. */
export function fill(bar, part) {
  bar.style.width = `${Math.min(1, Math.max(0, part)) * 100}%`;
}
