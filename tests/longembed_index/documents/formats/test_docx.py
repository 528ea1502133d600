from __future__ import annotations

import re

import pytest
from office_files import WORD, make_docx, make_word, parts_of, word_paragraph, zipped

from longembed_index.documents.formats.docx import read_docx
from longembed_st.errors import InputError

TEXT = "Harbour council"
RUN = f"<w:r><w:t>{TEXT}</w:t></w:r>"
PARAGRAPH = word_paragraph(TEXT)
BOX = f"<wps:txbx><w:txbxContent>{PARAGRAPH}</w:txbxContent></wps:txbx>"
CHART = (
    '<c:chartSpace xmlns:c="http://schemas.openxmlformats.org/drawingml/2006/chart">'
    "<c:ser><c:tx><c:v>Cost</c:v></c:tx>"
    '<c:cat><c:pt idx="0"><c:v>Harbour council</c:v></c:pt></c:cat>'
    '<c:val><c:formatCode>0%</c:formatCode><c:pt idx="0"><c:v>0.25</c:v></c:pt></c:val></c:ser>'
    "</c:chartSpace>"
)


def part(element: str, inner: str) -> str:
    return f'<w:{element} xmlns:w="{WORD}">{inner}</w:{element}>'


ONCE = [
    f'<w:fldSimple w:instr="MERGEFIELD Client">{RUN}</w:fldSimple>',
    f'<w:bdo w:val="rtl">{RUN}</w:bdo>',
    f"<w:smartTag><w:customXml>{RUN}</w:customXml></w:smartTag>",
    f'<w:ins w:id="1"><w:someday xmlns:w="{WORD}">{RUN}</w:someday></w:ins>',
    f'<w:hyperlink r:id="nowhere">{RUN}</w:hyperlink>',
    f"{RUN}<w:r><w:footnoteReference w:id='9'/><w:commentReference w:id='9'/></w:r>",
    f"<w:sdt><w:sdtContent>{RUN}</w:sdtContent></w:sdt>",
    f"<w:r><w:drawing>{BOX}</w:drawing></w:r>",
    "<w:r><mc:AlternateContent><mc:Choice><w:drawing/></mc:Choice><mc:Fallback>"
    f"<w:pict>{BOX}</w:pict></mc:Fallback></mc:AlternateContent></w:r>",
    '<w:r><w:pict><v:shape xmlns:v="urn:schemas-microsoft-com:vml">'
    f'<v:textpath string="{TEXT}"/></v:shape></w:pict></w:r>',
    f'<w:r><w:drawing><docPr descr="{TEXT}"/></w:drawing></w:r>',
    "<w:r><w:t>Harbour</w:t><w:cr/><w:t>council</w:t></w:r>",
    "<w:r><w:t>Harb</w:t></w:r><w:proofErr/><w:r><w:rPr><w:sz w:val='9'/></w:rPr>"
    "<w:t>our council</w:t></w:r>",
]


def test_text_is_read_once_wherever_a_paragraph_has_it() -> None:
    for inner in ONCE:
        parsed = read_docx(make_word(f"<w:p>{inner}</w:p>"))
        assert " ".join(parsed.text.split()).count(TEXT) == 1, inner
        assert parsed.left_out == (), inner


def test_headers_notes_and_comments_are_read_even_if_nothing_refers_to_them() -> None:
    parts = {
        "footer footer1.xml": part("ftr", PARAGRAPH),
        "comments c.xml": part("comments", f'<w:comment w:id="0">{PARAGRAPH}</w:comment>'),
        "endnotes e.xml": part("endnotes", f'<w:endnote w:id="2">{PARAGRAPH}</w:endnote>'),
        "footnotes f.xml": part("footnotes", f'<w:footnote w:id="2">{PARAGRAPH}</w:footnote>'),
    }
    parts = {kind: xml.replace(TEXT, kind) for kind, xml in parts.items()}
    # Of the header of several sections, one is read.
    header = part("hdr", f"<w:p><w:r><w:pict>{BOX}</w:pict></w:r></w:p>")
    parts |= {f"header header{n}.xml": re.sub("(</?)wps:", r"\1", header) for n in (1, 2)}
    parsed = read_docx(make_word(word_paragraph("Intro"), parts))
    for text in (TEXT, *list(parts)[:4]):
        assert parsed.text.count(text) == 1, text
    assert parsed.left_out == ()


def test_what_was_deleted_or_moved_away_is_not_read() -> None:
    body = "<w:p><w:del><w:r><w:delText>old</w:delText></w:r></w:del>"
    body += f'<w:moveFrom w:id="1"><w:r><w:t>old</w:t></w:r></w:moveFrom>{RUN}</w:p>'
    parsed = read_docx(make_word(body))
    assert parsed.text.strip() == TEXT
    assert parsed.left_out == ()


def test_charts_stand_behind_their_paragraph() -> None:
    body = '<w:p><w:r><w:t>before</w:t><w:drawing><chart r:id="charts/chart1.xml"/></w:drawing>'
    body += f"</w:r></w:p>{word_paragraph('after')}"
    text = read_docx(make_word(body, {"chart charts/chart1.xml": CHART})).text
    assert text.index("before") < text.index("Harbour council") < text.index("after")
    assert "25%" in text


def test_formulas_are_read_in_one_line() -> None:
    def run(text: str) -> str:
        return f"<m:r><m:t>{text}</m:t></m:r>"

    power = f"<m:sSup><m:e>{run('c')}</m:e><m:sup>{run('2')}</m:sup></m:sSup>"
    ratio = f"<m:f><m:num>{run('a')}{run('b')}</m:num><m:den>{run('d')}</m:den></m:f>"
    parsed = read_docx(
        make_word(f"<w:p><m:oMath>{run('E=m')}{power}{run('+')}{ratio}</m:oMath></w:p>")
    )
    assert "".join(parsed.text.replace("\\", "").split()) == "E=mc^2+ab/d"
    assert parsed.left_out == ()


def test_headings_link_texts_and_tables() -> None:
    styles = '<w:style w:styleId="T" w:type="paragraph"><w:name w:val="Title"/></w:style>'
    row = "<w:tr><w:tc><w:tcPr><w:vMerge/></w:tcPr>%s</w:tc><w:tc>%s</w:tc></w:tr>"
    table = "".join(row % (word_paragraph(a), word_paragraph(b)) for a, b in ("ab", "cd"))
    body = f'<w:p><w:pPr><w:pStyle w:val="T"/></w:pPr>{RUN}</w:p><w:tbl>{table}</w:tbl>'
    body += '<w:p><w:hyperlink r:id="link"><w:r><w:t>site</w:t></w:r></w:hyperlink></w:p>'
    parts = {"styles styles.xml": part("styles", styles)}
    text = read_docx(make_word(body, parts, external="https://example.org/")).text
    assert f"# {TEXT}" in text
    assert "| a | b |" in text
    assert "| c | d |" in text
    assert "site" in text


def test_paragraphs_of_the_outline_are_headings() -> None:
    styles = (
        '<w:style w:styleId="A"><w:pPr><w:outlineLvl w:val="1"/></w:pPr></w:style>'
        '<w:style w:styleId="B"><w:basedOn w:val="A"/></w:style>'
        '<w:style w:styleId="C"><w:basedOn w:val="D"/></w:style>'
        '<w:style w:styleId="D"><w:basedOn w:val="C"/></w:style>'
    )
    properties = {
        "own": '<w:outlineLvl w:val="0"/>',
        "based": '<w:pStyle w:val="B"/>',
        "circle": '<w:pStyle w:val="C"/>',
        "body": '<w:pStyle w:val="A"/><w:outlineLvl w:val="9"/>',
    }
    body = "".join(
        f"<w:p><w:pPr>{style}</w:pPr><w:r><w:t>{text}</w:t></w:r></w:p>"
        for text, style in properties.items()
    )
    text = read_docx(make_word(body, {"styles styles.xml": part("styles", styles)})).text
    assert text.split("\n\n") == ["# own", "## based", "circle", "body"]


def test_links_in_fields_and_tables_in_tables() -> None:
    def char(kind: str) -> str:
        return f'<w:r><w:fldChar w:fldCharType="{kind}"/></w:r>'

    field = f'{char("begin")}<w:r><w:instrText>HYPERLINK "https://a.org/"</w:instrText></w:r>'
    field += f"{char('separate')}<w:r><w:t>site</w:t></w:r>{char('end')}"
    inner = f"<w:tbl><w:tr><w:tc>{PARAGRAPH}</w:tc></w:tr></w:tbl>"
    body = f"<w:p>{field}</w:p><w:tbl><w:tr><w:tc>{inner}</w:tc></w:tr></w:tbl>"
    text = read_docx(make_word(body)).text
    assert "site" in text
    assert TEXT in text


def test_the_end_of_a_paragraph_may_be_deleted_where_nothing_follows() -> None:
    body = f"<w:p><w:pPr><w:rPr><w:del w:id='1'/></w:rPr></w:pPr>{RUN}</w:p><w:sectPr/>"
    assert read_docx(make_word(body)).text.strip() == TEXT
    assert read_docx(make_word(body.replace("<w:sectPr/>", PARAGRAPH))).text.split() == [
        "Harbour",
        "councilHarbour",
        "council",
    ]


def test_inserted_pages_are_read_and_other_files_named() -> None:
    body = f'{PARAGRAPH}<w:altChunk r:id="a.html"/><w:altChunk r:id="b.rtf"/>'
    parts = {"aFChunk a.html": "<html><body><p>Quay wall</p></body></html>", "aFChunk b.rtf": "{"}
    parsed = read_docx(make_word(body, {**parts, "package embeddings/sums.xlsx": ""}))
    assert "Quay wall" in parsed.text
    assert [str(left) for left in parsed.left_out] == [
        "word/b.rtf: inserted files",
        "word/embeddings/sums.xlsx: embedded files",
    ]


def test_words_that_the_reader_loses_are_named() -> None:
    lost = part("unknown", word_paragraph("Three lost words"))
    parsed = read_docx(make_word(PARAGRAPH, {"unknown unknown.xml": lost}))
    assert [str(left) for left in parsed.left_out] == [
        "word/unknown.xml: 3 words that were not read"
    ]


def test_a_damaged_part_costs_no_more_than_itself() -> None:
    header = part("hdr", PARAGRAPH)[:-9]
    parsed = read_docx(make_word(word_paragraph("Intro"), {"header header1.xml": header}))
    assert "Intro" in parsed.text
    assert TEXT in parsed.text
    assert "word/header1.xml: damaged parts" in str(parsed.left_out[0])


def test_names_of_parts_as_other_programs_write_them() -> None:
    for name in ("word/document2.xml", "Word\\Document.xml", "/word/document.xml"):
        parts = parts_of(make_docx(TEXT))
        parts["_rels/.rels"] = parts["_rels/.rels"].replace(
            b"word/document.xml", name.replace("\\", "/").encode()
        )
        parts[name] = parts.pop("word/document.xml")
        assert read_docx(zipped(parts)).text.strip() == TEXT


def test_a_document_of_too_many_paragraphs_is_refused(monkeypatch) -> None:
    monkeypatch.setattr("longembed_index.documents.formats.docx._MOST_ELEMENTS", 5)
    assert read_docx(make_docx("a", "b")).text.split() == ["a", "b"]
    with pytest.raises(InputError, match=r"has 6 paragraphs and runs, more than the 5"):
        read_docx(make_docx("a", "b", "c"))
