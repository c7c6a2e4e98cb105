// What the Node tests are made of. Started by `run`, which sets the environment.

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { test as nodeTest } from 'node:test';

const { BEHIND_ENVOY } = process.env;
export const { GUARD, REFUSING_GUARD, LIMITED_GUARD, UPSTREAM } = process.env;
assert.ok(GUARD && REFUSING_GUARD && LIMITED_GUARD && UPSTREAM, 'these tests are started by tests/clients/run');

export const DIRECT = `${UPSTREAM}/v1`;
export const STORY = 'Once upon a time, there was a gate.';
export const LONG_BEGINNING = 'All is well. '.repeat(200);
export const TRIGGER = 'PORTCULLIS-TEST-S1';

/** What a client throws where `model` breaks an answer off. An Envoy breaks off itself as soon as the server does. */
export const brokenOff = (model, error) => (BEHIND_ENVOY && model === 'dies-mid-stream' ? Error : error);

// No test may hang: the clients' own time limits are minutes.
export const test = (name, body) => nodeTest(name, { timeout: 30_000 }, body);

/** An API key of its own, a `fetch` that counts, and what the model server got with that key. */
export function caller() {
  const caller = { key: `sk-${randomUUID()}`, sent: 0 };
  caller.fetch = (...request) => {
    caller.sent += 1;
    return fetch(...request);
  };
  caller.received = async () => (await fetch(`${UPSTREAM}/received/${caller.key}`)).json();
  return caller;
}

export async function assertUpstreamStopped(asker) {
  const ended = async () => (await asker.received()).map((entry) => entry.ended);
  for (let tries = 0; tries < 100; tries += 1) {
    if ((await ended())[0] === 'caller went away') return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  assert.deepEqual(await ended(), ['caller went away']);
}
