"""The official Python clients, sync and async, behind one face."""

import asyncio
import dataclasses
import inspect
import json
import os
import types
import urllib.request
import uuid

import anthropic
import openai


@dataclasses.dataclass(frozen=True)
class Api:
    """A part of an official library."""

    library: types.ModuleType
    # The sync and the async client.
    clients: tuple[str, str]
    # Where `create` is.
    resource: str
    # What the stream helper's result is got by.
    final: str = "get_final_completion"
    # What the library itself puts between the base URL and the route.
    version: str = ""


OPENAI = ("OpenAI", "AsyncOpenAI")
CHAT = Api(openai, OPENAI, "chat.completions")
COMPLETIONS = Api(openai, OPENAI, "completions")
EMBEDDINGS = Api(openai, OPENAI, "embeddings")
RESPONSES = Api(openai, OPENAI, "responses", "get_final_response")
MESSAGES = Api(anthropic, ("Anthropic", "AsyncAnthropic"), "messages", "get_final_message", "/v1")


def broken_off(model, error):
    """What a client raises where `model` breaks an answer off. An Envoy breaks off itself as soon as the server does."""
    return Exception if os.environ.get("BEHIND_ENVOY") and model == "dies-mid-stream" else error


@dataclasses.dataclass
class Asker:
    """One of the two clients, with an API key of its own, counting what it sends."""

    api: Api
    url: str
    key: str = dataclasses.field(default_factory=lambda: f"sk-{uuid.uuid4()}")
    retries: int = 2
    timeout: float = 20
    sent: int = 0

    def __post_init__(self):
        self.connect()
        self.resource = resolve(self.client, self.api.resource)

    def settings(self):
        return {
            "base_url": self.url.removesuffix(self.api.version),
            "api_key": self.key,
            "max_retries": self.retries,
            "timeout": self.timeout,
        }

    def received(self):
        """The requests of this client that the model server got."""
        return received(self.key)


def received(key):
    """The requests with this API key that the model server got."""
    with urllib.request.urlopen(f"{os.environ['UPSTREAM']}/received/{key}", timeout=10) as response:
        return json.load(response)


class Sync(Asker):
    """The client that blocks."""

    def connect(self):
        def count(_request):
            self.sent += 1

        # No TLS here; reading the certificates takes longer than a test.
        http = self.api.library.DefaultHttpxClient(verify=False, event_hooks={"request": [count]})
        client = getattr(self.api.library, self.api.clients[0])
        self.client = client(http_client=http, **self.settings())

    def call(self, method, **request):
        """Calls `client.<method>`, such as `chat.completions.create`."""
        return resolve(self.client, method)(**request)

    def create(self, **request):
        return self.resource.create(**request)

    def raw(self, **request):
        """The response as it came, and what the client makes of it."""
        response = self.resource.with_raw_response.create(**request)
        return response.http_response, response.parse()

    def chunks(self, **request):
        return list(self.resource.create(stream=True, **request))

    def parse(self, **request):
        return self.resource.parse(**request)

    def helped(self, **request):
        """What the stream helper makes of a stream: `(events, the whole answer)`."""
        with self.resource.stream(**request) as stream:
            events = list(stream)
            return events, getattr(stream, self.api.final)()

    def leave_early(self, **request):
        """Asks for a stream and closes it before anything came."""
        self.resource.create(stream=True, **request).close()

    def close(self):
        self.client.close()


class Async(Asker):
    """The client for asyncio, waited for."""

    def connect(self):
        async def count(_request):
            self.sent += 1

        http = self.api.library.DefaultAsyncHttpxClient(verify=False, event_hooks={"request": [count]})
        self._loop = asyncio.new_event_loop()
        client = getattr(self.api.library, self.api.clients[1])
        self.client = client(http_client=http, **self.settings())

    def wait(self, coroutine):
        return self._loop.run_until_complete(coroutine)

    def call(self, method, **request):
        """Calls `client.<method>`, such as `chat.completions.create`."""

        async def call():
            # Some methods return something to be awaited without being coroutines.
            return await resolve(self.client, method)(**request)

        return self.wait(call())

    def create(self, **request):
        return self.wait(self.resource.create(**request))

    def raw(self, **request):
        """The response as it came, and what the client makes of it."""

        async def ask():
            response = await self.resource.with_raw_response.create(**request)
            answer = response.parse()
            return response.http_response, await answer if inspect.isawaitable(answer) else answer

        return self.wait(ask())

    def chunks(self, **request):
        async def collect():
            stream = await self.resource.create(stream=True, **request)
            return [chunk async for chunk in stream]

        return self.wait(collect())

    def parse(self, **request):
        return self.wait(self.resource.parse(**request))

    def helped(self, **request):
        """What the stream helper makes of a stream: `(events, the whole answer)`."""

        async def collect():
            async with self.resource.stream(**request) as stream:
                events = [event async for event in stream]
                return events, await getattr(stream, self.api.final)()

        return self.wait(collect())

    def leave_early(self, **request):
        """Asks for a stream and closes it before anything came."""

        async def leave():
            stream = await self.resource.create(stream=True, **request)
            await stream.close()

        self.wait(leave())

    def close(self):
        self.wait(self.client.close())
        self._loop.close()


def resolve(client, method):
    for name in method.split("."):
        client = getattr(client, name)
    return client
