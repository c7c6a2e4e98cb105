"""Anthropic's Python client, sync and async, against the guard."""

import os

import anthropic
import pydantic
import pytest

import askers
from script import BLOCKED_TEXT, CITIES, LONG_BEGINNING, STORY, STRUCTURED, TRIGGER
from wire import LONG_USAGE

API = askers.MESSAGES
HELLO = [{"role": "user", "content": "Good morning!"}]
BAD = [{"role": "user", "content": f"Tell me, {TRIGGER}, please."}]
TOOL = {
    "name": "weather",
    "description": "The weather in a city, now.",
    "input_schema": {
        "type": "object",
        "properties": {"city": {"type": "string", "description": "The name of a city."}},
        "required": ["city"],
    },
}
CACHED = {"cache_control": {"type": "ephemeral", "ttl": "5m"}}
EVERY_OPTION = {
    "model": "story",
    "max_tokens": 2000,
    "system": [{"type": "text", "text": "Be kind.", **CACHED}],
    "messages": [
        {"role": "user", "content": [{"type": "text", "text": "Hi."}, {"type": "text", "text": "There.", **CACHED}]},
        {"role": "assistant", "content": "Hello."},
        {"role": "user", "content": "Go on: ä, 漢字, \U0001f600, \\ \" \n\t\x7f \u2028."},
        {"role": "system", "content": "Speak slowly."},
        {"role": "assistant", "content": "Once upon"},
    ],
    "cache_control": {"type": "ephemeral"},
    "metadata": {"user_id": "person-1"},
    "output_config": {"effort": "low"},
    "service_tier": "auto",
    "speed": "standard",
    "stop_sequences": ["END", "\n\n"],
    "thinking": {"type": "enabled", "budget_tokens": 1024, "display": "summarized"},
    "tool_choice": {"type": "tool", "name": "weather", "disable_parallel_tool_use": True},
    "tools": [
        {
            **TOOL, **CACHED, "type": "custom", "strict": True, "eager_input_streaming": True,
            "input_examples": [{"city": "Faro"}], "allowed_callers": ["direct"], "defer_loading": False,
        },
    ],
    "extra_body": {"temperature": 0.7, "top_k": 40, "top_p": 0.9, "inference_geo": "eu"},
}


class City(pydantic.BaseModel):
    city: str
    degrees: int


def asked(model="story", messages=HELLO, **more):
    return {"model": model, "messages": messages, "max_tokens": 1024, **more}


def text_of(events):
    deltas = (event.delta for event in events if event.type == "content_block_delta")
    return "".join(delta.text for delta in deltas if delta.type == "text_delta")


def reasons(events):
    return [event.delta.stop_reason for event in events if event.type == "message_delta"]


def said(message):
    return "".join(block.text for block in message.content if block.type == "text")


def assert_blocked(error, asker, place="messages[0].content"):
    """A block: one request, never sent again, and nothing of it at the model server."""
    assert (error.status_code, error.type) == (400, "invalid_request_error")
    told = error.body["error"]["message"]
    assert told.startswith(place) and ": Not that." in told and told.endswith("(content_filter)")
    assert TRIGGER not in str(error)
    assert error.response.headers["x-guard-decision"] == "block"
    assert asker.sent == 1, "a block is not tried again"
    assert asker.received() == [], "the model server got it"


# Allowed


def test_a_plain_answer_is_the_model_servers(guarded, direct):
    answer = guarded.create(**asked())
    assert answer == direct.create(**asked())
    assert (said(answer), answer.stop_reason) == (STORY, "end_turn")
    assert answer.usage.model_dump() == LONG_USAGE


def test_a_streamed_answer_is_the_model_servers(guarded, direct):
    events = guarded.chunks(**asked())
    assert (text_of(events), reasons(events)) == (STORY, ["end_turn"])
    assert events == direct.chunks(**asked())


def test_every_option_arrives_as_it_was_sent(guarded, direct):
    guarded.create(**EVERY_OPTION)
    direct.create(**EVERY_OPTION)
    (through,), (original,) = guarded.received(), direct.received()
    assert through["body"] == original["body"]
    assert through["headers"]["authorization"].endswith(guarded.key)
    assert through["headers"]["anthropic-version"] == original["headers"]["anthropic-version"]


def test_thoughts_are_answered_and_sent_back(guarded, direct):
    request = asked(thinking={"type": "adaptive"})
    answer = guarded.create(**request)
    assert [block.type for block in answer.content] == ["thinking", "text"]
    assert answer == direct.create(**request)
    assert guarded.chunks(**request) == direct.chunks(**request)
    request["messages"] = [*HELLO, {"role": "assistant", "content": answer.content}, *HELLO]
    assert said(guarded.create(**request)) == STORY
    direct.create(**request)
    assert guarded.received()[-1]["body"] == direct.received()[-1]["body"]


def test_long_texts_in_any_script(guarded):
    text = "Der Fluß 河 नदी แม่น้ำ 🛶🏽 ría\u0301. " * 200
    request = asked("parrot", [{"role": "user", "content": text}])
    assert said(guarded.create(**request)) == text
    assert text_of(guarded.chunks(**request)) == text


def test_the_stream_helper_reads_an_answer(guarded, direct):
    events, message = guarded.helped(**asked())
    assert "".join(event.text for event in events if event.type == "text") == STORY
    assert (said(message), message.stop_reason) == (STORY, "end_turn")
    assert message == direct.helped(**asked())[1]


def test_structured_output_is_parsed(guarded):
    request = asked("speaks-json", output_format=City)
    assert guarded.parse(**request).parsed_output == City(**STRUCTURED)
    assert guarded.helped(**request)[1].parsed_output == City(**STRUCTURED)
    sent = guarded.received()[0]["body"]["output_config"]["format"]
    assert sent["schema"]["properties"]["degrees"]["type"] == "integer"


def test_a_secret_is_cut_out(guarded):
    text = "The key is [REDACTED], keep it."
    answer = guarded.create(**asked("says-a-secret"))
    assert (said(answer), answer.stop_reason) == (text, "end_turn")
    events = guarded.chunks(**asked("says-a-secret"))
    assert (text_of(events), reasons(events)) == (text, ["end_turn"])


def test_the_beta_resource(guarded, direct):
    request = asked(betas=["interleaved-thinking-2025-05-14"])
    answer = guarded.call("beta.messages.create", **request)
    assert answer == direct.call("beta.messages.create", **request)
    assert answer.content[0].text == STORY


# Tools


def results_for(message):
    """A tool's result for each call in `message`."""
    calls = [block for block in message.content if block.type == "tool_use"]
    assert [call.input for call in calls] == [{"city": city} for city in CITIES]
    warm = [[{"type": "text", "text": "warm in "}, {"type": "text", "text": call.input["city"]}] for call in calls]
    results = [
        {"type": "tool_result", "tool_use_id": call.id, "content": content} for call, content in zip(calls, warm)
    ]
    return {"role": "user", "content": results}


SENT_BACK = {
    "the blocks": lambda message: message.content,
    "as dictionaries": lambda message: [block.model_dump() for block in message.content],
    "as they came": lambda message: [block.to_dict() for block in message.content],
}


@pytest.mark.parametrize("send_back", SENT_BACK.values(), ids=SENT_BACK.keys())
def test_a_conversation_with_tools(guarded, direct, send_back):
    request = asked("uses-tools", tools=[TOOL], tool_choice={"type": "auto"})
    answer = guarded.create(**request)
    assert answer == direct.create(**request)
    assert answer.stop_reason == "tool_use"
    request["messages"] = [*HELLO, {"role": "assistant", "content": send_back(answer)}, results_for(answer)]
    final = guarded.create(**request)
    assert said(final) == "It is warm in Lisbon and warm in Porto."
    direct.create(**request)
    assert [entry["body"] for entry in guarded.received()] == [entry["body"] for entry in direct.received()]


def test_a_streamed_conversation_with_tools(guarded, direct):
    request = asked("uses-tools", tools=[TOOL])
    assert guarded.chunks(**request) == direct.chunks(**request)
    _events, message = guarded.helped(**request)
    assert message.stop_reason == "tool_use"
    request["messages"] = [*HELLO, {"role": "assistant", "content": message.content}, results_for(message)]
    assert text_of(guarded.chunks(**request)) == "It is warm in Lisbon and warm in Porto."


# Blocked requests

WAYS_TO_ASK = {
    "plain": lambda asker, **request: asker.create(**request),
    "streamed": lambda asker, **request: asker.chunks(**request),
    "parsed": lambda asker, **request: asker.parse(**request, output_format=City),
    "helped": lambda asker, **request: asker.helped(**request),
}


@pytest.mark.parametrize("ask", WAYS_TO_ASK.values(), ids=WAYS_TO_ASK.keys())
def test_a_blocked_request(guarded, ask):
    with pytest.raises(anthropic.BadRequestError) as caught:
        ask(guarded, **asked(messages=BAD))
    assert_blocked(caught.value, guarded)


CALL = {"type": "tool_use", "id": "toolu_0", "name": "weather", "input": {"city": "Faro"}}
RESULT = {"type": "tool_result", "tool_use_id": "toolu_0", "content": "warm"}


def with_a_tool(call=(), result=()):
    messages = [
        *HELLO,
        {"role": "assistant", "content": [{**CALL, **dict(call)}]},
        {"role": "user", "content": [{**RESULT, **dict(result)}]},
    ]
    return {"messages": messages, "tools": [TOOL]}


PLACES = {
    "the system's text": ({"system": TRIGGER}, "system"),
    "a system message": ({"messages": [*HELLO, {"role": "system", "content": TRIGGER}]}, "messages[1].content"),
    "a tool's result": (with_a_tool(result={"content": TRIGGER}), "messages[2].content"),
    "a call's input": (with_a_tool(call={"input": {"city": TRIGGER}}), "messages[1].content"),
    "a tool's description": ({"tools": [{**TOOL, "description": TRIGGER}]}, "tools[0].description"),
    "an example of a tool": (
        {"tools": [{**TOOL, "input_examples": [{"city": TRIGGER}]}]}, "tools[0].input_examples[0].*0",
    ),
    "a schema of the output": (
        {"output_config": {"format": {"type": "json_schema", "schema": {"type": "string", "description": TRIGGER}}}},
        "output_config.format.schema.description",
    ),
}


@pytest.mark.parametrize("more, place", PLACES.values(), ids=PLACES.keys())
def test_a_request_is_blocked_wherever_it_is_bad(guarded, more, place):
    with pytest.raises(anthropic.BadRequestError) as caught:
        guarded.create(**asked(**more))
    assert_blocked(caught.value, guarded, place)


def test_a_blocked_request_can_be_an_answer_that_refuses(refusing):
    answer = refusing.create(**asked(messages=BAD))
    assert answer.stop_reason == "refusal" and said(answer).startswith("Not that.")
    events = refusing.chunks(**asked(messages=BAD))
    assert reasons(events) == ["refusal"] and text_of(events).startswith("Not that.")
    _events, message = refusing.helped(**asked(messages=BAD))
    assert message.stop_reason == "refusal" and said(message).startswith("Not that.")
    assert refusing.received() == []


# Blocked answers

BAD_ANSWERS = {
    "text": asked("says-a-trigger"),
    "a tool call": asked("uses-tools-badly", tools=[TOOL]),
}


@pytest.mark.parametrize("request_", BAD_ANSWERS.values(), ids=BAD_ANSWERS.keys())
def test_a_blocked_answer(guarded, recorded, request_):
    response, answer = guarded.raw(**request_)
    assert answer.stop_reason == "refusal" and said(answer).startswith("Not that.")
    assert [block.type for block in answer.content] == ["text"]
    assert answer.usage.model_dump() == LONG_USAGE, "the tokens were spent"
    assert TRIGGER not in response.text and "begins" not in response.text
    assert guarded.sent == 1 and len(guarded.received()) == 1
    assert recorded(response.headers)[-1]["outcome"] == "blocked"


@pytest.mark.parametrize("request_", BAD_ANSWERS.values(), ids=BAD_ANSWERS.keys())
def test_a_blocked_stream(guarded, request_):
    events = guarded.chunks(**request_)
    assert reasons(events) == ["refusal"] and text_of(events).startswith("Not that.")
    assert not any(word in repr(events) for word in (TRIGGER, *BLOCKED_TEXT.split()[:3]))
    _events, message = guarded.helped(**request_)
    assert message.stop_reason == "refusal"
    assert [block.type for block in message.content] == ["text"]
    assert guarded.sent == 2


def test_a_stream_that_is_cut_off_late(guarded):
    events, message = guarded.helped(**asked("says-a-trigger-late"))
    assert message.stop_reason == "refusal"
    begun, refusal = (block.text for block in message.content)
    assert begun and LONG_BEGINNING.startswith(begun) and refusal.startswith("Not that.")
    assert not any(word in repr(events) for word in ("PORTCULLIS", "begins"))


# Whatever goes wrong


@pytest.mark.parametrize("model", ["dies-mid-stream", "stops-mid-stream", "fails-mid-stream"])
def test_a_stream_that_breaks_off_is_an_error(guarded, model):
    with pytest.raises(askers.broken_off(model, anthropic.APIError)) as caught:
        guarded.chunks(**asked(model))
    assert "Once" not in str(caught.value)
    with pytest.raises(askers.broken_off(model, anthropic.APIError)):
        guarded.helped(**asked(model))


def test_what_is_not_guarded_is_not_forwarded(guarded):
    batch = {"requests": [{"custom_id": "1", "params": asked()}]}
    counted = {"model": "story", "messages": HELLO}
    for method, request in {"messages.batches.create": batch, "messages.count_tokens": counted}.items():
        with pytest.raises(anthropic.NotFoundError):
            guarded.call(method, **request)
    assert guarded.sent == 2 and guarded.received() == []


IMAGE = {"type": "image", "source": {"type": "url", "url": "https://images.test/gate.png"}}
UNGUARDED = {
    "an unknown field": ({"extra_body": {"quiet": True}}, "quiet"),
    "a value out of range": ({"extra_body": {"temperature": 3}}, "temperature"),
    "an image": ({"messages": [{"role": "user", "content": [IMAGE]}]}, "messages[0].content[0].type"),
    "a tool that the server runs": (
        {"tools": [{"type": "web_search_20250305", "name": "web_search"}]}, "tools[0]",
    ),
    "a remote tool": ({"extra_body": {"mcp_servers": [{"type": "url"}]}}, "mcp_servers"),
    "a tool that is loaded by another": ({"tools": [{**TOOL, "allowed_callers": ["code_execution_20250825"]}]}, "tools"),
}


@pytest.mark.parametrize("more, place", UNGUARDED.values(), ids=UNGUARDED.keys())
def test_what_cannot_be_guarded_is_refused(guarded, more, place):
    for ask in (guarded.create, guarded.chunks):
        with pytest.raises(anthropic.BadRequestError) as caught:
            ask(**asked(**more))
        assert caught.value.body["error"]["message"].startswith(place)
    assert guarded.sent == 2 and guarded.received() == []


def test_too_many_requests(limited):
    for ask in (limited.create, limited.chunks, limited.create):
        ask(**asked())
    for ask in (limited.create, limited.chunks):
        with pytest.raises(anthropic.RateLimitError) as caught:
            ask(**asked())
        assert caught.value.type == "rate_limit_error"
        assert 1 <= int(caught.value.response.headers["retry-after"]) <= 61
    assert len(limited.received()) == 3


def test_a_busy_model_server_is_asked_again(guarded):
    assert said(guarded.create(**asked("busy-at-first"))) == STORY
    assert guarded.sent == 2 and len(guarded.received()) == 2


@pytest.mark.parametrize("ask", ["create", "chunks"])
@pytest.mark.parametrize(
    "model, kind, type_",
    [
        ("has-a-small-context", anthropic.BadRequestError, "invalid_request_error"),
        ("knows-nobody", anthropic.AuthenticationError, "authentication_error"),
        ("out-of-quota", anthropic.RateLimitError, "rate_limit_error"),
    ],
)
def test_the_model_servers_errors_keep_their_kind(connect, model, kind, type_, ask):
    asker = connect(os.environ["GUARD"], retries=0)
    with pytest.raises(kind) as caught:
        getattr(asker, ask)(**asked(model))
    assert caught.value.type == type_
    if kind is anthropic.RateLimitError:
        assert caught.value.response.headers["retry-after"] == "7"


def test_a_slow_answer_runs_into_the_clients_own_limit(connect):
    asker = connect(os.environ["GUARD"], retries=0, timeout=0.5)
    with pytest.raises(anthropic.APITimeoutError):
        asker.create(**asked("slow"))


def test_who_leaves_early_stops_the_model(guarded, eventually):
    guarded.leave_early(**asked("slow"))
    eventually(lambda: [entry["ended"] for entry in guarded.received()] == ["caller went away"])
