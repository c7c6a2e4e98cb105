"""LangChain's clients for OpenAI's API, sync and async, against the guard."""

import asyncio
import functools
import operator
import os
import uuid

import httpx
import langchain_openai
import openai
import pydantic
import pytest
from langchain_core.messages import HumanMessage, SystemMessage, ToolMessage
from langchain_core.tools import tool

import askers
from script import CITIES, LONG_BEGINNING, STORY, STRUCTURED, TRIGGER

BAD = f"Tell me, {TRIGGER}, please."
GUARD, DIRECT = os.environ["GUARD"], os.environ["UPSTREAM"] + "/v1"


class City(pydantic.BaseModel):
    """A city, and how warm it is there."""

    city: str
    degrees: int


@tool
def weather(city: str) -> str:
    """The weather in a city, now."""
    return f"warm in {city}"


def connect(kind, url=GUARD, model="story", **settings):
    """One of LangChain's clients, with a key of its own."""
    settings = {"max_retries": 0, "timeout": 20, **settings}
    # No TLS here; reading the certificates takes longer than a test.
    # Each async call here has a loop of its own, and a connection does not outlive its loop.
    alone = httpx.AsyncClient(verify=False, limits=httpx.Limits(max_keepalive_connections=0))
    http = {"http_client": httpx.Client(verify=False), "http_async_client": alone}
    return kind(base_url=url, api_key=f"sk-{uuid.uuid4()}", model=model, **http, **settings)


def chat(model="story", url=GUARD, **settings):
    return connect(langchain_openai.ChatOpenAI, url, model, **settings)


def received(client):
    key = client.openai_api_key.get_secret_value()
    return askers.received(key)


async def collect(stream):
    return [chunk async for chunk in stream]


WAYS_TO_ASK = {
    "plain": lambda client, asked: client.invoke(asked),
    "streamed": lambda client, asked: list(client.stream(asked)),
    "plain, async": lambda client, asked: asyncio.run(client.ainvoke(asked)),
    "streamed, async": lambda client, asked: asyncio.run(collect(client.astream(asked))),
}
every_way = pytest.mark.parametrize("ask", WAYS_TO_ASK.values(), ids=WAYS_TO_ASK.keys())
CONVERSATION = [SystemMessage("Be kind."), HumanMessage("Good morning!")]


def whole(answer):
    """A streamed answer, added up."""
    if not isinstance(answer, list):
        return answer
    return functools.reduce(operator.add, answer)


def seen(message):
    """What a program sees of an answer; a run has an id of its own."""
    return message.model_dump(exclude={"id"})


@every_way
def test_an_answer_is_the_model_servers(ask):
    guarded, direct = chat(), chat(url=DIRECT)
    answer = whole(ask(guarded, CONVERSATION))
    assert answer.content == STORY
    assert answer.response_metadata["finish_reason"] == "stop"
    assert seen(answer) == seen(whole(ask(direct, CONVERSATION)))
    (through,), (original,) = received(guarded), received(direct)
    assert through["body"] == original["body"]


@every_way
def test_a_conversation_with_tools(ask):
    client = chat("uses-tools").bind_tools([weather])
    called = whole(ask(client, CONVERSATION))
    assert [call["args"] for call in called.tool_calls] == [{"city": city} for city in CITIES]
    results = [weather.invoke(call) for call in called.tool_calls]
    assert all(isinstance(result, ToolMessage) for result in results)
    final = whole(ask(client, [*CONVERSATION, called, *results]))
    assert final.content == "It is warm in Lisbon and warm in Porto."


@pytest.mark.parametrize("method", ["json_schema", "function_calling"])
def test_structured_output(method):
    model = "speaks-json" if method == "json_schema" else "uses-tools"
    client = chat(model).with_structured_output(City, method=method, include_raw=True)
    answer = client.invoke(CONVERSATION)
    if method == "json_schema":
        assert answer["parsed"] == City(**STRUCTURED)
    assert answer["raw"].response_metadata["finish_reason"] in ("stop", "tool_calls")


@every_way
def test_a_blocked_request(ask):
    client = chat()
    with pytest.raises(openai.BadRequestError) as caught:
        ask(client, BAD)
    assert caught.value.code == "content_filter" and TRIGGER not in str(caught.value)
    assert received(client) == []


@every_way
@pytest.mark.parametrize("model", ["says-a-trigger", "uses-tools-badly"])
def test_a_blocked_answer(ask, model):
    answer = whole(ask(chat(model).bind_tools([weather]), CONVERSATION))
    assert answer.response_metadata["finish_reason"] == "content_filter"
    assert answer.content == "" and answer.tool_calls == []
    assert TRIGGER not in repr(answer)


def test_a_stream_that_is_cut_off_late():
    answer = whole(list(chat("says-a-trigger-late").stream(CONVERSATION)))
    assert answer.response_metadata["finish_reason"] == "content_filter"
    assert answer.content and LONG_BEGINNING.startswith(answer.content)


@pytest.mark.parametrize("model", ["dies-mid-stream", "stops-mid-stream", "fails-mid-stream"])
def test_a_stream_that_breaks_off_is_an_error(model):
    with pytest.raises(askers.broken_off(model, openai.APIError)):
        list(chat(model).stream(CONVERSATION))
    with pytest.raises(askers.broken_off(model, openai.APIError)):
        asyncio.run(collect(chat(model).astream(CONVERSATION)))


def test_too_many_requests():
    client = chat(url=os.environ["LIMITED_GUARD"])
    for _ in range(3):
        client.invoke(CONVERSATION)
    for ask in (WAYS_TO_ASK["plain"], WAYS_TO_ASK["streamed"]):
        with pytest.raises(openai.RateLimitError):
            ask(client, CONVERSATION)


def test_who_leaves_early_stops_the_model(eventually):
    client = chat("slow")

    async def leave():
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(client.ainvoke(CONVERSATION), 0.5)

    asyncio.run(leave())
    eventually(lambda: [entry["ended"] for entry in received(client)] == ["caller went away"])


def completion(model="story", url=GUARD):
    return connect(langchain_openai.OpenAI, url, model)


@every_way
def test_a_completion(ask):
    said = [whole(ask(completion(url=url), "Tell me a story.")) for url in (GUARD, DIRECT)]
    assert said == [STORY, STORY]
    with pytest.raises(openai.BadRequestError):
        ask(completion(), BAD)


def embeddings(url=GUARD, **settings):
    return connect(langchain_openai.OpenAIEmbeddings, url, "text-embedding-3-small", **settings)


def test_embeddings():
    # By default this client counts tokens first, with a table from the network, and sends their numbers.
    texts = ["Good morning!", "ä, 漢字"]
    vectors = [embeddings(url, check_embedding_ctx_length=False).embed_documents(texts) for url in (GUARD, DIRECT)]
    assert vectors[0] == vectors[1] and len(vectors[0]) == 2
    client = embeddings(check_embedding_ctx_length=False)
    with pytest.raises(openai.BadRequestError) as caught:
        client.embed_documents(["fine", BAD])
    assert caught.value.param == "input[1]" and received(client) == []
