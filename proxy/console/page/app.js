// The frame of the page: who is logged in, which view is shown, what works everywhere.

import * as api from "./api.js";
import { h, fill, icon, mark } from "./dom.js";
import * as keys from "./keys.js";
import { attempt, mountToasts, showKeys } from "./ui.js";
import { askedFor, showLogin } from "./login.js";
import { decisions } from "./decisions.js";
import { review } from "./review.js";
import { overview } from "./overview.js";
import { whatIf } from "./whatif.js";

const VIEWS = [
  { path: "/decisions", title: "Decisions", key: "d", show: decisions },
  { path: "/review", title: "Review", key: "r", show: review, role: "reviewer" },
  { path: "/overview", title: "Overview", key: "o", show: overview },
  { path: "/what-if", title: "What-if", key: "w", show: whatIf },
];
const ROLES = ["viewer", "reviewer", "policy-admin"];

const app = document.getElementById("app");
const main = h("main", { id: "main", tabindex: "-1" });
let session;
let leave = () => {};

// Whether the one who is logged in may do what `role` may.
export const may = (role) => ROLES.indexOf(session?.role) >= ROLES.indexOf(role ?? "viewer");
export const who = () => session;

// Goes to another address of this page.
export function go(address, { replace = false } = {}) {
  history[replace ? "replaceState" : "pushState"](null, "", address);
  render();
}

function viewOf(path) {
  return VIEWS.find((view) => path === view.path || path.startsWith(`${view.path}/`)) ?? VIEWS[0];
}

const THEMES = { light: "moon", dark: "sun" };

function theme() {
  const chosen = localStorage.getItem("theme");
  return THEMES[chosen] ? chosen : matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
}

function setTheme(name) {
  document.documentElement.dataset.theme = name;
  const button = document.getElementById("theme");
  if (button) fill(button, icon(THEMES[name]));
}

function toggleTheme() {
  const next = theme() === "dark" ? "light" : "dark";
  localStorage.setItem("theme", next);
  setTheme(next);
}

function frame() {
  const tab = (view) => h("a.tab", { href: view.path, "data-view": view.path, onclick: follow }, view.title);
  const square = (id, title, shape, onclick) =>
    h("button.button.bare.square", { type: "button", id, title, "aria-label": title, onclick }, icon(shape));
  const help = h("button.button.bare.square", { type: "button", title: "Keyboard (?)", "aria-label": "Keyboard", onclick: showKeys }, h("kbd", {}, "?"));
  return [
    h("a.skip", { href: "#main", onclick: (event) => { event.preventDefault(); main.focus(); } }, "Skip to the content"),
    h("header.top", {},
      h("a.brand", { href: "/decisions", onclick: follow }, mark(), "Portcullis"),
      h("nav.tabs", { "aria-label": "Views" }, VIEWS.filter((view) => may(view.role)).map(tab)),
      h("span.grow"),
      h("span.row.policy", { title: "The policy in force" }, session.policy && h("code.faint.clip", {}, session.policy)),
      square("theme", "Light or dark (t)", THEMES[theme()], toggleTheme),
      help,
      h("div.who", {}, icon("user"), h("span.who-name", { title: session.user }, session.user), h("span.who-role", {}, session.role),
        square("leave", "Log out", "door", logOut))),
    session.read_only && h("p.notice", { role: "note" }, session.read_only),
    session.unsound && h("p.notice", { role: "alert" }, session.unsound),
    main,
  ];
}

function follow(event) {
  if (event.ctrlKey || event.metaKey || event.shiftKey || event.button !== 0) return;
  event.preventDefault();
  go(event.currentTarget.getAttribute("href"));
}

export function render() {
  if (!session) return;
  const view = viewOf(location.pathname);
  leave();
  leave = () => {};
  keys.setLocal([]);
  for (const tab of app.querySelectorAll(".tab")) {
    if (tab.dataset.view === view.path) tab.setAttribute("aria-current", "page");
    else tab.removeAttribute("aria-current");
  }
  document.title = `${view.title} · Portcullis`;
  main.className = `view-${view.path.slice(1)}`;
  main.setAttribute("aria-label", view.title);
  if (!may(view.role)) {
    fill(main, h("div.empty", {}, h("h2", {}, "Not for this role"), h("p", {}, `A ${view.role} may open this view.`)));
    return;
  }
  leave = view.show(main) ?? (() => {});
}

function globalKeys() {
  return [
    ...VIEWS.filter((view) => may(view.role)).map((view) => [`g ${view.key}`, `Go to ${view.title}`, () => go(view.path)]),
    ["t", "Light or dark", toggleTheme],
    ["?", "This sheet", showKeys],
  ];
}

function begin(given) {
  session = given;
  api.remember(session);
  keys.setGlobal(globalKeys());
  const wanted = askedFor();
  if (location.pathname === "/") history.replaceState(null, "", wanted ?? "/decisions");
  fill(app, frame());
  render();
}

function end() {
  leave();
  leave = () => {};
  session = undefined;
  api.remember(undefined);
  keys.setGlobal([]);
  keys.setLocal([]);
  for (const open of document.querySelectorAll("dialog[open]")) open.close();
  showLogin(app, begin);
}

async function logOut() {
  const done = await attempt(() => api.remove("/api/session"));
  if (done?.then) location.assign(done.then);
  else end();
}

async function start() {
  setTheme(theme());
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => setTheme(theme()));
  mountToasts();
  keys.listen();
  api.onLoggedOut(end);
  addEventListener("popstate", render);
  try {
    begin(await api.get("/api/session"));
  } catch {
    showLogin(app, begin);
  }
}

start();
