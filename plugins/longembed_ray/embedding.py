"""The actor that embeds: it loads its model once, and one bad document fails no other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from longembed_index.maintain.embedding import Embedded, embedder_of, storable_model
from longembed_ray import columns
from longembed_st.base.settings import ModelSettings
from longembed_st.errors import ConfigError, LongEmbedError
from longembed_st.extras import needs_extra

if TYPE_CHECKING:
    import pyarrow as pa  # type: ignore[import-untyped]


_COVERAGE = {columns.TOKENS: "tokens", columns.READ: "read", columns.WINDOWS: "passes"}


class EmbedDocuments:
    """Embed rows of documents, for `map_batches` of a Ray Dataset; see docs/CLUSTER.md.

    Rows need a column `text`; all others are passed on. Rows that have an `error` already are not
    embedded. Texts of similar length in a batch go through the model together.

    Args:
        settings: The model and its settings, as `ModelSettings` or as its keywords.
        units: Whether to compute the sentence units of each document, too.
        fingerprint: The fingerprint that the model must have; None to accept any. A machine with
            another version of a library would make vectors that cannot be compared.

    Raises:
        ConfigError: If a setting is wrong, or the fingerprint is another one.
        ModelError: If the model cannot be loaded.
    """

    def __init__(
        self,
        settings: ModelSettings | Mapping[str, Any],
        *,
        units: bool = False,
        fingerprint: str | None = None,
    ) -> None:
        if not isinstance(settings, ModelSettings):
            settings = ModelSettings.from_keywords(**settings)
        model = storable_model(settings)
        if fingerprint not in (None, model.fingerprint):
            raise ConfigError(
                f"the model has the fingerprint {model.fingerprint} on this machine, not "
                f"{fingerprint}: its weights or the versions of the libraries differ. Install the "
                "same versions on all machines"
            )
        self._embed = embedder_of(model, units)
        self._width = model.model.get_embedding_dimension()
        self._units = units

    def __call__(self, rows: pa.Table) -> pa.Table:
        """Embed a batch.

        Args:
            rows: The documents; `text` is null where there is none.

        Returns:
            The rows in the same order, with `vector` (float32, as wide as the model's vectors),
            `tokens`, `read`, `windows`, and `error`, which is null if the document was embedded;
            with units also `unit_ranges` (start and end of each, one after the other, in
            characters), `unit_counts` (tokens) and `unit_vectors` (float16; see
            `longembed_index.document.Units`).
        """
        with needs_extra("ray", "pyarrow"):
            import pyarrow as pa
        texts = rows[columns.TEXT].to_pylist()
        has_errors = columns.ERROR in rows.column_names
        errors = rows[columns.ERROR].to_pylist() if has_errors else [None] * len(texts)
        wanted = [n for n, text in enumerate(texts) if text is not None and errors[n] is None]
        results: list[Embedded | None] = [None] * len(texts)
        embedded = self._embed([texts[n] for n in wanted])
        for n, result in zip(wanted, embedded, strict=True):
            if isinstance(result, LongEmbedError):
                errors[n] = str(result)
            else:
                results[n] = result
        new = {
            columns.VECTOR: pa.array(
                [result and result.vector for result in results],
                pa.list_(pa.float32(), self._width),
            ),
            columns.ERROR: pa.array(errors, pa.string()),
        }
        for name, field in _COVERAGE.items():
            counts = [result and getattr(result.coverage, field) for result in results]
            new[name] = pa.array(counts, pa.int64())
        if self._units:
            new |= self._unit_columns(results)
        for name, column in new.items():
            if name in rows.column_names:
                rows = rows.drop_columns([name])
            rows = rows.append_column(name, column)
        return rows

    def _unit_columns(self, results: Sequence[Embedded | None]) -> dict[str, pa.Array]:
        import pyarrow as pa

        units = [result and result.units for result in results]
        ranges = [item and item.ranges.reshape(-1) for item in units]
        counts = [item and item.counts for item in units]
        vectors = [item and list(item.vectors.astype(np.float16)) for item in units]
        return {
            columns.UNIT_RANGES: pa.array(ranges, pa.list_(pa.int64())),
            columns.UNIT_COUNTS: pa.array(counts, pa.list_(pa.int64())),
            columns.UNIT_VECTORS: pa.array(vectors, pa.list_(pa.list_(pa.float16()))),
        }
