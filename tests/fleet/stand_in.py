"""A stand-in on a port: `guard` judges at /v1/moderations, `model` says yes to everything.

    stand_in.py guard|model PORT
"""

import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


def judged(text):
    """Finds hate in what asks for dynamite, and nothing else."""
    hate = "dynamite" in text
    result = {"flagged": hate, "categories": {"hate": hate}, "category_scores": {"hate": 1.0 if hate else 0.01}}
    return {"id": "m", "model": "m", "results": [result]}


def said(_):
    message = {"role": "assistant", "content": "fine"}
    choice = {"index": 0, "finish_reason": "stop", "message": message}
    return {"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice]}


class Server(ThreadingHTTPServer):
    """Takes many callers at once."""

    request_queue_size = 256
    daemon_threads = True


def main():
    answer = judged if sys.argv[1] == "guard" else said

    class Handler(BaseHTTPRequestHandler):
        """Answers in one piece: two would wait for each other."""

        protocol_version = "HTTP/1.1"

        def log_message(self, *_):
            """Quiet."""

        def do_POST(self):
            body = json.dumps(answer(self.rfile.read(int(self.headers["content-length"])).decode())).encode()
            head = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
            self.wfile.write(head.encode() + body)

    server = Server(("127.0.0.1", int(sys.argv[2])), Handler)
    print("ready", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
