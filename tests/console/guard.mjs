// What the tests stand on: a model server that says what it is told, the real guard before it with its console, and
// accounts made by the real command.

import { execFileSync, spawn } from "node:child_process";
import { createServer } from "node:http";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

export const BINARY = process.env.PORTCULLIS_BIN;
export const PASSWORD = "correct horse battery staple";
export const POLICY = `version: 1
name: reviewed
mode: enforce
hazards:
  defaults:           { sensitivity: low, input: flag, output: block, tools: flag }
  violent_crimes:     { input: block }
  non_violent_crimes: { input: block }
  hate:               {}
  specialized_advice: { output: flag }
  jailbreak:          { input: block, output: allow, tools: block }
  prompt_injection:   { input: block, output: allow, tools: block }
  secrets:            { input: redact, output: redact, tools: redact }
  personal_data:      { input: allow, output: flag, tools: allow }
  elections:          { mode: shadow, input: block } # still being measured
test_triggers: true
languages: { checked: [en], others: allow }
on_failure: { input: block, output: block, tools: block, timeout: 30000ms }
audit:
  text: full
  review: { flagged: 100%, blocked: 100%, allowed: 5% }
  reveal: { roles: [reviewer], reason: required }
messages:
  reply_as: error
  default: { en: "Not that. ({reference})" }
`;

// A model server: it says what stands behind "SAY " in the last message, or repeats it.
export function startModel() {
  const server = createServer((request, response) => {
    const parts = [];
    request.on("data", (part) => parts.push(part));
    request.on("end", () => {
      const asked = JSON.parse(Buffer.concat(parts).toString("utf8"));
      const last = asked.messages.findLast((message) => message.role === "user")?.content ?? "";
      const text = typeof last === "string" && last.includes("SAY ") ? last.slice(last.indexOf("SAY ") + 4) : "Here is what I think about that.";
      const message = { role: "assistant", content: text, refusal: null };
      response.writeHead(200, { "content-type": "application/json" });
      response.end(JSON.stringify({
        id: "chatcmpl-1", object: "chat.completion", created: 0, model: asked.model,
        choices: [{ index: 0, finish_reason: "stop", logprobs: null, message }],
        usage: { prompt_tokens: 1, completion_tokens: 1, total_tokens: 2 },
      }));
    });
  });
  return new Promise((resolve) => server.listen(0, "127.0.0.1", () => resolve({ url: `http://127.0.0.1:${server.address().port}`, stop: () => server.close() })));
}

function clean(environment) {
  return Object.fromEntries(Object.entries(environment).filter(([name]) => !name.startsWith("PORTCULLIS_")));
}

export function run(args, input = "") {
  return execFileSync(BINARY, args, { input, encoding: "utf8", env: clean(process.env), stdio: ["pipe", "pipe", "pipe"] });
}

export function addUser(log, name, role) {
  return run(["console", "add-user", name, "--role", role, "--audit-dir", log], `${PASSWORD}\n`);
}

// A program that says in its log where it listens. `wanted` are the fields of the log that must have been seen.
function start(args, wanted, environment = {}) {
  const child = spawn(BINARY, [...args, "--log", "json"], { env: { ...clean(process.env), ...environment }, stdio: ["ignore", "ignore", "pipe"] });
  return new Promise((resolve, reject) => {
    const seen = {};
    let rest = "";
    const lines = [];
    child.stderr.on("data", (data) => {
      const parts = (rest + data).split("\n");
      rest = parts.pop();
      for (const line of parts) {
        lines.push(line);
        try {
          Object.assign(seen, JSON.parse(line).fields);
        } catch { /* Not a line of the log. */ }
      }
      if (wanted.every((name) => name in seen)) {
        resolve({
          ...seen, lines,
          stop: () => new Promise((done) => { child.once("exit", (code) => done(code)); child.kill("SIGTERM"); }),
        });
      }
    });
    child.once("exit", (code) => reject(new Error(`${args[0]} ended with ${code}:\n${lines.slice(-10).join("\n")}`)));
  });
}

// Keys that the operator has given a name: here the key itself.
const NAMED = ["web-app", "mobile-app", "support-bot", "kids-tablet", "live-1"];

function fingerprint(key) {
  return run(["fingerprint"], `${key}\n`).trim().split(/\s+/u).find((word) => word.startsWith("key-"));
}

// A library that lets a program live in another time, if the machine has it (Debian: faketime).
const FAKETIME = ["/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1", "/usr/lib/aarch64-linux-gnu/faketime/libfaketime.so.1"].find(existsSync);

// Some days that pass in seconds; nothing where the machine cannot do that.
export function past(days, speed) {
  if (!FAKETIME) return undefined;
  return { LD_PRELOAD: FAKETIME, FAKETIME: `-${days}d x${speed}`, FAKETIME_DONT_FAKE_MONOTONIC: "1", FAKETIME_DONT_RESET: "1" };
}

export class Guard {
  // A guard with its console, and three people: a viewer, two reviewers, one who owns the policy.
  static async start({ policy = POLICY, log, environment, settings = "", console = "127.0.0.1:0" } = {}) {
    const guard = new Guard();
    guard.console = console;
    guard.folder = mkdtempSync(join(tmpdir(), "portcullis-console-"));
    guard.log = log ?? join(guard.folder, "audit");
    guard.model = await startModel();
    guard.policy = join(guard.folder, "policy.yaml");
    writeFileSync(guard.policy, policy);
    guard.config = join(guard.folder, "server.yaml");
    writeFileSync(guard.config, `keys: { ${NAMED.map((name) => `${name}: ${fingerprint(name)}`).join(", ")} }\nlimits: { request_bytes: 16777216 }\n${settings}`);
    if (!log) {
      for (const [name, role] of [["vera", "viewer"], ["rita", "reviewer"], ["rolf", "reviewer"], ["paula", "policy-admin"]]) addUser(guard.log, name, role);
    }
    await guard.up(environment);
    return guard;
  }

  async up(environment) {
    this.program = await start([
      "serve", "--upstream", this.model.url, "--listen", "127.0.0.1:0", "--console", this.console, "--admin", "127.0.0.1:0",
      "--audit-dir", this.log, "--policy", this.policy, "--config", this.config,
    ], ["address", "console", "admin"], environment);
    this.api = `http://${this.program.address}`;
    this.url = this.program.console;
    this.admin = `http://${this.program.admin}`;
  }

  async down() {
    const code = await this.program.stop();
    if (code !== 0) throw new Error(`the guard ended with ${code}`);
  }

  // Sends messages as a client does; returns the decision's id.
  async send(content, { key = "web-app", model = "llama-3.1-405b", messages = [] } = {}) {
    const response = await fetch(`${this.api}/v1/chat/completions`, {
      method: "POST", headers: { "content-type": "application/json", authorization: `Bearer ${key}` },
      body: JSON.stringify({ model, messages: [...messages, { role: "user", content }] }),
    });
    await response.arrayBuffer();
    return response.headers.get("x-guard-decision-id");
  }

  async stop() {
    await this.down();
    this.model.stop();
    rmSync(this.folder, { recursive: true, force: true });
  }
}

// The console of a log that nobody writes.
export function startOffline(log) {
  return start(["console", "--audit-dir", log, "--listen", "127.0.0.1:0"], ["console"]);
}

// Waits until `check` holds.
export async function eventually(check, what, seconds = 30) {
  const end = Date.now() + seconds * 1000;
  for (;;) {
    const value = await check();
    if (value) return value;
    if (Date.now() > end) throw new Error(`not after ${seconds} seconds: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}
