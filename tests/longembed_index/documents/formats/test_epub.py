from __future__ import annotations

import io
import zipfile

import pytest
from office_files import make_epub

from longembed_index.documents.formats import epub
from longembed_index.documents.formats.epub import read_epub
from longembed_index.documents.places import place_in
from longembed_st.errors import InputError


def changed(book: bytes, **parts: bytes | None) -> bytes:
    """A book with other files: None to leave one out."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(book)) as old, zipfile.ZipFile(out, "w") as new:
        files = {name: old.read(name) for name in old.namelist()} | parts
        for name, data in files.items():
            if data is not None:
                new.writestr(name, data)
    return out.getvalue()


def with_package(book: bytes, *replacements: tuple[str, str]) -> bytes:
    package = zipfile.ZipFile(io.BytesIO(book)).read("OPS/book.opf").decode()
    for old, new in replacements:
        assert old in package
        package = package.replace(old, new)
    return changed(book, **{"OPS/book.opf": package.encode()})


BOOK = make_epub("Logs", {"The sea": "salt water", "The shore": "white sand"})


def test_a_book_has_chapters_and_a_title() -> None:
    parsed = read_epub(
        make_epub("Öde Inseln", {"The sea": "salt water", "The shore": "white sand"})
    )
    assert parsed.title == "Öde Inseln"
    place = place_in(parsed.text, parsed.text.index("white sand"), "a.epub")
    assert place.heading == "The shore"


def test_addresses_of_chapters() -> None:
    for address in ("1.xhtml#part", "../OPS/1.xhtml", "%31.xhtml", "1.XHTML", "/OPS/1.xhtml"):
        parsed = read_epub(with_package(BOOK, ('href="1.xhtml"', f'href="{address}"')))
        assert "white sand" in parsed.text, address
        assert not parsed.left_out


def test_a_package_file_may_use_a_prefix_and_be_damaged() -> None:
    names = ("package", "manifest", "item ", "spine", "itemref")
    prefixed = [(f"<{name}", f"<o:{name}") for name in names]
    parsed = read_epub(with_package(BOOK, *prefixed, ("xmlns=", "xmlns:o="), ("</package>", "")))
    assert parsed.title == "Logs"
    assert parsed.text.index("salt water") < parsed.text.index("white sand")


def test_without_a_package_file_all_pages_are_read() -> None:
    assert "white sand" in read_epub(changed(BOOK, **{"OPS/book.opf": None})).text


def test_missing_and_encrypted_chapters_are_named() -> None:
    missing = read_epub(changed(BOOK, **{"OPS/0.xhtml": None}))
    assert "white sand" in missing.text
    assert str(missing.left_out[0]) == "chapter 0.xhtml: chapters that are missing from the file"
    rights = b'<e><CipherReference xmlns="x" URI="OPS/1.xhtml"/></e>'
    locked = read_epub(changed(BOOK, **{"META-INF/encryption.xml": rights}))
    assert "white sand" not in locked.text
    assert str(locked.left_out[0]) == "chapter OPS/1.xhtml: chapters that are encrypted"


def test_a_book_of_which_nothing_can_be_read_is_refused() -> None:
    with pytest.raises(InputError, match=r"chapter 0\.xhtml: chapters that are missing"):
        read_epub(changed(BOOK, **{"OPS/0.xhtml": None, "OPS/1.xhtml": None}))


def test_what_unfolds_to_too_much_is_refused(monkeypatch) -> None:
    monkeypatch.setattr(epub, "_MOST_BYTES", 2000)
    with pytest.raises(InputError, match=r"unfolds to more than"):
        read_epub(changed(BOOK, **{"OPS/1.xhtml": b"<p>" + b"a" * 2000}))


def test_entities_of_a_package_file_are_not_replaced() -> None:
    start = '<!DOCTYPE p [<!ENTITY a "b"><!ENTITY f SYSTEM "file:///etc/hostname">]><package'
    parsed = read_epub(with_package(BOOK, ("<package", start), ("Logs", "L&f;&a;")))
    assert parsed.title == "L&f;&a;"
