from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
from office_files import make_docx, make_pdf

from longembed_index.documents.folder import jsonl_rows, read_documents
from longembed_st.errors import InputError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "docs"
    (folder / "sub").mkdir(parents=True)
    (folder / "a.txt").write_text("A")
    (folder / "sub" / "b.md").write_text("# B")
    (folder / "blank.txt").write_text(" \n\u200b")
    (folder / "data.bin").write_text("not read")
    (folder / ".hidden.txt").write_text("not read")
    return folder


def test_every_type_that_can_be_read_is_read(folder) -> None:
    (folder / "c.pdf").write_bytes(make_pdf("a page"))
    (folder / "d.docx").write_bytes(make_docx("a letter"))
    (folder / "e.html").write_text("<p>a site</p>")
    found = {name: text.strip() for name, text in read_documents(folder).items()}
    assert found == {
        "a.txt": "A",
        "sub/b.md": "# B",
        "c.pdf": "a page",
        "d.docx": "a letter",
        "e.html": "a site",
    }


def test_names_do_not_depend_on_how_the_folder_is_reached(folder, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(folder)
    (tmp_path / "link").symlink_to(folder)
    for path in (Path("."), Path("../link"), Path("sub/..")):
        assert read_documents(path).keys() == {"a.txt", "sub/b.md"}


def test_a_file_that_cannot_be_read_is_named_with_the_number_of_others(folder) -> None:
    (folder / "bad.txt").write_bytes(b"\0\1")
    with pytest.raises(InputError, match=r"docs/bad.txt is binary.*\. Repair"):
        read_documents(folder)
    (folder / "broken.pdf").write_bytes(b"%PDF-1.4")
    (folder / "gone.txt").symlink_to(folder / "nowhere")
    with pytest.raises(InputError, match=r"and 2 more cannot be read"):
        read_documents(folder)


def test_files_that_cannot_be_read_are_told_and_left_out(folder) -> None:
    (folder / "sub" / "bad.txt").write_bytes(b"\0\1")
    (folder / "gone.txt").symlink_to(folder / "nowhere")
    failed: dict[str, str] = {}
    documents = read_documents(folder, failed.__setitem__)
    assert documents.keys() == {"a.txt", "sub/b.md"}
    assert failed.keys() == {"sub/bad.txt", "gone.txt"}
    assert "binary" in failed["sub/bad.txt"]


def test_a_place_that_is_not_a_folder_is_refused(folder) -> None:
    for path in (folder / "a.txt", folder / "nowhere"):
        with pytest.raises(InputError, match="is not a folder"):
            read_documents(path)


ROWS = [{"text": "one\u2028line\u0085still"}, {"text": "zwölf"}]


def test_rows_come_with_their_places(tmp_path) -> None:
    for suffix, end in [(".jsonl", "\r\n"), (".jsonl.gz", "\n")]:
        path = tmp_path / f"rows{suffix}"
        data = b"\xef\xbb\xbf" * (suffix == ".jsonl")
        data += (end + end.join(json.dumps(row, ensure_ascii=False) for row in ROWS) + end).encode()
        path.write_bytes(gzip.compress(data) if suffix.endswith("gz") else data)
        assert list(jsonl_rows(path)) == [
            (f"{path}, line 2", ROWS[0]),
            (f"{path}, line 3", ROWS[1]),
        ]


UNREADABLE = [
    ("a.jsonl", b'{"a": 1}\n{"a": \n', r"a\.jsonl, line 2: no valid JSON"),
    ("a.jsonl", b"{}\n\n[1]\n", r"a\.jsonl, line 3: a JSON object is expected, not a list"),
    ("a.jsonl", b'{}\n{"a": ' + b"[" * 100_000, r"a\.jsonl, line 2: no valid JSON"),
    ("a.jsonl", b'{"a": ' + b"1" * 5_000 + b"}", r"a\.jsonl, line 1: no valid JSON"),
    ("a.jsonl", b'{"a": "\xe9"}', r"a\.jsonl cannot be read"),
    ("a.jsonl.gz", b"no gzip", r"a\.jsonl\.gz cannot be read"),
    ("a.jsonl.gz", gzip.compress(b"{}\n" * 99, mtime=0)[:15] + b"\0" * 20, r"cannot be read"),
]


def test_lines_and_files_that_cannot_be_read_are_named(tmp_path) -> None:
    for name, data, reason in UNREADABLE:
        path = tmp_path / name
        path.write_bytes(data)
        with pytest.raises(InputError, match=reason):
            list(jsonl_rows(path))
    with pytest.raises(InputError, match=r"nowhere\.jsonl cannot be read"):
        list(jsonl_rows(tmp_path / "nowhere.jsonl"))
