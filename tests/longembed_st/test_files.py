"""Files and folders that are either whole or not there."""

from __future__ import annotations

from pathlib import Path

import pytest

import longembed_st as le
from longembed_st.files import atomic_folder, refuse_existing, write_atomically, write_text


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_is_written_and_replaced_whole(tmp_path: Path) -> None:
    file = tmp_path / "a" / "b" / "file.txt"
    write_text(file, "first, of more words")
    write_text(file, "zweite: ü")
    assert file.read_bytes() == "zweite: ü".encode()
    assert names(file.parent) == ["file.txt"]


def test_a_file_whose_writing_fails_stays_as_it_was(tmp_path: Path) -> None:
    file = tmp_path / "file.txt"
    write_text(file, "before")

    def half(binary) -> None:
        binary.write(b"half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_atomically(file, half)
    assert file.read_text() == "before"
    assert names(tmp_path) == ["file.txt"]


def test_a_folder_appears_when_it_is_whole(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for folder in (tmp_path / "empty", tmp_path / "new" / "folder"):
        with atomic_folder(folder) as unfinished:
            (unfinished / "one").write_text("1")
            assert not folder.exists() or names(folder) == []
        assert names(folder) == ["one"]
    assert names(tmp_path) == ["empty", "new"]
    assert names(tmp_path / "new") == ["folder"]


def test_a_folder_that_fails_half_way_leaves_nothing(tmp_path: Path) -> None:
    def half(folder: Path) -> None:
        with atomic_folder(folder) as unfinished:
            (unfinished / "one").write_text("1")
            raise KeyboardInterrupt

    (tmp_path / "empty").mkdir()
    for name in ("empty", "new"):
        with pytest.raises(KeyboardInterrupt):
            half(tmp_path / name)
    assert names(tmp_path) == ["empty"]
    assert names(tmp_path / "empty") == []


def test_an_empty_folder_is_filled_where_none_is_renamed_over_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on Windows."""
    rename = Path.rename

    def rename_as_on_windows(self: Path, target: Path) -> Path:
        if Path(target).exists():
            raise FileExistsError(target)
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", rename_as_on_windows)
    monkeypatch.setattr(Path, "replace", rename_as_on_windows)
    folder = tmp_path / "folder"
    folder.mkdir()
    with atomic_folder(folder) as unfinished:
        (unfinished / "one").write_text("1")
    assert names(folder) == ["one"]


def test_a_folder_that_holds_something_and_a_file_are_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    for taken in (tmp_path, tmp_path / "file"):
        with pytest.raises(le.ConfigError, match=taken.name):
            refuse_existing(taken)
        with pytest.raises(le.ConfigError, match=taken.name), atomic_folder(taken):
            pass
    assert names(tmp_path) == ["file"]
    refuse_existing(tmp_path / "new")
