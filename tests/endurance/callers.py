"""Callers of the guard: many at a time, on one thread."""

import asyncio
import dataclasses
import json
import os
import re
import time

CONTENT = re.compile(rb'"content":"((?:[^"\\]|\\.)*)"')
UNSAFE = ("PORTCULLIS-TEST", "dynamite")


@dataclasses.dataclass(slots=True)
class Answer:
    """What a caller got. `sent` says whether the guard can have had the whole request."""

    trace: str
    status: int = 0
    body: bytes = b""
    complete: bool = False
    left: bool = False
    sent: bool = False
    seconds: float = 0.0
    first: float = 0.0

    @property
    def text(self):
        """All that the model said, pieces of a stream joined."""
        return b"".join(CONTENT.findall(self.body)).decode(errors="replace")

    @property
    def done(self):
        """An answer that says of itself that it is whole."""
        return self.complete and self.status == 200 and (b"[DONE]" in self.body or not self.body.startswith((b"data", b":")))

    @property
    def leaks(self):
        return any(word in part for word in UNSAFE for part in (self.text, self.body.decode(errors="replace")))


class Connection(asyncio.Protocol):
    """One connection, for one request at a time."""

    def __init__(self, callers):
        self.callers, self.answer, self.transport, self.over = callers, None, None, None
        self.head, self.length, self.data = 0, None, bytearray()

    def connection_made(self, transport):
        self.transport = transport

    def ask(self, request, answer):
        self.answer, self.over = answer, asyncio.get_running_loop().create_future()
        self.head, self.length, self.data = 0, None, bytearray()
        answer.sent = True
        self.transport.write(request)
        return self.over

    def data_received(self, data):
        if self.answer is None:
            return self.transport.close()
        self.data += data
        if not self.head:
            self.head = self.data.find(b"\r\n\r\n") + 4
            if self.head < 4:
                self.head = 0
                return None
            head = bytes(self.data[: self.head]).lower()
            self.answer.status = int(head[9:12])
            self.answer.first = time.monotonic()
            if (at := head.find(b"content-length:")) >= 0:
                self.length = int(head[at + 15 : head.index(b"\r\n", at)])
        if self.length is not None:
            whole = len(self.data) >= self.head + self.length
        else:
            whole = self.data.endswith(b"\r\n0\r\n\r\n")
        if whole:
            self.answer.complete = True
            self.end(keep=b"connection: close" not in self.data[: self.head].lower())
        return None

    def eof_received(self):
        return False

    def connection_lost(self, _):
        self.callers.idle.discard(self)
        if self.answer is not None:
            self.end(keep=False)

    def leave(self):
        if self.answer is not None:
            self.answer.left = True
            self.transport.abort()

    def end(self, keep):
        answer, self.answer = self.answer, None
        answer.body = unchunked(bytes(self.data[self.head :])) if self.length is None else bytes(self.data[self.head :])
        if keep and len(self.callers.idle) < self.callers.kept:
            self.callers.idle.add(self)
        else:
            self.transport.close()
        if not self.over.done():
            self.over.set_result(answer)


def unchunked(data):
    """What chunks hold, also if the last one is missing."""
    parts, at = [], 0
    while (end := data.find(b"\r\n", at)) > 0:
        try:
            length = int(data[at:end], 16)
        except ValueError:
            break
        parts.append(data[end + 2 : end + 2 + length])
        at = end + 4 + length
    return b"".join(parts)


class Callers:
    """Everybody who asks one guard. Connections are kept for the next request, up to `kept`."""

    def __init__(self, address, kept=64):
        host, port = address.rsplit(":", 1)
        self.where, self.idle, self.kept, self.asking = (host, int(port)), set(), kept, set()

    async def ask(self, body, patience=60, leave=None):
        """Asks; leaves again after `leave` seconds, if that is said."""
        answer = Answer(trace=os.urandom(16).hex())
        head = (
            f"POST /v1/chat/completions HTTP/1.1\r\nhost: guard\r\ncontent-type: application/json\r\n"
            f"traceparent: 00-{answer.trace}-{answer.trace[:16]}-01\r\ncontent-length: {len(body)}\r\n\r\n"
        )
        started, connection, leaving = time.monotonic(), None, None
        try:
            if self.idle:
                connection = self.idle.pop()
            else:
                loop = asyncio.get_running_loop()
                _, connection = await loop.create_connection(lambda: Connection(self), *self.where)
            self.asking.add(connection)
            over = connection.ask(head.encode() + body, answer)
            if leave is not None:
                leaving = asyncio.get_running_loop().call_later(leave, connection.leave)
            async with asyncio.timeout(patience):
                await over
        except TimeoutError:
            connection.leave()
        except OSError:
            pass
        finally:
            self.asking.discard(connection)
            if leaving is not None:
                # The connection may be somebody else's by then.
                leaving.cancel()
        answer.seconds = time.monotonic() - started
        return answer

    def close(self):
        for connection in list(self.idle):
            connection.transport.close()


def question(model, text, stream):
    return json.dumps({"model": model, "stream": stream, "messages": [{"role": "user", "content": text}]}).encode()
