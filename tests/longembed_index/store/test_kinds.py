from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from longembed_index.errors import StoreError
from longembed_index.store import kinds as kinds_module
from longembed_index.store.conformance import INFO, contents, expected, record
from longembed_index.store.kinds import (
    REMOTE,
    Address,
    find_kind,
    kinds,
    open_store,
    parse_address,
    read_info,
    remote_url,
    writer_lock,
)
from longembed_index.store.memory import MemoryStore
from longembed_index.store.sqlite import FILE_NAME, SqliteStores
from longembed_st.errors import ConfigError


class MarkedFolders:
    """Stores that are marked by a file and live in memory."""

    def __init__(self, marker: str) -> None:
        self.marker = marker
        self.stores: dict[tuple[Path, str], MemoryStore] = {}

    def recognises(self, directory):
        return (directory / self.marker).exists()

    def read_info(self, directory, collection):
        store = self.stores.get((directory, collection))
        return None if store is None else store.info

    def open(self, directory, collection, *, create, write):
        if create is not None and (directory, collection) not in self.stores:
            (directory / self.marker).touch()
            self.stores[directory, collection] = MemoryStore(create)
        return self.stores[directory, collection]

    def address(self, directory):
        return str(directory)

    def size(self, directory):
        return 0


class CloudFolders(MarkedFolders):
    def accepts_url(self, url):
        return url.startswith("cloud://")


@pytest.fixture(autouse=True)
def installed(monkeypatch) -> dict[str, object]:
    known = {
        "cloud": CloudFolders("cloud.marker"),
        "sqlite": SqliteStores(),
        "twin": MarkedFolders("twin.marker"),
    }
    entries = [
        (name, f"store kind {name!r}", lambda kind=kind: kind) for name, kind in known.items()
    ]
    monkeypatch.setattr(kinds_module, "load_entry_points", lambda group, kind: iter(entries))
    return known


@pytest.fixture
def cache(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("LONGEMBED_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


# Opening.


def test_a_new_store_is_of_the_default_kind_and_found_again(tmp_path) -> None:
    folder = tmp_path / "new" / "store"
    assert read_info(folder) is None
    store = open_store(folder, create=INFO, write=True)
    store.write([record("a")])
    store.close()
    assert isinstance(find_kind(folder), SqliteStores)
    assert read_info(folder) == INFO
    assert contents(open_store(folder)) == expected(record("a"))


def test_a_new_store_is_of_the_kind_that_is_named(installed, tmp_path) -> None:
    open_store(tmp_path, kind="twin", create=INFO, write=True)
    # The folder says which kind it is.
    assert find_kind(tmp_path) is installed["twin"]
    assert open_store(tmp_path).info == INFO
    with pytest.raises(ConfigError, match="is of kind 'twin', not 'sqlite'"):
        open_store(tmp_path, kind="sqlite")
    with pytest.raises(
        ConfigError, match=r"no store kind 'disk'\. Installed kinds: cloud, sqlite, twin"
    ):
        open_store(tmp_path / "new", kind="disk", create=INFO)


def test_a_kind_with_something_beside_our_file_is_asked_first(installed, tmp_path) -> None:
    (tmp_path / FILE_NAME).touch()
    (tmp_path / "twin.marker").touch()
    assert find_kind(tmp_path) is installed["twin"]


def test_nothing_is_created_unless_asked(tmp_path) -> None:
    for folder in (tmp_path, tmp_path / "new"):
        for write in (True, False):
            with pytest.raises(StoreError, match="there is no store in"):
                open_store(folder, write=write)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_not_a_store_is_left_as_it_is(tmp_path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    for use in (read_info, open_store, lambda folder: open_store(folder, create=INFO, write=True)):
        with pytest.raises(StoreError, match=r"is not a store: .* \(cloud, sqlite, twin\)"):
            use(tmp_path)
    with pytest.raises(StoreError, match=r"thesis\.txt is a file, not the folder"):
        read_info(tmp_path / "thesis.txt")
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_files_of_ours_may_be_there_first(tmp_path) -> None:
    for name in (
        "longembed.lock",
        "whitening-0af3.safetensors",
        "longembed.words.documents.sqlite3",
    ):
        (tmp_path / name).touch()
    open_store(tmp_path, create=INFO, write=True).close()
    assert read_info(tmp_path) == INFO


def test_a_store_of_version_0_2_is_to_be_converted(tmp_path) -> None:
    for number, names in enumerate(
        (
            ("chroma.sqlite3", "longembed.words.documents.sqlite3"),
            ("documents.lance", "longembed.spans.sqlite3"),
            ("twin.marker", "longembed.search.documents.json"),
        )
    ):
        folder = tmp_path / str(number)
        folder.mkdir()
        for name in names:
            (folder / name).touch()
        with pytest.raises(StoreError, match=r"version 0\.2. Convert it with `longembed convert"):
            open_store(folder, create=INFO, write=True)
        (folder / FILE_NAME).touch()
        find_kind(folder)


def test_an_entry_point_that_names_something_else_is_an_error(monkeypatch) -> None:
    broken = [("odd", "store kind 'odd' (some_package:Thing)", object)]
    monkeypatch.setattr(kinds_module, "load_entry_points", lambda group, kind: iter(broken))
    with pytest.raises(ConfigError, match=r"'odd' \(some_package:Thing\) is not a .*StoreKind"):
        kinds()


# Addresses.


def test_a_folder_is_itself() -> None:
    for text in ("store", "/a/b", "a:b/c", "C:\\store", "./twin:x"):
        assert parse_address(text) == Address(Path(text))


def test_a_kind_goes_before_the_folder(tmp_path) -> None:
    for address in (parse_address(f"twin:{tmp_path}"), parse_address(str(tmp_path), "twin")):
        assert address == Address(tmp_path, "twin")
    assert parse_address(f"twin:{tmp_path}/new", "twin") == Address(tmp_path / "new", "twin")
    assert list(tmp_path.iterdir()) == []
    open_store(tmp_path, create=INFO, write=True).close()
    with pytest.raises(ConfigError, match="of kind 'sqlite', not 'twin'"):
        parse_address(f"twin:{tmp_path}")


def test_a_wrong_address_is_explained() -> None:
    for text, kind, reason in (
        ("twin:", None, "does not name a folder"),
        ("twin:folder", "cloud", "is of kind 'twin', not 'cloud'"),
        ("cloud://place", None, "Put the name of the kind before the URL: cloud:cloud://place"),
        ("s3://bucket/store", None, "that can open it: none"),
        ("sqlite:cloud://place", None, "'sqlite' cannot be at cloud://place"),
        ("cloud:s3://bucket", None, "'cloud' cannot be at s3://bucket"),
        ("folder", "disk", "no store kind 'disk'"),
    ):
        with pytest.raises(ConfigError) as caught:
            parse_address(text, kind)
        assert reason in str(caught.value)


def test_a_folder_of_the_cache_stands_for_a_store_elsewhere(cache, installed) -> None:
    address = parse_address("cloud:cloud://place/store/")
    assert address == Address(address.directory, "cloud", "cloud://place/store")
    assert address.directory.is_relative_to(cache)
    assert remote_url(address.directory) == "cloud://place/store"
    assert parse_address("cloud://place/store", "cloud") == address
    assert parse_address("cloud:cloud://place/other").directory != address.directory
    open_store(address.directory, kind="cloud", create=INFO, write=True)
    assert find_kind(address.directory) is installed["cloud"]


def test_a_folder_from_elsewhere_stands_for_nothing(cache, tmp_path) -> None:
    folder = tmp_path / "unpacked"
    folder.mkdir()
    (folder / REMOTE).write_text("cloud://of-a-stranger\n")
    assert remote_url(folder) is None
    with pytest.raises(StoreError, match=r"is not a store.*longembed\.remote counts in the cache"):
        open_store(folder, kind="cloud", create=INFO, write=True)


# The lock of the writer.


@contextmanager
def held(folder: Path) -> Iterator[threading.Event]:
    """Hold the lock in another thread until the event is set, or the block ends."""
    taken, release = threading.Event(), threading.Event()

    def hold() -> None:
        with writer_lock(folder):
            taken.set()
            release.wait()

    thread = threading.Thread(target=hold)
    thread.start()
    taken.wait()
    try:
        yield release
    finally:
        release.set()
        thread.join()


def test_a_second_writer_is_refused(tmp_path) -> None:
    with held(tmp_path):
        message = r"another process is writing to .* wait with --wait SECONDS"
        for wait in (0, 0.3):
            with pytest.raises(StoreError, match=message), writer_lock(tmp_path, wait):
                pass
    with writer_lock(tmp_path):
        pass


def test_a_second_writer_waits_if_told(tmp_path) -> None:
    with held(tmp_path) as release:
        threading.Timer(0.3, release.set).start()
        with writer_lock(tmp_path, wait=600):
            assert release.is_set()


def test_a_place_that_cannot_be_written_is_an_error(tmp_path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="cannot write to"), writer_lock(tmp_path / "file" / "new"):
        pass
