// A draft of an exemption: a change of the policy file for people to review. Nothing here applies it.

import * as api from "./api.js";
import { h, fill } from "./dom.js";
import { words } from "./format.js";
import { attempt, dialog, say } from "./ui.js";

const isoDay = (days) => new Date(Date.now() + days * 86_400_000).toISOString().slice(0, 10);

export function exempt({ row }) {
  const hazard = h("select.field", {}, row.hazards.map((name) => h("option", { value: name }, words(name))));
  const expires = h("input.field", { type: "date", value: isoDay(30), min: isoDay(1), max: isoDay(90) });
  const why = h("input.field", { maxlength: 300, placeholder: "for the one who approves it" });
  const place = h("div.draft", { "aria-live": "polite" });
  const draw = async () => {
    const draft = await attempt(() => api.post("/api/exemption", { id: row.id, hazard: hazard.value, expires: expires.value, why: why.value }));
    if (draft) fill(place, diff(draft.diff), draft.problem && h("p.problem", {}, draft.problem));
  };
  for (const field of [hazard, expires, why]) field.addEventListener("change", draw);
  draw();
  return dialog("Draft an exemption", (close) => [
    h("p.quiet", {}, "For the key ", h("code", {}, row.key_name ?? row.key), " alone. This is a change for the policy's owner to review; nothing is applied."),
    h("div.row.wrap", {}, h("label.stack", {}, "Hazard", hazard), h("label.stack", {}, "Until", expires), h("label.stack.grow", {}, "Why", why)),
    place,
    h("div.sheet-end", {},
      h("button.button", { type: "button", onclick: () => close() }, "Close"),
      h("button.button.primary", { type: "button", onclick: () => copy(place.textContent) }, "Copy")),
  ], { wide: true });
}

async function copy(text) {
  await navigator.clipboard.writeText(text);
  say("The draft is copied.");
}

// A unified diff, line by line.
export function diff(text) {
  return h("pre.diff", { tabindex: "0" }, text.trimEnd().split("\n").map((line) => {
    const kind = /^(?:---|\+\+\+|@@)/u.test(line) ? "place" : line.startsWith("+") ? "added" : line.startsWith("-") ? "removed" : "same";
    return h(`span.diff-${kind}`, {}, `${line}\n`);
  }));
}
