#!/usr/bin/env python3
"""Make the GGUF file of a small Llama Guard from its folder, for llama.cpp.

    python make_gguf.py ../../classifiers/llama-guard/tests/fixtures/8b-f32 /tmp/guard.gguf
"""
import json
import pathlib
import sys

import gguf
import numpy

NAMES = {
    "model.embed_tokens.weight": "token_embd.weight",
    "model.norm.weight": "output_norm.weight",
    "lm_head.weight": "output.weight",
}
LAYER = {
    "input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm", "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v", "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down",
}


def tensors(folder):
    """All weights by name; they must be f32."""
    for file in sorted(folder.glob("*.safetensors")):
        data = file.read_bytes()
        end = 8 + int.from_bytes(data[:8], "little")
        for name, entry in json.loads(data[8:end]).items():
            if name == "__metadata__":
                continue
            assert entry["dtype"] == "F32", f"{name} is {entry['dtype']}"
            start, stop = (end + at for at in entry["data_offsets"])
            yield name, numpy.frombuffer(data[start:stop], numpy.float32).reshape(entry["shape"])


def named(name):
    if name in NAMES:
        return NAMES[name]
    _, _, layer, *part, kind = name.split(".")
    return f"blk.{layer}.{LAYER['.'.join(part)]}.{kind}"


def interleaved(weights, heads):
    """llama.cpp turns neighbouring numbers of a head, the folder's model its halves."""
    rows = weights.shape[0]
    return weights.reshape(heads, 2, rows // heads // 2, -1).swapaxes(1, 2).reshape(weights.shape)


def write(folder, path):
    config = json.loads((folder / "config.json").read_text())
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    rope = config.get("rope_parameters") or {"rope_theta": config["rope_theta"]}
    heads, shared = config["num_attention_heads"], config["num_key_value_heads"]
    out = gguf.GGUFWriter(str(path), "llama")
    out.add_context_length(config["max_position_embeddings"])
    out.add_embedding_length(config["hidden_size"])
    out.add_block_count(config["num_hidden_layers"])
    out.add_feed_forward_length(config["intermediate_size"])
    out.add_head_count(heads)
    out.add_head_count_kv(shared)
    out.add_key_length(config["head_dim"])
    out.add_value_length(config["head_dim"])
    out.add_rope_dimension_count(config["head_dim"])
    out.add_rope_freq_base(rope["rope_theta"])
    out.add_layer_norm_rms_eps(config["rms_norm_eps"])
    out.add_vocab_size(config["vocab_size"])
    special = {token["id"]: token["content"] for token in tokenizer["added_tokens"]}
    words = {at: word for word, at in tokenizer["model"]["vocab"].items()} | special
    listed = [words.get(at, f"[unused {at}]") for at in range(config["vocab_size"])]
    control, normal = gguf.TokenType.CONTROL, gguf.TokenType.NORMAL
    out.add_tokenizer_model("gpt2")
    out.add_tokenizer_pre("llama-bpe")
    out.add_token_list(listed)
    out.add_token_types([control if at in special else normal for at in range(len(listed))])
    merges = tokenizer["model"]["merges"]
    out.add_token_merges([merge if isinstance(merge, str) else " ".join(merge) for merge in merges])
    ids = {word: at for at, word in special.items()}
    out.add_bos_token_id(ids["<|begin_of_text|>"])
    out.add_eos_token_id(ids["<|eot_id|>"])
    out.add_add_bos_token(False)
    for name, weights in tensors(folder):
        if "q_proj" in name:
            weights = interleaved(weights, heads)
        elif "k_proj" in name:
            weights = interleaved(weights, shared)
        out.add_tensor(named(name), numpy.ascontiguousarray(weights))
    out.write_header_to_file()
    out.write_kv_data_to_file()
    out.write_tensors_to_file()
    out.close()


if __name__ == "__main__":
    write(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]))
