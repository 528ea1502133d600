from __future__ import annotations

from longembed_index.documents.formats.plain import (
    read_json,
    read_json_lines,
    read_markdown,
    read_text,
)
from longembed_index.documents.readers import READERS


def test_markdown_is_unaltered_and_has_the_title_of_its_front_matter() -> None:
    titles = {
        "---\ntitle: Roads\ntags: [a]\n---\n# Heading\n": "Roads",
        "---\ntitle: 'A: B'\n---\n": "A: B",
        "---\ntitle: 2019\n---\n": "2019",
        "---\ntags: [a]\n---\n": "",
        "---\ntitle: [\n---\n": "",
        "---\n- title\n---\n": "",
        "---\ntitle: never closed\n": "",
        "# title: no\n---\ntitle: late\n---\n": "",
    }
    for text, title in titles.items():
        parsed = read_markdown(text.encode())
        assert (parsed.text, parsed.title) == (text, title)


def test_json_is_read_without_its_escapes() -> None:
    data = rb'{"name": "Gr\u00f6\u00dfe", "sizes": [1, {"unit": "m"}, null], "ok": true, '
    data += rb'"a": {"b": "x\ny"}}'
    assert read_json(data).text == "name: Größe\nsizes: 1\nsizes.unit: m\nok: true\na.b: x\ny"
    assert read_json(b'"alone"').text == "alone"


def test_what_is_no_json_is_read_as_it_is() -> None:
    for text in ('{"a": 1,}', "// comment\n{}", "[" * 100_000, "", "1" * 5000):
        assert read_json(text.encode()).text == text
        assert read_json_lines(text.encode()).text == text


def test_json_lines_have_a_paragraph_each() -> None:
    data = '{"id": 1, "text": "one\u2028two"}\n\n{"id": 2, "text": "b"}\n'.encode()
    assert read_json_lines(data).text == "id: 1\ntext: one\u2028two\n\nid: 2\ntext: b"


def test_source_code_is_read_as_it_is() -> None:
    code = "def f(x):\n\treturn x  # ✓\n"
    for suffix in (".py", ".rs", ".sql", ".yaml", ".csv"):
        assert READERS[suffix](code.encode()).text == code


def test_source_code_is_read_in_the_encoding_that_it_declares() -> None:
    for line in (
        "# -*- coding: iso-8859-2 -*-",
        "#!/bin/sh\n# vim: set fileencoding=latin2 :",
        '@charset "iso-8859-2";',
        "\\documentclass{book}\n\\usepackage[latin2]{inputenc}",
    ):
        parsed = read_text(f"{line}\n# Łódź žlutá\n".encode("iso-8859-2"))
        assert "Łódź žlutá" in parsed.text
        assert not parsed.left_out


def test_a_declaration_does_not_spoil_utf_8() -> None:
    text = "# coding: latin-1\n# Größe\n"
    assert read_text(text.encode()).text == text


def test_half_a_character_of_json_is_replaced_and_named() -> None:
    for read in (read_json, read_json_lines):
        parsed = read(b'{"text": "they met \\udc00 at noon \\ud83d\\ude00"}')
        assert parsed.text == "text: they met \ufffd at noon 😀"
        assert [str(part) for part in parsed.left_out] == ["halves of characters (lone surrogates)"]


def test_the_text_behind_a_nul_is_kept() -> None:
    assert read_json(b'{"a": "one \\u0000 two"}').text == "a: one \0 two"


def test_fields_of_front_matter_are_metadata() -> None:
    lines = """
title: Roads
department: legal
year: 2019
date: 2019-05-01
tags: [a, 2]
ok: true
deep: {a: {b: 1}}
ratio: .nan
nothing:
"""
    metadata = {
        "department": "legal",
        "year": 2019,
        "date": "2019-05-01",
        "tags": ["a", 2],
        "ok": True,
    }
    assert read_markdown(f"---{lines}---\n# Text\n".encode()).metadata == metadata


def test_front_matter_that_unfolds_is_read_at_once() -> None:
    levels = "\n".join(f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 9)}]" for n in range(1, 30))
    parsed = read_markdown(f"---\nl0: &l0 [a]\n{levels}\n---\n".encode())
    assert parsed.metadata == {"l0": ["a"]}
