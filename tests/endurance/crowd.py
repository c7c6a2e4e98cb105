"""Callers who are in the way, in a process of their own.

    crowd.py ADDRESS idle|slow COUNT

`idle` ones have asked once and then say nothing. Of the `slow` ones half send a question a byte at a time, and half read
a long answer a byte at a time. Whoever is closed comes again. Says `ready` when all are there; a line on standard input
ends it, and it says how many were closed.
"""

import asyncio
import socket
import sys

from callers import question

PIECE = 0.25
# At a time, so that neither the listener's queue nor the guard is ever full.
OPENING = 50
# Little room for what was not read, so that the guard waits with it.
ROOM = 4096
REQUEST = (
    b"POST /v1/chat/completions HTTP/1.1\r\nhost: guard\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s"
)


def request(model, stream):
    body = question(model, "Tell me about summer.", stream)
    return REQUEST % (len(body), body)


class Crowd:
    """All of them; `closed` says how many had to come again."""

    def __init__(self, address):
        host, port = address.rsplit(":", 1)
        self.address, self.closed, self.tasks, self.here = (host, int(port)), 0, [], 0

    async def connect(self):
        connection = socket.socket()
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, ROOM)
        connection.setblocking(False)
        await asyncio.get_running_loop().sock_connect(connection, self.address)
        return connection

    async def again(self, once, first):
        """Comes and behaves so, again and again."""
        while True:
            try:
                with await self.connect() as connection:
                    await once(connection, first)
            except OSError:
                pass
            self.closed += 1

    async def idle(self, connection, first):
        loop = asyncio.get_running_loop()
        await loop.sock_sendall(connection, request("w3", False))
        answer = await loop.sock_recv(connection, ROOM)
        if not first.done():
            first.set_result(answer.startswith(b"HTTP/1.1 200"))
        # Nothing, until it is closed.
        while await loop.sock_recv(connection, ROOM):
            pass

    async def sender(self, connection, first):
        loop, said = asyncio.get_running_loop(), request("w3", False)
        for at in range(len(said)):
            await loop.sock_sendall(connection, said[at : at + 1])
            if not first.done():
                first.set_result(True)
            await asyncio.sleep(PIECE)

    async def reader(self, connection, first):
        loop = asyncio.get_running_loop()
        await loop.sock_sendall(connection, request("w3000", True))
        while await loop.sock_recv(connection, 1):
            if not first.done():
                first.set_result(True)
            await asyncio.sleep(PIECE)

    async def come(self, kind, count):
        kinds = {"idle": [self.idle], "slow": [self.sender, self.reader]}[kind]
        loop = asyncio.get_running_loop()
        for begin in range(0, count, OPENING):
            firsts = [loop.create_future() for _ in range(min(OPENING, count - begin))]
            for at, first in enumerate(firsts):
                self.tasks.append(asyncio.ensure_future(self.again(kinds[at % len(kinds)], first)))
            self.here += sum(await asyncio.gather(*firsts))


async def main():
    _, address, kind, count = sys.argv
    crowd = Crowd(address)
    await crowd.come(kind, int(count))
    print("ready", crowd.here, flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    print(crowd.closed, flush=True)
    for task in crowd.tasks:
        task.cancel()


if __name__ == "__main__":
    asyncio.run(main())
