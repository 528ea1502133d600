from __future__ import annotations

import io
import random

import pypdf
import pytest
from office_files import make_pages, make_pdf
from pdf_files import HELVETICA, PICTURE, at, column, mapped_font, pdf_of

from longembed_index.documents.formats.pdf import SCANNED, UNMAPPED, read_pdf
from longembed_index.documents.parsed import LeftOut
from longembed_index.documents.places import place_in
from longembed_st.errors import InputError

WITHOUT_MAP = (
    b"<< /Type /Font /Subtype /Type0 /BaseFont /Foo /Encoding /Identity-H"
    b" /DescendantFonts [4 0 R] >>"
)
GLYPHS = (
    b"<< /Type /Font /Subtype /CIDFontType2 /BaseFont /Foo /CIDSystemInfo << /Registry (Adobe)"
    b" /Ordering (Identity) /Supplement 0 >> /FontDescriptor << /Type /FontDescriptor"
    b" /FontName /Foo /Flags 4 /ItalicAngle 0 /Ascent 800 /Descent -200 /CapHeight 700"
    b" /StemV 80 /FontBBox [0 0 1000 1000] >> >>"
)


def words_of(data: bytes) -> str:
    return " ".join(read_pdf(data).text.split())


def test_a_form_feed_stands_behind_each_page() -> None:
    text = read_pdf(make_pages(["first page"], [], ["third page"])).text
    assert text.split("\f") == ["first page", "\n", "\nthird page", ""]


def test_a_page_without_anything_is_not_left_out() -> None:
    assert read_pdf(make_pages(["first page"], [])).left_out == ()


def test_scanned_pages_are_named() -> None:
    parsed = read_pdf(pdf_of(at(72, 720, "Annual report"), *[PICTURE] * 3, at(72, 720, "End")))
    assert parsed.left_out == (LeftOut("pages 2-4", SCANNED, 3),)
    assert "--ocr" in SCANNED


def test_a_stamp_on_every_page_does_not_hide_that_they_are_pictures() -> None:
    pages = [PICTURE + at(72, 20, "Scanned by a machine") for _ in range(3)]
    assert read_pdf(pdf_of(*pages)).left_out == (LeftOut("pages 1-3", SCANNED, 3),)
    titled = PICTURE + at(72, 700, "A title over a picture")
    assert read_pdf(pdf_of(titled, at(72, 700, "text"))).left_out == ()


def test_a_word_that_is_cut_at_the_line_end() -> None:
    data = make_pdf("The council approved the infra-", "structure of the harbour.")
    assert words_of(data) == "The council approved the infrastructure of the harbour."


def test_values_of_a_form_stand_behind_their_labels() -> None:
    def widget(name: str, value: bytes, y: int, more: bytes = b"") -> bytes:
        return (b"<< /Type /Annot /Subtype /Widget /T (%s) /V %s /Rect [150 %d 300 %d] %s >>") % (
            name.encode(),
            value,
            y,
            y + 14,
            more,
        )

    extra = (
        widget("a", b"(Harbour council)", 716, b"/FT /Tx"),
        widget("b", b"(Hull)", 696, b"/FT /Ch /Ff 131072 /Opt [(Hull) (Leith)]"),
        widget("c", b"(secret)", 676, b"/FT /Tx /Ff 8192"),
        widget("d", b"/Yes", 656, b"/FT /Btn /AS /Yes /AP << /N << /Yes 8 0 R >> >>"),
        b"<< /Type /XObject /Subtype /Form /BBox [0 0 9 9] /Length 0 >>\nstream\n\nendstream",
    )
    labels = [at(72, y, text) for y, text in ((720, "Name:"), (700, "Town:"), (680, "Key:"))]
    data = pdf_of(
        b"".join(labels) + at(72, 660, "Paid:"),
        extra=extra,
        annotations=b"4 0 R 5 0 R 6 0 R 7 0 R",
        root=b"/AcroForm << /Fields [4 0 R 5 0 R 6 0 R 7 0 R] >>",
    )
    assert words_of(data) == "Name: Harbour council Town: Hull Key: Paid: [x]"


def test_notes_of_people_are_read() -> None:
    def note(kind: str, text: str) -> bytes:
        return b"<< /Type /Annot /Subtype /%s /Contents (%s) /Rect [200 716 300 730] >>" % (
            kind.encode(),
            text.encode(),
        )

    extra = (note("FreeText", "Not before May"), note("Highlight", "ask Ann"), note("Link", "url"))
    data = pdf_of(at(72, 720, "The quay"), extra=extra, annotations=b"4 0 R 5 0 R 6 0 R")
    text = words_of(data)
    assert text.startswith("The quay")
    assert "Not before May" in text
    assert "ask Ann" in text
    assert "url" not in text


def test_characters_without_a_meaning_are_counted_not_stored() -> None:
    content = b"BT /F1 12 Tf 72 720 Td <00050006002400250003> Tj ET"
    parsed = read_pdf(pdf_of(content, font=WITHOUT_MAP, extra=[GLYPHS]))
    assert parsed.text == ""
    assert parsed.left_out == (LeftOut("page 1", UNMAPPED, 5),)


def test_letters_of_an_unknown_font_that_are_what_their_codes_say_are_read() -> None:
    named = HELVETICA.replace(b"Helvetica >>", b"Foo /Encoding << /Differences [97 /g1 /g2] >> >>")
    assert read_pdf(pdf_of(at(72, 720, "a babble"), font=named)).text == "a babble\f"


def test_letters_beyond_the_first_plane_and_ligatures() -> None:
    font, to_unicode = mapped_font("A", "B", 0xFB01)
    assert words_of(pdf_of(at(72, 720, "Aeld"), font=font, extra=[to_unicode])) == "field"
    pair = to_unicode.replace(b"<FB01>", b"<D835DC65>").replace(b"<42> ", b"<41> ")
    assert words_of(pdf_of(at(72, 720, "A"), font=font, extra=[pair])) == "x"


def test_lines_from_right_to_left_are_in_logical_order() -> None:
    font, to_unicode = mapped_font("A", "Z", 0x05D0)
    # Drawn from left to right, as it looks: the last letter first.
    content = at(72, 720, "FED CBA 12") + at(72, 706, "LKJ HGF")
    text = read_pdf(pdf_of(content, font=font, extra=[to_unicode])).text
    assert "\u05d0\u05d1\u05d2 \u05d3\u05d4\u05d5" in text
    assert "12" in text


def test_titles_of_the_outline_become_headings() -> None:
    extra = (
        b"<< /Type /Outlines /First 5 0 R /Last 6 0 R /Count 2 >>",
        b"<< /Title (Harbour dues) /Parent 4 0 R /Next 6 0 R /Dest [8 0 R /Fit] >>",
        b"<< /Title (Who pays) /Parent 4 0 R /First 7 0 R /Last 7 0 R /Dest [8 0 R /Fit] >>",
        b"<< /Title (Not a line of the page) /Parent 6 0 R /Dest [8 0 R /Fit] >>",
    )
    lines = ["1.2 Harbour dues", "They rose.", "# not a heading", "Who pays", "Everyone."]
    page = b"".join(at(72, 720 - 20 * n, line) for n, line in enumerate(lines))
    data = pdf_of(page, extra=extra, root=b"/Outlines 4 0 R")
    text = read_pdf(data).text
    assert "# 1.2 Harbour dues\n" in text
    assert r"\# not a heading" in text
    assert place_in(text, text.index("rose"), "a.pdf").heading == "1.2 Harbour dues"
    assert place_in(text, text.index("not a"), "a.pdf").heading == "1.2 Harbour dues"
    assert place_in(text, text.index("Everyone"), "a.pdf").heading == "Who pays"


def test_the_title() -> None:
    assert read_pdf(make_pdf("text")).title == ""
    titled = [b"<< /Title (Microsoft Word - Road plan) >>"]
    info = pdf_of(at(72, 720, "text"), extra=titled, trailer=b"/Info 4 0 R")
    assert read_pdf(info).title == "Road plan"


def test_passwords() -> None:
    def locked(password: str) -> bytes:
        writer = pypdf.PdfWriter(io.BytesIO(make_pdf("The quay")))
        writer.encrypt(password, "secret", algorithm="AES-256")
        out = io.BytesIO()
        writer.write(out)
        return out.getvalue()

    assert words_of(locked("")) == "The quay"
    with pytest.raises(InputError, match=r"encrypted with a password\. Save it without one"):
        read_pdf(locked("x"))


def test_attached_files_are_named() -> None:
    writer = pypdf.PdfWriter(io.BytesIO(make_pdf("The quay")))
    writer.add_attachment("sums.csv", b"1,2")
    out = io.BytesIO()
    writer.write(out)
    assert read_pdf(out.getvalue()).left_out == (LeftOut("", "attached files", 1),)


def test_damaged_files_are_read_or_refused() -> None:
    draw = random.Random(0)
    whole = pdf_of(column(72, ["a line", "and another"]), PICTURE, at(72, 20, "a foot"))
    refused = []
    for _ in range(150):
        data = bytearray(whole)
        for _ in range(draw.randint(1, 8)):
            place = draw.randrange(len(data))
            data[place : place + draw.choice([0, 1, 8])] = draw.randbytes(draw.choice([0, 1, 8]))
        try:
            read_pdf(bytes(data))
        except InputError as error:
            refused.append(str(error))
    assert 0 < len(refused) < 150
    assert not any("\n" in reason for reason in refused)
    with pytest.raises(InputError, match="cannot be read as PDF"):
        read_pdf(whole[:200])
