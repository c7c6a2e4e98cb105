// One decision: why, every check's score against its threshold, the texts, what came before and after, what people said.

import * as api from "./api.js";
import { may } from "./app.js";
import { h, fill, icon } from "./dom.js";
import { exempt } from "./exempt.js";
import * as filter from "./filter.js";
import { ago, bytes, clock, day, fullTime, milliseconds, number, score, VERDICTS, verdict, words } from "./format.js";
import { ask, attempt, badge, complain, say } from "./ui.js";
import { marked, unseen } from "./visible.js";

// Characters of a text that are shown at a time.
const FOLD = 6000;
// Scores of a check that are shown at first, besides those that count.
const SCORES = 5;
const WHY = ["Review queue", "Appeal by the caller", "Incident", "Quality of a check", "Test traffic"];

export class Detail {
  // `place` is filled; `close`, `changed(id)` and `filter(text)` are what the view around does.
  constructor(place, { close, changed, filter: setFilter, queue = false }) {
    Object.assign(this, { place, close, changed, setFilter, queue });
  }

  clear() {
    this.decision = undefined;
    this.texts = undefined;
    this.place.replaceChildren();
  }

  async show(id) {
    if (this.decision?.row.id === id) return;
    this.texts = undefined;
    this.abort?.abort();
    this.abort = new AbortController();
    await this.load(id);
  }

  async load(id) {
    try {
      this.decision = await api.get(`/api/decisions/${encodeURIComponent(id)}`, this.abort.signal);
      this.draw();
    } catch (error) {
      if (error.name === "AbortError") return;
      this.decision = undefined;
      fill(this.place, h("div.empty", {}, h("h2", {}, "This decision cannot be shown"), h("p", {}, error.message)));
    }
  }

  draw() {
    const { row } = this.decision;
    const scroll = this.place.scrollTop;
    fill(this.place, this.head(row), h("div.parts", {},
      this.why(), this.conversation(), this.scores(), this.time(row), this.facts(row), this.around(), this.people()));
    this.place.scrollTop = scroll;
  }

  head(row) {
    const close = this.close && h("button.button.bare.square", { type: "button", title: "Close (Esc)", "aria-label": "Close", onclick: () => this.close() }, icon("cross"));
    return h("header.detail-head", {},
      h("div.row", {}, badge(row.outcome, true),
        row.would && h("span.would", {}, `would ${row.would}`),
        h("h2.clip", {}, row.hazards.length > 0 ? row.hazards.map(words).join(", ") : words(row.reason) || "nothing found"), h("span.grow"),
        h("button.button.bare.square", { type: "button", title: "Copy the link (y)", "aria-label": "Copy the link", onclick: () => this.copyLink() }, icon("link")), close),
      h("div.row.quiet", {}, h("time", { datetime: row.time, title: fullTime(row.time) }, fullTime(row.time)), h("span.faint", {}, ago(row.time))),
      h("code.faint.id", {}, row.id),
      may("reviewer") && this.verdicts());
  }

  verdicts() {
    const mine = this.decision.mine;
    return h("div.verdicts", { role: "group", "aria-label": "Verdict" }, VERDICTS.map((one, index) =>
      h("button.button.small", {
        type: "button", title: one.hint, "aria-pressed": String(mine?.verdict === one.name), "data-verdict": one.name, onclick: () => this.judge(one.name),
      }, h("kbd", {}, index + 1), one.title)),
    h("button.button.small.bare", { type: "button", title: "With a comment (c)", onclick: () => this.comment() }, "Comment", h("kbd", {}, "c")));
  }

  why() {
    const { row, explained } = this.decision;
    const lines = explained.findings.filter((one) => one.counts).slice(0, 4).map((one) => h("li", {},
      h("strong", {}, words(one.category)), ` in the ${PLACES[one.direction]}: `, h("code", {}, one.classifier), ` says `,
      h("strong.number", {}, score(one.score)), `, and the rule asks for `, h("strong", {}, one.action), ` from `, h("span.number", {}, score(one.threshold)), " on",
      one.mode === "shadow" && ", in shadow", one.exemption && [", weakened by ", h("code", {}, one.exemption)], one.floor !== "allow" && `, at least ${one.floor} (never_below)`, "."));
    for (const failed of explained.failures) {
      lines.push(h("li", {}, h("code", {}, failed.check), ` gave no verdict (${failed.reason}); on_failure says `, h("strong", {}, failed.action), "."));
    }
    if (lines.length === 0) {
      lines.push(h("li", {}, row.reason ? `Ended before a policy was asked, or without one: ${words(row.reason)}.` : row.action ? "No score reached its threshold." : "No policy was asked."));
    }
    return part("Why", h("ul.why", {}, lines),
      row.action && h("p.faint.small", {}, "Profile ", h("code", {}, row.profile ?? "base"), ", mode ", h("code", {}, row.mode ?? "enforce"), ", policy ", h("code", {}, row.policy ?? "unknown"),
        explained.same_policy ? "." : ". The policy has changed since: thresholds are those in force today."));
  }

  scores() {
    const { checks } = this.decision;
    if (checks.length === 0) return null;
    const few = (check) => check.scores.filter((one, index) => one.counts || (one.score >= 0.1 && index < SCORES));
    const open = checks.flatMap(few);
    const silent = (check) => check.status === "ok" && few(check).length === 0;
    const rows = (all) => checks.filter((check) => all || !silent(check)).map((check) => {
      const shown = all ? check.scores : few(check);
      return h("div.check", {},
        h("div.row.check-head", {}, h("code", {}, check.name), h("span.faint", {}, `${check.side}, ${number(check.passages)} ${check.passages === 1 ? "text" : "texts"}`), h("span.grow"),
          check.status === "ok" ? h("span.faint.number", {}, milliseconds(check.ms)) : h("span.badge.is-failed", {}, icon("warn"), check.status)),
        shown.map((one) => scoreBar(one)));
    });
    const quiet = checks.filter(silent);
    const place = h("div.checks", {}, rows(false));
    const rest = quiet.length > 0 && h("p.faint.small", {}, "Nothing from ", quiet.map((check, index) => [index > 0 && ", ", h("code", {}, check.name), ` (${check.side}, ${milliseconds(check.ms)})`]), ".");
    const count = checks.reduce((sum, check) => sum + check.scores.length, 0);
    const more = count > open.length && h("button.button.small.bare", {
      type: "button", onclick: (event) => { fill(place, rows(true)); event.target.remove(); if (rest) rest.remove(); },
    }, `All ${number(count)} scores`);
    return part("Scores", place, rest, more);
  }

  // === texts ===

  conversation() {
    const { kept } = this.decision;
    if (!kept || kept.texts.length === 0) {
      const why = { none: "The policy keeps no texts.", fingerprint: "The policy keeps fingerprints of texts only." }[kept?.keep];
      return part("Conversation", h("p.quiet", {}, why ?? "No text of this exchange is kept."));
    }
    const masked = kept.texts.reduce((sum, one) => sum + one.masked, 0);
    const note = [`${number(kept.texts.length)} ${kept.texts.length === 1 ? "text" : "texts"}, ${bytes(kept.texts.reduce((sum, one) => sum + one.bytes, 0))}`,
      masked > 0 ? `, ${number(masked)} ${masked === 1 ? "place" : "places"} masked` : ""].join("");
    const button = !this.texts && kept.readable && (may("reviewer")
      ? h("button.button.small", { type: "button", onclick: () => this.reveal() }, icon("eye"), "Show texts", h("kbd", {}, "r"))
      : h("span.faint.row", {}, icon("lock"), "a reviewer may read these"));
    const turns = kept.texts.map((one, index) => [one, this.texts?.[index]]);
    // What is said comes first; names and descriptions after it.
    turns.sort(([a], [b]) => Number(SAID.test(b.at)) - Number(SAID.test(a.at)));
    const list = h("ol.turns", {}, turns.map(([one, text]) => this.turn(one, text)));
    return part(["Conversation", h("span.faint.note", {}, note)], list, { aside: button });
  }

  turn(kept, revealed) {
    const found = this.decision.places[kept.at] ?? [];
    const head = h("div.row.turn-head", {}, h("span.role", { class: `role-${kept.role}` }, words(kept.role)), h("code.faint.clip", { title: kept.at }, kept.at), h("span.grow"),
      found.map((name) => h("span.tag.found", {}, words(name))), h("span.faint.number", {}, bytes(kept.bytes)));
    if (revealed?.text === undefined || revealed?.text === null) {
      const why = kept.why ?? (kept.fingerprint ? `fingerprint ${kept.fingerprint}` : undefined);
      return h("li.turn.closed", {}, head, h("p.covered", {}, revealed || !kept.has_text ? why ?? "not kept" : "hidden until somebody says why it is to be shown"));
    }
    const body = h("div.text", { dir: "auto", tabindex: "0", role: "group", "aria-label": `${words(kept.role)}, ${kept.at}` });
    const foot = h("div.row.turn-foot", {});
    this.showText(body, foot, revealed, FOLD);
    return h("li.turn", {}, head, body, foot);
  }

  showText(body, foot, { text, spans, bytes: whole }, upTo) {
    let end = Math.min(text.length, upTo);
    // A pair of surrogates is one character.
    if (end < text.length && /[\udc00-\udfff]/u.test(text[end])) end += 1;
    const part = text.slice(0, end);
    fill(body, marked(part, spans));
    const hidden = unseen(part);
    fill(foot,
      hidden > 0 && h("span.hidden-count", {}, `${number(hidden)} ${hidden === 1 ? "run" : "runs"} of characters that cannot be seen`),
      end < text.length && h("button.button.small", { type: "button", onclick: () => this.showText(body, foot, { text, spans, bytes: whole }, upTo * 4) }, `Show more: ${number(text.length - end)} characters`));
  }

  async reveal() {
    if (!this.decision?.kept?.readable || this.texts || !may("reviewer")) return;
    const reason = this.decision.reveal_reason ? await this.askWhy() : "";
    if (reason === undefined) return;
    const { id } = this.decision.row;
    const found = await attempt(() => api.post(`/api/decisions/${id}/reveal`, { why: reason }));
    if (!found || this.decision?.row.id !== id) return;
    sessionStorage.setItem("why", reason);
    this.texts = found.texts;
    this.decision.reveals = found.reveals;
    this.draw();
  }

  // Why the texts are to be shown; the last reason is offered again.
  askWhy() {
    const last = sessionStorage.getItem("why") ?? WHY[0];
    const field = h("input.field", { id: "why", value: last, required: true, maxlength: 500, list: "whys", autocomplete: "off" });
    setTimeout(() => field.select(), 0);
    return ask("Show the texts", {
      note: "That you were shown them, and why, goes on record.",
      fields: [h("label.stack", {}, "Why", field), h("div.row.wrap", {}, WHY.map((why) => h("button.button.small", { type: "button", onclick: () => { field.value = why; field.focus(); } }, why)))],
      submit: "Show",
      read: () => {
        const why = field.value.trim();
        if (why === "") throw new Error("Say why.");
        return why;
      },
    });
  }

  // === the rest ===

  time(row) {
    const timing = this.decision.timing;
    if (!timing) return null;
    const parts = [["Checking the request", timing.guard_input, "a"], ["Model server", timing.upstream, "b"], ["Checking the answer", timing.guard_output, "c"]];
    const rest = Math.max(0, timing.total - parts.reduce((sum, [, ms]) => sum + ms, 0));
    parts.push(["Everything else", rest, "d"]);
    const whole = Math.max(timing.total, 0.001);
    return part(["Time", h("span.faint.note.number", {}, milliseconds(row.total_ms ?? timing.total))],
      h("div.split", { role: "img", "aria-label": parts.map(([name, ms]) => `${name} ${milliseconds(ms)}`).join(", ") }, parts.map(([, ms, tone]) =>
        h(`span.split-part.split-${tone}`, { style: { width: `${(ms / whole) * 100}%` } }))),
      h("ul.split-legend", {}, parts.map(([name, ms, tone]) => h("li", {}, h(`span.dot.split-${tone}`, {}), name, h("span.number.faint", {}, milliseconds(ms))))));
  }

  facts(row) {
    const facts = [
      ["Route", row.route && [row.method, " ", row.route]], ["Key", row.key_name ? [row.key_name, " ", h("code.faint", {}, row.key)] : row.key && h("code", {}, row.key)],
      ["Model", row.model], ["Status", row.status && String(row.status)], ["Streamed", row.stream ? "yes" : undefined], ["Language", this.decision.languages.join(", ")],
      ["Exemption", this.decision.exemptions.join(", ")], ["Instance", row.instance], ["Trace", row.trace && h("code", {}, row.trace)],
      ["Not checked", this.decision.unchecked.map((one) => h("div", {}, h("code", {}, one.at), " ", one.why))],
      ["Let go", this.decision.released ? bytes(this.decision.released) : undefined],
      ["Record", h("span.number", {}, `#${row.seq}`)],
    ].filter(([, value]) => value && value.length !== 0);
    const same = row.key && h("button.button.small.bare", { type: "button", onclick: () => this.setFilter?.(filter.term("key", row.key_name ?? row.key)) }, "All of this key");
    const allow = row.hazards.length > 0 && row.key && may("reviewer") && h("button.button.small.bare", { type: "button", onclick: () => this.exempt() }, "Exempt…", h("kbd", {}, "x"));
    return part("Facts", h("dl.facts", {}, facts.map(([name, value]) => [h("dt", {}, name), h("dd", {}, value)])), { aside: [same, allow] });
  }

  // What the same key did before and after.
  around() {
    const { around, row } = this.decision;
    if (around.length < 2) return null;
    return part("Same key, before and after", h("ol.around", {}, around.map((one) => h("li", {},
      h("a", { href: `/decisions/${one.id}`, class: "around-row", "aria-current": one.id === row.id ? "true" : undefined, onclick: (event) => { event.preventDefault(); this.show(one.id); } },
        h("span.number", {}, clock(one.time), h("span.faint", {}, ` ${day(one.time)}`)), badge(one.outcome), h("span.clip.quiet", {}, one.hazards.map(words).join(", ") || words(one.reason)))))));
  }

  people() {
    const { reviews, reveals } = this.decision;
    const events = [
      ...reviews.map((one) => ({ time: one.time, by: one.by, undone: !one.stands, what: [
        one.verdict ? ["said ", h("strong", {}, verdict(one.verdict)), one.category && [": ", words(one.category)]] : "took the verdict back", one.comment && h("q", {}, one.comment)] })),
      ...reveals.map((one) => ({ time: one.time, by: one.by, what: ["was shown the texts", one.why && [": ", h("q", {}, one.why)]] })),
    ].sort((a, b) => (a.time < b.time ? -1 : 1));
    if (events.length === 0) return null;
    return part("History", h("ol.history", {}, events.map((one) => h(`li${one.undone ? ".undone" : ""}`, {},
      h("strong", {}, one.by), " ", one.what, " ", h("time.faint", { datetime: one.time, title: fullTime(one.time) }, ago(one.time))))));
  }

  // === what a reviewer does ===

  async judge(name, more = {}) {
    const row = this.decision?.row;
    if (!row || !may("reviewer")) return false;
    if (name === "wrong_category" && more.category === undefined) {
      const category = await this.askCategory();
      if (category === undefined) return false;
      more = { ...more, category };
    }
    const done = await attempt(() => api.post(`/api/decisions/${row.id}/verdict`, { verdict: name, comment: "", ...more }));
    if (!done) return false;
    say(`${verdict(name)}.`, { title: "Undo", action: () => this.takeBack(done.act, row.id) });
    await this.again(row.id);
    return true;
  }

  async takeBack(act, id) {
    const done = await attempt(() => api.post(`/api/acts/${act}/undo`, {}));
    if (!done) return;
    say("Taken back.");
    await this.again(id);
  }

  undo() {
    const mine = this.decision?.mine;
    if (!mine) return say("There is no verdict of yours to take back.");
    return this.takeBack(mine.act, this.decision.row.id);
  }

  async again(id) {
    this.changed?.(id);
    if (this.decision?.row.id === id) await this.load(id);
  }

  askCategory() {
    const field = h("select.field", { required: true }, this.decision.categories.map((name) => h("option", { value: name }, words(name))));
    return ask("Wrong category", { fields: [h("label.stack", {}, "It should have been", field)], submit: "Record", read: () => field.value });
  }

  async comment() {
    if (!this.decision || !may("reviewer")) return;
    const field = h("textarea.field", { rows: 4, maxlength: 2000 }, this.decision.mine?.comment ?? "");
    const choice = h("select.field", {}, VERDICTS.map((one) => h("option", { value: one.name }, one.title)));
    choice.value = this.decision.mine?.verdict ?? "correct";
    const said = await ask("Verdict with a comment", {
      fields: [h("label.stack", {}, "Verdict", choice), h("label.stack", {}, "Comment", field)], submit: "Record", read: () => ({ name: choice.value, comment: field.value.trim() }),
    });
    if (said) await this.judge(said.name, { comment: said.comment });
  }

  exempt() {
    const row = this.decision?.row;
    if (!row?.key || row.hazards.length === 0) return say("There is no key and hazard to exempt here.");
    return exempt(this.decision);
  }

  async copyLink() {
    const id = this.decision?.row.id;
    if (!id) return;
    try {
      await navigator.clipboard.writeText(new URL(`/decisions/${id}`, location.origin).href);
      say("The link is copied.");
    } catch {
      complain(new Error("The browser did not let the link be copied."));
    }
  }
}

// Where people, models and tools speak, in the formats that are served.
const SAID = /^\/(?:messages|input|prompt|system|instructions|choices|content|output)\b/u;
const PLACES = { input: "request", output: "answer", tools: "texts of tools" };

// A section with a heading; the last argument may say what stands beside the heading.
export function part(title, ...content) {
  const last = content.at(-1);
  const aside = last && Object.getPrototypeOf(last) === Object.prototype ? content.pop().aside : undefined;
  return h("section.part", {}, h("div.row.part-head", {}, h("h3", {}, title), h("span.grow"), aside), content);
}

function scoreBar({ category, score: value, threshold, counts, direction }) {
  const title = threshold === null ? `${words(category)}: ${score(value)}` : `${words(category)}: ${score(value)}, counts from ${score(threshold)} on`;
  return h(`div.score-row${counts ? ".counts" : ""}`, { role: "img", "aria-label": title, title },
    h("span.clip.score-name", {}, words(category), direction === "tools" && h("span.faint", {}, " (tools)")),
    h("span.score-track", {}, h("span.score-fill", { style: { width: `${Math.min(1, value) * 100}%` } }),
      threshold !== null && threshold <= 1 && h("span.score-threshold", { style: { left: `${threshold * 100}%` } })),
    h("span.number.score-value", {}, score(value)));
}
