from __future__ import annotations

from longembed_index.documents.formats.html import parse_html, read_html


def test_html_becomes_text_without_scripts() -> None:
    page = "<html><head><style>p {}</style></head><body><h1>Größe</h1><p>one &amp; two</p>"
    text = read_html((page + "<script>alert(1)</script></body></html>").encode()).text
    assert "# Größe" in text
    assert "one & two" in text
    assert "alert" not in text
    assert "{}" not in text


def test_utf8_html_that_is_not_ascii_at_its_very_end() -> None:
    # A guess from the first kilobytes alone takes this for ASCII.
    assert read_html(f"<p>{'a ' * 10_000}</p><p>Größe</p>".encode()).text.endswith("Größe")


def test_a_web_page_has_the_title_of_its_head() -> None:
    page = b"<html><head><title>\n  All about\n roads </title></head><body><p>text</p></body>"
    assert read_html(page).title == "All about roads"
    assert read_html(b"<p>no title</p>").title == ""


def test_a_page_is_read_in_the_encoding_that_it_declares() -> None:
    for page in (
        '<meta charset="shift_jis"><p>{}',
        '<META HTTP-EQUIV=content-type CONTENT="text/html; charset=x-sjis"><p>{}',
        '<?xml version="1.0" encoding="Shift_JIS"?><html><p>{}</p></html>',
    ):
        parsed = read_html(page.format("予算①").encode("cp932"))
        assert parsed.text == "予算①"
        assert not parsed.left_out


def test_a_page_in_another_encoding_than_it_declares_is_named() -> None:
    parsed = read_html("<meta charset=utf-8><p>schöne Grüße".encode("latin-1"))
    assert parsed.text == "schöne Grüße"
    assert "guessed" in parsed.left_out[0].what


PAGES = [
    "<html><p>one</p><body><p>two</body></html><p>three",
    "<html><body>one</body></html><html><head><title>t</title></head><body><p>two<p>three",
    "<p>one<!-- <p>two<p>three",
    "<p>one<p><![CDATA[two]]><p>three",
    "<script src='a.js'/><style/><title/><p>one<p>two<p>three",
    "<p>one<noscript><p>two</noscript><iframe><p>three</iframe>",
    "<title>one<p>two<p>three",
    "<p>one<textarea>two<p>three",
    "<h:p>one</h:p><h:script>no</h:script><h:style>p {}</h:style><h:p>two</h:p>three",
    "<template>one</template><x-card>two</x-card><x-card>three</x-card>",
    "<select><option>one<option>two</select><input value=three><input type=hidden value=no>",
    "<table><tr><td>one<table><tr><td>two</table><td>three</table>",
    "<svg><text>one</text><text>two</text></svg><img alt=three src='data:no'>",
    "<div>" * 5000 + "<p>one<p>two<p>three",
    "<p>one\0 <b>t</b>wo &#0; <i>three",
]


def test_all_text_of_a_page_is_read_and_nothing_else() -> None:
    for page in PAGES:
        text = parse_html(page).text.replace("\ufffd", "")
        assert text.split() == ["one", "two", "three"], page[:80]


def test_the_form_of_a_page() -> None:
    page = (
        "<h2>Sizes\nof  <em>ships</em></h2><p>10<sup>6</sup> t<br>H<sub>2</sub>O, soft&shy;ly"
        "<ol start=3><li>one<ul><li>inner</ul><li>two</ol><pre>if x:\n    y\n</pre>"
        "<p># not a heading <a href='https://example.org'>a link</a>"
    )
    assert parse_html(page).text == (
        "## Sizes of ships\n\n10^6 t\nH2O, softly\n\n3. one\n  - inner\n4. two\n\n"
        "```\nif x:\n    y\n```\n\n\\# not a heading a link"
    )


def test_a_table_has_a_line_for_each_row() -> None:
    table = (
        "<table><caption>Ships</caption><tr><th>name<th>year<tr><td rowspan=2>Elbe<td>1901"
        "<tr><td>1<b>9</b>02<tr><td colspan=2>a | b</table>"
    )
    assert parse_html(table).text == (
        "Ships\n\n| name | year |\n| --- | --- |\n| Elbe | 1901 |\n| Elbe | 1902 |\n| a \\| b |  |"
    )


def test_a_table_with_headings_in_it_is_a_layout() -> None:
    page = "<table><tr><td>menu<td><h1>News</h1><p>The ship left.</table>"
    assert parse_html(page).text == "menu\n\n# News\n\nThe ship left."


def test_a_page_of_one_piece_repeated_is_read() -> None:
    for piece in ("<", "<a href='", "<!--", "<![CDATA[", "<div>", "<title", "<table><tr><td>"):
        assert isinstance(parse_html(piece * 20_000).text, str)
