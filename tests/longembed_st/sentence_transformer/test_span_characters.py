"""The characters of a span are those of the tokens that were pooled, in any tokenizer."""

from __future__ import annotations

from itertools import pairwise

import pytest
from fuzzing import FEW, MANY, check
from hypothesis import strategies as st
from longembed_st.sentence_transformer.spans import _characters
from many_tokenizers import CORPUS, KINDS, tokenizer_of

from longembed_st.base.tokens import TokenizeOptions, tokenize

PARTS_OF_TEXTS = [*CORPUS, " ", "\n\n", "  a", "İ", "ﬁ", "e\u0301", "\u200d", "😀", "Ⅷ½", "\u00a0"]


@st.composite
def texts(draw) -> str:
    pieces = draw(st.lists(st.sampled_from(PARTS_OF_TEXTS) | st.text(max_size=20), max_size=6))
    joined = "".join(pieces)
    return joined.encode("utf8", "replace").decode()


USUAL = ("bert", "byte-level, gpt-4", "llama", "unigram", "added tokens")


@pytest.mark.parametrize(
    ("kind", "examples"),
    [
        *((kind, FEW) for kind in USUAL),
        *(pytest.param(kind, MANY, marks=pytest.mark.slow) for kind in KINDS),
    ],
)
def test_each_token_begins_in_its_own_span(kind, examples) -> None:
    tokenizer = tokenizer_of(kind)

    def claim(text, cuts, prompt):
        each_token_begins_in_its_own_span(tokenizer, text, cuts, prompt)

    cuts = st.lists(st.floats(0, 1), max_size=4)
    check(claim, examples, text=texts(), cuts=cuts, prompt=st.sampled_from(["", "q: "]))


def each_token_begins_in_its_own_span(tokenizer, text, cuts, prompt) -> None:
    (tokens,) = tokenize(tokenizer, [text], prompt, TokenizeOptions(offsets=True))
    count = tokens.content
    if count == 0:
        return
    edges = sorted({0, count, *(round(cut * count) for cut in cuts)})
    ranges = list(pairwise(edges))
    spans = _characters(ranges, tokens, text)
    # From the first character to the last, without a gap.
    assert spans[0][0] == 0
    assert spans[-1][1] == len(text)
    assert all(a[1] == b[0] for a, b in pairwise(spans))
    for (first, last), (start, end) in zip(ranges, spans, strict=True):
        for token in range(first, last):
            begin, stop = tokens.characters(token, token + 1)
            # Bytes of one character may be several tokens, and the next span begin inside it.
            assert start <= begin <= end
            assert begin < end or begin == stop or last < count


@pytest.mark.parametrize("kind", ["bert", "byte-level, gpt-4", "unigram"])
def test_spans_at_white_space_are_tokenized_as_they_were_pooled(kind) -> None:
    """Re-tokenized alone, a span gives its tokens, where the tokenizer splits at white space."""
    tokenizer = tokenizer_of(kind)
    text = " ".join(CORPUS[:2])
    (tokens,) = tokenize(tokenizer, [text], None, TokenizeOptions(offsets=True))
    alone = tokenizer(text, add_special_tokens=False)["input_ids"]
    begins = [tokens.characters(token, token + 1)[0] for token in range(tokens.content)]
    checked = 0
    for cut in range(1, tokens.content):
        place = begins[cut]
        behind = text[place] == " " or text[place - 1] == " "
        if not behind:
            continue
        (first, second) = _characters([(0, cut), (cut, tokens.content)], tokens, text)
        left = tokenizer(text[slice(*first)], add_special_tokens=False)["input_ids"]
        checked += left == alone[:cut]
        assert first[1] == second[0]
    words = len(text.split()) - 1
    assert checked >= 0.7 * words
