"""Passages and their surroundings."""

from __future__ import annotations

from random import Random

import pytest
from small_models import build_tokenizer

from longembed_st.positions.method import Context
from longembed_tuning.cloze import (
    Sentences,
    held_out_examples,
    sections,
    split_sentences,
    take_passages,
    tokenize_sentences,
    training_examples,
)
from longembed_tuning.sources import Document


@pytest.fixture(scope="module")
def tokenizer():
    return build_tokenizer("bert", 32, "right")


def numbered(count, size=100):
    """Sentences that can be told apart, each a passage of its own."""
    texts = [f"{index:03d} ".ljust(size, "x") for index in range(count)]
    return Sentences(texts, [10] * count)


def test_texts_are_cut_behind_sentences_and_paragraphs():
    text = "One two. Three\nfour! Five?\n\nA heading\n\nSix 3.14 seven。八"
    assert split_sentences(text) == [
        "One two.",
        "Three four!",
        "Five?",
        "A heading",
        "Six 3.14 seven。",
        "八",
    ]
    assert split_sentences(" \n ") == []


def test_what_never_ends_is_cut():
    pieces = split_sentences("word " * 300)
    assert all(len(piece) <= 400 for piece in pieces)
    assert " ".join(pieces).split() == ["word"] * 300


def test_tokens_are_those_of_the_tokenizer(tokenizer):
    sentences = tokenize_sentences("ban ber. dan der zzz!", tokenizer)
    assert sentences.texts == ["ban ber.", "dan der zzz!"]
    # The last word is none of this tokenizer's and counts by its letters.
    assert sentences.tokens == [3, 2 + 3 + 1]
    assert len(tokenize_sentences("", tokenizer)) == 0


def test_sections_hold_all_sentences_in_order_within_the_budget():
    cut = sections(Sentences(list("abcdef"), [4, 4, 4, 30, 1, 9]), 10)
    assert [section.texts for section in cut] == [["a", "b"], ["c"], ["d"], ["e", "f"]]


def test_passages_are_taken_out_of_what_should_answer_them():
    section = numbered(12)
    examples = take_passages(section, 3, Random(0))
    assert len({example.query for example in examples}) == 3
    (document,) = {example.document for example in examples}
    queries = [example.query for example in examples]
    for text in section.texts:
        assert (text in document) != (text in queries)


def test_short_sentences_join_to_a_passage():
    section = numbered(20, size=30)
    (example,) = take_passages(section, 1, Random(0))
    assert len(example.query) >= 80
    taken = [text for text in section.texts if text in example.query]
    assert len(taken) == 3
    assert " ".join(taken) == example.query


def test_where_nothing_would_be_left_no_passage_is_taken():
    for section in (numbered(1), numbered(2, size=30), Sentences([], [])):
        assert take_passages(section, 1, Random(0)) == []


def test_pairs_are_the_same_for_the_same_seed(tokenizer, words):
    text = " ".join(f"{words(25, index)}." for index in range(40))
    document = Document("a", text)
    drawn = training_examples(document, tokenizer, 150, seed=3, seen=set())
    # 40 sentences of 26 tokens, five to a section.
    assert len(drawn) == 8
    assert training_examples(document, tokenizer, 150, seed=3, seen=set()) == drawn
    assert training_examples(document, tokenizer, 150, seed=4, seen=set()) != drawn
    assert training_examples(Document("b", text), tokenizer, 150, seed=3, seen=set()) != drawn


def test_held_out_documents_are_longer_than_the_original_window(tokenizer, words):
    text = " ".join(f"{words(25, index)}." for index in range(21))
    # Sections of ten sentences; the last one has one sentence and is too short.
    drawn = held_out_examples(Document("a", text), tokenizer, Context(100, 260), seed=0)
    documents = {example.document for example in drawn}
    assert len(documents) == 2
    assert len(drawn) == 6
    for document in documents:
        assert 100 < len(tokenizer(document)["input_ids"]) <= 262
    assert held_out_examples(Document("a", text), tokenizer, Context(240, 260), seed=0) == []


def test_what_many_documents_say_is_trained_on_once(tokenizer) -> None:
    licence = "Permission is hereby granted, free of charge, to any person obtaining a copy. "
    own = [
        f"Chapter {i} tells what the {i}th traveller found behind the river. " for i in range(20)
    ]
    first, second = Document("a", licence * 2 + own[0] * 9), Document("b", licence + "".join(own))
    seen: set[str] = set()
    training_examples(first, tokenizer, 400, seed=0, seen=seen)
    drawn = training_examples(second, tokenizer, 400, seed=0, seen=seen)
    text = " ".join(example.query + example.document for example in drawn)
    assert "Permission" not in text
    assert own[0].strip() not in text
    assert sum(sentence.strip() in text for sentence in own) > 15
    assert training_examples(second, tokenizer, 400, seed=0, seen=seen) == []
