"""Tokens that the model does not know are counted, and warned of above a share."""

from __future__ import annotations

import warnings

import pytest
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from transformers import PreTrainedTokenizerFast

import longembed_st as le
from longembed_st.base.unknown_tokens import (
    count_unknown,
    unknown_id,
    unknown_languages,
    unknown_words,
)

UNKNOWN = "🗼"


def tokenizer(**options: str) -> PreTrainedTokenizerFast:
    words = WordLevel({"[UNK]": 0, "harbour": 1, "ไทย": 2, "<end>": 3}, unk_token="[UNK]")
    tokens = Tokenizer(words)
    tokens.pre_tokenizer = Whitespace()
    return PreTrainedTokenizerFast(tokenizer_object=tokens, **options)


def test_unknown_tokens_are_counted_and_named() -> None:
    known = tokenizer(unk_token="[UNK]")
    text = "harbour คณะ harbour ไทย งบประมาณ คณะ ท่าเรือ ภาษี"
    assert count_unknown(known, known(text)["input_ids"]) == 5
    assert unknown_words(known, text, most=3) == ["คณะ", "งบประมาณ", "ท่าเรือ"]
    assert unknown_words(known, "harbour") == []
    assert "Greek" in unknown_languages(known)


def test_a_tokenizer_without_a_token_of_its_own_for_them_has_none() -> None:
    for plain in (tokenizer(), tokenizer(unk_token="<end>", eos_token="<end>")):
        assert unknown_id(plain) is None
        assert count_unknown(plain, [0, 3, 3]) == 0
        assert unknown_words(plain, "คณะ") == []


@pytest.fixture(scope="module")
def model(small_model):
    return le.load(str(small_model("bert")), method="pcw")


def known_words(model, count: int) -> str:
    return " ".join([model.tokenizer.convert_ids_to_tokens(20)] * count)


def test_coverage_counts_them_among_what_was_read(model) -> None:
    words = known_words(model, 8)
    (known, unknown) = le.coverage(model, [words, f"{words} {UNKNOWN} {UNKNOWN}"])
    assert (known.unknown, known.is_unknown) == (0, False)
    assert (unknown.unknown, unknown.tokens) == (2, 12)
    assert unknown.is_unknown
    encoded = model.encode_with_coverage([words, f"{words} {UNKNOWN} {UNKNOWN}"])
    assert [coverage.unknown for coverage in encoded.coverages] == [0, 2]
    (read,) = model.encode_units([f"{words} {UNKNOWN}"], [[(0, 3)]])
    assert read.coverage.unknown == 1


def test_tokens_beyond_the_window_are_not_counted(small_model) -> None:
    model = le.load(str(small_model("bert")), method="none", on_overflow="truncate")
    words = known_words(model, 2 * model.max_seq_length)
    at_start, at_end = f"{UNKNOWN} {words}", f"{words} {UNKNOWN}"
    for side, read, lost in (("right", at_start, at_end), ("left", at_end, at_start)):
        model.tokenizer.truncation_side = side
        for coverages in (
            le.coverage(model, [read, lost]),
            model.encode_with_coverage([read, lost]).coverages,
        ):
            assert [each.unknown for each in coverages] == [1, 0]


def test_encode_warns_once_with_share_and_examples(model) -> None:
    texts = [known_words(model, 50), f"{UNKNOWN} {known_words(model, 1)}", UNKNOWN]
    with pytest.warns(le.UnknownTokensWarning) as caught:
        model.encode(texts)
    (warning,) = caught
    message = str(warning.message)
    assert "33% of the tokens of a text" in message
    assert "more than 10% of 1 others" in message
    assert repr(UNKNOWN) in message
    assert "multilingual" in message
    assert warning.filename == __file__


def test_a_few_unknown_tokens_are_not_warned_of(model) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.encode([f"{known_words(model, 50)} {UNKNOWN}", known_words(model, 3)])
