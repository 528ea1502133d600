"""From a source to training pairs and held-out pairs."""

from __future__ import annotations

import json

import pytest
from small_models import build_tokenizer

import longembed_st as le
from longembed_st.positions.method import Context
from longembed_tuning import data
from longembed_tuning.data import prepare

WINDOW, EXTENDED = 32, 256
CONTEXT = Context(WINDOW, EXTENDED)


@pytest.fixture(scope="module")
def tokenizer():
    return build_tokenizer("bert", WINDOW, "right")


@pytest.fixture
def folder(tmp_path, sentences):
    """Twenty documents of sixteen sentences, one of them twice, and a scrap."""
    documents = tmp_path / "documents"
    documents.mkdir()
    for index in range(20):
        (documents / f"{index:02d}.txt").write_text(sentences(16, index))
    (documents / "copy.txt").write_text(sentences(16, 3) + "\n")
    (documents / "scrap.txt").write_text("to do")
    return documents


def prepared(source, tokenizer, **changes):
    return prepare(str(source), tokenizer, CONTEXT, **{"budget": 60, "seed": 0, **changes})


def write(folder, rows):
    file = folder / "rows.jsonl"
    file.write_text("\n".join(map(json.dumps, rows)))
    return file


def test_documents_are_counted_and_left_out_openly(folder, tokenizer):
    found = prepared(folder, tokenizer)
    assert found.counts == {
        "rows or files": 22,
        "exact repetitions left out": 1,
        "shorter than a sentence, left out": 1,
        "documents": 20,
        # Two sentences of 26 tokens to a section: eight sections in each of 18 documents.
        "training pairs": 18 * 8,
        # Sections of nine sentences at most, that is two in each of 2 documents.
        "held-out documents": 4,
        "held-out queries": len(found.held_out),
    }
    assert len(found.train) == 144


def test_no_sentence_is_both_held_out_and_trained_on(folder, tokenizer):
    found = prepared(folder, tokenizer)
    trained = " ".join(f"{example.query} {example.document}" for example in found.train)
    assert found.held_out
    for example in found.held_out:
        for sentence in example.document.split(". "):
            assert sentence.strip(".") not in trained


def test_a_sentence_that_a_held_out_document_shares_is_not_trained_on(folder, tokenizer):
    shared = "this one sentence stands word for word at the end of every document of the folder."
    for file in folder.glob("[0-9]*.txt"):
        file.write_text(f"{file.read_text()} {shared}")
    found = prepared(folder, tokenizer)
    assert any(shared in f"{example.query} {example.document}" for example in found.held_out)
    assert not any(shared in f"{example.query} {example.document}" for example in found.train)


def test_pairs_with_long_documents_are_held_out_whole(write_pairs, tokenizer):
    found = prepared(write_pairs(short=10, long=30, negatives=2), tokenizer)
    assert len(found.held_out) == 3
    assert all(len(example.document.split()) == 90 for example in found.held_out)
    assert len(found.train) == 37
    held_out = {example.document for example in found.held_out}
    assert held_out.isdisjoint(example.document for example in found.train)


def test_a_held_out_document_is_no_negative_either(tmp_path, tokenizer, words):
    documents = [words(90, index) for index in range(10)]
    rows = [
        {"query": f"q {index}", "document": text, "negatives": [documents[index - 1]]}
        for index, text in enumerate(documents)
    ]
    found = prepared(write(tmp_path, rows), tokenizer)
    held_out = {example.document for example in found.held_out}
    assert len(held_out) == 2
    for example in found.train:
        assert held_out.isdisjoint((example.document, *example.negatives))


def test_all_queries_of_a_held_out_document_are_held_out(tmp_path, tokenizer, words):
    rows = [
        {"query": f"question {question}", "document": words(90, index)}
        for index in range(10)
        for question in range(3)
    ]
    found = prepared(write(tmp_path, rows), tokenizer)
    assert len(found.held_out) == 2 * 3
    assert len(found.train) == 8 * 3


def test_repeated_pairs_count_once(tmp_path, tokenizer, words):
    rows = [{"query": "q", "document": words(90, index)} for index in range(9)]
    found = prepared(write(tmp_path, [*rows, *rows]), tokenizer, hold_out=False)
    assert len(found.train) == 9
    assert found.counts["exact repetitions left out"] == 9


def test_other_documents_can_be_validated_on(folder, write_pairs, tokenizer):
    source = write_pairs(short=30, long=5)
    found = prepared(source, tokenizer, validation_source=str(folder))
    assert len(found.train) == 35
    # Twenty documents with two sections each.
    assert found.counts["held-out documents"] == 40
    assert found.counts["rows or files"] == 35


def test_validation_documents_are_not_trained_on(folder, tokenizer, tmp_path):
    part = tmp_path / "part"
    part.mkdir()
    for name in ("00.txt", "01.txt"):
        (part / name).write_text((folder / name).read_text())
    found = prepared(folder, tokenizer, validation_source=str(part))
    assert len(found.train) == 18 * 8


def test_the_held_out_part_is_bounded(folder, tokenizer, monkeypatch):
    monkeypatch.setattr(data, "MOST_HELD_OUT", 3)
    found = prepared(folder, tokenizer)
    assert found.counts["held-out documents"] == 3


def test_the_choice_follows_the_seed(folder, tokenizer):
    first = prepared(folder, tokenizer)
    assert prepared(folder, tokenizer) == first
    assert prepared(folder, tokenizer).digest() == first.digest()
    other = prepared(folder, tokenizer, seed=1)
    assert other.digest() != first.digest()
    texts = [{example.document for example in found.held_out} for found in (first, other)]
    assert texts[0] != texts[1]


def test_one_document_is_not_enough(tmp_path, tokenizer, words):
    rows = [{"query": f"q {index}", "document": words(90, 0)} for index in range(5)]
    with pytest.raises(le.ConfigError, match=r"too few documents of at least a sentence \(1\)"):
        prepared(write(tmp_path, rows), tokenizer)


def test_nothing_long_to_validate_on_is_said_with_the_ways_out(write_pairs, tokenizer):
    source = write_pairs(short=20, long=1)
    with pytest.raises(le.ConfigError, match=r"1 documents.*--validation-data.*--no-validation"):
        prepared(source, tokenizer)
    assert len(prepared(source, tokenizer, hold_out=False).train) == 21
