"""The guard before a real model server: `transformers serve` with a tiny Llama whose weights are random.

Not part of `tests/clients/run`: it needs several gigabytes of packages. By hand:

    python3 -m venv /tmp/model-server
    /tmp/model-server/bin/pip install 'transformers[serving]==5.23.0'
    cargo build --release
    /tmp/model-server/bin/python tests/clients/model_server.py [BINARY]

It makes the model (a second; nothing is downloaded), starts the server and, before it, `portcullis serve
--upstream URL` with the policy that is used when none is named. Then the official Python client asks the same
of both, plain and streamed, and this prints what came back and fails if the guard changed or refused anything.
"""

import argparse
import importlib.metadata
import json
import os
import pathlib
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

sys.dont_write_bytecode = True
# The model is a folder here: nothing may be looked for elsewhere.
os.environ.update(HF_HUB_OFFLINE="1", TRANSFORMERS_VERBOSITY="error")

import openai  # noqa: E402
from guard import Guard  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
# Whatever a model with random weights says, it says it in these words.
WORDS = (
    "the a small red boat garden river house stands waits floats beside under near quiet green old "
    "and with our morning apple tree sings slowly today . ,"
).split()
TEMPLATE = "{% for message in messages %}{{ message['role'] }} {{ message['content'] }} {% endfor %}assistant"
QUESTION = [{"role": "user", "content": "the small boat waits near the river ."}]
PATIENCE = 180


def make_model(folder):
    """A Llama of two layers and its tokenizer, which knows a few words."""
    import tokenizers
    import torch
    import transformers

    vocabulary = {word: number for number, word in enumerate(["<unk>", "<s>", "</s>", "user", "assistant", *WORDS])}
    words = tokenizers.Tokenizer(tokenizers.models.WordLevel(vocabulary, unk_token="<unk>"))
    words.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=words, unk_token="<unk>", bos_token="<s>", eos_token="</s>", pad_token="</s>"
    )
    tokenizer.chat_template = TEMPLATE
    tokenizer.save_pretrained(folder)
    torch.manual_seed(7)
    config = transformers.LlamaConfig(
        vocab_size=len(vocabulary), hidden_size=32, intermediate_size=64, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=512,
        bos_token_id=1, eos_token_id=2, pad_token_id=2, initializer_range=0.5,
    )
    transformers.LlamaForCausalLM(config).save_pretrained(folder)


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def start_server(model, log):
    """`transformers serve`, ready to answer; `(process, URL)`."""
    url = f"http://127.0.0.1:{(port := free_port())}"
    command = [str(pathlib.Path(sys.executable).parent / "transformers"), "serve", model]
    command += ["--host", "127.0.0.1", "--port", str(port), "--device", "cpu"]
    print("$", *command, flush=True)
    with log.open("wb") as output:
        server = subprocess.Popen(command, stdout=output, stderr=output)
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and server.poll() is None:
        try:
            with urllib.request.urlopen(f"{url}/health", timeout=5) as response:
                if response.status == 200:
                    return server, url
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
    stop(server)
    sys.exit(f"the model server did not start:\n{log.read_text(errors='replace')[-3000:]}")


def stop(server):
    server.terminate()
    try:
        server.wait(10)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()


def shown(value):
    text = json.dumps(value)
    return text if len(text) <= 700 else text[:700] + " ..."


def raw(url, **request):
    """The answer's bytes, without any client between."""
    data = json.dumps(request).encode()
    headers = {"content-type": "application/json"}
    call = urllib.request.Request(f"{url}/chat/completions", data=data, headers=headers)
    with urllib.request.urlopen(call, timeout=60) as response:
        return response.read().decode()


def comparable(answer):
    """Without what differs from one request to the next."""
    return {name: value for name, value in answer.items() if name not in ("id", "created")}


class Exchange:
    """The same questions to the server itself and to the guard before it."""

    def __init__(self, server, guard, model):
        self._direct = openai.OpenAI(base_url=f"{server}/v1", api_key="none", max_retries=0, timeout=60)
        self._guarded = openai.OpenAI(base_url=guard, api_key="none", max_retries=0, timeout=60)
        # Greedy, so that both say the same.
        self._request = {
            "model": model, "messages": QUESTION, "max_tokens": 24, "temperature": 0, "seed": 7
        }

    def plain(self, **more):
        asked = {**self._request, **more}
        answers = [
            client.chat.completions.create(**asked).model_dump() for client in (self._direct, self._guarded)
        ]
        print("  server:", shown(answers[0]))
        print("  guard: ", shown(answers[1]))
        assert comparable(answers[0]) == comparable(answers[1]), "the guard changed the answer"

    def streamed(self, **more):
        asked = {**self._request, **more, "stream": True}
        both = []
        for client in (self._direct, self._guarded):
            chunks = [chunk.model_dump() for chunk in client.chat.completions.create(**asked)]
            who = "server:" if client is self._direct else "guard: "
            print(f"  {who} {len(chunks)} chunks, the last:", shown(chunks[-1]))
            both.append([comparable(chunk) for chunk in chunks])
        direct, guarded = both
        assert direct == guarded, "the guard changed the stream"

    def blocked(self, **more):
        asked = {**self._request, "messages": [{"role": "user", "content": "PORTCULLIS-TEST-S1"}], **more}
        try:
            self._guarded.chat.completions.create(**asked)
        except openai.BadRequestError as error:
            print("  guard: ", error)
            assert error.code == "content_filter", error
        else:
            raise AssertionError("the guard let it through")


def converse(server, guard, model):
    """Asks everything; returns what went wrong."""
    exchange = Exchange(server, guard, model)
    shortly = {"model": model, "messages": QUESTION, "max_tokens": 2, "temperature": 0}
    print("== as the server writes it, plain")
    print(raw(f"{server}/v1", **shortly))
    print("== as the server writes it, streamed")
    print(raw(f"{server}/v1", **shortly, stream=True))
    steps = {
        "plain": exchange.plain,
        "plain, with an operator's message": lambda: exchange.plain(
            messages=[{"role": "system", "content": "the garden ."}, *QUESTION]
        ),
        "streamed": exchange.streamed,
        "streamed, with usage": lambda: exchange.streamed(stream_options={"include_usage": True}),
        "blocked": exchange.blocked,
        "blocked, streamed": lambda: exchange.blocked(stream=True),
    }
    problems = []
    for name, step in steps.items():
        print(f"== {name}", flush=True)
        try:
            step()
        except (openai.OpenAIError, AssertionError) as error:
            problems.append(f"{name}: {type(error).__name__}: {error}")
            print("  failed:", problems[-1])
    return problems


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("binary", nargs="?", default=ROOT / "target/release/portcullis", help="the guard")
    binary = pathlib.Path(parser.parse_args().binary).resolve()
    for name in ("transformers", "torch", "openai"):
        print(name, importlib.metadata.version(name))
    with tempfile.TemporaryDirectory(prefix="portcullis-model-") as folder:
        model = str(pathlib.Path(folder) / "tiny-llama")
        make_model(model)
        server, url = start_server(model, pathlib.Path(folder) / "server.log")
        try:
            print("$ portcullis serve --upstream", url, flush=True)
            guard = Guard(binary, url, folder)
            try:
                problems = converse(url, guard.url, model)
            finally:
                stopped = guard.stop()
                print("== what the guard logged", *guard.log_lines(), sep="\n")
        finally:
            stop(server)
    problems += stopped
    if problems:
        sys.exit("\n".join(problems))
    print("the guard changed nothing and blocked what it had to")


if __name__ == "__main__":
    main()
