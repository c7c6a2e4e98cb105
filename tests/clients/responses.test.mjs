// The official Node client's responses, against the guard. Started by `run`, which sets the environment.

import assert from 'node:assert/strict';

import OpenAI, { APIError, APIUserAbortError, BadRequestError } from 'openai';

import {
  DIRECT, GUARD, LONG_BEGINNING, STORY, TRIGGER, assertUpstreamStopped, brokenOff, caller, test,
} from './support.mjs';

const ASKED = { model: 'story', input: 'Tell me a story.', store: false };
const BAD = { ...ASKED, input: `Tell me, ${TRIGGER}, please.` };
const TOOL = {
  type: 'function',
  name: 'weather',
  description: 'The weather in a city, now.',
  parameters: { type: 'object', properties: { city: { type: 'string' } }, required: ['city'], additionalProperties: false },
  strict: true,
};

/** A client with an API key of its own, counting what it sends. */
function connect(baseURL = GUARD) {
  const asker = caller();
  asker.client = new OpenAI({ baseURL, apiKey: asker.key, timeout: 20_000, fetch: asker.fetch });
  asker.create = (request, settings) => asker.client.responses.create(request, settings);
  asker.events = async (request) => {
    const events = [];
    for await (const event of await asker.create({ ...request, stream: true })) events.push(event);
    return events;
  };
  return asker;
}

const textOf = (events) =>
  events.map((event) => (event.type === 'response.output_text.delta' ? event.delta : '')).join('');

function assertFiltered(response) {
  assert.equal(response.status, 'incomplete');
  assert.equal(response.incomplete_details.reason, 'content_filter');
  assert.ok(!JSON.stringify(response).includes(TRIGGER));
}

test('a response is the model server\'s, plain and streamed', async () => {
  const answer = await connect().create(ASKED);
  const original = await connect(DIRECT).create(ASKED);
  assert.deepEqual(answer, original);
  assert.equal(answer.output_text, STORY);
  const events = await connect().events(ASKED);
  assert.deepEqual(events, await connect(DIRECT).events(ASKED));
  assert.equal(textOf(events), STORY);
});

test('tools are called, plain, streamed and by the stream helper', async () => {
  const request = { ...ASKED, model: 'uses-tools', tools: [TOOL] };
  const answer = await connect().create(request);
  assert.deepEqual(answer, await connect(DIRECT).create(request));
  assert.deepEqual(await connect().events(request), await connect(DIRECT).events(request));
  const helped = await connect().client.responses.stream(request).finalResponse();
  assert.deepEqual(helped.output.map((call) => JSON.parse(call.arguments)), [{ city: 'Lisbon' }, { city: 'Porto' }]);
  const bad = { ...request, model: 'uses-tools-badly' };
  assertFiltered(await connect().create(bad));
  assertFiltered((await connect().events(bad)).at(-1).response);
});

test('a blocked request is a typed error, asked once', async () => {
  for (const stream of [false, true]) {
    const asker = connect();
    await assert.rejects(asker.create({ ...BAD, stream }), (error) => {
      assert.ok(error instanceof BadRequestError);
      assert.deepEqual([error.code, error.param], ['content_filter', 'input']);
      return true;
    });
    assert.equal(asker.sent, 1);
    assert.deepEqual(await asker.received(), []);
  }
});

test('a blocked answer says why, and a stream is cut off before the first bad character', async () => {
  const answer = await connect().create({ ...ASKED, model: 'says-a-trigger' });
  assertFiltered(answer);
  assert.ok(answer.output[0].content[0].refusal.startsWith('Not that.'));
  const events = await connect().events({ ...ASKED, model: 'says-a-trigger-late' });
  assertFiltered(events.at(-1).response);
  assert.ok(!JSON.stringify(events).includes(TRIGGER));
  assert.ok(textOf(events).length > 0 && LONG_BEGINNING.startsWith(textOf(events)));
});

test('a stream that breaks off is an error', async () => {
  for (const model of ['dies-mid-stream', 'stops-mid-stream', 'fails-mid-stream']) {
    await assert.rejects(connect().events({ ...ASKED, model }), brokenOff(model, APIError));
  }
});

test('scores come with the answer', async () => {
  const asker = connect();
  const request = { ...ASKED, moderation: { model: 'omni-moderation-latest' } };
  const answers = [await asker.create(request), (await asker.events(request)).at(-1).response];
  for (const { moderation } of answers) {
    assert.deepEqual([moderation.input.type, moderation.output.flagged], ['moderation_result', false]);
  }
  assert.ok((await asker.received()).every(({ body }) => !('moderation' in body)));
});

test('who leaves stops the model', async () => {
  const asker = connect();
  const leave = new AbortController();
  const asked = asker.create({ ...ASKED, model: 'slow' }, { signal: leave.signal });
  setTimeout(() => leave.abort(), 300);
  await assert.rejects(asked, APIUserAbortError);
  await assertUpstreamStopped(asker);
});
