// How it goes: decisions over time, what they are because of, scores against thresholds, latency, false alarms.

import * as api from "./api.js";
import { go, may } from "./app.js";
import { distribution, interval, legend, timeline } from "./charts.js";
import { h, fill } from "./dom.js";
import * as filter from "./filter.js";
import { ago, fullTime, milliseconds, number, outcome, percent, words } from "./format.js";
import * as keys from "./keys.js";
import { attempt } from "./ui.js";

const RANGES = [["1h", "1 hour"], ["24h", "24 hours"], ["7d", "7 days"], ["30d", "30 days"], ["", "All time"]];

export function overview(main) {
  const query = new URLSearchParams(location.search).get("q") ?? "since:7d";
  const since = filter.value(query, "since") ?? "";
  const abort = new AbortController();
  const place = h("div.grid-cards", {});
  const range = h("select.field", { "aria-label": "Time", onchange: () => go(api.at("/overview", { q: range.value === "" ? " " : `since:${range.value}` })) },
    RANGES.map(([value, name]) => h("option", { value }, name)));
  range.value = RANGES.some(([value]) => value === since) ? since : "";
  fill(main, h("div.view-head", {}, h("h1", {}, "Overview"), h("span.grow"), range), place);
  keys.setLocal([]);
  let data;
  const draw = () => data && fill(place, cards(data, place.clientWidth, query));
  const acts = h("div.acts", {});
  main.append(acts);
  if (may("policy-admin")) {
    attempt(async () => showActs(acts, (await api.get("/api/acts", abort.signal)).acts));
  }
  attempt(async () => {
    data = await api.get(api.at("/api/overview", { q: query.trim() }), abort.signal);
    draw();
  });
  const observer = new ResizeObserver(draw);
  observer.observe(main);
  return () => { abort.abort(); observer.disconnect(); };
}

const list = (query) => (event) => { event.preventDefault(); go(api.at("/decisions", { q: query })); };

function cards(data, width, query) {
  const counts = data.outcomes;
  const total = Object.values(counts).reduce((a, b) => a + b, 0);
  if (total === 0) return h("section.card.panel.span-12", {}, h("div.empty", {}, h("h2", {}, "No decisions in this time"), h("p", {}, "Choose a longer time.")));
  const figure = (title, value, note) => h("section.card.figure.span-3", {}, h("h2.quiet", {}, title), h("strong", {}, value), h("span.faint", {}, note));
  // Whatever takes longer to count than decisions themselves is counted of the newest.
  const newest = data.more ? ` in the newest ${number(data.newest)}` : "";
  const stopped = (counts.blocked ?? 0) + (counts.redacted ?? 0);
  return [
    figure("Decisions", data.timeline.more ? `${number(total - 1)}+` : number(total), `${number(data.keys)} ${data.keys === 1 ? "key" : "keys"}${newest}`),
    figure("Blocked or redacted", number(stopped), `${percent(stopped / total)} of ${data.timeline.more ? "the newest" : "all"}`),
    figure("No verdict", number(counts.guard_unavailable ?? 0), "a check failed or was late"),
    figure("Added by the guard", data.latency ? milliseconds(data.latency.guard.p50) : "–", data.latency ? `median; 95 %: ${milliseconds(data.latency.guard.p95)}` : "nothing measured"),
    panel("Over time", 12, timeline(data.timeline, { width: width - 34, height: 170, label: `Decisions over time: ${number(total)}` }),
      legend(data.timeline_counts, (name) => go(api.at("/decisions", { q: filter.toggle(query, "outcome", OUTCOME[name] ?? name) })))),
    panel("Because of", 6, data.hazards.length === 0 ? h("p.quiet", {}, `No rule asked for anything${newest}.`) : bars(data.hazards, query),
      data.more && h("p.faint.small", {}, `Of the newest ${number(data.newest)} decisions.`)),
    panel("False alarms, by what reviewers say", 6, ...alarms(data.alarms, width)),
    panel("Scores against thresholds", 12, data.scores.distributions.length === 0 ? h("p.quiet", {}, "No scores.") : multiples(data.scores)),
    panel("Where the time goes", 12, data.latency ? latency(data.latency) : h("p.quiet", {}, "Nothing measured."),
      data.more && h("p.faint.small", {}, `Of the newest ${number(data.newest)} decisions.`)),
  ];
}

const OUTCOME = { allow: "allowed", flag: "flagged", redact: "redacted", block: "blocked" };

const panel = (title, span, ...content) => h(`section.card.panel.span-${span}`, {}, h("h2", {}, title), content);

function bars(hazards, query) {
  const most = Math.max(...hazards.map(({ count }) => count));
  return h("div.bars", {}, hazards.map(({ name, count, by }) => {
    const q = filter.toggle(query, "hazard", name);
    const title = Object.entries(by).map(([action, n]) => `${outcome(action).name} ${number(n)}`).join(", ");
    return h("a.bar-row", { href: api.at("/decisions", { q }), onclick: list(q), title }, h("span.clip", {}, words(name)),
      h("span.bar-track", {}, [["blocked", "b"], ["redacted", "r"], ["flagged", "f"]].map(([action, tone]) => by[action] && h(`span.bar-fill.is-${tone}`, { style: { width: `${(by[action] / most) * 100}%` } })),
        other(by) > 0 && h("span.bar-fill.is-o", { style: { width: `${(other(by) / most) * 100}%` } })),
      h("span.number.right", {}, number(count)));
  }));
}

const other = (by) => Object.entries(by).filter(([name]) => !["blocked", "redacted", "flagged"].includes(name)).reduce((sum, [, n]) => sum + n, 0);

function alarms(found, width) {
  if (found.length === 0) return [h("p.quiet", {}, "No reviewed decision that acted. The estimate comes from verdicts: Correct and False alarm.")];
  const most = Math.max(0.1, ...found.map(({ high }) => high));
  const wide = Math.max(120, Math.floor(width / 2) - 330);
  return [h("div.bars", {}, found.map((one) => h("div.bar-row", { title: `${number(one.false_alarms)} of ${number(one.reviewed)} reviewed` }, h("span.clip", {}, words(one.name)),
    interval(one, { width: wide, most, label: `${words(one.name)}: ${percent(one.share)}, between ${percent(one.low)} and ${percent(one.high)}` }),
    h("span.number.right", {}, percent(one.share, 0))))),
  h("p.faint.small", {}, `Share of reviewed decisions that reviewers call false alarms, with the 95 % Wilson interval. The line ends at ${percent(most, 0)}.`)];
}

function multiples(scores) {
  return [h("div.multiples", {}, scores.distributions.map((one) => h("div.multiple", {},
    h("div.multiple-head", {}, h("span.clip", {}, h("strong", {}, words(one.category)), h("span.faint", {}, ` ${one.direction}`)), h("code.faint.clip", {}, one.classifier)),
    distribution(one.counts, { width: 250, height: 84, threshold: one.threshold ?? undefined, label: `${words(one.category)}, ${one.direction}` })))),
  h("p.faint.small", {}, `${number(scores.decisions)} decisions${scores.more ? ", the newest" : ""}; counts are drawn on a logarithmic scale; the line is the threshold of the policy in force.`)];
}

function latency(data) {
  const rows = [["Guard, request and answer", data.guard], ["Model server", data.upstream], ["Everything", data.total]].filter(([, one]) => one);
  const most = Math.max(...rows.map(([, one]) => one.p99), 0.001);
  return h("table.latency", {}, h("thead", {}, h("tr", {}, ["", "Median", "95 %", "99 %", "Longest"].map((name, index) => h("th", { scope: "col", class: index ? "right" : undefined }, name || h("span.sr", {}, "Part"))), h("th", { scope: "col" }, "Up to 99 %"))),
    h("tbody", {}, rows.map(([name, one]) => h("tr", {}, h("th", { scope: "row" }, name), [one.p50, one.p95, one.p99, one.max].map((ms) => h("td.right.number", {}, milliseconds(ms))),
      h("td", {}, h("span.bar-track", {}, h("span.bar-fill", { style: { width: `${(one.p50 / most) * 100}%` } }), h("span.bar-fill.is-o", { style: { width: `${((one.p99 - one.p50) / most) * 100}%` } })))))));
}

// Who logged in, exported, saved: for who answers for it.
function showActs(place, acts) {
  fill(place, h("section.card", {}, h("div.panel", {}, h("h2", {}, "What people did")), h("table", {},
    h("thead", {}, h("tr", {}, ["When", "Who", "What", "About"].map((name) => h("th", { scope: "col" }, name)))),
    h("tbody", {}, acts.map((one) => h("tr", {}, h("td", { title: fullTime(one.time) }, ago(one.time)), h("td", {}, one.by), h("td", {}, words(one.act)),
      h("td.quiet", {}, one.about.map(([name, value]) => `${name}: ${value}`).join(", "))))))));
}
