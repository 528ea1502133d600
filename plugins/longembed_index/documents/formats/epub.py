"""The reader of e-books."""

from __future__ import annotations

import io
import posixpath
import zipfile
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote

from lxml import etree  # type: ignore[import-untyped]

from longembed_index.documents.formats.archives import MAX_MEGABYTES, safe_parser, too_large
from longembed_index.documents.formats.html import read_html
from longembed_index.documents.parsed import LeftOut, Parsed, clean_title, read_as
from longembed_st.errors import InputError

_NOT_TEXT = ("image/", "audio/", "video/", "font/")
_PAGES = (".xhtml", ".html", ".htm", ".xml")


def read_epub(data: bytes) -> Parsed:
    """Read an e-book as Markdown, its chapters in the order of reading.

    Returns:
        The book; chapters that are missing, damaged or encrypted are in `left_out`.

    Raises:
        InputError: If it cannot be read, or unpacks to too much.
    """
    with read_as("EPUB"), zipfile.ZipFile(io.BytesIO(data)) as archive:
        return _Book(archive).read()


class _Book:
    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive
        self._names = {_folded(name): name for name in archive.namelist()}
        self._unpacked_bytes = 0
        self._encrypted = {
            _folded(unquote(element.get("URI", "")))
            for element in self._elements("META-INF/encryption.xml", "CipherReference")
        }

    def read(self) -> Parsed:
        texts: list[str] = []
        left_out: list[LeftOut] = []
        title, chapters = self._chapters()
        for name, address in chapters:
            chapter, lost = self._chapter(name, address)
            if chapter.text:
                texts.append(chapter.text)
            left_out += lost
        if not chapters:
            raise ValueError("it has no chapters")
        if not texts and left_out:
            raise InputError(f"cannot be read as EPUB: {'; '.join(map(str, left_out[:3]))}")
        return Parsed("\n\n".join(texts), title, tuple(left_out))

    def _chapters(self) -> tuple[str, list[tuple[str | None, str]]]:
        """Return the title, and each chapter's file (None if it is missing) and address."""
        packages = [
            element.get("full-path", "")
            for element in self._elements("META-INF/container.xml", "rootfile")
        ]
        packages += [name for name in self._archive.namelist() if name.endswith(".opf")]
        package = next(filter(None, map(self._find, packages)), None)
        pages = [name for name in self._archive.namelist() if name.lower().endswith(_PAGES)]
        pages = [name for name in pages if not name.startswith("META-INF/")]
        if package is None:
            return "", [(name, name) for name in pages]
        items = {}
        title = ""
        order = []
        for element in self._elements(package):
            kind = _local(element.tag)
            if kind == "title" and not title:
                title = clean_title("".join(element.itertext()))
            elif kind == "item":
                items[element.get("id")] = element
            elif kind == "itemref":
                order.append(element.get("idref", ""))
        chapters: dict[str, str | None] = {}
        for identifier in order:
            item = items.get(identifier)
            if item is None:
                chapters[identifier] = None
            elif not (item.get("media-type") or "").startswith(_NOT_TEXT):
                address = item.get("href") or ""
                chapters.setdefault(address.partition("#")[0], self._find(address, package))
        if not chapters:
            return title, [(name, name) for name in pages]
        for item in items.values():
            is_page = item.get("media-type") == "application/xhtml+xml"
            if is_page and "nav" not in (item.get("properties") or "").split():
                address = item.get("href") or ""
                chapters.setdefault(address.partition("#")[0], self._find(address, package))
        return title, [(name, address) for address, name in chapters.items()]

    def _chapter(self, name: str | None, address: str) -> tuple[Parsed, tuple[LeftOut, ...]]:
        where = f"chapter {name or address}"
        if name is None:
            return Parsed(""), (LeftOut(where, "chapters that are missing from the file"),)
        is_locked = self._archive.getinfo(name).flag_bits & 1
        if is_locked or _folded(name) in self._encrypted:
            return Parsed(""), (LeftOut(where, "chapters that are encrypted"),)
        try:
            page = read_html(self._content(name))
        except (InputError, OSError, EOFError, zipfile.BadZipFile, NotImplementedError) as error:
            if self._is_too_large:
                raise
            reason = str(error) or type(error).__name__
            return Parsed(""), (LeftOut(where, f"chapters that cannot be read: {reason}"),)
        return page, tuple(LeftOut(where, part.what, part.count) for part in page.left_out)

    @property
    def _is_too_large(self) -> bool:
        return self._unpacked_bytes > MAX_MEGABYTES * 1_000_000

    def _content(self, name: str) -> bytes:
        self._unpacked_bytes += self._archive.getinfo(name).file_size
        if self._is_too_large:
            raise too_large(self._unpacked_bytes)
        return self._archive.read(name)

    def _find(self, address: str, beside: str = "") -> str | None:
        """Return the file of an address in the package file; None if there is none."""
        address = address.partition("#")[0].replace("\\", "/")
        for written in (address, unquote(address)):
            path = posixpath.normpath(posixpath.join("/", posixpath.dirname(beside), written))
            if name := self._names.get(_folded(path.lstrip("/"))):
                return name
        return None

    def _elements(self, name: str, kind: str = "") -> Iterator[Any]:
        """Yield the elements of an XML file, damaged or not; nothing if there is no such file."""
        file = self._find(name)
        if file is None:
            return
        root = etree.fromstring(self._content(file), safe_parser(recover=True))
        for element in () if root is None else root.iter(etree.Element):
            if not kind or _local(element.tag) == kind:
                yield element


def _local(tag: object) -> str:
    """Return the name of an element without its namespace or prefix."""
    return str(tag).rpartition("}")[2].rpartition(":")[2]


def _folded(name: str) -> str:
    return name.lstrip("/").casefold()
