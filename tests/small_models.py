"""Small checkpoints with random weights, built from the real configuration classes.

Weights are drawn wide (`initializer_range`), so that attention is far from uniform and a wrong
position changes the vector: `tests/reference/test_references.py` checks that it does.
"""

from __future__ import annotations

import json
import random
from pathlib import Path

import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.modules import Transformer
from sentence_transformers.sentence_transformer.modules import Normalize, Pooling
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
from transformers import (
    AlbertConfig,
    AutoModel,
    BertConfig,
    CamembertConfig,
    DistilBertConfig,
    ElectraConfig,
    GPT2Config,
    MPNetConfig,
    PretrainedConfig,
    PreTrainedTokenizerFast,
    RobertaConfig,
    XLMRobertaConfig,
)

WORDS = [a + b + c for a in "bdfgklmnprstvz" for b in ("a", "e", "io") for c in ("n", "r", "st")]
"""Words that every tokenizer here reads as one token each."""

ENGLISH = [
    *("the", "court", "river", "engine", "contract", "garden", "window", "signal", "winter"),
    *("mountain", "teacher", "bread", "market", "letter", "music", "green", "silent", "early"),
    *("seven", "north", "paper", "under", "water", "story", "city", "light", "road", "house"),
]
"""Words that a tokenizer trained on English reads as one token each."""

OTHERS = ["query", "passage", "title", "represent"]
"""Words of prompts."""

_SHAPE = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "initializer_range": 0.4,
}
_ROBERTA_IDS = {"bos_token_id": 0, "pad_token_id": 1, "eos_token_id": 2}


def config_of(model_type: str, positions: int, **changes: object) -> PretrainedConfig:
    """The configuration of a small model that reads so many tokens."""
    shape = {**_SHAPE, "vocab_size": 1000, **changes}
    table = {"max_position_embeddings": positions}
    # Rows 0 and 1 of these tables belong to no token: positions start behind the padding index.
    table_behind_padding = {"max_position_embeddings": positions + 2, **_ROBERTA_IDS}
    match model_type:
        case "bert":
            return BertConfig(**shape, **table, pad_token_id=0)
        case "distilbert":
            return DistilBertConfig(
                vocab_size=shape["vocab_size"],
                dim=32,
                n_layers=2,
                n_heads=4,
                hidden_dim=64,
                initializer_range=0.4,
                pad_token_id=0,
                **table,
            )
        case "electra":
            return ElectraConfig(**shape, **table, embedding_size=16, pad_token_id=0)
        case "albert":
            return AlbertConfig(**shape, **table, embedding_size=16, pad_token_id=0)
        case "roberta":
            return RobertaConfig(**shape, **table_behind_padding, type_vocab_size=1)
        case "xlm-roberta":
            return XLMRobertaConfig(**shape, **table_behind_padding, type_vocab_size=1)
        case "camembert":
            return CamembertConfig(**shape, **table_behind_padding, type_vocab_size=1)
        case "mpnet":
            return MPNetConfig(**shape, **table_behind_padding)
        case "gpt2":
            return GPT2Config(
                vocab_size=shape["vocab_size"],
                n_embd=32,
                n_layer=2,
                n_head=4,
                n_positions=positions,
                initializer_range=0.4,
                bos_token_id=2,
                eos_token_id=2,
                pad_token_id=1,
            )
    raise AssertionError(model_type)


BERT_LIKE = ("bert", "distilbert", "electra", "albert")
ROBERTA_LIKE = ("roberta", "xlm-roberta", "camembert")


def build_tokenizer(model_type: str, limit: int, padding_side: str) -> PreTrainedTokenizerFast:
    """A small tokenizer of the kind that the model type comes with."""
    names = {"padding_side": padding_side, "model_max_length": limit}
    if model_type in BERT_LIKE:
        specials = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
        letters = [*"abcdefghijklmnopqrstuvwxyz0123456789.,:;?!-", *"àéü"]
        vocabulary = [*specials, *letters, *(f"##{letter}" for letter in letters), *WORDS, *OTHERS]
        tokenizer = Tokenizer(models.WordPiece(_numbered(vocabulary), unk_token="[UNK]"))
        tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
        tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
        names |= {
            "pad_token": "[PAD]",
            "unk_token": "[UNK]",
            "cls_token": "[CLS]",
            "sep_token": "[SEP]",
        }
        if model_type == "distilbert":
            names["model_input_names"] = ["input_ids", "attention_mask"]
        return PreTrainedTokenizerFast(tokenizer_object=tokenizer, **names)
    specials = ["<s>", "<pad>", "</s>", "<unk>"]
    if model_type == "mpnet":
        vocabulary = [*specials, *".,:;?!-", *WORDS, *OTHERS]
        tokenizer = Tokenizer(models.WordLevel(_numbered(vocabulary), unk_token="<unk>"))
        tokenizer.normalizer = normalizers.Lowercase()
        tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    elif model_type in ("xlm-roberta", "camembert"):
        pieces = [(f"▁{word}", -5.0) for word in (*WORDS, *OTHERS)]
        pieces += [(letter, -20.0) for letter in "▁abcdefghijklmnopqrstuvwxyz0123456789.,:;?!-àéü"]
        scores = [(special, 0.0) for special in specials] + pieces
        tokenizer = Tokenizer(models.Unigram(scores, unk_id=3))
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    else:
        tokenizer = Tokenizer(models.BPE())
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        trainer = trainers.BpeTrainer(
            vocab_size=1000,
            special_tokens=specials,
            initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        )
        tokenizer.train_from_iterator([f"{word} {word}" for word in (*WORDS, *OTHERS)], trainer)
    for special in specials:
        tokenizer.add_special_tokens([special])
    names |= {"pad_token": "<pad>", "unk_token": "<unk>"}
    if model_type == "gpt2":
        return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="</s>", **names)
    tokenizer.post_processor = processors.RobertaProcessing(
        ("</s>", 2), ("<s>", 0), add_prefix_space=False
    )
    names |= {"cls_token": "<s>", "sep_token": "</s>", "bos_token": "<s>", "eos_token": "</s>"}
    names["model_input_names"] = ["input_ids", "attention_mask"]
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, **names)


def build_checkpoint(
    folder: Path,
    model_type: str,
    *,
    positions: int,
    limit: int | None = None,
    padding_side: str = "right",
    seed: int = 0,
    **config: object,
) -> Path:
    """Write a transformers checkpoint, tokenizer included."""
    torch.manual_seed(seed)
    model = AutoModel.from_config(config_of(model_type, positions, **config))
    model.save_pretrained(folder)
    build_tokenizer(model_type, limit or positions, padding_side).save_pretrained(folder)
    return folder


def build_model(
    folder: Path,
    model_type: str,
    *,
    positions: int = 64,
    pooling: str | tuple[str, ...] = "mean",
    include_prompt: bool = True,
    normalize: bool = True,
    prompts: dict[str, str] | None = None,
    **checkpoint: object,
) -> Path:
    """Write a sentence-transformers folder; see `build_checkpoint` for the rest."""
    parts = folder.with_name(folder.name + "-parts")
    build_checkpoint(parts, model_type, positions=positions, **checkpoint)
    transformer = Transformer(str(parts))
    width = transformer.get_embedding_dimension()
    modules = [transformer, Pooling(width, pooling, include_prompt=include_prompt)]
    if normalize:
        modules.append(Normalize())
    model = SentenceTransformer(modules=modules, device="cpu", prompts=prompts)
    model.save_pretrained(str(folder))
    return folder


def text_of(tokens: int, tokenizer: PreTrainedTokenizerFast, seed: int = 0) -> str:
    """A text of exactly so many tokens, special tokens counted."""
    draw = random.Random(f"{tokens} {seed}")
    vocabulary = WORDS if len(tokenizer) < 2000 else ENGLISH
    words = [draw.choice(vocabulary) for _ in range(tokens)]
    extra = len(tokenizer(" ".join(words), verbose=False)["input_ids"]) - tokens
    text = " ".join(words[: tokens - extra])
    assert len(tokenizer(text, verbose=False)["input_ids"]) == tokens
    return text


def drop_weight(folder: Path, name: str) -> None:
    """Remove one tensor from a checkpoint."""
    from safetensors.torch import load_file, save_file

    file = folder / "model.safetensors"
    weights = load_file(file)
    del weights[name]
    save_file(weights, file, metadata={"format": "pt"})


def change_config(folder: Path, **changes: object) -> None:
    """Change entries of a checkpoint's config.json."""
    file = folder / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))


def _numbered(vocabulary: list[str]) -> dict[str, int]:
    return {token: number for number, token in enumerate(vocabulary)}
