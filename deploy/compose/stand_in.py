"""A stand-in of a model server: says back what it is asked, plain and as a stream."""

import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


def event(delta, finish=None):
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    chunk = {"id": "c-1", "object": "chat.completion.chunk", "created": 1, "model": "stand-in", "choices": [choice]}
    return f"data: {json.dumps(chunk)}\n\n".encode()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        said = asked["messages"][-1]["content"]
        said = said if isinstance(said, str) else "".join(part.get("text", "") for part in said)
        answer = f"You said: {said}"
        if asked.get("stream"):
            body = b"".join([event({"role": "assistant", "content": ""}), event({"content": answer}),
                             event({}, "stop"), b"data: [DONE]\n\n"])
            kind = "text/event-stream"
        else:
            message = {"role": "assistant", "content": answer, "refusal": None}
            choice = {"index": 0, "message": message, "finish_reason": "stop", "logprobs": None}
            body = json.dumps({"id": "c-1", "object": "chat.completion", "created": 1, "model": "stand-in",
                               "choices": [choice]}).encode()
            kind = "application/json"
        self.send_response(200)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


if __name__ == "__main__":
    ThreadingHTTPServer(("0.0.0.0", 8000), Handler).serve_forever()
