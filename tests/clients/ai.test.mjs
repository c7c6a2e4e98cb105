// Vercel's AI SDK against the guard, with its providers for OpenAI's format and for Anthropic's. Started by `run`,
// which sets the environment.

import assert from 'node:assert/strict';

import { createAnthropic } from '@ai-sdk/anthropic';
import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import { APICallError, Output, embedMany, generateText, isStepCount, streamText, tool } from 'ai';
import { z } from 'zod';

import {
  DIRECT, GUARD, LIMITED_GUARD, LONG_BEGINNING, STORY, TRIGGER, assertUpstreamStopped, caller, test,
} from './support.mjs';

globalThis.AI_SDK_LOG_WARNINGS = false;

const HELLO = 'Good morning!';
const BAD = `Tell me, ${TRIGGER}, please.`;

const PROVIDERS = {
  'openai-compatible': (settings) => createOpenAICompatible({ name: 'portcullis', includeUsage: true, ...settings }),
  anthropic: createAnthropic,
};

/** A provider with an API key of its own, counting what it sends. */
function connect(provider, baseURL = GUARD) {
  const asker = caller();
  asker.model = PROVIDERS[provider]({ baseURL, apiKey: asker.key, fetch: asker.fetch });
  const whole = ({ model = 'story', ...request }) => ({ model: asker.model(model), prompt: HELLO, ...request });
  asker.generate = (request = {}) => generateText(whole(request));
  // What `streamText` gives out, and what is known when it is over. Errors are parts of the stream.
  asker.stream = async (request = {}) => {
    const parts = [];
    const result = streamText({ ...whole(request), onError: () => {} });
    for await (const part of result.stream) parts.push(part);
    return {
      parts,
      text: parts.filter((part) => part.type === 'text-delta').map((part) => part.text).join(''),
      reason: parts.find((part) => part.type === 'finish')?.finishReason,
      error: parts.find((part) => part.type === 'error')?.error,
    };
  };
  return asker;
}

function assertBlocked(error) {
  assert.ok(APICallError.isInstance(error), String(error));
  assert.equal(error.statusCode, 400);
  assert.equal(error.isRetryable, false);
  assert.match(error.responseBody, /Not that\..*content_filter/);
  return true;
}

for (const provider of Object.keys(PROVIDERS)) {
  const check = (name, body) => test(`${provider}: ${name}`, body);

  check('an answer is the model server’s', async () => {
    const [guarded, direct] = [connect(provider), connect(provider, DIRECT)];
    const settings = { temperature: 0.5, maxOutputTokens: 300, stopSequences: ['END'], instructions: 'Be kind.' };
    const answers = [await guarded.generate(settings), await direct.generate(settings)];
    const seen = ({ text, finishReason, usage }) => ({ text, finishReason, usage });
    assert.deepEqual(seen(answers[0]), seen(answers[1]));
    assert.equal(answers[0].text, STORY);
    assert.equal(answers[0].finishReason, 'stop');
    const streams = [await guarded.stream(settings), await direct.stream(settings)];
    assert.deepEqual([streams[0].text, streams[0].reason], [STORY, 'stop']);
    assert.deepEqual(streams[0].parts.map((part) => part.type), streams[1].parts.map((part) => part.type));
    const bodies = async (asker) => (await asker.received()).map((entry) => entry.body);
    assert.deepEqual(await bodies(guarded), await bodies(direct));
  });

  check('tools are run', async () => {
    const asked = [];
    const weather = tool({
      description: 'The weather in a city, now.',
      inputSchema: z.object({ city: z.string() }),
      execute: ({ city }) => {
        asked.push(city);
        return `warm in ${city}`;
      },
    });
    const request = { model: 'uses-tools', tools: { weather }, stopWhen: isStepCount(3) };
    assert.match((await connect(provider).generate(request)).text, /warm in Lisbon.* and .*warm in Porto/);
    assert.match((await connect(provider).stream(request)).text, /warm in Lisbon.* and .*warm in Porto/);
    assert.deepEqual(asked, ['Lisbon', 'Porto', 'Lisbon', 'Porto']);
    asked.length = 0;
    await connect(provider).generate({ ...request, model: 'uses-tools-badly' });
    await connect(provider).stream({ ...request, model: 'uses-tools-badly' });
    assert.deepEqual(asked, [], 'a blocked call was run');
  });

  check('structured output', async () => {
    const schema = z.object({ city: z.string(), degrees: z.number() });
    const answer = await connect(provider).generate({ model: 'speaks-json', output: Output.object({ schema }) });
    assert.deepEqual(answer.output, { city: 'Lisbon', degrees: 21 });
  });

  check('a blocked request', async () => {
    const asker = connect(provider);
    await assert.rejects(asker.generate({ prompt: BAD }), assertBlocked);
    assertBlocked((await asker.stream({ prompt: BAD })).error);
    assert.equal(asker.sent, 2, 'a block is not tried again');
    assert.deepEqual(await asker.received(), []);
  });

  check('a blocked answer', async () => {
    const asker = connect(provider);
    const answer = await asker.generate({ model: 'says-a-trigger' });
    const streamed = await asker.stream({ model: 'says-a-trigger' });
    assert.deepEqual([answer.finishReason, streamed.reason], ['content-filter', 'content-filter']);
    assert.doesNotMatch(answer.text + JSON.stringify(streamed.parts), /PORTCULLIS-TEST|begins well/);
    assert.equal(asker.sent, 2);
  });

  check('an answer that is cut off late', async () => {
    const { text, reason } = await connect(provider).stream({ model: 'says-a-trigger-late' });
    const [begun] = text.split('Not that.');
    assert.ok(begun && LONG_BEGINNING.startsWith(begun), text);
    assert.equal(reason, 'content-filter');
  });

  for (const model of ['dies-mid-stream', 'stops-mid-stream', 'fails-mid-stream']) {
    check(`a stream that breaks off is an error: ${model}`, async () => {
      const { text, error, reason } = await connect(provider).stream({ model, maxRetries: 0 });
      assert.ok(error || reason === 'error', 'it looks whole');
      assert.equal(text, '');
    });
  }

  check('too many requests', async () => {
    const asker = connect(provider, LIMITED_GUARD);
    for (let count = 0; count < 3; count += 1) await asker.generate();
    const limited = (error) => APICallError.isInstance(error) && error.statusCode === 429 && error.isRetryable;
    await assert.rejects(asker.generate({ maxRetries: 0 }), limited);
    assert.ok(limited((await asker.stream({ maxRetries: 0 })).error));
    assert.equal((await asker.received()).length, 3);
  });

  check('who aborts stops the model', async () => {
    for (const ask of ['generate', 'stream']) {
      const asker = connect(provider);
      const asked = asker[ask]({ model: 'slow', abortSignal: AbortSignal.timeout(300), maxRetries: 0 });
      if (ask === 'generate') await assert.rejects(asked, { name: 'TimeoutError' });
      else assert.equal((await asked).text, '', 'nothing leaves before it was judged');
      await assertUpstreamStopped(asker);
    }
  });
}

test('embeddings', async () => {
  const [guarded, direct] = [connect('openai-compatible'), connect('openai-compatible', DIRECT)];
  const embed = (asker, values) => embedMany({ model: asker.model.embeddingModel('story'), values });
  const values = [HELLO, 'ä, 漢字'];
  assert.deepEqual((await embed(guarded, values)).embeddings, (await embed(direct, values)).embeddings);
  await assert.rejects(embed(guarded, [BAD]), assertBlocked);
  assert.equal(guarded.sent, 2);
});
