"""Vectors of parts of a text: which characters they stand for, and what they are made of."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from fuzzing import FEW, MANY, check
from hypothesis import strategies as st
from longembed_st.sentence_transformer.spans import read_spans
from small_models import WORDS

import longembed_st as le
from longembed_st.errors import ConfigError, InputError

METHODS = {
    "pcw": {"method": "pcw"},
    "pi": {"method": "pi", "max_seq_length": 512},
}


def sentences(count: int, seed: int = 0) -> str:
    draw = np.random.default_rng(seed)
    parts = [" ".join(draw.choice(WORDS, draw.integers(4, 14))).capitalize() for _ in range(count)]
    return ". ".join(parts) + "."


@pytest.fixture(scope="module")
def folder(small_model) -> str:
    return str(small_model("bert", positions=64))


@pytest.fixture(scope="module", params=METHODS)
def model(request, folder):
    return le.load(folder, **METHODS[request.param])


def covers(result: le.SpanVectors, text: str) -> None:
    """From the first character to the last, without a gap, in order."""
    assert len(result) == len(result.vectors) == len(result.spans) >= 1
    assert result.spans[0][0] == 0
    assert result.spans[-1][1] == len(text)
    for (a, b), (c, d) in zip(result.spans, result.spans[1:], strict=False):
        assert a <= c <= b <= d


@pytest.mark.parametrize("span_tokens", [None, 16])
def test_the_document_vector_is_that_of_encode(model, span_tokens) -> None:
    texts = ["ban", sentences(3), sentences(60), sentences(25, 1)]
    results = model.encode_spans(texts, span_tokens=span_tokens)
    expected = model.encode_document(texts)
    for result, text, vector in zip(results, texts, expected, strict=True):
        np.testing.assert_allclose(result.document, vector, atol=1e-6)
        covers(result, text)
        assert result.coverage == le.coverage(model, [text])[0] or result.coverage.spans == ()
    alone = [model.encode_spans([text], span_tokens=span_tokens)[0] for text in texts]
    for result, single in zip(results, alone, strict=True):
        assert result.spans == single.spans
        np.testing.assert_allclose(result.vectors, single.vectors, atol=1e-6)


def test_windows_are_the_spans_of_pcw(folder) -> None:
    """Each is the vector of its window, read alone as a text of its own."""
    model = le.load(folder, "pcw")
    text = sentences(60)
    (result,) = model.encode_spans([text])
    (coverage,) = le.coverage(model, [text])
    assert [text[a:b].strip() for a, b in result.spans] == [text[a:b] for a, b in coverage.spans]
    windows = [text[a:b] for a, b in coverage.spans]
    np.testing.assert_allclose(result.vectors, model.encode(windows), atol=1e-5)


def test_spans_of_one_pass_know_what_stands_around_them(folder) -> None:
    """Late chunking: the mean of the token embeddings of the whole pass, by hand."""
    model = le.load(folder, "pi", max_seq_length=512)
    text = sentences(30)
    (result,) = model.encode_spans([text], span_tokens=32)
    ids = model.tokenizer(text, return_tensors="pt", return_offsets_mapping=True)
    with torch.inference_mode():
        tokens = model[0].token_embeddings(ids["input_ids"])[0].numpy()
    offsets = ids["offset_mapping"][0].tolist()
    for (start, end), vector in zip(result.spans, result.vectors, strict=True):
        inside = [i for i, (a, b) in enumerate(offsets) if start <= a < end and b > a]
        mean = tokens[inside].mean(axis=0)
        np.testing.assert_allclose(vector, mean / np.linalg.norm(mean), atol=1e-5)
    assert max(b - a for a, b in result.spans) < len(text) / 3


@pytest.mark.parametrize("method", ["pcw", "pi"])
def test_spans_end_with_sentences_and_lines_where_one_is_near(folder, method) -> None:
    model = le.load(folder, **METHODS[method])
    text = sentences(40)
    (result,) = model.encode_spans([text], span_tokens=40)
    inner = [end for _, end in result.spans[:-1]]
    windows = {end for _, end in model.encode_spans([text])[0].spans}
    # A window ends where it ends.
    chosen = [end for end in inner if method == "pi" or end not in windows]
    assert len(chosen) >= 3
    assert sum(text[:end].rstrip().endswith(".") for end in chosen) >= 0.8 * len(chosen)
    lines = "\n".join(" ".join(["ban"] * 9) for _ in range(40))
    (result,) = model.encode_spans([lines], span_tokens=40)
    chosen = [end for _, end in result.spans[:-1]]
    assert sum(lines[end - 1] == "\n" for end in chosen) >= 0.5 * len(chosen)


@pytest.mark.parametrize("side", ["right", "left"])
def test_what_the_window_does_not_hold_has_spans_too(folder, side) -> None:
    model = le.load(
        folder,
        "pi",
        max_seq_length=128,
        on_overflow="truncate",
        processor_kwargs={"truncation_side": side},
    )
    text = sentences(120)
    (result,) = model.encode_spans([text])
    covers(result, text)
    np.testing.assert_allclose(result.document, model.encode_document(text), atol=1e-6)
    assert result.coverage.read == 128 < result.coverage.tokens
    (kept,) = read_spans(model[0], [text], None, beyond_window=False)
    assert len(kept.spans) == 2
    with pytest.raises(InputError, match="longer than the window"):
        le.extend(model, "pi", max_seq_length=128, on_overflow="error").encode_spans([text])


def test_a_prompt_is_in_no_span(folder) -> None:
    model = le.load(folder, "pcw", prompts={"document": "bast: "})
    text = sentences(30)
    (result,) = model.encode_spans([text])
    covers(result, text)
    np.testing.assert_allclose(result.document, model.encode_document(text), atol=1e-6)
    other = model.encode_spans([text], prompt="")[0]
    assert abs(result.vectors[0] - other.vectors[0]).max() > 1e-4


def test_short_and_strange_texts(model) -> None:
    for text in ("ban", " ban ", "\n\nban\n", "ban\u0301 b\u00e4n \U0001f600", "\u200bban"):
        (result,) = model.encode_spans([text])
        assert result.spans == [(0, len(text))]
        np.testing.assert_allclose(result.vectors[0], result.document, atol=1e-6)
    assert model.encode_spans([]) == []
    with pytest.raises(ConfigError, match="span_tokens"):
        model.encode_spans(["ban"], span_tokens=2)
    with pytest.raises(InputError, match="list of texts"):
        model.encode_spans("ban")


def test_a_slow_tokenizer_says_why_not(model, monkeypatch) -> None:
    tokenize = type(model[0]).tokenize_texts

    def without_offsets(self, *arguments, **kwargs):
        kwargs["offsets"] = False
        return tokenize(self, *arguments, **kwargs)

    monkeypatch.setattr(type(model[0]), "tokenize_texts", without_offsets)
    with pytest.raises(ConfigError, match="fast tokenizer"):
        model.encode_spans(["ban"])
    with pytest.raises(ConfigError, match="fast tokenizer"):
        model.encode_ranges("ban", [(0, 3)])


def test_a_whitened_model_has_whitened_spans(folder) -> None:
    from longembed_tuning.whiten import whiten

    model = le.load(folder, "pcw")
    texts = [sentences(40, seed) for seed in range(30)]
    whitened = whiten(model, texts, validation=False, dimensions=8)
    (result,) = whitened.encode_spans(texts[:1])
    assert result.vectors.shape[1] == 8
    np.testing.assert_allclose(result.document, whitened.encode_document(texts[0]), atol=1e-5)
    windows = [texts[0][a:b] for a, b in result.spans]
    np.testing.assert_allclose(result.vectors, whitened.encode_document(windows), atol=1e-4)


ANY = st.text(
    st.characters(exclude_categories=("Cs",)) | st.sampled_from("aé ßﬁ́İ😀👩‍👩‍👧ก่你.!\n\t"),
    max_size=400,
)


@pytest.mark.parametrize(
    ("kind", "examples"),
    [
        *((kind, FEW) for kind in ("bert", "roberta")),
        *(pytest.param(kind, MANY, marks=pytest.mark.slow) for kind in ("roberta", "mpnet")),
    ],
)
def test_spans_cover_any_text(small_model, kind, examples) -> None:
    model = le.load(str(small_model(kind, positions=64)), "pcw")

    def claim(text, span_tokens) -> None:
        try:
            (result,) = model.encode_spans([text], span_tokens=span_tokens)
        except InputError:
            assert not text.strip() or not model.tokenizer(text)["input_ids"]
        else:
            covers(result, text)

    check(claim, examples, text=ANY, span_tokens=st.sampled_from([None, 8, 20]))


@pytest.mark.parametrize("side", ["right", "left"])
@pytest.mark.parametrize("settings", [{"method": "none"}, {"method": "pi", "max_seq_length": 128}])
def test_ranges_beyond_the_window_are_those_of_spans(folder, side, settings) -> None:
    """Known ranges, read again: in the window and beyond, whichever end is cut."""
    model = le.load(
        folder,
        **settings,
        on_overflow="truncate",
        prompts={"document": "bast: "},
        processor_kwargs={"truncation_side": side},
    )
    text = sentences(80)
    (spans,) = model.encode_spans([text], span_tokens=16)
    assert spans.coverage.read < spans.coverage.tokens / 3
    vectors = model.encode_ranges(text, spans.spans)
    np.testing.assert_allclose(vectors, spans.vectors, atol=1e-5)
    with pytest.raises(InputError, match="longer than the window"):
        le.extend(model, **settings, on_overflow="error").encode_ranges(text, [(0, 9)])


def test_ranges_within_windows_and_without_a_token(folder) -> None:
    model = le.load(folder, "pcw")
    text = sentences(40)
    whole, part, blank, behind = model.encode_ranges(
        text, [(0, len(text)), (0, 40), (3, 3), (len(text), len(text) + 9)]
    )
    assert abs(whole - part).max() > 1e-3
    assert np.isfinite([blank, behind]).all()
    with pytest.raises(ConfigError, match="at least one range"):
        model.encode_ranges(text, [])
