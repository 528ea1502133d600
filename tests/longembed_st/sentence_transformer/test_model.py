"""encode and its relatives on an extended model."""

from __future__ import annotations

import threading
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from compare import difference
from reference import absolute
from reference.plain import PlainModel
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.model import BaseModel
from small_models import WORDS, text_of

import longembed_st as le

PROMPTS = {"query": "query: ", "document": "passage: ", "title": "title"}
LENGTHS = (200, 5, 64, 65, 30, 256, 65)


@pytest.fixture(scope="module")
def folder(small_model):
    return small_model("roberta", prompts=PROMPTS)


@pytest.fixture(scope="module")
def model(folder):
    return le.load(str(folder), method="pi", max_seq_length=300)


@pytest.fixture(scope="module")
def texts(model):
    return [text_of(n, model.tokenizer, seed) for seed, n in enumerate(LENGTHS)]


@pytest.fixture(scope="module")
def expected(folder, texts):
    """The vectors of a plain encoder, by prompt."""
    plain = PlainModel(folder, 64, 2)

    def of(prompt):
        return torch.stack(
            [absolute.embed(plain, text, "pi", 300, prompt=prompt) for text in texts]
        )

    return {prompt: of(prompt) for prompt in ("", *PROMPTS.values())}


def test_results_come_in_the_callers_order(model, texts, expected):
    vectors = model.encode(texts, batch_size=3)
    assert vectors.shape == (len(texts), 32)
    assert difference(vectors, expected[""]) < 1e-5


def test_queries_and_documents_get_their_prompts(model, texts, expected):
    assert difference(model.encode_query(texts), expected["query: "]) < 1e-5
    assert difference(model.encode_document(texts), expected["passage: "]) < 1e-5
    assert difference(model.encode(texts, prompt_name="title"), expected["title"]) < 1e-5
    assert difference(model.encode(texts, prompt="title"), expected["title"]) < 1e-5
    assert difference(expected["query: "], expected["passage: "]) > 1e-3


def test_a_default_prompt_is_used_and_counted(folder, texts, expected):
    model = le.load(
        str(folder), method="pi", max_seq_length=300, default_prompt_name="query", prompts=PROMPTS
    )
    assert difference(model.encode(texts), expected["query: "]) < 1e-5
    plain = [coverage.tokens for coverage in le.coverage(model, texts, prompt="")]
    assert plain == list(LENGTHS)
    assert all(a.tokens > b for a, b in zip(le.coverage(model, texts), plain, strict=True))


def test_the_forms_of_texts_and_of_results(model, texts, expected):
    for kind in (tuple, np.array):
        assert difference(model.encode(kind(texts)), expected[""]) < 1e-5
    assert difference(model.encode(sentences=texts), expected[""]) < 1e-5
    assert difference(model.encode(texts[0]), expected[""][0]) < 1e-5
    tensor = model.encode(texts, convert_to_tensor=True)
    assert isinstance(tensor, torch.Tensor)
    assert difference(tensor, expected[""]) < 1e-5
    listed = model.encode(texts, convert_to_numpy=False)
    assert isinstance(listed, list)
    assert difference(torch.stack(listed), expected[""]) < 1e-5
    first = model.encode(texts[0], output_value=None)
    assert difference(first["sentence_embedding"], expected[""][0]) < 1e-5
    for bad in (None, 7, ["ban", b"ban"], ["ban", {"image": "ban"}]):
        with pytest.raises(le.InputError, match=r"input [01] is a .*, not a string"):
            model.encode(bad, batch_size=1)


def test_a_dict_with_a_text_is_a_text(model, texts, expected):
    assert difference(model.encode([{"text": text} for text in texts]), expected[""]) < 1e-5
    assert difference(model.encode({"text": texts[0]}), expected[""][0]) < 1e-5
    assert model.preprocess([{"text": texts[0]}])["input_ids"].ndim == 2
    with pytest.raises(le.InputError, match="input 0 is a dict, not a string"):
        model.encode([{"text": texts[0], "image": "a.png"}])


def test_features_of_short_texts_are_those_of_the_stock_class(folder):
    stock = SentenceTransformer(str(folder), device="cpu")
    model = le.load(str(folder), "pcw", device="cpu")
    assert model.get_model_kwargs() == stock.get_model_kwargs() == []
    short = text_of(20, model.tokenizer)
    for settings in ({}, {"prompt": "query: ", "truncate_dim": 8}):
        (expected,) = stock.encode([short], output_value=None, **settings)
        features, long = model.encode(
            [short, text_of(300, model.tokenizer)], output_value=None, **settings
        )
        assert features.keys() == expected.keys()
        assert long.keys() == expected.keys() - {"token_embeddings"}
        for name, value in expected.items():
            if isinstance(value, torch.Tensor):
                torch.testing.assert_close(features[name], value, atol=1e-5, rtol=0)
            else:
                assert features[name] == value


def test_vectors_can_be_cut_and_normalized(model, folder, texts, expected):
    cut = expected[""][:, :8]
    assert difference(model.encode(texts, truncate_dim=8), cut) < 1e-5
    unit = cut / cut.norm(dim=1, keepdim=True)
    vectors = model.encode(texts, truncate_dim=8, normalize_embeddings=True)
    assert difference(vectors, unit) < 1e-5
    settled = le.load(str(folder), method="pi", max_seq_length=300, truncate_dim=8)
    assert difference(settled.encode(texts), cut) < 1e-5
    assert settled.get_embedding_dimension() == 8


# Several processes, and threads beside them.


@pytest.fixture(scope="module")
def strict(folder):
    """Refuses what it does not read."""
    return le.load(str(folder), method="pi", max_seq_length=256, on_overflow="error")


def test_threads_encode_while_a_pool_starts_and_runs(strict, texts):
    """The model is where and as it was all the while; the pool gives the same vectors."""
    texts = texts[:4]
    alone = strict.encode_query(texts)
    weights = [(name, p, p.data_ptr()) for name, p in strict.named_parameters()]
    stop = threading.Event()

    def encode_all_along():
        vectors = []
        while not (vectors and stop.is_set()):
            vectors.append(strict.encode_query(texts))
        return vectors

    with ThreadPoolExecutor(2) as threads:
        beside = [threads.submit(encode_all_along) for _ in range(2)]
        pool = strict.start_multi_process_pool(["cpu"])
        try:
            many = strict.encode_query(texts, pool=pool, chunk_size=2)
            stop.set()
            with pytest.raises(le.InputError, match="258 tokens"):
                strict.encode_query([*texts, text_of(256, strict.tokenizer)], pool=pool)
        finally:
            stop.set()
            strict.stop_multi_process_pool(pool)
    for vectors in (many, *(result for task in beside for result in task.result())):
        assert difference(vectors, alone) < 1e-6
    assert not any(p.is_shared() for p in strict.parameters())
    assert [(n, p, p.data_ptr()) for n, p in strict.named_parameters()] == weights


@pytest.mark.parametrize("where", [{"device": ["cpu", "cpu"]}, {"pool": {}}], ids=str)
def test_what_worker_processes_do_not_read_is_counted_here_once(folder, monkeypatch, where):
    def work(self, inputs, **arguments):
        return torch.zeros(len(inputs), 32)

    monkeypatch.setattr(SentenceTransformer, "_multi_process", work)
    model = le.load(str(folder), method="rp", max_seq_length=128)
    texts = [text_of(n, model.tokenizer) for n in (100, 127, 200)]
    unread = sum(item.tokens - item.read for item in le.coverage(model, texts, prompt="query: "))
    with pytest.warns(le.TextNotReadWarning, match=f"{unread} tokens of 2 texts") as caught:
        model.encode(texts, prompt="query: ", **where)
    assert len(caught) == 1


def test_worker_processes_do_not_warn_themselves(folder, monkeypatch):
    started = []
    monkeypatch.setattr(
        BaseModel, "start_multi_process_pool", lambda model, devices: started.append(model)
    )
    model = le.load(str(folder), method="rp", max_seq_length=128)
    model.start_multi_process_pool(["cpu"])
    (worker,) = started
    text = text_of(200, model.tokenizer)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        worker(worker.preprocess([text]))
    with pytest.warns(le.TextNotReadWarning):
        model.preprocess([text])


def test_token_embeddings_are_those_of_the_tokens(small_model):
    """A row a token of the tokenizer, as stock sentence-transformers gives them where it can."""
    folder = str(small_model("bert", positions=64))
    stock, pcw = SentenceTransformer(folder), le.load(folder, "pcw")
    short, long = "ban bar bast", " ".join(WORDS[:50] * 4)
    for inputs in (short, [short, "ban"]):
        expected = stock.encode(inputs, output_value="token_embeddings")
        own = pcw.encode(inputs, output_value="token_embeddings")
        pairs = [(own, expected)] if inputs is short else zip(own, expected, strict=True)
        for rows, stock_rows in pairs:
            torch.testing.assert_close(rows, stock_rows, atol=1e-5, rtol=0)
    for settings in ({"method": "pcw"}, {"method": "pcw", "overlap": 8}, {"method": "pi"}):
        model = le.load(folder, **settings)
        states = model.encode(long, output_value="token_embeddings")
        assert states.shape == (len(model.tokenizer(long)["input_ids"]), 32)
    # A window's rows are those of the window read alone.
    (coverage,) = le.coverage(pcw, [long])
    states = pcw.encode(long, output_value="token_embeddings")
    start, end = coverage.spans[1]
    alone = stock.encode(long[start:end], output_value="token_embeddings")
    torch.testing.assert_close(states[63 : 63 + 62], alone[1:-1], atol=1e-5, rtol=0)


def test_settings_that_would_cut_unseen_are_refused(model):
    with pytest.raises(le.InputError, match="processing_kwargs"):
        model.encode("ban", processing_kwargs={"text": {"max_length": 8, "truncation": True}})


def test_strange_texts_get_the_vector_of_the_unmodified_model(minilm_folder):
    stock = SentenceTransformer(str(minilm_folder))
    model = le.extend(stock, method="pcw")
    for text in ("", " ", "\n\t ", "\x00", "\u200b", "…", "🗼" * 300):
        vector = model.encode(text)
        assert np.isfinite(vector).all()
        if len(stock.tokenizer(text)["input_ids"]) <= 256:
            assert difference(vector, stock.encode(text)) < 1e-6, repr(text)


def test_a_text_without_any_token_is_refused(small_model):
    model = le.load(str(small_model("gpt2", pooling="mean")), method="pcw")
    assert model.tokenizer("")["input_ids"] == []
    for texts in ([""], ["ban", "", "ban bar " * 100]):
        with pytest.raises(le.InputError, match="no tokens"):
            model.encode(texts)


def test_a_prompt_longer_than_the_window_is_refused_with_the_way_out(small_model):
    for extension in ({"method": "pcw"}, {"method": "pi", "max_seq_length": 128}):
        model = le.load(str(small_model("bert")), **extension)
        with pytest.raises(le.LongEmbedError, match=r"prompt.*(shorter|larger)"):
            model.encode("ban", prompt="bar " * 200)


@pytest.mark.parametrize(
    "repeats", [5_000, pytest.param(200_000, marks=pytest.mark.slow)], ids=["125 kB", "5 MB"]
)
def test_huge_texts_get_a_vector(small_model, repeats):
    model = le.load(str(small_model("distilbert", positions=512)), method="pcw")
    text = "ban bar bast den der dest " * repeats
    result = model.encode_with_coverage([text])
    assert result.coverages[0].read == result.coverages[0].tokens == 6 * repeats + 2
    (vector,) = result.vectors
    assert np.isfinite(vector).all()
    assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-5)


def test_the_pooling_can_leave_the_prompt_out(folder):
    stock = SentenceTransformer(str(folder))
    model = le.extend(stock, method="pcw")
    for encoder in (stock, model):
        encoder.set_pooling_include_prompt(False)
    vectors = [encoder.encode("ban bar", prompt="query: ") for encoder in (stock, model)]
    assert difference(*vectors) < 1e-6
