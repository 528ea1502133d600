"""Text in the XML that Word, PowerPoint and Excel share: shapes, charts, diagrams, formulas."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from lxml import etree  # type: ignore[import-untyped]

from longembed_index.documents.formats.number_formats import GENERAL, shown

MATH = "{http://schemas.openxmlformats.org/officeDocument/2006/math}"
_COMPATIBILITY = "{http://schemas.openxmlformats.org/markup-compatibility/2006}"
_DRAWING = "{http://schemas.openxmlformats.org/drawingml/2006/main}"
_RELATION_ID = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}"

_ESCAPE = re.compile(r"_x([0-9A-Fa-f]{4})_")
_FILE_NAME = re.compile(r".*\.\w{3,4}", re.DOTALL)
_BREAKS = {"br": "\n", "cr": "\n", "tab": "\t", "ptab": "\t", "noBreakHyphen": "\u2011"}
_MOST_POINTS = 10_000
"""The largest number of points that are read of a series."""


def local(element: Any) -> str:
    """Return the name of an element without its namespace."""
    return etree.QName(element).localname if isinstance(element.tag, str) else ""


def unescaped(text: str) -> str:
    """Return a text with its `_x000D_`, which stand for characters, replaced."""
    if "_x" not in text:
        return text
    return _ESCAPE.sub(lambda match: chr(int(match[1], 16)).replace("\r", ""), text)


def choose_alternates(root: Any) -> None:
    """Replace what is stored in two ways, for old and new programs, by the first that has text."""
    for element in list(root.iter(f"{_COMPATIBILITY}AlternateContent")):
        branches = list(
            element.iterchildren(f"{_COMPATIBILITY}Choice", f"{_COMPATIBILITY}Fallback")
        )
        with_text = (branch for branch in branches if has_text(branch))
        replace(element, next(with_text, branches[0] if branches else ()))


def has_text(element: Any) -> bool:
    """Return whether an element has text, or refers to a part that may."""
    return any(
        (local(inner) == "t" and inner.text) or local(inner) in ("chart", "relIds", "textpath")
        for inner in element.iter()
    )


def replace(element: Any, by: Any) -> None:
    """Put elements in the place of another.

    Args:
        element: It is removed from its parent.
        by: The elements; the children of an element are taken from it.
    """
    parent = element.getparent()
    if parent is not None:
        for child in list(by):
            element.addprevious(child)
        parent.remove(element)


def drop_slide_numbers(root: Any) -> None:
    """Remove the fields that show the number of a slide."""
    for field in list(root.iter("{*}fld")):
        if field.get("type") == "slidenum":
            replace(field, ())


def paragraph_text(paragraph: Any) -> str:
    """Return the text of a paragraph of a shape, with line breaks and formulas."""
    return unescaped("".join(_pieces(paragraph))).replace("\x0b", "\n")


def _pieces(element: Any) -> Iterator[str]:
    for child in element.iterchildren():
        name = local(child)
        if name == "oMath":
            yield math_text(child)
        elif name == "t":
            yield child.text or ""
        elif name in _BREAKS:
            yield _BREAKS[name]
        else:
            yield from _pieces(child)


def shape_lines(element: Any) -> list[str]:
    """Return the paragraphs in an element that have text."""
    texts = (paragraph_text(paragraph) for paragraph in element.iter(f"{_DRAWING}p"))
    return [text for text in texts if text.strip()]


def math_text(element: Any) -> str:
    """Return a formula in one line."""
    out = []
    for child in element.iterchildren():
        name, inner = local(child), math_text(child)
        if name == "t":
            out.append(child.text or "")
        elif name in ("sup", "sub") and inner:
            sign = "^" if name == "sup" else "_"
            out.append(f"{sign}{_in_parentheses(inner)} ")
        elif name == "den":
            out.append(f"/{_in_parentheses(inner)} ")
        elif name in ("num", "deg", "lim"):
            out.append(f" {_in_parentheses(inner)}" if inner else "")
        elif name == "rad":
            out.append(f"√{inner} ")
        elif name in ("d", "m"):
            out.append(f"({inner})")
        elif name in ("naryPr", "accPr"):
            out.extend(sign.get(f"{MATH}val", "") for sign in child.iterchildren(f"{MATH}chr"))
        else:
            out.append(
                f"{inner} " if name in ("mr", "e") and child.getnext() is not None else inner
            )
    return "".join(out)


def _in_parentheses(text: str) -> str:
    return text if text.strip().isalnum() else f"({text.strip()})"


def table_lines(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return a table as Markdown.

    Args:
        rows: The texts of their cells; the first row is the heading.
    """
    width = max((len(row) for row in rows), default=0)
    lines = [
        "| " + " | ".join(" ".join(cell.replace("|", "\\|").split()) for cell in row) + " |"
        for row in ([*row, *[""] * (width - len(row))] for row in rows)
    ]
    return [*lines[:1], "| " + " | ".join(["---"] * width) + " |", *lines[1:]] if lines else []


def not_a_heading(line: str) -> str:
    """Return a line of text that Markdown does not take for a heading."""
    return f"\\{line}" if line.startswith("#") else line


def relation_ids(element: Any) -> list[str]:
    """Return the ids of all relations that an element and what is in it refer to."""
    return [
        value
        for inner in element.iter()
        for name, value in inner.attrib.items()
        if name.startswith(_RELATION_ID)
    ]


def alternative_text(properties: Any) -> str:
    """Return what a person wrote to stand for a picture; empty if a program wrote it."""
    text = " ".join((properties.get("descr") or "").split())
    return "" if _FILE_NAME.fullmatch(text) and " " not in text else text


def diagram_lines(root: Any) -> list[str]:
    """Return the texts of a diagram (SmartArt), each before those under it."""
    points = {p.get("modelId"): p for p in root.iter("{*}pt") if p.get("modelId")}
    children: dict[Any, list[tuple[int, Any]]] = {}
    for link in root.iter("{*}cxn"):
        if link.get("type", "parOf") == "parOf":
            order = link.get("srcOrd", "0")
            place = int(order) if order.isdigit() else 0
            children.setdefault(link.get("srcId"), []).append((place, link.get("destId")))
    lines, seen = [], set()
    tops = [name for name, point in points.items() if point.get("type") == "doc"]
    # What is not linked to the top comes last.
    for top in [*tops, *points]:
        waiting = [top]
        while waiting:
            name = waiting.pop()
            if name in seen or name not in points:
                continue
            seen.add(name)
            lines += shape_lines(points[name])
            below = sorted(children.get(name, ()), key=lambda child: child[0], reverse=True)
            waiting += [child for _, child in below]
    return lines


def chart_lines(root: Any) -> list[str]:
    """Return the titles of a chart and the table of its values, as Markdown."""
    if "chartex" in str(root.tag):
        return [
            *shape_lines(root),
            *(pt.text for pt in root.iter("{*}pt") if (pt.text or "").strip()),
        ]
    lines = shape_lines(root)
    series = [_Series(element) for element in root.iter("{*}ser")]
    columns = [column for each in series for column in each.columns]
    categories = max((each.categories for each in series), key=len, default={})
    places = sorted({place for _, values in columns for place in values} | categories.keys())
    rows = [
        [categories.get(place, ""), *(values.get(place, "") for _, values in columns)]
        for place in places
    ]
    if rows:
        lines += table_lines([["", *(name for name, _ in columns)], *rows])
    return lines


class _Series:
    """The name, categories and values of a series."""

    def __init__(self, element: Any) -> None:
        parts = {local(child): child for child in element.iterchildren()}
        name = " ".join(_points(parts.get("tx"))[0].values()) if "tx" in parts else ""
        if "tx" in parts and not name:
            name = " ".join(v.text or "" for v in parts["tx"].iter("{*}v"))
        levels = _points(parts.get("cat"))
        self.categories = {
            place: ", ".join(level[place] for level in reversed(levels) if place in level)
            for place in (levels[0] if levels else ())
        }
        self.columns = [
            (name, _points(parts[part])[0])
            for part in ("xVal", "yVal", "val", "bubbleSize")
            if part in parts
        ]


def _points(element: Any) -> list[dict[int, str]]:
    """Return the values of a series by their places; several of categories with levels."""
    if element is None:
        return [{}]
    caches = list(element.iter("{*}lvl")) or [element]
    code = element.findtext(".//{*}formatCode") or GENERAL
    levels = []
    for cache in caches:
        points: dict[int, str] = {}
        for point in cache.iter("{*}pt"):
            place = point.get("idx", "")
            if place.isdigit() and len(points) < _MOST_POINTS:
                points[int(place)] = shown(
                    point.findtext("{*}v") or "", point.get("formatCode", code)
                )
        levels.append(points)
    return levels
