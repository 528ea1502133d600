from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from faulty import ANYTHING, Unwell

from longembed_index.sources import emptied, find_files, is_gone, parsed_of
from longembed_st.base.texts import escaped
from longembed_st.errors import InputError
from longembed_st.extras import MissingExtraError


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "docs"
    for name in ("b.md", "a.txt", "sub/LICENSE", "sub/deep/c.HTML", "code.class", "data.bin"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(name)
    for name in (".hidden.txt", ".git/config.txt"):
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_text(name)
    return root


def names(found, root: Path) -> list[str]:
    return [str(file.path.relative_to(root)) for file in found.files]


def test_folders_are_searched_in_a_fixed_order_without_hidden_files(tree) -> None:
    found = find_files([tree])
    assert names(found, tree) == ["a.txt", "b.md", "sub/LICENSE", "sub/deep/c.HTML"]
    assert [path.name for path in found.skipped] == ["code.class", "data.bin"]
    assert found.unreadable == []


def test_a_file_that_is_named_is_taken_whatever_its_type(tree) -> None:
    assert names(find_files([tree / "code.class", tree / ".hidden.txt"]), tree) == [
        ".hidden.txt",
        "code.class",
    ]


def test_overlapping_paths_and_links_give_each_file_once(tree, monkeypatch) -> None:
    (tree / "link.txt").symlink_to(tree / "a.txt")
    monkeypatch.chdir(tree)
    found = find_files([tree, Path("."), tree / "a.txt", tree / "sub"])
    assert names(found, tree) == ["a.txt", "b.md", "sub/LICENSE", "sub/deep/c.HTML"]


def test_loops_and_broken_links_do_not_stop_the_search(tree) -> None:
    (tree / "loop").symlink_to(tree)
    (tree / "gone.txt").symlink_to(tree / "nowhere")
    (tree / "self.txt").symlink_to(tree / "self.txt")
    found = find_files([tree])
    assert len(found.files) == 4
    assert sorted(Path(name).name for name, _ in found.unreadable) == ["gone.txt", "self.txt"]


def test_pipes_are_not_opened(tree) -> None:
    os.mkfifo(tree / "pipe.txt")
    found = find_files([tree, tree / "pipe.txt"])
    assert len(found.files) == 4
    assert "pipe.txt" in [path.name for path in found.skipped]


def test_the_store_itself_is_left_out(tree) -> None:
    (tree / "store").mkdir()
    (tree / "store" / "notes.txt").write_text("x")
    assert len(find_files([tree], exclude=tree / "store").files) == 4


def test_a_path_that_does_not_exist_is_an_error(tree) -> None:
    with pytest.raises(InputError, match=r"nowhere does not exist"):
        find_files([tree, tree / "nowhere"])


def test_a_folder_that_cannot_be_listed_is_reported(tree, monkeypatch) -> None:
    listed = os.scandir

    def scandir(path):
        if Path(path).name == "sub":
            raise PermissionError(13, "Permission denied")
        return listed(path)

    monkeypatch.setattr(os, "scandir", scandir)
    found = find_files([tree])
    assert names(found, tree) == ["a.txt", "b.md"]
    assert found.unreadable == [(str(tree / "sub"), "cannot be listed: Permission denied")]


def test_a_file_that_vanished_is_an_error_of_its_own(tree) -> None:
    file = find_files([tree / "a.txt"]).files[0]
    file.path.unlink()
    with pytest.raises(InputError, match="cannot be read: No such file"):
        file.content()


def test_names_of_undecodable_bytes_can_be_printed() -> None:
    assert escaped(os.fsdecode(b"caf\xe9.txt")).encode("utf-8") == b"caf\\udce9.txt"


def test_only_what_was_deleted_from_these_places_is_gone(tmp_path, monkeypatch) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "here.txt").write_text("x")
    folder = [tmp_path / "a"]
    assert is_gone(str(tmp_path / "a" / "deleted.txt"), folder)
    assert is_gone(str(tmp_path / "a" / "here.txt" / "was-a-folder.txt"), folder)
    assert is_gone(str(tmp_path / "a" / "deleted.txt"), [tmp_path / "a" / "deleted.txt"])
    assert not is_gone(str(tmp_path / "a" / "here.txt"), folder)
    assert not is_gone(str(tmp_path / "ab" / "elsewhere.txt"), folder)

    out_of_reach = str(tmp_path / "a" / "out-of-reach.txt")
    stat = os.stat

    def refuse(path, **options):
        if path == out_of_reach:
            raise PermissionError(13, "Permission denied")
        return stat(path, **options)

    with monkeypatch.context() as patch:
        patch.setattr(os, "stat", refuse)
        assert not is_gone(out_of_reach, folder)
    assert is_gone(out_of_reach, folder)


def test_folders_thousands_deep_are_looked_through(tmp_path) -> None:
    (tmp_path / "a.txt").write_text("x")
    (tmp_path / "z.txt").write_text("x")
    here = os.open(tmp_path, os.O_RDONLY)
    for _ in range(3000):
        os.mkdir("m", dir_fd=here)
        below = os.open("m", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(here)
    found = find_files([tmp_path])
    assert names(found, tmp_path) == ["a.txt", "z.txt"]
    # Beyond some thousand letters, the system takes no path.
    ((_, reason),) = found.unreadable
    assert reason == "cannot be listed: File name too long"
    subprocess.run(["rm", "-r", str(tmp_path / "m")], check=True)


def test_a_pipe_in_the_place_of_a_file_is_not_waited_for(tree) -> None:
    (file, *_) = find_files([tree]).files
    file.path.unlink()
    os.mkfifo(file.path)
    with pytest.raises(InputError, match="no longer a regular file"):
        file.content()


def test_a_folder_of_which_nothing_is_left_is_noticed(tree, tmp_path) -> None:
    stored = [str(tree / "a.txt"), str(tree / "sub" / "c.txt"), str(tmp_path / "other" / "d.txt")]
    (tmp_path / "drive").mkdir()
    stored += [str(tmp_path / "drive" / name) for name in ("e.txt", "f.txt")]
    roots = [tree, tmp_path / "drive", tree / "a.txt"]
    assert emptied(roots, find_files(roots), stored) == [(tmp_path / "drive", 2)]
    (tmp_path / "drive" / "new.txt").write_text("x")
    assert emptied(roots, find_files(roots), stored) == []


@pytest.mark.parametrize("error", ANYTHING, ids=lambda error: type(error).__name__)
def test_whatever_a_reader_raises_is_a_failure_of_its_document(error) -> None:
    with pytest.raises(InputError, match=f"cannot be read: {type(error).__name__}") as caught:
        parsed_of(Unwell(error), b"content")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "error", [InputError("is empty"), KeyboardInterrupt(), MissingExtraError()]
)
def test_what_is_meant_to_go_further_does(error) -> None:
    with pytest.raises(type(error)) as caught:
        parsed_of(Unwell(error), b"content")
    assert caught.value is error
