"""The actor that embeds: its model is loaded once, and one bad document fails no batch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from longembed_index.embedding import document_embedder, embed_each, storable_model
from longembed_index.records import COUNTS, Record, counts
from longembed_index.spans import DocumentSpans, SpanEmbedder
from longembed_st.base.settings import ModelSettings
from longembed_st.errors import ConfigError, LongEmbedError
from longembed_st.extras import needs_extra

if TYPE_CHECKING:
    import pyarrow as pa  # type: ignore[import-untyped]

TEXT, ERROR, VECTOR = "text", "error", "vector"
SPAN_RANGES, SPAN_VECTORS = "span_ranges", "span_vectors"


class EmbedDocuments:
    """Embeds rows of documents, for `map_batches` of a Ray Dataset; see docs/CLUSTER.md.

    Rows need a column `text`; all others are passed on. Those that have an `error` already are left
    alone. Within a batch, texts of like length are read together.

    Args:
        settings: Of the model, as `ModelSettings` or its keywords.
        spans: Whether the vectors of every part are wanted, too.
        fingerprint: What the model must have; None if any is right. Machines with other versions of
            a library would make vectors that cannot be compared.

    Raises:
        ConfigError: If a setting is wrong, or the fingerprint another.
        ModelError: If the model cannot be loaded.
    """

    def __init__(
        self,
        settings: ModelSettings | Mapping[str, Any],
        *,
        spans: bool = False,
        fingerprint: str | None = None,
    ) -> None:
        if not isinstance(settings, ModelSettings):
            settings = ModelSettings.from_keywords(**settings)
        self._model = storable_model(settings)
        if fingerprint not in (None, self._model.fingerprint):
            raise ConfigError(
                f"the model has the fingerprint {self._model.fingerprint} on this machine, not "
                f"{fingerprint}: its weights, or the versions of the libraries, are others"
            )
        self._spans = spans

    def __call__(self, rows: pa.Table) -> pa.Table:
        """Embed a batch.

        Args:
            rows: With `text`; null where there is none.

        Returns:
            The rows in the same order, and `vector` (float32, of the model's width), `tokens`,
            `read`, `windows`, and `error`, null of a document that was embedded; where spans are
            wanted, `span_ranges` (start and end of each in turn, in characters) and `span_vectors`.
        """
        with needs_extra("ray", "pyarrow"):
            import pyarrow as pa
        texts = rows[TEXT].to_pylist()
        errors = rows[ERROR].to_pylist() if ERROR in rows.column_names else [None] * len(rows)
        wanted = [n for n, text in enumerate(texts) if text is not None and errors[n] is None]
        embedder = SpanEmbedder(self._model.model.encode_spans)
        embed = embedder if self._spans else document_embedder(self._model)
        results: list[Any] = [None] * len(texts)
        for place, result in zip(
            wanted, embed_each([texts[n] for n in wanted], embed), strict=True
        ):
            if isinstance(result, LongEmbedError):
                errors[place] = str(result)
            else:
                results[place] = result
        coverages = [None if one is None else counts(one[1]) for one in results]
        width = self._model.model.get_embedding_dimension()
        columns: dict[str, pa.Array] = {
            VECTOR: pa.array(
                [None if one is None else np.asarray(one[0], dtype=np.float32) for one in results],
                pa.list_(pa.float32(), width),
            ),
            **{
                name: pa.array([one and one[name] for one in coverages], pa.int64())
                for name in COUNTS
            },
            ERROR: pa.array(errors, pa.string()),
        }
        if self._spans:
            embedded = [
                Record(str(n), texts[n], None, {})
                for n, one in enumerate(results)
                if one is not None
            ]
            columns |= _span_columns(embedder.spans_of(embedded), len(texts), width)
        for name, column in columns.items():
            if name in rows.column_names:
                rows = rows.drop_columns([name])
            rows = rows.append_column(name, column)
        return rows


def _span_columns(found: list[DocumentSpans], count: int, width: Any) -> dict[str, Any]:
    """The spans of some of the rows, whose ids are their places."""
    import pyarrow as pa

    by_place = {int(one.id): one for one in found}
    spans = [by_place.get(n) for n in range(count)]
    return {
        SPAN_RANGES: pa.array(
            [None if one is None else one.ranges.reshape(-1) for one in spans],
            pa.list_(pa.int64()),
        ),
        SPAN_VECTORS: pa.array(
            [None if one is None else list(one.vectors.astype(np.float16)) for one in spans],
            pa.list_(pa.list_(pa.float16(), width)),
        ),
    }
