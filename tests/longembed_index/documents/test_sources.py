from __future__ import annotations

import os
from pathlib import Path

import pytest
from faulty import Unwell

from longembed_index.document import Document
from longembed_index.documents.files import find_files
from longembed_index.documents.sources import (
    FileSource,
    TextSource,
    json_metadata,
    parsed_of,
    readable_of,
)
from longembed_st.errors import InputError
from longembed_st.extras import MissingExtraError


@pytest.fixture
def file(tmp_path: Path) -> FileSource:
    (tmp_path / "a.txt").write_text("some text")
    return find_files([tmp_path]).files[0]


def test_a_file_is_a_document(file) -> None:
    assert (file.id, file.title, file.size) == (str(file.path), "a.txt", 9)
    assert file.content() == b"some text"
    assert readable_of(file, file.content()).text == "some text"


def test_a_file_that_vanished_is_an_error_of_its_own(file) -> None:
    file.path.unlink()
    with pytest.raises(InputError, match="cannot be read: No such file"):
        file.content()


def test_a_pipe_in_the_place_of_a_file_is_not_waited_for(file) -> None:
    file.path.unlink()
    os.mkfifo(file.path)
    with pytest.raises(InputError, match="no longer a regular file"):
        file.content()


def test_what_is_meant_to_go_further_does() -> None:
    for error in (InputError("is empty"), KeyboardInterrupt(), MissingExtraError()):
        with pytest.raises(type(error)) as caught:
            parsed_of(Unwell(error), b"content")
        assert caught.value is error


def test_a_change_of_text_title_or_metadata_is_a_change() -> None:
    variants = [
        Document("a", "text", {"year": 2019}),
        Document("a", "text!", {"year": 2019}),
        Document("a", "text", {"year": "2019"}),
        Document("a", "text", {"year": 2019}, "a title"),
        Document("a", "bad \ud800 text"),
    ]
    assert len({TextSource(document).content() for document in variants}) == len(variants)
    reordered = [Document("a", "", {"b": 1, "c": 2}), Document("a", "", {"c": 2, "b": 1})]
    assert len({TextSource(document).content() for document in reordered}) == 1


def test_metadata_of_any_json_type_is_kept_as_it_is() -> None:
    metadata = {"n": None, "t": True, "f": 1.5, "s": "\ud800\0", "l": [1, ["a"]], "o": {"k": []}}
    assert json_metadata(metadata) == metadata


def test_metadata_that_json_does_not_keep_is_refused() -> None:
    for value in (float("nan"), float("inf"), (1, 2), {1: "a"}, {"a", "b"}, b"bytes", object()):
        with pytest.raises(InputError, match=r"metadata that is not JSON: 'key': .*Use strings"):
            TextSource(Document("a", "text", {"key": value})).content()
