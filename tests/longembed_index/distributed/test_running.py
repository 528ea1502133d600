"""A cluster on this machine: rows equal those of one process, whatever is killed."""

from __future__ import annotations

import gzip
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import psutil
import pyarrow.dataset
import pytest
from command_line import longembed

from longembed_index.distributed.reading import inputs_of
from longembed_index.distributed.running import actors_for, embed_to_parquet
from longembed_index.embedding import storable_model
from longembed_index.opening import open_store
from longembed_st.base.settings import ModelSettings
from longembed_st.errors import ConfigError

BOOKS = Path(__file__).parents[4] / "shared" / "data" / "books" / "corpus.jsonl.gz"


@pytest.mark.parametrize(
    ("cpus", "gpus", "count", "expected"),
    [
        (2, 0, None, (1, 2, 0)),
        (2, 0, 2, (2, 1, 0)),
        (64, 0, None, (16, 4, 0)),
        (16, 2, None, (2, 4, 1)),
        (1, 0, None, (1, 1, 0)),
    ],
)
def test_an_actor_has_a_gpu_or_a_group_of_cores(cpus, gpus, count, expected) -> None:
    found = actors_for(cpus, gpus, count)
    assert (found.count, found.cpus, found.gpus) == expected


def test_more_actors_than_cores_are_refused() -> None:
    with pytest.raises(ConfigError, match="3 actors were asked for, and there are 2 cores"):
        actors_for(2, 0, 3)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (["s3://bucket/x", "--store", "s"], "needs --ray"),
        (["DOCS", "--store", "parquet:out"], "needs --ray"),
        (["DOCS", "--store", "s", "--ray", "local", "--watch"], "--watch does not go with --ray"),
        (["DOCS", "--store", "s", "--ray", "local", "--prune"], "--prune does not go with --ray"),
        (["DOCS", "--store", "s", "--actors", "2"], "--actors needs --ray"),
        (["DOCS", "--store", "parquet:o", "--ray", "local", "--verify"], "--verify is for a store"),
        (["s3+x://bucket", "--store", "s", "--ray", "local"], "cannot be looked at"),
    ],
)
def test_what_does_not_go_together_is_told(line, reason, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "docs").mkdir()
    ended = longembed("index", *("docs" if part == "DOCS" else part for part in line))
    assert ended.exit_code in (1, 2)
    assert reason in " ".join(ended.stderr.split())


def test_an_index_by_two_actors_is_that_of_one_process(small_model, tmp_path) -> None:
    docs = tmp_path / "docs"
    docs.mkdir()
    draw = random.Random(0)
    for number in range(40):
        words = draw.choices(["court", "whale", "garden", "engine"], k=draw.randint(1, 400))
        (docs / f"{number}.txt").write_text(f"document {number} " + " ".join(words))
    (docs / "empty.txt").write_text("")
    model = ["--model", small_model("bert"), "--method", "pcw"]
    assert longembed("index", docs, "--store", tmp_path / "one", *model).exit_code == 0
    by_two = ("index", docs, "--store", f"lancedb:{tmp_path / 'two'}", *model)
    ended = longembed(*by_two, "--ray", "local", "--actors", 2, "--json")
    assert ended.exit_code == 0, ended.stderr
    told = json.loads(ended.stdout)
    assert (told["documents"]["added"], told["documents"]["failed"], told["in_store"]) == (
        40,
        1,
        40,
    )
    found = {}
    for name in ("one", "two"):
        with open_store(tmp_path / name) as store:
            found[name] = {one.id: one for one in store.get([key for key, _ in store.names()])}
    assert found["one"].keys() == found["two"].keys()
    for key, one in found["one"].items():
        other = found["two"][key]
        assert (one.text, dict(one.metadata)) == (other.text, dict(other.metadata))
        np.testing.assert_allclose(one.vector, other.vector, atol=1e-6)
    # One process goes on where two actors ended.
    again = json.loads(longembed(*by_two, "--json").stdout)
    assert again["documents"] == {"added": 0, "replaced": 0, "unchanged": 40, "failed": 1}


def actors() -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter(["cmdline"]):
        line = " ".join(process.info["cmdline"] or [])
        if "EmbedDocuments" in line and line.startswith("ray::"):
            found.append(process)
    return found


def slices(path: Path, count: int) -> Path:
    """Parts of books, of very different lengths."""
    draw = random.Random(0)
    with gzip.open(BOOKS, "rt") as lines:
        books = [json.loads(line)["text"] for line in lines]
    with path.open("w") as out:
        for number in range(count):
            book = draw.choice(books)
            start = draw.randrange(max(1, len(book) - 4000))
            text = book[start : start + draw.randint(50, 4000)] or "nothing"
            out.write(json.dumps({"id": f"slice {number}", "text": text}) + "\n")
    return path


@pytest.mark.slow
@pytest.mark.skipif(not BOOKS.exists(), reason="../shared/data/books is not there")
def test_no_row_is_lost_or_doubled_when_an_actor_is_killed(minilm_folder, tmp_path) -> None:
    path = slices(tmp_path / "slices.jsonl", 2000)
    model = storable_model(ModelSettings(model_name=str(minilm_folder), method="pcw"))
    killed: list[int] = []
    done: list[bool] = []

    def kill() -> None:
        while len(killed) < 2 and not done:
            time.sleep(20)
            for process in actors()[:1]:
                os.kill(process.pid, signal.SIGKILL)
                killed.append(process.pid)

    threading.Thread(target=kill, daemon=True).start()
    inputs, _ = inputs_of([path])
    report = embed_to_parquet(inputs, str(tmp_path / "out"), model.provenance, actors=2)
    assert len(killed) == 2
    assert report.counts == {"added": 2000, "replaced": 0, "unchanged": 0, "failed": 0}
    files = [str(file) for file in (tmp_path / "out").glob("part-*.parquet")]
    table = pyarrow.dataset.dataset(files).to_table()
    found = {row["source"]: row for row in table.to_pylist()}
    assert len(table) == len(found) == 2000
    with path.open() as lines:
        texts = {row["id"]: row["text"] for row in map(json.loads, lines)}
    alone = model.model.encode_with_coverage(list(texts.values()), role="document")
    for name, vector, coverage in zip(texts, alone.vectors, alone.coverages, strict=True):
        np.testing.assert_allclose(found[name]["vector"], vector, atol=1e-6)
        assert (found[name]["tokens"], found[name]["read"]) == (coverage.tokens, coverage.read)


@pytest.mark.slow
@pytest.mark.skipif(not BOOKS.exists(), reason="../shared/data/books is not there")
@pytest.mark.parametrize("kind", ["parquet", "lancedb"])
def test_a_run_that_is_killed_goes_on(minilm_folder, tmp_path, kind) -> None:
    path = slices(tmp_path / "slices.jsonl", 400)
    line = [sys.executable, "-m", "longembed_st", "index", str(path), "--ray", "local", "--json"]
    line += ["--store", f"{kind}:{tmp_path / 'out'}", "--model", str(minilm_folder)]
    line += ["--method", "pcw", "--actors", "2"]
    first = subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    # Files of spans or of words say nothing of documents.
    written = {"parquet": "part-*.parquet", "lancedb": "documents.lance/data/*.lance"}[kind]
    while first.poll() is None and not any((tmp_path / "out").rglob(written)):
        time.sleep(0.5)
    # What is written is kept when it is committed.
    time.sleep(3)
    assert first.poll() is None, "it was done before it could be killed"
    first.kill()
    first.communicate()
    told = json.loads(subprocess.run(line, check=True, capture_output=True).stdout)["documents"]
    assert told["unchanged"] > 0, "nothing was kept of the first run"
    assert (told["added"] + told["unchanged"], told["failed"]) == (400, 0)
    if kind == "parquet":
        files = [str(file) for file in (tmp_path / "out").glob("part-*.parquet")]
        names = pyarrow.dataset.dataset(files).to_table()["source"].to_pylist()
    else:
        with open_store(tmp_path / "out") as store:
            names = [name for _, name in store.names()]
    assert sorted(names) == sorted(f"slice {number}" for number in range(400))
