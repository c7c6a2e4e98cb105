"""The official Python client, sync and async, against the guard."""

import asyncio
import json
import os
import uuid

import openai
import pydantic
import pytest

import askers
from script import BLOCKED_TEXT, CITIES, LONG_BEGINNING, STORY, STRUCTURED, TRIGGER
from wire import USAGE

API = askers.CHAT
HELLO = [{"role": "user", "content": "Good morning!"}]
BAD = [{"role": "user", "content": f"Tell me, {TRIGGER}, please."}]
TOOL = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "The weather in a city, now.",
        "parameters": {
            "type": "object",
            "properties": {
                "city": {"type": "string", "description": "The name of a city."},
                "unit": {"anyOf": [{"type": "string", "enum": ["celsius", "fahrenheit"]}, {"type": "null"}]},
                "days": {"type": "array", "items": {"type": "integer", "minimum": 0, "maximum": 14}},
            },
            "required": ["city"],
            "additionalProperties": False,
        },
        "strict": False,
    },
}
EVERY_OPTION = {
    "model": "story",
    "messages": [
        {"role": "developer", "content": "Be brief."},
        {"role": "system", "content": [{"type": "text", "text": "Be kind."}]},
        {"role": "user", "content": [{"type": "text", "text": "Hi."}, {"type": "text", "text": "There."}]},
        {"role": "assistant", "content": "Hello.", "name": "helper"},
        {"role": "user", "content": "Go on: ä, 漢字, \U0001f600, \\ \" \n\t\x7f \u2028.", "name": "Ann"},
    ],
    "frequency_penalty": -0.5,
    "logit_bias": {"50256": -100},
    "max_completion_tokens": 300,
    "max_tokens": 200,
    "metadata": {"purpose": "test"},
    "n": 1,
    "parallel_tool_calls": True,
    "presence_penalty": 0.25,
    "prediction": {"type": "content", "content": "Once"},
    "prompt_cache_key": "cache-1",
    "reasoning_effort": "low",
    "response_format": {"type": "json_object"},
    "safety_identifier": "person-1",
    "seed": -12345678901,
    "service_tier": "auto",
    "stop": ["END", "\n\n"],
    "temperature": 0.7,
    "tools": [TOOL],
    "tool_choice": {"type": "function", "function": {"name": "weather"}},
    "top_p": 0.9,
    "user": "person-1",
    "verbosity": "low",
    "extra_body": {"top_k": 40, "min_p": 0.05, "repetition_penalty": 1.1},
}


class City(pydantic.BaseModel):
    city: str
    degrees: int


class weather(pydantic.BaseModel):  # noqa: N801 - the name of the tool
    """The weather in a city, now."""

    city: str


def text_of(chunks, index=0):
    choices = (choice for chunk in chunks for choice in chunk.choices if choice.index == index)
    return "".join(choice.delta.content or "" for choice in choices)


def refusal_of(chunks):
    return "".join(choice.delta.refusal or "" for chunk in chunks for choice in chunk.choices)


def reasons(chunks):
    return [choice.finish_reason for chunk in chunks for choice in chunk.choices if choice.finish_reason]


def assert_blocked(error, asker, param="messages[0].content"):
    """A block: one request, never sent again, and nothing of it at the model server."""
    assert (error.status_code, error.code, error.type) == (400, "content_filter", "invalid_request_error")
    assert error.param == param
    assert "Not that." in error.message and TRIGGER not in str(error)
    assert asker.sent == 1, "a block is not tried again"
    assert asker.received() == [], "the model server got it"


# Allowed


def test_a_plain_answer_is_the_model_servers(guarded, direct):
    asked = {"model": "story", "messages": HELLO}
    answer = guarded.create(**asked)
    assert answer == direct.create(**asked)
    assert answer.choices[0].message.content == STORY
    assert answer.usage.model_dump(exclude_none=True) == USAGE


def test_a_streamed_answer_is_the_model_servers(guarded, direct):
    asked = {"model": "story", "messages": HELLO, "stream_options": {"include_usage": True}}
    chunks = guarded.chunks(**asked)
    assert text_of(chunks) == STORY
    assert reasons(chunks) == ["stop"]
    assert chunks[-1].choices == [] and chunks[-1].usage.model_dump(exclude_none=True) == USAGE
    assert chunks == direct.chunks(**asked)


def test_no_usage_comes_that_was_not_asked_for(guarded):
    chunks = guarded.chunks(model="story", messages=HELLO)
    assert [chunk.usage for chunk in chunks] == [None] * len(chunks)
    assert all(chunk.choices for chunk in chunks)


def test_every_option_arrives_as_it_was_sent(guarded, direct):
    guarded.create(**EVERY_OPTION)
    direct.create(**EVERY_OPTION)
    (through,), (original,) = guarded.received(), direct.received()
    assert through["body"] == original["body"]
    assert through["key"] == guarded.key


def test_several_choices(guarded, direct):
    asked = {"model": "parrot", "messages": HELLO, "n": 2}
    answer = guarded.create(**asked)
    assert [choice.message.content for choice in answer.choices] == ["Good morning!", "Good morning! (1)"]
    assert answer == direct.create(**asked)
    chunks = guarded.chunks(**asked)
    assert [text_of(chunks, index) for index in (0, 1)] == ["Good morning!", "Good morning! (1)"]
    assert reasons(chunks) == ["stop", "stop"]


def test_long_texts_in_any_script(guarded):
    text = "Der Fluß 河 नदी แม่น้ำ 🛶🏽 ría\u0301. " * 1000
    asked = {"model": "parrot", "messages": [{"role": "user", "content": text}]}
    assert guarded.create(**asked).choices[0].message.content == text
    assert text_of(guarded.chunks(**asked)) == text


def test_the_stream_helper_reads_an_answer(guarded):
    events, completion = guarded.helped(
        model="story", messages=HELLO, stream_options={"include_usage": True}
    )
    assert "".join(event.delta for event in events if event.type == "content.delta") == STORY
    assert completion.choices[0].message.content == STORY
    assert completion.choices[0].finish_reason == "stop"
    assert completion.usage.model_dump(exclude_none=True) == USAGE


def test_the_headers_say_what_was_decided(guarded, recorded):
    response, _answer = guarded.raw(model="story", messages=HELLO)
    assert response.headers["x-guard-decision"] == "allow"
    assert response.headers["x-guard-policy"].startswith("clients@")
    assert [record["kind"] for record in recorded(response.headers)] == ["opened", "examined", "closed"]


def test_a_secret_is_cut_out(guarded):
    asked = {"model": "says-a-secret", "messages": HELLO}
    text = "The key is [REDACTED], keep it."
    answer = guarded.create(**asked).choices[0]
    assert (answer.message.content, answer.finish_reason) == (text, "stop")
    chunks = guarded.chunks(**asked)
    assert (text_of(chunks), reasons(chunks)) == (text, ["stop"])


# Tools


def results_for(message):
    """A tool's result for each call in `message`."""
    assert [call.type for call in message.tool_calls] == ["function", "function"]
    asked = [json.loads(call.function.arguments)["city"] for call in message.tool_calls]
    assert asked == list(CITIES)
    return [
        {"role": "tool", "tool_call_id": call.id, "content": f"warm in {city}"}
        for call, city in zip(message.tool_calls, asked)
    ]


def without_what_helpers_add(message):
    """The message as the API knows it: what is parsed is the helper's own."""
    call = {"function": {"parsed_arguments": True}, "index": True}
    return message.model_dump(exclude_none=True, exclude={"parsed": True, "tool_calls": {"__all__": call}})


SENT_BACK = {
    "the message": lambda message: message,
    "as a dictionary": lambda message: message.model_dump(),
    "only what is set": lambda message: message.model_dump(exclude_unset=True),
    "without what is null": lambda message: message.model_dump(exclude_none=True),
    "as it came": lambda message: message.to_dict(),
}


@pytest.mark.parametrize("send_back", SENT_BACK.values(), ids=SENT_BACK.keys())
def test_a_conversation_with_tools(guarded, direct, send_back):
    asked = {"model": "uses-tools", "messages": list(HELLO), "tools": [TOOL], "tool_choice": "auto"}
    answer = guarded.create(**asked)
    assert answer == direct.create(**asked)
    assert answer.choices[0].finish_reason == "tool_calls"
    message = answer.choices[0].message
    assert message.content is None
    asked["messages"] += [send_back(message), *results_for(message)]
    final = guarded.create(**asked)
    assert final.choices[0].message.content == "It is warm in Lisbon and warm in Porto."
    direct.create(**asked)
    assert [entry["body"] for entry in guarded.received()] == [entry["body"] for entry in direct.received()]
    assert guarded.received()[0]["body"]["tools"] == [TOOL]


def test_streamed_tool_calls(guarded, direct):
    asked = {"model": "uses-tools", "messages": HELLO, "tools": [TOOL]}
    chunks = guarded.chunks(**asked)
    assert chunks == direct.chunks(**asked)
    assert reasons(chunks) == ["tool_calls"]
    arguments, names = ["", ""], ["", ""]
    for delta in (choice.delta for chunk in chunks for choice in chunk.choices):
        for call in delta.tool_calls or []:
            arguments[call.index] += call.function.arguments or ""
            names[call.index] += call.function.name or ""
    assert [json.loads(text) for text in arguments] == [{"city": city} for city in CITIES]
    assert names == ["weather", "weather"]


def test_a_streamed_conversation_with_tools(guarded):
    tools = [openai.pydantic_function_tool(weather)]
    asked = {"model": "uses-tools", "messages": list(HELLO), "tools": tools}
    events, completion = guarded.helped(**asked)
    done = [event for event in events if event.type == "tool_calls.function.arguments.done"]
    assert [event.parsed_arguments for event in done] == [weather(city=city) for city in CITIES]
    message = completion.choices[0].message
    asked["messages"] += [without_what_helpers_add(message), *results_for(message)]
    chunks = guarded.chunks(**asked)
    assert text_of(chunks) == "It is warm in Lisbon and warm in Porto."


def test_parsed_tool_calls(guarded):
    tools = [openai.pydantic_function_tool(weather)]
    asked = {"model": "uses-tools", "messages": list(HELLO), "tools": tools}
    message = guarded.parse(**asked).choices[0].message
    assert [call.function.parsed_arguments for call in message.tool_calls] == [
        weather(city=city) for city in CITIES
    ]
    asked["messages"] += [without_what_helpers_add(message), *results_for(message)]
    assert guarded.parse(**asked).choices[0].message.content.startswith("It is warm")


# Structured output


def test_structured_output(guarded, direct):
    schema = {"name": "city", "strict": True, "schema": City.model_json_schema()}
    asked = {
        "model": "speaks-json",
        "messages": HELLO,
        "response_format": {"type": "json_schema", "json_schema": schema},
    }
    answer = guarded.create(**asked)
    assert json.loads(answer.choices[0].message.content) == STRUCTURED
    direct.create(**asked)
    assert guarded.received()[0]["body"] == direct.received()[0]["body"]


def test_structured_output_is_parsed(guarded):
    asked = {"model": "speaks-json", "messages": HELLO, "response_format": City}
    message = guarded.parse(**asked).choices[0].message
    assert message.parsed == City(**STRUCTURED)
    _events, completion = guarded.helped(**asked)
    assert completion.choices[0].message.parsed == City(**STRUCTURED)
    sent = guarded.received()[0]["body"]["response_format"]["json_schema"]
    assert (sent["name"], sent["strict"]) == ("City", True)
    assert sent["schema"]["properties"]["degrees"]["type"] == "integer"


# Blocked requests

WAYS_TO_ASK = {
    "plain": lambda asker, **request: asker.create(**request),
    "streamed": lambda asker, **request: asker.chunks(**request),
    "parsed": lambda asker, **request: asker.parse(**request, response_format=City),
    "helped": lambda asker, **request: asker.helped(**request),
}


@pytest.mark.parametrize("ask", WAYS_TO_ASK.values(), ids=WAYS_TO_ASK.keys())
def test_a_blocked_request(guarded, recorded, ask):
    with pytest.raises(openai.BadRequestError) as caught:
        ask(guarded, model="story", messages=BAD)
    error = caught.value
    assert_blocked(error, guarded)
    headers = error.response.headers
    assert (headers["x-guard-decision"], headers["x-should-retry"]) == ("block", "false")
    opened, _, closed = recorded(headers)
    assert (opened["kind"], closed["kind"], closed["outcome"]) == ("opened", "closed", "blocked")
    assert headers["x-guard-decision-id"] in error.message, "the text tells which decision it was"


def called(name, arguments):
    call = {"id": "call_0", "type": "function", "function": {"name": name, "arguments": arguments}}
    return {"role": "assistant", "content": None, "tool_calls": [call]}


def result(content):
    return {"role": "tool", "tool_call_id": "call_0", "content": content}


PLACES = {
    "an earlier message": (
        [*BAD, {"role": "assistant", "content": "No."}, *HELLO], {}, "messages[0].content",
    ),
    "the second part": (
        [{"role": "user", "content": [{"type": "text", "text": "Hi."}, {"type": "text", "text": TRIGGER}]}],
        {}, "messages[0].content[1].text",
    ),
    "a tool's result": (
        [*HELLO, called("weather", "{}"), result(f"warm, {TRIGGER}")], {"tools": [TOOL]}, "messages[2].content",
    ),
    "a call's arguments": (
        [*HELLO, called("weather", json.dumps({"city": TRIGGER})), result("warm")], {"tools": [TOOL]},
        "messages[1].tool_calls[0].function.arguments",
    ),
    "a tool's description": (
        HELLO, {"tools": [{"type": "function", "function": {"name": "weather", "description": TRIGGER}}]},
        "tools[0].function.description",
    ),
}


@pytest.mark.parametrize("messages, more, place", PLACES.values(), ids=PLACES.keys())
def test_a_request_is_blocked_wherever_it_is_bad(guarded, messages, more, place):
    with pytest.raises(openai.BadRequestError) as caught:
        guarded.create(model="story", messages=messages, **more)
    assert_blocked(caught.value, guarded, place)


def test_a_blocked_request_can_be_an_answer_that_refuses(refusing):
    asked = {"model": "story", "messages": BAD}
    choice = refusing.create(**asked).choices[0]
    assert choice.finish_reason == "content_filter"
    assert choice.message.refusal.startswith("Not that.")
    chunks = refusing.chunks(**asked, stream_options={"include_usage": True})
    assert refusal_of(chunks).startswith("Not that.")
    assert reasons(chunks) == ["content_filter"]
    assert chunks[-1].usage.total_tokens == 0
    with pytest.raises(openai.ContentFilterFinishReasonError):
        refusing.parse(**asked, response_format=City)
    with pytest.raises(openai.ContentFilterFinishReasonError):
        refusing.helped(**asked, response_format=City)
    assert refusing.received() == []


# Blocked answers

BAD_ANSWERS = {
    "text": {"model": "says-a-trigger", "messages": HELLO},
    "the second choice": {"model": "second-choice-says-a-trigger", "messages": HELLO, "n": 2},
    "a tool call": {"model": "uses-tools-badly", "messages": HELLO, "tools": [TOOL]},
}


@pytest.mark.parametrize("asked", BAD_ANSWERS.values(), ids=BAD_ANSWERS.keys())
def test_a_blocked_answer(guarded, recorded, asked):
    response, answer = guarded.raw(**asked)
    assert [choice.finish_reason for choice in answer.choices] == ["content_filter"] * asked.get("n", 1)
    for choice in answer.choices:
        assert choice.message.content is None and not choice.message.tool_calls
        assert choice.message.refusal.startswith("Not that.")
    assert answer.usage.model_dump(exclude_none=True) == USAGE, "the tokens were spent"
    assert TRIGGER not in response.text and "begins" not in response.text
    assert guarded.sent == 1 and len(guarded.received()) == 1
    assert recorded(response.headers)[-1]["outcome"] == "blocked"


@pytest.mark.parametrize("asked", BAD_ANSWERS.values(), ids=BAD_ANSWERS.keys())
def test_a_blocked_stream(guarded, asked):
    chunks = guarded.chunks(**asked, stream_options={"include_usage": True})
    assert refusal_of(chunks).startswith("Not that.")
    if asked.get("n") == 2 and reasons(chunks)[0] == "stop":
        # The first choice was over and had left before the second was cut off, and with it the account of tokens.
        assert (reasons(chunks), text_of(chunks)) == (["stop", "content_filter"], "All is well.")
    else:
        assert (reasons(chunks), text_of(chunks)) == (["content_filter"] * asked.get("n", 1), "")
        # A call that is cut off may end before its account of tokens has come.
        assert chunks[-1].usage is None or chunks[-1].usage.model_dump(exclude_none=True) == USAGE
    assert text_of(chunks, 1) == ""
    assert not any(choice.delta.tool_calls for chunk in chunks for choice in chunk.choices)
    assert not any(word in repr(chunks) for word in (TRIGGER, *BLOCKED_TEXT.split()[:3]))
    assert guarded.sent == 1


def test_a_stream_that_is_cut_off_late(guarded):
    chunks = guarded.chunks(model="says-a-trigger-late", messages=HELLO)
    assert reasons(chunks) == ["content_filter"] and refusal_of(chunks).startswith("Not that.")
    assert text_of(chunks) and LONG_BEGINNING.startswith(text_of(chunks))


def test_a_blocked_answer_is_not_parsed(guarded):
    asked = {"model": "says-a-trigger", "messages": HELLO}
    with pytest.raises(openai.ContentFilterFinishReasonError):
        guarded.parse(**asked)
    with pytest.raises(openai.ContentFilterFinishReasonError):
        guarded.parse(**asked, response_format=City)
    with pytest.raises(openai.ContentFilterFinishReasonError):
        guarded.parse(**{**asked, "model": "uses-tools-badly"}, tools=[openai.pydantic_function_tool(weather)])
    assert guarded.sent == 3


def test_the_stream_helper_reports_a_blocked_answer(guarded):
    asked = {"model": "says-a-trigger", "messages": HELLO}
    with pytest.raises(openai.ContentFilterFinishReasonError):
        guarded.helped(**asked)
    with pytest.raises(openai.ContentFilterFinishReasonError):
        guarded.helped(**asked, response_format=City)
    with pytest.raises(openai.ContentFilterFinishReasonError):
        guarded.helped(**{**asked, "model": "uses-tools-badly"}, tools=[openai.pydantic_function_tool(weather)])
    assert guarded.sent == 3


# Whatever goes wrong


@pytest.mark.parametrize("model", ["dies-mid-stream", "stops-mid-stream", "fails-mid-stream"])
def test_a_stream_that_breaks_off_is_an_error(guarded, model):
    with pytest.raises(askers.broken_off(model, openai.APIError)) as caught:
        guarded.chunks(model=model, messages=HELLO)
    assert "Once" not in str(caught.value)
    with pytest.raises(askers.broken_off(model, openai.APIError)):
        guarded.helped(model=model, messages=HELLO)


UNKNOWN_ROUTES = {
    "responses.cancel": {"response_id": "resp_1"},
    "audio.speech.create": {"model": "story", "voice": "alloy", "input": "Once"},
    "images.generate": {"model": "story", "prompt": "a gate"},
}


@pytest.mark.parametrize("method, asked", UNKNOWN_ROUTES.items(), ids=UNKNOWN_ROUTES.keys())
def test_what_is_not_guarded_is_not_forwarded(guarded, method, asked):
    with pytest.raises(openai.NotFoundError) as caught:
        guarded.call(method, **asked)
    assert caught.value.code == "unknown_route"
    assert guarded.sent == 1 and guarded.received() == []


UNKNOWN_PARAMETERS = {
    "an unknown field": ({"extra_body": {"quiet": True}}, "quiet"),
    "an unknown field of a message": (
        {"messages": [{**HELLO[0], "quiet": True}]}, "messages[0].quiet",
    ),
    "a value out of range": ({"temperature": 3}, "temperature"),
    "token probabilities": ({"logprobs": True}, "logprobs"),
    "storing": ({"store": True}, "store"),
    "an image": (
        {"messages": [{"role": "user", "content": [
            {"type": "text", "text": "What is this?"},
            {"type": "image_url", "image_url": {"url": "https://images.test/gate.png"}}]}]},
        "messages[0].content[1].type",
    ),
    "sound": (
        {"messages": [{"role": "user", "content": [
            {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}}]}]},
        "messages[0].content[0].type",
    ),
}


@pytest.mark.parametrize("more, place", UNKNOWN_PARAMETERS.values(), ids=UNKNOWN_PARAMETERS.keys())
def test_what_cannot_be_guarded_is_refused(guarded, more, place):
    asked = {"model": "story", "messages": HELLO, **more}
    for ask in (guarded.create, guarded.chunks):
        with pytest.raises(openai.BadRequestError) as caught:
            ask(**asked)
        assert caught.value.param == place
        assert caught.value.code and caught.value.message
    assert guarded.sent == 2 and guarded.received() == []


def test_too_many_requests(limited):
    asked = {"model": "story", "messages": HELLO}
    for ask in (limited.create, limited.chunks, limited.create):
        ask(**asked)
    for ask in (limited.create, limited.chunks):
        with pytest.raises(openai.RateLimitError) as caught:
            ask(**asked)
        assert caught.value.code == "rate_limit_exceeded"
        assert 1 <= int(caught.value.response.headers["retry-after"]) <= 61
    assert len(limited.received()) == 3


def test_a_busy_model_server_is_asked_again(guarded):
    answer = guarded.create(model="busy-at-first", messages=HELLO)
    assert answer.choices[0].message.content == STORY
    assert guarded.sent == 2 and len(guarded.received()) == 2


@pytest.mark.parametrize("ask", ["create", "chunks"])
@pytest.mark.parametrize(
    "model, kind",
    [
        ("has-a-small-context", openai.BadRequestError),
        ("knows-nobody", openai.AuthenticationError),
        ("out-of-quota", openai.RateLimitError),
    ],
)
def test_the_model_servers_errors_keep_their_kind(connect, model, kind, ask):
    asker = connect(os.environ["GUARD"], retries=0)
    with pytest.raises(kind) as caught:
        getattr(asker, ask)(model=model, messages=HELLO)
    assert caught.value.message and caught.value.code
    if kind is openai.RateLimitError:
        assert caught.value.response.headers["retry-after"] == "7"


def test_a_slow_answer_runs_into_the_clients_own_limit(connect):
    asker = connect(os.environ["GUARD"], retries=0, timeout=0.5)
    with pytest.raises(openai.APITimeoutError):
        asker.create(model="slow", messages=HELLO)


def test_who_leaves_early_stops_the_model(guarded, eventually):
    guarded.leave_early(model="slow", messages=HELLO)
    eventually(lambda: [entry["ended"] for entry in guarded.received()] == ["caller went away"])


def test_a_slow_stream_arrives(guarded):
    chunks = guarded.chunks(model="slow", messages=HELLO)
    assert text_of(chunks) == STORY


def test_many_at_once():
    """Every answer goes to the one who asked, also over connections that are used again."""

    async def talk():
        async with openai.AsyncOpenAI(
            base_url=os.environ["GUARD"], api_key=f"sk-{uuid.uuid4()}", timeout=20, max_retries=0
        ) as client:

            async def ask(number):
                asked = {"model": "parrot", "messages": [{"role": "user", "content": f"number {number}"}]}
                if number % 3 == 0:
                    stream = await client.chat.completions.create(stream=True, **asked)
                    return text_of([chunk async for chunk in stream])
                return (await client.chat.completions.create(**asked)).choices[0].message.content

            return await asyncio.gather(*(ask(number) for number in range(90)))

    assert asyncio.run(talk()) == [f"number {number}" for number in range(90)]


def test_scores_come_with_the_answer(guarded):
    request = {"model": "story", "messages": HELLO, "moderation": {"model": "omni-moderation-latest"}}
    moderation = guarded.create(**request).moderation
    assert (moderation.input.type, moderation.output.results[0].flagged) == ("moderation_results", False)
    (chunk,) = [chunk for chunk in guarded.chunks(**request) if chunk.moderation]
    assert chunk.choices == [] and chunk.moderation.output.results[0].categories["hate"] is False
    assert all("moderation" not in entry["body"] for entry in guarded.received())


def test_a_caller_may_ask_for_a_block(guarded):
    noted = [{"role": "user", "content": "PORTCULLIS-TEST-S1"}]
    block = {"model": "m", "policy": {"input": {"mode": "block"}, "output": {"mode": "score"}}}
    with pytest.raises(openai.BadRequestError) as caught:
        guarded.create(model="story", messages=noted, moderation=block)
    assert caught.value.code == "content_filter" and guarded.received() == []
