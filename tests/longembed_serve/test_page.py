"""The page in a real browser."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from integrations.answering import ANSWERS, QUESTIONS

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


@pytest.fixture
def page(browser, server):
    context = browser.new_context(viewport={"width": 1000, "height": 800})
    one = context.new_page()
    errors: list[str] = []
    one.on("pageerror", lambda error: errors.append(str(error)))
    one.on(
        "console",
        # That a request was refused is said by the browser, too, and shown on the page.
        lambda message: (
            errors.append(message.text)
            if message.type == "error" and "400" not in message.text
            else None
        ),
    )
    one.goto(server[0])
    yield one
    assert errors == []
    context.close()


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
    assert best.locator("mark").text_content() == ANSWERS["harbour"]
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
    assert page.locator("#text mark").first.text_content() == ANSWERS["orchard"]
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


def test_narrow_screens_and_dark_ones(browser, server) -> None:
    context = browser.new_context(viewport={"width": 340, "height": 640}, color_scheme="dark")
    page = context.new_page()
    page.goto(server[0])
    ask(page, QUESTIONS["harbour"])
    assert page.evaluate("document.documentElement.scrollWidth") <= 340
    back = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert back == "rgb(22, 24, 27)"
    picture(page, "narrow")
    context.close()


@pytest.mark.slow
def test_a_key_is_asked_for_once(browser, serve) -> None:
    with serve(key="secret") as (address, _):
        context = browser.new_context()
        page = context.new_page()
        asked = []
        page.on("dialog", lambda dialog: (asked.append(1), dialog.accept("secret")))
        page.goto(address)
        ask(page, QUESTIONS["harbour"])
        page.locator(".title").first.click()
        page.wait_for_selector("#text mark")
        assert len(asked) == 1
        context.close()
