"""pcw against the description in LongEmbed, section 4.2, and `none`."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from compare import cosine, difference
from hypothesis import given
from hypothesis import strategies as st
from reference import windows
from reference.plain import PlainModel
from small_models import BERT_LIKE, ROBERTA_LIKE, text_of

import longembed_st as le
from longembed_methods.windows import parallel_windows


def test_vectors_of_a_real_model_equal_the_reference(minilm_folder):
    reference = PlainModel(minilm_folder, window=256)
    text = text_of(1024, reference.tokenizer)
    vector = le.load(str(minilm_folder), method="pcw").encode(text)
    expected = windows.embed(reference, text)
    assert cosine(vector, expected) > 0.99999
    assert difference(vector, expected) < 1e-5


@pytest.mark.parametrize(
    "model_type",
    [
        *("bert", "roberta", "mpnet"),
        *(
            pytest.param(other, marks=pytest.mark.slow)
            for other in (*BERT_LIKE[1:], *ROBERTA_LIKE[1:])
        ),
    ],
)
def test_every_family_equals_the_reference(small_model, model_type):
    folder = small_model(model_type)
    reference = PlainModel(folder, 64)
    model = le.load(str(folder), method="pcw")
    texts = [text_of(n, reference.tokenizer) for n in (65, 126, 127, 300)]
    expected = torch.stack([windows.embed(reference, text) for text in texts])
    assert difference(model.encode(texts), expected) < 1e-5


def test_a_model_of_unknown_kind_with_a_causal_attention_equals_the_reference(small_model):
    folder = small_model("gpt2", pooling="lasttoken", padding_side="left")
    reference = PlainModel(folder, 64, pooling="lasttoken", specials=(0, 0))
    model = le.load(str(folder), method="pcw")
    texts = [text_of(n, reference.tokenizer) for n in (300, 65, 129)]
    expected = torch.stack([windows.embed(reference, text) for text in texts])
    assert difference(model.encode(texts), expected) < 1e-5


@pytest.mark.parametrize(
    ("pooling", "prompt"),
    [("lasttoken", "query: "), (("mean", "cls", "max"), "")],
    ids=str,
)
def test_each_window_is_pooled_by_the_models_own_pooling(small_model, pooling, prompt):
    folder = small_model("bert", pooling=pooling, normalize=False)
    reference = PlainModel(folder, 64, pooling=pooling, normalize=False)
    model = le.load(str(folder), method="pcw")
    text = " " + text_of(200, reference.tokenizer)
    expected = windows.embed(reference, text, prompt=prompt)
    assert difference(model.encode(text, prompt=prompt or None), expected) < 1e-5


@pytest.mark.parametrize(
    ("model_type", "pooling", "prompt"),
    [("bert", "weightedmean", "query: "), ("xlm-roberta", "mean", "")],
)
def test_windows_leave_the_prompt_out_of_the_pooling_if_the_model_does(
    small_model, model_type, pooling, prompt
):
    folder = small_model(model_type, pooling=pooling, include_prompt=False)
    reference = PlainModel(folder, 64, pooling=pooling, include_prompt=False)
    model = le.load(str(folder), method="pcw")
    text = text_of(200, reference.tokenizer)
    expected = windows.embed(reference, text, prompt=prompt)
    assert difference(model.encode(text, prompt=prompt or None), expected) < 1e-5


@pytest.mark.parametrize(
    ("window", "overlap", "prompt"),
    [(64, 61, ""), (20, 15, "query: ")],
)
def test_smaller_and_overlapping_windows_equal_the_reference(small_model, window, overlap, prompt):
    folder = small_model("mpnet")
    reference = PlainModel(folder, 64)
    model = le.load(str(folder), method="pcw", window_size=window, overlap=overlap)
    text = text_of(150, reference.tokenizer)
    expected = windows.embed(reference, text, window=window, overlap=overlap, prompt=prompt)
    assert difference(model.encode(text, prompt=prompt or None), expected) < 1e-5
    pieces = windows.windows_of(reference, text, window=window, overlap=overlap, prompt=prompt)
    assert le.coverage(model, [text], prompt=prompt or None)[0].passes == len(pieces)


def test_small_windows_leave_texts_of_the_original_window_whole(small_model):
    folder = small_model("bert")
    reference = PlainModel(folder, 64)
    text = text_of(64, reference.tokenizer)
    model = le.load(str(folder), method="pcw", window_size=8)
    assert difference(model.encode(text), reference.embed(text)) < 1e-6


def test_there_is_no_upper_length(small_model):
    folder = small_model("bert")
    model = le.load(str(folder), method="pcw")
    assert model.long_transformer.max_seq_length is None
    reference = PlainModel(folder, 64)
    text = text_of(5_000, reference.tokenizer)
    (coverage,) = le.coverage(model, [text])
    assert (coverage.tokens, coverage.read) == (5_000, 5_000)
    assert coverage.passes == -(-(5_000 - 2) // 62)
    assert difference(model.encode(text), windows.embed(reference, text)) < 1e-5


# Cutting, without a model.

cuts = st.integers(1, 300).flatmap(
    lambda size: st.tuples(st.integers(0, 5000), st.just(size), st.integers(0, size - 1))
)


@given(cuts)
def test_windows_cover_the_text_without_a_gap_and_are_full(cut):
    n, size, overlap = cut
    ranges = parallel_windows(n, size, overlap)
    covered = {token for start, end in ranges for token in range(start, end)}
    assert covered == set(range(n))
    assert all(end - start == min(size, n) for start, end in ranges)
    assert all(start < next_start for (start, _), (next_start, _) in pairwise(ranges))
    # Neighbours share exactly the overlap, but for the last one, which is moved back.
    shared = [end - start for (_, end), (start, _) in pairwise(ranges)]
    assert all(tokens == overlap for tokens in shared[:-1])
    assert all(tokens >= overlap for tokens in shared[-1:])


@given(cuts)
def test_no_window_could_be_left_out(cut):
    n, size, overlap = cut
    fewest = 1 if n <= size else 1 + -(-(n - size) // (size - overlap))
    assert len(parallel_windows(n, size, overlap)) == fewest


def test_windows_that_never_advance_are_refused():
    for size, overlap in ((0, 0), (5, 5), (-3, 0)):
        with pytest.raises(le.ConfigError, match=f"{overlap}|{size}"):
            parallel_windows(100, size, overlap)


# Settings.


def method_of(**options):
    settings = {"method": "pcw", "original_max_seq_length": 512, "options": options}
    return le.ExtensionConfig(**settings).build_method()


def test_settings_that_make_no_sense_are_refused_by_name_and_value():
    for name, value in (
        *(("window_size", value) for value in (513, 3, 64.0, "64")),
        *(("overlap", value) for value in (-1, None, 512)),
    ):
        with pytest.raises(le.ConfigError, match=rf"{name}.*{value}"):
            method_of(**{name: value})


def test_none_reads_what_the_unmodified_model_reads(small_model):
    folder = small_model("roberta")
    reference = PlainModel(folder, 64)
    model = le.load(str(folder), method="none", on_overflow="truncate")
    assert model.max_seq_length == 64
    text = text_of(300, reference.tokenizer)
    ids = reference.tokenizer(text, truncation=True, max_length=64)["input_ids"]
    expected = reference.finish(reference.pool(reference.hidden(ids)))
    assert difference(model.encode(text), expected) < 1e-6
