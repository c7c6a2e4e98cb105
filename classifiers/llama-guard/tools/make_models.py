#!/usr/bin/env python3
"""Make small Llama Guard shaped folders, and write what Python says about them.

    python make_models.py fixtures ../tests/fixtures   # tiny, taught a few words: safe or unsafe, and which category
    python make_models.py reference ../tests/fixtures  # only what Python says about them
    python make_models.py 1b /tmp/llama-guard-1b       # the 1B's true shape with random weights, for benchmarks
    python make_models.py golden VOCABULARY FILE       # ids of the awkward conversations by the real vocabulary

The tokenizer has the layout of Llama 3's: byte-level BPE, its way of splitting, its special tokens.
"""
import base64
import gzip
import json
import pathlib
import random
import sys

import jinja2
import jinja2.ext
import torch
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM

import conversations

HERE = pathlib.Path(__file__).parent
SPLIT = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
         r"|\s*[\r\n]+|\s+(?!\S)|\s+")
SPECIAL = ["<|begin_of_text|>", "<|end_of_text|>", "<|reserved_special_token_0|>", "<|reserved_special_token_1|>",
           "<|finetune_right_pad_id|>", "<|reserved_special_token_2|>", "<|start_header_id|>", "<|end_header_id|>",
           "<|eom_id|>", "<|eot_id|>", "<|python_tag|>"]
SCALING = dict(rope_type="llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
               original_max_position_embeddings=64)
TINY = dict(hidden_size=64, num_hidden_layers=2, num_attention_heads=8, num_key_value_heads=2, intermediate_size=128,
            max_position_embeddings=8192, rms_norm_eps=1e-5, rope_theta=500000.0)
# What is asked of them is learned in a minute. Their last name is the type of their weights.
FIXTURES = {
    "8b-f32": dict(template="8b", dtype=torch.float32, shard="200KB", config=dict(TINY, tie_word_embeddings=False)),
    "1b-bf16": dict(template="1b", dtype=torch.bfloat16, shard="5GB",
                    config=dict(TINY, num_key_value_heads=4, tie_word_embeddings=True, rope_scaling=SCALING)),
    "1b-f16": dict(template="1b", dtype=torch.float16, shard="5GB",
                   config=dict(TINY, num_key_value_heads=8, tie_word_embeddings=True, rope_scaling=SCALING)),
}
SHAPE_1B = dict(vocab_size=128256, hidden_size=2048, num_hidden_layers=16, num_attention_heads=32, num_key_value_heads=8,
                head_dim=64, intermediate_size=8192, max_position_embeddings=131072, rms_norm_eps=1e-5,
                rope_theta=500000.0, tie_word_embeddings=True, bos_token_id=128000, eos_token_id=[128001, 128008, 128009],
                rope_scaling=dict(SCALING, factor=32.0, original_max_position_embeddings=8192))


def template(name):
    return (HERE / f"template{name}.jinja").read_text().rstrip("\n")


def render(name, turns, **options):
    environment = jinja2.Environment(trim_blocks=True, lstrip_blocks=True)

    def stop(message):
        raise ValueError(message)
    environment.globals.update(raise_exception=stop)
    part = (lambda text: [{"type": "text", "text": text}]) if name == "1b" else (lambda text: text)
    messages = [{"role": role, "content": part(text)} for role, text in turns]
    return environment.from_string(template(name)).render(messages=messages, bos_token=SPECIAL[0], **options)


def tokenizer():
    prompts = [render(name, [("user", "hi")]) for name in ("8b", "1b")]
    for special in SPECIAL:
        prompts = [prompt.replace(special, "\n") for prompt in prompts]
    made = Tokenizer(models.BPE(ignore_merges=True))
    made.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(SPLIT), behavior="isolated", invert=False),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    made.decoder = decoders.ByteLevel()
    made.train_from_iterator(conversations.corpus(prompts * 200), trainers.BpeTrainer(
        vocab_size=700, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False))
    made.add_special_tokens(SPECIAL)
    return made


def whole(made, rendered):
    """Ids of a prompt: special tokens where the template has them and nowhere else."""
    return made.encode(rendered, add_special_tokens=False).ids


def save_tokenizer(made, folder, name):
    made.save(str(folder / "tokenizer.json"), pretty=False)
    described = {"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": SPECIAL[0], "eos_token": "<|eot_id|>"}
    if name == "8b":
        described["chat_template"] = template(name)
    else:
        (folder / "chat_template.jinja").write_text(template(name) + "\n")
    (folder / "tokenizer_config.json").write_text(json.dumps(described))


def answer(made, found):
    listed = "".join(("S" if at == 0 else ",S") + str(number) for at, number in enumerate(found))
    said = made.encode("\n\n").ids + made.encode("unsafe\n" + listed if found else "safe").ids
    return said + made.encode("<|eot_id|>").ids


def teach(model, made, name, steps=1600, batch=12):
    rng = random.Random(11)
    categories = range(1, 15 if name == "8b" else 14)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, total_steps=steps)
    for step in range(steps):
        rows = []
        for _ in range(batch):
            turns, found = conversations.trained(rng, categories)
            rows.append((whole(made, render(name, turns)), answer(made, found)))
        width = max(len(prompt) + len(said) for prompt, said in rows)
        ids = torch.zeros(batch, width, dtype=torch.long)
        labels = torch.full((batch, width), -100)
        for row, (prompt, said) in enumerate(rows):
            ids[row, :len(prompt) + len(said)] = torch.tensor(prompt + said)
            labels[row, len(prompt):len(prompt) + len(said)] = torch.tensor(said)
        # Causal, and padded on the right: no mask is needed.
        loss = model(ids, labels=labels).loss
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        if step % 200 == 199:
            print(f"  step {step + 1}: loss {loss.item():.4f}", flush=True)


def single(made, text):
    (only,) = made.encode(text, add_special_tokens=False).ids
    return only


def reference(name, folder):
    """Logits along the forced answer, in f32 of the saved weights, and what greedy decoding says."""
    rng = random.Random(5)
    categories = range(1, 15 if name == "8b" else 14)
    said = conversations.AWKWARD + [conversations.trained(rng, categories)[0] for _ in range(30)]
    rows = []
    made = Tokenizer.from_file(str(folder / "tokenizer.json"))
    forced = [single(made, text) for text in ("\n\n", "unsafe", "\n", "S")]
    # As it is loaded: a model whose type was changed has its angles rounded too.
    model = LlamaForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    for at, turns in enumerate(said):
        rendered = render(name, turns)
        ids = whole(made, rendered)
        with torch.no_grad():
            logits = model(torch.tensor([ids + forced])).logits[0, -5:]
            greedy = model.generate(torch.tensor([ids]), max_new_tokens=20, do_sample=False,
                                    eos_token_id=made.token_to_id("<|eot_id|>"), pad_token_id=0)[0, len(ids):]
        row = {"turns": turns, "rendered": rendered, "ids": ids, "greedy": made.decode(greedy.tolist()),
               "verdict": [float(logits[1, single(made, word)]) for word in ("safe", "unsafe")],
               "categories": [float(logits[4, single(made, str(number))]) for number in categories]}
        if at % 10 == 0:
            row["logits"] = [[round(float(x), 6) for x in position] for position in logits]
        rows.append(row)
    with gzip.GzipFile(folder / "reference.jsonl.gz", "wb", mtime=0) as file:
        file.writelines((json.dumps(row, ensure_ascii=False) + "\n").encode() for row in rows)
    told = [row["greedy"] for row in rows[40:]]
    print(f"{folder}: {told}")


def fixtures(root):
    made = tokenizer()
    for text in ["\n\n", "safe", "unsafe", "\n", "S", ",S"] + [str(number) for number in range(1, 15)]:
        single(made, text)
    for fixture, shape in FIXTURES.items():
        folder = root / fixture
        folder.mkdir(parents=True, exist_ok=True)
        torch.manual_seed(7)
        config = LlamaConfig(vocab_size=made.get_vocab_size(), initializer_range=0.08, head_dim=8,
                             bos_token_id=made.token_to_id(SPECIAL[0]), eos_token_id=made.token_to_id("<|eot_id|>"),
                             **shape["config"])
        model = LlamaForCausalLM(config)
        print(f"{fixture}: {sum(p.numel() for p in model.parameters())} parameters")
        teach(model, made, shape["template"])
        model = model.to(shape["dtype"])
        model.save_pretrained(folder, max_shard_size=shape["shard"])
        save_tokenizer(made, folder, shape["template"])
        (folder / "generation_config.json").unlink()
        reference(shape["template"], folder)


def real_tokenizer(path):
    import tiktoken
    lines = pathlib.Path(path).read_bytes().split(b"\n")
    ranks = {base64.b64decode(token): int(rank) for token, rank in (line.split() for line in lines if line)}
    special = {name: 128000 + at for at, name in enumerate(SPECIAL)}
    return tiktoken.Encoding("llama3", pat_str=SPLIT, mergeable_ranks=ranks, special_tokens=special)


def golden(vocabulary, file):
    encoding = real_tokenizer(vocabulary)
    rows = []
    for turns in conversations.AWKWARD:
        ids = {name: encoding.encode(render(name, turns), allowed_special="all") for name in ("8b", "1b")}
        rows.append({"turns": turns, **ids})
    with gzip.GzipFile(file, "wb", mtime=0) as out:
        out.writelines((json.dumps(row, ensure_ascii=False) + "\n").encode() for row in rows)
    print({name: len(rows[0][name]) for name in ("8b", "1b")})


def full(folder):
    """The true shape; the tokenizer is the small one, with the ids of the real one's special tokens out of reach."""
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(7)
    torch.set_default_dtype(torch.bfloat16)
    LlamaForCausalLM(LlamaConfig(**SHAPE_1B)).save_pretrained(folder)
    save_tokenizer(tokenizer(), folder, "1b")


if __name__ == "__main__":
    if sys.argv[1] == "fixtures":
        fixtures(pathlib.Path(sys.argv[2]))
    elif sys.argv[1] == "reference":
        for fixture, shape in FIXTURES.items():
            reference(shape["template"], pathlib.Path(sys.argv[2]) / fixture)
    elif sys.argv[1] == "golden":
        golden(sys.argv[2], sys.argv[3])
    else:
        full(pathlib.Path(sys.argv[2]))
