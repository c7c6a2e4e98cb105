#!/usr/bin/env python3
"""Make a Prompt Guard shaped folder with random weights: tiny ones are test fixtures, the full size is for benchmarks.

    python make_model.py tiny-3 ../tests/fixtures/labels3      # 3 labels, as Prompt Guard 1
    python make_model.py tiny-2 ../tests/fixtures/labels2      # 2 labels, as Prompt Guard 2
    python make_model.py full   /tmp/prompt-guard-full         # 12 layers, 768 wide, vocabulary of 251,000

The tokenizer has the layout of DeBERTa-v3's: Unigram, Metaspace, [CLS] text [SEP]. It is trained on the texts of
texts.py, so it is small and of no use but for tests.
"""
import json
import pathlib
import subprocess
import sys
import tempfile

import sentencepiece
import torch
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import DebertaV2Config, DebertaV2ForSequenceClassification, DebertaV2TokenizerFast

import texts

SHAPES = {
    "tiny-3": dict(labels=["BENIGN", "INJECTION", "JAILBREAK"], hidden_size=32, num_hidden_layers=2,
                   num_attention_heads=4, intermediate_size=64, vocab=1200),
    "tiny-2": dict(labels=["LABEL_0", "LABEL_1"], hidden_size=24, num_hidden_layers=2,
                   num_attention_heads=3, intermediate_size=48, vocab=1200),
    "full": dict(labels=["BENIGN", "INJECTION", "JAILBREAK"], hidden_size=768, num_hidden_layers=12,
                 num_attention_heads=12, intermediate_size=3072, vocab=251000),
}
SPECIAL = ["[PAD]", "[CLS]", "[SEP]", "[UNK]"]


def sentencepiece_tokenizer(folder):
    """As the original was made: a SentencePiece model with nmt_nfkc, converted to tokenizer.json."""
    with tempfile.TemporaryDirectory() as scratch:
        prefix = str(pathlib.Path(scratch) / "spm")
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(texts.all_texts()), model_prefix=prefix, vocab_size=1100, model_type="unigram",
            normalization_rule_name="nmt_nfkc", character_coverage=0.9995, pad_id=0, bos_id=1, eos_id=2, unk_id=3,
            pad_piece="[PAD]", bos_piece="[CLS]", eos_piece="[SEP]", unk_piece="[UNK]", hard_vocab_limit=False,
            max_sentence_length=20000, minloglevel=2)
        made = DebertaV2TokenizerFast(vocab_file=prefix + ".model", do_lower_case=False, split_by_punct=False)
        made.backend_tokenizer.save(str(folder / "tokenizer.json"), pretty=False)


def plain_tokenizer(folder):
    """The same layout with a normalizer of parts, as a changed tokenizer may have."""
    made = Tokenizer(models.Unigram())
    made.normalizer = normalizers.Sequence([
        normalizers.Strip(left=False, right=True),
        normalizers.Replace(Regex("[\u200b-\u200d\u2060\ufeff\u00ad\u0000-\u0008\u000e-\u001f\u007f]"), ""),
        normalizers.NFKC(),
        normalizers.Replace(Regex("\\s"), " "),
        normalizers.Replace(Regex(" {2,}"), " "),
    ])
    made.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
    made.decoder = decoders.Metaspace(prepend_scheme="always")
    made.train_from_iterator(texts.all_texts(), trainers.UnigramTrainer(
        vocab_size=1100, special_tokens=SPECIAL, unk_token="[UNK]", show_progress=False))
    made.add_special_tokens([AddedToken("[MASK]", special=True, normalized=False)])
    made.post_processor = processors.TemplateProcessing(
        single="[CLS]:0 $A:0 [SEP]:0", pair="[CLS]:0 $A:0 [SEP]:0 $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 1), ("[SEP]", 2)])
    made.save(str(folder / "tokenizer.json"), pretty=False)


def main():
    shape, folder = dict(SHAPES[sys.argv[1]]), pathlib.Path(sys.argv[2])
    folder.mkdir(parents=True, exist_ok=True)
    labels, vocab = shape.pop("labels"), shape.pop("vocab")
    torch.manual_seed(7)
    config = DebertaV2Config(
        vocab_size=vocab, hidden_act="gelu", max_position_embeddings=512, type_vocab_size=0, relative_attention=True,
        position_buckets=256, norm_rel_ebd="layer_norm", share_att_key=True, pos_att_type=["p2c", "c2p"],
        position_biased_input=False, max_relative_positions=-1, layer_norm_eps=1e-7, pooler_hidden_size=shape["hidden_size"],
        pooler_hidden_act="gelu", pooler_dropout=0, pad_token_id=0, num_labels=len(labels),
        # Small models with small weights answer the same to everything.
        initializer_range=0.02 if vocab > 100000 else 0.35,
        id2label=dict(enumerate(labels)), label2id={label: at for at, label in enumerate(labels)}, **shape)
    model = DebertaV2ForSequenceClassification(config).eval()
    # Fresh biases are zero, and so would hide a bias that was lost.
    for name, parameter in model.named_parameters():
        if name.endswith("bias"):
            torch.nn.init.normal_(parameter, std=config.initializer_range / 4)
    model.save_pretrained(folder)
    (plain_tokenizer if len(labels) == 2 else sentencepiece_tokenizer)(folder)
    (folder / "tokenizer_config.json").write_text(json.dumps({
        "tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": 512, "cls_token": "[CLS]",
        "sep_token": "[SEP]", "pad_token": "[PAD]", "unk_token": "[UNK]", "mask_token": "[MASK]"}))
    subprocess.run([sys.executable, str(pathlib.Path(__file__).with_name("export.py")), str(folder), str(folder)], check=True)


if __name__ == "__main__":
    main()
