"""Numbers and dates of a workbook as the program shows them."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from decimal import ROUND_HALF_UP, Context, Decimal, InvalidOperation
from fractions import Fraction
from functools import lru_cache
from typing import NamedTuple

GENERAL = "General"
DAY_0 = datetime(1899, 12, 30)
"""The day with the number 0 in most workbooks."""
DAY_0_OF_1904 = datetime(1904, 1, 1)
"""The day with the number 0 in the others."""

_ISO = "yyyy-mm-dd"
BUILT_IN = {
    **{1: "0", 2: "0.00", 3: "#,##0", 4: "#,##0.00", 9: "0%", 10: "0.00%", 11: "0.00E+00"},
    **{12: "# ?/?", 13: "# ??/??", 48: "##0.0E+0", 49: "@"},
    **dict.fromkeys((5, 6), "$#,##0;-$#,##0"),
    **dict.fromkeys((7, 8), "$#,##0.00;-$#,##0.00"),
    **dict.fromkeys((37, 38, 41), "#,##0;(#,##0)"),
    **dict.fromkeys((39, 40, 43), "#,##0.00;(#,##0.00)"),
    42: "$#,##0;$(#,##0)",
    44: "$#,##0.00;$(#,##0.00)",
    # In the order of the reader's country, which the file does not tell.
    **dict.fromkeys((14, *range(27, 32), 36, *range(50, 55), 57, 58), _ISO),
    **{15: "d-mmm-yy", 16: "d-mmm", 17: "mmm-yy", 18: "h:mm AM/PM", 19: "h:mm:ss AM/PM"},
    **{20: "h:mm", 21: "h:mm:ss", 22: f"{_ISO} h:mm", 45: "mm:ss", 46: "[h]:mm:ss", 47: "mm:ss.0"},
    **dict.fromkeys((32, 34, 55), "h:mm"),
    **dict.fromkeys((33, 35, 56), "h:mm:ss"),
}
"""The formats that files do not spell out, by their numbers."""

_TOKEN = re.compile(
    r"""
    (?P<literal>"[^"]*"?|\\.|_.|\*.)
    | \[\$(?P<currency>[^\]-]*)[^\]]*\]
    | \[(?P<elapsed>h+|m+|s+)\]
    | \[(?P<condition>[<>=]+-?[\d.]+)\]
    | (?P<note>\[[^\]]*\])
    | (?P<noon>AM/PM|A/P|上午/下午)
    | (?P<general>General)
    | (?P<date>y+|m+|d+|h+|e+(?![+-])|s+(?:\.0{1,3})?)
    | (?P<exponent>e[+-])
    | (?P<digit>[0#?])
    | (?P<other>.)
    """,
    re.VERBOSE | re.IGNORECASE | re.DOTALL,
)
_LONGEST_CODE = 255
_PLAIN = re.compile(r"-?(0|[1-9]\d*)(\.\d*[1-9])?")
_COMPARISONS = {"<": (-1,), ">": (1,), "=": (0,), "<=": (-1, 0), ">=": (1, 0), "<>": (-1, 1)}
_MONTHS = (
    *("January", "February", "March", "April", "May", "June", "July"),
    *("August", "September", "October", "November", "December"),
)
_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_LARGEST = 10**20
"""From here on numbers are shown with an exponent."""
_PRECISION = 15
"""Digits that are shown at most."""
_MOST_PLACES = 30
_WIDE = Context(prec=1000)
_LAST_DAY = 2_958_466
"""The first day of the year 10000. Dates end before it."""


class Token(NamedTuple):
    """A part of a number format: which group of `_TOKEN` it is, and its text."""

    kind: str
    text: str


_COMMA, _POINT = Token("other", ","), Token("other", ".")


def shown(number: str, code: str, day_0: datetime = DAY_0) -> str:
    """Return a number as its cell shows it.

    Returns:
        The text; that of the format General if the format shows nothing, or cannot show this. What
        is not a number is returned as it is.
    """
    if len(code) > _LONGEST_CODE:
        code = GENERAL
    if code == GENERAL and len(number) <= _PRECISION and _PLAIN.fullmatch(number):
        return number
    try:
        value = Decimal(number)
    except InvalidOperation:
        return number
    if not value.is_finite():
        return number
    if len(number) > _PRECISION:
        # Such are 0.30000000000000004 and the like, not long integers.
        value = value if value == value.to_integral_value() else Decimal(f"{value:.{_PRECISION}g}")
    if abs(value) >= _LARGEST:
        return _general(value)
    section, is_signed = _section_for(value, _sections(code))
    kinds = {token.kind for token in section}
    if "general" in kinds or not section:
        plain = _general(value if is_signed else abs(value))
        text = "".join(plain if t.kind == "general" else t.text for t in section)
    elif kinds & {"date", "elapsed"}:
        text = _date(value, section, day_0)
    else:
        text = _number(value if is_signed else abs(value), section)
    return text.strip() or _general(value)


def _general(value: Decimal) -> str:
    """Return a number without a format: whole numbers in full, others with 15 digits."""
    if value == value.to_integral_value() and abs(value) < _LARGEST:
        return f"{value:.0f}"
    return f"{float(value):.{_PRECISION}g}".replace("e", "E")


@lru_cache(maxsize=1000)
def _sections(code: str) -> tuple[tuple[Token, ...], ...]:
    """Return the tokens of each section of a format: of numbers above, below and equal to zero."""
    sections: list[list[Token]] = [[]]
    for match in _TOKEN.finditer(code):
        kind, text = match.lastgroup or "", match[0]
        if kind == "other" and text == ";":
            sections.append([])
        elif kind == "literal":
            shown_text = text.strip('"') if text[0] == '"' else text[1:] if text[0] == "\\" else ""
            sections[-1].append(Token("literal", shown_text))
        elif kind == "currency":
            sections[-1].append(Token("literal", match["currency"]))
        elif kind in ("elapsed", "condition"):
            sections[-1].append(Token(kind, match[kind].lower()))
        elif kind != "note":
            sections[-1].append(Token(kind, text.lower() if kind == "date" else text))
    return tuple(tuple(section) for section in sections)


def _section_for(
    value: Decimal, sections: tuple[tuple[Token, ...], ...]
) -> tuple[tuple[Token, ...], bool]:
    """Return the section that shows a number, and whether it is to be shown with its sign."""
    numbers = sections[:3]
    if any(token.kind == "condition" for section in numbers for token in section):
        for section in numbers:
            conditions = [token.text for token in section if token.kind == "condition"]
            if all(_holds(value, condition) for condition in conditions):
                return tuple(t for t in section if t.kind != "condition"), True
        return (), True
    if value < 0 and len(numbers) > 1:
        return numbers[1], False
    if value == 0 and len(numbers) > 2:
        return numbers[2], True
    return numbers[0], True


def _holds(value: Decimal, condition: str) -> bool:
    operator = condition.rstrip("-.0123456789")
    bound = Decimal(condition[len(operator) :])
    return (value > bound) - (value < bound) in _COMPARISONS.get(operator, ())


def _number(value: Decimal, section: tuple[Token, ...]) -> str:
    texts = [token.text for token in section if token.kind == "other"]
    kinds = [token.kind for token in section]
    if "digit" not in kinds:
        return "".join(t.text for t in section if t.text != "@") if "@" not in texts else ""
    if "/" in texts:
        return _fraction(value, section)
    last_digit = len(kinds) - 1 - kinds[::-1].index("digit")
    if "exponent" in kinds:
        at = kinds.index("exponent")
        places = _places(section[:at])
        mantissa, _, exponent = f"{value:.{places}e}".partition("e")
        digits = sum(token.kind == "digit" for token in section[at:])
        rest = "".join(token.text for token in section[last_digit + 1 :])
        return f"{mantissa}E{exponent[0]}{exponent[1:].zfill(digits)}{rest}"
    scale = texts.count("%") * 2
    for token in section[last_digit + 1 :]:
        if token.text != ",":
            break
        scale -= 3
    places = min(_places(section), _MOST_PLACES)
    value = value.scaleb(scale, _WIDE).quantize(
        Decimal(1).scaleb(-places), ROUND_HALF_UP, context=_WIDE
    )
    return _filled(value, section, last_digit, places)


def _places(section: tuple[Token, ...]) -> int:
    """Return how many digits stand behind the decimal point."""
    texts = [token.text if token.kind in ("other", "digit") else "" for token in section]
    return sum(t in "0#?" for t in texts[texts.index(".") :] if t) if "." in texts else 0


def _filled(value: Decimal, section: tuple[Token, ...], last_digit: int, places: int) -> str:
    """Put the digits of a rounded number where the format has them."""
    whole, _, decimals = f"{abs(value):.{places}f}".partition(".")
    kept = [t for i, t in enumerate(section) if t != _COMMA or i < last_digit]
    point = kept.index(_POINT) if _POINT in kept else len(kept)
    before = [i for i, t in enumerate(kept[:point]) if t.kind == "digit"]
    behind = [i for i, t in enumerate(kept) if i > point and t.kind == "digit"]
    out = ["" if t == _COMMA else t.text for t in kept]
    digits = whole.lstrip("0").rjust(sum(kept[i].text == "0" for i in before), "0")
    is_grouped = _COMMA in kept[:point]
    if is_grouped and digits:
        digits = f"{int(digits):,}"
    for i in reversed(before):
        # What is left goes to the first place.
        count = len(digits) if is_grouped or i == before[0] else 1
        out[i] = digits[max(len(digits) - count, 0) :]
        digits = digits[: max(len(digits) - count, 0)]
    for i, digit in zip(behind, decimals, strict=False):
        out[i] = digit
    for i in reversed(behind):
        if kept[i].text == "0" or out[i] != "0":
            break
        out[i] = ""
    if behind and not any(out[i] for i in behind):
        out[point] = ""
    # A format may have no place before the point.
    return ("-" if value < 0 else "") + digits + "".join(out)


def _fraction(value: Decimal, section: tuple[Token, ...]) -> str:
    code = "".join(token.text for token in section if token.kind in ("digit", "other"))
    below = code.partition("/")[2].strip()
    whole = int(abs(value)) if " " in code.partition("/")[0].strip() else 0
    part = Fraction(abs(value) - whole).limit_denominator(10 ** max(len(below), 1) - 1)
    written = f"{whole or ''} {part.numerator}/{part.denominator}" if part else f"{whole}"
    return ("-" if value < 0 else "") + written.strip()


def _date(value: Decimal, section: tuple[Token, ...], day_0: datetime) -> str:
    """Return a number of days as a date, a time or a duration; empty if it is none."""
    is_duration = any(token.kind == "elapsed" for token in section)
    if (value < 0 and not is_duration) or abs(value) >= _LAST_DAY:
        return ""
    if day_0 == DAY_0 and value < 60:
        # There 1900 is a leap year.
        day_0 += timedelta(days=1)
    places = max((len(t.text.partition(".")[2]) for t in section if t.kind == "date"), default=0)
    seconds = (abs(value) * 86400).quantize(Decimal(1).scaleb(-places), ROUND_HALF_UP)
    try:
        when = day_0 + timedelta(seconds=float(seconds))
    except OverflowError:
        return ""
    is_half = any(token.kind == "noon" for token in section)
    out = ["-"] if value < 0 else []
    previous = ""
    for number, (kind, text) in enumerate(section):
        if kind == "elapsed":
            unit = {"h": 3600, "m": 60, "s": 1}[text[0]]
            out.append(str(int(seconds // unit)).zfill(len(text)))
            previous = text[0]
        elif kind == "noon":
            out.append(("AM" if when.hour < 12 else "PM")[: 2 if len(text) > 3 else 1])
        elif kind == "date":
            following = next((t.text[0] for t in section[number + 1 :] if t.kind == "date"), "")
            is_minute = text[0] == "m" and (previous == "h" or following == "s")
            hour = (when.hour - 1) % 12 + 1 if is_half else when.hour
            out.append(_date_part(text, when, hour, is_minute, seconds))
            previous = text[0]
        else:
            out.append(text)
    return "".join(out)


def _date_part(text: str, when: datetime, hour: int, is_minute: bool, seconds: Decimal) -> str:
    unit, width = text[0], len(text)
    if unit in "ye":
        return f"{when.year:04}" if width > 2 or unit == "e" else f"{when.year % 100:02}"
    if unit == "s":
        whole, point, places = text.partition(".")
        second = seconds % 60
        return f"{second:0{len(whole) + len(point + places)}.{len(places)}f}"
    if unit == "m" and not is_minute and width > 2:
        name = _MONTHS[when.month - 1]
        return name if width == 4 else name[0] if width == 5 else name[:3]
    if unit == "d" and width > 2:
        return _DAYS[when.weekday()][: 3 if width == 3 else None]
    number = {"h": hour, "d": when.day, "m": when.minute if is_minute else when.month}[unit]
    return str(number).zfill(min(width, 2))
