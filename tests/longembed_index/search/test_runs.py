"""Runs of sentences have the scores that reading every word in loops gives."""

from __future__ import annotations

import random

import numpy as np
import pytest
from reference.runs import around, cosine, headings_above, run_end, share

from longembed_index.document import Document, Units
from longembed_index.errors import StoreError
from longembed_index.lexical.scores import QueryWeights, TermPlaces, WordScores
from longembed_index.search.runs import Around, RunScores
from longembed_index.search.sentences import Sentences, read_sentences

VOCABULARY = [f"w{number}" for number in range(12)]
DIMENSIONS = 5


class Case:
    """A random document of words, its units, and a query."""

    def __init__(self, seed: int) -> None:
        draw = random.Random(seed)
        units = [
            [draw.choice(VOCABULARY) for _ in range(draw.randrange(1, 40))]
            for _ in range(draw.randrange(1, 60))
        ]
        self.words = [len(unit) for unit in units]
        self.terms = units
        self.levels = [draw.choice([0] * 9 + [1, 2, 3]) for _ in units]
        self.title = draw.choices(VOCABULARY, k=3)
        self.vectors = [[draw.gauss(0, 1) for _ in range(DIMENSIONS)] for _ in units]
        self.counts = [draw.randrange(1, 60) for _ in units]
        self.vector = np.array([draw.gauss(0, 1) for _ in range(DIMENSIONS)])
        self.vector /= np.linalg.norm(self.vector)
        self.query = draw.choices([*VOCABULARY, "unknown"], k=4)
        self.idf = {term: draw.uniform(0.1, 3) for term in VOCABULARY}

    @property
    def borders(self) -> list[int]:
        levels = self.levels
        return [n for n in range(1, len(levels)) if levels[n] and not levels[n - 1]]

    def sentences(self) -> Sentences:
        lengths = [len(" ".join(unit)) + 1 for unit in self.terms]
        ends = np.cumsum(lengths)
        sums = np.array(self.vectors, dtype=np.float32) * np.array(self.counts)[:, None]
        words = np.concatenate([[0], np.cumsum(self.words)])
        ranges = np.stack([ends - lengths, ends - 1], axis=1)
        levels, is_content = np.array(self.levels), np.ones(len(self.words), dtype=bool)
        return Sentences(ranges, words, levels, sums, is_content, is_transcript=False)

    def places(self, known: list[str]) -> TermPlaces:
        text = " ".join(term for unit in self.terms for term in unit)
        starts, position = [], 0
        for term in text.split():
            starts.append(position)
            position += len(term) + 1
        pairs = zip(starts, text.split(), strict=True)
        own = [(start, known.index(term)) for start, term in pairs if term in known]
        characters, terms = np.array(own, dtype=np.int64).reshape(-1, 2).T
        return TermPlaces(terms, characters, np.array(starts, dtype=np.int32))

    def scores(self, weight: float, *, words: bool = True, vectors: bool = True) -> RunScores:
        known = sorted({term for term in self.query if term in self.idf})
        weights = np.array([self.query.count(term) * self.idf[term] for term in known])
        highest = WordScores(0, weights.sum() + 3.0 * self.query.count("unknown"))
        all_weights = QueryWeights(np.arange(len(known)), weights, weights, 1, 1, highest)
        places = self.places(known) if words else None
        vector = self.vector.astype(np.float32) if vectors else None
        in_title = np.array([self.title.count(term) for term in known])
        return RunScores(self.sentences(), places, all_weights, vector, weight, in_title)

    def by_words(self, first: int, end: int, length: float) -> float:
        terms = [term for unit in self.terms[first:end] for term in unit]
        headings = headings_above(self.levels, first)
        above = [term for row in headings for term in self.terms[row]]
        return share(self.query, terms, length, self.idf, 3.0, above, self.title)

    def by_vectors(self, first: int, end: int) -> float:
        return cosine(self.vectors[first:end], self.counts[first:end], self.vector)


def test_runs_have_the_scores_that_loops_give() -> None:
    for seed in range(8):
        assert_as_loops_give(seed)


def assert_as_loops_give(seed: int) -> None:
    case = Case(seed)
    length, weight = random.Random(seed).choice([10, 30, 80]), 0.3
    rows = range(len(case.words))
    ends = [run_end(case.words, case.borders, row, length) for row in rows]
    assert case.sentences().runs(length).ends.tolist() == ends
    wide = Around(random.Random(seed).choice([100, 400]), 0.4)
    begins = [around(case.words, case.borders, row, length, wide.words) for row in rows]
    assert case.sentences().around(length, wide.words).tolist() == begins
    expected = []
    for row, end, begin in zip(rows, ends, begins, strict=True):
        last = run_end(case.words, case.borders, begin, wide.words)
        own = 0.4 * case.by_words(row, end, length) + 0.6 * case.by_vectors(row, end)
        more = 0.4 * case.by_words(begin, last, wide.words) + 0.6 * case.by_vectors(begin, last)
        expected.append(0.6 * own + 0.4 * more)
    assert case.scores(weight).runs(length, wide, vectors=2) == pytest.approx(expected, abs=1e-5)


def test_the_text_around_a_run_need_not_count() -> None:
    case = Case(4)
    ends = case.sentences().runs(30).ends
    expected = [
        0.7 * case.by_words(row, end, 30) + 0.3 * case.by_vectors(row, end)
        for row, end in enumerate(ends)
    ]
    assert case.scores(0.3).runs(30, None) == pytest.approx(expected, abs=1e-5)
    vectors = [case.by_vectors(row, end) for row, end in enumerate(ends)]
    alone = case.scores(0.7).runs(30, None, vectors=2)
    assert alone == pytest.approx(vectors, abs=1e-5), "no weight is above 1"


def test_one_of_both_counts_alone() -> None:
    case = Case(3)
    every = range(len(case.words))
    ends = case.sentences().runs(30).ends
    own = [case.by_words(row, ends[row], 60) for row in every]
    words, nothing = case.scores(0.9, vectors=False).best()
    assert np.isnan(nothing)
    assert words > 0
    lengths = case.sentences().runs(30).lengths
    rows = np.arange(len(ends))
    assert case.scores(0.9, vectors=False).score_ranges(rows, ends, 60, lengths) == pytest.approx(
        own
    )
    nothing, cosines = case.scores(0.1, words=False).best()
    assert np.isnan(nothing)
    assert -1 <= cosines <= 1


def units_of(text: str, *parts: str, vectors=None) -> Units:
    starts = [text.index(part) for part in parts]
    ranges = np.array([(a, a + len(part)) for a, part in zip(starts, parts, strict=True)])
    if vectors is None:
        vectors = np.eye(len(parts))
    return Units(ranges, np.arange(1, len(parts) + 1), np.asarray(vectors, dtype=np.float32))


def test_a_long_sentence_with_more_of_the_query_is_the_best_one() -> None:
    case = Case(0)
    case.query, case.idf = ["w1", "w2"], {"w1": 1.0, "w2": 1.0}
    case.terms = [["w1", *["w5"] * 4], ["w1", "w2", *["w5"] * 38]]
    case.words, case.levels = [5, 40], [0, 0]
    case.vectors, case.counts = case.vectors[:1] * 2, [5, 40]
    assert case.scores(0.2).sentence(0, 2) == 1


def test_sentences_have_the_sums_of_their_tokens() -> None:
    text = "The board met in May. It agreed."
    units = units_of(text, "The board met in May.", "It agreed.")
    sentences = read_sentences(Document("a", text), units, "english")
    assert sentences.words.tolist() == [0, 5, 7]
    assert sentences.sums.tolist() == [[1, 0], [0, 2]]


def test_no_run_goes_beyond_a_heading() -> None:
    text = "# One\nA first sentence.\n\n# Two\nA second sentence."
    for name, borders in (("notes.md", [2]), ("notes.txt", [])):
        sentences = read_sentences(Document(name, text), None, "english")
        assert sentences.borders.tolist() == borders
        assert sentences.sums is None
        assert sentences.runs(100).ends[0] == (2 if borders else 4)


def test_a_plain_text_has_headings_in_capitals() -> None:
    text = "PREAMBLE\n\nThe parties met.\n\n2. AUDIT RIGHTS\n\nThey inspect books.\n\nAnd records."
    sentences = read_sentences(Document("a.txt", text), None, "english")
    assert sentences.levels.tolist() == [1, 0, 1, 0, 0]
    assert sentences.borders.tolist() == [2]
    assert sentences.is_content.all(), "they may be less than headings"
    marked = read_sentences(Document("a.md", f"# Contract\n\n{text}"), None, "english")
    assert marked.levels.tolist() == [1, 0, 0, 0, 0, 0]
    page = "AUDIT REPORT\n\nThe board met.\n\n"
    assert not read_sentences(Document("a.txt", f"{page}\f" * 4), None, "english").levels.any()


def test_headings_and_tables_of_contents_have_no_content() -> None:
    text = (
        "# Report\n\n## Contents\n\nMoney .......... 3\nRoads . . . . . . . 12\n\n## Money\n\n"
        "It grew.\n\n```\n# not a heading\n```\n\n## Empty\n\n## Last"
    )
    for name, without in (("a.md", ["#", "##", "Money", "##", "##", "##"]), ("a.txt", ["Money"])):
        sentences = read_sentences(Document(name, text), None, "english")
        starts = sentences.ranges[~sentences.is_content, 0].tolist()
        assert [text[start:].split()[0] for start in starts] == without
    sentences = read_sentences(Document("a.md", text), None, "english")
    assert [text[start:].split("\n")[0] for start in sentences.ranges[sentences.borders, 0]] == [
        "## Money",
        "## Empty",
    ], "neighbouring headings begin a section together"
    scores = RunScores(sentences, None, None, None, 0.2).runs(30)
    ends = sentences.runs(30).ends
    for first, score in enumerate(scores):
        assert np.isnan(score) == (not sentences.is_content[first : ends[first]].any())
    only = read_sentences(Document("a.md", "# One\n\n# Two"), None, "english")
    assert only.is_content.all(), "a document without content is not hidden"


def test_a_text_without_sentences_has_no_runs() -> None:
    sentences = read_sentences(Document("a", " \n "), None, None)
    scores = RunScores(sentences, None, None, None, 0.2)
    assert len(scores.runs(30)) == 0
    assert np.isnan(scores.best()).all()


def test_units_of_another_model_are_an_error() -> None:
    sums = np.ones((1, 3), dtype=np.float32)
    none = np.zeros(1, dtype=np.int64)
    is_content = np.ones(1, dtype=bool)
    sentences = Sentences(
        np.array([[0, 5]]), np.array([0, 1]), none, sums, is_content, is_transcript=False
    )
    with pytest.raises(StoreError, match="have 3 numbers, and questions 4"):
        RunScores(sentences, None, None, np.ones(4, dtype=np.float32), 0.2)
