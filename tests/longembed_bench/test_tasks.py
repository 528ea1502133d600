"""Tasks, and what mteb says of them."""

from __future__ import annotations

import pytest
from longembed_bench_data import mteb_task, write_data

from longembed_bench.data import RetrievalData
from longembed_bench.folders import read_folder
from longembed_bench.tasks import data_of, folder_task, parse_task
from longembed_st.errors import ConfigError, InputError


def test_the_data_of_mtebs_tasks(tmp_path) -> None:
    data = read_folder(write_data(tmp_path / "mydata"))
    for name in ("qmsum", "summscreenfd"):  # Their splits have different names.
        assert data_of(mteb_task(name, data)) == data


def test_documents_stay_unaltered_behind_their_title() -> None:
    data = RetrievalData({"a": " two  blanks ", "b": "line\nline\n"}, {"q": "?"}, {"q": {"a": 1}})
    assert data_of(mteb_task("qmsum", data)) == data
    titled = data_of(mteb_task("qmsum", data, titles=["", "T"]))
    assert titled.documents == {"a": " two  blanks ", "b": "T line\nline\n"}


def test_a_local_copy_and_the_hub(tmp_path) -> None:
    folder = write_data(tmp_path / "my data")
    task = parse_task(f"qmsum={folder}", [], 0, str)
    assert (task.name, task.metric, task.cutoff) == ("qmsum", "nDCG@10", 10)
    assert task.data == {None: read_folder(folder)}
    assert folder_task(folder).name == "my-data"
    with pytest.raises(InputError, match="--task narrativeqa=FOLDER"):
        parse_task("narrativeqa", [], 0, str)


def test_generated_tasks() -> None:
    task = parse_task("passkey", [64, 128], 0, str)
    assert (task.metric, task.cutoff, list(task.data)) == ("accuracy", 1, [64, 128])
    other = parse_task("passkey", [64], 1, str)
    assert other.data[64].digest() != task.data[64].digest()
    needle = parse_task("needle", [64], 0, lambda: "Nothing is told here. " * 40)
    assert "Nothing is told here." in needle.data[64].documents["needle-000"]
    with pytest.raises(ConfigError, match="passkey is generated and takes no folder"):
        parse_task("passkey=folder", [64], 0, str)
