from __future__ import annotations

import random

from longembed_index.documents.formats.number_formats import BUILT_IN, DAY_0_OF_1904, GENERAL, shown

ACCOUNTING = r'_(* #,##0.00_);_(* \(#,##0.00\);_(* "-"??_);_(@_)'


NUMBERS = [
    ("5", GENERAL, "5"),
    ("0.30000000000000004", GENERAL, "0.3"),
    ("1234567890123456", GENERAL, "1234567890123456"),
    ("1E-7", GENERAL, "1E-07"),
    ("0.256", "0.0%", "25.6%"),
    ("1.005", "0.00", "1.01"),
    ("0.30000000000000004", "0.0", "0.3"),
    ("1067", "00000", "01067"),
    ("5551234567", "(000) 000-0000", "(555) 123-4567"),
    ("1234567.5", "#,##0.00", "1,234,567.50"),
    ("1234.5", "#,##0.00\\ [$€-407]", "1,234.50 €"),
    ("1234.5", "[$£-809]#,##0", "£1,235"),
    ("-1234.5", ACCOUNTING, "(1,234.50)"),
    ("0", ACCOUNTING, "-"),
    ("1500000", '0.0,,"M"', "1.5M"),
    ("0.5", "0.###", "0.5"),
    ("5", "#.##", "5"),
    ("1.5", "# ?/?", "1 1/2"),
    ("-0.25", "?/?", "-1/4"),
    ("12345", "0.00E+00", "1.23E+04"),
    ("17", '[<10]"few";[>=10]"many"', "many"),
    ("1", '"yes";;"no"', "yes"),
    # What shows nothing, or cannot show this.
    ("3", ";;;", "3"),
    ("-5", "yyyy-mm-dd", "-5"),
    ("99999999", "yyyy-mm-dd", "99999999"),
    ("1e300", "0.00", "1E+300"),
    ("NaN", "0.00", "NaN"),
    ("1234.567", "@", "1234.567"),
]
"""A number, a format, and what is shown."""


def test_numbers_are_shown_as_the_program_shows_them() -> None:
    assert [(number, code, shown(number, code)) for number, code, _ in NUMBERS] == NUMBERS


DATES = [
    ("45296", "yyyy-mm-dd", "2024-01-05"),
    ("45296", BUILT_IN[14], "2024-01-05"),
    ("45296.5625", "dd.mm.yyyy hh:mm", "05.01.2024 13:30"),
    ("45296.5625", "d mmmm yyyy h:mm AM/PM", "5 January 2024 1:30 PM"),
    ("45296", "[$-F800]dddd, mmmm dd, yyyy", "Friday, January 05, 2024"),
    ("45296", 'yyyy"年"m"月"d"日"', "2024年1月5日"),
    ("1", "yyyy-mm-dd", "1900-01-01"),
    ("61", "yyyy-mm-dd", "1900-03-01"),
    ("0.5625", "h:mm:ss", "13:30:00"),
    ("0.999999", "h:mm:ss", "0:00:00"),
    ("1.25", "[h]:mm", "30:00"),
    ("-0.5", "[h]:mm", "-12:00"),
    ("0.04", "[mm]:ss", "57:36"),
    ("0.000717593", "mm:ss.0", "01:02.0"),
]


def test_dates_and_durations_are_shown_as_the_program_shows_them() -> None:
    assert [(number, code, shown(number, code)) for number, code, _ in DATES] == DATES


def test_days_of_workbooks_that_count_from_1904() -> None:
    assert shown("1", "yyyy-mm-dd", DAY_0_OF_1904) == "1904-01-02"


def test_no_format_and_no_number_stops_a_file() -> None:
    draw = random.Random(0)
    pieces = [*'0#?.,%/ymdhs@;-()"[]\\ ', "E+", "yyyy", "mmm", "ss.00", "[h]", "AM/PM", '"x"']
    pieces += ["[$€-407]", "[<5]", "[>=x]", "General", "0" * 300]
    numbers = ["0", "-0", "0.5", "45296.75", "1e300", "-1e-300", "9" * 40, "2958465.9999999", ".5"]
    for _ in range(3000):
        code = "".join(draw.choices(pieces, k=draw.randint(1, 8)))
        assert shown(draw.choice(numbers), code)
