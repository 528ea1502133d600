"""Searches by words alone in German, English, Chinese and Korean: questions whose answer is known.

    git clone --depth 1 -b 3.13 https://github.com/python/python-docs-zh-cn   # and python-docs-ko
    git clone --depth 1 https://github.com/php/doc-de                         # and doc-en, doc-zh
    pip install babel
    python benchmarks/languages.py python-docs-zh-cn doc-zh python-docs-ko doc-de doc-en

The manuals hold questions with answers; PHP's also holds pages of functions, each summed up in a
sentence. The question or the sentence is the query, and what stands under it is the only right
document; program code in DocBook is left out. nDCG@10 in percent, and in brackets the percentage of
queries whose right document is the first:

- as written;
- typed otherwise: the query in capitals of full width, decomposed (NFD), ae for ä, without spaces
  beside Chinese and Korean characters;
- typeset: the documents in lines of 40 characters, with hyphens and soft hyphens in long words.

What this does not show: who wrote the question knew the answer, mostly in English before both were
translated, and shares more words with it than a stranger would. All is about programming, full of
English names. The sets differ, so compare two analyzers on one set, not two languages. The second
and third column are made by rules, in every query and text: more than happens in life, and without
misspellings.
"""

from __future__ import annotations

import argparse
import html
import re
import tempfile
import unicodedata
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from babel.messages.pofile import read_po
from samples import word_index

from longembed_bench.metrics import ndcg_by_query
from longembed_index.lexical.analyzer import guess_language
from longembed_index.search.scores import lexical_scores

Pairs = list[tuple[str, str]]
"""Questions and their answers."""

LONGEST_QUESTION, SHORTEST_ANSWER = 150, 80
LINE = 40
FUNCTIONS = ("array", "datetime", "filesystem", "strings")
UMLAUTS = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "Ä": "Ae", "Ö": "Oe", "Ü": "Ue"})
TO_FULL_WIDTH = {code: code + 0xFEE0 for code in range(ord("!"), ord("~") + 1)}


def python_questions(folder: Path) -> Pairs:
    """Return the questions of a translated manual of Python."""
    pairs: list[tuple[str, list[str]]] = []
    for file in sorted(folder.glob("faq/*.po")):
        answer: list[str] = []
        with file.open("rb") as lines:
            for message in read_po(lines):
                source, translation = str(message.id), str(message.string)
                if not source or translation in ("", source) or "fuzzy" in message.flags:
                    continue
                text = re.sub(r":[\w:]+:`([^`]*)`", r"\1", translation).replace("\\", "")
                if source.endswith("?") and len(source) <= LONGEST_QUESTION:
                    answer = []
                    pairs.append((text, answer))
                else:
                    answer.append(text)
    return [(question, "\n\n".join(answer)) for question, answer in pairs]


def php_questions(folder: Path) -> Pairs:
    """Return the questions of a manual of PHP."""
    sources = (file.read_text("utf-8") for file in sorted(folder.glob("faq/*.xml")))
    return [
        (plain(question), plain(answer))
        for source in sources
        for question, answer in re.findall(
            r"<question>(.*?)</question>.*?<answer>(.*?)</answer>", source, re.S
        )
    ]


def php_functions(folder: Path) -> Pairs:
    """Return the sentences that sum up functions of PHP, and the rest of their pages."""
    pairs = []
    for name in FUNCTIONS:
        for file in sorted(folder.glob(f"reference/{name}/functions/*.xml")):
            page = re.split("<refpurpose>(.*?)</refpurpose>", file.read_text("utf-8"), flags=re.S)
            if len(page) == 3 and "&Alias" not in page[1]:
                pairs.append((plain(page[1]), plain(page[0] + page[2])))
    return pairs


def plain(source: str) -> str:
    """Return the text of a part of a page in DocBook, without code."""
    code = r"<(programlisting|screen|methodsynopsis|example)\b.*?</\1>|<!--.*?-->|<\?.*?\?>"
    text = re.sub(r"<[^>]*>", "", re.sub(code, " ", source, flags=re.S))
    paragraphs = re.split(r"\n\s*\n", re.sub(r"&(\w*)[\w.-]*;", r"\1", html.unescape(text)))
    return "\n\n".join(filter(None, (" ".join(each.split()) for each in paragraphs)))


def typed_otherwise(query: str) -> str:
    """Return a query as another keyboard and other habits give it."""
    wide = r"[\u3000-\u9fff\uac00-\ud7af]"
    query = re.sub(rf"(?<={wide})\s+|\s+(?={wide})", "", query.translate(UMLAUTS))
    return unicodedata.normalize("NFD", query.upper()).translate(TO_FULL_WIDTH)


def typeset(text: str) -> str:
    """Return a text in short lines, with hyphens in long words."""
    text = re.sub(r"([a-zäöüß]{4})(?=[a-zäöüß]{4})", "\\1\xad", text)
    return "\n\n".join("\n".join(broken(each)) for each in text.split("\n\n"))


def broken(paragraph: str) -> Iterator[str]:
    """Yield the lines of a paragraph, broken at spaces, soft hyphens, and wide characters."""
    line = ""
    for piece in re.findall(r"[^\s\xad\u3000-\u9fff]*[\s\xad\u3000-\u9fff]?", paragraph):
        if len(line + piece) > LINE and line:
            yield re.sub("\xad$", "-", line).rstrip()
            line = ""
        line += piece
    yield line


def measured(pairs: Pairs, type_query: Callable[[str], str], set_text: Callable[[str], str]) -> str:
    """Return nDCG@10 in percent, and how often the right document is the first."""
    documents = {f"{n:04}": set_text(answer) for n, (_, answer) in enumerate(pairs)}
    ids, found = list(documents), {}
    with tempfile.TemporaryDirectory() as folder:
        words = word_index(folder, documents, guess_language(documents.values()))
        for document_id, (question, _) in zip(ids, pairs, strict=True):
            scores = words.query(type_query(question)).scores(ids)
            totals = lexical_scores(ids, scores).totals.tolist()
            found[document_id] = dict(zip(ids, totals, strict=True))
    ndcg = ndcg_by_query({key: {key: 1} for key in ids}, found, 10)
    first = [max(row, key=lambda key: row[key]) == key for key, row in found.items()]
    return f"{100 * np.mean(list(ndcg.values())):.1f} ({100 * np.mean(first):.0f})"


def sets_of(folder: Path) -> Iterator[tuple[str, Pairs]]:
    """Yield the sets of the manual in a folder, with their names."""
    if any(folder.glob("faq/*.po")):
        yield f"{folder.name}, questions", python_questions(folder)
    else:
        yield f"{folder.name}, questions", php_questions(folder)
        yield f"{folder.name}, functions", php_functions(folder)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folders", nargs="+", type=Path)
    print("| | documents | as written | typed otherwise | typeset |\n|---|---|---|---|---|")
    for folder in parser.parse_args().folders:
        for name, pairs in sets_of(folder):
            unique = dict(pair for pair in pairs if len(pair[1]) >= SHORTEST_ANSWER)
            kept = list(unique.items())
            print(
                f"| {name} | {len(kept)} | {measured(kept, str, str)} "
                f"| {measured(kept, typed_otherwise, str)} | {measured(kept, str, typeset)} |"
            )


if __name__ == "__main__":
    main()
