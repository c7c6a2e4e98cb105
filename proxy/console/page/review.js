// The queue: one decision at a time, on one desk at a time.

import * as api from "./api.js";
import { Detail } from "./detail.js";
import { h, fill, icon } from "./dom.js";
import { ago, number, percent, VERDICTS, words } from "./format.js";
import * as keys from "./keys.js";
import { attempt, badge, say } from "./ui.js";

export function review(main) {
  const view = new Review(main);
  view.start();
  return () => view.stop();
}

class Review {
  constructor(main) {
    this.figures = h("div.card.figures", { role: "status" });
    this.list = h("div.card.queue-list", {});
    this.item = h("section.item.card", { "aria-label": "Decision", tabindex: "-1" });
    this.detail = new Detail(this.item, { queue: true, changed: () => {} });
    fill(main, h("h1.sr", {}, "Review queue"), h("div.queue", {}, this.figures,
      h("div.row", {},
        h("button.button.grow", { type: "button", onclick: () => this.skip() }, "Skip", h("kbd", {}, "s")),
        h("button.button.grow", { type: "button", "aria-pressed": "false", title: "Decisions that somebody else has judged", onclick: (event) => this.second(event.currentTarget) }, "Second opinions")),
      this.list), this.item);
  }

  start() {
    keys.setLocal([
      ...VERDICTS.map((one, index) => [String(index + 1), `${one.title}, and on to the next`, () => this.judge(one.name)]),
      ["r", "Show its texts", () => this.detail.reveal()],
      ["c", "Verdict with a comment", () => this.detail.comment().then(() => this.refresh())],
      ["s / n", "Skip it for now", () => this.skip()],
      ["u", "Take the last verdict back", () => this.undo()],
      ["x", "Draft an exemption", () => this.detail.exempt()],
      ["y", "Copy the link to it", () => this.detail.copyLink()],
    ]);
    this.opinions = false;
    this.next();
  }

  stop() {
    if (this.current) api.post(`/api/queue/${this.current}/release`, {}).catch(() => {});
  }

  second(button) {
    this.opinions = !this.opinions;
    button.setAttribute("aria-pressed", String(this.opinions));
    this.next();
  }

  // Takes the next decision onto the desk.
  async next(not) {
    const taken = await attempt(() => api.post("/api/queue/next", { second: this.opinions, not }));
    if (!taken) return;
    this.show(taken);
    this.current = taken.id;
    if (!taken.id) {
      this.detail.clear();
      fill(this.item, h("div.empty", {}, icon("check"), h("h2", {}, "The queue is empty"),
        h("p", {}, this.opinions ? "Nothing waits for a second opinion." : "Everything that the policy asks to be reviewed has a verdict, or is on somebody's desk.")));
      return;
    }
    await this.detail.show(taken.id);
    this.item.scrollTop = 0;
  }

  show({ waiting, more, done, agreement, upcoming, id }) {
    fill(this.figures,
      h("div.figure", {}, h("strong", {}, number(waiting), more && "+"), h("span.quiet", {}, waiting === 1 ? "decision waits" : "decisions wait")),
      h("div.figure", {}, h("strong", {}, number(done)), h("span.quiet", {}, "yours today")),
      h("div.figure", { title: `${number(agreement.decisions)} decisions with two opinions, ${number(agreement.same)} the same` },
        h("strong", {}, agreement.kappa === null ? "–" : agreement.kappa.toFixed(2)), h("span.quiet", {}, agreement.decisions === 0 ? "no second opinions" : `κ, ${percent(agreement.same / agreement.decisions, 0)} agree`)));
    fill(this.list, h("h2.list-title", {}, "Next"), upcoming.map((row) => h("div.queue-item", { "aria-current": row.id === id ? "true" : undefined },
      h("span.row", {}, badge(row.outcome), h("span.grow"), h("span.faint.small", {}, ago(row.time))),
      h("span.clip.quiet", {}, row.hazards.map(words).join(", ") || words(row.reason) || "nothing found"))));
  }

  async refresh() {
    const state = await attempt(() => api.get(api.at("/api/queue", { second: this.opinions ? "1" : undefined })));
    if (state) this.show({ ...state, id: this.current });
  }

  async judge(name) {
    if (!this.current) return;
    const id = this.current;
    if (await this.detail.judge(name)) {
      this.judged = id;
      await this.next();
    }
  }

  async skip() {
    if (!this.current) return this.next();
    const id = this.current;
    await attempt(() => api.post(`/api/queue/${id}/release`, {}));
    return this.next(id);
  }

  // Back to the one before, without its verdict.
  async undo() {
    if (!this.judged) return say("There is no verdict to take back.");
    const id = this.judged;
    this.judged = undefined;
    this.current = id;
    await this.detail.show(id);
    await this.detail.undo();
    return this.refresh();
  }
}
