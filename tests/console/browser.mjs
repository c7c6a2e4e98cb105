// A real Chromium, and what it must never do while it shows the console.

import { chromium } from "playwright-core";
import { mkdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { PASSWORD } from "./guard.mjs";

const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
// While the page is worked on: its files from this folder, not those in the binary.
const PAGE = process.env.CONSOLE_PAGE;
export const SHOTS = process.env.CONSOLE_SHOTS;

export function launch() {
  return chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: ["--no-sandbox", "--disable-gpu"] });
}

// A page on which whatever goes wrong is noted: requests to anywhere else, errors, violations of the content policy, and
// scripts that somebody smuggled in (they would call `hacked`).
export async function open(browser, url, { theme = "light", size = { width: 1440, height: 900 } } = {}) {
  const context = await browser.newContext({ viewport: size, colorScheme: theme, baseURL: url, reducedMotion: "reduce", acceptDownloads: true });
  context.setDefaultTimeout(10_000);
  if (PAGE) {
    await context.route(/\.(?:js|css)$/u, (route) => route.fulfill({ path: join(PAGE, new URL(route.request().url()).pathname) }));
  }
  const page = await context.newPage();
  const bad = [];
  page.on("request", (request) => {
    if (!request.url().startsWith(url) && !request.url().startsWith("blob:")) bad.push(`request to ${request.url().slice(0, 200)}`);
  });
  page.on("pageerror", (error) => bad.push(`error: ${error.message}`));
  page.on("console", (message) => {
    // A refused request is said on the console by the browser itself; what the page makes of it is tested.
    if (message.type() === "error" && !message.text().startsWith("Failed to load resource")) bad.push(`console: ${message.text()}`);
  });
  page.on("dialog", (dialog) => { bad.push(`dialog: ${dialog.message()}`); dialog.dismiss(); });
  await page.exposeFunction("hacked", (what) => bad.push(`script ran: ${what}`));
  await page.addInitScript(() => {
    addEventListener("securitypolicyviolation", (event) => console.error(`content policy: ${event.violatedDirective} ${event.blockedURI} ${event.sample}`));
  });
  return { page, bad, context };
}

export async function logIn(page, name, path = "/") {
  await page.goto(path);
  await page.getByLabel("Name").fill(name);
  await page.getByLabel("Password").fill(PASSWORD);
  await page.keyboard.press("Enter");
  await page.locator("header.top").waitFor();
}

// Faults of accessibility that are serious, by axe. It is put in by the browser's own tools, past the content policy.
export async function faults(page) {
  const frame = await page.context().newCDPSession(page);
  await frame.send("Runtime.evaluate", { expression: AXE, includeCommandLineAPI: false });
  const { result } = await frame.send("Runtime.evaluate", {
    expression: `axe.run(document, { runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"] }).then((found) => JSON.stringify(
      found.violations.filter(({ impact }) => impact === "serious" || impact === "critical")
        .map(({ id, help, nodes }) => ({ id, help, nodes: nodes.slice(0, 5).map(({ html, failureSummary }) => html.slice(0, 200) + " :: " + failureSummary) }))))`,
    awaitPromise: true, returnByValue: true,
  });
  await frame.detach();
  return JSON.parse(result.value);
}

export async function shot(page, name) {
  if (!SHOTS) return;
  mkdirSync(SHOTS, { recursive: true });
  await page.screenshot({ path: join(SHOTS, `${name}.png`) });
}
