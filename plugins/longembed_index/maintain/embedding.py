"""From texts to vectors: the model of an index, and embedding without one text spoiling others."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from longembed_index.document import Document, Record, Units
from longembed_index.documents.sentences import sentence_units
from longembed_index.store.vectors import unit_vectors
from longembed_st.base.coverage import Overflow
from longembed_st.base.extension import AUTO
from longembed_st.base.provenance import Provenance, refuse_unless_storable
from longembed_st.base.settings import ModelSettings
from longembed_st.base.unknown_tokens import unknown_words
from longembed_st.errors import ConfigError, LongEmbedError, ModelError
from longembed_st.extras import MissingExtraError
from longembed_st.loading.early import refuse_unknown_method

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from longembed_index.documents.parsed import LeftOut
    from longembed_index.store.protocol import Store
    from longembed_st.base.coverage import Coverage, QueryVectors
    from longembed_st.loading.cache import CachedModel
    from longembed_st.sentence_transformer.units import UnitVectors

BATCH_CHARACTERS = 65_536
"""Characters embedded between two commits: some seconds of work on a small CPU, lost if killed."""

RECORDS_AT_ONCE = 16
"""Records whose texts are held in memory at once; each may have megabytes."""

T = TypeVar("T")


@dataclass(frozen=True)
class Embedded:
    """The vector of a text, with its coverage and sentence units.

    Attributes:
        vector: A unit vector, shape (dimensions,).
        coverage: How much of the text it was computed from.
        units: The text's sentence units; None if they were not asked for.
    """

    vector: NDArray[np.float32]
    coverage: Coverage
    units: Units | None = None

    def record_of(
        self, document: Document, content_hash: str, left_out: tuple[LeftOut, ...] = ()
    ) -> Record:
        """Return the record of a document with this text, and the parts of its file not read."""
        return Record(document, self.vector, content_hash, self.coverage, self.units, left_out)


Embed = Callable[[list[str]], "list[Embedded | LongEmbedError]"]
"""From texts to what the model makes of each, or the error that the text alone gives."""


def embedder_of(model: CachedModel, units: bool) -> Embed:
    """Return what embeds documents with a model.

    Raises:
        ConfigError: If the model cannot make them.
    """
    if not units:
        return isolate_errors(lambda texts: _without_units(model, texts))
    refuse_without_offsets(model)
    return isolate_errors(lambda texts: _with_units(model, texts))


def encode_query(model: CachedModel, text: str) -> QueryVectors:
    """Return a question as unit vectors."""
    encoded = model.model.encode_query_twice(text)
    return replace(encoded, vector=unit_vectors(np.asarray(encoded.vector)))


def warn_of_query(model: CachedModel, text: str, coverage: Coverage, stacklevel: int) -> None:
    """Warn as `encode` does if not all of a question was read, or is known to the model."""
    overflow, config = Overflow(), model.model.long_transformer.extension
    overflow.count(text, coverage.tokens, coverage.read, config)
    words = partial(unknown_words, model.model.tokenizer, text)
    overflow.count_unknown(coverage.unknown, coverage.read, words)
    overflow.warn(config, stacklevel + 1)


def isolate_errors(read: Callable[[list[str]], list[Embedded]]) -> Embed:
    """Return an `Embed` that reads texts together, and each alone if one of them is at fault."""

    def embed(texts: list[str]) -> list[Embedded | LongEmbedError]:
        if not texts:
            return []
        try:
            results = read(texts)
        except MissingExtraError:
            raise
        except LongEmbedError as error:
            if len(texts) == 1:
                return [error]
            return [result for text in texts for result in embed([text])]
        return [_error_unless_finite(result) for result in results]

    return embed


def embed_distinct(embed: Embed, texts: Iterable[str]) -> dict[str, Embedded | LongEmbedError]:
    """Embed texts, equal ones once, and return the results by text."""
    distinct = list(dict.fromkeys(texts))
    return dict(zip(distinct, embed(distinct), strict=True))


def batches(items: Sequence[T], size: int = RECORDS_AT_ONCE) -> Iterator[Sequence[T]]:
    """Cut a sequence into parts."""
    for start in range(0, len(items), size):
        yield items[start : start + size]


def coverage_of(model: CachedModel, texts: Sequence[str]) -> list[Coverage]:
    """Return how much of each text a model would read, without reading it."""
    # Torch takes seconds to import, and a search by words alone needs no model.
    from longembed_st.base.long_model import coverage

    return coverage(model.model, texts)


def makes_units_cheaply(model: CachedModel) -> bool:
    """Return whether units cost little: the model reads texts to their end, and can make them."""
    return model.model.has_offsets and model.settings.max_seq_length is None


def refuse_without_offsets(model: CachedModel) -> None:
    """Raise `ConfigError` if a model cannot make the vectors of sentence units."""
    if not model.model.has_offsets:
        raise ConfigError(
            f"the model {model.settings.model_name} cannot make units: its tokenizer does not tell "
            "the characters of its tokens. Leave units out (units=False, --no-units)"
        )


def storable_model(settings: ModelSettings) -> CachedModel:
    """Return the model of settings that are going to be stored with its vectors.

    Raises:
        ConfigError: If a setting must not be stored, or is wrong for the model.
        ModelError: If the model cannot be loaded or cannot take the method.
    """
    refuse_unless_storable(settings)
    from longembed_st.loading.cache import cached_model

    return cached_model(with_absolute_paths(settings))


def with_absolute_paths(settings: ModelSettings) -> ModelSettings:
    """Return settings as they are stored: a relative path would mean another folder elsewhere."""
    paths = {
        name: Path(value)
        for name in ("model_name", "whitening")
        if (value := getattr(settings, name))
    }
    absolute = {
        name: str(path.resolve())
        for name, path in paths.items()
        if path.is_dir() or (name == "whitening" and path.is_file())
    }
    return settings.model_copy(update=absolute)


def model_of_store(stored: Provenance, settings: ModelSettings, directory: Path) -> CachedModel:
    """Return the model of a store; further settings must not change its vectors.

    Raises:
        ConfigError: If the settings would give other vectors.
        ModelError: If the model cannot be loaded.
    """
    stored = with_whitening_in_folder(stored, directory)
    loaded = storable_model(merged_settings(stored, settings))
    loaded.refuse_incompatible(stored, "the store")
    return loaded


def record_new_place(store: Store, model: CachedModel) -> None:
    """Store where the model and the whitening are now, if they have moved."""
    info, provenance = store.info, model.provenance.portable()
    stored, now = info.provenance.settings, provenance.settings
    if (stored.model_name, stored.whitening) != (now.model_name, now.whitening):
        store.update_info(replace(info, provenance=provenance))


def merged_settings(stored: Provenance, settings: ModelSettings) -> ModelSettings:
    """Return the settings of a store with further settings on top; loads no model.

    Raises:
        ConfigError: If they would give other vectors.
    """
    refuse_unknown_method(settings.method)
    if settings.explicit.get("method") == AUTO:
        settings = ModelSettings(**{k: v for k, v in settings.explicit.items() if k != "method"})
    wanted = settings.with_defaults(stored.settings)
    # A model that was moved has another name and the same vectors: only loading it tells.
    moved = stored.settings.model_copy(update={"model_name": wanted.model_name})
    if moved.differences(wanted):
        stored.refuse_incompatible(Provenance(wanted, None), "the store")
    return wanted


def with_whitening_in_folder(stored: Provenance, directory: Path) -> Provenance:
    """Return how a store's vectors were made, with its whitening where the store is now."""
    if stored.settings.whitening is None:
        return stored
    file = directory.resolve() / Path(stored.settings.whitening).name
    if not file.is_file():
        return stored
    return replace(stored, settings=stored.settings.model_copy(update={"whitening": str(file)}))


def _without_units(model: CachedModel, texts: list[str]) -> list[Embedded]:
    encoded = model.model.encode_with_coverage(texts, role="document")
    vectors = unit_vectors(encoded.vectors)
    return [Embedded(*pair) for pair in zip(vectors, encoded.coverages, strict=True)]


def _with_units(model: CachedModel, texts: list[str]) -> list[Embedded]:
    ranges = [sentence_units(text) for text in texts]
    return [
        Embedded(unit_vectors(read.document), read.coverage, units_of(read))
        for read in model.model.encode_units(texts, ranges)
    ]


def units_of(read: UnitVectors) -> Units:
    """Return the sentence units of a text as a store keeps them."""
    return Units(read.ranges, read.counts, read.vectors)


def _error_unless_finite(result: Embedded) -> Embedded | LongEmbedError:
    if np.isfinite(result.vector).all():
        return result
    return ModelError("the model gave a vector that is not finite; it was not stored")
