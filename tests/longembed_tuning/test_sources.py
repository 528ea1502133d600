"""Reading pairs and documents, and refusing what cannot be trained on."""

from __future__ import annotations

import gzip
import json
import sys
from types import SimpleNamespace

import pyarrow
import pytest
from office_files import make_docx, make_pdf
from pyarrow import parquet

import longembed_st as le
from longembed_index.documents.parsing import DEFAULT_PARSER
from longembed_st.extras import MissingExtraError
from longembed_tuning.sources import Document, Example, read_source

LONG = "a document of more than one sentence"


def jsonl(folder, *rows):
    file = folder / "rows.jsonl"
    file.write_text("\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows))
    return str(file)


def test_pairs_are_read_from_jsonl_plain_and_compressed(tmp_path):
    rows = [{"query": " q ", "document": LONG}, {"query": "r", "document": LONG + "!"}]
    expected = [Example("q", LONG), Example("r", LONG + "!")]
    assert read_source(jsonl(tmp_path, *rows)) == expected
    packed = tmp_path / "rows.jsonl.gz"
    packed.write_bytes(gzip.compress("\n".join(map(json.dumps, rows)).encode()))
    assert read_source(str(packed)) == expected


def test_pairs_are_read_from_parquet(tmp_path):
    file = tmp_path / "rows.parquet"
    columns = {"query": ["q"], "document": [LONG], "negatives": [["n one", "n two"]]}
    parquet.write_table(pyarrow.table(columns), file)
    assert read_source(str(file)) == [Example("q", LONG, ("n one", "n two"))]


def test_negatives_come_in_the_usual_columns(tmp_path):
    for columns, negatives in (
        ({"negatives": ["x", "y"]}, ("x", "y")),
        ({"negatives": "x"}, ("x",)),
        ({"negative": "x"}, ("x",)),
        ({"negative_1": "x", "negative_2": "y"}, ("x", "y")),
    ):
        source = jsonl(tmp_path, {"anchor": "q", "positive": LONG, **columns})
        assert read_source(source) == [Example("q", LONG, negatives)]


def test_documents_are_read_from_a_folder_and_from_a_text_column(tmp_path):
    folder = tmp_path / "documents"
    (folder / "deep").mkdir(parents=True)
    (folder / "deep" / "b.md").write_text("second\n")
    (folder / "a.txt").write_text("first")
    (folder / "c.png").write_bytes(b"\xff")
    assert read_source(str(folder)) == [Document("a.txt", "first"), Document("deep/b.md", "second")]
    (folder / "a.txt").write_bytes(b"\0\1")
    with pytest.raises(le.InputError, match=r"a\.txt is binary"):
        read_source(str(folder))
    (document,) = read_source(jsonl(tmp_path, {"text": "alone", "id": 3}))
    assert document.text == "alone"


def test_documents_may_be_pdf_and_word_files(tmp_path, monkeypatch):
    (tmp_path / "a.pdf").write_bytes(make_pdf(LONG, "in two lines"))
    (tmp_path / "b.docx").write_bytes(make_docx(LONG))
    (tmp_path / "c.txt").write_text(LONG)
    pdf, docx, text = read_source(str(tmp_path))
    assert pdf == Document("a.pdf", f"{LONG}\nin two lines")
    assert docx == Document("b.docx", LONG)
    # They are read in another process, which has them already.
    DEFAULT_PARSER.close()
    missing = tmp_path / ".missing"
    missing.mkdir()
    (missing / "pypdfium2.py").write_text("raise ModuleNotFoundError(name='pypdfium2')")
    monkeypatch.syspath_prepend(missing)
    with pytest.raises(MissingExtraError, match=r"pypdfium2 is not installed.*pip install"):
        read_source(str(tmp_path))
    DEFAULT_PARSER.close()
    (tmp_path / "a.pdf").unlink()
    (tmp_path / "b.docx").unlink()
    assert read_source(str(tmp_path)) == [text]


def test_other_names_are_data_sets_of_the_hub(monkeypatch):
    asked = []

    def load_dataset(*arguments, split):
        asked.append((*arguments, split))
        return [{"question": "q", "answer": LONG}]

    monkeypatch.setitem(sys.modules, "datasets", SimpleNamespace(load_dataset=load_dataset))
    assert read_source("owner/name:part") == [Example("q", LONG)]
    assert read_source("owner/name") == [Example("q", LONG)]
    assert asked == [("owner/name", "part", "train"), ("owner/name", None, "train")]


def test_a_data_set_that_cannot_be_loaded_is_named(monkeypatch):
    def load_dataset(*_, **__):
        raise ConnectionError("no network\nand much more")

    monkeypatch.setitem(sys.modules, "datasets", SimpleNamespace(load_dataset=load_dataset))
    with pytest.raises(le.ConfigError, match=r"'owner/name' is not a file.*no network") as caught:
        read_source("owner/name")
    assert "\n" not in str(caught.value)


GOOD = {"query": "q", "document": LONG}


def test_a_bad_row_is_named(tmp_path):
    for row, message in (
        ({"query": "q", "document": " \n"}, r"line 2: 'document' is empty"),
        ({"query": "q", "document": "short"}, r"line 2: 'document' is shorter than a sentence"),
        ({"query": "q"}, r"line 2 has no column 'document'"),
        ({"query": ["q"], "document": LONG}, r"line 2: 'query' is a list"),
        ({**GOOD, "negatives": ["x"]}, r"line 2 has 1 negatives, the first row has 0"),
        ({**GOOD, "negatives": [""]}, r"line 2: 'negatives\[0\]' is empty"),
        ("{not json", r"line 2: no valid JSON"),
    ):
        with pytest.raises(le.InputError, match=message):
            read_source(jsonl(tmp_path, GOOD, row))


def test_wrong_columns_are_listed_with_those_that_are_needed(tmp_path):
    with pytest.raises(le.ConfigError, match=r"columns title, body: name them query, document"):
        read_source(jsonl(tmp_path, {"title": "t", "body": "b"}))


def test_sources_that_are_not_there_are_refused(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty.jsonl").write_text("\n")
    (tmp_path / "table.xlsx").write_bytes(b"PK")
    (tmp_path / "broken.parquet").write_bytes(b"PAR1")
    (tmp_path / "broken.jsonl.gz").write_bytes(b"no gzip")
    for name, message in {
        "missing.jsonl": "does not exist",
        "empty": "no document with a text",
        "empty.jsonl": "is empty",
        "table.xlsx": "neither a folder",
        "broken.parquet": "cannot be read as parquet",
        "broken.jsonl.gz": "cannot be read",
    }.items():
        with pytest.raises(le.LongEmbedError, match=message):
            read_source(str(tmp_path / name))
