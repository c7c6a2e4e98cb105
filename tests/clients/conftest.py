"""What the Python tests are made of: both official clients behind one face, and what the other sides saw."""

import asyncio
import dataclasses
import json
import os
import subprocess
import time
import urllib.request
import uuid

import openai
import pytest

NAMES = ("GUARD", "REFUSING_GUARD", "LIMITED_GUARD", "UPSTREAM", "PORTCULLIS_BIN")


def pytest_sessionstart():
    missing = [name for name in NAMES if name not in os.environ]
    if missing:
        raise pytest.UsageError("these tests are started by tests/clients/run, which sets " + ", ".join(missing))


@dataclasses.dataclass
class Asker:
    """One of the two clients, with an API key of its own, counting what it sends."""

    url: str
    key: str = dataclasses.field(default_factory=lambda: f"sk-{uuid.uuid4()}")
    retries: int = 2
    timeout: float = 20
    sent: int = 0

    def __post_init__(self):
        self.connect()

    def received(self):
        """The requests of this client that the model server got."""
        url = f"{os.environ['UPSTREAM']}/received/{self.key}"
        with urllib.request.urlopen(url, timeout=10) as response:
            return json.load(response)


class Sync(Asker):
    """`openai.OpenAI`."""

    def connect(self):
        def count(_request):
            self.sent += 1

        # No TLS here; reading the certificates takes longer than a test.
        http = openai.DefaultHttpxClient(verify=False, event_hooks={"request": [count]})
        self.client = openai.OpenAI(
            base_url=self.url, api_key=self.key, max_retries=self.retries, timeout=self.timeout, http_client=http
        )

    def call(self, method, **request):
        """Calls `client.<method>`, such as `chat.completions.create`."""
        return resolve(self.client, method)(**request)

    def create(self, **request):
        return self.client.chat.completions.create(**request)

    def raw(self, **request):
        """The response with its headers."""
        return self.client.chat.completions.with_raw_response.create(**request)

    def chunks(self, **request):
        return list(self.client.chat.completions.create(stream=True, **request))

    def parse(self, **request):
        return self.client.chat.completions.parse(**request)

    def helped(self, **request):
        """What the stream helper makes of a stream: `(events, completion)`."""
        with self.client.chat.completions.stream(**request) as stream:
            events = list(stream)
            return events, stream.get_final_completion()

    def leave_early(self, **request):
        """Asks for a stream and closes it before anything came."""
        self.client.chat.completions.create(stream=True, **request).close()

    def close(self):
        self.client.close()


class Async(Asker):
    """`openai.AsyncOpenAI`, waited for."""

    def connect(self):
        async def count(_request):
            self.sent += 1

        http = openai.DefaultAsyncHttpxClient(verify=False, event_hooks={"request": [count]})
        self._loop = asyncio.new_event_loop()
        self.client = openai.AsyncOpenAI(
            base_url=self.url, api_key=self.key, max_retries=self.retries, timeout=self.timeout, http_client=http
        )

    def wait(self, coroutine):
        return self._loop.run_until_complete(coroutine)

    def call(self, method, **request):
        """Calls `client.<method>`, such as `chat.completions.create`."""

        async def call():
            # Some methods return something to be awaited without being coroutines.
            return await resolve(self.client, method)(**request)

        return self.wait(call())

    def create(self, **request):
        return self.call("chat.completions.create", **request)

    def raw(self, **request):
        """The response with its headers."""
        return self.call("chat.completions.with_raw_response.create", **request)

    def chunks(self, **request):
        async def collect():
            stream = await self.client.chat.completions.create(stream=True, **request)
            return [chunk async for chunk in stream]

        return self.wait(collect())

    def parse(self, **request):
        return self.call("chat.completions.parse", **request)

    def helped(self, **request):
        """What the stream helper makes of a stream: `(events, completion)`."""

        async def collect():
            async with self.client.chat.completions.stream(**request) as stream:
                events = [event async for event in stream]
                return events, await stream.get_final_completion()

        return self.wait(collect())

    def leave_early(self, **request):
        """Asks for a stream and closes it before anything came."""

        async def leave():
            stream = await self.client.chat.completions.create(stream=True, **request)
            await stream.close()

        self.wait(leave())

    def close(self):
        self.wait(self.client.close())
        self._loop.close()


def resolve(client, method):
    for name in method.split("."):
        client = getattr(client, name)
    return client


@pytest.fixture(params=[Sync, Async], ids=["sync", "async"])
def connect(request):
    """Makes clients: `connect(url, retries=..., timeout=...)`."""
    made = []

    def connect(url, **settings):
        made.append(request.param(url, **settings))
        return made[-1]

    yield connect
    for asker in made:
        asker.close()


@pytest.fixture
def guarded(connect):
    """A client of the guard."""
    return connect(os.environ["GUARD"])


@pytest.fixture
def direct(connect):
    """A client of the model server itself, to compare with."""
    return connect(f"{os.environ['UPSTREAM']}/v1")


@pytest.fixture
def refusing(connect):
    """A client of the guard whose policy says `reply_as: refusal`."""
    return connect(os.environ["REFUSING_GUARD"])


@pytest.fixture
def limited(connect):
    """A client of the guard that takes three requests a minute, with no second tries."""
    return connect(os.environ["LIMITED_GUARD"], retries=0)


def decisions(guard):
    """Every decision that `guard` has recorded, oldest first."""
    command = [os.environ["PORTCULLIS_BIN"], "audit", "tail", "--json", "-n", "1000000"]
    done = subprocess.run(
        [*command, os.environ[f"{guard}_AUDIT"]], capture_output=True, text=True, check=True, timeout=20
    )
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture
def recorded():
    """Finds what the ordinary guard recorded about a response, given its headers."""

    def recorded(headers):
        decision = headers["x-guard-decision-id"]
        return [record for record in decisions("GUARD") if decision in json.dumps(record)]

    return recorded


@pytest.fixture
def eventually():
    """Waits a few seconds for something to become true."""

    def eventually(holds):
        deadline = time.monotonic() + 5
        while not holds():
            assert time.monotonic() < deadline, "it did not happen"
            time.sleep(0.05)

    return eventually
