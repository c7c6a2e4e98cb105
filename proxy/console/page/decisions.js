// The list of decisions: a filter that is the page's address, facets, a timeline to brush, a live tail.

import * as api from "./api.js";
import { go, may } from "./app.js";
import { legend, timeline } from "./charts.js";
import { Detail } from "./detail.js";
import { h, fill, icon } from "./dom.js";
import * as filter from "./filter.js";
import { clock, day, fullTime, milliseconds, number, outcome, score, VERDICTS, verdict, words } from "./format.js";
import * as keys from "./keys.js";
import { bulk } from "./bulk.js";
import { exportDialog } from "./export.js";
import { attempt, badge, complain, say } from "./ui.js";
import { saveView, viewsMenu } from "./views.js";

const PAGE = 100;
// More rows than this are for the filter, not for the eye.
const MOST = 5000;
const RANGES = [["15m", "15 min"], ["1h", "1 hour"], ["24h", "24 hours"], ["7d", "7 days"], ["30d", "30 days"]];
// Counting takes its share of the machine: so many times as long as it took, it rests.
const REST = 10;
const FACET_TITLES = {
  outcome: "Outcome", hazard: "Because of", key: "Key", model: "Model", route: "Route", classifier: "Found by", review: "Review",
  would: "Would have", language: "Language", policy: "Policy", profile: "Profile", failed: "No verdict from", exemption: "Exemption",
};

export function decisions(main) {
  const id = location.pathname.split("/")[2];
  const view = new Decisions(main, new URLSearchParams(location.search).get("q") ?? "", id);
  view.start();
  return () => view.stop();
}

class Decisions {
  constructor(main, query, id) {
    this.query = query;
    this.open = id;
    this.rows = [];
    this.live = false;
    this.waiting = [];
    this.abort = new AbortController();
    this.search = h("input.field.query", {
      type: "search", value: query, placeholder: "Filter: outcome:blocked hazard:jailbreak score>0.8 since:24h \"free text\"",
      "aria-label": "Filter", spellcheck: "false", autocomplete: "off", autocapitalize: "none",
    });
    this.problem = h("p.problem", { role: "alert", hidden: true });
    this.chart = h("div.timeline", {});
    this.facets = h("aside.facets", { "aria-label": "Facets" });
    this.body = h("tbody");
    this.total = h("span.number.quiet", { role: "status" });
    this.more = h("button.button.small", { type: "button", hidden: true, onclick: () => this.loadMore() }, "Older decisions");
    this.fresh = h("button.fresh", { type: "button", hidden: true, onclick: () => this.showWaiting() });
    this.liveButton = h("button.button", { type: "button", "aria-pressed": "false", title: "Show decisions as they are made (l)", onclick: () => this.toggleLive() });
    this.list = h("section.list.card", { "aria-label": "List", onscroll: () => this.scrolled() });
    this.side = h("section.side.card", { "aria-label": "Decision", hidden: true, tabindex: "-1" });
    this.detail = new Detail(this.side, { close: () => this.close(), changed: (id) => this.refreshRow(id), filter: (text) => this.set(text) });
    this.build(main);
  }

  build(main) {
    const form = h("form.grow", { role: "search", onsubmit: (event) => { event.preventDefault(); this.set(this.search.value.trim()); } },
      icon("search"), this.search);
    const range = h("select.field", { "aria-label": "Time", onchange: (event) => this.setRange(event.target.value) },
      h("option", { value: "" }, "All time"), RANGES.map(([value, name]) => h("option", { value }, name)), h("option", { value: "other", hidden: true }, "Chosen range"));
    const since = filter.value(this.query, "since");
    range.value = since === undefined ? "" : RANGES.some(([value]) => value === since) && !filter.value(this.query, "until") ? since : "other";
    const table = h("table.rows", {},
      h("thead", {}, h("tr", {}, ["Time", "Outcome", "Because of", "Top score", "Key", "Model", "Route", "Took", "Review"].map((name) =>
        h("th", { scope: "col", class: ["Top score", "Took"].includes(name) ? "right" : undefined }, name)))),
      this.body);
    fill(this.list, this.fresh, table, h("div.list-end", {}, this.more));
    fill(main,
      h("h1.sr", {}, "Decisions"),
      h("div.bar", {}, form, range, this.liveButton, h("span.row.views", {}, viewsMenu((query) => this.set(query)),
        may("reviewer") && h("button.button.square", { type: "button", title: "Save this view (v)", "aria-label": "Save this view", onclick: () => saveView(this.query) }, icon("save")))),
      this.problem,
      h("section.card.over-time", { "aria-label": "Decisions over time" }, this.chart),
      h("div.desk", {}, this.facets, h("div.middle", {}, this.tools(), this.list), this.side));
    this.showLive();
  }

  tools() {
    return h("div.list-tools", {}, this.total, h("span.grow"),
      may("reviewer") && h("button.button.small", { type: "button", onclick: () => bulk(this.query, () => this.reload()) }, "Review all of these", h("kbd", {}, "b")),
      h("button.button.small", { type: "button", onclick: () => exportDialog(this.query) }, icon("down"), "Export", h("kbd", {}, "e")));
  }

  start() {
    keys.setLocal([
      ["j / ArrowDown", "Next decision", () => this.move(1)],
      ["k / ArrowUp", "Previous decision", () => this.move(-1)],
      ["Enter / o", "Open the decision", () => this.show(this.chosen()?.id, true)],
      ["Escape", "Close it", () => this.close()],
      ["/", "Filter", () => this.search.focus()],
      ["l", "Live: on, paused", () => this.toggleLive()],
      ...(may("reviewer") ? [
        ["r", "Show its texts", () => this.detail.reveal()],
        ...VERDICTS.map((one, index) => [String(index + 1), `Verdict: ${one.title}`, () => this.judge(one.name)]),
        ["c", "Verdict with a comment", () => this.detail.comment()],
        ["u", "Take the last verdict back", () => this.detail.undo()],
        ["b", "Review all that match", () => bulk(this.query, () => this.reload())],
        ["v", "Save this view", () => saveView(this.query)],
      ] : []),
      ["x", "Draft an exemption", () => this.detail.exempt()],
      ["e", "Export", () => exportDialog(this.query)],
      ["y", "Copy the link to it", () => this.detail.copyLink()],
    ]);
    this.reload();
    if (this.open) this.show(this.open, false);
    this.observer = new ResizeObserver(() => this.drawChart());
    this.observer.observe(this.chart);
  }

  stop() {
    this.abort.abort();
    this.observer.disconnect();
    this.tail?.abort();
  }

  address(id = this.open) {
    return api.at(id ? `/decisions/${id}` : "/decisions", { q: this.query });
  }

  set(query) {
    this.query = query;
    go(this.address());
  }

  setRange(value) {
    this.set(filter.replace(this.query, ["since", "until"], value === "" ? [] : [`since:${value}`]));
  }

  async reload() {
    const query = this.query;
    const signal = this.abort.signal;
    const fail = (error) => {
      if (error.name === "AbortError") return;
      fill(this.problem, error.message).hidden = false;
    };
    const list = api.get(api.at("/api/decisions", { q: query, limit: PAGE }), signal).then((listed) => {
      this.rows = listed.rows;
      this.before = listed.before;
      this.last = listed.last;
      this.problem.hidden = true;
      this.drawRows();
    });
    const chart = api.get(api.at("/api/timeline", { q: query }), signal).then((data) => {
      this.timeline = data;
      this.drawChart();
    });
    const facets = api.get(api.at("/api/facets", { q: query }), signal).then((data) => this.drawFacets(data));
    await Promise.allSettled([list.catch(fail), chart.catch(() => {}), facets.catch(() => {})]);
  }

  async loadMore() {
    const listed = await attempt(() => api.get(api.at("/api/decisions", { q: this.query, limit: PAGE, before: this.before }), this.abort.signal));
    if (!listed) return;
    this.before = listed.before;
    this.rows.push(...listed.rows);
    this.body.append(...listed.rows.map((row) => this.line(row)));
    this.showMore();
  }

  showMore() {
    this.more.hidden = !this.before || this.rows.length >= MOST;
  }

  drawRows() {
    if (this.rows.length === 0) {
      const nothing = h("div.empty", {}, h("h2", {}, "Nothing matches"),
        h("p", {}, this.query === "" ? "No decision is on record yet." : "Take a term out of the filter, or look at a longer time."));
      fill(this.body, h("tr", {}, h("td", { colspan: 9 }, nothing)));
    } else {
      fill(this.body, this.rows.map((row) => this.line(row)));
    }
    this.showMore();
    this.mark();
  }

  line(row) {
    const link = h("a.time", {
      href: this.address(row.id), tabindex: "-1", title: fullTime(row.time), onclick: (event) => { event.preventDefault(); this.show(row.id, true); },
    }, clock(row.time), day(row.time) === "today" ? undefined : h("span.faint", {}, ` ${day(row.time)}`));
    const because = row.hazards.length > 0
      ? [h("span.tag", {}, words(row.hazards[0])), row.hazards.length > 1 && h("span.faint", {}, `+${row.hazards.length - 1}`)]
      : h("span.quiet", {}, words(row.reason));
    return h("tr", { "data-id": row.id, onclick: (event) => { if (!event.target.closest("a, button")) this.show(row.id, false); } },
      h("td", {}, link),
      h("td", {}, h("span.row", {}, badge(row.outcome), row.would && h("span.would", { title: "What would have been done without shadow" }, `would ${row.would}`))),
      h("td", {}, h("span.row", {}, because)),
      h("td.right", {}, row.score !== null && [h("span.faint.category", {}, words(row.category)), h("span.number.score", {}, score(row.score))]),
      h("td", {}, h("span.clip.key", { title: row.key }, row.key_name ?? row.key ?? "")),
      h("td", {}, h("span.clip.model", { title: row.model }, row.model ?? "")),
      h("td", {}, h("span.clip.route", { title: row.route }, row.route ?? "")),
      h("td.right.number", {}, row.total_ms === null ? "" : milliseconds(row.total_ms)),
      h("td", {}, row.review && h("span.reviewed", { class: `review-${row.review}` }, verdict(row.review))));
  }

  drawChart() {
    const data = this.timeline;
    const width = Math.floor(this.chart.clientWidth);
    if (!data || width < 100) return;
    const counts = {};
    for (const { counts: one } of data.buckets) for (const [name, count] of Object.entries(one)) counts[name] = (counts[name] ?? 0) + count;
    const total = Object.values(counts).reduce((a, b) => a + b, 0);
    fill(this.total, data.more && "More than ", h("strong", {}, number(data.more ? total - 1 : total)), total === 1 ? " decision" : " decisions",
      data.more && h("span.faint", { title: "The chart counts the newest; a filter of times alone is counted whole" }, ", the chart has the newest"));
    if (data.buckets.length === 0) {
      fill(this.chart, h("p.faint.none", {}, "No decisions in this time."));
      return;
    }
    const drawing = timeline(data, {
      width, height: 104, label: `Decisions over time: ${number(total)}`,
      choose: (from, to) => this.set(filter.replace(this.query, ["since", "until"], [`since:${new Date(from).toISOString()}`, `until:${new Date(to).toISOString()}`])),
    });
    fill(this.chart, drawing, legend(counts, (name) => this.set(filter.toggle(this.query, "outcome", LEGEND[name] ?? name))));
  }

  drawFacets(data) {
    const groups = data.facets.filter(({ values }) => values.some(([name]) => name !== null));
    fill(this.facets, data.more && h("p.faint.facet-of", { title: "Values that only older decisions have are found by the filter" }, `Of the newest ${number(data.decisions)}`), groups.map(({ field, values, more }) => h("details.facet", { open: true }, h("summary", {}, FACET_TITLES[field] ?? field),
      h("ul", {}, values.map(([name, count]) => this.facetValue(field, name ?? "none", count))),
      more && h("p.faint.facet-more", {}, "and more: use the filter"))));
  }

  facetValue(field, name, count) {
    const here = filter.has(this.query, filter.term(field, name));
    const not = filter.has(this.query, filter.term(field, name, true));
    const title = field === "outcome" ? outcome(name).name : field === "review" ? verdict(name) : ["hazard", "reason"].includes(field) ? words(name) : name;
    return h(`li.facet-value${here ? ".here" : ""}${not ? ".not" : ""}`, {},
      h("button.facet-name", { type: "button", "aria-pressed": String(here), title: `Only ${name}`, onclick: () => this.set(filter.toggle(this.query, field, name)) },
        h("span.clip", {}, title), h("span.number.faint", {}, number(count))),
      h("button.facet-not", { type: "button", "aria-pressed": String(not), "aria-label": `Not ${title}`, title: `Not ${name}`, onclick: () => this.set(filter.toggle(this.query, field, name, true)) }, "−"));
  }

  chosen() {
    return this.rows.find((row) => row.id === this.open) ?? this.rows.find((row) => row.id === this.cursor);
  }

  move(by) {
    if (this.rows.length === 0) return;
    const at = this.rows.findIndex((row) => row.id === (this.cursor ?? this.open));
    const next = this.rows[Math.min(this.rows.length - 1, Math.max(0, at === -1 ? 0 : at + by))];
    this.cursor = next.id;
    // From now on Enter means the row, and not what was pressed before.
    if (!this.side.contains(document.activeElement)) document.activeElement?.blur();
    if (!this.side.hidden) this.show(next.id, false);
    else this.mark();
    if (by > 0 && at > this.rows.length - 10 && !this.more.hidden) this.loadMore();
  }

  // Shows which row is meant: one row before, one now, however many there are. Without one, the first is where Tab leads.
  mark() {
    const before = this.marked?.querySelector("a.time");
    this.marked?.classList.remove("chosen");
    before?.removeAttribute("aria-current");
    if (before) before.tabIndex = -1;
    const chosen = this.cursor ?? this.open;
    const line = chosen ? this.body.querySelector(`tr[data-id="${CSS.escape(chosen)}"]`) : null;
    this.marked = line ?? this.body.rows[0];
    const link = this.marked?.querySelector("a.time");
    if (link) link.tabIndex = 0;
    if (!line) return;
    line.classList.add("chosen");
    link.setAttribute("aria-current", "true");
    line.scrollIntoView({ block: "nearest" });
    if (this.list.contains(document.activeElement) || document.activeElement === document.body) link.focus({ preventScroll: true });
  }

  show(id, focus) {
    if (!id) return;
    this.open = id;
    this.cursor = id;
    this.side.hidden = false;
    this.mark();
    history.replaceState(null, "", this.address(id));
    this.detail.show(id).then(() => { if (focus) this.side.focus({ preventScroll: true }); });
  }

  close() {
    if (this.side.hidden) return;
    this.side.hidden = true;
    this.open = undefined;
    this.detail.clear();
    history.replaceState(null, "", this.address());
    this.mark();
  }

  async judge(name) {
    if (this.side.hidden) {
      say("Open a decision first: Enter.");
      return;
    }
    if (await this.detail.judge(name)) this.move(1);
  }

  async refreshRow(id) {
    const found = await attempt(() => api.get(api.at("/api/decisions", { q: `id:${id}`, limit: 1 })));
    const row = found?.rows[0];
    if (!row) return;
    const at = this.rows.findIndex((one) => one.id === id);
    if (at === -1) return;
    this.rows[at] = row;
    this.body.querySelector(`tr[data-id="${CSS.escape(id)}"]`)?.replaceWith(this.line(row));
    this.mark();
  }

  // === live ===

  showLive() {
    this.liveButton.setAttribute("aria-pressed", String(this.live));
    fill(this.liveButton, this.live ? [icon("pause"), "Live"] : [icon("play"), "Live"]);
  }

  toggleLive() {
    this.live = !this.live;
    this.showLive();
    this.tail?.abort();
    if (this.live) this.follow();
  }

  // Asks for what is new until the tail is stopped; the server answers when there is something.
  async follow() {
    this.tail = new AbortController();
    const { signal } = this.tail;
    while (!signal.aborted) {
      try {
        const listed = await api.get(api.at("/api/tail", { q: this.query, after: this.last }), signal);
        if (signal.aborted) return;
        this.last = listed.last;
        if (listed.rows.length > 0) this.arrive(listed.rows);
      } catch (error) {
        if (error.name === "AbortError") return;
        this.live = false;
        this.showLive();
        complain(error);
        return;
      }
    }
  }

  // New rows; they wait while somebody reads further down.
  arrive(rows) {
    this.waiting.unshift(...rows);
    this.waiting.length = Math.min(this.waiting.length, MOST);
    if (this.list.scrollTop < 8) this.showWaiting();
    else {
      fill(this.fresh, `${number(this.waiting.length)} new`).hidden = false;
    }
  }

  showWaiting() {
    this.fresh.hidden = true;
    const rows = this.waiting.splice(0);
    if (rows.length === 0) return;
    if (this.rows.length === 0) this.body.replaceChildren();
    this.rows.unshift(...rows);
    const lines = rows.map((row) => this.line(row));
    for (const line of lines) line.classList.add("new");
    this.body.prepend(...lines);
    while (this.rows.length > MOST) {
      this.rows.pop();
      this.body.lastElementChild.remove();
    }
    this.list.scrollTop = 0;
    this.refreshFigures();
  }

  scrolled() {
    if (this.list.scrollTop < 8 && this.waiting.length > 0 && this.live) this.showWaiting();
  }

  // The chart and the facets, at most once a second while decisions come in, and less often where counting takes long:
  // the guard runs on the same machine.
  refreshFigures() {
    this.stale = this.due !== undefined;
    if (this.stale) return;
    this.due = setTimeout(async () => {
      if (this.abort.signal.aborted) return;
      this.stale = false;
      const begun = performance.now();
      const [data, facets] = await Promise.allSettled([
        api.get(api.at("/api/timeline", { q: this.query }), this.abort.signal), api.get(api.at("/api/facets", { q: this.query }), this.abort.signal),
      ]);
      if (data.value) { this.timeline = data.value; this.drawChart(); }
      if (facets.value) this.drawFacets(facets.value);
      this.pause = Math.max(1000, REST * (performance.now() - begun));
      this.due = undefined;
      if (this.stale) this.refreshFigures();
    }, this.pause ?? 1000);
  }
}

const LEGEND = { allow: "allowed", flag: "flagged", redact: "redacted", block: "blocked" };
