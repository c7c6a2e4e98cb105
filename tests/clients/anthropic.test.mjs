// Anthropic's Node client against the guard. Started by `run`, which sets the environment.

import assert from 'node:assert/strict';

import Anthropic, {
  APIError, APIUserAbortError, AuthenticationError, BadRequestError, NotFoundError, RateLimitError,
} from '@anthropic-ai/sdk';

import {
  DIRECT, GUARD, LIMITED_GUARD, LONG_BEGINNING, REFUSING_GUARD, STORY, TRIGGER, assertUpstreamStopped, brokenOff,
  caller, test,
} from './support.mjs';

const HELLO = [{ role: 'user', content: 'Good morning!' }];
const BAD = [{ role: 'user', content: `Tell me, ${TRIGGER}, please.` }];
const TOOL = {
  name: 'weather',
  description: 'The weather in a city, now.',
  input_schema: { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] },
};

/** A client with an API key of its own, counting what it sends. */
function connect(url = GUARD, options = {}) {
  const asker = caller();
  asker.client = new Anthropic({
    baseURL: url.replace(/\/v1$/, ''), apiKey: asker.key, timeout: 20_000, fetch: asker.fetch, ...options,
  });
  const whole = (request) => ({ model: 'story', max_tokens: 1024, messages: HELLO, ...request });
  asker.create = (request, settings) => asker.client.messages.create(whole(request), settings);
  asker.stream = (request, settings) => asker.client.messages.stream(whole(request), settings);
  asker.events = async (request) => {
    const events = [];
    for await (const event of await asker.create({ ...request, stream: true })) events.push(event);
    return events;
  };
  return asker;
}

const textOf = (events) => events.map((event) => event.delta?.text ?? '').join('');
const reasons = (events) => events.map((event) => event.delta?.stop_reason).filter(Boolean);
const said = (message) => message.content.map((block) => block.text ?? '').join('');

async function assertBlocked(asker, asked) {
  await assert.rejects(asked, (error) => {
    assert.ok(error instanceof BadRequestError, String(error));
    assert.equal(error.type, 'invalid_request_error');
    assert.equal(error.headers.get('x-guard-decision'), 'block');
    assert.match(error.message, /messages\[0\]\.content: Not that\..*\(content_filter\)/);
    return true;
  });
  assert.equal(asker.sent, 1, 'a block is not tried again');
  assert.deepEqual(await asker.received(), [], 'the model server got it');
}

test('an answer is the model server’s', async () => {
  const [guarded, direct] = [connect(), connect(DIRECT)];
  const answer = await guarded.create({});
  assert.equal(said(answer), STORY);
  assert.deepEqual(answer, await direct.create({}));
  const events = await guarded.events({});
  assert.equal(textOf(events), STORY);
  assert.deepEqual(events, await direct.events({}));
  assert.equal(await guarded.stream({}).finalText(), STORY);
  const bodies = async (asker) => (await asker.received()).slice(0, 2).map((entry) => entry.body);
  assert.deepEqual(await bodies(guarded), await bodies(direct));
});

for (const streamed of [false, true]) {
  test(`a conversation with tools and thoughts, ${streamed ? 'streamed' : 'plain'}`, async () => {
    const asker = connect();
    const ask = (request) => (streamed ? asker.stream(request).finalMessage() : asker.create(request));
    const request = { model: 'uses-tools', tools: [TOOL], thinking: { type: 'adaptive' } };
    const message = await ask(request);
    assert.equal(message.stop_reason, 'tool_use');
    const calls = message.content.filter((block) => block.type === 'tool_use');
    assert.deepEqual(calls.map((call) => call.input.city), ['Lisbon', 'Porto']);
    const results = calls.map((call) => ({
      type: 'tool_result', tool_use_id: call.id, content: `warm in ${call.input.city}`,
    }));
    const messages = [
      ...HELLO, { role: message.role, content: message.content }, { role: 'user', content: results },
    ];
    assert.equal(said(await ask({ ...request, messages })), 'It is warm in Lisbon and warm in Porto.');
  });
}

test('the helper that runs tools', async () => {
  const asked = [];
  const weather = { ...TOOL, parse: (input) => input, run: ({ city }) => asked.push(city) && `warm in ${city}` };
  const asker = connect();
  // It would have the server hold the conversation, and sends all of it when that is refused.
  const message = await asker.client.beta.messages.toolRunner({
    model: 'uses-tools', max_tokens: 1024, messages: HELLO, tools: [weather],
  });
  assert.equal(said(message), 'It is warm in Lisbon and warm in Porto.');
  assert.deepEqual(asked, ['Lisbon', 'Porto']);
  assert.deepEqual((await asker.received()).map((entry) => entry.body.messages.length), [1, 3]);
});

test('a blocked request, plain', async () => {
  const asker = connect();
  await assertBlocked(asker, asker.create({ messages: BAD }));
});

test('a blocked request, streamed', async () => {
  const asker = connect();
  await assertBlocked(asker, asker.events({ messages: BAD }));
});

test('a blocked request, by the stream helper', async () => {
  const asker = connect();
  await assertBlocked(asker, asker.stream({ messages: BAD }).finalMessage());
});

test('a blocked request that is answered', async () => {
  const asker = connect(REFUSING_GUARD);
  for (const message of [await asker.create({ messages: BAD }), await asker.stream({ messages: BAD }).finalMessage()]) {
    assert.equal(message.stop_reason, 'refusal');
    assert.match(said(message), /^Not that\./);
  }
  assert.deepEqual(await asker.received(), []);
});

for (const request of [{ model: 'says-a-trigger' }, { model: 'uses-tools-badly', tools: [TOOL] }]) {
  test(`a blocked answer: ${request.model}`, async () => {
    const asker = connect();
    for (const message of [await asker.create(request), await asker.stream(request).finalMessage()]) {
      assert.equal(message.stop_reason, 'refusal');
      assert.match(said(message), /^Not that\./);
      assert.doesNotMatch(JSON.stringify(message), /PORTCULLIS-TEST|begins well|"tool_use"/);
    }
    assert.equal(asker.sent, 2);
  });
}

test('an answer that is cut off late', async () => {
  const events = await connect().events({ model: 'says-a-trigger-late' });
  assert.deepEqual(reasons(events), ['refusal']);
  const [begun, refusal] = textOf(events).split(/(?=Not that\.)/);
  assert.ok(begun && LONG_BEGINNING.startsWith(begun) && refusal, textOf(events));
});

for (const model of ['dies-mid-stream', 'stops-mid-stream', 'fails-mid-stream']) {
  test(`a stream that breaks off is an error: ${model}`, async () => {
    await assert.rejects(connect().events({ model }), brokenOff(model, APIError));
    await assert.rejects(connect().stream({ model }).finalMessage());
  });
}

test('too many requests', async () => {
  const asker = connect(LIMITED_GUARD, { maxRetries: 0 });
  for (let count = 0; count < 3; count += 1) await asker.create({});
  for (const ask of [asker.create, asker.events]) {
    await assert.rejects(ask({}), (error) => error instanceof RateLimitError && error.type === 'rate_limit_error');
  }
  assert.equal((await asker.received()).length, 3);
});

test('the model server’s errors keep their kind', async () => {
  const typed = (kind, type) => (error) => error instanceof kind && error.type === type;
  const refused = connect().create({ model: 'knows-nobody' });
  await assert.rejects(refused, typed(AuthenticationError, 'authentication_error'));
  const asker = connect();
  assert.equal(said(await asker.create({ model: 'busy-at-first' })), STORY);
  assert.equal(asker.sent, 2);
});

test('a stream that the client aborts stops the model', async () => {
  const asker = connect();
  const stream = await asker.create({ model: 'slow', stream: true });
  setTimeout(() => stream.controller.abort(), 300);
  const events = [];
  for await (const event of stream) events.push(event);
  assert.equal(textOf(events), '', 'nothing leaves before it was judged');
  await assertUpstreamStopped(asker);
});

test('a plain request that the client aborts stops the model', async () => {
  const asker = connect();
  const signal = AbortSignal.timeout(300);
  await assert.rejects(asker.create({ model: 'slow' }, { signal }), APIUserAbortError);
  await assertUpstreamStopped(asker);
});

test('what is not guarded is not forwarded', async () => {
  const asker = connect();
  await assert.rejects(asker.client.messages.countTokens({ model: 'story', messages: HELLO }), NotFoundError);
  const image = { type: 'image', source: { type: 'url', url: 'https://images.test/gate.png' } };
  for (const request of [{ quiet: true }, { messages: [{ role: 'user', content: [image] }] }]) {
    await assert.rejects(asker.create(request), BadRequestError);
  }
  assert.deepEqual(await asker.received(), []);
});
