"""What the commands print at their end: the closing table, the hits."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from longembed_st.base.texts import escaped
from longembed_st.command.display import percent
from longembed_st.command.terminal import Terminal

if TYPE_CHECKING:
    from longembed_index.foresight import Foresight
    from longembed_index.passages import DocumentHit, Passage
    from longembed_index.places import Place
    from longembed_index.reindexing import Reindexed
    from longembed_index.reports import Report
    from longembed_index.searching import Hit
    from longembed_st.base.coverage import Coverage

_NAMES_SHOWN = 3
_LISTED = 20
"""Lines of a list, which may have thousands."""
_SHOWN_AROUND = 200
"""Characters before and behind the best sentence."""
_LONG_WORD = 30


def show_report(
    console: Terminal, report: Report, in_store: int | None, verbose: bool = False
) -> None:
    """Print what became of the documents, and why some were not stored.

    Args:
        console: Where to print.
        report: The ingestion's report.
        in_store: Documents that the store has now; None if there is no store.
        verbose: Whether to name all documents that failed.
    """
    rows = [(f"documents {status}", count) for status, count in report.counts.items()]
    if report.moved:
        rows.append(("of these moved, not embedded again", len(report.moved)))
    if report.gone:
        label = "documents removed" if report.pruned else "documents whose file is gone"
        rows.append((label, len(report.gone)))
    if in_store is not None:
        rows.append(("documents in the store", in_store))
    _show_counts(console, "Index", rows, report, verbose)
    gone = [_short(name) for name in report.gone]
    _show_list(console, "Removed:" if report.pruned else "Gone; --prune removes them:", gone)


def show_foresight(console: Terminal, seen: Foresight) -> None:
    """Print what an ingestion would do.

    Args:
        console: Where to print.
        seen: What would be done.
    """
    table = Table(title="Would be indexed", title_justify="left", show_header=False)
    share = seen.read / seen.tokens if seen.tokens else 1.0
    table.add_row("documents to read", f"{len(seen.new):,}")
    table.add_row("documents unchanged", f"{seen.unchanged:,}")
    table.add_row("documents failed", f"{len(seen.failed):,}")
    table.add_row("tokens", f"{seen.tokens:,}")
    table.add_row("share of tokens read", percent(share))
    if seen.seconds is not None:
        table.add_row("about", str(timedelta(seconds=round(seen.seconds))))
    console.print(table)
    show_failed(console, seen.failed)


def show_reindexed(console: Terminal, done: Reindexed, in_store: int) -> None:
    """Print what a reindexing has done, and where the old vectors are.

    Args:
        console: Where to print.
        done: The reindexing.
        in_store: Documents that the store has.
    """
    counts = done.report.counts
    rows = [
        ("documents embedded", counts["added"]),
        ("documents of an earlier run", counts["unchanged"]),
        ("documents failed", counts["failed"]),
        ("documents in the store", in_store),
    ]
    _show_counts(console, "Reindex", rows, done.report)
    if done.kept_as is None:
        console.print(
            "The store keeps its old vectors: some documents cannot be embedded with the new "
            "settings. Remove them and run again, or leave them out with --allow-missing."
        )
    elif done.dropped:
        show_dropped(console, done.dropped)
    else:
        console.print(
            f"The old vectors are kept as {done.kept_as!r}; `longembed reindex --drop-old` without "
            "further settings deletes them."
        )


def show_repaired(console: Terminal, report: Report) -> None:
    """Print what a repair has done.

    Args:
        console: Where to print.
        report: The repair's report.
    """
    counts = report.counts
    rows = [
        ("vectors taken from the copy", counts["unchanged"]),
        ("documents embedded again", counts["added"]),
        ("records removed", len(report.gone)),
        ("documents failed", counts["failed"]),
    ]
    _show_counts(console, "Repair", rows, report)


def show_dropped(console: Terminal, names: Sequence[str]) -> None:
    """Print which old vectors were deleted.

    Args:
        console: Where to print.
        names: The names under which they were kept.
    """
    console.print(f"Deleted: {', '.join(names)}" if names else "There are no old vectors.")


def show_failed(
    console: Terminal, failed: Sequence[tuple[str, str]], verbose: bool = False
) -> None:
    """Print which documents were not stored, and why.

    Args:
        console: Where to print.
        failed: Name and reason.
        verbose: Whether to name all of them.
    """
    lines = [f"{_short(name)}: {why}" for name, why in failed]
    _show_list(console, "Not stored:", lines, verbose)


def show_skipped(console: Terminal, paths: Sequence[Path]) -> None:
    """Print which files nobody tried to read, by type.

    Args:
        console: Where to print.
        paths: The files.
    """
    by_suffix: dict[str, list[str]] = {}
    for path in paths:
        by_suffix.setdefault(path.suffix.lower() or "not a file", []).append(path.name)
    lines = []
    for suffix, names in sorted(by_suffix.items()):
        more = ", ..." if len(names) > _NAMES_SHOWN else ""
        lines.append(f"{suffix}: {len(names):,} ({', '.join(names[:_NAMES_SHOWN])}{more})")
    _show_list(console, "Skipped, of a type that is not read:", lines)


def show_query_cut(console: Terminal, coverage: Coverage) -> None:
    """Print how much of a query was not read, if any.

    Args:
        console: Where to print.
        coverage: Of the query.
    """
    if coverage.read < coverage.tokens:
        console.print(f"Of the query, {coverage.read:,} of {coverage.tokens:,} tokens were read.")


def show_hits(console: Terminal, hits: Sequence[Hit]) -> None:
    """Print the hits of a search.

    Args:
        console: Where to print.
        hits: The best first.
    """
    table = Table()
    for heading in ("rank", "score"):
        table.add_column(heading, justify="right")
    table.add_column("document", overflow="fold")
    for heading in ("tokens", "read"):
        table.add_column(heading, justify="right")
    for rank, hit in enumerate(hits, 1):
        tokens = "-" if hit.tokens is None else f"{hit.tokens:,}"
        read = "-" if hit.share_read is None else percent(hit.share_read)
        table.add_row(str(rank), f"{hit.score:.3f}", _short(hit.source), tokens, read)
    console.print(table)


def show_answers(console: Terminal, answers: Sequence[DocumentHit]) -> None:
    """Print documents with the passages that answer, the best sentence highlighted.

    Args:
        console: Where to print.
        answers: The best first.
    """
    for rank, answer in enumerate(answers, 1):
        scores = {
            "found with": answer.first_score,
            "document": answer.document_score,
            "best span": answer.span_score,
        }
        if answer.words is not None:
            scores |= {
                "words": answer.words.document,
                "in passage": answer.words.passage,
            }
        named = [f"{name} {score:.3f}" for name, score in scores.items() if score is not None]
        parts = ", ".join(named)
        if answer.hit.share_read is not None and answer.hit.share_read < 1:
            parts += f"; {percent(answer.hit.share_read)} of it was read"
        heading = Text(f"{rank}. {escaped(answer.hit.title)}", style="bold")
        file = PurePath(answer.hit.source).name
        if answer.hit.title not in (answer.hit.source, file):
            heading.append(f"  {escaped(file)}", style="not bold")
        heading.append(f"  {answer.hit.score:.3f} ({parts})", style="not bold dim")
        console.print(heading)
        if answer.also:
            console.print(Padding(f"also {', '.join(map(_short, answer.also))}", (0, 0, 0, 3)))
        for passage in answer.passages:
            line = Text(f"{_described(answer.place_of(passage))}: ", style="dim")
            for text, style in _around_sentence(passage):
                line.append(escaped(text), style=style)
            console.print(Padding(line, (0, 0, 0, 3)))


def _described(place: Place) -> str:
    described = f"at {place.share:.0%} of the document"
    if place.page is not None:
        described += f", page {place.page:,}"
    if place.heading is not None:
        described += f", under {escaped(place.heading)!r}"
    return described


def _around_sentence(passage: Passage) -> list[tuple[str, str]]:
    """The passage in pieces with their style; of a long one, what stands around its sentence."""
    if passage.sentence is None:
        return [(_beginning(passage.text), "not dim")]
    start, end = (place - passage.start for place in passage.sentence)
    # The end of a text is the beginning of the reversed one.
    before = _beginning(passage.text[:start][::-1])[::-1]
    sentence = " ".join(passage.text[start:end].split())
    after = _beginning(passage.text[end:])
    pieces: list[tuple[str, str]] = []
    for part, style in (
        (before, "not dim"),
        (sentence, "not dim bold reverse"),
        (after, "not dim"),
    ):
        if part:
            pieces += [(" ", "not dim"), (part, style)]
    return pieces[1:]


def _beginning(text: str) -> str:
    """What is shown of a text in one line: whole words, where words are parted by spaces."""
    line = " ".join(text.split())
    if len(line) <= _SHOWN_AROUND:
        return line
    words, _, part = line[:_SHOWN_AROUND].rpartition(" ")
    return f"{words if len(part) < _LONG_WORD else line[:_SHOWN_AROUND]} ..."


def _show_counts(
    console: Terminal,
    title: str,
    rows: Sequence[tuple[str, int]],
    report: Report,
    verbose: bool = False,
) -> None:
    table = Table(title=title, title_justify="left", show_header=False)
    table.add_column()
    table.add_column(justify="right")
    for label, count in rows:
        table.add_row(label, f"{count:,}")
    table.add_row("tokens embedded", f"{report.tokens:,}")
    table.add_row("share of tokens read", percent(report.share_read) if report.tokens else "-")
    table.add_row("seconds", f"{report.seconds:.1f}")
    console.print(table)
    show_failed(console, report.failed, verbose)
    _show_list(
        console,
        "Stored, but not read to the end (method pcw has no upper length):",
        [f"{_short(o.name)}: {o.read:,} of {o.tokens:,} tokens" for o in report.partly_read],
        verbose,
    )


def _show_list(console: Terminal, heading: str, lines: list[str], verbose: bool = False) -> None:
    if lines:
        console.print(heading, style="bold")
        shown_lines = lines if verbose else lines[:_LISTED]
        for line in shown_lines:
            console.say(f"  {line}")
        if len(lines) > len(shown_lines):
            console.say(f"  and {len(lines) - _LISTED:,} more; --json names all of them")


def _short(name: str) -> str:
    """A path as seen from here, if it is below here."""
    path = Path(name)
    try:
        here = Path.cwd()
    except FileNotFoundError:
        return name
    return str(path.relative_to(here)) if path.is_relative_to(here) else name
