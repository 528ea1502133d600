"""A cluster on this machine: rows equal those of one process, whatever is killed."""

from __future__ import annotations

import gzip
import json
import logging
import os
import random
import signal
import subprocess
import sys
import threading
import time
import warnings
from itertools import islice
from pathlib import Path

import numpy as np
import psutil
import pyarrow as pa
import pytest
import ray.data
from pyarrow import dataset, parquet

from longembed_index.maintain.embedding import embedder_of, storable_model
from longembed_index.store.kinds import open_store
from longembed_index.store.memory import MemoryStore
from longembed_index.store.protocol import StoreInfo
from longembed_ray import embed_to_parquet, find_inputs, index_with_ray
from longembed_ray.attempts import EmbedWithAttempts, SharedAttempts
from longembed_ray.cluster import cluster
from longembed_st.base.provenance import Provenance
from longembed_st.base.settings import ModelSettings
from longembed_st.errors import ModelError

BOOKS = Path(__file__).parents[3] / "shared" / "data" / "books" / "corpus.jsonl.gz"
needs_books = pytest.mark.skipif(not BOOKS.exists(), reason="../shared/data/books is not there")


def host_state() -> tuple:
    settings = vars(ray.data.DataContext.get_current())
    names = ("enable_progress_bars", "print_on_execution_start", "target_max_block_size")
    ray_environment = {key: value for key, value in os.environ.items() if key.startswith("RAY_")}
    levels = [logging.getLogger(name).level for name in ("ray", "ray.data")]
    return list(warnings.filters), ray_environment, levels, [settings[name] for name in names]


def test_a_store_is_filled_and_the_host_process_is_left_as_it_was(small_model, tmp_path) -> None:
    model = storable_model(ModelSettings(model_name=str(small_model("bert")), method="pcw"))
    store = MemoryStore(StoreInfo(model.provenance, units=True))
    (tmp_path / "a.txt").write_text("a text of words " * 100)
    (tmp_path / "empty.md").write_text("")
    parquet.write_table(pa.table({"text": ["one", "two"], "id": [1, 2]}), tmp_path / "t.parquet")
    lines = [{"text": "a row " * n, "id": f"row {n}", "metadata": {"n": n}} for n in range(1, 40)]
    (tmp_path / "t.jsonl").write_text("\n".join(map(json.dumps, lines)))
    texts = {record["id"]: record["text"] for record in lines}
    texts |= {str(tmp_path / "a.txt"): (tmp_path / "a.txt").read_text(), "1": "one", "2": "two"}
    inputs, _ = find_inputs([tmp_path])
    before = host_state()
    report = index_with_ray(inputs, store, actors=2)
    assert not ray.is_initialized()
    assert host_state() == before
    assert report.counts == {"added": 42, "replaced": 0, "unchanged": 0, "failed": 1}
    assert report.in_store == 42
    records = {record.document.id: record for record in store.get(list(texts))}
    assert {name: record.document.text for name, record in records.items()} == texts
    assert records["row 7"].document.metadata == {"n": 7}
    units = dict(store.units())
    expected = embedder_of(model, units=True)(list(texts.values()))
    for name, embedded in zip(texts, expected, strict=True):
        np.testing.assert_allclose(records[name].vector, embedded.vector, atol=2e-3)
        np.testing.assert_allclose(units[name].vectors, embedded.units.vectors, atol=2e-3)
        assert records[name].coverage.read == embedded.coverage.read


@pytest.fixture(scope="module")
def running_cluster():
    with cluster("local"):
        yield


@pytest.mark.slow
def test_parquet_files_are_not_written_twice(small_model, tmp_path, running_cluster) -> None:
    model = storable_model(ModelSettings(model_name=str(small_model("bert")), method="pcw"))
    (tmp_path / "a.txt").write_text("a text")
    (tmp_path / "b.txt").write_text("another text")
    (tmp_path / "empty.md").write_text("")
    out = str(tmp_path / "out")
    counts = []
    for text in ("a text", "a text", "a text that has changed"):
        (tmp_path / "a.txt").write_text(text)
        inputs, _ = find_inputs([tmp_path], out)
        counts.append(tuple(embed_to_parquet(inputs, out, model.provenance).counts.values()))
    assert counts == [(2, 0, 0, 1), (0, 0, 2, 1), (1, 0, 1, 1)]


@pytest.mark.slow
def test_an_actor_with_another_model_ends_the_run(small_model, tmp_path, running_cluster) -> None:
    settings = ModelSettings(model_name=str(small_model("bert")), method="pcw")
    (tmp_path / "a.txt").write_text("a text")
    inputs, _ = find_inputs([tmp_path])
    other = Provenance(settings, "sha256:other")
    with pytest.raises(ModelError, match=r"a worker failed: .*not sha256:other"):
        embed_to_parquet(inputs, str(tmp_path / "out"), other)


@pytest.mark.slow
def test_a_document_that_kills_its_actor_is_given_up(running_cluster) -> None:
    def embed(rows: pa.Table) -> pa.Table:
        alive = [row["text"] for row in rows.to_pylist() if row["error"] is None]
        if "deadly" in alive:
            os.kill(os.getpid(), signal.SIGKILL)
        return rows

    class Embed(EmbedWithAttempts):
        def __init__(self, attempts: SharedAttempts) -> None:
            self._attempts, self._embed = attempts, embed

    texts = [f"text {n}" for n in range(40)] + ["deadly"]
    random.Random(0).shuffle(texts)
    rows = pa.table({"id": texts, "text": texts, "error": pa.array([None] * 41, pa.string())})
    embedded = ray.data.from_arrow(rows).map_batches(
        Embed,
        fn_constructor_kwargs={"attempts": SharedAttempts()},
        batch_format="pyarrow",
        batch_size=16,
        compute=ray.data.ActorPoolStrategy(size=1),
    )
    result = embedded.take_all()
    assert sorted(row["id"] for row in result) == sorted(texts)
    assert [row["id"] for row in result if row["error"] is not None] == ["deadly"]


def actor_processes() -> list[psutil.Process]:
    lines = {
        process: " ".join(process.info["cmdline"] or [])
        for process in psutil.process_iter(["cmdline"])
    }
    return [
        process
        for process, line in lines.items()
        if line.startswith("ray::") and "EmbedWithAttempts" in line
    ]


def slices(path: Path, count: int) -> Path:
    """Write parts of books, of very different lengths."""
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
@needs_books
def test_no_row_is_lost_or_doubled_when_an_actor_is_killed(minilm_folder, tmp_path) -> None:
    path = slices(tmp_path / "slices.jsonl", 2000)
    model = storable_model(ModelSettings(model_name=str(minilm_folder), method="pcw"))
    killed: list[int] = []
    done = threading.Event()

    def kill() -> None:
        while len(killed) < 2 and not done.wait(20):
            for process in actor_processes()[:1]:
                os.kill(process.pid, signal.SIGKILL)
                killed.append(process.pid)

    thread = threading.Thread(target=kill, daemon=True)
    thread.start()
    inputs, _ = find_inputs([path])
    report = embed_to_parquet(inputs, str(tmp_path / "out"), model.provenance, actors=2)
    done.set()
    thread.join()
    assert len(killed) == 2
    assert report.counts == {"added": 2000, "replaced": 0, "unchanged": 0, "failed": 0}
    files = [str(file) for file in (tmp_path / "out").glob("part-*.parquet")]
    table = dataset.dataset(files).to_table()
    rows = {row["id"]: row for row in table.to_pylist()}
    assert len(table) == len(rows) == 2000
    with path.open() as lines:
        texts = {item["id"]: item["text"] for item in map(json.loads, islice(lines, 200))}
    expected = embedder_of(model, units=False)(list(texts.values()))
    for document_id, embedded in zip(texts, expected, strict=True):
        np.testing.assert_allclose(rows[document_id]["vector"], embedded.vector, atol=1e-5)
        assert rows[document_id]["tokens"] == embedded.coverage.tokens


SCRIPT = """
import json, sys
from pathlib import Path
from longembed_index.maintain.embedding import storable_model
from longembed_index.store.kinds import open_store
from longembed_index.store.protocol import StoreInfo
from longembed_ray import embed_to_parquet, find_inputs, index_with_ray, writing
from longembed_st.base.settings import ModelSettings

table, out, model, kind = sys.argv[1:]
provenance = storable_model(ModelSettings(model_name=model, method="pcw")).provenance
inputs, _ = find_inputs([table])
writing.COMMIT_RECORDS = 50
if kind == "parquet":
    report = embed_to_parquet(inputs, out, provenance, actors=2)
else:
    Path(out).mkdir(exist_ok=True)
    store = open_store(Path(out), create=StoreInfo(provenance), write=True)
    report = index_with_ray(inputs, store, actors=2)
    store.close()
print(json.dumps(report.counts))
"""


@pytest.mark.slow
@needs_books
@pytest.mark.parametrize("kind", ["parquet", "sqlite"])
def test_a_run_that_is_killed_goes_on(minilm_folder, tmp_path, kind) -> None:
    path, out = slices(tmp_path / "slices.jsonl", 400), tmp_path / "out"
    line = [sys.executable, "-c", SCRIPT, str(path), str(out), str(minilm_folder), kind]

    def ids() -> list[str]:
        if kind == "parquet":
            files = [str(file) for file in out.glob("part-*.parquet")]
            return dataset.dataset(files).to_table()["id"].to_pylist() if files else []
        if not (out / "longembed.sqlite3").exists():
            return []
        store = open_store(out)
        try:
            return [entry.id for entry in store.entries()]
        finally:
            store.close()

    first = subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    while first.poll() is None and not ids():
        time.sleep(0.5)
    assert first.poll() is None, "it was done before it could be killed"
    first.kill()
    first.communicate()
    second = subprocess.run(line, check=True, capture_output=True)
    counts = json.loads(second.stdout.splitlines()[-1])
    assert counts["unchanged"] > 0, "nothing was kept of the first run"
    assert (counts["added"] + counts["unchanged"], counts["failed"]) == (400, 0)
    assert sorted(ids()) == sorted(f"slice {number}" for number in range(400))
