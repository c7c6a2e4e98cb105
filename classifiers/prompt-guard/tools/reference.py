#!/usr/bin/env python3
"""Write what Python says about the fixtures: reference.jsonl.gz beside each, with text, ids and logits.

    python reference.py ../tests/fixtures/labels3 ../tests/fixtures/labels2

The tokenizer is the `tokenizers` package on tokenizer.json, what transformers 4 uses; one text at a time, cut to 512
tokens as the reference implementation does, without padding; logits by onnxruntime. PyTorch must agree to 1e-4.
"""
import gzip
import json
import pathlib
import sys

import numpy as np
import onnxruntime
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

import texts


def main():
    for folder in map(pathlib.Path, sys.argv[1:]):
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        model = AutoModelForSequenceClassification.from_pretrained(folder, local_files_only=True).eval()
        session = onnxruntime.InferenceSession(str(folder / "model.onnx"), providers=["CPUExecutionProvider"])
        worst, rows = 0.0, []
        for text in texts.all_texts():
            # A user may write special tokens. For the judge they are text; where the vocabulary lists them among the
            # words all the same, they are unknown words.
            whole = tokenizer(text, add_special_tokens=False, split_special_tokens=True)["input_ids"]
            whole = [3 if id in (0, 1, 2, tokenizer.mask_token_id) else id for id in whole]
            ids = [1, *whole[:510], 2]
            tensor = np.array([ids])
            (logits,) = session.run(None, {"input_ids": tensor, "attention_mask": np.ones_like(tensor)})
            with torch.no_grad():
                wanted = model(torch.tensor(tensor)).logits.numpy()
            worst = max(worst, float(np.abs(logits - wanted).max()))
            rows.append({"text": text, "ids": whole, "logits": [float(x) for x in logits[0]]})
        spread = np.array([row["logits"] for row in rows]).std(axis=0)
        print(f"{folder}: {len(rows)} texts, PyTorch within {worst:.1e}, logits vary by {spread}")
        assert worst < 1e-4 and spread.min() > 0.01
        with gzip.GzipFile(folder / "reference.jsonl.gz", "wb", mtime=0) as file:
            file.writelines((json.dumps(row, ensure_ascii=False) + "\n").encode() for row in rows)


if __name__ == "__main__":
    main()
