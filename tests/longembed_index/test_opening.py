from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from longembed_index import opening
from longembed_index.errors import StoreError
from longembed_index.memory import MemoryStore
from longembed_index.opening import kinds, open_store, read_provenance
from longembed_index.testing import record
from longembed_st.errors import ConfigError


class MemoryFolders:
    """Stores that are marked by a file and live in memory."""

    def __init__(self, marker: str) -> None:
        self.marker = marker
        self.stores: dict[tuple[Path, str], MemoryStore] = {}

    def recognises(self, directory):
        return (directory / self.marker).exists()

    def read_provenance(self, directory, collection):
        found = self.stores.get((directory, collection))
        return None if found is None else found.provenance

    @contextmanager
    def open(self, directory, collection, create):
        if create is not None and (directory, collection) not in self.stores:
            (directory / self.marker).touch()
            self.stores[directory, collection] = MemoryStore(create)
        yield self.stores[directory, collection]


@pytest.fixture(autouse=True)
def installed(monkeypatch) -> dict[str, MemoryFolders]:
    """Two kinds, one of them the default."""
    known = {"chroma": MemoryFolders("usual"), "other": MemoryFolders("other")}
    entries = [
        (name, f"store kind {name!r}", lambda kind=kind: kind) for name, kind in known.items()
    ]
    monkeypatch.setattr(opening, "load_entry_points", lambda group, kind: iter(entries))
    return known


def test_a_new_store_is_of_the_default_kind_and_found_again(installed, model, tmp_path) -> None:
    assert read_provenance(tmp_path) is None
    with open_store(tmp_path, model, write=True) as store:
        store.write([record("a")])
    assert installed["chroma"].recognises(tmp_path)
    assert read_provenance(tmp_path) == model.provenance
    with open_store(tmp_path, model) as store:
        assert len(store) == 1


def test_a_new_store_is_of_the_kind_that_is_named(installed, model, tmp_path) -> None:
    with open_store(tmp_path, model, kind="other", write=True):
        pass
    assert installed["other"].recognises(tmp_path)
    # The folder says which kind it is.
    with open_store(tmp_path, model) as store:
        assert store.provenance == model.provenance
    with (
        pytest.raises(ConfigError, match="is of kind 'other', not 'chroma'"),
        open_store(tmp_path, model, kind="chroma"),
    ):
        pass


def test_a_kind_that_is_not_installed_is_named(model, tmp_path) -> None:
    with (
        pytest.raises(ConfigError, match="no store kind 'disk'; installed: chroma, other"),
        open_store(tmp_path, model, kind="disk", write=True),
    ):
        pass


def test_collections_are_opened_by_name(model, tmp_path) -> None:
    with open_store(tmp_path, model, collection="papers", write=True):
        pass
    assert read_provenance(tmp_path) is None
    assert read_provenance(tmp_path, "papers") == model.provenance


def test_a_folder_that_is_not_a_store_is_left_as_it_is(model, tmp_path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(StoreError, match=r"not a store: .* \(chroma, other\)"):
        read_provenance(tmp_path)
    for write in (True, False):
        with (
            pytest.raises(StoreError, match="not a store"),
            open_store(tmp_path, model, write=write),
        ):
            pass
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_file_is_not_a_store(tmp_path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(StoreError, match="is a file"):
        read_provenance(tmp_path / "file")


def test_a_place_that_cannot_be_written_is_an_error(model, tmp_path) -> None:
    (tmp_path / "file").write_text("x")
    with (
        pytest.raises(StoreError, match="cannot write to"),
        open_store(tmp_path / "file" / "store", model, write=True),
    ):
        pass


@pytest.mark.parametrize("write", [True, False])
def test_without_a_model_nothing_is_created(model, tmp_path, write) -> None:
    for directory in (tmp_path, tmp_path / "new"):
        with pytest.raises(StoreError, match="no store"), open_store(directory, write=write):
            pass
    with pytest.raises(StoreError, match="no store"), open_store(tmp_path, model):
        pass
    assert list(tmp_path.iterdir()) == []


def test_other_vectors_are_refused(model, fake_model, tmp_path) -> None:
    with open_store(tmp_path, model, write=True):
        pass
    for write in (True, False):
        with (
            pytest.raises(ConfigError, match="the store holds vectors that were made differently"),
            open_store(tmp_path, fake_model("two"), write=write),
        ):
            pass


def test_a_model_that_was_moved_is_remembered_by_its_new_name(model, fake_model, tmp_path) -> None:
    with open_store(tmp_path, model, write=True):
        pass
    moved = fake_model()
    settings = moved.provenance.settings.model_copy(update={"model_name": "moved/here"})
    moved.provenance = type(moved.provenance)(settings, moved.provenance.fingerprint)
    with open_store(tmp_path, moved):
        pass
    assert read_provenance(tmp_path) == moved.provenance


def test_a_second_writer_is_refused_and_readers_are_not(model, tmp_path) -> None:
    with open_store(tmp_path, model, write=True) as store:
        store.write([record("a")])
        with (
            pytest.raises(StoreError, match=r"another process is writing .* --wait SECONDS"),
            open_store(tmp_path, model, write=True),
        ):
            pass
        with open_store(tmp_path, model) as reader:
            assert len(reader) == 1
    with open_store(tmp_path, model, write=True) as store:
        assert len(store) == 1


def test_a_second_writer_waits_if_told(model, tmp_path) -> None:
    held, released = threading.Event(), threading.Event()

    def hold() -> None:
        with open_store(tmp_path, model, write=True):
            held.set()
            released.wait(20)

    with ThreadPoolExecutor() as pool:
        first = pool.submit(hold)
        assert held.wait(20)
        with (
            pytest.raises(StoreError, match="--wait"),
            open_store(tmp_path, model, write=True, wait=0.2),
        ):
            pass
        threading.Timer(0.3, released.set).start()
        with open_store(tmp_path, model, write=True, wait=20):
            assert released.is_set()
        first.result()


@pytest.mark.parametrize("named", [object, dict])
def test_an_entry_point_that_names_something_else_is_an_error(monkeypatch, named) -> None:
    broken = [("odd", "store kind 'odd' (some_package:Thing)", named)]
    monkeypatch.setattr(opening, "load_entry_points", lambda group, kind: iter(broken))
    with pytest.raises(ConfigError, match=r"'odd' \(some_package:Thing\) is no .*StoreKind"):
        kinds()


def test_a_broken_entry_point_is_named(monkeypatch, tmp_path) -> None:
    monkeypatch.undo()
    package = tmp_path / "site"
    record_folder = package / "broken-1.0.dist-info"
    record_folder.mkdir(parents=True)
    (record_folder / "METADATA").write_text("Metadata-Version: 2.1\nName: broken\nVersion: 1.0\n")
    entry = "[longembed_st.stores]\nbroken = no_such_module:Folders\n"
    (record_folder / "entry_points.txt").write_text(entry)
    monkeypatch.syspath_prepend(str(package))
    with pytest.raises(ConfigError, match=r"store kind 'broken' \(no_such_module:Folders\) cannot"):
        read_provenance(tmp_path / "store")
