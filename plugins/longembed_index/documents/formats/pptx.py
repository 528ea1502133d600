"""The reader of presentations."""

from __future__ import annotations

import io
import posixpath
from collections.abc import Iterable, Iterator
from typing import Any

import pptx
from lxml import etree  # type: ignore[import-untyped]

from longembed_index.documents.formats.archives import Package, archive_of, is_xml
from longembed_index.documents.formats.census import parsed_package
from longembed_index.documents.formats.office_xml import (
    alternative_text,
    chart_lines,
    choose_alternates,
    diagram_lines,
    drop_slide_numbers,
    not_a_heading,
    paragraph_text,
    relation_ids,
    replace,
    shape_lines,
    table_lines,
)
from longembed_index.documents.parsed import PAGE_END, LeftOut, Parsed, read_as

_MAIN = "ppt/presentation.xml"
_TYPES = "[Content_Types].xml"
_PRESENTATION = "application/vnd.openxmlformats-officedocument.presentationml.presentation"

_ONE_ROW = 200_000
"""Shapes whose tops differ by less stand side by side; about half a centimetre."""


def read_pptx(data: bytes) -> Parsed:
    """Read a presentation as Markdown; each slide ends with a form feed.

    Raises:
        InputError: If it cannot be read.
    """
    with read_as("PPTX"):
        package = Package(data)
        show = pptx.Presentation(_rewritten(package))
        slides = ["\n".join(_slide_lines(package, slide)) for slide in show.slides]
        text = "".join(f"{slide}\n{PAGE_END}\n" for slide in slides)
        return parsed_package(package, text)


def _rewritten(package: Package) -> io.BytesIO:
    """Return the presentation without what python-pptx passes over, or does not accept."""
    main = package.main(_MAIN)
    parts = {}
    for name in package.names:
        if not is_xml(name) and name != _TYPES:
            parts[name] = b""
            continue
        root = package.tree(name)
        if name.endswith(".rels"):
            _drop_dangling(root, package, name)
        elif name == _TYPES:
            for element in root.iter("{*}Override"):
                if element.get("PartName", "").lstrip("/") == main:
                    # Templates and shows are presentations, too.
                    element.set("ContentType", f"{_PRESENTATION}.main+xml")
        elif name == main:
            _drop_missing_slides(root, package, main)
        elif "/slides/" in name:
            choose_alternates(root)
            drop_slide_numbers(root)
        parts[name] = etree.tostring(root)
    return archive_of(parts)


def _drop_dangling(root: Any, package: Package, name: str) -> None:
    """Remove the relations that lead to no part."""
    folder, base = posixpath.split(name)
    source = posixpath.join(posixpath.dirname(folder), base.removesuffix(".rels"))
    known = {relation.id for relation in package.relations(source)}
    for element in list(root.iterchildren("{*}Relationship")):
        if element.get("Id") not in known:
            root.remove(element)


def _drop_missing_slides(root: Any, package: Package, main: str) -> None:
    known = package.related(main)
    for number, element in enumerate(list(root.iter("{*}sldId")), 1):
        if not any(id_ in known for id_ in relation_ids(element)):
            replace(element, ())
            package.left_out.append(
                LeftOut(f"slide {number}", "slides that the file does not have")
            )


def _slide_lines(package: Package, slide: Any) -> Iterator[str]:
    """Yield the title of a slide, its shapes as they are read, its notes and comments."""
    part = slide.part.partname.lstrip("/")
    title = slide.shapes.title
    heading = "" if title is None else " ".join(" ".join(shape_lines(title.element)).split())
    if heading:
        yield f"# {heading}"
        yield ""
    others = [shape for shape in slide.shapes if title is None or shape.shape_id != title.shape_id]
    yield from _lines_of_shapes(package, part, others)
    for notes in package.related(part, "notesSlide").values():
        root = package.tree(notes)
        drop_slide_numbers(root)
        if lines := shape_lines(root):
            yield from ("", "Notes:", *map(not_a_heading, lines))
    for comments in package.related(part, "comments").values():
        root = package.tree(comments)
        texts = [element.text or "" for element in root.iter("{*}text")]
        yield from (f"Comment: {text}" for text in [*texts, *shape_lines(root)])


def _lines_of_shapes(package: Package, part: str, shapes: Iterable[Any]) -> Iterator[str]:
    for shape in sorted(shapes, key=_position):
        element = shape.element
        if hasattr(shape, "shapes"):
            yield from _lines_of_shapes(package, part, shape.shapes)
            continue
        tables = list(element.iter("{*}tbl"))
        for table in tables:
            rows = [
                [" ".join(map(paragraph_text, cell.iter("{*}p"))) for cell in row.iter("{*}tc")]
                for row in table.iter("{*}tr")
            ]
            yield from ("", *table_lines(rows), "")
        if not tables:
            yield from map(not_a_heading, shape_lines(element))
            yield from filter(None, map(alternative_text, element.iter("{*}cNvPr")))
        related = package.related(part)
        for target in {related.get(id_, "") for id_ in relation_ids(element)}:
            if "/charts/" in target:
                yield from ("", *chart_lines(package.tree(target)), "")
            elif "/diagrams/data" in target:
                yield from diagram_lines(package.tree(target))


def _position(shape: Any) -> tuple[int, int]:
    """Return where a shape stands: its row, and its place in the row."""
    return (shape.top or 0) // _ONE_ROW, shape.left or 0
