"""LongEmbedEmbedding: the core's vectors, and settings that LlamaIndex can store and compare."""

from __future__ import annotations

import asyncio
import copy
import json
import pickle
import shutil
import threading

import pytest
import torch
from compare import difference
from fresh_process import run_fresh
from pydantic import ValidationError

pytest.importorskip("llama_index.core")

from llama_index.core.ingestion.pipeline import get_transformation_hash
from llama_index.core.schema import TextNode
from llama_index.core.storage.kvstore.types import BaseKVStore

import longembed_st as le
from llama_index.embeddings.longembed import LongEmbedEmbedding

LONG = "gan fer\n\nbiost,  kan  " * 60
TEXTS = [LONG, "a short note", LONG + "zin"]
PROMPTS = {"query": "query ", "document": "passage "}
NODES = [TextNode(text="gan fer", id_="a")]


@pytest.fixture(scope="module")
def bert(small_model) -> str:
    return str(small_model("bert", prompts=PROMPTS))


def test_vectors_are_those_of_the_core_as_plain_floats(bert) -> None:
    embed_model = LongEmbedEmbedding(model_name=bert, method="pcw", embed_batch_size=2)
    model = le.load(bert, "pcw")
    vectors = embed_model.get_text_embedding_batch(TEXTS)
    assert {type(number) for vector in vectors for number in vector} == {float}
    assert difference(vectors, model.encode_document(TEXTS)) < 1e-6
    assert difference(embed_model.get_text_embedding(LONG), vectors[0]) < 1e-6
    query = embed_model.get_query_embedding(LONG)
    assert {type(number) for number in query} == {float}
    assert difference(query, model.encode(LONG, prompt="query ")) < 1e-6


def test_instructions_take_the_place_of_the_models_prompts(bert) -> None:
    embed_model = LongEmbedEmbedding(
        model_name=bert, method="pcw", query_instruction="title ", text_instruction="represent "
    )
    model = le.load(bert, "pcw")
    expected = model.encode(LONG, prompt="title ")
    assert difference(embed_model.get_query_embedding(LONG), expected) < 1e-6
    expected = model.encode(LONG, prompt="represent ")
    assert difference(embed_model.get_text_embedding(LONG), expected) < 1e-6


def test_encode_kwargs_reach_the_model(bert) -> None:
    embed_model = LongEmbedEmbedding(
        model_name=bert, method="pcw", encode_kwargs={"truncate_dim": 8}
    )
    assert (
        len(embed_model.get_text_embedding("a")) == len(embed_model.get_query_embedding("a")) == 8
    )


def test_the_ingestion_cache_key_changes_with_every_setting(bert) -> None:
    usual = {"model_name": bert, "method": "pcw"}
    changes = [
        {},
        {"method": "gp"},
        {"max_seq_length": 256},
        {"original_max_seq_length": 32},
        {"method": "gp", "max_seq_length": 512, "logn_scaling": True},
        {"on_overflow": "truncate"},
        {"window_size": 16},
        {"query_instruction": "title "},
        {"text_instruction": "title "},
        {"encode_kwargs": {"normalize_embeddings": True}},
        {"model_kwargs": {"truncate_dim": 8}},
        {"model_kwargs": {"prompts": {"document": "title "}}},
    ]
    models = [LongEmbedEmbedding(**{**usual, **change}) for change in changes]
    keys = [get_transformation_hash(NODES, model) for model in models]
    assert len(set(keys)) == len(changes)
    assert get_transformation_hash(NODES, LongEmbedEmbedding(**usual)) == keys[0]


def test_the_ingestion_cache_key_changes_with_the_weights(bert, tmp_path) -> None:
    folder = shutil.copytree(bert, tmp_path / "model")
    before = LongEmbedEmbedding(model_name=str(folder), method="pcw")
    model = le.load(str(folder), "pcw")
    with torch.no_grad():
        model[0].model.embeddings.word_embeddings.weight[10] += 1
    shutil.rmtree(folder)
    model.save_pretrained(str(folder))
    after = LongEmbedEmbedding(model_name=str(folder), method="pcw")
    assert {**before.to_dict(), "fingerprint": ""} == {**after.to_dict(), "fingerprint": ""}
    assert get_transformation_hash(NODES, before) != get_transformation_hash(NODES, after)
    with pytest.raises(le.ConfigError, match="Weights or settings have changed since"):
        LongEmbedEmbedding.from_dict(before.to_dict())


def test_settings_survive_a_round_trip(bert) -> None:
    embed_model = LongEmbedEmbedding(
        model_name=bert,
        overlap=4,
        window_size=32,
        method="pcw",
        text_instruction="title ",
        encode_kwargs={"truncate_dim": 8},
        embed_batch_size=3,
    )
    stored = embed_model.to_json()
    assert json.loads(stored)["method_options"] == {"overlap": 4, "window_size": 32}
    back = LongEmbedEmbedding.from_json(stored)
    assert back.to_dict() == embed_model.to_dict()
    assert back.sentence_transformer is embed_model.sentence_transformer
    assert back.get_text_embedding(LONG) == embed_model.get_text_embedding(LONG)


def test_the_cache_key_does_not_depend_on_the_order_of_options(bert) -> None:
    one = LongEmbedEmbedding(model_name=bert, method="pcw", overlap=4, window_size=32)
    other = LongEmbedEmbedding(model_name=bert, window_size=32, method="pcw", overlap=4)
    assert get_transformation_hash(NODES, one) == get_transformation_hash(NODES, other)


def test_unknown_settings_and_later_changes_are_refused(bert) -> None:
    with pytest.raises(le.ConfigError, match="metod='pcw': Extra inputs are not permitted"):
        LongEmbedEmbedding(model_name=bert, metod="pcw")
    embed_model = LongEmbedEmbedding(model_name=bert, method="pcw")
    with pytest.raises(ValidationError, match="frozen"):
        embed_model.method = "gp"


def test_copies_and_pickles_share_the_model(bert) -> None:
    embed_model = LongEmbedEmbedding(model_name=bert, method="pcw", text_instruction="title ")
    pickled = pickle.dumps(embed_model)
    assert len(pickled) < 2000
    for twin in (copy.deepcopy(embed_model), pickle.loads(pickled)):
        assert twin.to_dict() == embed_model.to_dict()
        assert twin.sentence_transformer is embed_model.sentence_transformer
        assert twin.get_text_embedding("a") == embed_model.get_text_embedding("a")


def test_async_calls_leave_the_event_loop_free(bert, monkeypatch) -> None:
    embed_model = LongEmbedEmbedding(model_name=bert, method="pcw", embed_batch_size=1)
    model, loop_ran = embed_model.sentence_transformer, threading.Event()
    at_once, most_at_once = 0, 0

    def wait_for_the_loop(texts, **kwargs):
        nonlocal at_once, most_at_once
        at_once += 1
        most_at_once = max(most_at_once, at_once)
        assert loop_ran.wait(20), "the event loop stood still"
        at_once -= 1
        return torch.zeros(len(texts), 2)

    monkeypatch.setattr(model, "encode_document", wait_for_the_loop)
    monkeypatch.setattr(model, "encode_query", lambda texts, **kwargs: torch.ones(1, 2))

    async def embed():
        documents = asyncio.create_task(embed_model.aget_text_embedding_batch(["a", "b", "c"]))
        query = await embed_model.aget_query_embedding("d")
        loop_ran.set()
        return await documents, query, await embed_model.aget_text_embedding("e")

    assert asyncio.run(embed()) == ([[0.0, 0.0]] * 3, [1.0, 1.0], [0.0, 0.0])
    assert most_at_once == 1, "batches of one call must not add up their memory"


class AsyncCache(BaseKVStore):
    """A cache that can only be awaited, as those of databases."""

    def __init__(self) -> None:
        self.kept: dict[str, dict] = {}

    async def aput(self, key, val, collection="embeddings"):
        self.kept[key] = val

    async def aget(self, key, collection="embeddings"):
        return self.kept.get(key)

    def put(self, *arguments, **options):
        raise NotImplementedError

    get = get_all = delete = aget_all = adelete = put


class AsyncLimiter:
    """Counts how often somebody waited."""

    def __init__(self) -> None:
        self.waited = 0

    async def async_acquire(self) -> None:
        self.waited += 1


def test_async_batches_await_the_cache_and_the_limiter(bert) -> None:
    options = {"model_name": bert, "method": "pcw", "embed_batch_size": 2}
    expected = LongEmbedEmbedding(**options).get_text_embedding_batch(TEXTS)
    cached = LongEmbedEmbedding(**options, embeddings_cache=AsyncCache())
    for show_progress in (False, True):
        vectors = asyncio.run(cached.aget_text_embedding_batch(TEXTS, show_progress))
        assert difference(vectors, expected) < 1e-6
    assert set(cached.embeddings_cache.kept) == set(TEXTS)
    limiter = AsyncLimiter()
    limited = LongEmbedEmbedding(**options, rate_limiter=limiter)
    assert difference(asyncio.run(limited.aget_text_embedding_batch(TEXTS)), expected) < 1e-6
    assert limiter.waited == 2
    assert asyncio.run(limited.aget_text_embedding_batch([])) == []


def test_importing_the_package_is_light_and_a_missing_extra_named(tmp_path) -> None:
    light = """
        import llama_index.embeddings.longembed
        answer(sorted({"torch", "transformers", "sentence_transformers"} & sys.modules.keys()))
    """
    assert run_fresh(light, tmp_path) == []
    missing = """
        sys.modules["llama_index.core"] = None
        try:
            import llama_index.embeddings.longembed
        except ImportError as error:
            answer(str(error))
    """
    assert run_fresh(missing, tmp_path) == (
        "llama_index.core is not installed. "
        'Install it with: pip install "longembed-st[llama-index]"'
    )
