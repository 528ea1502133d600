"""From texts to tokens."""

from __future__ import annotations

import numpy as np
import pytest
from small_models import build_tokenizer
from tokenizers import normalizers

import longembed_st as le
from longembed_st.base.tokens import checked_texts, tokenize


@pytest.mark.parametrize("kind", ["bert", "roberta", "xlm-roberta", "gpt2"])
def test_header_content_and_footer_are_the_tokens_of_the_whole(kind):
    tokenizer = build_tokenizer(kind, 64, "right")
    for prompt, text in (("", ""), ("query: ", "Ban, BAR!"), ("query:", "\n\nban")):
        # Beside another text, whose tokens may divide from the prompt elsewhere.
        tokens, _ = tokenize(tokenizer, [text, "bar bast " * 50], prompt or None)
        assert tokens.ids == tokenizer(prompt + text)["input_ids"]
        footer = tokens.ids[len(tokens) - tokens.footer :]
        assert all(token in tokenizer.all_special_ids for token in footer)
        parts = [0] * tokens.header + [1] * tokens.content + [2] * tokens.footer
        assert list(tokens.parts) == parts
        # The content begins behind the prompt.
        offsets = tokenizer(prompt + text, return_offsets_mapping=True)["offset_mapping"]
        content = offsets[tokens.header : len(tokens) - tokens.footer]
        assert all(end > len(prompt) for _, end in content if end > 0 or prompt)


def test_shortening_equals_the_tokenizers_own_truncation():
    text = "ban bar bast den der dest fan far fast " * 5
    for side, limit in (("right", 20), ("left", 20), ("left", 3)):
        tokenizer = build_tokenizer("bert", 64, "right")
        (tokens,) = tokenize(tokenizer, [text], None)
        tokenizer.truncation_side = side
        expected = tokenizer(text, truncation=True, max_length=limit)
        short = tokens.shortened(limit, keep_end=side == "left")
        assert list(short.ids) == expected["input_ids"]
        assert len(short.parts) == len(short)


def test_a_tokenizer_that_was_set_to_truncate_or_pad_counts_everything():
    tokenizer = build_tokenizer("bert", 64, "right")
    tokenizer(["ban " * 100, "ban"], truncation=True, padding=True, max_length=8)
    tokenized = tokenize(tokenizer, ["ban " * 100, "ban"], None)
    assert [len(tokens) for tokens in tokenized] == [102, 3]


def test_a_tokenizer_that_does_not_know_latin_letters_keeps_its_special_tokens_apart():
    tokenizer = build_tokenizer("bert", 64, "right")
    tokenizer.backend_tokenizer.normalizer = normalizers.Replace("a", "")
    (tokens,) = tokenize(tokenizer, ["den der"], None)
    assert (tokens.header, tokens.content, tokens.footer) == (1, 2, 1)


def test_what_is_not_a_string_is_refused_with_its_place_and_kind():
    for bad, kind in ((None, "NoneType"), (b"ban", "bytes"), (("a", "b"), "tuple")):
        with pytest.raises(le.InputError, match=rf"input 1 is a {kind}"):
            checked_texts(["fine", bad])


def test_lone_surrogates_are_refused_with_their_place():
    with pytest.raises(le.InputError, match=r"input 1 .*surrogate.*character 4"):
        checked_texts(["fine", "ban \udfff bar"])
    assert checked_texts(["", "\x00", "🗼", np.str_("ban")]) == ["", "\x00", "🗼", "ban"]
