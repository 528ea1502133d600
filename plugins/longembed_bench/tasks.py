"""Tasks: generated, local, or from the Hugging Face hub through mteb."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

from longembed_bench.data import RetrievalData
from longembed_bench.folders import read_folder
from longembed_bench.synthetic import needle_data, passkey_data
from longembed_st.errors import ConfigError, InputError
from longembed_st.extras import needs_extra

if TYPE_CHECKING:
    from mteb.abstasks.retrieval import AbsTaskRetrieval

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


@dataclass(frozen=True)
class Task:
    """One task with its data.

    Attributes:
        name: In tables.
        data: By the length of the documents in tokens; None for real documents.
    """

    name: str
    data: dict[int | None, RetrievalData]

    @property
    def cutoff(self) -> int:
        """The k of its nDCG@k: 10, as of LongEmbed's real tasks, or 1, the accuracy."""
        return 10 if None in self.data else 1

    @property
    def metric(self) -> str:
        """The name of its score."""
        return "nDCG@10" if None in self.data else "accuracy"


def folder_task(folder: Path) -> Task:
    """Return the user's own documents and questions as a task; see `read_folder`."""
    name = re.sub(r"[^A-Za-z0-9]+", "-", folder.resolve().name).strip("-") or "data"
    return Task(name, {None: read_folder(folder)})


def parse_task(text: str, lengths: list[int], seed: int, haystack: Callable[[], str]) -> Task:
    """Read `passkey`, `qmsum` or `qmsum=FOLDER`.

    Raises:
        ConfigError: If the task is unknown.
        InputError: If its data cannot be read.
    """
    name, _, folder = text.partition("=")
    if name not in TASKS:
        raise ConfigError(
            f"--task {text!r} is unknown: choose among {', '.join(TASKS)}, or bring your own by "
            "--data DIR"
        )
    if name in HUB_TASKS:
        return Task(name, {None: read_folder(Path(folder)) if folder else _hub_data(name)})
    if folder:
        raise ConfigError(f"--task {text!r}: {name} is generated and takes no folder")
    if name == PASSKEY:
        return Task(name, {length: passkey_data(length, seed) for length in lengths})
    text = haystack()
    return Task(name, {length: needle_data(length, text, seed) for length in lengths})


def _hub_data(name: str) -> RetrievalData:
    """Load a real task of LongEmbed by mteb."""
    with needs_extra("bench", "mteb"):
        import mteb
    task = cast("AbsTaskRetrieval", mteb.get_task(HUB_TASKS[name]))
    try:
        task.load_data()
        task.convert_v1_dataset_format_to_v2(num_proc=None)
    except Exception as error:  # Whatever the hub, the network or the data set raise.
        reason = str(error).strip().split("\n")[0] or type(error).__name__
        raise InputError(
            f"task {name!r} cannot be loaded from the Hugging Face hub ({reason}). With a local "
            f"copy: --task {name}=FOLDER, with corpus.jsonl, queries.jsonl and qrels.jsonl"
        ) from error
    return data_of(task)


def data_of(task: AbsTaskRetrieval) -> RetrievalData:
    """Return the documents, queries and grades of a loaded task of mteb.

    Documents stay unaltered, behind their title where they have one.
    """
    split = task.dataset["default"][task.metadata.eval_splits[0]]
    corpus, queries = split["corpus"], split["queries"]
    texts = list(corpus["text"])
    if "title" in corpus.column_names:
        titled = zip(corpus["title"], texts, strict=True)
        texts = [f"{title} {text}" if title else text for title, text in titled]
    return RetrievalData(
        documents=dict(zip(corpus["id"], texts, strict=True)),
        queries=dict(zip(queries["id"], queries["text"], strict=True)),
        qrels={key: dict(grades) for key, grades in split["relevant_docs"].items()},
    )
