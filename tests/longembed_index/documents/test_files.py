from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from longembed_index.documents.files import (
    emptied_folders,
    find_files,
    is_missing,
    is_missing_below,
)
from longembed_st.errors import InputError


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
    assert len(find_files([tree], tree / "store").files) == 4


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


def test_only_what_was_deleted_from_these_places_is_gone(tmp_path, monkeypatch) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "here.txt").write_text("x")
    folder = [tmp_path / "a"]
    assert is_missing_below(str(tmp_path / "a" / "deleted.txt"), folder)
    assert is_missing_below(str(tmp_path / "a" / "here.txt" / "was-a-folder.txt"), folder)
    assert is_missing_below(str(tmp_path / "a" / "deleted.txt"), [tmp_path / "a" / "deleted.txt"])
    assert not is_missing_below(str(tmp_path / "a" / "here.txt"), folder)
    assert not is_missing_below(str(tmp_path / "ab" / "elsewhere.txt"), folder)

    out_of_reach = str(tmp_path / "a" / "out-of-reach.txt")
    stat = os.stat

    def refuse(path, **options):
        if path == out_of_reach:
            raise PermissionError(13, "Permission denied")
        return stat(path, **options)

    with monkeypatch.context() as patch:
        patch.setattr(os, "stat", refuse)
        assert not is_missing_below(out_of_reach, folder)
    assert is_missing_below(out_of_reach, folder)


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


def test_a_folder_of_which_nothing_is_left_is_noticed(tree, tmp_path) -> None:
    ids = [str(tree / "a.txt"), str(tree / "sub" / "c.txt"), str(tmp_path / "other" / "d.txt")]
    (tmp_path / "drive").mkdir()
    ids += [str(tmp_path / "drive" / name) for name in ("e.txt", "f.txt")]
    roots = [tree, tmp_path / "drive", tree / "a.txt", tmp_path / "never known"]
    assert emptied_folders(roots, ids) == [(tmp_path / "drive", 2)]
    (tmp_path / "drive" / "f.txt").write_text("x")
    assert emptied_folders(roots, ids) == []
    assert emptied_folders([tmp_path], ["no path", "d.txt"]) == []


def test_only_files_can_be_missing(tmp_path) -> None:
    (tmp_path / "there").write_text("")
    assert not is_missing(str(tmp_path / "there"))
    assert is_missing(str(tmp_path / "absent"))
    assert is_missing(str(tmp_path / "there" / "below"))
    assert not is_missing("a title, not a file")
    assert not is_missing("/\0")


def test_patterns_choose_files_of_folders(tree) -> None:
    for include, exclude, expected in (
        (["*.md"], [], ["b.md"]),
        (["sub/*"], [], ["sub/LICENSE", "sub/deep/c.HTML"]),
        (["sub/*", "*.md"], ["*/deep/*"], ["b.md", "sub/LICENSE"]),
        ([], ["*.txt", "sub/*"], ["b.md"]),
        (["nothing"], [], []),
    ):
        found = find_files([tree], include=include, exclude=exclude)
        assert names(found, tree) == expected
        named = find_files([tree / "a.txt", tree], include=include, exclude=exclude)
        assert names(named, tree) == sorted({"a.txt", *expected})


def test_what_has_changed_is_chosen_with_all_below_it(tree) -> None:
    found = find_files([tree])
    assert names(found.below({tree / "sub", tree / "b.md"}), tree) == [
        "b.md",
        "sub/LICENSE",
        "sub/deep/c.HTML",
    ]
    assert [path.name for path in found.below({tree / "data.bin"}).skipped] == ["data.bin"]


@pytest.fixture
def elsewhere(tree: Path) -> Path:
    """Link to a folder, with a loop, and to a file, both outside of the tree."""
    folder = tree.parent / "elsewhere"
    folder.mkdir()
    (folder / "far.txt").write_text("far")
    (folder / "loop").symlink_to(folder)
    (folder / "back").symlink_to(tree)
    (tree / "linked").symlink_to(folder)
    (tree / "linked again").symlink_to(folder)
    (tree / "far.txt").symlink_to(folder / "far.txt")
    return folder


def test_links_that_lead_out_of_the_paths_are_named_and_not_followed(tree, elsewhere) -> None:
    found = find_files([tree])
    assert names(found, tree) == ["a.txt", "b.md", "sub/LICENSE", "sub/deep/c.HTML"]
    assert sorted(link.name for link in found.links) == ["far.txt", "linked", "linked again"]
    assert [link.name for link in found.below({tree / "linked"}).links] == ["linked"]


def test_links_that_lead_out_are_followed_once_on_demand(tree, elsewhere) -> None:
    found = find_files([tree], follow_links=True)
    assert names(found, tree.parent)[-1] == "elsewhere/far.txt"
    assert len(found.files) == 5
    assert (found.links, found.unreadable) == ([], [])


def test_links_to_folders_that_are_searched_anyway_are_not_named(tree, elsewhere) -> None:
    found = find_files([tree, elsewhere])
    assert len(found.files) == 5
    assert found.links == []


def test_a_link_to_a_hidden_folder_is_named_or_followed(tree) -> None:
    (tree / ".git" / "readme.txt").write_text("hidden")
    (tree / "shown").symlink_to(tree / ".git")
    assert find_files([tree]).links == [tree / "shown"]
    found = find_files([tree], follow_links=True)
    assert ".git/readme.txt" in names(found, tree)
    assert ".hidden.txt" not in names(found, tree)


def test_brackets_in_patterns_mean_themselves(tree) -> None:
    (tree / "a[1].txt").write_text("x")
    (tree / "a1.txt").write_text("x")
    assert names(find_files([tree], include=["a[1].txt"]), tree) == ["a[1].txt"]
    assert "a1.txt" in names(find_files([tree], exclude=["a[1].*"]), tree)
