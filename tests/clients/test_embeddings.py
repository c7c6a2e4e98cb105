"""OpenAI's Python client, sync and async: embeddings, through the guard."""

import os

import openai
import pytest

import askers
from script import TRIGGER

API = askers.EMBEDDINGS
ASKED = {"model": "story", "input": ["Good morning!", "ä, 漢字, \U0001f600"]}


@pytest.mark.parametrize("encoding", [{}, {"encoding_format": "float"}], ids=["as bytes", "as numbers"])
def test_an_answer_is_the_model_servers(guarded, direct, encoding):
    answer = guarded.create(**ASKED, **encoding)
    assert answer == direct.create(**ASKED, **encoding)
    assert [len(one.embedding) for one in answer.data] == [6, 6]
    assert answer.data[0].embedding[:2] == [13 / 8, -1.5]
    assert answer.usage.total_tokens == 7


def test_every_option_arrives_as_it_was_sent(guarded, direct):
    request = {**ASKED, "input": "one text", "dimensions": 6, "encoding_format": "float", "user": "person-1"}
    guarded.create(**request)
    direct.create(**request)
    assert guarded.received()[0]["body"] == direct.received()[0]["body"]


@pytest.mark.parametrize(
    "text, place", [(f"Say {TRIGGER}.", "input"), (["fine", f"Say {TRIGGER}."], "input[1]")], ids=["one", "several"]
)
def test_a_blocked_request(guarded, text, place):
    with pytest.raises(openai.BadRequestError) as caught:
        guarded.create(model="story", input=text)
    error = caught.value
    assert (error.code, error.param) == ("content_filter", place)
    assert "Not that." in error.message and TRIGGER not in str(error)
    assert guarded.sent == 1 and guarded.received() == []


def test_a_refusal_is_an_error_where_a_format_has_no_words(refusing):
    with pytest.raises(openai.BadRequestError) as caught:
        refusing.create(model="story", input=f"Say {TRIGGER}.")
    assert caught.value.code == "content_filter"
    assert refusing.sent == 1 and refusing.received() == []


UNGUARDED = {
    "token ids": ({"input": [1, 2, 3]}, "input[0]"),
    "token ids of several texts": ({"input": [[1, 2], [3]]}, "input[0]"),
    "an unknown field": ({"extra_body": {"quiet": True}}, "quiet"),
}


@pytest.mark.parametrize("more, place", UNGUARDED.values(), ids=UNGUARDED.keys())
def test_what_cannot_be_guarded_is_refused(guarded, more, place):
    with pytest.raises(openai.BadRequestError) as caught:
        guarded.create(**{**ASKED, **more})
    assert caught.value.param == place
    assert guarded.sent == 1 and guarded.received() == []


def test_too_many_requests(limited):
    for _ in range(3):
        limited.create(**ASKED)
    with pytest.raises(openai.RateLimitError):
        limited.create(**ASKED)
    assert len(limited.received()) == 3


def test_a_slow_answer_is_given_up(connect):
    asker = connect(os.environ["GUARD"], retries=0, timeout=0.5)
    with pytest.raises(openai.APITimeoutError):
        asker.create(**{**ASKED, "model": "slow"})


def test_the_model_servers_errors_keep_their_kind(guarded):
    with pytest.raises(openai.AuthenticationError):
        guarded.create(**{**ASKED, "model": "knows-nobody"})
