"""OpenAI's Python client, sync and async: the older completions, through the guard."""

import os

import openai
import pytest

import askers
from script import BLOCKED_TEXT, LONG_BEGINNING, STORY, TRIGGER
from wire import USAGE

API = askers.COMPLETIONS
ASKED = {"model": "story", "prompt": "Tell me a story."}
BAD = {"model": "story", "prompt": f"Tell me, {TRIGGER}, please."}
EVERY_OPTION = {
    **ASKED,
    "prompt": ["Go on: ä, 漢字, \U0001f600, \\ \" \n\t\x7f \u2028.", "Twice."],
    "best_of": 2,
    "frequency_penalty": -0.5,
    "logit_bias": {"50256": -100},
    "max_tokens": 200,
    "n": 2,
    "presence_penalty": 0.25,
    "seed": -12345678901,
    "stop": ["END", "\n\n"],
    "suffix": "The end.",
    "temperature": 0.7,
    "top_p": 0.9,
    "user": "person-1",
    "extra_body": {"top_k": 40, "min_p": 0.05, "repetition_penalty": 1.1},
}


def text_of(chunks, index=0):
    return "".join(choice.text for chunk in chunks for choice in chunk.choices if choice.index == index)


def reasons(chunks):
    return [choice.finish_reason for chunk in chunks for choice in chunk.choices if choice.finish_reason]


def test_an_answer_is_the_model_servers(guarded, direct):
    answer = guarded.create(**ASKED)
    assert answer == direct.create(**ASKED)
    assert (answer.choices[0].text, answer.usage.model_dump(exclude_none=True)) == (STORY, USAGE)
    streamed = {**ASKED, "stream_options": {"include_usage": True}}
    chunks = guarded.chunks(**streamed)
    assert chunks == direct.chunks(**streamed)
    assert (text_of(chunks), reasons(chunks)) == (STORY, ["stop"])
    assert chunks[-1].usage.model_dump(exclude_none=True) == USAGE


def test_every_option_arrives_as_it_was_sent(guarded, direct):
    guarded.create(**EVERY_OPTION)
    direct.create(**EVERY_OPTION)
    (through,), (original,) = guarded.received(), direct.received()
    assert through["body"] == original["body"]


def test_several_prompts_with_several_choices(guarded, direct):
    request = {"model": "parrot", "prompt": ["one", "two"], "n": 2}
    answer = guarded.create(**request)
    assert [choice.text for choice in answer.choices] == ["one", "one (1)", "two", "two (1)"]
    assert answer == direct.create(**request)
    chunks = guarded.chunks(**request)
    assert [text_of(chunks, index) for index in range(4)] == ["one", "one (1)", "two", "two (1)"]
    assert reasons(chunks) == ["stop"] * 4


def test_a_secret_is_cut_out(guarded):
    request = {**ASKED, "model": "says-a-secret"}
    text = "The key is [REDACTED], keep it."
    assert guarded.create(**request).choices[0].text == text
    chunks = guarded.chunks(**request)
    assert (text_of(chunks), reasons(chunks)) == (text, ["stop"])


@pytest.mark.parametrize("ask", ["create", "chunks"])
@pytest.mark.parametrize(
    "request_, place",
    [
        (BAD, "prompt"),
        ({**ASKED, "prompt": ["fine", BAD["prompt"]]}, "prompt[1]"),
        ({**ASKED, "suffix": TRIGGER}, "suffix"),
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
    choice = refusing.create(**BAD).choices[0]
    assert choice.finish_reason == "content_filter" and choice.text.startswith("Not that.")
    chunks = refusing.chunks(**BAD)
    assert reasons(chunks) == ["content_filter"] and text_of(chunks).startswith("Not that.")
    assert refusing.received() == []


def test_a_blocked_answer(guarded):
    request = {**ASKED, "model": "says-a-trigger"}
    answer = guarded.create(**request)
    assert answer.choices[0].finish_reason == "content_filter"
    assert answer.choices[0].text.startswith("Not that.")
    assert answer.usage.model_dump(exclude_none=True) == USAGE, "the tokens were spent"
    chunks = guarded.chunks(**request)
    assert reasons(chunks) == ["content_filter"] and text_of(chunks).startswith("Not that.")
    assert not any(word in repr((answer, chunks)) for word in (TRIGGER, *BLOCKED_TEXT.split()[:3]))
    assert guarded.sent == 2


def test_a_stream_that_is_cut_off_late(guarded):
    chunks = guarded.chunks(**{**ASKED, "model": "says-a-trigger-late"})
    assert reasons(chunks) == ["content_filter"]
    # A refusal would read as if the model had said it, so there is none.
    assert text_of(chunks) and LONG_BEGINNING.startswith(text_of(chunks))


@pytest.mark.parametrize("model", ["dies-mid-stream", "stops-mid-stream", "fails-mid-stream"])
def test_a_stream_that_breaks_off_is_an_error(guarded, model):
    with pytest.raises(askers.broken_off(model, openai.APIError)):
        guarded.chunks(**{**ASKED, "model": model})


UNGUARDED = {
    "an unknown field": ({"extra_body": {"quiet": True}}, "quiet"),
    "token probabilities": ({"logprobs": 1}, "logprobs"),
    "token ids": ({"prompt": [1, 2, 3]}, "prompt[0]"),
    "the prompt once more": ({"echo": True}, "echo"),
}


@pytest.mark.parametrize("more, place", UNGUARDED.values(), ids=UNGUARDED.keys())
def test_what_cannot_be_guarded_is_refused(guarded, more, place):
    with pytest.raises(openai.BadRequestError) as caught:
        guarded.create(**{**ASKED, **more})
    assert caught.value.param == place
    assert guarded.sent == 1 and guarded.received() == []


def test_too_many_requests(limited):
    for ask in (limited.create, limited.chunks, limited.create):
        ask(**ASKED)
    with pytest.raises(openai.RateLimitError) as caught:
        limited.create(**ASKED)
    assert caught.value.code == "rate_limit_exceeded"
    assert len(limited.received()) == 3


def test_a_slow_answer_runs_into_the_clients_own_limit(connect):
    asker = connect(os.environ["GUARD"], retries=0, timeout=0.5)
    with pytest.raises(openai.APITimeoutError):
        asker.create(**{**ASKED, "model": "slow"})


def test_who_leaves_early_stops_the_model(guarded, eventually):
    guarded.leave_early(**{**ASKED, "model": "slow"})
    eventually(lambda: [entry["ended"] for entry in guarded.received()] == ["caller went away"])
