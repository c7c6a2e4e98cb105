"""A scripted model server. A request's `model` chooses what happens; everything received can be looked up.

What it says is in script.py, and how that is put in each wire format in wire.py.
"""

import json
import socket
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from script import LONG_BEGINNING, pieces
from wire import ROUTES, Chat

# Before this event of a stream it fails: the text has begun, in every format.
FAILS_AT = 6
# By then all of the long beginning was sent, and it is judged while the model rests.
RESTS_AT = len(pieces(LONG_BEGINNING)) + FAILS_AT


class Log:
    """Every request received, in the order in which they came."""

    def __init__(self):
        self._lock = threading.Lock()
        self._entries = []

    def add(self, key, body, headers):
        """Notes a request; the entry says later how it ended."""
        headers = {name.lower(): value for name, value in headers.items()}
        entry = {"key": key, "body": body, "headers": headers, "ended": None}
        with self._lock:
            self._entries.append(entry)
        return entry

    def of(self, key):
        """What came with the API key `key`."""
        with self._lock:
            return [dict(entry) for entry in self._entries if entry["key"] == key]


LOG = Log()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        """Quiet: what was received can be looked up."""

    def do_GET(self):
        """`/received/KEY`: what came with this API key."""
        self.reply(200, LOG.of(self.path.removeprefix("/received/")))

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.format = ROUTES.get(self.path, Chat)
        key = self.headers.get("x-api-key") or self.headers.get("authorization", "").removeprefix("Bearer ")
        entry = LOG.add(key, body, dict(self.headers))
        try:
            self.answer(body, first=len(LOG.of(key)) == 1)
            entry["ended"] = "answered"
        except OSError:
            entry["ended"] = "caller went away"
            self.close_connection = True

    def answer(self, body, first):
        model = body["model"]
        if self.path not in ROUTES:
            self.fail(404, "no such route", "invalid_request_error", "not_found")
        elif model == "busy-at-first" and first:
            self.fail(503, "come back later", "server_error", "busy", headers=[("retry-after", "1")])
        elif model == "out-of-quota":
            text = "you are out of quota"
            self.fail(429, text, "insufficient_quota", "insufficient_quota", headers=[("retry-after", "7")])
        elif model == "has-a-small-context":
            text = "the maximum context length is 8 tokens"
            self.fail(400, text, "invalid_request_error", "context_length_exceeded")
        elif model == "knows-nobody":
            self.fail(401, "incorrect API key", "invalid_request_error", "invalid_api_key")
        elif body.get("stream"):
            self.stream(body)
        else:
            if model == "slow":
                self.wait(4)
            self.reply(200, self.format.answer(body))

    def fail(self, status, *error, headers=()):
        self.reply(status, self.format.error(status, *error), headers)

    def reply(self, status, body, headers=()):
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        for name, value in headers:
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def stream(self, body):
        self.send_response(200)
        self.send_header("content-type", "text/event-stream; charset=utf-8")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        model = body["model"]
        for count, event in enumerate(self.format.events(body)):
            if count == FAILS_AT and model == "dies-mid-stream":
                # Without the empty chunk that ends a body: whoever reads sees that something is missing.
                self.close_connection = True
                self.connection.shutdown(socket.SHUT_RDWR)
                return
            if count == FAILS_AT and model == "stops-mid-stream":
                self.write_chunk(b"")
                return
            if count == FAILS_AT and model == "fails-mid-stream":
                error = self.format.error(500, "the model ran out of memory", "server_error", None)
                self.write(self.format.event(error))
                self.write_chunk(b"")
                return
            if model == "slow":
                self.wait(0.2)
            if model == "says-a-trigger-late" and count == RESTS_AT:
                self.wait(0.3)
            self.write(self.format.event(event))
        self.write(self.format.end)
        self.write_chunk(b"")

    def write(self, text):
        if text:
            self.write_chunk(text.encode())

    def write_chunk(self, data):
        self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")

    def wait(self, seconds):
        """Sleeps, unless the caller goes away meanwhile."""
        until = time.monotonic() + seconds
        self.connection.setblocking(False)
        try:
            while time.monotonic() < until:
                time.sleep(0.02)
                try:
                    if self.connection.recv(1, socket.MSG_PEEK) == b"":
                        raise ConnectionAbortedError("the caller went away")
                except BlockingIOError:
                    pass
        finally:
            self.connection.setblocking(True)


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128


def main():
    """Serves until it is stopped; its address is the first line of the output."""
    server = Server(("127.0.0.1", 0), Handler)
    print(f"http://127.0.0.1:{server.server_port}", flush=True)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
