from __future__ import annotations

import io

import pptx
from lxml import etree
from office_files import make_pptx, parts_of, zipped
from pptx.chart.data import CategoryChartData, XyChartData
from pptx.enum.chart import XL_CHART_TYPE
from pptx.util import Inches

from longembed_index.documents.formats.pptx import read_pptx
from longembed_index.documents.places import place_in

TEXT = "Harbour council"
DRAWING = "http://schemas.openxmlformats.org/drawingml/2006"
COMPATIBILITY = "http://schemas.openxmlformats.org/markup-compatibility/2006"


def new_slide(layout: int = 5):
    show = pptx.Presentation()
    slide = show.slides.add_slide(show.slide_layouts[layout])
    slide.shapes.title.text = "Budget"
    return show, slide


def saved(show) -> bytes:
    out = io.BytesIO()
    show.save(out)
    return out.getvalue()


def add_box(shapes, text: str, left: float = 0, top: float = 0):
    box = shapes.add_textbox(Inches(left), Inches(top), Inches(1), Inches(1))
    box.text_frame.text = text
    return box


def test_slides_end_with_form_feeds_and_titles_are_headings() -> None:
    parsed = read_pptx(make_pptx("Year", {"Sales": "they rose", "Staff": "two left"}))
    assert parsed.title == "Year"
    assert parsed.text.count("\f") == 2
    place = place_in(parsed.text, parsed.text.index("two left"), "a.pptx")
    assert (place.page, place.heading) == (2, "Staff")
    assert parsed.left_out == ()


def test_shapes_are_read_from_left_to_right_and_down() -> None:
    show, slide = new_slide()
    for text, left, top in (
        ("fourth", 5, 5),
        ("second", 5, 2.05),
        ("third", 0, 5),
        ("first", 0, 2.1),
    ):
        add_box(slide.shapes, text, left, top)
    words = read_pptx(saved(show)).text.split()
    assert words == ["#", "Budget", "first", "second", "third", "fourth"]


def test_groups_notes_hidden_slides_and_line_breaks() -> None:
    show, slide = new_slide(1)
    slide.placeholders[1].text = "one\vtwo"
    add_box(slide.shapes.add_group_shape().shapes.add_group_shape().shapes, "in groups")
    slide.notes_slide.notes_text_frame.text = "# to say"
    slide._element.set("show", "0")
    parsed = read_pptx(saved(show))
    assert parsed.text == "# Budget\n\nin groups\none\ntwo\n\nNotes:\n\\# to say\n\f\n"
    assert parsed.left_out == ()


def test_numbers_of_slides_are_no_text() -> None:
    show, slide = new_slide()
    field = f'<a:fld xmlns:a="{DRAWING}/main" id="{{1}}" type="slidenum"><a:t>77</a:t></a:fld>'
    add_box(slide.shapes, "Page ").text_frame.paragraphs[0]._p.append(etree.fromstring(field))
    parsed = read_pptx(saved(show))
    assert parsed.text.split() == ["#", "Budget", "Page"]
    assert parsed.left_out == ()


def test_tables_and_charts_are_markdown_tables() -> None:
    show, slide = new_slide()
    table = slide.shapes.add_table(2, 2, 0, 0, Inches(2), Inches(2)).table
    table.cell(0, 0).text = "Harbour"
    table.cell(1, 1).text = "Quay | wall\nsecond line"
    data = CategoryChartData(number_format="0%")
    data.categories = ["Harbour", "Quay"]
    data.add_series("Cost", (0.25, None))
    data.add_series("Plan", (0.5, 0.75))  # Names the same categories again.
    chart = slide.shapes.add_chart(XL_CHART_TYPE.COLUMN_CLUSTERED, 0, Inches(3), 9, 9, data).chart
    chart.has_title = True
    chart.chart_title.text_frame.text = "What it costs"
    parsed = read_pptx(saved(show))
    assert "| Harbour |  |\n| --- | --- |\n|  | Quay \\| wall second line |" in parsed.text
    assert (
        "What it costs\n|  | Cost | Plan |\n| --- | --- | --- |\n| Harbour | 25% | 50% |\n"
        "| Quay |  | 75% |" in parsed.text
    )
    assert parsed.left_out == ()


def test_charts_with_levels_and_with_points() -> None:
    show, slide = new_slide()
    data = CategoryChartData()
    town = data.add_category("Town")
    town.add_sub_category("Harbour")
    town.add_sub_category("Quay")
    data.add_series("Cost", (1, 2))
    slide.shapes.add_chart(XL_CHART_TYPE.COLUMN_CLUSTERED, 0, 0, 9, 9, data)
    points = XyChartData()
    points.add_series("Depth").add_data_point(1.5, 20)
    slide.shapes.add_chart(XL_CHART_TYPE.XY_SCATTER, 0, Inches(3), 9, 9, points)
    text = read_pptx(saved(show)).text
    assert "Harbour | 1 |" in text
    assert "Town" in text
    assert "|  | 1.5 | 20 |" in text


def test_what_is_stored_in_two_ways_is_read_once() -> None:
    show, slide = new_slide()
    shape = add_box(slide.shapes, TEXT)._element
    wrapped = etree.fromstring(
        f'<mc:AlternateContent xmlns:mc="{COMPATIBILITY}"><mc:Choice Requires="a14"/>'
        "<mc:Fallback/></mc:AlternateContent>"
    )
    shape.getparent().replace(shape, wrapped)
    wrapped[0].append(shape)
    wrapped[1].append(etree.fromstring(etree.tostring(shape)))
    parsed = read_pptx(saved(show))
    assert parsed.text.count(TEXT) == 1
    assert parsed.left_out == ()


def test_diagrams_are_read_from_the_top_down() -> None:
    def point(number: int, text: str = "", kind: str = "node") -> str:
        inner = f"<dgm:t><a:p><a:r><a:t>{text}</a:t></a:r></a:p></dgm:t>" if text else ""
        return f'<dgm:pt modelId="{number}" type="{kind}">{inner}</dgm:pt>'

    points = point(3, "second") + point(2, "under first") + point(1, "first") + point(0, "", "doc")
    links = "".join(
        f'<dgm:cxn modelId="9{to}" srcId="{source}" destId="{to}" srcOrd="{order}"/>'
        for source, to, order in ((0, 3, 1), (0, 1, 0), (1, 2, 0))
    )
    data = f'<dgm:dataModel xmlns:dgm="{DRAWING}/diagram" xmlns:a="{DRAWING}/main"><dgm:ptLst>'
    data += f"{points}</dgm:ptLst><dgm:cxnLst>{links}</dgm:cxnLst></dgm:dataModel>"
    show, slide = new_slide()
    frame = slide.shapes.add_table(1, 1, 0, 0, 9, 9)._element
    graphic = frame.find(f".//{{{DRAWING}/main}}graphicData")
    relations = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    graphic[:] = [
        etree.fromstring(
            f'<dgm:relIds xmlns:dgm="{DRAWING}/diagram" xmlns:r="{relations}" r:dm="data"/>'
        )
    ]
    parts = parts_of(saved(show))
    name = "ppt/slides/_rels/slide1.xml.rels"
    link = (
        f'<Relationship Id="data" Type="{relations}/diagramData" Target="../diagrams/data1.xml"/>'
    )
    parts[name] = parts[name].replace(b"</Relationships>", f"{link}</Relationships>".encode())
    parts["ppt/diagrams/data1.xml"] = data.encode()
    parsed = read_pptx(zipped(parts))
    assert parsed.text.split("\n")[2:5] == ["first", "under first", "second"]
    assert parsed.left_out == ()


def test_comments_are_read_and_embedded_files_named() -> None:
    show, slide = new_slide()
    slide.shapes.add_ole_object(io.BytesIO(b"x"), "Word.Document.12", 0, 0, 9, 9)
    parts = parts_of(saved(show))
    relations = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    name = "ppt/slides/_rels/slide1.xml.rels"
    link = f'<Relationship Id="c" Type="{relations}/comments" Target="/ppt/comments/comment1.xml"/>'
    parts[name] = parts[name].replace(b"</Relationships>", f"{link}</Relationships>".encode())
    parts["ppt/comments/comment1.xml"] = (
        b'<p:cmLst xmlns:p="http://schemas.openxmlformats.org/presentationml/2006/main"><p:cm>'
        b"<p:text>Too long</p:text></p:cm></p:cmLst>"
    )
    parsed = read_pptx(zipped(parts))
    assert "Comment: Too long" in parsed.text
    assert [left.what for left in parsed.left_out] == ["embedded files"]


def test_missing_parts_cost_no_more_than_themselves() -> None:
    for lost in ["ppt/slides/slide1.xml", "ppt/theme/theme1.xml"]:
        parts = parts_of(make_pptx("Year", {"Sales": "they rose", "Staff": "two left"}))
        del parts[lost]
        parsed = read_pptx(zipped(parts))
        assert "two left" in parsed.text
        named = [str(left) for left in parsed.left_out]
        missing = ["slide 1: slides that the file does not have"]
        assert named == (missing if "slide1" in lost else [])


def test_a_show_is_read_as_a_presentation() -> None:
    parts = parts_of(make_pptx("Year", {"Sales": "they rose"}))
    parts["[Content_Types].xml"] = parts["[Content_Types].xml"].replace(
        b"presentationml.presentation.main", b"presentationml.slideshow.main"
    )
    assert "they rose" in read_pptx(zipped(parts)).text
