"""The page in a real browser."""

from __future__ import annotations

import os
import re
import shutil
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("fastapi")

from index_fakes import use_fake_models
from integrations.answering import ANSWERS, QUESTIONS
from pdf_files import column, pdf_of
from serving import running

from longembed_index import Document, Index
from longembed_serve.application import application
from longembed_serve.service import Service

sync_api = pytest.importorskip("playwright.sync_api")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
PICTURES = os.environ.get("LONGEMBED_PICTURES")
"""Where pictures of the page go, for whoever wants to look at them."""


@pytest.fixture(scope="module")
def browser():
    if CHROMIUM is None:
        pytest.skip("there is no Chromium on this machine")
    with sync_api.sync_playwright() as playwright:
        one = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield one
        one.close()


@pytest.fixture(scope="module")
def files_server(tmp_path_factory) -> Iterator[str]:
    """A server that hands out files, over a store whose model costs nothing."""
    place = tmp_path_factory.mktemp("reports")
    pages = [
        column(72, textwrap.wrap(f"Page {number} is about {subject}. " * 30, 90))
        for number, subject in enumerate(("ships", "the weather", "the budget of the bridge"), 1)
    ]
    (place / "docs").mkdir()
    (place / "docs" / "town report.pdf").write_bytes(pdf_of(*pages))
    (place / "docs" / "notes.md").write_text("# Notes\n\nThe choir sang in the old church.")
    with pytest.MonkeyPatch.context() as patch:
        # Only until the model is loaded: other servers have real ones.
        use_fake_models(patch)
        index = Index.open(place / "store", "some/one")
        index.add(place / "docs")
        index.add_documents([Document("letter", "A letter about bees.", {"year": 2019})])
        index.search("bees")
        service = Service(index, serve_files=True)
    with running(application(service, max_bytes=10**6, key=None, hosts=["*"])) as address:
        yield address


def opened(browser, address: str, **options):
    """A page of a browser, and what its console says of errors."""
    context = browser.new_context(**{"viewport": {"width": 1000, "height": 800}, **options})
    page = context.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda line: errors.append(line.text) if line.type == "error" else None)
    page.goto(address)
    return page, errors


@pytest.fixture
def page(browser, server):
    one, errors = opened(browser, server[0])
    yield one
    # That a request was refused is said by the browser, too, and shown on the page.
    assert [error for error in errors if "400" not in error] == []
    one.context.close()


def picture(page, name: str) -> None:
    if PICTURES:
        page.screenshot(path=str(Path(PICTURES, f"{name}.png")))


def ask(page, question: str) -> None:
    page.fill("#query", question)
    page.keyboard.press("Enter")
    page.wait_for_selector(".hit")


def test_a_question_is_answered_and_the_sentence_is_marked(page) -> None:
    page.locator("#about", has_text="3 documents").wait_for()
    ask(page, QUESTIONS["harbour"])
    best = page.locator(".hit").first
    assert best.locator(".title").text_content() == "1. harbour.txt"
    assert best.locator(".file").text_content() == "harbour.txt"
    assert page.locator(".file a").count() == 0
    # Short sentences are joined to one unit.
    assert best.locator("mark").text_content().startswith(ANSWERS["harbour"])
    assert "score" in best.locator(".scores").text_content()
    # The passage stands two thirds into the document, and so does its mark in the bar.
    bar = best.locator(".where").bounding_box()
    mark = best.locator(".where .passage").first.bounding_box()
    assert 0.5 < (mark["x"] - bar["x"]) / bar["width"] < 0.75
    picture(page, "search")


def test_the_document_opens_scrolled_to_the_passage(page) -> None:
    ask(page, QUESTIONS["orchard"])
    page.locator(".title").first.click()
    page.wait_for_selector("#text mark")
    assert page.locator("#text mark").first.text_content().startswith(ANSWERS["orchard"])
    assert len(page.text_content("#text").split()) > 2_000
    assert page.evaluate("document.getElementById('text').scrollTop") > 500
    seen = page.locator("#text mark").first.bounding_box()
    assert 0 < seen["y"] < 800
    picture(page, "document")
    page.keyboard.press("Escape")
    assert not page.evaluate("document.getElementById('reader').open")


def test_it_can_be_used_with_the_keyboard(page) -> None:
    page.keyboard.press("Escape")
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.id") == "query"
    page.keyboard.type(QUESTIONS["railway"])
    page.keyboard.press("Enter")
    page.wait_for_selector(".hit")
    page.keyboard.press("Escape")
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("k")
    assert page.evaluate("document.activeElement.textContent") == "1. railway.txt"
    page.keyboard.press("Enter")
    page.wait_for_selector("#text mark")


def test_mistakes_are_shown_as_texts(page) -> None:
    page.fill("#query", "   ")
    page.keyboard.press("Enter")
    page.locator("#message", has_text="blank").wait_for()


def test_texts_are_never_interpreted(page) -> None:
    hostile = "<img src=x onerror='document.title=1'><script>document.title=2</script>"
    hit = {
        "rank": 1,
        "title": hostile,
        "source": hostile,
        "score": 0.5,
        "tokens": 10,
        "read": 5,
        "characters": len(hostile),
        "scores": {"document_words": 0.5},
        "copies": [hostile],
        "passages": [
            {
                "start": 0,
                "end": len(hostile),
                "share": 0.0,
                "page": None,
                "heading": hostile,
                "text": hostile,
                "sentence": [0, len(hostile)],
                "score": 0.5,
            }
        ],
    }
    page.route("**/search", lambda route: route.fulfill(json={"hits": [hit]}))
    page.route("**/document", lambda route: route.fulfill(json={"text": hostile}))
    ask(page, "anything")
    assert page.locator(".hit mark").text_content() == hostile
    page.locator(".title").click()
    page.wait_for_selector("#text mark")
    assert page.locator("img, main script, dialog script").count() == 0
    assert page.title() == "longembed"
    assert "5 of 10 tokens were read" in page.text_content(".hit")


def test_a_hit_links_to_the_page_of_its_file(browser, files_server) -> None:
    page, errors = opened(browser, files_server)
    ask(page, "the budget of the bridge")
    # The letter is not a file.
    assert page.locator(".file a").all_text_contents() == ["town report.pdf, page 3", "notes.md"]
    link = page.locator(".hit").first.locator(".file a")
    assert link.text_content() == "town report.pdf, page 3"
    assert link.get_attribute("href").endswith("town%20report.pdf#page=3")
    with page.context.expect_page() as other:
        link.click()
    assert other.value.url.endswith("#page=3")
    with page.expect_response("**/file?**") as answer:
        page.evaluate("fetch(document.querySelector('.file a').href)")
    assert answer.value.headers["content-type"] == "application/pdf"
    page.context.close()
    assert errors == []


def test_the_question_is_in_the_address(browser, files_server) -> None:
    page, errors = opened(browser, files_server)
    page.fill("#where", "title=*.md")
    page.select_option("#mode", "lexical")
    ask(page, "choir church")
    assert page.url.endswith("/?q=choir+church&mode=lexical&where=title%3D*.md")
    page.fill("#where", "")
    page.fill("#query", "letter about bees")
    page.keyboard.press("Enter")
    page.locator(".title", has_text="letter").wait_for()
    page.go_back()
    page.locator(".title", has_text="notes.md").wait_for()
    values = page.evaluate("['query', 'mode', 'where'].map(i => document.getElementById(i).value)")
    assert values == ["choir church", "lexical", "title=*.md"]
    other, more = opened(browser, page.url)
    other.locator(".title", has_text="notes.md").wait_for()
    for one in (page, other):
        one.context.close()
    assert errors + more == []


def test_filters(browser, files_server) -> None:
    page, errors = opened(browser, files_server)
    for where, titles in (
        ("year>=2019", ["1. letter"]),
        ("year>2019", []),
        ("year >= 2018, year<2020, source!=x", ["1. letter"]),
    ):
        page.fill("#where", where)
        with page.expect_response("**/search"):
            page.fill("#query", "bees")
            page.keyboard.press("Enter")
        page.locator("#message", has_text="1 document" if titles else "No document").wait_for()
        assert page.locator(".title").all_text_contents() == titles
    page.fill("#where", "recent ones")
    page.locator("#where").press("Enter")
    page.locator("#message", has_text="“recent ones” is not a filter").wait_for()
    page.context.close()
    assert errors == []


def test_it_says_so_when_nothing_fits_well(browser, files_server) -> None:
    page, errors = opened(browser, files_server)
    ask(page, "quantum chromodynamics lagrangian")
    assert "Nothing fits well. The nearest: 3 documents." in page.text_content("#message")
    assert page.locator(".hit.unsure").count() == 3
    picture(page, "nothing")
    page.context.close()
    assert errors == []


def test_no_width_is_too_narrow(browser, files_server) -> None:
    for width, scheme in ((340, "dark"), (700, "light"), (1200, "dark")):
        viewport = {"width": width, "height": 800}
        page, errors = opened(browser, files_server, viewport=viewport, color_scheme=scheme)
        ask(page, "the budget of the bridge")
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        boxes = [page.locator(f"#{name}").bounding_box() for name in ("query", "mode", "where")]
        assert all(box["x"] >= 0 and box["x"] + box["width"] <= width for box in boxes)
        background = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert (background == "rgb(22, 24, 27)") == (scheme == "dark")
        picture(page, f"{width}-{scheme}")
        page.context.close()
        assert errors == []


@pytest.mark.slow
def test_a_key_is_asked_for_once(browser, serve) -> None:
    with serve(key="secret", serve_files=True) as (address, _):
        context = browser.new_context()
        page = context.new_page()
        asked = []
        page.on("dialog", lambda dialog: (asked.append(1), dialog.accept("secret")))
        page.goto(address)
        ask(page, QUESTIONS["harbour"])
        page.locator(".title").first.click()
        page.wait_for_selector("#text mark")
        page.keyboard.press("Escape")
        # A link could not bring the key.
        with context.expect_page() as other:
            page.locator(".file a").first.click()
        other.value.wait_for_url(re.compile("^blob:"))
        assert ANSWERS["harbour"] in other.value.text_content("body")
        assert len(asked) == 1
        context.close()
