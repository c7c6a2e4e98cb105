// Taking decisions along: for tables, for programs, or as a labelled set for `portcullis eval` and `calibrate`.

import * as api from "./api.js";
import { may } from "./app.js";
import { h } from "./dom.js";
import { ask, attempt, save, say } from "./ui.js";

export async function exportDialog(query) {
  const formats = [["csv", "CSV, for tables (no texts)"], ["jsonl", "JSON lines, for programs (no texts)"]];
  if (may("reviewer")) formats.push(["labelled", "Labelled set: texts with the verdicts that stand"]);
  const format = h("select.field", {}, formats.map(([value, title]) => h("option", { value }, title)));
  const why = h("input.field", { maxlength: 500, placeholder: "needed where texts leave" });
  const said = await ask("Export", {
    note: ["What matches ", h("code", {}, query === "" ? "(everything)" : query), ". That you took it goes on record."],
    fields: [h("label.stack", {}, "Format", format), h("label.stack", {}, "Why", why)], submit: "Export",
    read: () => {
      if (format.value === "labelled" && why.value.trim() === "") throw new Error("Texts leave: say why.");
      return { format: format.value, why: why.value.trim() };
    },
  });
  if (!said) return;
  const file = await attempt(() => api.file("/api/export", { q: query, ...said }));
  if (!file) return;
  save(file);
  say(`Saved as ${file.name}.`);
}
