"""What the Python tests are made of: clients of the guard and of the model server, and what the other sides saw."""

import json
import os
import subprocess
import time

import pytest

import askers

NAMES = ("GUARD", "REFUSING_GUARD", "LIMITED_GUARD", "UPSTREAM", "PORTCULLIS_BIN")


def pytest_sessionstart():
    missing = [name for name in NAMES if name not in os.environ]
    if missing:
        raise pytest.UsageError("these tests are started by tests/clients/run, which sets " + ", ".join(missing))


@pytest.fixture(params=[askers.Sync, askers.Async], ids=["sync", "async"])
def connect(request):
    """Makes clients of the `API` that the test's module is about: `connect(url, retries=..., timeout=...)`."""
    made = []

    def connect(url, **settings):
        made.append(request.param(request.module.API, url, **settings))
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
