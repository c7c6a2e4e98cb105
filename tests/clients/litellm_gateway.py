#!/usr/bin/env python3
"""LiteLLM's gateway with the guard as its generic guardrail, before the scripted model server.

    python3 tests/clients/litellm_gateway.py BINARY

Not part of the ordinary tests: LiteLLM's proxy brings 800 MB along. It installs that below target/clients/litellm,
starts the three programs, asks the gateway with OpenAI's own client, and stops everything.
"""

import json
import os
import pathlib
import socket
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True

from guard import Guard, Program  # noqa: E402
from script import STORY, TRIGGER  # noqa: E402

HERE = pathlib.Path(__file__).resolve().parent
INSTALLED = HERE.parent.parent / "target" / "clients" / "litellm"
LITELLM = "litellm[proxy]==1.106.2"
MODELS = ("story", "parrot", "says-a-trigger", "says-a-secret", "uses-tools-badly")
KEY = "sk-gateway"
TOOL = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}


def install():
    python = INSTALLED / "bin" / "python"
    if not (INSTALLED / LITELLM.replace("[", "-").replace("]", "-")).exists():
        print("installing LiteLLM ...", flush=True)
        subprocess.run([sys.executable, "-m", "venv", INSTALLED], check=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", LITELLM], check=True)
        (INSTALLED / LITELLM.replace("[", "-").replace("]", "-")).touch()
    return python


def settings(upstream, guard):
    """The gateway's configuration: JSON is YAML too."""
    model = {"api_base": f"{upstream}/v1", "api_key": "none"}
    guardrail = {"guardrail": "generic_guardrail_api", "api_base": guard, "default_on": True}
    return json.dumps({
        "model_list": [
            {"model_name": name, "litellm_params": {"model": f"openai/{name}", **model}} for name in MODELS
        ],
        "guardrails": [
            {"guardrail_name": "portcullis", "litellm_params": {**guardrail, "mode": ["pre_call", "post_call"]}}
        ],
        "general_settings": {"master_key": KEY},
    })


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


CHECK = f"""
import openai, sys
client = openai.OpenAI(base_url=sys.argv[1], api_key={KEY!r}, max_retries=0)

def ask(model, *messages, **more):
    return client.chat.completions.create(model=model, messages=list(messages), **more).choices[0].message

def user(text):
    return {{"role": "user", "content": text}}

def blocked(what, *arguments, **more):
    try:
        answer = ask(*arguments, **more)
    except openai.APIStatusError as error:
        assert "Not that." in str(error) and {TRIGGER!r} not in str(error), (what, error)
        print("blocked:", what)
    else:
        raise AssertionError((what, answer))

assert ask("story", user("Good morning!")).content == {STORY!r}
print("passed: an ordinary question")
blocked("a bad question", "story", user("Say {TRIGGER}."))
blocked("an older message", "story", user("Say {TRIGGER}."), {{"role": "assistant", "content": "No."}}, user("Hi"))
blocked("a tool's description", "story", user("Hi"), tools=[{{**{TOOL!r}, "function": {{
    "name": "weather", "description": "{TRIGGER}", "parameters": {{"type": "object"}}}}}}])
blocked("a bad answer", "says-a-trigger", user("Hi"))
blocked("a bad tool call", "uses-tools-badly", user("Hi"), tools=[{TOOL!r}])
said = ask("parrot", user("The key is PORTCULLIS-TEST-SECRET, keep it.")).content
assert said == "The key is [REDACTED], keep it.", said
print("redacted: a question")
said = ask("says-a-secret", user("Hi")).content
assert said == "The key is [REDACTED], keep it.", said
print("redacted: an answer")
"""


def main():
    binary = pathlib.Path(sys.argv[1]).resolve()
    python = install()
    policy = (HERE / "policy.yaml").read_text(encoding="utf-8")
    with tempfile.TemporaryDirectory(prefix="portcullis-litellm-") as folder:
        folder = pathlib.Path(folder)
        upstream = Program([sys.executable, "-B", HERE / "upstream.py"], lambda line: line.strip() or None)
        guard = gateway = None
        try:
            guard = Guard(binary, upstream.answer, folder / "guard", policy)
            (folder / "litellm.yaml").write_text(settings(upstream.answer, guard.url.removesuffix("/v1")))
            port = free_port()
            command = [INSTALLED / "bin" / "litellm", "--config", folder / "litellm.yaml"]
            gateway = Program(
                [*command, "--host", "127.0.0.1", "--port", port],
                lambda line: "running on" in line or None,
                output="stderr", patience=180, cwd=folder, stdout=subprocess.DEVNULL,
                env={**os.environ, "LITELLM_LOCAL_MODEL_COST_MAP": "True", "NO_PROXY": "127.0.0.1"},
            )
            url = f"http://127.0.0.1:{port}/v1"
            done = subprocess.run([python, "-B", "-c", CHECK, url], check=False, timeout=120)
            if done.returncode != 0:
                print("\n".join(gateway.lines[-40:]))
            return done.returncode
        finally:
            for program in (gateway, guard, upstream):
                if program:
                    program.stop()


if __name__ == "__main__":
    sys.exit(main())
