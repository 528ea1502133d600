"""From texts to tokens."""

from __future__ import annotations

import numpy as np
import pytest
from small_models import build_tokenizer
from tokenizers import normalizers

import longembed_st as le
from longembed_st.base.tokens import checked_texts, tokenize


@pytest.fixture(scope="module", params=["bert", "roberta", "xlm-roberta", "mpnet", "gpt2"])
def tokenizer(request):
    return build_tokenizer(request.param, 64, "right")


@pytest.mark.parametrize("prompt", ["", "query: ", "query:", "title", "represent title query: "])
@pytest.mark.parametrize("text", ["ban bar bast", "", " ", "Ban, BAR!", "xyz", "\n\nban"])
def test_header_content_and_footer_are_the_tokens_of_the_whole(tokenizer, text, prompt):
    (found,) = tokenize(tokenizer, [text], prompt or None)
    assert found.ids == tokenizer(prompt + text)["input_ids"]
    specials = tokenizer.all_special_ids
    footer = found.ids[len(found) - found.footer :]
    assert all(token in specials for token in footer)
    assert found.header + found.content + found.footer == len(found)
    assert list(found.parts) == [0] * found.header + [1] * found.content + [2] * found.footer
    # The content begins behind the prompt.
    offsets = tokenizer(prompt + text, return_offsets_mapping=True)["offset_mapping"]
    content = offsets[found.header : len(found) - found.footer]
    assert all(end > len(prompt) for _, end in content if end > 0 or prompt)


def test_what_stands_before_a_text_is_found_for_each_text_of_a_batch(tokenizer):
    texts = ["ban", "bar bast " * 50, ""]
    together = tokenize(tokenizer, texts, "query: ")
    alone = [tokenize(tokenizer, [text], "query: ")[0] for text in texts]
    assert [one.ids for one in together] == [one.ids for one in alone]
    assert [one.header for one in together] == [one.header for one in alone]


@pytest.mark.parametrize("limit", [3, 5, 20, 64])
@pytest.mark.parametrize("side", ["right", "left"])
def test_shortening_equals_the_tokenizers_own_truncation(side, limit):
    tokenizer = build_tokenizer("bert", 64, "right")
    tokenizer.truncation_side = side
    text = "ban bar bast den der dest fan far fast " * 5
    (found,) = tokenize(tokenizer, [text], None)
    expected = tokenizer(text, truncation=True, max_length=limit)
    short = found.shortened(limit, keep_end=side == "left")
    assert list(short.ids) == expected["input_ids"]
    assert len(short.parts) == len(short.ids)
    types = None if short.type_ids is None else list(short.type_ids)
    assert types == expected.get("token_type_ids")


def test_a_prompt_longer_than_the_window_is_refused_with_both_lengths():
    tokenizer = build_tokenizer("bert", 64, "right")
    (found,) = tokenize(tokenizer, ["ban"], "bar " * 30)
    with pytest.raises(le.InputError, match=r"32 tokens.*window of 20.*shorter prompt"):
        found.shortened(20, keep_end=False)


def test_nothing_becomes_nothing():
    assert tokenize(build_tokenizer("bert", 64, "right"), [], "query: ") == []


def test_a_tokenizer_that_was_set_to_truncate_or_pad_counts_everything():
    tokenizer = build_tokenizer("bert", 64, "right")
    tokenizer(["ban " * 100, "ban"], truncation=True, padding=True, max_length=8)
    found = tokenize(tokenizer, ["ban " * 100, "ban"], None)
    assert [len(one) for one in found] == [102, 3]


def test_a_tokenizer_that_does_not_know_latin_letters_keeps_its_special_tokens_apart():
    tokenizer = build_tokenizer("bert", 64, "right")
    tokenizer.backend_tokenizer.normalizer = normalizers.Replace("a", "")
    (found,) = tokenize(tokenizer, ["den der"], None)
    assert (found.header, found.content, found.footer) == (1, 2, 1)


@pytest.mark.parametrize(
    ("bad", "kind"),
    [
        (None, "NoneType"),
        (7, "int"),
        (b"ban", "bytes"),
        (("a", "b"), "tuple"),
        ({"text": "a"}, "dict"),
        (1.5, "float"),
        (["a"], "list"),
    ],
)
def test_what_is_no_string_is_refused_with_its_place_and_kind(bad, kind):
    with pytest.raises(le.InputError, match=rf"input 1 is a {kind}"):
        checked_texts(["fine", bad])


@pytest.mark.parametrize("bad", ["\ud800", "ban \udfff bar", "x\udc80"])
def test_lone_surrogates_are_refused_with_their_place(bad):
    place = next(i for i, c in enumerate(bad) if 0xD800 <= ord(c) <= 0xDFFF)
    with pytest.raises(le.InputError, match=rf"input 1 .*surrogate.*character {place}"):
        checked_texts(["fine", bad])


@pytest.mark.parametrize("good", ["", " ", "\x00", "🗼", "\u202e", "a" * 10_000, np.str_("ban")])
def test_every_valid_string_passes(good):
    assert checked_texts([good]) == [str(good)]
