"""OpenAI's Python client, sync and async: responses through the guard."""

import os

import openai
import pytest

import askers
from script import BLOCKED_TEXT, CITIES, LONG_BEGINNING, STORY, STRUCTURED, TRIGGER
from wire import Responses

API = askers.RESPONSES
ASKED = {"model": "story", "input": "Tell me a story.", "store": False}
BAD = {**ASKED, "input": f"Tell me, {TRIGGER}, please."}
TOOL = {
    "type": "function",
    "name": "weather",
    "description": "The weather in a city, now.",
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string", "description": "The name of a city."}},
        "required": ["city"],
        "additionalProperties": False,
    },
    "strict": True,
}
EVERY_OPTION = {
    **ASKED,
    "instructions": "Be kind.",
    "input": [
        {"role": "developer", "content": "Be brief."},
        {"role": "user", "content": [{"type": "input_text", "text": "Go on: \u00e4, \u6f22, \\ \" \n\t \u2028."}]},
        {"role": "assistant", "content": "Hello."},
        {"role": "user", "content": "There."},
    ],
    "max_output_tokens": 300,
    "metadata": {"purpose": "test"},
    "parallel_tool_calls": True,
    "prompt_cache_key": "cache-1",
    "reasoning": {"effort": "low"},
    "safety_identifier": "person-1",
    "service_tier": "auto",
    "temperature": 0.7,
    "text": {"format": {"type": "text"}, "verbosity": "low"},
    "tools": [TOOL],
    "tool_choice": {"type": "function", "name": "weather"},
    "top_p": 0.9,
    "truncation": "disabled",
}


def text_of(events):
    return "".join(event.delta for event in events if event.type == "response.output_text.delta")


def ended(events):
    """The response in the last event, and its status."""
    last = events[-1]
    assert last.sequence_number == len(events) - 1
    assert last.type == f"response.{last.response.status}", last
    return last.response


def test_an_answer_is_the_model_servers(guarded, direct):
    answer = guarded.create(**ASKED)
    assert answer == direct.create(**ASKED)
    assert (answer.output_text, answer.usage.model_dump(exclude_none=True)) == (STORY, Responses.USAGE)
    events = guarded.chunks(**ASKED)
    assert events == direct.chunks(**ASKED)
    assert (text_of(events), ended(events).output_text) == (STORY, STORY)


def test_the_stream_helper(guarded, direct):
    request = {**ASKED, "model": "uses-tools", "tools": [TOOL]}
    events, answer = guarded.helped(**request)
    assert [event.type for event in events] == [event.type for event in direct.helped(**request)[0]]
    assert [call.parsed_arguments for call in answer.output] == [{"city": city} for city in CITIES]


def test_every_option_arrives_as_it_was_sent(guarded, direct):
    guarded.create(**EVERY_OPTION)
    direct.create(**EVERY_OPTION)
    (through,), (original,) = guarded.received(), direct.received()
    assert through["body"] == original["body"]


def test_nothing_is_stored_where_nobody_says_so(guarded):
    request = {name: value for name, value in ASKED.items() if name != "store"}
    guarded.create(**request)
    assert guarded.received()[0]["body"]["store"] is False


def test_tools_and_their_results(guarded, direct):
    request = {**ASKED, "model": "uses-tools", "tools": [TOOL]}
    answer = guarded.create(**request)
    assert answer == direct.create(**request)
    calls = [item for item in answer.output if item.type == "function_call"]
    results = [
        {"type": "function_call_output", "call_id": call.call_id, "output": f"warm in {city}"}
        for call, city in zip(calls, CITIES)
    ]
    said = [{"role": "user", "content": "The weather?"}, *[call.model_dump(exclude_none=True) for call in calls]]
    answer = guarded.create(**{**request, "input": said + results})
    assert answer.output_text == "It is warm in Lisbon and warm in Porto."
    events = guarded.chunks(**request)
    assert events == direct.chunks(**request)


@pytest.mark.parametrize("ask", ["create", "chunks"])
def test_a_tool_call_that_is_blocked(guarded, ask):
    said = getattr(guarded, ask)(**{**ASKED, "model": "uses-tools-badly", "tools": [TOOL]})
    answer = said if ask == "create" else ended(said)
    assert (answer.status, answer.incomplete_details.reason) == ("incomplete", "content_filter")
    assert TRIGGER not in repr(said)


def test_a_structured_answer(guarded):
    answer = guarded.create(**{**ASKED, "model": "speaks-json"})
    assert answer.output_text == str(STRUCTURED).replace("'", '"')


def test_a_secret_is_cut_out(guarded):
    request = {**ASKED, "model": "says-a-secret"}
    text = "The key is [REDACTED], keep it."
    assert guarded.create(**request).output_text == text
    events = guarded.chunks(**request)
    assert (text_of(events), ended(events).output_text) == (text, text)


@pytest.mark.parametrize("ask", ["create", "chunks"])
@pytest.mark.parametrize(
    "request_, place",
    [
        (BAD, "input"),
        ({**ASKED, "instructions": TRIGGER}, "instructions"),
        ({**ASKED, "input": [{"role": "user", "content": TRIGGER}]}, "input[0].content"),
        ({**ASKED, "tools": [{**TOOL, "description": TRIGGER}]}, "tools[0].description"),
    ],
)
def test_a_blocked_request(guarded, ask, request_, place):
    with pytest.raises(openai.BadRequestError) as caught:
        getattr(guarded, ask)(**request_)
    error = caught.value
    assert (error.code, error.type, error.param) == ("content_filter", "invalid_request_error", place)
    assert "Not that." in error.message and TRIGGER not in str(error)
    assert guarded.sent == 1 and guarded.received() == []


def test_a_blocked_request_can_be_an_answer_that_refuses(refusing):
    answer = refusing.create(**BAD)
    assert (answer.status, answer.incomplete_details.reason) == ("incomplete", "content_filter")
    assert answer.output[0].content[0].refusal.startswith("Not that.")
    events = refusing.chunks(**BAD)
    assert ended(events).output[0].content[0].refusal.startswith("Not that.")
    assert refusing.received() == []


def test_a_blocked_answer(guarded):
    request = {**ASKED, "model": "says-a-trigger"}
    answer = guarded.create(**request)
    assert (answer.status, answer.incomplete_details.reason) == ("incomplete", "content_filter")
    assert answer.output[0].content[0].refusal.startswith("Not that.")
    assert answer.usage.model_dump(exclude_none=True) == Responses.USAGE, "the tokens were spent"
    events = guarded.chunks(**request)
    assert ended(events).incomplete_details.reason == "content_filter"
    assert not any(word in repr((answer, events)) for word in (TRIGGER, *BLOCKED_TEXT.split()[1:3]))
    assert guarded.sent == 2


def test_a_stream_that_is_cut_off_late(guarded):
    events = guarded.chunks(**{**ASKED, "model": "says-a-trigger-late"})
    answer = ended(events)
    assert (answer.status, answer.incomplete_details.reason) == ("incomplete", "content_filter")
    assert text_of(events) and LONG_BEGINNING.startswith(text_of(events))
    assert TRIGGER not in repr(events)


@pytest.mark.parametrize("model", ["dies-mid-stream", "stops-mid-stream", "fails-mid-stream"])
def test_a_stream_that_breaks_off_is_an_error(guarded, model):
    with pytest.raises(askers.broken_off(model, openai.APIError)):
        guarded.chunks(**{**ASKED, "model": model})


@pytest.mark.parametrize(
    "more, place",
    [
        ({"store": True}, "store"),
        ({"previous_response_id": "resp_1"}, "previous_response_id"),
        ({"background": True}, "background"),
        ({"tools": [{"type": "web_search"}]}, "tools[0].type"),
        ({"extra_body": {"quiet": True}}, "quiet"),
    ],
)
def test_what_cannot_be_guarded_is_refused(guarded, more, place):
    with pytest.raises(openai.BadRequestError) as caught:
        guarded.create(**{**ASKED, **more})
    assert caught.value.param == place
    assert guarded.sent == 1 and guarded.received() == []


def test_scores_come_with_the_answer(guarded):
    request = {**ASKED, "moderation": {"model": "omni-moderation-latest"}}
    for answer in (guarded.create(**request), ended(guarded.chunks(**request))):
        assert (answer.moderation.input.type, answer.moderation.output.flagged) == ("moderation_result", False)
        assert answer.moderation.output.categories["hate"] is False
    assert all("moderation" not in entry["body"] for entry in guarded.received())


def test_who_leaves_early_stops_the_model(guarded, eventually):
    guarded.leave_early(**{**ASKED, "model": "slow"})
    eventually(lambda: [entry["ended"] for entry in guarded.received()] == ["caller went away"])


def test_a_slow_answer_runs_into_the_clients_own_limit(connect):
    asker = connect(os.environ["GUARD"], retries=0, timeout=0.5)
    with pytest.raises(openai.APITimeoutError):
        asker.create(**{**ASKED, "model": "slow"})
