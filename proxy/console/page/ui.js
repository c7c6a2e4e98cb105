// Dialogs, hints, badges: what several views use.

import { h, fill, icon } from "./dom.js";
import { outcome, words } from "./format.js";
import * as keys from "./keys.js";

const toasts = h("div.toasts", { role: "status", "aria-live": "polite" });

export function mountToasts() {
  document.body.append(toasts);
}

// Says something for a few seconds, with something to press at most.
export function say(text, { bad = false, action, title, seconds = 6 } = {}) {
  const note = h(`div.toast${bad ? ".bad" : ""}`, {}, h("span.grow", {}, text));
  const gone = setTimeout(() => note.remove(), seconds * 1000);
  if (action) {
    note.append(h("button.button.small", { type: "button", onclick: () => { clearTimeout(gone); note.remove(); action(); } }, title));
  }
  toasts.append(note);
  while (toasts.childElementCount > 2) toasts.firstElementChild.remove();
}

export const complain = (error) => say(error.message, { bad: true, seconds: 10 });

// Runs what may fail; says so when it does.
export async function attempt(action) {
  try {
    return await action();
  } catch (error) {
    if (error.name !== "AbortError") complain(error);
    return undefined;
  }
}

export function badge(name, large = false) {
  const { name: title, tone, icon: shape } = outcome(name);
  return h(`span.badge.is-${tone}${large ? ".large" : ""}`, {}, icon(shape), title);
}

export const hazard = (name) => h("span.tag", {}, words(name));

// A dialog with a title; `content` makes what is in it and gets what closes it. Resolves when it is closed.
export function dialog(title, content, { wide = false } = {}) {
  return new Promise((resolve) => {
    const box = h(`dialog${wide ? ".wide" : ""}`, { "aria-label": title });
    const close = (result) => { box.result = result; box.close(); };
    box.addEventListener("close", () => { box.remove(); resolve(box.result); });
    box.addEventListener("click", (event) => { if (event.target === box) close(); });
    box.append(h("div.sheet", {}, h("h1", {}, title), content(close)));
    document.body.append(box);
    box.showModal();
  });
}

// Asks in a form; `fields` are its elements and `read` gets the answer out of them, or throws what is missing.
export function ask(title, { fields, submit, read, note, wide }) {
  return dialog(title, (close) => {
    const problem = h("p.problem", { hidden: true, role: "alert" });
    const send = (event) => {
      event.preventDefault();
      try {
        close(read());
      } catch (error) {
        fill(problem, error.message).hidden = false;
      }
    };
    const form = h("form.sheet-form", { onsubmit: send, class: "stack-form" },
      note && h("p.quiet", {}, note), fields, problem,
      h("div.sheet-end", {},
        h("button.button", { type: "button", onclick: () => close() }, "Cancel"),
        h("button.button.primary", { type: "submit" }, submit)));
    form.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit();
    });
    return form;
  }, { wide });
}

// The sheet of keys.
export function showKeys() {
  const parts = keys.all().filter(([, bindings]) => bindings.length > 0).map(([title, bindings]) =>
    h("section", {}, h("h3", {}, title), h("dl.keys", {}, bindings.map(([names, about]) => [
      h("dt", {}, names.split(" / ").map((name) => h("span.row", {}, name.split(" ").map((key) => h("kbd", {}, KEY_NAMES[key] ?? key))))),
      h("dd", {}, about),
    ]))));
  return dialog("Keyboard", (close) => [
    h("div.key-columns", {}, parts),
    h("div.sheet-end", {}, h("button.button", { type: "button", onclick: () => close() }, "Close")),
  ], { wide: true });
}

const KEY_NAMES = { Escape: "Esc", ArrowDown: "↓", ArrowUp: "↑", Enter: "↵", " ": "Space" };

// Offers a file to save.
export function save({ blob, name }) {
  const url = URL.createObjectURL(blob);
  const link = h("a", { href: url, download: name });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}
