#!/usr/bin/env python3
"""Time our verdicts beside Python `transformers`, by turns in one run, on a model with random weights.

    python make_models.py 1b /tmp/llama-guard-1b
    cargo bench -p classifiers-llama-guard --bench verdicts --no-run      # prints the program
    python compare.py PROGRAM /tmp/llama-guard-1b [THREADS] [REPEATS]

Three questions: a message of 100 tokens; a new turn of 50 tokens on a conversation of 2,000; an answer of 1,000 tokens
that is checked every 50 while it grows, beside one check of the whole. `transformers` generates 20 tokens, as its users
do for a verdict; with random weights it never stops early.
"""
import json
import pathlib
import random
import statistics
import subprocess
import sys
import time

import torch
from transformers import LlamaForCausalLM
from tokenizers import Tokenizer

import conversations
import make_models


class Ours:
    def __init__(self, program, folder, threads):
        self.process = subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.ask(folder=str(folder), threads=threads)

    def ask(self, **what):
        self.process.stdin.write(json.dumps(what) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())["seconds"]

    def end(self):
        self.process.stdin.close()
        self.process.wait()


def words(made, tokens, seed):
    """A text of about `tokens` tokens that begins like no other."""
    rng, text = random.Random(seed), []
    while len(made.encode(" ".join(text)).ids) < tokens:
        text.append(rng.choice(conversations.WORDS))
    return " ".join(text)


def main():
    program, folder = sys.argv[1], pathlib.Path(sys.argv[2])
    threads = int(sys.argv[3]) if len(sys.argv) > 3 else 2
    repeats = int(sys.argv[4]) if len(sys.argv) > 4 else 3
    torch.set_num_threads(threads)
    made = Tokenizer.from_file(str(folder / "tokenizer.json"))
    ours = Ours(program, folder, threads)
    model = LlamaForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    eos = model.generation_config.eos_token_id
    model.generation_config.eos_token_id = None

    def theirs(turns):
        ids = torch.tensor([made.encode(make_models.render("1b", turns), add_special_tokens=False).ids])
        started = time.perf_counter()
        with torch.no_grad():
            model.generate(ids, max_new_tokens=20, do_sample=False, pad_token_id=0)
        return time.perf_counter() - started

    def beside(name, make, ours_before=None):
        pairs = []
        for repeat in range(repeats):
            turns = make(repeat)
            if ours_before:
                ours.ask(turns=ours_before(turns))
            pairs.append((ours.ask(turns=turns), theirs(turns)))
        mine, other = (statistics.median(side) for side in zip(*pairs))
        print(f"{name}: ours {mine:.2f} s, transformers {other:.2f} s, ratio {other / mine:.1f} "
              f"(each: {[round(b / a, 1) for a, b in pairs]})", flush=True)

    print(f"{folder}, {threads} threads, {repeats} repeats, torch {torch.__version__}", flush=True)
    beside("a message of 100 tokens", lambda n: [("user", words(made, 100, n))])
    # Twenty turns of 100 tokens. The last user's turn was judged when it came; the answer to it is new behind it.
    roles = ["user", "assistant"] * 10
    beside("a turn of 50 tokens after 2,000",
           lambda n: [(role, words(made, 100, 1000 * n + at)) for at, role in enumerate(roles)]
           + [("user", words(made, 50, 300 + n))],
           lambda turns: turns[:19])
    ratios = []
    for repeat in range(repeats):
        question = ("user", words(made, 30, 400 + repeat))
        # The preamble and the question are known in both cases.
        ours.ask(turns=[question, ("assistant", "x")])
        text = words(made, 1000, 500 + repeat).split(" ")
        grown = 0.0
        for part in range(1, 21):
            grown += ours.ask(turns=[question, ("assistant", " ".join(text[:len(text) * part // 20]))])
        whole = ours.ask(turns=[question, ("assistant", " ".join(["y"] + text[1:]))])
        ratios.append(grown / whole)
    print(f"an answer of 1,000 tokens checked every 50: {statistics.median(ratios):.2f} times one check of the whole "
          f"(each: {[round(ratio, 2) for ratio in ratios]})")
    ours.end()


if __name__ == "__main__":
    main()
