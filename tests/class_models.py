"""Small checkpoints of every class of models, with the modules that published ones have."""

from __future__ import annotations

import json
import tempfile
from functools import cache
from pathlib import Path

import torch
from sentence_transformers import CrossEncoder, SparseEncoder
from sentence_transformers.base.modules import Dense, Router, Transformer
from sentence_transformers.sentence_transformer.modules import Normalize
from sentence_transformers.sparse_encoder.modules import SparseStaticEmbedding, SpladePooling
from small_models import build_tokenizer, config_of
from transformers import (
    CONFIG_MAPPING,
    AutoModel,
    AutoModelForMaskedLM,
    AutoModelForSequenceClassification,
)

WINDOW = 64
"""The original window of these models, in tokens."""

KINDS = ("bert", "roberta", "distilbert", "gte")
"""Model types: learned positions with and without an offset, another head, rotary positions."""

_folders = tempfile.TemporaryDirectory(prefix="classes-", ignore_cleanup_errors=True)

HEADS = {
    "mlm": AutoModelForMaskedLM,
    "pairs": AutoModelForSequenceClassification,
    "bare": AutoModel,
}


@cache
def checkpoint(kind: str, head: str, labels: int = 1) -> Path:
    """A transformers checkpoint, tokenizer included."""
    torch.manual_seed(0)
    folder = Path(tempfile.mkdtemp(prefix=f"{kind}-{head}-", dir=_folders.name))
    tokenizer = build_tokenizer("bert" if kind == "gte" else kind, WINDOW, "right")
    mask = "[MASK]" if kind in ("bert", "distilbert", "gte") else "<mask>"
    tokenizer.add_special_tokens({"mask_token": mask})
    tokenizer.save_pretrained(folder)
    if kind == "bert":
        # As published ones say: which of a pair a token belongs to.
        file = folder / "tokenizer_config.json"
        names = {"model_input_names": ["input_ids", "token_type_ids", "attention_mask"]}
        file.write_text(json.dumps({**json.loads(file.read_text()), **names}))
    words = len(tokenizer)
    if kind == "gte":
        config = CONFIG_MAPPING["gte"](
            hidden_size=32,
            num_hidden_layers=2,
            num_attention_heads=4,
            intermediate_size=48,
            initializer_range=0.4,
            vocab_size=words,
            max_position_embeddings=WINDOW,
            pad_token_id=0,
        )
    else:
        config = config_of(kind, WINDOW, vocab_size=words)
    if head == "pairs":
        config.num_labels = labels
    model = HEADS[head].from_config(config)
    for name, parameter in model.named_parameters():
        # Biases of heads are zero when they are new, and nothing may hide behind that.
        if name.endswith("bias"):
            torch.nn.init.normal_(parameter, std=0.2)
    model.save_pretrained(folder)
    return folder


@cache
def splade(kind: str, strategy: str = "max", activation: str = "relu") -> Path:
    """A SparseEncoder of SPLADE's kind."""
    transformer = Transformer(str(checkpoint(kind, "mlm")), transformer_task="fill-mask")
    pooling = SpladePooling(strategy, activation)
    return _saved(SparseEncoder(modules=[transformer, pooling], device="cpu"))


@cache
def inference_free(kind: str) -> Path:
    """A SparseEncoder whose queries are looked up, as OpenSearch's are."""
    transformer = Transformer(str(checkpoint(kind, "mlm")), transformer_task="fill-mask")
    tokenizer = transformer.tokenizer
    torch.manual_seed(1)
    weights = torch.rand(len(tokenizer))
    tokens = SparseStaticEmbedding(tokenizer, weights)
    router = Router.for_query_document(
        query_modules=[tokens],
        document_modules=[transformer, SpladePooling("max", "log1p_relu")],
    )
    return _saved(SparseEncoder(modules=[router], device="cpu"))


@cache
def late(kind: str, width: int = 16, **settings: object) -> Path:
    """A MultiVectorEncoder of ColBERT's kind: projection, mask, normalization."""
    from sentence_transformers import MultiVectorEncoder
    from sentence_transformers.multi_vector_encoder.modules import MultiVectorMask

    torch.manual_seed(2)
    transformer = Transformer(str(checkpoint(kind, "bare")), **settings)
    dense = Dense(
        32,
        width,
        bias=False,
        activation_function=torch.nn.Identity(),
        module_input_name="token_embeddings",
    )
    modules = [
        transformer,
        dense,
        MultiVectorMask(skiplist_words=[".", ","]),
        Normalize(module_input_name="token_embeddings"),
    ]
    prompts = {"query": "query : ", "document": "passage : "}
    return _saved(MultiVectorEncoder(modules=modules, device="cpu", prompts=prompts))


@cache
def pairs(kind: str, labels: int = 1) -> Path:
    """A CrossEncoder."""
    return _saved(CrossEncoder(str(checkpoint(kind, "pairs", labels)), device="cpu"))


def _saved(model) -> Path:
    folder = tempfile.mkdtemp(prefix=f"{type(model).__name__}-", dir=_folders.name)
    model.save_pretrained(folder)
    return Path(folder)


@cache
def late_minilm(folder: Path) -> Path:
    """all-MiniLM-L6-v2's own token vectors, which find passages though nobody trained them to."""
    from sentence_transformers import MultiVectorEncoder
    from sentence_transformers.multi_vector_encoder.modules import MultiVectorMask

    modules = [
        Transformer(str(folder)),
        MultiVectorMask(skiplist_words=[".", ","]),
        Normalize(module_input_name="token_embeddings"),
    ]
    return _saved(MultiVectorEncoder(modules=modules, device="cpu"))
