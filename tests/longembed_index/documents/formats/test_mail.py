from __future__ import annotations

import pytest

from longembed_index.documents.formats.mail import read_mail
from longembed_st.errors import InputError

MAIL = """From: Ann <ann@example.org>
To: bob@example.org
Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=
Date: Mon, 2 Mar 2026 10:00:00 +0100
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary=x

--x
Content-Type: text/html; charset=iso-8859-1
Content-Transfer-Encoding: quoted-printable

<p>See you in <b>K=F6ln</b>.</p>
--x
Content-Type: application/pdf
Content-Disposition: attachment; filename="map.pdf"
Content-Transfer-Encoding: base64

JVBERi0=
--x--
"""


def test_a_mail_has_headers_a_text_and_says_what_is_attached() -> None:
    parsed = read_mail(MAIL.encode())
    assert parsed.title == "Grüße"
    assert parsed.text.startswith("From: Ann <ann@example.org>\nTo: bob@example.org\n")
    assert "See you in Köln." in parsed.text
    assert "Attached, not read: map.pdf" in parsed.text
    assert [str(part) for part in parsed.left_out] == ["map.pdf: attachments (application/pdf)"]


def parts(kind: str, *parts: str, headers: str = "Subject: s\n") -> bytes:
    body = "".join(f"--b\n{part}\n" for part in parts)
    return f"{headers}Content-Type: multipart/{kind}; boundary=b\n\n{body}--b--\n".encode()


PLAIN, PAGE = "Content-Type: text/plain\n\n", "Content-Type: text/html\n\n"


MAILS = [
    (parts("mixed", PLAIN + "one", "Content-Type: image/png\n\nx", PLAIN + "two"), "one two"),
    (parts("alternative", PLAIN + "Use another program", PAGE + "<p>one two"), "one two"),
    (parts("alternative", PLAIN + "one two", PAGE + "<p>one <b>two"), "one two"),
    (parts("alternative", PLAIN + "one two", PAGE + "<img src=a.png>"), "one two"),
    (
        parts("mixed", f"Content-Disposition: attachment; filename=a.txt\n{PLAIN}one two"),
        "one two",
    ),
    (parts("mixed", "Content-Type: message/rfc822\n\nSubject: one\n\ntwo"), "Subject: one two"),
    (
        parts("report", "Content-Type: message/delivery-status\n\nStatus: 5.1.1\n"),
        "Status: 5.1.1",
    ),
    (b"From bob Mon Jan  1 00:00:00 2024\nSubject: one\n\ntwo", "Subject: one two"),
    (b"\n\nno headers at all", "no headers at all"),
    (b"Subject: a\nContent-Transfer-Encoding: base64\n\nb25lIA==\ndHdvA", "one two"),
    ("Content-Type: text/plain; charset=ks_c_5601-1987\n\n똠".encode("cp949"), "똠"),
]


def test_the_whole_text_of_a_mail_is_read() -> None:
    for mail, text in MAILS:
        words = read_mail(mail).text.replace("Attached, not read: without a name", "").split()
        assert " ".join(words).endswith(text)
        assert "another program" not in words


def test_a_calendar_is_read_as_lines() -> None:
    event = "SUMMARY:Council\\, second\n  day\nDTSTART;TZID=x:20240102T1000\nUID:7\nLOCATION:Quay"
    text = read_mail(parts("alternative", f"Content-Type: text/calendar\n\n{event}\n")).text
    assert text.endswith("Summary: Council, second day\nDtstart: 20240102T1000\nLocation: Quay")


def test_headers() -> None:
    titles = {
        "=?utf-8?q?Gr=C3=BC?= =?utf-8?b?w59l?=": "Grüße",
        "=?utf-8?Q?Gr=C3?= =?utf-8?Q?=BC=C3=9Fe?=": "Grüße",
        "=?utf-8?q?a=0D=0Ab?=": "a b",
        "=?no-such?q?plain?=": "plain",
        "Grüße": "Grüße",
    }
    mails = {header: read_mail(f"Subject: {header}\n\ntext".encode()) for header in titles}
    assert {header: parsed.title for header, parsed in mails.items()} == titles
    assert all(parsed.text.endswith("text") for parsed in mails.values())


def test_what_is_no_mail_is_refused() -> None:
    with pytest.raises(InputError, match="is binary"):
        read_mail(b"\x00\x01 nothing of the kind")


def test_mails_nested_too_deep_are_named() -> None:
    head = "".join(f"Content-Type: multipart/mixed; boundary=b{n}\n\n--b{n}\n" for n in range(80))
    parsed = read_mail(f"Subject: deep\n{head}\ntext".encode())
    assert parsed.title == "deep"
    assert parsed.left_out[0].what == "parts that are nested too deep"


def test_a_part_that_is_binary_costs_that_part() -> None:
    parsed = read_mail(parts("mixed", PLAIN + "\0\1\2", PLAIN + "one"))
    assert parsed.text.endswith("one")
    assert "is binary" in parsed.left_out[0].what
