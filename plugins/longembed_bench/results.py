"""Results as JSON lines, so that a run that was cut off measures nothing twice."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from longembed_bench.retrievers import Cost
from longembed_bench.runs import label_of
from longembed_bench.truncation import Hits
from longembed_index.documents.folder import jsonl_rows
from longembed_st.errors import InputError
from longembed_st.files import write_text


@dataclass(frozen=True)
class Result:
    """One score, and what belongs to it.

    Attributes:
        model: Name of the model; empty for BM25.
        method: The method as typed.
        task: Name of the task.
        length: Tokens of a generated document; None for real ones.
        score: From 0 to 1.
        metric: "nDCG@10", or "accuracy".
        cost: What it took to read the documents.
        hits: For generated documents, for each query the depth of its needle, from 0 to 1, and
            whether its document came first.
        data: Digest of the documents, queries and grades.
        revision: Changes whenever the scores could.
        settings: How the model was loaded, with its fingerprint.
    """

    model: str
    method: str
    task: str
    length: int | None
    score: float
    metric: str
    cost: Cost
    hits: Hits
    data: str
    revision: str
    settings: dict[str, Any]

    @property
    def label(self) -> str:
        """The model and the method."""
        return label_of(self.model, self.method)


class ResultFile:
    """The results of `longembed bench` in an output folder.

    Raises:
        InputError: If it holds something else.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._results: dict[tuple[str, str, int | None], Result] = {}
        for where, row in jsonl_rows(path) if path.exists() else ():
            try:
                result = Result(**{**row, "cost": Cost(**row["cost"])})
            except (TypeError, KeyError) as error:
                raise InputError(f"{where} is not a result ({error}): delete the file") from None
            self._results[result.label, result.task, result.length] = result

    def get(
        self, label: str, task: str, length: int | None, *, data: str, revision: str
    ) -> Result | None:
        """Return a result, or None if it was not measured on this data in this revision."""
        result = self._results.get((label, task, length))
        is_current = result is not None and (result.data, result.revision) == (data, revision)
        return result if is_current else None

    def add(self, result: Result) -> None:
        """Write a result; one of the same line, task and length is replaced."""
        self._results[result.label, result.task, result.length] = result
        lines = (json.dumps(asdict(each)) + "\n" for each in self.all())
        write_text(self._path, "".join(lines))

    def all(self) -> list[Result]:
        """Return all results, task by task, BM25 last, in the order of models and methods."""
        return sorted(
            self._results.values(),
            key=lambda r: (r.task, not r.model, r.model, r.method, r.length or 0),
        )
