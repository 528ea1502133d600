"""Retrieval data as tasks of mteb, generated, local or from the Hugging Face hub."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import mteb
from datasets import Dataset  # type: ignore[import-untyped]
from mteb.abstasks.retrieval import AbsTaskRetrieval
from mteb.abstasks.task_metadata import TaskMetadata

from longembed_bench.data import RetrievalData
from longembed_bench.folders import read_folder
from longembed_bench.retrievers import document_texts
from longembed_bench.synthetic import LENGTHS, needle_data, passkey_data
from longembed_st.errors import ConfigError, InputError

HUB_TASKS = {
    "qmsum": "LEMBQMSumRetrieval",
    "narrativeqa": "LEMBNarrativeQARetrieval",
    "2wikimqa": "LEMBWikimQARetrieval",
    "summscreenfd": "LEMBSummScreenFDRetrieval",
}
"""The real tasks of LongEmbed: our name, and mteb's."""

PASSKEY = "passkey"
NEEDLE = "needle"
TASKS = (PASSKEY, NEEDLE, *HUB_TASKS)

ACCURACY = "ndcg_at_1"
"""With one relevant document a query, nDCG@1 is the accuracy."""

NDCG = "ndcg_at_10"


@dataclass(frozen=True)
class Task:
    """One task, ready for mteb.

    Attributes:
        label: In tables and pictures.
        mteb_task: The task itself, its data loaded.
        data: The data by split.
    """

    label: str
    mteb_task: AbsTaskRetrieval
    data: dict[str, RetrievalData]

    @property
    def name(self) -> str:
        """What mteb calls it."""
        return str(self.mteb_task.metadata.name)

    @property
    def revision(self) -> str:
        """Changes whenever the data do."""
        return str(self.mteb_task.metadata.revision)

    @property
    def main_score(self) -> str:
        """The score that counts."""
        return str(self.mteb_task.metadata.main_score)


def split_of(length: int) -> str:
    """The split of a length in tokens, as mteb names them."""
    return f"test_{length}"


def length_of(split: str) -> int | None:
    """The length in tokens that a split stands for, or None."""
    match = re.fullmatch(r"test_(\d+)", split)
    return int(match[1]) if match else None


def passkey_task(lengths: list[int], seed: int = 0) -> Task:
    """Passkey at some lengths.

    Args:
        lengths: In tokens.
        seed: Of names, keys, depths and questions.
    """
    data = {split_of(length): passkey_data(length, seed) for length in lengths}
    # Of the shortest alone, so that further lengths join the results of the first.
    revision = passkey_data(LENGTHS[0], seed).digest()
    return Task(PASSKEY, _task("LongEmbedPasskey", data, ACCURACY, revision), data)


def needle_task(lengths: list[int], haystack: str, seed: int = 0) -> Task:
    """Needle at some lengths.

    Args:
        lengths: In tokens.
        haystack: The text to hide facts in.
        seed: Of facts, depths and questions.
    """
    data = {split_of(length): needle_data(length, haystack, seed) for length in lengths}
    text = hashlib.sha256(haystack.encode("utf8")).hexdigest()
    revision = f"{needle_data(LENGTHS[0], haystack, seed).digest()[:32]}{text[:32]}"
    return Task(NEEDLE, _task("LongEmbedNeedle", data, ACCURACY, revision), data)


def folder_task(folder: Path) -> Task:
    """The user's own documents and questions.

    Args:
        folder: See `longembed_bench.folders.read_folder`.
    """
    data = read_folder(folder)
    name = re.sub(r"[^A-Za-z0-9]+", "-", folder.resolve().name).strip("-") or "data"
    task = _task(name, {"test": data}, NDCG, data.digest())
    return Task(name, task, {"test": data})


def hub_task(label: str, folder: Path | None = None) -> Task:
    """A real task of LongEmbed.

    Args:
        label: One of `HUB_TASKS`.
        folder: A local copy; None to take it from the Hugging Face hub.

    Raises:
        InputError: If it cannot be had.
    """
    task = cast(AbsTaskRetrieval, mteb.get_task(HUB_TASKS[label]))
    split = task.metadata.eval_splits[0]
    if folder is not None:
        data = read_folder(folder)
        # A copy under its own revision: scores on it are never taken for those on the hub's data.
        origin = {**task.metadata.dataset, "revision": data.digest()}
        task.metadata = task.metadata.model_copy(update={"dataset": origin})
        splits = {split: data}
        _give(task, splits)
        return Task(label, task, splits)
    try:
        task.load_data()
        task.convert_v1_dataset_format_to_v2(num_proc=None)
    except Exception as error:  # Whatever the hub, the network or the data set raise.
        reason = str(error).strip().split("\n")[0] or type(error).__name__
        raise InputError(
            f"task {label!r} cannot be loaded from the Hugging Face hub ({reason}). With a local "
            f"copy: --task {label}=FOLDER, with corpus.jsonl, queries.jsonl and qrels.jsonl"
        ) from error
    return Task(label, task, {split: _data_of(task.dataset["default"][split])})


def parse_task(text: str, lengths: list[int], seed: int, haystack: Callable[[], str]) -> Task:
    """Read `passkey`, `qmsum` or `qmsum=FOLDER`.

    Args:
        text: As typed behind `--task`.
        lengths: Of generated documents, in tokens.
        seed: Of generated documents.
        haystack: Gives the text to hide facts in.

    Raises:
        ConfigError: If there is no such task.
        InputError: If its data cannot be had.
    """
    name, _, folder = text.partition("=")
    if name not in TASKS:
        raise ConfigError(f"--task {text!r}: there are {', '.join(TASKS)}; your own by --data DIR")
    if name in HUB_TASKS:
        return hub_task(name, Path(folder) if folder else None)
    if folder:
        raise ConfigError(f"--task {text!r}: {name} is generated and takes no folder")
    if name == PASSKEY:
        return passkey_task(lengths, seed)
    return needle_task(lengths, haystack(), seed)


def _task(
    name: str, data: Mapping[str, RetrievalData], main_score: str, revision: str
) -> AbsTaskRetrieval:
    metadata = TaskMetadata(
        name=name,
        dataset={"path": f"longembed-st/{name}", "revision": revision},
        description="Whole-document retrieval, made or read by longembed-st.",
        reference=None,
        type="Retrieval",
        category="t2t",
        modalities=["text"],
        eval_splits=list(data),
        eval_langs=["eng-Latn"],
        main_score=main_score,
        date=None,
        domains=None,
        task_subtypes=None,
        license=None,
        annotations_creators=None,
        dialect=None,
        sample_creation=None,
        bibtex_citation=None,
    )
    # mteb reads the metadata from the class.
    task: AbsTaskRetrieval = type(name, (AbsTaskRetrieval,), {"metadata": metadata})()
    _give(task, data)
    return task


def _give(task: AbsTaskRetrieval, data: Mapping[str, RetrievalData]) -> None:
    """Put data where `load_data` would put what it downloads."""
    task.dataset = {
        "default": {
            split: {
                "corpus": text_table(of_split.documents),
                "queries": text_table(of_split.queries),
                "relevant_docs": of_split.qrels,
                "top_ranked": None,
            }
            for split, of_split in data.items()
        }
    }
    task.data_loaded = True


def text_table(texts: Mapping[str, str]) -> Dataset:
    """Documents or queries as mteb takes them.

    Args:
        texts: Text by id.
    """
    return Dataset.from_dict({"id": list(texts), "text": list(texts.values())})


def _data_of(split: Any) -> RetrievalData:
    corpus, queries = split["corpus"], split["queries"]
    return RetrievalData(
        documents=dict(zip(corpus["id"], document_texts(corpus), strict=True)),
        queries=dict(zip(queries["id"], queries["text"], strict=True)),
        qrels={key: dict(grades) for key, grades in split["relevant_docs"].items()},
    )
