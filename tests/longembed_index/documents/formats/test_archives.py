from __future__ import annotations

import random

import pytest
from office_files import (
    make_docx,
    make_pptx,
    make_word,
    make_xlsx,
    parts_of,
    word_paragraph,
    zipped,
)

from longembed_index.documents.formats.archives import Package
from longembed_index.documents.readers import READERS
from longembed_st.errors import InputError

FILES = {
    ".docx": make_docx("A letter", "of two paragraphs"),
    ".pptx": make_pptx("Year", {"Sales": "they rose", "Staff": "two left"}),
    ".xlsx": make_xlsx("Atlas", {"Towns": [["name", "people"], ["Hill", 1200]]}),
}
OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"


def test_a_package_knows_its_parts_and_what_they_lead_to() -> None:
    package = Package(FILES[".pptx"])
    assert package.title() == "Year"
    assert package.main("nothing") == "ppt/presentation.xml"
    slides = package.related("ppt/presentation.xml", "slide")
    assert sorted(slides.values()) == ["ppt/slides/slide1.xml", "ppt/slides/slide2.xml"]
    assert package.related("ppt/slides/slide1.xml", "slide") == {}


def test_files_that_macos_adds_to_an_archive_are_no_parts() -> None:
    for suffix in FILES:
        parts = parts_of(FILES[suffix])
        added = {f"__MACOSX/._{name}": b"\0\5\x16\7Mac OS X" for name in parts}
        parsed = READERS[suffix](zipped({**parts, **added}))
        assert parsed == READERS[suffix](FILES[suffix])


def test_more_than_the_limit_is_refused_before_it_is_unpacked() -> None:
    parts = {"word/document.xml": bytes(3_000_000), "word/media/picture.png": bytes(9_000_000)}
    with pytest.raises(InputError, match=r"unpacks to 3 MB of XML, more than the 2 MB"):
        Package(zipped(parts), max_megabytes=2)
    Package(zipped(parts), max_megabytes=3)


def test_too_many_parts_are_refused(monkeypatch) -> None:
    monkeypatch.setattr("longembed_index.documents.formats.archives._MOST_PARTS", 2)
    with pytest.raises(InputError, match="an archive of 3 files, more than the 2"):
        Package(zipped({"a": "", "b": "", "c": ""}))


def test_other_files_under_these_names_are_refused_with_what_to_do() -> None:
    for suffix in FILES:
        for data, reason in (
            (OLE + "EncryptedPackage".encode("utf-16-le"), "encrypted with a password"),
            (OLE, "used before 2007"),
            (b"PK\x05\x06", "cannot be read as"),
            (b"<html>", "cannot be read as"),
        ):
            with pytest.raises(InputError, match=reason):
                READERS[suffix](data)


def test_entities_are_refused() -> None:
    for encoding, declared in [
        ("utf-8", '<!ENTITY x SYSTEM "file:///etc/passwd">'),
        ("utf-16", '<!ENTITY x "a"><!ENTITY y "&x;&x;">'),
    ]:
        parts = parts_of(make_word(word_paragraph("Intro &x;")))
        text = f"<!DOCTYPE d [{declared}]>{parts['word/document.xml'].decode()}"
        parts["word/document.xml"] = text.encode(encoding)
        with pytest.raises(
            InputError, match=r"has a document type declaration in word/document\.xml"
        ):
            READERS[".docx"](zipped(parts))


def outcome(suffix: str, data: bytes) -> str:
    """Why a file is not read; empty if it is."""
    try:
        READERS[suffix](data)
    except InputError as error:
        return str(error)
    return ""


def test_damaged_parts_give_text_or_one_line() -> None:
    for suffix in FILES:
        draw = random.Random(0)
        parts = parts_of(FILES[suffix])
        outcomes = []
        for _ in range(60):
            name = draw.choice(sorted(parts))
            data = bytearray(parts[name])
            for _ in range(draw.randint(1, 3)):
                start = draw.randrange(len(data) + 1)
                end = start + draw.choice([1, 3, 20, 200])
                data[start:end] = draw.choice([b"", b"9" * 12, b"<a>", b'"', data[:50]])
            outcomes.append(outcome(suffix, zipped({**parts, name: bytes(data)})))
        assert "" in outcomes
        assert all(len(reason.splitlines()) <= 1 for reason in outcomes)
