// Filters that somebody gave a name.

import * as api from "./api.js";
import { h, fill } from "./dom.js";
import { ask, attempt, say } from "./ui.js";

// A menu of the saved views; `choose` gets the filter of one.
export function viewsMenu(choose) {
  const menu = h("select.field", { "aria-label": "Saved views", onchange: () => { if (menu.value !== "") choose(JSON.parse(menu.value)); } });
  attempt(async () => {
    const { views } = await api.get("/api/views");
    fill(menu, h("option", { value: "" }, views.length > 0 ? "Saved views" : "No saved views"), views.map((view) => h("option", { value: JSON.stringify(view.filter) }, view.name)));
  });
  return menu;
}

export async function saveView(query) {
  const { views } = await api.get("/api/views");
  const name = h("input.field", { required: true, maxlength: 60, autocomplete: "off" });
  const list = views.length > 0 && h("div.stack", {}, h("h3", {}, "Saved"), h("ul.saved", {}, views.map((view) => h("li.row", {},
    h("span", {}, view.name), h("code.faint.clip.grow", {}, view.filter), h("span.faint", {}, view.by),
    h("button.button.small", {
      type: "button", onclick: async (event) => {
        const line = event.target.closest("li");
        if (await attempt(() => api.remove(`/api/views/${encodeURIComponent(view.name)}`))) line.remove();
      },
    }, "Remove")))));
  const said = await ask("Save this view", {
    note: ["Filter: ", h("code", {}, query === "" ? "(everything)" : query)],
    fields: [h("label.stack", {}, "Name", name), list], submit: "Save",
    read: () => {
      if (name.value.trim() === "") throw new Error("Give it a name.");
      return name.value.trim();
    },
  });
  if (said && await attempt(() => api.post("/api/views", { name: said, filter: query }))) say(`Saved as “${said}”.`);
}
