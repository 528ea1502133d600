"""Print the results of commands: reports and hits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from longembed_index.documents.parsed import LeftOut
from longembed_st.base.texts import escaped
from longembed_st.base.unknown_tokens import advice_on_unknown
from longembed_st.command.display import percent
from longembed_st.command.terminal import Terminal

if TYPE_CHECKING:
    from longembed_index.document import Hit, Passage
    from longembed_index.maintain.dry_run import DryRun
    from longembed_index.maintain.reindex import Reindexed
    from longembed_index.maintain.report import Outcome, Report
    from longembed_st.base.settings import ModelSettings

_NAMES_SHOWN = 3
_LISTED = 20
"""The most lines that are printed of a list."""
_SHOWN_AROUND = 200
"""The most characters before the best sentence, and after it."""
NOT_ANSWERED = (
    "This may not be answered here: no passage has many of the words of the question. "
    "What is shown is the nearest."
)

_LONG_WORD = 30
"""In characters. A longer word can be cut."""
_SCORES_BY_WORDS = {
    "document_words": "document",
    "best_passage_words": "best passage",
    "best_run_words": "best run",
}
_SCORES_BY_VECTORS = {"document_vector": "document", "best_run": "best run"}
_SCORES_OF_RERANKING = {"reranker": "reranker", "search": "search"}


def model_line(settings: ModelSettings) -> str:
    """Return a line with the model, its method, and how much of each document it reads."""
    limit = settings.max_seq_length
    whitening = f", whitened by {settings.whitening}" if settings.whitening else ""
    extent = f"up to {limit:,} tokens of" if limit else "all of"
    return (
        f"Model {settings.model_name}, method {settings.method}{whitening}: reads {extent} each "
        "document"
    )


def show_report(
    console: Terminal, report: Report, verbose: bool = False, title: str = "Index"
) -> None:
    """Print how many documents were stored, and why others were not."""
    rows = [(f"documents {status}", count) for status, count in report.counts.items()]
    if report.moved:
        rows.append(("of these moved, not embedded again", len(report.moved)))
    if report.gone:
        removed = len(report.removed)
        label = "documents removed" if removed else "documents whose file is gone"
        rows.append((label, removed or len(report.gone)))
    rows.append(("documents in the store", report.in_store))
    _show_counts(console, title, rows, report, verbose)
    if report.removed:
        show_list(console, "Removed:", [short_name(name) for name in report.removed])
    elif report.gone:
        heading = report.kept_because or "Files that are gone; --prune removes their documents:"
        show_list(console, heading, [short_name(name) for name in report.gone])
    if report.missing_elsewhere:
        console.say(
            f"The files of {len(report.missing_elsewhere):,} documents from other folders are "
            f"gone, for example {short_name(report.missing_elsewhere[0])}. "
            "`longembed delete --gone` removes these documents."
        )
    _show_skipped(console, report.skipped, report.links)


def show_dry_run(console: Terminal, forecast: DryRun) -> None:
    """Print what indexing would do."""
    table = Table(title="Would be indexed", title_justify="left", show_header=False)
    table.add_row("documents to read", f"{len(forecast.new):,}")
    table.add_row("documents unchanged", f"{forecast.unchanged:,}")
    table.add_row("documents failed", f"{len(forecast.failed):,}")
    table.add_row("tokens", f"{forecast.tokens:,}")
    table.add_row("share of tokens read", percent(forecast.share_read))
    table.add_row("tokens not known to the model", f"{forecast.tokens_unknown:,}")
    if forecast.seconds is not None:
        table.add_row("about", _duration(forecast.seconds))
        table.add_row("of these, reading the files", _duration(forecast.reading_seconds))
    console.print(table)
    if forecast.is_estimate:
        console.say(
            f"Estimated from {forecast.sampled:,} of {len(forecast.new):,} documents, some of each "
            "type, by the sizes of the files."
        )
    _show_failed(console, forecast.failed)
    lines = [f"{short_name(name)}: {part}" for name, part in forecast.left_out]
    show_list(console, "Parts of files that would not be read:", lines)
    _show_skipped(console, forecast.skipped, forecast.links)


def _duration(seconds: float) -> str:
    return str(timedelta(seconds=round(seconds)))


def show_reindexed(console: Terminal, result: Reindexed) -> None:
    """Print the result of a reindexing, and the name of the old vectors."""
    counts = result.report.counts
    rows = [
        ("documents embedded", counts["added"]),
        ("documents of an earlier run", counts["unchanged"]),
        ("documents failed", counts["failed"]),
        ("documents in the store", result.report.in_store),
    ]
    _show_counts(console, "Reindex", rows, result.report)
    if result.replaced is None:
        console.print(
            "The store keeps its old vectors: some documents cannot be embedded with the new "
            "settings. Remove them and run again, or leave them out with --allow-missing."
        )
    elif result.dropped:
        show_dropped(console, result.dropped)
    else:
        console.print(
            f"The old vectors are kept as {result.replaced!r}; `longembed reindex --drop-old` "
            "without further settings deletes them."
        )


def show_dropped(console: Terminal, names: Sequence[str]) -> None:
    """Print which old vectors were deleted."""
    console.print(f"Deleted: {', '.join(names)}" if names else "There are no old vectors.")


def _show_failed(
    console: Terminal, failed: Sequence[tuple[str, str]], verbose: bool = False
) -> None:
    """Print which documents were not stored, and why."""
    lines = [f"{short_name(name)}: {why}" for name, why in failed]
    show_list(console, "Not stored:", lines, verbose)


def _show_skipped(console: Terminal, paths: Sequence[str], links: Sequence[str]) -> None:
    """Print the files of types that are not read, by type, and the links that were not followed."""
    by_suffix: dict[str, list[str]] = {}
    for path in map(Path, paths):
        by_suffix.setdefault(path.suffix.lower() or "not a file", []).append(path.name)
    lines = []
    for suffix, names in sorted(by_suffix.items()):
        lines.append(f"{suffix}: {len(names):,} ({_first(names)})")
    show_list(console, "Skipped, of a type that is not read:", lines)
    heading = "Links that lead out of the folders; --follow-links follows them:"
    show_list(console, heading, [short_name(link) for link in links])


def show_table(console: Terminal, hits: Sequence[Hit]) -> None:
    """Print hits without passages, a row each."""
    table = Table()
    for heading in ("rank", "score"):
        table.add_column(heading, justify="right")
    table.add_column("document", overflow="fold")
    for heading in ("tokens", "read"):
        table.add_column(heading, justify="right")
    for rank, hit in enumerate(hits, 1):
        name = short_name(hit.document.id)
        if hit.left_out:
            name += f" (not read: {left_out_line(hit.left_out)})"
        table.add_row(
            str(rank), f"{hit.score:.3f}", name, f"{hit.tokens:,}", percent(hit.share_read)
        )
    console.print(table)


def show_hits(console: Terminal, hits: Sequence[Hit]) -> None:
    """Print documents with their passages, the best sentence highlighted."""
    for rank, hit in enumerate(hits, 1):
        document = hit.document
        details = score_parts(hit.scores)
        if hit.share_read < 1:
            details += f"; {percent(hit.share_read)} of it was read"
        if hit.coverage.is_unknown:
            share = percent(hit.tokens_unknown / hit.tokens_read)
            details += f"; the model does not know {share} of its tokens"
        heading = Text(f"{rank}. {escaped(document.title)}", style="bold")
        file = PurePath(document.id).name
        if document.title not in (document.id, file):
            heading.append(f"  {escaped(file)}", style="not bold")
        heading.append(f"  {hit.score:.3f} ({details})", style="not bold dim")
        console.print(heading)
        if hit.copies:
            copies = ", ".join(map(short_name, hit.copies))
            console.print(Padding(f"the same text: {copies}", (0, 0, 0, 3)))
        if hit.left_out:
            parts = left_out_line(hit.left_out)
            console.print(Padding(Text(f"not read: {parts}", style="yellow"), (0, 0, 0, 3)))
        for passage in hit.passages:
            line = Text(f"{_place(passage)}: ", style="dim")
            for text, style in _around_sentence(passage):
                line.append(escaped(text), style=style)
            console.print(Padding(line, (0, 0, 0, 3)))


def score_parts(scores: Mapping[str, float]) -> str:
    """Return the parts of a score in one line."""
    groups = []
    for heading, labels in (
        ("", _SCORES_OF_RERANKING),
        ("words: ", _SCORES_BY_WORDS),
        ("vectors: ", _SCORES_BY_VECTORS),
    ):
        parts = [f"{label} {scores[name]:.3f}" for name, label in labels.items() if name in scores]
        if parts:
            groups.append(heading + ", ".join(parts))
    return "; ".join(groups)


def left_out_line(left_out: Sequence[LeftOut]) -> str:
    """Return which parts of a file were not read, in one short line."""
    more = f"; {len(left_out) - _NAMES_SHOWN:,} more" if len(left_out) > _NAMES_SHOWN else ""
    return escaped("; ".join(map(str, left_out[:_NAMES_SHOWN])) + more)


def _place(passage: Passage) -> str:
    place = f"at {passage.share:.0%} of the document"
    if passage.page is not None:
        place += f", page {passage.page:,}"
    if passage.heading is not None:
        place += f", under {escaped(passage.heading)!r}"
    return place


def _around_sentence(passage: Passage) -> list[tuple[str, str]]:
    """Return the pieces of a passage with their styles, cut around the sentence if it is long."""
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
    """Return the beginning of a text in one line, cut between words where there are spaces."""
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
    _show_failed(console, report.failed, verbose)
    show_list(
        console,
        "Stored, but not read to the end (method pcw has no upper length):",
        [
            f"{short_name(outcome.id)}: {outcome.tokens_read:,} of {outcome.tokens:,} tokens"
            for outcome in report.partly_read
        ],
        verbose,
    )
    if report.unknown:
        show_list(
            console,
            f"Stored, but the model does not know many of the tokens. {advice_on_unknown()}:",
            [
                f"{short_name(outcome.id)}: {outcome.tokens_unknown:,} of {outcome.tokens_read:,} "
                "tokens not known"
                for outcome in report.unknown
            ],
            verbose,
        )
    _show_left_out(console, report.left_out, verbose)


def _show_left_out(console: Terminal, outcomes: Sequence[Outcome], verbose: bool) -> None:
    """Print the parts of files that were not read; many of them are summed up by kind."""
    parts = [(short_name(outcome.id), part) for outcome in outcomes for part in outcome.left_out]
    lines = [f"{name}: {part}" for name, part in parts]
    heading = "Stored, but parts of the file were not read:"
    if len(parts) > _LISTED and not verbose:
        heading = f"{heading[:-1]} (--verbose or --json names each file):"
        by_what: dict[str, list[tuple[str, int]]] = {}
        for name, part in parts:
            by_what.setdefault(part.what, []).append((name, part.count))
        lines = []
        for what, files in by_what.items():
            names = list(dict.fromkeys(name for name, _ in files))
            total = LeftOut("", what, sum(count for _, count in files))
            lines.append(f"{total}: {_first(names)}")
    show_list(console, heading, lines, verbose)


def _first(names: Sequence[str]) -> str:
    more = len(names) - _NAMES_SHOWN
    return ", ".join(names[:_NAMES_SHOWN]) + (f" and {more:,} more" if more > 0 else "")


def show_list(console: Terminal, heading: str, lines: Sequence[str], verbose: bool = False) -> None:
    """Print the first lines of a list below a heading, or all of them; nothing without lines."""
    if lines:
        console.print(heading, style="bold")
        shown_lines = lines if verbose else lines[:_LISTED]
        for line in shown_lines:
            console.say(f"  {line}")
        if len(lines) > len(shown_lines):
            console.say(f"  and {len(lines) - _LISTED:,} more; --json names all of them")


def short_name(name: str) -> str:
    """Return a path relative to the working folder if it lies in it."""
    path = Path(name)
    try:
        here = Path.cwd()
    except FileNotFoundError:
        return name
    return str(path.relative_to(here)) if path.is_relative_to(here) else name
