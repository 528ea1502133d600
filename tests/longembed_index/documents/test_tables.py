"""Documents as programs have them: tables of three libraries, lines of JSON, mappings."""

from __future__ import annotations

import datetime

import pandas
import polars
import pyarrow
import pyarrow.dataset
import pytest

from longembed_index.document import Document
from longembed_index.documents.tables import items_of, json_lines, to_document
from longembed_st.errors import ConfigError

COLUMNS = {
    "id": [7, 8, 9],
    "text": ["first", "second", None],
    "year": [2019, None, 2021],
    "day": [datetime.date(2019, 5, 1), None, None],
}
DOCUMENTS = [
    Document("7", "first", {"year": 2019, "day": "2019-05-01"}),
    Document("8", "second"),
    Document("9", "", {"year": 2021}),
]
ARROW = pyarrow.table(COLUMNS)


TABLES = [
    pandas.DataFrame(COLUMNS),
    polars.DataFrame(COLUMNS),
    ARROW,
    ARROW.to_batches()[0],
    ARROW.to_reader(max_chunksize=2),
    pyarrow.dataset.dataset(ARROW),
]


def test_tables_of_all_libraries_give_the_same_documents() -> None:
    for table in TABLES:
        assert [to_document(item) for item in items_of(table)] == DOCUMENTS


def test_other_keys_of_a_mapping_are_metadata() -> None:
    mapping = {"id": "a", "text": "t", "title": None, "year": 2019, "metadata": {"kind": "log"}}
    assert to_document(mapping) == Document("a", "t", {"year": 2019, "kind": "log"})


def test_values_of_numpy_and_the_names_of_pandas_for_nothing() -> None:
    frame = pandas.DataFrame(
        {
            "id": ["a"],
            "text": ["t"],
            "when": [pandas.Timestamp("2020-01-02")],
            "never": [pandas.NaT],
            "nothing": pandas.array([None], dtype="Int64"),
            "small": pandas.array([3], dtype="int8"),
            "metadata": [{"year": 2019}],
        }
    )
    (document,) = map(to_document, items_of(frame))
    assert document.metadata == {"year": 2019, "when": "2020-01-02T00:00:00", "small": 3}
    assert type(document.metadata["small"]) is int


def test_other_iterables_are_passed_on_one_by_one() -> None:
    taken = []

    def documents():
        for number in range(3):
            taken.append(number)
            yield Document(str(number), "t")

    first = next(iter(items_of(documents())))
    assert (first, taken) == (Document("0", "t"), [0])


def test_lines_of_json(tmp_path) -> None:
    path = tmp_path / "pages.jsonl"
    path.write_text('{"id": "a", "text": "first", "year": 2019}\n\n{"id": 8, "text": null}\n')
    documents = [to_document(row) for row in json_lines(path)]
    assert documents == [Document("a", "first", {"year": 2019}), Document("8", "")]


REFUSED = [
    ({"id": "a", "txt": "t"}, "has 'id', 'txt'"),
    ({"id": "a"}, "has 'id'"),
    ({"id": "a", "text": 5}, "the text of a document is a str, not a int: 5"),
    ({"id": "a", "text": "t", "metadata": "{}"}, "the metadata .* is a Mapping, not a str"),
    ("text", "longembed_index.Document, or a mapping .* not a builtins.str: 'text'"),
]


def test_what_is_not_a_document_is_refused() -> None:
    for value, reason in REFUSED:
        with pytest.raises(ConfigError, match=reason):
            to_document(value)
        assert to_document({"id": "x/a", "text": "t"}) == Document("x/a", "t", {}, "a")
