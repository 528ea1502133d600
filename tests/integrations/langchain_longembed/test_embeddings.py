"""What LongEmbedEmbeddings takes over from HuggingFaceEmbeddings, and what it does better."""

from __future__ import annotations

import asyncio
import copy
import pickle
import re
import threading
from typing import Any

import numpy as np
import pytest
import torch
from compare import cosine, difference
from fresh_process import run_fresh
from pydantic import ValidationError

pytest.importorskip("langchain_core")


import longembed_st as le
from langchain_longembed import LongEmbedEmbeddings

LONG = "gan fer\n\nbiost,  kan  " * 60
TEXTS = [LONG, "a short note", LONG + "zin"]
PROMPTS = {"query": "query ", "document": "passage "}


@pytest.fixture(scope="module")
def bert(small_model) -> str:
    return str(small_model("bert", prompts=PROMPTS))


def test_vectors_are_those_of_the_core_as_plain_floats(bert) -> None:
    embeddings = LongEmbedEmbeddings(model_name=bert, method="pcw")
    vectors = embeddings.embed_documents(TEXTS)
    assert {type(number) for vector in vectors for number in vector} == {float}
    assert difference(vectors, le.load(bert, "pcw").encode_document(TEXTS)) < 1e-6
    assert embeddings.embed_documents([]) == []


def test_documents_may_be_any_iterable(bert) -> None:
    embeddings = LongEmbedEmbeddings(model_name=bert, method="pcw")
    expected = embeddings.embed_documents(TEXTS)
    for kind in (tuple, iter, np.array):
        assert difference(embeddings.embed_documents(kind(TEXTS)), expected) < 1e-6
    with pytest.raises(le.InputError, match="a list of texts"):
        embeddings.embed_documents("one text")


def test_queries_and_documents_get_the_prompts_stored_with_the_model(bert) -> None:
    embeddings = LongEmbedEmbeddings(model=bert, method="pcw")
    model = le.load(bert, "pcw")
    query = embeddings.embed_query(LONG)
    assert {type(number) for number in query} == {float}
    assert difference(query, model.encode(LONG, prompt="query ")) < 1e-6
    documents = embeddings.embed_documents([LONG])
    assert difference(documents, model.encode([LONG], prompt="passage ")) < 1e-6
    assert difference(query, documents[0]) > 1e-3


def test_the_text_reaches_the_model_unaltered(bert, monkeypatch) -> None:
    embeddings = LongEmbedEmbeddings(model=bert, method="pcw")
    seen: list[str] = []
    model = embeddings.sentence_transformer
    tokenize_texts = model.long_transformer.tokenize_texts

    def watched(inputs, prompt, **need):
        seen.extend(inputs)
        return tokenize_texts(inputs, prompt, **need)

    monkeypatch.setattr(model.long_transformer, "tokenize_texts", watched)
    embeddings.embed_documents(["one\ntwo\r\n three "])
    embeddings.embed_query("four\nfive")
    assert set(seen) == {"one\ntwo\r\n three ", "four\nfive"}


def test_a_methods_options_are_given_by_name_or_together(bert) -> None:
    by_name = LongEmbedEmbeddings(model=bert, method="pcw", overlap=4, window_size=32)
    together = LongEmbedEmbeddings(
        model=bert, method="pcw", method_options={"window_size": 32, "overlap": 4}
    )
    assert by_name == together
    assert by_name.method_options == {"overlap": 4, "window_size": 32}
    assert by_name.sentence_transformer is together.sentence_transformer
    expected = le.load(bert, "pcw", overlap=4, window_size=32).encode_document(TEXTS)
    assert difference(by_name.embed_documents(TEXTS), expected) < 1e-6


def test_every_setting_of_load_reaches_the_model(bert) -> None:
    settings = {
        "method": "gp",
        "max_seq_length": 256,
        "original_max_seq_length": 32,
        "logn_scaling": True,
        "on_overflow": "truncate",
        "token_budget": 512,
    }
    embeddings = LongEmbedEmbeddings(model=bert, **settings)
    extension = embeddings.sentence_transformer.long_transformer.extension
    assert {name: getattr(extension, name) for name in settings} == settings
    assert embeddings.model_dump(include=set(settings)) == settings
    assert embeddings.fingerprint == le.fingerprint(le.load(bert, **settings))
    # What LangChain's LocalFileStore takes as a key, which becomes the name of a file.
    assert re.fullmatch(r"[a-zA-Z0-9_.\-]+", embeddings.cache_namespace)
    assert embeddings.cache_namespace.endswith(embeddings.fingerprint.split(":")[1])


def test_the_fields_tell_what_auto_and_the_defaults_came_to(bert) -> None:
    embeddings = LongEmbedEmbeddings(model=bert)
    assert embeddings.method == le.load(bert).long_transformer.extension.method != "auto"
    assert embeddings.original_max_seq_length == 64


def test_wrong_settings_are_refused_by_name(bert) -> None:
    for settings, message in (
        ({"metod": "pcw"}, "metod='pcw': Extra inputs are not permitted"),
        ({"method": "gp", "window_size": 32}, "window_size=32"),
        ({"model_kwargs": {"method": "gp"}}, "model_kwargs.*'method'"),
    ):
        with pytest.raises(le.ConfigError, match=message):
            LongEmbedEmbeddings(model=bert, **settings)


def test_a_setting_cannot_be_changed_without_loading(bert) -> None:
    embeddings = LongEmbedEmbeddings(model=bert, method="pcw")
    with pytest.raises(ValidationError, match="frozen"):
        embeddings.method = "gp"


def test_model_kwargs_reach_sentence_transformers(bert) -> None:
    kwargs = {"truncate_dim": 8, "prompts": {"query": "title "}, "device": "cpu"}
    embeddings = LongEmbedEmbeddings(model=bert, method="pcw", model_kwargs=kwargs)
    expected = le.load(bert, "pcw").encode(LONG, prompt="title ", truncate_dim=8)
    assert difference(embeddings.embed_query(LONG), expected) < 1e-6


def test_encode_kwargs_serve_queries_too_unless_these_have_their_own(bert) -> None:
    documents = {"prompt": "title ", "batch_size": 1}
    queries = {"prompt": "represent "}
    model = le.load(bert, "pcw")
    one = LongEmbedEmbeddings(model=bert, method="pcw", encode_kwargs=documents)
    two = LongEmbedEmbeddings(
        model=bert, method="pcw", encode_kwargs=documents, query_encode_kwargs=queries
    )
    title, represent = model.encode(LONG, prompt="title "), model.encode(LONG, prompt="represent ")
    assert difference(one.embed_documents([LONG])[0], title) < 1e-6
    assert difference(one.embed_query(LONG), title) < 1e-6
    assert difference(two.embed_documents([LONG])[0], title) < 1e-6
    assert difference(two.embed_query(LONG), represent) < 1e-6


def test_several_processes_apply_every_setting(bert, monkeypatch) -> None:
    embeddings = LongEmbedEmbeddings(
        model=bert,
        method="pcw",
        window_size=32,
        multi_process=True,
        encode_kwargs={"device": ["cpu", "cpu"], "prompt": "title ", "truncate_dim": 8},
    )
    started = []
    start = le.LongSentenceTransformer.start_multi_process_pool

    def watched(model, devices):
        started.append(devices)
        return start(model, devices)

    monkeypatch.setattr(le.LongSentenceTransformer, "start_multi_process_pool", watched)
    vectors = embeddings.embed_documents(TEXTS)
    assert started == [["cpu", "cpu"]]
    assert {type(number) for vector in vectors for number in vector} == {float}
    alone = le.load(bert, "pcw", window_size=32)
    expected = alone.encode(TEXTS, prompt="title ", truncate_dim=8)
    assert difference(vectors, expected) < 1e-6


@pytest.mark.slow
def test_other_threads_may_use_the_model_while_processes_run(bert) -> None:
    settings = {"method": "pcw", "window_size": 32}
    many = LongEmbedEmbeddings(
        model=bert, multi_process=True, encode_kwargs={"device": ["cpu", "cpu"]}, **settings
    )
    one = LongEmbedEmbeddings(model=bert, **settings)
    model = many.sentence_transformer
    assert one.sentence_transformer is model
    places = [parameter.data_ptr() for parameter in model.parameters()]
    expected = one.embed_documents(TEXTS)
    ended = threading.Event()
    seen: list[Any] = []

    def keep_encoding() -> None:
        while not ended.is_set():
            seen.append(one.embed_documents(TEXTS))

    threads = [threading.Thread(target=keep_encoding) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        vectors = many.embed_documents(TEXTS)
    finally:
        ended.set()
        for thread in threads:
            thread.join()
    assert len(seen) > 2
    assert all(difference(one_of_them, expected) < 1e-6 for one_of_them in [*seen, vectors])
    assert [parameter.data_ptr() for parameter in model.parameters()] == places


def test_a_progress_bar_is_shown_on_demand(bert, capfd) -> None:
    for wanted in (True, False):
        embeddings = LongEmbedEmbeddings(model=bert, method="pcw", show_progress=wanted)
        capfd.readouterr()
        embeddings.embed_documents(TEXTS)
        assert ("Batches" in capfd.readouterr().err) is wanted


def test_async_calls_leave_the_event_loop_free(bert, monkeypatch) -> None:
    embeddings = LongEmbedEmbeddings(model=bert, method="pcw")
    model, loop_ran = embeddings.sentence_transformer, threading.Event()

    def wait_for_the_loop(texts, **kwargs):
        assert loop_ran.wait(300), "the event loop stood still"
        return torch.zeros(len(texts), 2)

    monkeypatch.setattr(model, "encode_document", wait_for_the_loop)
    monkeypatch.setattr(model, "encode_query", wait_for_the_loop)

    async def embed():
        work = asyncio.gather(embeddings.aembed_documents(["a", "b"]), embeddings.aembed_query("c"))
        await asyncio.sleep(0.01)
        loop_ran.set()
        return await work

    assert asyncio.run(embed()) == [[[0.0, 0.0], [0.0, 0.0]], [0.0, 0.0]]


def test_copies_and_pickles_share_the_model(bert) -> None:
    embeddings = LongEmbedEmbeddings(model=bert, method="pcw", encode_kwargs={"truncate_dim": 8})
    pickled = pickle.dumps(embeddings)
    assert len(pickled) < 2000
    for twin in (copy.deepcopy(embeddings), pickle.loads(pickled)):
        assert twin == embeddings
        assert twin.sentence_transformer is embeddings.sentence_transformer
        assert twin.embed_query("a") == embeddings.embed_query("a")


def test_langchain_chroma_stores_and_finds_whole_documents(minilm_folder, tmp_path) -> None:
    chroma = pytest.importorskip("langchain_chroma")
    embeddings = LongEmbedEmbeddings(model=str(minilm_folder), method="pcw")
    filler = "The minutes of the meeting were read and approved by everyone. " * 25
    cat = filler + "The cat sleeps on the warm sofa.\n" * 15
    bank = filler + "The central bank raised interest rates.\n" * 15
    settings = {
        "collection_name": "whole",
        "embedding_function": embeddings,
        "persist_directory": str(tmp_path),
    }
    chroma.Chroma(**settings).add_texts([cat, bank], [{"n": 1}, {"n": 2}], ids=["cat", "bank"])
    reopened = chroma.Chroma(**settings)
    ((document, _),) = reopened.similarity_search_with_score("monetary policy", k=1)
    assert document.id == "bank"
    assert document.page_content == bank
    assert document.metadata == {"n": 2}
    stored = reopened.get(["cat"], include=["embeddings"])["embeddings"][0]
    assert cosine(stored, embeddings.embed_documents([cat])[0]) > 0.999999


def test_a_guarded_chroma_store_takes_vectors_of_one_kind(small_model, tmp_path) -> None:
    chroma = pytest.importorskip("langchain_chroma")
    import chromadb

    from chroma_longembed import guard, open_collection

    bert = str(small_model("bert"))
    client = chromadb.PersistentClient(str(tmp_path))
    embeddings = LongEmbedEmbeddings(model=bert, method="pcw")
    for texts in (["ban cor"], ["dim fel"]):
        guard(client, "papers", embeddings)
        store = chroma.Chroma(
            client=client, collection_name="papers", embedding_function=embeddings
        )
        store.add_texts(texts)
    assert open_collection(client, "papers").count() == 2
    with pytest.raises(le.ConfigError, match="window_size is 64 in the store, 32 now"):
        guard(client, "papers", LongEmbedEmbeddings(model=bert, method="pcw", window_size=32))
    client.create_collection("theirs", embedding_function=None)
    with pytest.raises(le.ConfigError, match="was not made by longembed"):
        guard(client, "theirs", embeddings)


def test_importing_the_package_is_light_and_a_missing_extra_named(tmp_path) -> None:
    light = """
        import langchain_longembed
        answer(sorted({"torch", "transformers", "sentence_transformers"} & sys.modules.keys()))
    """
    assert run_fresh(light, tmp_path) == []
    missing = """
        sys.modules["langchain_core"] = None
        try:
            import langchain_longembed
        except ImportError as error:
            answer(str(error))
    """
    message = run_fresh(missing, tmp_path)
    assert message == (
        'langchain_core is not installed. Install it with: pip install "longembed-st[langchain]"'
    )
