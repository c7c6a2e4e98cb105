// Logging in.

import * as api from "./api.js";
import { h, fill, mark } from "./dom.js";

export function showLogin(app, begin) {
  document.title = "Log in · Portcullis";
  const name = h("input.field", { id: "name", name: "username", autocomplete: "username", required: true, autocapitalize: "none", spellcheck: "false" });
  const password = h("input.field", { id: "password", name: "password", type: "password", autocomplete: "current-password", required: true });
  const button = h("button.button.primary", { type: "submit" }, "Log in");
  const problem = h("p.problem", { role: "alert", hidden: true });
  const send = async (event) => {
    event.preventDefault();
    button.disabled = true;
    try {
      begin(await api.post("/api/session", { name: name.value, password: password.value }));
    } catch (error) {
      fill(problem, error.message).hidden = false;
      password.value = "";
      password.focus();
    } finally {
      button.disabled = false;
    }
  };
  fill(app, h("main.door", {}, h("form.card", { onsubmit: send, method: "post" },
    h("h1.brand", {}, mark(), "Portcullis"),
    problem,
    h("label.stack", {}, "Name", name),
    h("label.stack", {}, "Password", password),
    button,
    h("p.faint", {}, "Accounts are made with ", h("code", {}, "portcullis console add-user"), "."))));
  name.focus();
}
