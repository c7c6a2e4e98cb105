// Logging in by a provider of identities: a real one, in a real browser, by keyboard.

import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { tmpdir } from "node:os";
import { faults, launch, logIn, open, shot } from "./browser.mjs";
import { Guard, run } from "./guard.mjs";
import { CLIENT, SECRET, freePort, startProvider } from "./provider.mjs";

const GROUPS = { rita: ["staff", "trust-and-safety"], vera: ["staff"], mallory: ["visitors"] };
let guard;
let browser;
let provider;

before(async () => {
  browser = await launch();
  const port = await freePort();
  provider = await startProvider(`http://127.0.0.1:${port}`, GROUPS);
  const secret = join(tmpdir(), `portcullis-oidc-${process.pid}`);
  writeFileSync(secret, `${SECRET}\n`, { mode: 0o600 });
  guard = await Guard.start({
    console: `127.0.0.1:${port}`,
    settings: `console:
  oidc:
    issuer: ${provider.issuer}
    client_id: ${CLIENT}
    client_secret_file: ${secret}
    roles:
    - { role: viewer, when: { groups: staff } }
    - { role: reviewer, when: { groups: trust-and-safety } }
`,
  });
  await guard.send("hello");
}, { timeout: 120_000 });

after(async () => {
  await browser?.close();
  await guard?.stop();
  await provider?.stop().catch(() => {});
});

const acts = () => run(["audit", "tail", guard.log, "-n", "1000", "--json"]).trim().split("\n")
  .map((line) => JSON.parse(line)).filter(({ kind }) => kind === "acted");

// A page that may ask the provider too; what the provider's own pages want from elsewhere does not exist here.
async function visit(test, options) {
  const { page, bad, context } = await open(browser, guard.url, options);
  await context.route((url) => url.hostname !== "127.0.0.1", (route) => route.abort());
  try {
    await test(page, context);
    const elsewhere = (what) => /^request to (?!http:\/\/127\.0\.0\.1:)/u.test(what);
    assert.deepEqual(bad.filter((what) => !what.startsWith("request to ") && !what.includes("ERR_FAILED")), []);
    assert.deepEqual(bad.filter(elsewhere).filter((what) => !what.includes("fonts.g")), []);
  } finally {
    await context.close();
  }
}

const way = (page) => page.getByRole("link", { name: "Sign in with 127.0.0.1" });

// From the console's page to the provider's, through that, and back.
async function signIn(page, name) {
  await way(page).waitFor();
  await way(page).focus();
  await page.keyboard.press("Enter");
  const login = page.locator("input[name=login]");
  await login.waitFor();
  await login.focus();
  await page.keyboard.type(name);
  await page.keyboard.press("Tab");
  await page.keyboard.type("any password");
  await page.keyboard.press("Enter");
  const consent = page.getByRole("button", { name: "Continue" });
  await consent.waitFor();
  await consent.focus();
  await page.keyboard.press("Enter");
}

describe("logging in by a provider", () => {
  it("leads there by keyboard, and back to what was asked for with the provider's role", async () => {
    for (const theme of ["light", "dark"]) {
      await visit(async (page) => {
        await page.goto("/");
        await way(page).waitFor();
        assert.deepEqual(await faults(page), []);
        await shot(page, `signin-${theme}`);
      }, { theme });
    }
    await visit(async (page, context) => {
      await page.goto("/decisions?q=outcome%3Aallowed");
      await way(page).waitFor();
      assert.ok(await way(page).evaluate((link) => link === document.activeElement), "it has the focus");
      await signIn(page, "rita");
      await page.locator("header.top").waitFor();
      assert.equal(new URL(page.url()).searchParams.get("q"), "outcome:allowed");
      assert.equal(await page.locator(".who-name").textContent(), "127.0.0.1:rita");
      assert.equal(await page.locator(".who-role").textContent(), "reviewer");
      await page.getByRole("link", { name: "Review" }).waitFor();
      await page.locator("table.rows tbody tr").first().waitFor();
      await shot(page, "signed-in-light");
      const cookies = (await context.cookies(guard.url)).filter(({ name }) => name.startsWith("portcullis"));
      assert.deepEqual(cookies.map(({ name, httpOnly, sameSite }) => [name, httpOnly, sameSite]), [["portcullis", true, "Strict"]]);
      const { by, act, about } = acts().at(-1);
      assert.deepEqual([by, act, about.subject, about.role], ["127.0.0.1:rita", "logged_in", "rita", "reviewer"]);

      // Out, here and there: whoever comes next must say who they are.
      await page.getByRole("button", { name: "Log out" }).focus();
      await page.keyboard.press("Enter");
      await page.getByRole("button", { name: "Yes, sign me out" }).focus();
      await page.keyboard.press("Enter");
      await page.getByText("Sign-out Success").first().waitFor();
      await page.goto("/");
      await signIn(page, "vera");
      await page.locator("header.top").waitFor();
      assert.equal(await page.locator(".who-role").textContent(), "viewer");
      assert.equal(await page.getByRole("link", { name: "Review" }).count(), 0);
    });
  });

  it("keeps out who has no role, and says so", async () => {
    await visit(async (page, context) => {
      await page.goto("/");
      await signIn(page, "mallory");
      await page.getByRole("alert").getByText("you have no role here").waitFor();
      assert.equal(new URL(page.url()).search, "");
      assert.deepEqual(await faults(page), []);
      await shot(page, "signin-refused-light");
      assert.deepEqual((await context.cookies(guard.url)).filter(({ name }) => name.startsWith("portcullis")), []);
      const { by, act, about } = acts().at(-1);
      assert.deepEqual([by, act, about.why], ["(nobody)", "login_failed", "no_role"]);
    });
  });

  it("takes no answer twice, and none without the browser that asked", async () => {
    await visit(async (page, context) => {
      let answer;
      page.on("request", (request) => { if (request.url().includes("/login/callback")) answer = request.url(); });
      await page.goto("/");
      await signIn(page, "rita");
      await page.locator("header.top").waitFor();
      await context.clearCookies();
      for (const url of [answer, answer.replace(/state=[^&]{5}/u, "state=AAAAA")]) {
        await page.goto(url);
        await page.getByRole("alert").getByText("That login is over").waitFor();
      }
      const session = await page.evaluate(() => fetch("/api/session").then((response) => response.status));
      assert.equal(session, 401);
    });
  });

  it("says that the provider cannot be reached, and lets local users in", async () => {
    await guard.down();
    await provider.stop();
    await guard.up();
    await visit(async (page) => {
      await page.goto("/");
      await way(page).click();
      await page.getByRole("alert").getByText("The provider cannot be reached").waitFor();
      await shot(page, "signin-unreachable-light");
      await logIn(page, "vera");
      assert.equal(await page.locator(".who-name").textContent(), "vera");
    });
  });
});
