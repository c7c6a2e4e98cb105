#!/usr/bin/env python3
"""Time Llama Guard 3 8B (random weights, bf16) on one graphics card, beside transformers and the arithmetic floor.

    classifiers/llama-guard/tools/build-cuda.sh                       # prints where the worker is
    python tests/bench/gpu/verdicts.py WORKER [FOLDER] [BANDWIDTH_TB_S] [PEAK_TFLOP_S]

Makes FOLDER (16 GB) if it is not there. Prints, for messages of 100 to 8,000 tokens, batches of 1, 8 and 32, with and
without the reuse of what is known: latency (median and 99th percentile), verdicts a second, the ratio to transformers'
forward pass for the same prompts, and to the floor: the time to read the weights once or to do the multiplications of
the new tokens, whichever is longer. Bandwidth and peak are the card's; the defaults are those measured on an H200.
"""
import json
import pathlib
import statistics
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).parents[3] / "classifiers/llama-guard/tools"))
import torch
from transformers import LlamaConfig, LlamaForCausalLM
from tokenizers import Tokenizer

import compare
import make_models

SHAPE = dict(vocab_size=128256, hidden_size=4096, num_hidden_layers=32, num_attention_heads=32, num_key_value_heads=8,
             intermediate_size=14336, max_position_embeddings=131072, rms_norm_eps=1e-5, rope_theta=500000.0,
             tie_word_embeddings=False, bos_token_id=128000, eos_token_id=128009)
RUNS = 20


def make(folder):
    folder.mkdir(parents=True, exist_ok=True)
    with torch.device("cuda"):
        torch.set_default_dtype(torch.bfloat16)
        model = LlamaForCausalLM(LlamaConfig(**SHAPE))
    model.save_pretrained(folder)
    make_models.save_tokenizer(make_models.tokenizer(), folder, "8b")


class Worker:
    def __init__(self, program, folder, keeps):
        self.process = subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.ask(folder=str(folder), device="cuda", keeps_prefixes=keeps)

    ask = compare.Ours.ask
    end = compare.Ours.end


def quantile(times, share):
    return sorted(times)[min(len(times) - 1, int(len(times) * share))]


def main():
    program = sys.argv[1]
    folder = pathlib.Path(sys.argv[2] if len(sys.argv) > 2 else "/tmp/llama-guard-8b")
    bandwidth = float(sys.argv[3] if len(sys.argv) > 3 else 4.3) * 1e12
    peak = float(sys.argv[4] if len(sys.argv) > 4 else 788) * 1e12
    if not (folder / "config.json").exists():
        make(folder)
    made = Tokenizer.from_file(str(folder / "tokenizer.json"))
    frame = len(made.encode(make_models.render("8b", [("user", "")]), add_special_tokens=False).ids)
    prompts, theirs = {}, {}
    seed = 0
    for length in (100, 500, 2000, 8000):
        for batch in (1, 8, 32):
            prompts[length, batch] = []
            for _ in range(RUNS):
                prompts[length, batch].append([[("user", compare.words(made, length, seed + at))] for at in range(batch)])
                seed += batch
    torch.set_default_dtype(torch.bfloat16)
    model = LlamaForCausalLM.from_pretrained(folder, dtype=torch.bfloat16, device_map="cuda").eval()
    parameters = sum(p.numel() for p in model.parameters())
    for key, runs in prompts.items():
        times = []
        for batch in runs[:5]:
            started = time.perf_counter()
            for turns in batch:
                ids = made.encode(make_models.render("8b", turns), add_special_tokens=False).ids
                with torch.no_grad():
                    model.generate(torch.tensor([ids], device="cuda"), max_new_tokens=5, do_sample=False, pad_token_id=0)
            torch.cuda.synchronize()
            times.append(time.perf_counter() - started)
        theirs[key] = statistics.median(times)
    del model
    torch.cuda.empty_cache()
    print(f"{torch.cuda.get_device_name()}, {parameters} parameters, frame of {frame} tokens, {RUNS} runs")
    print("| tokens | batch | prefix | p50 ms | p99 ms | verdicts/s | times transformers | times floor |")
    print("|-|-|-|-|-|-|-|-|")
    for keeps in (True, False):
        worker = Worker(program, folder, keeps)
        for (length, batch), runs in prompts.items():
            times = [worker.ask(batch=run) for run in runs]
            median = statistics.median(times)
            new = batch * (length + 59 if keeps else length + frame + 4)
            floor = max(2 * parameters / bandwidth, 2 * parameters * new / peak)
            print(f"| {length} | {batch} | {'kept' if keeps else 'none'} | {median * 1e3:.1f} | "
                  f"{quantile(times, 0.99) * 1e3:.1f} | {batch / median:.1f} | {theirs[length, batch] / median:.1f} | "
                  f"{median / floor:.2f} |", flush=True)
        worker.end()


if __name__ == "__main__":
    main()
