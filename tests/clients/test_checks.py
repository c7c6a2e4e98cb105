"""Who asks for verdicts: OpenAI's client (moderations) and Llama Stack's (shields)."""

import os

import llama_stack_client
import openai
import pytest

from conftest import decisions
from script import TRIGGER

BAD = f"Say {TRIGGER}."


@pytest.fixture
def moderations():
    with openai.OpenAI(base_url=os.environ["GUARD"], api_key="moderator", max_retries=0) as client:
        yield client.moderations


@pytest.fixture
def shields():
    url = os.environ["GUARD"].removesuffix("/v1")
    with llama_stack_client.LlamaStackClient(base_url=url, max_retries=0) as client:
        yield client


def test_a_moderation_has_a_result_for_each_input(moderations):
    answer = moderations.create(model="omni-moderation-latest", input=["Good morning!", BAD])
    assert [one.flagged for one in answer.results] == [False, True]
    assert answer.model == "omni-moderation-latest" and answer.id.startswith("modr-")
    calm, bad = answer.results
    assert bad.categories.violence and not calm.categories.violence
    assert bad.category_scores.violence == 1.0 and calm.category_scores.violence < 0.5
    assert bad.categories.model_extra["violent_crimes"] is True
    assert not any(calm.categories.model_dump().values())


def test_a_moderation_of_parts_is_one(moderations):
    parts = [{"type": "text", "text": "Say PORTCULLIS-"}, {"type": "text", "text": "TEST-S1."}]
    answer = moderations.create(input=parts)
    assert [one.flagged for one in answer.results] == [True]


def test_a_picture_is_an_error_and_not_clean(moderations):
    picture = {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}
    with pytest.raises(openai.BadRequestError) as caught:
        moderations.create(input=[picture])
    assert caught.value.code == "unsupported"


def test_a_moderation_is_recorded_like_everything(moderations):
    answer = moderations.create(input=BAD)
    decision = answer.id.removeprefix("modr-")
    opened, _, closed = [record for record in decisions("GUARD") if decision in str(record)]
    assert "/v1/moderations" in str(opened)
    assert "violent_crimes" in str(closed) and TRIGGER not in str(closed)


def test_a_shield_is_listed_and_asked(shields):
    (shield,) = shields.shields.list()
    assert shields.shields.retrieve(shield.identifier).provider_resource_id.startswith("clients")

    def run(*messages):
        return shields.safety.run_shield(shield_id=shield.identifier, messages=messages, params={}).violation

    assert run({"role": "user", "content": "Good morning!"}) is None
    violation = run({"role": "user", "content": BAD})
    assert (violation.violation_level, violation.metadata["violation_type"]) == ("error", "S1")
    assert "Not that." in violation.user_message and TRIGGER not in violation.user_message
    answer = {"role": "assistant", "content": BAD, "stop_reason": "end_of_turn"}
    assert run({"role": "user", "content": "Hello"}, answer).violation_level == "error"
    result = {"role": "tool", "call_id": "1", "content": [{"type": "text", "text": BAD}]}
    assert run(result).violation_level == "error"


def test_an_unknown_shield_is_an_error(shields):
    with pytest.raises(llama_stack_client.BadRequestError):
        shields.safety.run_shield(shield_id="other", messages=[{"role": "user", "content": "x"}], params={})
