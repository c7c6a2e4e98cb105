#!/usr/bin/env python3
"""Time Prompt Guard here beside onnxruntime, transformers, llm-guard and LlamaFirewall, in one run, by turns.

    python make_model.py full /tmp/full                       # once: random weights of the true shape
    cargo build --release -p classifiers-prompt-guard --bench worker
    python compare.py --model /tmp/full --worker target/release/deps/worker-XXXX [--int8 /tmp/full-int8] [--llamafirewall
        SITE-PACKAGES] [--llm-guard SITE-PACKAGES]

Single texts: each engine judges the same texts, taking turns, tokenizing included. The mixed trace: conversations as
in chat logs (two turns on average, prompts of 70 tokens and answers of 215 on average: LMSYS-Chat-1M), each request
with its whole history, some texts sent by several people. Every text of a request is judged, as a guard must; texts over
512 tokens are cut off by the others and judged whole by ours.
"""
import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import time

WORDS = ("the weather in the hills was fine and we walked for hours before anybody thought about dinner or the long way "
         "back home through the valley where the river turns").split()


def texts_of(tokenizer, lengths):
    """A text of each length in tokens, [CLS] and [SEP] included."""
    texts = {}
    for length in lengths:
        words = []
        while True:
            longer = words + [WORDS[len(words) % len(WORDS)]]
            if len(tokenizer.encode(" ".join(longer)).ids) > length:
                break
            words = longer
        texts[length] = " ".join(words)
    return texts


def trace(tokenizer, seed, conversations):
    """Requests in the order they come: each the texts of a conversation so far."""
    rng = random.Random(seed)
    tokens_per_word = len(tokenizer.encode(" ".join(WORDS)).ids) / len(WORDS)
    common = [" ".join(rng.choices(WORDS, k=int(40 / tokens_per_word))) for _ in range(4)]

    def text(mean):
        # Log-normal, as lengths in chat logs are: many short, few long.
        tokens = rng.lognormvariate(-0.32, 0.8) * mean
        words = int(max(3, tokens / tokens_per_word))
        return " ".join(rng.choices(WORDS, k=words))

    requests = []
    for _ in range(conversations):
        history = []
        turns = min(6, 1 + int(rng.expovariate(1 / 1.2)))
        for turn in range(turns):
            asked = rng.choice(common) if turn == 0 and rng.random() < 0.25 else text(70)
            history.append(asked)
            requests.append((rng.random() + turn, list(history)))
            history.append(text(215))
    requests.sort(key=lambda request: request[0])
    return [texts for _, texts in requests]


class Ours:
    def __init__(self, worker, model, threads, sessions=1):
        environment = dict(os.environ, PROMPT_GUARD=model, THREADS=str(threads), SESSIONS=str(sessions))
        self.process = subprocess.Popen([worker], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)
        self.ready = json.loads(self.process.stdout.readline())

    def ask(self, question):
        self.process.stdin.write(json.dumps(question) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def single(self, text, runs):
        return self.ask({"single": text, "runs": runs})["seconds"]

    def whole(self, requests):
        return self.ask({"trace": requests})

    def cpu(self):
        with open(f"/proc/{self.process.pid}/stat") as file:
            fields = file.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Here:
    """An engine in this process."""

    def cpu(self):
        return time.process_time()


def timed(call, runs):
    seconds = []
    for _ in range(runs):
        started = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - started)
    return seconds


class OnnxRuntime(Here):
    def __init__(self, model, threads, rows=1):
        import numpy
        import onnxruntime
        from tokenizers import Tokenizer

        self.numpy, self.rows = numpy, rows
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        self.session = onnxruntime.InferenceSession(f"{model}/model.onnx", options, providers=["CPUExecutionProvider"])
        self.tokenizer = Tokenizer.from_file(f"{model}/tokenizer.json")
        self.tokenizer.enable_truncation(512)
        self.tokenizer.enable_padding()

    def judge(self, texts):
        encoded = self.tokenizer.encode_batch(texts)
        ids = self.numpy.array([e.ids for e in encoded], dtype=self.numpy.int64)
        mask = self.numpy.array([e.attention_mask for e in encoded], dtype=self.numpy.int64)
        return self.session.run(None, {"input_ids": ids, "attention_mask": mask})[0]

    def single(self, text, runs):
        return timed(lambda: self.judge([text]), runs)

    def whole(self, requests):
        def run():
            for texts in requests:
                for start in range(0, len(texts), self.rows):
                    self.judge(texts[start : start + self.rows])

        return {"seconds": timed(run, 1)[0], "inputs": sum(map(len, requests))}


class Torch(Here):
    def __init__(self, model, threads):
        import torch
        from transformers import AutoModelForSequenceClassification, AutoTokenizer

        torch.set_num_threads(threads)
        self.torch = torch
        self.model = AutoModelForSequenceClassification.from_pretrained(model, local_files_only=True).eval()
        self.tokenizer = AutoTokenizer.from_pretrained(model, local_files_only=True)

    def judge(self, text):
        with self.torch.no_grad():
            return self.model(**self.tokenizer(text, return_tensors="pt", truncation=True, max_length=512)).logits

    def single(self, text, runs):
        return timed(lambda: self.judge(text), runs)


class LlamaFirewall(Here):
    """Its Prompt Guard scanner's own code, with the model loaded once; it loads it anew for every scan."""

    def __init__(self, packages, model, threads):
        import importlib.util
        import tempfile

        import torch

        torch.set_num_threads(threads)
        home = tempfile.mkdtemp()
        os.symlink(os.path.abspath(model), os.path.join(home, "meta-llama--Llama-Prompt-Guard-2-86M"))
        os.environ["HF_HOME"] = home
        path = os.path.join(packages, "llamafirewall/scanners/promptguard_utils.py")
        spec = importlib.util.spec_from_file_location("promptguard_utils", path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        self.guard = module.PromptGuard()

    def single(self, text, runs):
        return timed(lambda: self.guard.get_jailbreak_score(text), runs)


class LlmGuard(Here):
    """Its prompt injection scanner's own code, with this model and ONNX."""

    def __init__(self, packages, model, threads):
        import importlib
        import types

        import torch

        torch.set_num_threads(threads)
        sys.path.append(packages)
        # The package itself imports every scanner with all it needs.
        for name in ["llm_guard", "llm_guard.input_scanners"]:
            module = types.ModuleType(name)
            module.__path__ = [os.path.join(packages, name.replace(".", "/"))]
            sys.modules[name] = module
        scanner = importlib.import_module("llm_guard.input_scanners.prompt_injection")
        settings = importlib.import_module("llm_guard.model").Model(
            path=model, onnx_path=model, onnx_filename="model.onnx", onnx_subfolder="", pipeline_kwargs={
                "return_token_type_ids": False, "max_length": 512, "truncation": True})
        self.scanner = scanner.PromptInjection(model=settings, match_type=scanner.MatchType.FULL, use_onnx=True)

    def single(self, text, runs):
        return timed(lambda: self.scanner.scan(text), runs)


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--model", required=True)
    arguments.add_argument("--int8")
    arguments.add_argument("--worker", required=True)
    arguments.add_argument("--threads", type=int, default=2)
    arguments.add_argument("--rounds", type=int, default=5)
    arguments.add_argument("--lengths", default="32,128,512")
    arguments.add_argument("--conversations", type=int, default=8)
    arguments.add_argument("--parts", default="single,trace")
    arguments.add_argument("--llamafirewall")
    arguments.add_argument("--llm-guard")
    given = arguments.parse_args()
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(f"{given.model}/tokenizer.json")
    engines = {
        "ours": Ours(given.worker, given.model, given.threads),
        "onnxruntime": OnnxRuntime(given.model, given.threads),
    }
    if given.int8:
        engines["ours int8"] = Ours(given.worker, given.int8, given.threads)
        engines["onnxruntime int8"] = OnnxRuntime(given.int8, given.threads)
    if "single" in given.parts:
        engines["transformers"] = Torch(given.model, given.threads)
        if given.llamafirewall:
            engines["LlamaFirewall"] = LlamaFirewall(given.llamafirewall, given.model, given.threads)
        if given.llm_guard:
            engines["llm-guard onnx"] = LlmGuard(given.llm_guard, given.model, given.threads)
        singles(engines, texts_of(tokenizer, [int(length) for length in given.lengths.split(",")]), given.rounds)
    if "trace" in given.parts:
        engines["onnxruntime padded"] = OnnxRuntime(given.model, given.threads, rows=8)
        traces(engines, trace(tokenizer, 3, given.conversations))


def singles(engines, texts, rounds):
    for length, text in texts.items():
        seconds, cpu = {name: [] for name in engines}, dict.fromkeys(engines, 0.0)
        for engine in engines.values():
            engine.single(text, 1)
        for _ in range(rounds):
            for name, engine in engines.items():
                before = engine.cpu()
                seconds[name] += engine.single(text, 2 if length == 512 else 4)
                cpu[name] += engine.cpu() - before
        for name, runs in seconds.items():
            median, best = statistics.median(runs), min(runs)
            print(f"{length:>4} tokens  {name:<17} median {median * 1000:8.1f} ms  best {best * 1000:8.1f} ms  cpu "
                  f"{cpu[name] / len(runs) * 1000:8.1f} ms  times ours: {median / statistics.median(seconds['ours']):5.2f} "
                  f"{best / min(seconds['ours']):5.2f} {cpu[name] / cpu['ours']:5.2f}", flush=True)


def traces(engines, requests):
    texts = [text for request in requests for text in request]
    print(f"mixed trace: {len(requests)} requests, {len(texts)} texts, {len(set(texts))} different", flush=True)
    names = [name for name in ["ours", "onnxruntime", "onnxruntime padded", "ours int8", "onnxruntime int8"] if name in engines]
    seconds, cpu = dict.fromkeys(names, 0.0), dict.fromkeys(names, 0.0)
    for at, request in enumerate(requests):
        for name in names[at % len(names):] + names[: at % len(names)]:
            before = engines[name].cpu()
            seconds[name] += engines[name].whole([request])["seconds"]
            cpu[name] += engines[name].cpu() - before
    for name in names:
        print(f"  {name:<18} {seconds[name]:7.2f} s, cpu {cpu[name]:7.2f} s  times ours: {seconds[name] / seconds['ours']:5.2f} "
              f"{cpu[name] / cpu['ours']:5.2f}", flush=True)


if __name__ == "__main__":
    main()
