// The official Node client against the guard. Started by `run`, which sets the environment.

import assert from 'node:assert/strict';

import OpenAI, { APIError, APIUserAbortError, BadRequestError, NotFoundError, RateLimitError } from 'openai';
import { ContentFilterFinishReasonError } from 'openai/error';

import {
  DIRECT, GUARD, LIMITED_GUARD, LONG_BEGINNING, STORY, assertUpstreamStopped, brokenOff, caller, test,
} from './support.mjs';

const HELLO = [{ role: 'user', content: 'Good morning!' }];
const BAD = [{ role: 'user', content: 'Tell me, PORTCULLIS-TEST-S1, please.' }];
const USAGE = { prompt_tokens: 7, completion_tokens: 5, total_tokens: 12 };
const SCHEMA = {
  type: 'json_schema',
  json_schema: {
    name: 'city',
    strict: true,
    schema: {
      type: 'object',
      properties: { city: { type: 'string' }, degrees: { type: 'integer' } },
      required: ['city', 'degrees'],
      additionalProperties: false,
    },
  },
};
const TOOL = {
  type: 'function',
  function: {
    name: 'weather',
    description: 'The weather in a city, now.',
    parameters: { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] },
  },
};

/** A client with an API key of its own, counting what it sends. */
function connect(baseURL = GUARD, options = {}) {
  const asker = caller();
  asker.client = new OpenAI({
    baseURL,
    apiKey: asker.key,
    timeout: 20_000,
    fetch: asker.fetch,
    ...options,
  });
  asker.create = (request, settings) => asker.client.chat.completions.create(request, settings);
  asker.chunks = async (request) => {
    const chunks = [];
    for await (const chunk of await asker.create({ ...request, stream: true })) chunks.push(chunk);
    return chunks;
  };
  return asker;
}

const choicesOf = (chunks) => chunks.flatMap((chunk) => chunk.choices);
const textOf = (chunks) => choicesOf(chunks).map((choice) => choice.delta.content ?? '').join('');
const refusalOf = (chunks) => choicesOf(chunks).map((choice) => choice.delta.refusal ?? '').join('');
const reasons = (chunks) => choicesOf(chunks).map((choice) => choice.finish_reason).filter(Boolean);

async function assertBlocked(asker, asked) {
  await assert.rejects(asked, (error) => {
    assert.ok(error instanceof BadRequestError, String(error));
    assert.equal(error.code, 'content_filter');
    assert.equal(error.type, 'invalid_request_error');
    assert.equal(error.param, 'messages[0].content');
    assert.equal(error.headers.get('x-guard-decision'), 'block');
    assert.match(error.message, /Not that\./);
    return true;
  });
  assert.equal(asker.sent, 1, 'a block is not tried again');
  assert.deepEqual(await asker.received(), [], 'the model server got it');
}

test('a plain answer is the model server’s', async () => {
  const request = { model: 'story', messages: HELLO };
  const answer = await connect().create(request);
  assert.equal(answer.choices[0].message.content, STORY);
  assert.equal(answer.choices[0].finish_reason, 'stop');
  assert.deepEqual(answer.usage, USAGE);
  const { data, response } = await connect().create(request).withResponse();
  assert.equal(data.choices[0].message.content, STORY);
  assert.equal(response.headers.get('x-guard-decision'), 'allow');
});

test('a streamed answer is the model server’s', async () => {
  const request = { model: 'story', messages: HELLO, stream_options: { include_usage: true } };
  const chunks = await connect().chunks(request);
  assert.equal(textOf(chunks), STORY);
  assert.deepEqual(reasons(chunks), ['stop']);
  assert.deepEqual(chunks.at(-1).usage, USAGE);
  const direct = await connect(DIRECT).chunks(request);
  assert.deepEqual(textOf(direct), STORY);
  assert.equal(chunks.length, direct.length);
});

test('a request arrives as it was sent', async () => {
  const request = {
    model: 'speaks-json', messages: HELLO, tools: [TOOL], temperature: 0.5, stop: ['END'], seed: 7, n: 1,
    response_format: SCHEMA, logit_bias: { 50256: -100 }, metadata: { purpose: 'test' },
  };
  const [guarded, direct] = [connect(), connect(DIRECT)];
  const answer = await guarded.create(request);
  await direct.create(request);
  assert.deepEqual((await guarded.received())[0].body, (await direct.received())[0].body);
  assert.deepEqual(JSON.parse(answer.choices[0].message.content), { city: 'Lisbon', degrees: 21 });
});

test('the stream helper reads an answer', async () => {
  const stream = connect().client.chat.completions.stream({ model: 'story', messages: HELLO });
  assert.equal(await stream.finalContent(), STORY);
  assert.equal((await stream.finalChatCompletion()).choices[0].finish_reason, 'stop');
});

test('a conversation with tools', async () => {
  const asker = connect();
  const request = { model: 'uses-tools', messages: HELLO, tools: [TOOL] };
  const { message, finish_reason } = (await asker.create(request)).choices[0];
  assert.equal(finish_reason, 'tool_calls');
  const results = message.tool_calls.map((call) => ({
    role: 'tool', tool_call_id: call.id, content: `warm in ${JSON.parse(call.function.arguments).city}`,
  }));
  const answer = await asker.create({ ...request, messages: [...HELLO, message, ...results] });
  assert.equal(answer.choices[0].message.content, 'It is warm in Lisbon and warm in Porto.');
});

for (const stream of [false, true]) {
  test(`the helper that runs tools, ${stream ? 'streamed' : 'plain'}`, async () => {
    const asked = [];
    const weather = {
      ...TOOL.function,
      parse: JSON.parse,
      function: ({ city }) => {
        asked.push(city);
        return `warm in ${city}`;
      },
    };
    const runner = connect().client.chat.completions.runTools({
      model: 'uses-tools', messages: HELLO, stream, tools: [{ type: 'function', function: weather }],
    });
    assert.equal(await runner.finalContent(), 'It is warm in Lisbon and warm in Porto.');
    assert.deepEqual(asked, ['Lisbon', 'Porto']);
  });
}

test('a blocked request, plain', async () => {
  const asker = connect();
  await assertBlocked(asker, asker.create({ model: 'story', messages: BAD }));
});

test('a blocked request, streamed', async () => {
  const asker = connect();
  await assertBlocked(asker, asker.chunks({ model: 'story', messages: BAD }));
});

test('a blocked request, by the stream helper', async () => {
  const asker = connect();
  const stream = asker.client.chat.completions.stream({ model: 'story', messages: BAD });
  await assertBlocked(asker, stream.finalContent());
});

test('a blocked answer, plain', async () => {
  const asker = connect();
  const answer = await asker.create({ model: 'says-a-trigger', messages: HELLO });
  const [{ message, finish_reason }] = answer.choices;
  assert.equal(finish_reason, 'content_filter');
  assert.equal(message.content, null);
  assert.match(message.refusal, /^Not that\./);
  assert.deepEqual(answer.usage, USAGE);
  assert.equal(asker.sent, 1);
});

test('a blocked answer, streamed', async () => {
  const asker = connect();
  const chunks = await asker.chunks({ model: 'says-a-trigger', messages: HELLO });
  assert.match(refusalOf(chunks), /^Not that\./);
  assert.equal(textOf(chunks), '');
  assert.deepEqual(reasons(chunks), ['content_filter']);
  assert.doesNotMatch(JSON.stringify(chunks), /PORTCULLIS-TEST|begins well/);
  assert.equal(asker.sent, 1);
});

test('an answer that is cut off late', async () => {
  const chunks = await connect().chunks({ model: 'says-a-trigger-late', messages: HELLO });
  assert.deepEqual(reasons(chunks), ['content_filter']);
  assert.match(refusalOf(chunks), /^Not that\./);
  assert.ok(textOf(chunks) && LONG_BEGINNING.startsWith(textOf(chunks)));
});

test('a blocked answer is not parsed', async () => {
  const { completions } = connect().client.chat;
  const request = { model: 'says-a-trigger', messages: HELLO, response_format: SCHEMA };
  await assert.rejects(completions.parse(request), ContentFilterFinishReasonError);
  await assert.rejects(completions.stream(request).finalChatCompletion(), ContentFilterFinishReasonError);
});

for (const model of ['dies-mid-stream', 'stops-mid-stream', 'fails-mid-stream']) {
  test(`a stream that breaks off is an error: ${model}`, async () => {
    await assert.rejects(connect().chunks({ model, messages: HELLO }), brokenOff(model, APIError));
  });
}

test('too many requests', async () => {
  const asker = connect(LIMITED_GUARD, { maxRetries: 0 });
  const request = { model: 'story', messages: HELLO };
  for (let count = 0; count < 3; count += 1) await asker.create(request);
  for (const ask of [asker.create, asker.chunks]) {
    await assert.rejects(ask(request), (error) => {
      assert.ok(error instanceof RateLimitError, String(error));
      assert.equal(error.code, 'rate_limit_exceeded');
      const seconds = Number(error.headers.get('retry-after'));
      assert.ok(seconds >= 1 && seconds <= 61, `${seconds}`);
      return true;
    });
  }
  assert.equal((await asker.received()).length, 3);
});

test('a busy model server is asked again', async () => {
  const asker = connect();
  const answer = await asker.create({ model: 'busy-at-first', messages: HELLO });
  assert.equal(answer.choices[0].message.content, STORY);
  assert.equal(asker.sent, 2);
});

test('a stream that the client aborts stops the model', async () => {
  const asker = connect();
  const stream = await asker.create({ model: 'slow', messages: HELLO, stream: true });
  setTimeout(() => stream.controller.abort(), 300);
  const chunks = [];
  // An aborted stream just ends.
  for await (const chunk of stream) chunks.push(chunk);
  assert.equal(textOf(chunks), '', 'nothing leaves before it was judged');
  await assertUpstreamStopped(asker);
});

test('a plain request that the client aborts stops the model', async () => {
  const asker = connect();
  const signal = AbortSignal.timeout(300);
  await assert.rejects(asker.create({ model: 'slow', messages: HELLO }, { signal }), APIUserAbortError);
  await assertUpstreamStopped(asker);
});

test('what is not guarded is not forwarded', async () => {
  const asker = connect();
  for (const ask of [
    () => asker.client.responses.cancel('resp_1'),
    () => asker.client.audio.speech.create({ model: 'story', voice: 'alloy', input: 'Once' }),
    () => asker.client.images.generate({ model: 'story', prompt: 'a gate' }),
  ]) {
    await assert.rejects(ask(), (error) => error instanceof NotFoundError && error.code === 'unknown_route');
  }
  assert.equal(asker.sent, 3);
  assert.deepEqual(await asker.received(), []);
});

test('what cannot be guarded is refused', async () => {
  const asker = connect();
  const image = { type: 'image_url', image_url: { url: 'https://images.test/gate.png' } };
  const requests = [
    [{ model: 'story', messages: HELLO, quiet: true }, 'quiet'],
    [{ model: 'story', messages: [{ role: 'user', content: [image] }] }, 'messages[0].content[0].type'],
  ];
  for (const [request, param] of requests) {
    await assert.rejects(asker.create(request), (error) => {
      assert.ok(error instanceof BadRequestError, String(error));
      assert.equal(error.param, param);
      return true;
    });
  }
  assert.equal(asker.sent, 2);
});

test('many at once', async () => {
  const { create } = connect();
  const numbers = Array.from({ length: 60 }, (_, number) => `number ${number}`);
  const answers = await Promise.all(
    numbers.map((content) => create({ model: 'parrot', messages: [{ role: 'user', content }] })),
  );
  assert.deepEqual(answers.map((answer) => answer.choices[0].message.content), numbers);
});

test('completions', async () => {
  const [guarded, direct] = [connect(), connect(DIRECT)];
  const request = { model: 'story', prompt: 'Once', max_tokens: 9 };
  const answer = await guarded.client.completions.create(request);
  assert.equal(answer.choices[0].text, STORY);
  assert.deepEqual(answer, await direct.client.completions.create(request));
  const collect = async (asker, model) => {
    const chunks = [];
    const streamed = { ...request, model, stream: true };
    for await (const chunk of await asker.client.completions.create(streamed)) chunks.push(chunk);
    return chunks;
  };
  assert.deepEqual(await collect(guarded, 'story'), await collect(direct, 'story'));
  const blocked = choicesOf(await collect(guarded, 'says-a-trigger'));
  assert.equal(blocked.at(-1).finish_reason, 'content_filter');
  assert.match(blocked.map((choice) => choice.text).join(''), /^Not that\./);
  await assert.rejects(collect(guarded, 'dies-mid-stream'), brokenOff('dies-mid-stream', APIError));
  const bad = { ...request, prompt: BAD[0].content };
  await assert.rejects(
    guarded.client.completions.create(bad),
    (error) => error instanceof BadRequestError && error.code === 'content_filter' && error.param === 'prompt',
  );
});

test('embeddings', async () => {
  const [guarded, direct] = [connect(), connect(DIRECT)];
  for (const more of [{}, { encoding_format: 'float' }]) {
    const request = { model: 'story', input: ['Good morning!', 'ä, 漢字'], ...more };
    const answer = await guarded.client.embeddings.create(request);
    assert.equal(answer.data[0].embedding[1], -1.5);
    assert.deepEqual(answer, await direct.client.embeddings.create(request));
  }
  const blocked = connect();
  await assert.rejects(
    blocked.client.embeddings.create({ model: 'story', input: ['fine', BAD[0].content] }),
    (error) => error instanceof BadRequestError && error.code === 'content_filter' && error.param === 'input[1]',
  );
  assert.equal(blocked.sent, 1);
  assert.deepEqual(await blocked.received(), []);
});
