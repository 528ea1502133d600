"""Readers of PDF beside one another: time, memory, words that come out, pages, order of lines.

The reference is a text of each PDF by another library, with form feeds between the pages: lines of
`{"doc_id": ..., "text": ...}`, where `doc_id` is the name of the file without suffix. Each runs in
a process of its own. Words are counted without hyphens, since a line may end within a word. Page
headers and footers that the reference repeats count once ("words"), or as often as they stand there
("with repeats"). A page is right if it has four of five words of the same page of the reference.
Lines of 20 letters and more are in order if each is found behind the one before, on its page.

    python benchmarks/pdf_readers.py FOLDER corpus.jsonl.gz [--reader longembed --reader pypdfium2]
"""

from __future__ import annotations

import argparse
import gzip
import io
import json
import multiprocessing
import re
import resource
import time
from collections import Counter
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path

MANY_PAGES = 3
"""A line at the edge of so many pages is a header or a footer."""
EDGE = 3
LONG_LINE = 20


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("reference", type=Path)
    parser.add_argument("--reader", action="append", choices=READERS)
    arguments = parser.parse_args()
    with gzip.open(arguments.reference, "rt", encoding="utf-8") as lines:
        reference = {row["doc_id"]: row["text"] for row in map(json.loads, lines)}
    files = [file for file in sorted(arguments.folder.glob("*.pdf")) if file.stem in reference]
    print(
        "| reader | seconds | peak MB | words (worst file) | with repeats | pages right "
        "| lines in order |\n|---|---|---|---|---|---|---|"
    )
    for name in arguments.reader or READERS:
        seconds, megabytes, texts = measured(name, files)
        if texts is None:
            print(f"| {name} | not installed |")
            continue
        shares, repeated = {}, [0, 0]
        pages, lines_in_order = [0, 0], [0, 0]
        for file, text in texts.items():
            expected = reference[file]
            shares[file] = found(words_of(without_repeats(expected)), words_of(text))
            add(repeated, found(words_of(expected), words_of(text)))
            add(pages, right_pages(expected, text))
            add(lines_in_order, ordered_lines(expected, text))
        all_found = sum(share[0] for share in shares.values())
        words = all_found / sum(share[1] for share in shares.values())
        worst = min(share[0] / share[1] for share in shares.values())
        print(
            f"| {name} | {seconds:.1f} | {megabytes:.0f} | {words:.1%} ({worst:.1%}) "
            f"| {repeated[0] / repeated[1]:.1%} | {pages[0]:,} of {pages[1]:,} "
            f"| {lines_in_order[0]:,} of {lines_in_order[1]:,} |",
            flush=True,
        )


def measured(name: str, files: list[Path]) -> tuple[float, float, dict[str, str] | None]:
    """Return the seconds, megabytes and texts of a reader, in a new process."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=_read_all, args=(name, files, there))
    process.start()
    result: tuple[float, float, dict[str, str] | None] = here.recv()
    process.join()
    return result


def _read_all(name: str, files: list[Path], answers: Connection) -> None:
    try:
        read = READERS[name]()
    except ImportError:
        answers.send((0.0, 0.0, None))
        return
    start = time.perf_counter()
    texts = {file.stem: read(file.read_bytes()) for file in files}
    seconds = time.perf_counter() - start
    kilobytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    answers.send((seconds, kilobytes / 1000, texts))


def ours() -> Callable[[bytes], str]:
    """Return the reader of `longembed index`."""
    from longembed_index.documents.formats.pdf import read_pdf

    return lambda data: read_pdf(data).text


def plain_pdfium() -> Callable[[bytes], str]:
    """Return a reader that takes the text as PDFium gives it."""
    import pypdfium2  # type: ignore[import-untyped]

    def read(data: bytes) -> str:
        pages = []
        for page in pypdfium2.PdfDocument(data):
            pages.append(page.get_textpage().get_text_range())
            page.close()
        return "\f".join(pages)

    return read


def markitdown() -> Callable[[bytes], str]:
    """Return the reader of the library markitdown."""
    from markitdown import StreamInfo
    from markitdown.converters import PdfConverter

    info = StreamInfo(extension=".pdf")
    return lambda data: str(PdfConverter().convert(io.BytesIO(data), info).markdown)


READERS = {"longembed": ours, "pypdfium2": plain_pdfium, "markitdown": markitdown}


def add(totals: list[int], more: tuple[int, int]) -> None:
    """Add a number and its maximum to their totals."""
    totals[0] += more[0]
    totals[1] += more[1]


def words_of(text: str) -> Counter[str]:
    """Count the words of a text, without hyphens."""
    return Counter(re.findall(r"\w+", re.sub("[-\u2010\u00ad\ufffe\x02]\\s*", "", text).casefold()))


def found(expected: Counter[str], words: Counter[str]) -> tuple[int, int]:
    """Return how many words came out, of how many."""
    return (expected & words).total(), expected.total()


def without_repeats(text: str) -> str:
    """Return a reference with its headers and footers once, page numbers aside."""
    pages = [page.split("\n") for page in text.split("\f")]

    def edges(page: list[str]) -> set[str]:
        lines = [re.sub(r"\d+", "#", line.strip()) for line in page if line.strip()]
        return {*lines[:EDGE], *lines[-EDGE:]}

    counts = Counter(line for page in pages for line in edges(page))
    seen: set[str] = set()
    kept = []
    for page in pages:
        repeated = {line for line in edges(page) if counts[line] >= MANY_PAGES}
        again = repeated & seen
        kept.append(
            "\n".join(line for line in page if re.sub(r"\d+", "#", line.strip()) not in again)
        )
        seen |= repeated
    return "\f".join(kept)


def right_pages(expected: str, text: str) -> tuple[int, int]:
    """Return how many pages have their words, of how many with 20 words and more."""
    pages = text.split("\f")
    right = count = 0
    for number, page in enumerate(expected.split("\f")):
        words = words_of(page)
        if words.total() >= 20:
            count += 1
            got = words_of(pages[number]) if number < len(pages) else Counter()
            right += (words & got).total() >= 0.8 * words.total()
    return right, count


def ordered_lines(expected: str, text: str) -> tuple[int, int]:
    """Return how many lines of the pages stand behind the one before, of how many."""
    pages = [_letters(page) for page in text.split("\f")]
    right = count = 0
    for number, page in enumerate(without_repeats(expected).split("\f")):
        last = 0
        for line in map(_letters, page.split("\n")):
            if len(line) >= LONG_LINE:
                count += 1
                place = pages[number].find(line, last) if number < len(pages) else -1
                if place >= 0:
                    right, last = right + 1, place
    return right, count


def _letters(text: str) -> str:
    return re.sub(r"\W+", "", text).casefold()


if __name__ == "__main__":
    main()
