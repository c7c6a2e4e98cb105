#!/usr/bin/env python3
"""Export a Prompt Guard folder, as downloaded from Hugging Face, to ONNX.

    python3 -m venv venv && venv/bin/pip install -r requirements.txt
    venv/bin/python export.py Prompt-Guard-86M out/prompt-guard          # fp32
    venv/bin/python export.py Prompt-Guard-86M out/prompt-guard-int8 --precision int8

The new folder holds model.onnx, tokenizer.json and config.json: what `--prompt-guard DIR` reads. Check it with
`portcullis verify-model DIR`. Nothing is downloaded.

fp32  the reference's numbers, to 1e-4.
fp16  half the size; for CUDA. On a CPU it is slower than fp32.
int8  matrix products with 8-bit weights, per channel, quantised while running: on CPUs about twice as fast for short
      texts. Scores differ in the second decimal: measure your own before you rely on a threshold.
"""
import argparse
import json
import pathlib
import shutil
import sys
import tempfile

COPIED = ["tokenizer.json", "config.json", "tokenizer_config.json", "special_tokens_map.json"]


def export_fp32(source, target):
    import torch
    from transformers import AutoModelForSequenceClassification

    model = AutoModelForSequenceClassification.from_pretrained(
        source, local_files_only=True, torch_dtype=torch.float32, attn_implementation="eager"
    ).eval()
    if model.config.model_type != "deberta-v2":
        sys.exit(f"{source} holds a model of type {model.config.model_type}, not deberta-v2 as Prompt Guard is")
    # Traced at a length beyond the relative position buckets, so that none of it is taken for constant.
    ids = torch.randint(5, model.config.vocab_size - 1, (2, 300))
    with tempfile.TemporaryDirectory() as scratch:
        path = pathlib.Path(scratch) / "model.onnx"
        torch.onnx.export(
            model,
            (ids, torch.ones_like(ids)),
            str(path),
            input_names=["input_ids", "attention_mask"],
            output_names=["logits"],
            dynamic_axes={
                "input_ids": {0: "batch_size", 1: "sequence_length"},
                "attention_mask": {0: "batch_size", 1: "sequence_length"},
                "logits": {0: "batch_size"},
            },
            opset_version=17,
            dynamo=False,
        )
        shutil.move(path, target)
    return model


def to_fp16(path):
    import onnx
    from onnxruntime.transformers.float16 import convert_float_to_float16

    # Inputs are ids and the output stays float: nobody has to know what is inside.
    model = convert_float_to_float16(onnx.load(path), keep_io_types=True)
    onnx.save(model, path)


def to_int8(path):
    from onnxruntime.quantization import QuantType, quantize_dynamic

    small = path.with_suffix(".int8")
    quantize_dynamic(path, small, weight_type=QuantType.QInt8, per_channel=True, op_types_to_quantize=["MatMul", "Gather"])
    small.replace(path)


def check(model, path, tolerance):
    """The exported model beside the one it was made from, at other lengths and batches than it was traced at."""
    import numpy as np
    import onnxruntime
    import torch

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    worst = 0.0
    for batch, length in [(1, 3), (3, 40), (1, 512)]:
        ids = torch.randint(5, model.config.vocab_size - 1, (batch, length))
        mask = torch.ones_like(ids)
        mask[0, length * 2 // 3 :] = 0
        with torch.no_grad():
            wanted = model(ids, mask).logits.numpy()
        (got,) = session.run(None, {"input_ids": ids.numpy(), "attention_mask": mask.numpy()})
        worst = max(worst, float(np.abs(got - wanted).max()))
    print(f"{path}: logits differ from PyTorch's by at most {worst:.1e}")
    if worst > tolerance:
        sys.exit(f"that is more than {tolerance:.0e}: do not use this folder")


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("source", type=pathlib.Path, help="folder with config.json, weights and tokenizer.json")
    arguments.add_argument("target", type=pathlib.Path, help="folder to write")
    arguments.add_argument("--precision", choices=["fp32", "fp16", "int8"], default="fp32")
    given = arguments.parse_args()
    missing = [name for name in COPIED[:2] if not (given.source / name).is_file()]
    if missing:
        sys.exit(f"{given.source} has no {' and no '.join(missing)}: is it a folder from Hugging Face?")
    given.target.mkdir(parents=True, exist_ok=True)
    path = given.target / "model.onnx"
    model = export_fp32(given.source, path)
    if given.precision == "fp16":
        to_fp16(path)
    if given.precision == "int8":
        to_int8(path)
    for name in COPIED:
        if (given.source / name).is_file() and given.source != given.target:
            shutil.copy(given.source / name, given.target / name)
    config = json.loads((given.target / "config.json").read_text())
    print(f"labels by id: {config.get('id2label')}")
    check(model, path, {"fp32": 1e-4, "fp16": 2e-2, "int8": 0.5}[given.precision])


if __name__ == "__main__":
    main()
