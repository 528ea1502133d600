"""What was measured, as it lies in the output folder.

`mteb/` holds the scores in mteb's own form; `runs/` what mteb does not keep: settings, coverage,
cost, and which needles were found.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mteb.cache import ResultCache
from mteb.models.model_meta import ModelMeta

from longembed_bench.data import RetrievalData
from longembed_bench.metrics import Hits, ndcg_by_query
from longembed_bench.retrievers import Found, Reading
from longembed_bench.runs import Run, label_of
from longembed_bench.tasks import Task, length_of
from longembed_bench.vectors import VectorFolder
from longembed_st.errors import InputError
from longembed_st.files import write_text


@dataclass(frozen=True)
class Result:
    """One score with what belongs to it.

    Attributes:
        model: Name of the model; empty for BM25.
        method: The method as typed.
        task: Label of the task.
        split: The part of it.
        score: The main score, from 0 to 1.
        main_score: mteb's name of it.
        reading: What it took.
        hits: For generated documents, for each query the depth of its needle, from 0 to 1, and
            whether the document was found.
        fingerprint: Of the model as extended.
    """

    model: str
    method: str
    task: str
    split: str
    score: float
    main_score: str
    reading: Reading
    hits: Hits
    fingerprint: str

    @property
    def label(self) -> str:
        """The model and the method."""
        return label_of(self.model, self.method)

    @property
    def length(self) -> int | None:
        """Tokens of a generated document; None for real ones."""
        return length_of(self.split)


class ResultFolder:
    """The output folder of `longembed bench`.

    Args:
        folder: Its path; made if needed.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.cache = ResultCache(folder / "mteb")

    @property
    def vectors(self) -> VectorFolder:
        """Where the vectors of models are kept."""
        return VectorFolder(self.folder / "vectors")

    def _run_of(self, meta: ModelMeta) -> Path:
        return self.folder / "runs" / meta.model_name_as_path() / str(meta.revision)

    def write_run(self, run: Run, meta: ModelMeta, settings: dict[str, Any]) -> None:
        """Note what a run is.

        Args:
            run: The run.
            meta: What mteb calls it.
            settings: Everything that was set.
        """
        described = {
            "model": run.model.name if run.model else "",
            "method": run.method.label,
            "mteb_name": meta.name,
            "mteb_revision": meta.revision,
            "settings": settings,
        }
        write_text(self._run_of(meta) / "run.json", json.dumps(described, indent=2))

    def write_reading(
        self, meta: ModelMeta, task: Task, split: str, found: Found, reading: Reading
    ) -> None:
        """Keep what mteb does not; called before mteb writes the scores.

        Args:
            meta: What mteb calls the run.
            task: The task.
            split: The part of it.
            found: The scores of documents by query.
            reading: What it took.
        """
        path = self._run_of(meta) / f"{task.name}.json"
        described = _read_json(path) if path.exists() else {}
        if described.get("revision") != task.revision:
            described = {"label": task.label, "revision": task.revision, "splits": {}}
        described["main_score"] = task.main_score
        described["splits"][split] = {
            **asdict(reading),
            "hits": hits_by_depth(task.data[split], found),
        }
        write_text(path, json.dumps(described, indent=1))

    def is_current(self, meta: ModelMeta, task: Task) -> bool:
        """Whether what is stored for a task, if anything, belongs to the same data.

        Args:
            meta: What mteb calls the run.
            task: The task.
        """
        stored = self.cache.load_task_result(task.name, meta)
        path = self._run_of(meta) / f"{task.name}.json"
        if stored is None:
            return True
        described = _read_json(path) if path.exists() else {"splits": {}}
        return (
            stored.dataset_revision == task.revision == described.get("revision")
            and stored.scores.keys() <= described["splits"].keys()
        )

    def settings(self) -> list[dict[str, Any]]:
        """The description of each run."""
        return [_read_json(path) for path in sorted(self.folder.glob("runs/*/*/run.json"))]

    def results(self) -> list[Result]:
        """All scores in the folder.

        Raises:
            InputError: If a file of it is damaged.
        """
        return [
            result
            for path in sorted(self.folder.glob("runs/*/*/run.json"))
            for result in self._results_of(path)
        ]

    def _results_of(self, run_path: Path) -> Iterator[Result]:
        run = _read_json(run_path)
        for path in sorted(run_path.parent.glob("*.json")):
            if path == run_path:
                continue
            described = _read_json(path)
            scored = self.cache.load_task_result(path.stem, run["mteb_name"], run["mteb_revision"])
            if scored is None or scored.dataset_revision != described["revision"]:
                continue
            for split, scores in scored.scores.items():
                side = dict(described["splits"][split])
                hits = [(depth, bool(hit)) for depth, hit in side.pop("hits")]
                yield Result(
                    model=run["model"],
                    method=run["method"],
                    task=described["label"],
                    split=split,
                    score=scores[0][described["main_score"]],
                    main_score=described["main_score"],
                    reading=Reading(**side),
                    hits=hits,
                    fingerprint=run["mteb_revision"],
                )


def hits_by_depth(data: RetrievalData, found: Found) -> Hits:
    """For each query of generated data, where its needle is and whether it was found.

    Args:
        data: The data; without depths, there is nothing to say.
        found: The scores of documents by query.
    """
    if not data.depths:
        return []
    scores = ndcg_by_query(data.qrels, found, k=1)
    needles = {
        query: next(document for document, grade in grades.items() if grade > 0)
        for query, grades in data.qrels.items()
    }
    return [(data.depths[needle], scores[query] > 0) for query, needle in needles.items()]


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path} is damaged ({error}): delete it and measure again") from None
    return content
