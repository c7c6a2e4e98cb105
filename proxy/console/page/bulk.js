// A verdict for everything that a filter finds: the number is stated before, and must still be right.

import * as api from "./api.js";
import { h } from "./dom.js";
import { number, VERDICTS, verdict } from "./format.js";
import { ask, attempt, say } from "./ui.js";

export async function bulk(query, done) {
  const counted = await attempt(() => api.get(api.at("/api/count", { q: query })));
  if (!counted) return;
  if (counted.count === 0) {
    say("Nothing matches.");
    return;
  }
  const choice = h("select.field", {}, VERDICTS.filter((one) => one.name !== "wrong_category").map((one) => h("option", { value: one.name }, one.title)));
  choice.value = "test_traffic";
  const comment = h("textarea.field", { rows: 3, maxlength: 2000 });
  const said = await ask(`One verdict for ${number(counted.count)} decisions`, {
    note: ["Every decision that matches ", h("code", {}, query === "" ? "(everything)" : query), ", also those that are not on the screen. It can be taken back as one."],
    fields: [h("label.stack", {}, "Verdict", choice), h("label.stack", {}, "Comment", comment)],
    submit: `Record ${number(counted.count)} verdicts`,
    read: () => ({ verdict: choice.value, comment: comment.value.trim() }),
  });
  if (!said) return;
  const result = await attempt(() => api.post("/api/bulk", { q: counted.query, expect: counted.count, ...said }));
  if (!result) return;
  say(`${verdict(said.verdict)}: ${number(result.count)} decisions.`, {
    seconds: 20, title: "Undo", action: async () => {
      const undone = await attempt(() => api.post(`/api/acts/${result.act}/undo`, {}));
      if (undone) say(`Taken back for ${number(undone.count)} decisions.`);
      done();
    },
  });
  done();
}
