"""What may stand after --store."""

from __future__ import annotations

from pathlib import Path

import pytest

from longembed_index.addresses import Address, address_of
from longembed_index.opening import kind_of
from longembed_index.store import REMOTE
from longembed_index.testing import MADE_BY
from longembed_st.errors import ConfigError


@pytest.mark.parametrize("text", ["store", "/a/b", "a:b/c", "C:\\store", "./lancedb:x"])
def test_a_folder_is_itself(text) -> None:
    assert address_of(text) == Address(Path(text))


def test_a_kind_goes_before_the_folder(tmp_path) -> None:
    assert address_of(f"lancedb:{tmp_path}") == Address(tmp_path, "lancedb")
    assert address_of(f"chroma:{tmp_path}/new") == Address(tmp_path / "new", "chroma")
    assert not (tmp_path / "new").exists()


def test_the_kind_must_be_that_of_the_store(tmp_path) -> None:
    with kind_of(tmp_path, "lancedb").open(tmp_path, "documents", MADE_BY):
        pass
    with pytest.raises(ConfigError, match="of kind 'lancedb', not 'chroma'"):
        address_of(f"chroma:{tmp_path}")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("lancedb:", "names no folder"),
        ("s3://bucket/store", "lancedb:s3://bucket/store"),
        ("chroma:s3://bucket/store", "none can be at s3://bucket/store"),
        ("qdrant:s3://bucket", "is no folder"),
    ],
)
def test_what_is_no_place_is_told_with_the_way_out(text, reason) -> None:
    with pytest.raises(ConfigError) as caught:
        address_of(text)
    assert reason in str(caught.value)


def test_a_folder_of_the_cache_stands_for_an_object_store(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("LONGEMBED_CACHE", str(tmp_path))
    found = address_of("lancedb:s3://bucket/store/")
    assert found.kind == "lancedb"
    assert found.directory.is_relative_to(tmp_path)
    assert (found.directory / REMOTE).read_text() == "s3://bucket/store\n"
    assert address_of("lancedb:s3://bucket/store") == found
    assert address_of("lancedb:s3://bucket/other").directory != found.directory
    assert kind_of(found.directory).uri(found.directory) == "s3://bucket/store"
