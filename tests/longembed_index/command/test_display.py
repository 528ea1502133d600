from __future__ import annotations

import io
from pathlib import Path

from longembed_index.command.display import left_out_line, score_parts, show_report
from longembed_index.documents.parsed import LeftOut
from longembed_index.maintain.report import Outcome, Report
from longembed_st.command.terminal import Terminal


def printed(count: int, verbose: bool = False) -> str:
    """What is shown of a run over some books, each with two damaged chapters and a picture."""
    report = Report()
    for number in range(count):
        left_out = (LeftOut("chapter 2", "damaged chapters", 2), LeftOut("", "pictures"))
        book = str(Path.cwd() / f"book{number}.epub")
        report.add(Outcome(book, "added", left_out=left_out))
    file = io.StringIO()
    show_report(Terminal(file=file, width=100), report, verbose)
    return file.getvalue()


def test_few_parts_that_were_not_read_are_named_one_by_one() -> None:
    shown = printed(10)
    for number in range(10):
        assert f"  book{number}.epub: chapter 2: 2 damaged chapters\n" in shown
        assert f"  book{number}.epub: pictures\n" in shown


def test_many_parts_that_were_not_read_are_counted_by_what_they_are() -> None:
    shown = printed(1_200)
    assert "(--verbose or --json names each file):" in shown
    assert "  2,400 damaged chapters: book0.epub, book1.epub, book2.epub and 1,197 more\n" in shown
    assert "  1,200 pictures: book0.epub," in shown
    assert "book3.epub" not in shown
    assert "  book1199.epub: pictures\n" in printed(1_200, verbose=True)


def test_parts_that_were_not_read_make_one_short_line() -> None:
    parts = [LeftOut(f"sheet {number}", "formulas without a stored value", 2) for number in "ABCDE"]
    assert left_out_line(parts[:1]) == "sheet A: 2 formulas without a stored value"
    assert left_out_line(parts).endswith("sheet C: 2 formulas without a stored value; 2 more")


def test_parts_of_a_score_are_grouped_by_words_and_vectors() -> None:
    scores = {
        "document_vector": 0.1,
        "document_words": 0.2,
        "best_passage_words": 0.3,
        "best_run_words": 0.4,
        "best_run": 0.5,
    }
    parts = "words: document 0.200, best passage 0.300, best run 0.400; "
    parts += "vectors: document 0.100, best run 0.500"
    assert score_parts(scores) == parts
    assert score_parts({**scores, "search": 0.6, "reranker": 0.7}) == (
        f"reranker 0.700, search 0.600; {parts}"
    )
    assert score_parts({"document_words": 0.2}) == "words: document 0.200"
