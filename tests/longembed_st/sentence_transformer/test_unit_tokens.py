"""Each token counts in the unit that it stands in, in any tokenizer and script."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from fuzzing import FEW, MANY, check
from hypothesis import strategies as st
from many_tokenizers import CORPUS, KINDS, tokenizer_of

from longembed_index.documents.sentences import sentence_units
from longembed_st.base.tokens import TokenizeOptions, tokenize
from longembed_st.sentence_transformer.units import _Sums

PARTS_OF_TEXTS = [*CORPUS, " ", "\n\n", "  a", "İ", "ﬁ", "e\u0301", "\u200d", "😀", "Ⅷ½", "\u00a0"]
USUAL = ("bert", "byte-level, gpt-4", "unigram")


@st.composite
def texts(draw) -> str:
    pieces = draw(st.lists(st.sampled_from(PARTS_OF_TEXTS) | st.text(max_size=20), max_size=9))
    joined = "".join(pieces)
    return joined.encode("utf8", "replace").decode()


@pytest.mark.parametrize(
    ("kind", "examples"),
    [
        *((kind, FEW) for kind in USUAL),
        *(pytest.param(kind, MANY, marks=pytest.mark.slow) for kind in KINDS),
    ],
)
def test_runs_of_units_are_the_means_of_their_tokens(kind, examples) -> None:
    tokenizer = tokenizer_of(kind)

    def claim(text, prompt, first, length) -> None:
        (tokens,) = tokenize(tokenizer, [text], prompt, TokenizeOptions(offsets=True))
        ranges = sentence_units(text)
        if not len(ranges) or not tokens.content:
            return
        last = min(first % len(ranges) + length, len(ranges))
        first %= len(ranges)
        states = torch.randn(1, tokens.content, 3, generator=torch.Generator().manual_seed(0))
        sums = _Sums([tokens], [ranges], 3, states.device)
        part = SimpleNamespace(text=0, first=0, owned=0)
        sums.add(states, [(part, SimpleNamespace(first=0, last=tokens.content, header=0))])
        means, counts = sums.means_of(0)
        assert counts.sum() == tokens.content
        inside = states[0, tokens_between(tokens, ranges, first, last)]
        assert counts[first:last].sum() == len(inside)
        if len(inside):
            weights = counts[first:last, None].float()
            run = (means[first:last] * weights).sum(0) / weights.sum()
            np.testing.assert_allclose(run, inside.mean(0), atol=1e-5)

    numbers = st.integers(0, 20)
    check(
        claim,
        examples,
        text=texts(),
        prompt=st.sampled_from(["", "q: "]),
        first=numbers,
        length=st.integers(1, 5),
    )


def tokens_between(tokens, ranges, first: int, last: int) -> list[int]:
    """Return the tokens whose last characters are in some units, or behind them in a gap."""
    start = ranges[first, 0] if first else -1
    end = ranges[last, 0] if last < len(ranges) else np.inf
    chosen, place = [], 0
    for token in range(tokens.content):
        characters = tokens.characters(token, token + 1)
        # Bytes of one character, and marks that a tokenizer adds, do not go back.
        place = max(place, characters[1] - 1)
        if start <= place < end:
            chosen.append(token)
    return chosen
