"""Office files as archives: their parts, opened within limits, and what leads from one to another.

Such a file is a ZIP archive of XML parts. A part names others in a part of its own, its relations.
"""

from __future__ import annotations

import io
import posixpath
import re
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, cast
from urllib.parse import unquote

from lxml import etree  # type: ignore[import-untyped]

from longembed_index.documents.parsed import LeftOut, clean_title, date_field
from longembed_st.errors import InputError

MAX_MEGABYTES = 200
"""The limit of XML that is read from one file. Books have about 10."""

_MOST_PARTS = 50_000
_MEGABYTE = 1_000_000

_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
"""The first bytes of files of the time before XML, and of those that are encrypted."""
_ENCRYPTED = "EncryptedPackage".encode("utf-16-le")

_STRICT = re.compile(rb"http://purl\.oclc\.org/ooxml/(\w+)/")
"""Names of the strict variant of Office Open XML; apart from them it is the common one."""
_COMMON = rb"http://schemas.openxmlformats.org/\1/2006/"

_DOCTYPES = tuple("<!DOCTYPE".encode(encoding) for encoding in ("utf-8", "utf-16-le", "utf-16-be"))
_TYPES = "[Content_Types].xml"
_PROPERTIES = "docProps/core.xml"
_TITLE = "{http://purl.org/dc/elements/1.1/}title"
_MODIFIED = "{http://purl.org/dc/terms/}modified"


@dataclass(frozen=True)
class Relation:
    """A link from one part to another.

    Attributes:
        id: By which the part's XML refers to it.
        kind: The last word of its type: "header", "chart".
        target: The name of the other part; an address if `is_external`.
        is_external: Whether it leads out of the archive.
    """

    id: str
    kind: str
    target: str
    is_external: bool


class Package:
    """An office file that has been opened.

    Attributes:
        names: The names of its parts.
        left_out: What of it was not read, added to by whoever reads it.

    Raises:
        InputError: If it is larger than the limits, encrypted or of an older format.
        zipfile.BadZipFile: If it is not an archive.
    """

    def __init__(self, data: bytes, max_megabytes: int = MAX_MEGABYTES) -> None:
        if data.startswith(_OLE):
            raise InputError(_why_ole(data))
        self._max_megabytes = max_megabytes
        self._archive = zipfile.ZipFile(io.BytesIO(data))
        entries = [
            entry
            for entry in self._archive.infolist()
            # macOS adds the attributes of each file under a folder of this name.
            if not entry.is_dir() and not entry.filename.startswith("__MACOSX/")
        ]
        _check_size(entries, max_megabytes)
        # Some programs write the names as those of Windows.
        self._entries = {entry.filename.replace("\\", "/").lstrip("/"): entry for entry in entries}
        self._by_lower_case = {name.lower(): name for name in self._entries}
        self.names = tuple(self._entries)
        self.left_out: list[LeftOut] = []
        self.relations = lru_cache(maxsize=None)(self._relations)

    def has(self, name: str) -> bool:
        """Return whether there is a part of this name."""
        return name in self._entries

    def read(self, name: str) -> bytes:
        """Return a part.

        Raises:
            InputError: If it declares entities, as no office program does.
            zipfile.BadZipFile: If it is damaged.
        """
        entry = self._entries[name]
        if entry.file_size > self._max_megabytes * _MEGABYTE:
            # Not XML by its name, and therefore not counted at the beginning.
            raise too_large(entry.file_size, self._max_megabytes)
        data = self._archive.read(entry)
        if is_xml(name):
            if any(mark in data for mark in _DOCTYPES):
                raise InputError(
                    f"has a document type declaration in {name}, which is not allowed. Save "
                    "it again"
                )
            if _STRICT.search(data):
                data = _STRICT.sub(_COMMON, data)
        return data

    def tree(self, name: str) -> Any:
        """Return the root element of a part; of one that is damaged, what can be read.

        Raises:
            etree.XMLSyntaxError: If nothing of it can be read.
        """
        data = self.read(name)
        try:
            return etree.fromstring(data, safe_parser())
        except etree.XMLSyntaxError:
            root = etree.fromstring(data, safe_parser(recover=True))
            if root is None:
                raise
            self._name_damage(name)
            return root

    def stream(self, name: str, *tags: str) -> Iterator[Any]:
        """Yield elements of a large part, which are emptied afterwards."""
        events = etree.iterparse(
            io.BytesIO(self.read(name)),
            tag=[f"{{*}}{tag}" for tag in tags],
            resolve_entities=False,
            no_network=True,
        )
        try:
            for _, element in events:
                yield element
                element.clear()
                while element.getprevious() is not None:
                    del element.getparent()[0]
        except etree.XMLSyntaxError:
            self._name_damage(name)

    def main(self, default: str) -> str:
        """Return the name of the part that holds the document itself."""
        for relation in self.relations(""):
            if relation.kind == "officeDocument" and self.has(relation.target):
                return relation.target
        return default

    def _relations(self, name: str) -> tuple[Relation, ...]:
        """Return the relations of a part that lead to something; of the archive for ""."""
        folder, base = posixpath.split(name)
        file = posixpath.join(folder, "_rels", f"{base}.rels")
        if not self.has(file):
            return ()
        relations = []
        for element in self.tree(file).iterchildren("{*}Relationship"):
            target, is_external = element.get("Target", ""), element.get("TargetMode") == "External"
            if not is_external:
                target = self._by_lower_case.get(_resolved(folder, target).lower(), "")
            if target:
                kind = element.get("Type", "").rsplit("/", 1)[-1]
                relations.append(Relation(element.get("Id", ""), kind, target, is_external))
        return tuple(relations)

    def related(self, name: str, *kinds: str) -> dict[str, str]:
        """Return the parts that a part leads to, by the ids of its relations.

        Args:
            name: The name of the part.
            *kinds: The kinds of the relations; all kinds if none is named.
        """
        return {
            relation.id: relation.target
            for relation in self.relations(name)
            if not relation.is_external and (not kinds or relation.kind in kinds)
        }

    def title(self) -> str:
        """Return the title among its properties; empty without one."""
        return clean_title(self._property(_TITLE))

    def date(self) -> dict[str, str]:
        """Return the field `date`, of its last change; empty without one."""
        return date_field(self._property(_MODIFIED))

    def _property(self, name: str) -> str | None:
        with suppress(Exception):
            properties = etree.fromstring(self.read(_PROPERTIES), safe_parser())
            return cast(str | None, properties.findtext(name))
        return None

    def _name_damage(self, name: str) -> None:
        damage = LeftOut(name, "damaged parts, read as far as they go")
        if damage not in self.left_out:
            self.left_out.append(damage)

    def name_embedded_files(self) -> None:
        """Add the files that are embedded in this one to what was not read."""
        # The workbook behind a chart has nothing that the chart has not.
        behind = {
            target
            for name in self.names
            if "/charts/" in name and not name.endswith(".rels")
            for target in self.related(name).values()
        }
        self.left_out += [
            LeftOut(name, "embedded files")
            for name in self.names
            if "/embeddings/" in name and name not in behind
        ]


def is_xml(name: str) -> bool:
    """Return whether a part is XML, going by its name."""
    return name.lower().endswith((".xml", ".rels", ".vml"))


def archive_of(parts: Mapping[str, bytes]) -> io.BytesIO:
    """Return an archive of parts, for a library to read."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, data in parts.items():
            archive.writestr(name, data)
    file.seek(0)
    return file


def safe_parser(recover: bool = False) -> Any:
    """Return a parser of XML that replaces no entity: they can grow without end, or name files."""
    return etree.XMLParser(
        resolve_entities=False,
        no_network=True,
        remove_comments=True,
        remove_pis=True,
        recover=recover,
    )


def _resolved(folder: str, target: str) -> str:
    """Return the name of the part that a relation leads to."""
    return posixpath.normpath(posixpath.join("/", folder, unquote(target))).lstrip("/")


def _check_size(entries: list[zipfile.ZipInfo], max_megabytes: int) -> None:
    if any(entry.flag_bits & 1 for entry in entries):
        raise InputError("is encrypted with a password. Save it without one")
    if len(entries) > _MOST_PARTS:
        raise InputError(
            f"is an archive of {len(entries):,} files, more than the {_MOST_PARTS:,} that are read"
        )
    # Pictures are not read. `zipfile` unpacks no more of a part than is stated here.
    size = sum(entry.file_size for entry in entries if is_xml(entry.filename))
    if size > max_megabytes * _MEGABYTE:
        raise too_large(size, max_megabytes)


def too_large(size: int, max_megabytes: int = MAX_MEGABYTES) -> InputError:
    """Return the error for a file that unpacks to too many bytes of XML."""
    return InputError(
        f"unpacks to {size / _MEGABYTE:,.0f} MB of XML, more than the {max_megabytes} MB that are "
        "read. Split it"
    )


def _why_ole(data: bytes) -> str:
    if _ENCRYPTED in data:
        return "is encrypted with a password. Save it without one"
    return "is of a format that was used before 2007. Save it in today's format"
