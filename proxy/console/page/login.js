// Logging in: by a password, or by a provider of identities.

import * as api from "./api.js";
import { h, fill, mark } from "./dom.js";

// Where to go on after the provider has sent the browser back.
const ASKED_FOR = "asked-for";

const REFUSED = {
  stale: "That login is over, or was not begun in this browser. Try again.",
  denied: "The provider has not signed you in.",
  provider: "The provider cannot be reached, or its answer makes no sense. The server's log says why.",
  unproven: "What the provider sent does not prove who you are. The server's log says why.",
  unnamed: "The provider says no name of you that can stand in records. Whoever runs this console can choose another (name_claim).",
  no_role: "The provider knows you, but you have no role here. Ask whoever runs this console for one.",
  often: "Too many attempts. Try again in a few minutes.",
  failed: "You could not be signed in. The server's log says why.",
};

// Takes what the provider's answer left in the address out of it: why nobody was let in, if that is so.
function refusal() {
  const here = new URL(location.href);
  const code = here.searchParams.get("refused");
  if (here.pathname !== "/" || code === null) return undefined;
  history.replaceState(null, "", "/");
  return REFUSED[code] ?? REFUSED.failed;
}

// The address that was asked for before somebody went to the provider, once.
export function askedFor() {
  const address = sessionStorage.getItem(ASKED_FOR);
  sessionStorage.removeItem(ASKED_FOR);
  return address?.startsWith("/") && !address.startsWith("//") ? address : undefined;
}

function byProvider({ host, start }) {
  const remember = () => {
    if (location.pathname !== "/") sessionStorage.setItem(ASKED_FOR, location.pathname + location.search);
  };
  return h("a.button.primary", { href: start, onclick: remember }, `Sign in with ${host}`);
}

function byPassword(begin, problem, first) {
  const name = h("input.field", { id: "name", name: "username", autocomplete: "username", required: true, autocapitalize: "none", spellcheck: "false" });
  const password = h("input.field", { id: "password", name: "password", type: "password", autocomplete: "current-password", required: true });
  const button = h("button.button", { type: "submit", class: first ? "primary" : undefined }, "Log in");
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
  return h("form.stack", { onsubmit: send, method: "post" },
    h("label.stack", {}, "Name", name),
    h("label.stack", {}, "Password", password),
    button,
    h("p.faint", {}, "Accounts are made with ", h("code", {}, "portcullis console add-user"), "."));
}

export async function showLogin(app, begin) {
  document.title = "Log in · Portcullis";
  const why = refusal();
  const problem = h("p.problem", { role: "alert", hidden: why === undefined }, why);
  // Where that cannot be asked, a password will say why.
  const { local, provider } = await api.get("/api/ways-in").catch(() => ({ local: true }));
  const ways = [
    provider && byProvider(provider),
    provider && local && h("p.or", {}, "or"),
    local && byPassword(begin, problem, !provider),
  ];
  fill(app, h("main.door", {}, h("div.card", {}, h("h1.brand", {}, mark(), "Portcullis"), problem, ways)));
  app.querySelector("main a, main input")?.focus();
}
