"""Real files of every type, mutated at random: each gives its text or one line why not."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from index_fakes import embed_with, texts_of
from office_files import make_docx, make_epub, make_pdf, make_pptx, make_xlsx

from longembed_index.documents.files import find_files
from longembed_index.documents.parsing import Limits, Parser
from longembed_index.documents.readers import READERS
from longembed_index.documents.sources import FileSource
from longembed_index.maintain.ingest import ingest

QUICK, ALL = 60, 2000

PAGE = """<!DOCTYPE html><html><head><meta charset="utf-8"><title>Bäume</title>
<style>p { color: red }</style><script>document.write("x")</script></head><body>
<h1>Über Bäume</h1><p>Ein <b>Satz</b> &amp; noch einer.<table><tr><td>1<td>2</table>
<ul><li>eins<li>zwei</ul><a href="https://example.org/?a=b">link</a></body></html>"""
TEXT = "Ein Satz. Another one. 日本語の文。 🙂\n" * 20

SEEDS: dict[str, bytes] = {
    "page.html": PAGE.encode(),
    "old.htm": PAGE.replace("utf-8", "iso-8859-1").encode("iso-8859-1"),
    "page.xhtml": b"<?xml version='1.0' encoding='utf-8'?>" + PAGE.encode(),
    "paper.pdf": make_pdf("A first line", "and a second one", "of a small paper"),
    "letter.docx": make_docx("Sehr geehrte Damen und Herren, anbei mein Schreiben."),
    "slides.pptx": make_pptx("Year", {"Sales": "they rose", "Staff": "two left"}),
    "atlas.xlsx": make_xlsx("Atlas", {"Towns": [["name", "people"], ["Hill", 1200]]}),
    "book.epub": make_epub("Inseln", {"The sea": "salt water", "The shore": "white sand"}),
    "mail.eml": b"From: a@example.org\nSubject: one\nContent-Type: text/plain; charset=utf-8\n\nHi",
    "rows.jsonl": b'{"a": "\\u00e9", "b": [1, 2]}\n{"a": null}\n',
    "code.ipynb": b'{"cells": [{"cell_type": "markdown", "source": ["# A title\\n"]}], '
    b'"nbformat": 4, "nbformat_minor": 5, "metadata": {}}',
    "notes.txt": TEXT.encode(),
    "notes.md": TEXT.encode("utf-16"),
    "LICENSE": TEXT.encode("utf-32"),
}
CHARSETS = ("unicode_escape", "undefined", "idna", "punycode", "rot13", "hex", "a\0b", "utf-7", "")


def mutated(data: bytes, draw: random.Random) -> bytes:
    """One to five changes: bytes replaced, cut out, doubled, swapped, inserted."""
    out = bytearray(data)
    for _ in range(draw.randint(1, 5)):
        start = draw.randrange(len(out) + 1)
        end = min(len(out), start + draw.choice([1, 2, 8, 64, 1024]))
        change = draw.randrange(7)
        if change == 0:
            out[start:end] = draw.randbytes(end - start)
        elif change == 1:
            del out[start:end]
        elif change == 2:
            out[start:start] = out[start:end] * draw.choice([1, 3, 50])
        elif change == 3:
            out[start:start] = draw.randbytes(draw.choice([1, 4, 30]))
        elif change == 4:
            del out[start:]
        elif change == 5:
            other = draw.choice(list(SEEDS.values()))
            out[start:end] = other[: end - start]
        else:
            charset = draw.choice(CHARSETS).encode()
            out = bytearray(bytes(out).replace(b"utf-8", charset).replace(b"iso-8859-1", charset))
    return bytes(out)


def write_files(folder: Path, count: int, seed: int) -> None:
    draw = random.Random(seed)
    for number in range(count):
        name, data = draw.choice(list(SEEDS.items()))
        path = Path(name)
        (folder / f"{path.stem}-{number}{path.suffix}").write_bytes(mutated(data, draw))


@pytest.mark.parametrize(
    ("count", "seed"), [(QUICK, 0), pytest.param(ALL, 1, marks=pytest.mark.slow)]
)
def test_no_file_is_lost_and_none_stops_the_rest(tmp_path, store, model, count, seed) -> None:
    write_files(tmp_path, count, seed)
    parser = Parser(Limits(seconds=30, megabytes=1000))
    found = find_files([tmp_path], parser=parser)
    report = ingest(found.files, store, embed_with(model))
    parser.close()
    assert len(found.files) == count
    stored = texts_of(store).keys()
    failed = dict(report.failed)
    assert stored | failed.keys() == {file.id for file in found.files}
    assert not stored & failed.keys()
    assert len(stored) > count // 10, "the mutations leave nothing to read"
    assert failed, "the mutations harm nothing"
    for reason in failed.values():
        assert reason
        assert "\n" not in reason
        assert "Traceback" not in reason


def test_the_seeds_are_read() -> None:
    for name, data in SEEDS.items():
        assert FileSource(Path(name), len(data)).read(data).text.strip(), name


def test_a_page_of_any_charset_is_read_and_its_bytes_are_not_lost_unseen() -> None:
    for charset in CHARSETS:
        page = f'<meta charset="{charset}"><p>Größe \\x41 \\N{{DIGIT ONE}}'.encode("iso-8859-1")
        parsed = READERS[".html"](page)
        assert parsed.left_out, charset
        assert "\\x41 \\N{DIGIT ONE}" in parsed.text
