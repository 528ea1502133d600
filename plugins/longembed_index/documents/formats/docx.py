"""The reader of Word documents.

mammoth reads the body, its styles, lists, tables, notes and comments. It passes over text in some
places (headers, text boxes, formulas, simple fields), so that the document is first written anew
with this text in places where it reads.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import mammoth  # type: ignore[import-untyped]
from lxml import etree  # type: ignore[import-untyped]

from longembed_index.documents.formats.archives import Package, archive_of
from longembed_index.documents.formats.census import parsed_package
from longembed_index.documents.formats.html import parse_html
from longembed_index.documents.formats.office_xml import (
    MATH,
    alternative_text,
    chart_lines,
    choose_alternates,
    diagram_lines,
    local,
    math_text,
    relation_ids,
    replace,
    shape_lines,
)
from longembed_index.documents.parsed import LeftOut, Parsed, read_as
from longembed_st.errors import InputError

_MAX_MEGABYTES = 50
"""The limit of unpacked XML."""
_MOST_ELEMENTS = 400_000
"""Paragraphs and runs. mammoth takes about a minute for so many, and a gigabyte of memory."""

_WORD = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
_W = f"{{{_WORD}}}"
_RELATIONS = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_R = f"{{{_RELATIONS}}}"
_PACKAGE = "http://schemas.openxmlformats.org/package/2006"
_DOCUMENT = "word/document.xml"

_NOTES = {"footnotes": "footnote", "endnotes": "endnote", "comments": "comment"}
"""Parts with texts that the document refers to, and their elements."""

_READ = frozenset(
    f"{_W}{name}"
    for name in (
        *("document", "body", "hdr", "ftr", "p", "r", "t", "sym", "br", "tab", "hyperlink"),
        *("tbl", "tr", "tc", "sdt", "sdtContent", "ins", "moveTo", "customXml", "smartTag"),
        *("footnotes", "footnote", "endnotes", "endnote", "comments", "comment"),
        # Deleted, or moved to another place.
        *("del", "moveFrom"),
    )
)
"""The elements with text that mammoth knows."""

_KEPT = {
    "pPr": ("pStyle", "numPr", "rPr", "outlineLvl"),
    "rPr": ("rStyle", "b", "i", "strike", "vertAlign", "del"),
    "tcPr": ("gridSpan",),
}
"""The properties that change the text; the others cost mammoth most of its time."""

_LEVELS = ("0", "1", "2", "3", "4", "5")
"""The levels of headings; deeper ones are text."""
_MOST_STEPS = 20
"""From a style to those it is based on, which may be in a circle."""

_STYLES = """
p[style-name='Title'] => h1:fresh
comment-reference => sup
"""

_TO_ITSELF = re.compile(r'<a (?:href="#|id=)[^>]*>(.*?)</a>', re.DOTALL)
"""A link to another place of the document, or such a place."""
_BACK = "↑"

_SAME = {"cr": "br", "ptab": "tab"}
_NUMBERS = {
    "sym": (f"{_W}char", re.compile(r"[0-9A-Fa-f]{1,6}")),
    "gridSpan": (f"{_W}val", re.compile(r"\d{1,3}")),
}
"""The attributes that mammoth takes for numbers."""
_SYMBOL = "A w:sym element with an unsupported character"


def read_docx(data: bytes) -> Parsed:
    """Read a Word document as Markdown.

    Raises:
        InputError: If it cannot be read.
    """
    with read_as("DOCX"):
        package = Package(data, _MAX_MEGABYTES)
        converted = mammoth.convert_to_html(
            _rewritten(package), style_map=_STYLES, include_embedded_style_map=False
        )
        page = _TO_ITSELF.sub(r"\1", converted.value).replace(_BACK, "")
        text = parse_html(page).text
        symbols = sum(message.message.startswith(_SYMBOL) for message in converted.messages)
        if symbols:
            package.left_out.append(LeftOut("", "symbols without a Unicode character", symbols))
        return parsed_package(package, text)


def _rewritten(package: Package) -> io.BytesIO:
    """Return a document of the same text, all of which mammoth reads."""
    name = package.main(_DOCUMENT)
    root = package.tree(name)
    body = root.find(f"{_W}body")
    if body is None:
        raise ValueError("it has no body")
    headers, footers = (list(_margins(package, name, kind)) for kind in ("header", "footer"))
    _simplify(root, package, name)
    body[:0] = headers
    body.extend(footers)
    parts = {}
    for kind, note in _NOTES.items():
        notes = {}
        for part in package.related(name, kind).values():
            notes_root = package.tree(part)
            _simplify(notes_root, package, part)
            for nameless in [n for n in notes_root if n.get(f"{_W}id") is None]:
                notes_root.remove(nameless)
            notes = {n.get(f"{_W}id"): n for n in notes_root.iterchildren(f"{_W}{note}")}
            parts[f"word/{kind}.xml"] = etree.tostring(notes_root)
        _check_references(body, note, notes)
    levels: dict[str, str] = {}
    for kind in ("styles", "numbering"):
        for part in package.related(name, kind).values():
            part_root = package.tree(part)
            levels |= _outline_levels(part_root)
            for number in part_root.findall(f"{_W}num"):
                if number.find(f"{_W}abstractNumId[@{_W}val]") is None:
                    part_root.remove(number)
            parts[f"word/{kind}.xml"] = etree.tostring(part_root)
    _mark_headings(body, levels)
    count = sum(1 for _ in body.iter(f"{_W}p", f"{_W}r"))
    if count > _MOST_ELEMENTS:
        raise InputError(
            f"has {count:,} paragraphs and runs, more than the {_MOST_ELEMENTS:,} that are read. "
            "Split it"
        )
    parts[_DOCUMENT] = etree.tostring(root)
    parts["word/_rels/document.xml.rels"] = _links(package, name)
    return archive_of(parts)


def _outline_levels(styles: Any) -> dict[str, str]:
    """Return the levels of the styles that are headings, or are based on one; complete all."""
    own, based_on = {}, {}
    for style in styles.iterchildren(f"{_W}style"):
        name = style.get(f"{_W}styleId", "")
        style.set(f"{_W}styleId", name)
        style.set(f"{_W}type", style.get(f"{_W}type", "paragraph"))
        level, parent = style.find(f"{_W}pPr/{_W}outlineLvl"), style.find(f"{_W}basedOn")
        own[name] = None if level is None else level.get(f"{_W}val")
        based_on[name] = None if parent is None else parent.get(f"{_W}val")
    levels = {}
    for name in own:
        ancestor, steps = name, 0
        while own.get(ancestor) is None and based_on.get(ancestor) and steps < _MOST_STEPS:
            ancestor, steps = based_on[ancestor], steps + 1
        levels[name] = own.get(ancestor) or ""
    return levels


def _mark_headings(body: Any, levels: dict[str, str]) -> None:
    """Give the paragraphs of the outline the styles that mammoth knows as headings."""
    for properties in body.iterfind(f".//{_W}p/{_W}pPr"):
        style, own = properties.find(f"{_W}pStyle"), properties.find(f"{_W}outlineLvl")
        level = levels.get("" if style is None else style.get(f"{_W}val", ""), "")
        level = level if own is None else own.get(f"{_W}val", "")
        if level in _LEVELS:
            if style is None:
                style = etree.SubElement(properties, f"{_W}pStyle")
            style.set(f"{_W}val", f"Heading{int(level) + 1}")


def _margins(package: Package, name: str, kind: str) -> Iterator[Any]:
    """Yield the paragraphs of the headers or footers, each that says the same once."""
    seen = set()
    for part in package.related(name, kind).values():
        root = package.tree(part)
        _simplify(root, package, part)
        for element in root.iter(f"{_W}footnoteReference", f"{_W}endnoteReference"):
            element.tag = f"{_W}bookmarkEnd"
        text = " ".join("".join(root.itertext()).split())
        if text and text not in seen:
            seen.add(text)
            yield from list(root)


def _check_references(body: Any, note: str, notes: dict[Any, Any]) -> None:
    """Remove references to notes that do not exist, and refer to those that nothing refers to."""
    tag = f"{_W}{note}Reference"
    referred = set()
    for reference in list(body.iter(tag)):
        if reference.get(f"{_W}id") in notes:
            referred.add(reference.get(f"{_W}id"))
        else:
            reference.getparent().remove(reference)
    for id_, element in notes.items():
        if id_ not in referred and element.get(f"{_W}type", "normal") == "normal":
            run = etree.SubElement(etree.SubElement(body, f"{_W}p"), f"{_W}r")
            etree.SubElement(run, tag, {f"{_W}id": id_})


def _links(package: Package, name: str) -> bytes:
    """Return the relations of the document that lead to addresses."""
    root = etree.Element(f"{{{_PACKAGE}/relationships}}Relationships")
    for relation in package.relations(name):
        if relation.is_external:
            kind = f"{_RELATIONS}/{relation.kind}"
            link = {"Id": relation.id, "Type": kind, "Target": relation.target}
            etree.SubElement(root, f"{{{_PACKAGE}/relationships}}Relationship", link)
    return bytes(etree.tostring(root))


def _simplify(root: Any, package: Package, name: str) -> None:
    """Put all text of a part where mammoth reads it."""
    choose_alternates(root)
    for element in list(root.iter(f"{_W}drawing", f"{_W}pict", f"{_W}object"))[::-1]:
        _move_out(element, package, name)
    for element in list(root.iter(f"{MATH}oMath")):
        replace(element, [_run(math_text(element))])
    # Only the relations of the document itself are carried over.
    is_main = name == package.main(_DOCUMENT)
    addresses = {r.id for r in package.relations(name) if r.is_external and is_main}
    for element in list(root.iter(f"{_W}*")):
        _prepare(element, addresses)
    for chunk in list(root.iter(f"{_W}altChunk")):
        replace(chunk, [_paragraph(line) for line in _chunk_lines(chunk, package, name)])
    for element in list(root.iter("{*}*"))[1:]:
        if element.tag not in _READ and next(element.iter(f"{_W}t"), None) is not None:
            replace(element, element)
    for table in list(root.iter(f"{_W}tbl"))[::-1]:
        if next(table.iterancestors(f"{_W}tc"), None) is not None:
            # Markdown has no tables in tables.
            replace(table, list(table.iter(f"{_W}p")))
    for element in list(root.iter(f"{_W}p", f"{_W}hyperlink", f"{_W}ins", f"{_W}sdtContent")):
        _join_runs(element)


def _prepare(element: Any, addresses: set[str]) -> None:
    """Remove from an element what costs time or makes mammoth fail."""
    kind = local(element)
    for attribute in [a for a in element.attrib if a.startswith(f"{_W}rsid")]:
        del element.attrib[attribute]
    if kind in _KEPT:
        for child in list(element):
            if local(child) not in _KEPT[kind]:
                element.remove(child)
    elif kind == "p":
        following = element.getnext()
        if following is None or following.tag != element.tag:
            # Its end may be deleted, but there is nothing to join it to.
            for mark in element.findall(f"{_W}pPr/{_W}rPr/{_W}del"):
                replace(mark, ())
    elif kind in _SAME:
        element.tag = f"{_W}{_SAME[kind]}"
    elif kind == "hyperlink" and element.get(f"{_R}id") not in addresses:
        element.attrib.pop(f"{_R}id", None)
    elif kind == "rt":
        # Stands above a word, and is stored before it.
        element[:] = [_run("("), *element, _run(")")]
        element.getparent().append(element)
    elif kind in _NUMBERS and not _NUMBERS[kind][1].fullmatch(element.get(_NUMBERS[kind][0], "")):
        replace(element, ())


def _join_runs(parent: Any) -> None:
    """Join the runs that follow each other and look the same: each costs mammoth as much."""
    last, last_look = None, b""
    for child in list(parent):
        if child.tag == f"{_W}r" and child.find(f"{_W}fldChar") is None:
            properties = child.find(f"{_W}rPr")
            look = etree.tostring(properties) if properties is not None and len(properties) else b""
            if last is not None and look == last_look:
                last.extend(part for part in list(child) if part is not properties)
                parent.remove(child)
            else:
                last, last_look = child, look
        elif child.tag != f"{_W}proofErr":
            last = None


def _move_out(element: Any, package: Package, name: str) -> None:
    """Put the text of a drawing behind the paragraph in which it is anchored."""
    boxes = list(element.iter(f"{_W}txbxContent"))
    paragraphs = [deepcopy(child) for box in boxes for child in box]
    lines = shape_lines(element)
    lines += [art.get("string") for art in element.iter("{*}textpath") if art.get("string")]
    lines += [text for pr in element.iter("{*}docPr") if (text := alternative_text(pr))]
    related = package.related(name)
    for id_ in relation_ids(element):
        part = related.get(id_, "")
        if "/charts/" in part:
            lines += chart_lines(package.tree(part))
        elif "/diagrams/data" in part:
            lines += diagram_lines(package.tree(part))
    paragraphs += [_paragraph(line) for line in lines]
    anchor = next(element.iterancestors(f"{_W}p"), None)
    if anchor is None:
        replace(element, paragraphs)
        return
    replace(element, ())
    for paragraph in reversed(paragraphs):
        anchor.addnext(paragraph)


def _chunk_lines(element: Any, package: Package, name: str) -> list[str]:
    """Return the lines of a document of another format that is inserted into this one."""
    part = package.related(name).get(element.get(f"{_R}id"), "")
    if part.lower().endswith((".htm", ".html", ".xhtml", ".mht")):
        text = parse_html(package.read(part).decode("utf-8", "replace")).text
    elif part.lower().endswith(".txt"):
        text = package.read(part).decode("utf-8", "replace")
    else:
        package.left_out.append(LeftOut(part or name, "inserted files"))
        return []
    return [line for line in text.splitlines() if line.strip()]


def _paragraph(text: str) -> Any:
    paragraph = etree.Element(f"{_W}p")
    paragraph.append(_run(text))
    return paragraph


def _run(text: str) -> Any:
    run = etree.Element(f"{_W}r")
    etree.SubElement(run, f"{_W}t").text = text
    return run
