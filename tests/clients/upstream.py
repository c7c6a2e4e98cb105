"""A scripted model server. A request's `model` chooses what happens; everything received can be looked up.

It speaks plain and streamed chat completions the way OpenAI's own server does: `refusal` and `logprobs` are
there and null, a usage chunk comes only when it is asked for, and streams end with `[DONE]`.
"""

import json
import socket
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

TRIGGER = "PORTCULLIS-TEST-S1"
BLOCKED_TEXT = f"It begins well. {TRIGGER} and goes on."
REDACTED_TEXT = "The key is PORTCULLIS-TEST-SECRET, keep it."
STRUCTURED = {"city": "Lisbon", "degrees": 21}
CITIES = ("Lisbon", "Porto")
USAGE = {"prompt_tokens": 7, "completion_tokens": 5, "total_tokens": 12}
HEAD = {"id": "chatcmpl-scripted", "created": 1700000000, "system_fingerprint": "fp_scripted"}


class Log:
    """Every request received, in the order in which they came."""

    def __init__(self):
        self._lock = threading.Lock()
        self._entries = []

    def add(self, key, body):
        """Notes a request; the entry says later how it ended."""
        entry = {"key": key, "body": body, "ended": None}
        with self._lock:
            self._entries.append(entry)
        return entry

    def of(self, key):
        """What came with the API key `key`."""
        with self._lock:
            return [dict(entry) for entry in self._entries if entry["key"] == key]


LOG = Log()


def last_message(body):
    return body["messages"][-1]


def text_of(content):
    return content if isinstance(content, str) else "".join(part["text"] for part in content)


def tool_calls(body, city_of):
    """A call for each city, or None when the tools' results are there already."""
    if last_message(body)["role"] == "tool":
        return None
    name = body["tools"][0]["function"]["name"]
    return [
        {
            "id": f"call_{index}",
            "type": "function",
            "function": {"name": name, "arguments": json.dumps({"city": city_of(city)})},
        }
        for index, city in enumerate(CITIES)
    ]


def message(body, choice):
    """What the model says: `(text, tool calls)`."""
    model = body["model"]
    if model == "parrot":
        return text_of(last_message(body)["content"]) + ("" if choice == 0 else f" ({choice})"), None
    if model == "says-a-trigger":
        return BLOCKED_TEXT, None
    if model == "second-choice-says-a-trigger":
        return ("All is well." if choice == 0 else BLOCKED_TEXT), None
    if model == "says-a-secret":
        return REDACTED_TEXT, None
    if model == "speaks-json":
        return json.dumps(STRUCTURED), None
    if model == "uses-tools":
        calls = tool_calls(body, lambda city: city)
        results = [text_of(past["content"]) for past in body["messages"] if past["role"] == "tool"]
        return (None, calls) if calls else ("It is " + " and ".join(results) + ".", None)
    if model == "uses-tools-badly":
        return None, tool_calls(body, lambda _city: TRIGGER)
    return "Once upon a time, there was a gate.", None


def completion(body):
    choices = []
    for index in range(body.get("n") or 1):
        text, calls = message(body, index)
        said = {"role": "assistant", "content": text, "refusal": None}
        if calls:
            said["tool_calls"] = calls
        reason = "tool_calls" if calls else "stop"
        choices.append({"index": index, "message": said, "logprobs": None, "finish_reason": reason})
    head = {**HEAD, "object": "chat.completion", "model": body["model"]}
    return {**head, "choices": choices, "usage": USAGE}


def pieces(text, size=5):
    return [text[at : at + size] for at in range(0, len(text), size)]


def deltas(text, calls):
    """The deltas of one choice, small enough that every word and every argument is split."""
    yield {"role": "assistant", "content": None if calls else "", "refusal": None}
    for piece in pieces(text or ""):
        yield {"content": piece}
    for index, call in enumerate(calls or []):
        name = call["function"]["name"]
        opening = {"index": index, "id": call["id"], "type": "function"}
        yield {"tool_calls": [{**opening, "function": {"name": name, "arguments": ""}}]}
        for piece in pieces(call["function"]["arguments"]):
            yield {"tool_calls": [{"index": index, "function": {"arguments": piece}}]}


def chunks(body):
    wants_usage = (body.get("stream_options") or {}).get("include_usage")
    head = {**HEAD, "object": "chat.completion.chunk", "model": body["model"]}

    def chunk(choices, usage=None):
        return {**head, "choices": choices, **({"usage": usage} if wants_usage else {})}

    for index in range(body.get("n") or 1):
        text, calls = message(body, index)
        for delta in deltas(text, calls):
            yield chunk([{"index": index, "delta": delta, "logprobs": None, "finish_reason": None}])
        reason = "tool_calls" if calls else "stop"
        yield chunk([{"index": index, "delta": {}, "logprobs": None, "finish_reason": reason}])
    if wants_usage:
        yield chunk([], USAGE)


def error(text, kind, code):
    return {"error": {"message": text, "type": kind, "param": None, "code": code}}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        """Quiet: what was received can be looked up."""

    def do_GET(self):
        """`/received/KEY`: what came with this API key."""
        self.reply(200, LOG.of(self.path.removeprefix("/received/")))

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        key = self.headers.get("authorization", "").removeprefix("Bearer ")
        entry = LOG.add(key, body)
        try:
            self.answer(body, first=len(LOG.of(key)) == 1)
            entry["ended"] = "answered"
        except OSError:
            entry["ended"] = "caller went away"
            self.close_connection = True

    def answer(self, body, first):
        model = body["model"]
        if self.path != "/v1/chat/completions":
            self.reply(404, error("no such route", "invalid_request_error", "not_found"))
        elif model == "busy-at-first" and first:
            self.reply(503, error("come back later", "server_error", "busy"), [("retry-after", "1")])
        elif model == "out-of-quota":
            refusal = error("you are out of quota", "insufficient_quota", "insufficient_quota")
            self.reply(429, refusal, [("retry-after", "7")])
        elif model == "has-a-small-context":
            text = "the maximum context length is 8 tokens"
            self.reply(400, error(text, "invalid_request_error", "context_length_exceeded"))
        elif model == "knows-nobody":
            self.reply(401, error("incorrect API key", "invalid_request_error", "invalid_api_key"))
        elif body.get("stream"):
            self.stream(body)
        else:
            if model == "slow":
                self.wait(4)
            self.reply(200, completion(body))

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
        for count, chunk in enumerate(chunks(body)):
            if count == 3 and body["model"] == "dies-mid-stream":
                # Without the empty chunk that ends a body: whoever reads sees that something is missing.
                self.close_connection = True
                self.connection.shutdown(socket.SHUT_RDWR)
                return
            if count == 3 and body["model"] == "stops-mid-stream":
                self.write_chunk(b"")
                return
            if count == 3 and body["model"] == "fails-mid-stream":
                self.event(json.dumps(error("the model ran out of memory", "server_error", None)))
                self.write_chunk(b"")
                return
            if body["model"] == "slow":
                self.wait(0.2)
            self.event(json.dumps(chunk))
        self.event("[DONE]")
        self.write_chunk(b"")

    def event(self, data):
        self.write_chunk(f"data: {data}\n\n".encode())

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
