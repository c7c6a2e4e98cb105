// Moving a threshold and seeing which recorded decisions flip. Nothing is judged again: the scores are on record.

import * as api from "./api.js";
import { may } from "./app.js";
import { distribution } from "./charts.js";
import { h, fill } from "./dom.js";
import { diff } from "./exempt.js";
import { clock, day, number, score, words } from "./format.js";
import * as keys from "./keys.js";
import { attempt, badge } from "./ui.js";

export function whatIf(main) {
  const abort = new AbortController();
  const asked = new URLSearchParams(location.search);
  const place = h("div.grid-cards", { "aria-live": "polite" });
  const hazard = h("select.field", {});
  const days = h("select.field", {}, [["1", "24 hours"], ["7", "7 days"], ["30", "30 days"]].map(([value, name]) => h("option", { value }, name)));
  days.value = asked.get("days") ?? "30";
  const slider = h("input", { type: "range", min: 0, max: 1000, step: 1, "aria-label": "Threshold" });
  const exact = h("input.field.number", { type: "number", min: 0, max: 1, step: 0.001, "aria-label": "Threshold, as a number" });
  const now = h("span.quiet", {});
  let due;
  let rules = [];
  const rule = () => rules.find((one) => one.category === hazard.value);
  const ask = () => {
    clearTimeout(due);
    due = setTimeout(async () => {
      const query = { category: hazard.value, threshold: Number(exact.value), days: Number(days.value) };
      history.replaceState(null, "", api.at("/what-if", query));
      const found = await attempt(() => api.post("/api/what-if", query, abort.signal));
      if (found) draw(place, found);
    }, 150);
  };
  const set = (value) => {
    exact.value = value;
    slider.value = Math.round(value * 1000);
  };
  const chooseHazard = () => {
    const { threshold } = rule();
    fill(now, "now ", h("strong.number", {}, score(threshold)));
    set(Number(score(threshold)));
    ask();
  };
  slider.addEventListener("input", () => { exact.value = (slider.value / 1000).toFixed(3); ask(); });
  exact.addEventListener("change", () => { slider.value = Math.round(exact.value * 1000); ask(); });
  hazard.addEventListener("change", chooseHazard);
  days.addEventListener("change", ask);
  fill(main, h("div.view-head", {}, h("h1", {}, "What if the threshold were another?")),
    h("div.what-if", {},
      h("section.card.controls", { "aria-label": "Threshold" },
        h("label.stack", {}, "Hazard", hazard), h("label.stack", {}, "Decisions of the last", days),
        h("div.slider", {}, h("span.row", {}, h("strong", {}, "Threshold"), h("span.grow"), now), slider, exact),
        h("p.faint.small", {}, "Every recorded decision is decided again, under the policy in force and under the one with this threshold. Only scores are needed, so no classifier runs.")),
      place));
  keys.setLocal([["/", "Threshold", () => exact.focus()]]);
  attempt(async () => {
    const data = await api.get("/api/rules", abort.signal);
    rules = data.rules;
    if (rules.length === 0) {
      fill(place, h("section.card.panel.span-12", {}, h("div.empty", {}, h("h2", {}, "There is no policy to change"), h("p", {}, data.problem ?? ""))));
      return;
    }
    fill(hazard, rules.map((one) => h("option", { value: one.category }, words(one.category))));
    const wanted = asked.get("category");
    hazard.value = rules.some((one) => one.category === wanted) ? wanted : data.busiest ?? rules[0].category;
    chooseHazard();
    if (asked.has("threshold")) set(Number(asked.get("threshold")));
  });
  return () => { abort.abort(); clearTimeout(due); };
}

function draw(place, found) {
  const figure = (value, title) => h("div.figure", {}, h("strong", {}, value), h("span.quiet", {}, title));
  const width = Math.max(240, place.clientWidth - 34);
  fill(place,
    h("section.card.span-12", {}, h("div.flips", {}, figure(number(found.flips), found.flips === 1 ? "decision flips" : "decisions flip"),
      figure(number(found.decisions), `looked at, in ${number(found.exchanges)} exchanges`), found.changes.map((one) => h("div.figure", {}, h("strong", {}, number(one.count)), h("span.flow.quiet", {}, badge(one.from), "→", badge(one.to)))))),
    h("section.card.panel.span-12", {}, h("h2", {}, `Scores of ${words(found.category)}`),
      distribution(found.scores, { width, height: 150, threshold: found.threshold, other: found.before, label: "Scores and both thresholds" }),
      h("p.faint.small", {}, "Solid: the threshold you chose. Dashed: the one in force. Counts on a logarithmic scale.")),
    found.such_as.length > 0 && h("section.card.span-12", {}, h("div.panel", {}, h("h2", {}, "Such as")), h("table.rows", {},
      h("thead", {}, h("tr", {}, ["Time", "Where", "Decided", "Would be", "Score", "Key"].map((name) => h("th", { scope: "col" }, name)))),
      h("tbody", {}, found.such_as.map((one) => h("tr", {}, h("td", {}, h("a.number", { href: `/decisions/${one.id}` }, `${day(one.time)} ${clock(one.time)}`)), h("td", {}, one.direction),
        h("td", {}, badge(one.from)), h("td", {}, badge(one.to)), h("td.number", {}, one.score === null ? "" : score(one.score)), h("td", {}, one.key ?? "")))))),
    found.draft && may("reviewer") && h("section.card.panel.span-12", {}, h("h2", {}, "The change in the policy"), h("p.faint.small", {}, "For the policy's owner to review: nothing here applies it."), diff(found.draft)));
}
