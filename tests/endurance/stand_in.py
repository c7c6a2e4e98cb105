"""A model server and a server that judges, which do what they are told, well or badly.

    stand_in.py PORT

What a request names as its model says what the answer is: `w40-p50-bT-s` is 40 words, one every 50 ms, of which the last
but one is the test trigger (`bT`) or what only the judging server objects to (`bJ`); without `-p` they come at once.
`POST /mode/NAME` has all answers from then on be `well`, `slow`, `cut` (off in the middle) or `junk`.
"""

import asyncio
import functools
import json
import re
import sys

UNSAFE = {"T": "PORTCULLIS-TEST-S1", "J": "dynamite"}
WANTED = re.compile(rb'"model"\s*:\s*"w(\d+)(?:-p(\d+))?(?:-b([TJ]))?"')
LENGTH = re.compile(rb"content-length:\s*(\d+)", re.IGNORECASE)
STREAMED = re.compile(rb'"stream"\s*:\s*true')
SLOW = 3
mode = "well"


@functools.cache
def at_once(count, bad):
    """All pieces of a streamed answer."""
    return [chunk({"content": word}) for word in words(count, bad)]


def words(count, bad):
    said = [f"word{number % 7} " for number in range(count)]
    if bad:
        said[max(0, count - 2)] = f"{UNSAFE[bad]} "
    return said


def chunk(delta, finish=None):
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    said = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]}
    return f"data: {json.dumps(said)}\n\n".encode()


def plain(said):
    message = {"role": "assistant", "content": "".join(said)}
    choice = {"index": 0, "finish_reason": "stop", "message": message}
    return json.dumps({"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice]}).encode()


def judged(body):
    asked = json.loads(body)["input"]
    results = []
    for text in asked if isinstance(asked, list) else [asked]:
        hate = UNSAFE["J"] in json.dumps(text)
        results.append({"flagged": hate, "categories": {"hate": hate}, "category_scores": {"hate": 1.0 if hate else 0.01}})
    return json.dumps({"id": "m", "model": "m", "results": results}).encode()


class Connection(asyncio.Protocol):
    """HTTP/1.1, as far as the guard speaks it to a model server: one request at a time, each with its length."""

    def __init__(self):
        self.buffer, self.task, self.transport = b"", None, None

    def connection_made(self, transport):
        self.transport = transport

    def connection_lost(self, _):
        if self.task:
            self.task.cancel()

    def data_received(self, data):
        self.buffer += data
        end = self.buffer.find(b"\r\n\r\n") + 4
        if end < 4:
            return
        length = int(found[1]) if (found := LENGTH.search(self.buffer, 0, end)) else 0
        if len(self.buffer) < end + length:
            return
        head, body, self.buffer = self.buffer[:end], self.buffer[end : end + length], self.buffer[end + length :]
        self.task = asyncio.ensure_future(self.answer(head.split(b" ", 2)[1].decode(), body))

    async def answer(self, path, body):
        global mode  # noqa: PLW0603
        if path.startswith("/mode/"):
            mode = path.removeprefix("/mode/")
            return self.whole(b"{}")
        if mode == "slow":
            await asyncio.sleep(SLOW)
        if path.endswith("/moderations"):
            return self.whole(b'{"results": [{"flagged": "no"}]}' if mode == "junk" else judged(body))
        count, pause, bad = (found := WANTED.search(body)) and found.groups() or (b"3", None, None)
        count, bad = int(count), bad and bad.decode()
        if mode == "junk":
            # What is unsafe stands where nobody should look, and nowhere is it an answer.
            return self.whole(b'{"choices": [{"message": {"content": "' + UNSAFE["T"].encode() + b'"')
        if not STREAMED.search(body):
            return self.whole(plain(words(count, bad)))
        await self.streamed(at_once(count, bad), int(pause or 0) / 1000)
        return None

    def whole(self, body):
        head = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n".encode()
        cut = mode == "cut" and not body == b"{}"
        self.transport.write((head + body)[: len(head) + len(body) // (2 if cut else 1)])
        if cut:
            self.transport.close()

    async def streamed(self, pieces, pause):
        self.transport.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")
        self.send(chunk({"role": "assistant", "content": ""}))
        if pause:
            for at, piece in enumerate(pieces):
                await asyncio.sleep(pause)
                if mode == "cut" and at > len(pieces) // 2:
                    return self.transport.close()
                self.send(piece)
        else:
            self.send(b"".join(pieces[: len(pieces) // (2 if mode == "cut" else 1)]))
            if mode == "cut":
                return self.transport.close()
        self.send(chunk({}, "stop") + b"data: [DONE]\n\n")
        self.transport.write(b"0\r\n\r\n")
        return None

    def send(self, data):
        self.transport.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")


async def main():
    server = await asyncio.get_running_loop().create_server(Connection, "127.0.0.1", int(sys.argv[1]), backlog=4096)
    print("ready", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
