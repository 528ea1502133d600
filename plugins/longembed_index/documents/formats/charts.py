"""The titles, categories and values of charts in office files."""

from __future__ import annotations

from typing import Any

from longembed_index.documents.formats.number_formats import GENERAL, shown
from longembed_index.documents.formats.office_xml import local, shape_lines, table_lines

_MOST_POINTS = 10_000
"""The largest number of points that are read of a series."""


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
