"""Vectors of units: what is pooled into them, and that runs of them are exact."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from sentence_transformers.sentence_transformer.modules import Dense, Normalize
from small_models import WORDS
from torch import nn

import longembed_st as le
from longembed_st.errors import ConfigError, InputError
from longembed_st.sentence_transformer.units import read_units

METHODS = {
    "pcw": {"method": "pcw"},
    "overlap": {"method": "pcw", "overlap": 20},
    "pi": {"method": "pi", "max_seq_length": 512},
}
PROMPT = "bast: "


def sentences(count: int, seed: int = 0) -> str:
    draw = np.random.default_rng(seed)
    parts = [" ".join(draw.choice(WORDS, draw.integers(4, 14))).capitalize() for _ in range(count)]
    return ". ".join(parts) + "."


def units_of(text: str) -> list[tuple[int, int]]:
    """Return the sentences of `sentences`, without the spaces between them."""
    ends = [place + 1 for place, character in enumerate(text) if character == "."]
    starts = [0, *(end + 1 for end in ends[:-1])]
    return list(zip(starts, ends, strict=True))


def run_of(encoded: le.UnitVectors, first: int, last: int) -> np.ndarray:
    counts = encoded.counts[first:last, None].astype(np.float32)
    return (counts * encoded.vectors[first:last]).sum(axis=0) / counts.sum()


def states_by_hand(model: le.LongSentenceTransformer, text: str, prompt: str = ""):
    """Return each token state that is read of a text, and the characters of its token."""
    read = model.tokenizer(prompt + text, return_offsets_mapping=True)
    ids, offsets = read["input_ids"], np.array(read["offset_mapping"]) - len(prompt)
    header = 1 + len(model.tokenizer(prompt, add_special_tokens=False)["input_ids"])
    content = len(ids) - header - 1
    windows = model[0].cut_windows(content, header, 1) or [(0, content)]
    states, characters = [], []
    for first, last in windows:
        window = [*ids[:header], *ids[header + first : header + last], ids[-1]]
        with torch.inference_mode():
            rows = model[0].token_embeddings(torch.tensor([window]))[0].numpy()
        states.append(rows[header:-1])
        characters.append(offsets[header + first : header + last])
    return np.concatenate(states), np.concatenate(characters)


@pytest.fixture(scope="module")
def folder(small_model) -> str:
    return str(small_model("bert", positions=64))


@pytest.fixture(scope="module", params=METHODS)
def model(request, folder):
    return le.load(folder, **METHODS[request.param], prompts={"document": PROMPT})


def test_the_document_vector_is_that_of_encode(model) -> None:
    texts = ["ban.", sentences(3), sentences(60), sentences(25, 1)]
    ranges = [units_of(text) for text in texts]
    results = model.encode_units(texts, ranges)
    expected = model.encode_document(texts)
    for result, text, vector in zip(results, texts, expected, strict=True):
        np.testing.assert_allclose(result.document, vector, atol=1e-6)
        (coverage,) = le.coverage(model, [text], prompt=PROMPT)
        assert result.coverage == replace(coverage, spans=())
        (alone,) = model.encode_units([text], [units_of(text)])
        np.testing.assert_allclose(result.vectors, alone.vectors, atol=1e-5)
        assert result.counts.tolist() == alone.counts.tolist()
    assert model.encode_units([], []) == []


def test_a_run_has_the_vector_of_its_tokens(model) -> None:
    """By hand, window by window: a token that two windows read counts twice."""
    text = sentences(40)
    ranges = units_of(text)
    (result,) = model.encode_units([text], [ranges])
    states, characters = states_by_hand(model, text, PROMPT)
    assert result.counts.sum() == len(states)
    for first, last in [(0, 1), (0, 40), (17, 18), (20, 31), (38, 40)]:
        start, end = ranges[first][0], ranges[last - 1][1]
        inside = (start <= characters[:, 0]) & (characters[:, 1] <= end)
        assert result.counts[first:last].sum() == inside.sum()
        np.testing.assert_allclose(
            run_of(result, first, last), states[inside].mean(axis=0), atol=1e-5
        )


def test_the_mean_of_all_units_is_the_document_without_its_special_tokens(folder) -> None:
    model = le.load(folder, "pi", max_seq_length=512)
    text = sentences(30)
    (result,) = model.encode_units([text], [units_of(text)])
    states = model.encode(text, output_value="token_embeddings").cpu().numpy()
    np.testing.assert_allclose(run_of(result, 0, 30), states[1:-1].mean(axis=0), atol=1e-5)


@pytest.mark.parametrize(
    ("side", "settings"),
    [("left", {"method": "none"}), ("right", {"method": "pi", "max_seq_length": 128})],
)
def test_what_the_window_does_not_hold_has_units_too(folder, side, settings) -> None:
    model = le.load(
        folder, **settings, on_overflow="truncate", processor_kwargs={"truncation_side": side}
    )
    text = sentences(120)
    (result,) = model.encode_units([text], [units_of(text)])
    np.testing.assert_allclose(result.document, model.encode_document(text), atol=1e-6)
    assert result.coverage.read < result.coverage.tokens
    # Each token once, special ones never: what is read again as context does not count.
    assert result.counts.sum() == result.coverage.tokens - 2
    assert (np.abs(result.vectors).max(axis=1) > 0).all()
    (kept,) = read_units(model[0], [text], [units_of(text)], None, beyond_window=False)
    assert 0 < (kept.counts > 0).sum() < 120
    with pytest.raises(InputError, match="longer than the window"):
        le.extend(model, **settings, on_overflow="error").encode_units([text], [[]])


def test_a_long_pass_is_shared_out_into_windows_of_the_original_length(folder) -> None:
    model = le.load(folder, "pi", max_seq_length=512)
    text = " ".join(WORDS[number % len(WORDS)] for number in range(150))
    (read, short) = read_units(model[0], [text, "ban bar"], [[], []], None)
    assert short.ranges == [(0, 7)]
    # Each word is a token: three windows of at most 64.
    words = [len(text[start:end].split()) for start, end in read.ranges]
    assert words == [50, 50, 50]
    states = model.encode(text, output_value="token_embeddings")[1:-1]
    for window, own in zip(read.windows, states.split(50), strict=True):
        torch.testing.assert_close(window, own.mean(0), atol=1e-5, rtol=0)


def test_a_unit_without_tokens_is_zero_and_a_text_may_have_no_unit(folder) -> None:
    model = le.load(folder, "pcw")
    text = "ban bar \u200b bast"
    (result,) = model.encode_units([text], [[(0, 7), (8, 9), (10, 14)]])
    assert result.counts.tolist() == [2, 0, 1]
    assert not result.vectors[1].any()
    (empty,) = model.encode_units([text], [[]])
    assert (empty.vectors.shape, empty.counts.shape) == ((0, 32), (0,))
    np.testing.assert_allclose(empty.document, result.document, atol=1e-6)


def test_units_are_not_whitened_and_queries_are_both(folder) -> None:
    from longembed_tuning.whiten import whiten

    plain = le.load(folder, "pcw")
    texts = [sentences(40, seed) for seed in range(30)]
    ranges = units_of(texts[0])
    (expected,) = plain.encode_units(texts[:1], [ranges])
    whitened = whiten(plain, texts, validation=False, dimensions=8)
    (result,) = whitened.encode_units(texts[:1], [ranges])
    np.testing.assert_allclose(result.vectors, expected.vectors, atol=1e-5)
    np.testing.assert_allclose(result.document, whitened.encode_document(texts[0]), atol=1e-5)
    query = whitened.encode_query_twice("bar bast")
    np.testing.assert_allclose(query.vector, whitened.encode_query("bar bast"), atol=1e-5)
    np.testing.assert_allclose(query.plain, plain.encode_query("bar bast"), atol=1e-5)
    runs = np.stack([run_of(expected, 0, 40), run_of(expected, 3, 5)])
    unit = runs / np.linalg.norm(runs, axis=1, keepdims=True)
    np.testing.assert_allclose(plain.vectors_from_units(runs), unit, atol=1e-5)
    mapped = whitened.vectors_from_units(runs)
    np.testing.assert_allclose(np.linalg.norm(mapped, axis=1), 1, atol=1e-5)
    assert mapped.shape == (2, 8)


def test_units_go_through_a_dense_module(small_model) -> None:
    model = le.load(str(small_model("bert", positions=64, normalize=False)), "pcw")
    text = sentences(20)
    (plain,) = model.encode_units([text], [units_of(text)])
    dense = Dense(32, 16, activation_function=nn.Identity())
    model.append(dense)
    model.append(Normalize())
    (result,) = model.encode_units([text], [units_of(text)])
    with torch.inference_mode():
        run = torch.from_numpy(run_of(plain, 5, 9))[None]
        by_hand = dense({"sentence_embedding": run})["sentence_embedding"][0].numpy()
    np.testing.assert_allclose(run_of(result, 5, 9), by_hand, atol=1e-4)
    query = model.encode_query_twice("bar bast")
    np.testing.assert_allclose(query.plain, query.vector, atol=1e-5)
    # The bias of the module is not a direction of a unit that has no token.
    (gap,) = model.encode_units(["ban \u200b bast"], [[(0, 3), (4, 5), (6, 10)]])
    assert gap.counts.tolist() == [1, 0, 1]
    assert gap.vectors[0].any()
    assert not gap.vectors[1].any()


def test_units_of_other_poolings_are_means_of_token_states(small_model) -> None:
    folder = str(small_model("bert", positions=64, pooling="cls"))
    model = le.load(folder, "pcw")
    text = sentences(30)
    ranges = units_of(text)
    (result,) = model.encode_units([text], [ranges])
    states, characters = states_by_hand(model, text)
    inside = (characters[:, 0] >= ranges[4][0]) & (characters[:, 1] <= ranges[6][1])
    np.testing.assert_allclose(run_of(result, 4, 7), states[inside].mean(axis=0), atol=1e-5)
    np.testing.assert_allclose(result.document, model.encode_document(text), atol=1e-6)


def test_each_text_needs_its_ranges(model) -> None:
    with pytest.raises(le.InputError, match="2 texts need ranges of 2, not 1"):
        model.encode_units(["one", "two"], [[(0, 3)]])


def test_a_slow_tokenizer_says_why_not(folder, monkeypatch) -> None:
    model = le.load(folder, "pcw")
    tokenize = type(model[0]).tokenize_texts

    def without_offsets(self, *arguments, **kwargs):
        kwargs["offsets"] = False
        return tokenize(self, *arguments, **kwargs)

    monkeypatch.setattr(type(model[0]), "tokenize_texts", without_offsets)
    with pytest.raises(ConfigError, match="fast tokenizer"):
        model.encode_units(["ban"], [[(0, 3)]])
    with pytest.raises(InputError, match="list of texts"):
        model.encode_units("ban", [[(0, 3)]])
