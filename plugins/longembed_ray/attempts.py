"""A document that ends the process which embeds it is given up after some attempts.

Ray starts an actor that has died again and repeats what it was doing, without end. How often a
document was begun is therefore counted in an actor of its own, which outlives those that embed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable
from typing import TYPE_CHECKING, Any

from longembed_ray import columns
from longembed_ray.embedding import EmbedDocuments

if TYPE_CHECKING:
    import pyarrow as pa  # type: ignore[import-untyped]

MOST_ATTEMPTS = 3


class Attempts:
    """Count how often something was begun and not ended."""

    def __init__(self) -> None:
        self._begun: Counter[Hashable] = Counter()

    def begin(self, key: Hashable) -> int:
        """Count one more attempt, and return their number."""
        self._begun[key] += 1
        return self._begun[key]

    def end(self, key: Hashable) -> None:
        """Forget the attempts, since the last one has succeeded."""
        del self._begun[key]


class SharedAttempts:
    """`Attempts` of all processes of a run, kept in an actor."""

    def __init__(self) -> None:
        import ray

        remote: Any = ray.remote(num_cpus=0, max_restarts=-1, max_task_retries=-1)(Attempts)
        self._actor = remote.remote()

    def begin(self, key: Hashable) -> int:
        """Do as `Attempts.begin`."""
        import ray

        return int(ray.get(self._actor.begin.remote(key)))

    def end(self, key: Hashable) -> None:
        """Do as `Attempts.end`."""
        self._actor.end.remote(key)


class EmbedWithAttempts:
    """Embed as `EmbedDocuments` does; a batch that has ended a process is embedded row by row."""

    def __init__(self, attempts: Attempts | SharedAttempts, threads: int, **arguments: Any) -> None:
        import torch

        torch.set_num_threads(threads)
        self._attempts = attempts
        self._embed = EmbedDocuments(**arguments)

    def __call__(self, rows: pa.Table) -> pa.Table:
        """Embed a batch; a document that was begun too often has an `error`."""
        import pyarrow as pa

        batch = tuple(rows[columns.ID].to_pylist())
        if self._attempts.begin(batch) == 1:
            result = self._embed(rows)
        else:
            result = pa.concat_tables([self._embed_row(rows.slice(n, 1)) for n in range(len(rows))])
        self._attempts.end(batch)
        return result

    def _embed_row(self, row: pa.Table) -> pa.Table:
        import pyarrow as pa

        (document_id,) = row[columns.ID].to_pylist()
        if self._attempts.begin(document_id) > MOST_ATTEMPTS:
            reason = (
                f"ended the process that embeds it {MOST_ATTEMPTS} times, perhaps for want of "
                "memory. Give each actor more of it: start fewer actors"
            )
            place = row.column_names.index(columns.ERROR)
            row = row.set_column(place, columns.ERROR, pa.array([reason], pa.string()))
        result = self._embed(row)
        self._attempts.end(document_id)
        return result
