"""What is said about text that is not read, and that what is counted is what was read."""

from __future__ import annotations

import re
import warnings

import numpy as np
import pytest
import torch
from compare import difference
from hypothesis import given, settings
from hypothesis import strategies as st
from sentence_transformers import SentenceTransformer
from small_models import text_of

import longembed_st as le
from longembed_st.base.coverage import Overflow


@pytest.fixture(scope="module")
def folder(small_model):
    return small_model("bert", prompts={"query": "query: ", "document": "passage: "})


@pytest.fixture(scope="module")
def model(folder):
    return le.load(str(folder), method="rp", max_seq_length=128)


def texts_of(model, lengths):
    return [text_of(n, model.tokenizer, seed) for seed, n in enumerate(lengths)]


def the_warning(caught):
    (warning,) = [w for w in caught if issubclass(w.category, le.TextNotReadWarning)]
    tokens, texts = re.search(r"(\d+) tokens of (\d+) texts?", str(warning.message)).groups()
    return int(tokens), int(texts), str(warning.message)


def test_one_warning_per_call_counts_all_batches(model):
    lengths = [128, 129, 200, 50, 300] * 20
    with pytest.warns(le.TextNotReadWarning) as caught:
        model.encode(texts_of(model, lengths), batch_size=32)
    tokens, texts, message = the_warning(caught)
    assert texts == 60
    assert tokens == 20 * (1 + 72 + 172)
    for part in ("128", "pcw", "max_seq_length", "truncate"):
        assert part in message


def test_the_warning_names_the_users_line(model):
    (text,) = texts_of(model, [200])
    with pytest.warns(le.TextNotReadWarning) as caught:
        model.encode(text)
    assert [w.filename for w in caught] == [__file__]


def test_nothing_is_said_if_all_was_read(folder, model):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for lengths in ([], [3, 64, 65, 128]):
            model.encode(texts_of(model, lengths))
        le.load(str(folder), method="pcw").encode(texts_of(model, [1000]))


def test_truncate_says_nothing_and_gives_the_same_vector(folder, model):
    quiet = le.load(str(folder), method="rp", max_seq_length=128, on_overflow="truncate")
    texts = texts_of(model, [200, 20])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        vectors = quiet.encode(texts)
    with pytest.warns(le.TextNotReadWarning):
        assert difference(model.encode(texts), vectors) < 1e-6


def test_error_refuses_and_says_how_to_go_on(folder):
    model = le.load(str(folder), method="rp", max_seq_length=128, on_overflow="error")
    texts = texts_of(model, [128, 129])
    model.encode(texts[:1])
    with pytest.raises(le.InputError, match=r"129 tokens.*128 tokens") as refusal:
        model.encode(texts)
    for part in (texts[1][:30], "pcw", "max_seq_length"):
        assert part in str(refusal.value)
    # What was counted until then is forgotten.
    other = le.load(str(folder), method="rp", max_seq_length=128)
    with pytest.warns(le.TextNotReadWarning) as caught:
        other.encode(texts_of(model, [130]))
    assert the_warning(caught)[:2] == (2, 1)


def test_stock_sentence_transformers_warns_too(folder, tmp_path):
    le.load(str(folder), method="rp", max_seq_length=128).save_pretrained(str(tmp_path / "m"))
    stock = SentenceTransformer(str(tmp_path / "m"), trust_remote_code=True)
    assert type(stock) is SentenceTransformer
    with pytest.warns(le.TextNotReadWarning) as caught:
        stock.encode(texts_of(stock, [200, 20, 129]))
    assert the_warning(caught)[:2] == (73, 2)


# Coverage.


def test_coverage_counts_exactly(folder):
    """By the tokens of a text: how many are read, and in how many passes."""
    rp, pcw = {"method": "rp", "max_seq_length": 128}, {"method": "pcw"}
    for extension, expected in (
        ({"method": "none"}, {10: (10, 1), 64: (64, 1), 65: (64, 1), 500: (64, 1)}),
        (rp, {64: (64, 1), 65: (65, 1), 128: (128, 1), 500: (128, 1)}),
        (pcw, {64: (64, 1), 65: (65, 2), 126: (126, 2), 127: (127, 3), 500: (500, 9)}),
        ({**pcw, "max_seq_length": 127}, {127: (127, 3), 128: (127, 3)}),
        ({**pcw, "overlap": 32}, {64: (64, 1), 65: (65, 2), 126: (126, 4)}),
    ):
        model = le.load(str(folder), **extension)
        coverages = le.coverage(model, texts_of(model, expected))
        counted = {each.tokens: (each.read, each.passes) for each in coverages}
        assert counted == expected, extension
        assert [each.share for each in coverages] == [each.read / each.tokens for each in coverages]


def test_coverage_counts_by_role(model):
    texts = texts_of(model, [127, 10])
    for role, arguments in (
        *((role, {"role": role}) for role in (None, "query", "document")),
        *(("document", each) for each in ({"prompt_name": "document"}, {"prompt": "passage: "})),
    ):
        coverages = le.coverage(model, texts, **arguments)
        with_vectors = model.encode_with_coverage(texts, role=role).coverages
        prompt = 0 if role is None else 2
        assert [each.tokens for each in coverages] == [127 + prompt, 10 + prompt]
        lost = max(prompt - 1, 0)
        for long in (coverages[0], with_vectors[0]):
            assert long.read == 127 + prompt - lost
            expected = (lost, 0) if role == "query" else (0, lost)
            assert (long.query_lost, long.document_lost) == expected


def test_coverage_says_nothing_and_computes_nothing(model, monkeypatch):
    monkeypatch.setattr(type(model[0].model), "forward", None)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert le.coverage(model, texts_of(model, [500]))[0].read == 128


def test_coverage_of_nothing_and_what_is_refused(folder, model):
    assert le.coverage(model, []) == []
    assert le.Coverage(tokens=0, read=0, passes=1).share == 1.0
    with pytest.raises(le.LongEmbedError, match="list"):
        le.coverage(model, "ban ban")
    with pytest.raises(le.ConfigError, match=r"summarize.*query"):
        le.coverage(model, ["ban"], prompt_name="summarize")
    with pytest.raises(le.ModelError, match="extend"):
        le.coverage(SentenceTransformer(str(folder)), ["ban"])


def test_a_prompt_that_fills_the_window_reads_nothing_of_the_text(model):
    (coverage,) = le.coverage(model, ["ban ban"], prompt="ban " * 200)
    assert coverage.tokens == 204
    assert 0 <= coverage.read <= 128
    assert coverage.spans == () or all(start == end for start, end in coverage.spans)


OVERLAPPING = {"method": "pcw", "window_size": 20, "overlap": 5}
TEXT = (
    "Ban  bar,\n\nbast; DEN der-dest?  fion\tfior!  Grüße àé xyz 12345 東京 🗼 end. "
    "query: title passage represent. "
)


@pytest.mark.parametrize(
    ("model_type", "extension", "prompt"),
    [
        ("roberta", OVERLAPPING, "query: "),
        ("mpnet", {"method": "pi", "max_seq_length": 512}, "query: "),
    ],
    ids=str,
)
def test_spans_say_which_characters_each_window_read(small_model, model_type, extension, prompt):
    model = le.load(str(small_model(model_type)), **extension)
    tokenizer = model.tokenizer
    text = TEXT * 5
    (coverage,) = le.coverage(model, [text], prompt=prompt)
    assert len(coverage.spans) == coverage.passes
    # Nothing between windows, nor before and after them, holds a token.
    edges = [0, *(edge for span in coverage.spans for edge in span), len(text)]
    for end, start in zip(edges[0::2], edges[1::2], strict=True):
        assert not text[end:start].strip(), "a gap that holds text"
    # The tokens of all windows are the tokens of the text.
    encoding = tokenizer(
        (prompt or "") + text, add_special_tokens=False, return_offsets_mapping=True
    )
    shift = len(prompt or "")
    offsets = [(a - shift, b - shift) for a, b in encoding["offset_mapping"] if b > shift]
    for start, end in coverage.spans:
        inside = [(a, b) for a, b in offsets if a >= start and b <= end]
        assert min(a for a, _ in inside) == start
        assert max(b for _, b in inside) == end
    read = {i for i, (a, b) in enumerate(offsets) for s, e in coverage.spans if a >= s and b <= e}
    assert read == set(range(len(offsets)))


def test_spans_end_where_reading_ends(model):
    text = TEXT * 20
    (coverage,) = le.coverage(model, [text])
    ((start, end),) = coverage.spans
    kept = model.tokenizer(text, truncation=True, max_length=128)["input_ids"]
    assert start == 0
    assert model.tokenizer(text[start:end])["input_ids"] == kept


@settings(max_examples=25)
@given(text=st.text(max_size=300), size=st.integers(8, 64))
def test_coverage_holds_for_any_text(folder, text, size):
    model = le.load(str(folder), method="pcw", window_size=size)
    (coverage,) = le.coverage(model, [text])
    assert coverage.tokens == coverage.read == len(model.tokenizer(text)["input_ids"])
    for start, end in coverage.spans:
        assert 0 <= start <= end <= len(text)


# Vectors and coverage together.


def test_vectors_and_coverages_come_together_in_the_callers_order(model):
    texts = texts_of(model, [200, 10, 64, 65, 10, 128, 500])
    texts.append(texts[0])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = model.encode_with_coverage(texts, role="document")
    with pytest.warns(le.TextNotReadWarning):
        expected = model.encode_document(texts)
    assert result.vectors.dtype == np.float32
    assert difference(result.vectors, expected) < 1e-6
    counted = le.coverage(model, texts, prompt_name="document")
    assert [(coverage.tokens, coverage.read, coverage.passes) for coverage in result.coverages] == [
        (coverage.tokens, coverage.read, coverage.passes) for coverage in counted
    ]
    assert len(result) == len(texts)


def test_a_prompt_of_ones_own_takes_the_place_of_the_roles(model):
    texts = texts_of(model, [10, 200])
    result = model.encode_with_coverage(texts, role="query", prompt="passage: ")
    with pytest.warns(le.TextNotReadWarning):
        assert difference(result.vectors, model.encode_document(texts)) < 1e-6
    bare = model.encode_with_coverage(texts, role="query", prompt="")
    assert [coverage.tokens for coverage in bare.coverages] == [10, 200]


def test_the_prompt_of_a_role_is_the_one_of_sentence_transformers(folder):
    stock = SentenceTransformer(str(folder))
    model = le.extend(stock, "pcw")
    encode = {"query": stock.encode_query, "document": stock.encode_document, None: stock.encode}
    for prompts, role, chosen in (
        ({"query": "q: ", "document": "d: ", "passage": "p: "}, "query", "q: "),
        ({"query": "q: ", "document": "d: ", "passage": "p: "}, "document", "d: "),
        ({"query": "q: ", "passage": "p: ", "corpus": "c: "}, "document", "p: "),
        ({"title": "t: "}, None, None),
    ):
        stock.prompts = model.prompts = prompts
        assert model.prompt_of(role) == chosen
        vectors = model.encode_with_coverage(["ban"], role=role).vectors
        assert difference(vectors[0], encode[role]("ban")) < 1e-6


def test_a_default_prompt_holds_where_the_role_has_none(folder):
    model = le.load(str(folder), "pcw", default_prompt_name="query")
    model.prompts = {"query": "query: "}
    assert model.prompt_of("document") == model.prompt_of(None) == "query: "


def test_many_texts_are_read_in_groups_and_come_back_whole(model, monkeypatch):
    monkeypatch.setattr("longembed_st.base.long_model.CHARACTERS_AT_ONCE", 300)
    texts = texts_of(model, [10, 64, 65, 100, 128, 3])
    result = model.encode_with_coverage(texts)
    assert [coverage.tokens for coverage in result.coverages] == [10, 64, 65, 100, 128, 3]
    assert difference(result.vectors, model.encode(texts)) < 1e-6


def test_vectors_with_coverage_have_the_width_of_the_model(folder):
    half = {"model_kwargs": {"dtype": torch.bfloat16}}
    model = le.load(str(folder), method="rp", max_seq_length=128, truncate_dim=8, **half)
    texts = texts_of(model, [10, 100])
    result = model.encode_with_coverage(texts)
    assert result.vectors.shape == (2, 8)
    assert result.vectors.dtype == np.float32
    assert difference(result.vectors, model.encode(texts, convert_to_tensor=True)) < 1e-2
    nothing = model.encode_with_coverage([])
    assert (nothing.vectors.shape, nothing.coverages) == ((0, 8), [])


def test_what_is_too_long_or_no_text_is_refused_here_too(folder, model):
    strict = le.load(str(folder), method="rp", max_seq_length=128, on_overflow="error")
    with pytest.raises(le.InputError, match="129 tokens"):
        strict.encode_with_coverage(texts_of(strict, [10, 129]))
    with pytest.raises(le.InputError, match="input 1 is a NoneType"):
        model.encode_with_coverage(["ban", None])
    with pytest.raises(le.InputError, match="list"):
        model.encode_with_coverage("ban ban")


def test_queries_that_fit_exactly_are_not_reported():
    config = le.ExtensionConfig(method="pcw", original_max_seq_length=64)
    overflow = Overflow()
    overflow.count_query(16, 16, config)
    assert overflow.queries == 0
    overflow.count_query(17, 16, config)
    with pytest.warns(le.TextNotReadWarning, match="1 tokens of 1 query.*16 of 17 tokens"):
        overflow.warn(config, stacklevel=1)
