"""The open resources of an index: its store, the words of its documents, and its model."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from longembed_index.errors import StoreError, StoreReplacedError
from longembed_index.lexical.analyzer import LANGUAGES
from longembed_index.lexical.index import WordIndex
from longembed_index.maintain.embedding import (
    embedder_of,
    encode_query,
    makes_units_cheaply,
    merged_settings,
    model_of_store,
    record_new_place,
    refuse_without_offsets,
    storable_model,
    warn_of_query,
    with_absolute_paths,
    with_whitening_in_folder,
)
from longembed_index.maintain.report import OnStep, StepCounter
from longembed_index.search.ranking import Ranking
from longembed_index.search.searcher import Searcher
from longembed_index.store.kinds import open_store, read_info, writer_lock
from longembed_index.store.protocol import StoreInfo
from longembed_st.backends.query_encoder import query_encoder
from longembed_st.base.fork_gate import ForkSafeLock
from longembed_st.base.settings import ModelSettings
from longembed_st.base.texts import escaped
from longembed_st.errors import ConfigError

if TYPE_CHECKING:
    from longembed_index.maintain.embedding import Embed
    from longembed_index.store.protocol import LexicalIndex, Store
    from longembed_st.backends.query_encoder import QueryEncoder
    from longembed_st.base.coverage import Coverage, QueryVectors
    from longembed_st.base.provenance import Provenance
    from longembed_st.loading.cache import CachedModel


_MANY_TOKENS = 5_000
"""Embedding so many takes about as long as writing an encoder of queries."""


class Resources:
    """The store, words and model of an index, each opened when it is first needed.

    Several threads can share it, and a child process can go on using it after a fork.

    Args:
        directory: The folder of the store.
        collection: The collection in it.
        kind: The kind of a new store; None for the default.
        settings: For a new store, the settings of its model. For an existing one, settings that
            override those of the store.
        units: Whether a new store has units; None for the default.
        language: The language of a new store's words; None to guess it.
        wait: The seconds to wait for another writer.

    Attributes:
        new_ranking: The ranking settings of a new store.
    """

    def __init__(
        self,
        directory: Path,
        collection: str,
        kind: str | None,
        settings: ModelSettings,
        *,
        units: bool | None = None,
        language: str | None = None,
        wait: float = 0,
    ) -> None:
        self.directory, self.collection, self.kind = directory, collection, kind
        self._settings = settings
        self._settings_for: str | None = None
        """The fingerprint of the vectors that the settings were given for."""
        self.new_ranking = Ranking()
        self._units, self._language, self._wait = units, language, wait
        self._lock = ForkSafeLock()
        self._store: Store | None = None
        self._searcher: Searcher | None = None
        self._words: LexicalIndex | None = None
        self._model: CachedModel | None = None
        self._is_closed = False

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the arguments, but nothing that is open."""
        options: dict[str, Any] = {
            "units": self._units,
            "language": self._language,
            "wait": self._wait,
        }
        arguments = (self.directory, self.collection, self.kind, self._settings)
        return partial(Resources, **options), arguments

    def check(self) -> None:
        """Raise if the arguments do not fit the stored index.

        Raises:
            ConfigError: If a setting is wrong, or would change the vectors.
            StoreError: If there is no store and no model was named, or the store cannot be read.
        """
        place = escaped(self.directory)
        if self._language is not None and self._language not in LANGUAGES:
            known = ", ".join(LANGUAGES)
            raise ConfigError(f"language must be one of {known}, not {self._language!r}")
        store = self.store()
        if store is None:
            if self.settings.model_name is None:
                raise StoreError(
                    f"there is no index in {place}. Name another folder, or make one: run "
                    "`longembed index`, or open it with a model and add documents"
                )
            return
        info = store.info
        if self.settings.explicit:
            merged_settings(info.provenance, self.settings)
        if self._units not in (None, info.units):
            raise ConfigError(
                f"the index in {place} was made {'with' if info.units else 'without'} units. To "
                f"change that, run `longembed reindex`, or call reindex(units={self._units})"
            )
        if self._language is not None:
            language = info.language or self.words().language
            if language not in (None, self._language):
                raise ConfigError(
                    f"the language of the index in {place} is {language}, not {self._language}. "
                    "Leave the language out, or make a new index"
                )

    def new_info(self) -> StoreInfo:
        """Load the model, and return the description of a new store."""
        model = self.model(None)
        if self._units:
            refuse_without_offsets(model)
        units = makes_units_cheaply(model) if self._units is None else self._units
        return StoreInfo(model.provenance.portable(), units, self._language, self.new_ranking)

    @contextmanager
    def writing(self, on_step: OnStep, wait: float | None = None) -> Iterator[Store]:
        """Open the store for writing, and bring the words up to date when the block ends.

        Other processes cannot write until then. A store that does not exist is created.
        """
        create = None if self.store() is not None else self.new_info()
        with writer_lock(self.directory, self._wait if wait is None else wait):
            store = open_store(
                self.directory, self.collection, self.kind, create=create, write=True
            )
            try:
                yield store
                if store.lexical() is None:
                    words = WordIndex(self.directory, self.collection)
                    words.update(store, StepCounter(on_step, "words"))
            finally:
                store.close()

    @property
    def settings(self) -> ModelSettings:
        """Return the settings that override those of the store.

        After another process has reindexed, only the settings of this machine are kept.
        """
        store = self._opened()
        with self._lock:
            if store is not None:
                fingerprint = store.info.provenance.fingerprint
                if fingerprint != self._settings_for:
                    self._settings = of_this_machine(self._settings)
                self._settings_for = fingerprint
            return self._settings

    @property
    def is_model_loaded(self) -> bool:
        """Return whether the model is loaded already."""
        return self._model is not None

    def store(self) -> Store | None:
        """Return the store, open for reading; None if it does not exist yet.

        If it was deleted and made anew since it was opened, the new one is opened.

        Raises:
            StoreError: If it cannot be read, or the index is closed.
        """
        store = self._opened()
        if store is not None and _is_replaced(store):
            with self._lock:
                if self._store is store:
                    store.close()
                    self._store = self._searcher = self._words = None
            store = self._opened()
        return store

    def _opened(self) -> Store | None:
        with self._lock:
            if self._is_closed:
                raise StoreError(f"the index in {escaped(self.directory)} is closed. Open it again")
            if self._store is None:
                place = (self.directory, self.collection, self.kind)
                if read_info(*place) is not None:
                    self._store = open_store(*place)
                    if self._settings_for is None:
                        self._settings_for = self._store.info.provenance.fingerprint
            return self._store

    def existing_store(self) -> Store:
        """Return the store, open for reading.

        Raises:
            StoreError: If it does not exist yet, or cannot be read.
        """
        store = self.store()
        if store is None:
            raise StoreError(
                f"there is no index in {escaped(self.directory)} yet. Add documents to make one, "
                "or name another folder"
            )
        return store

    def searcher(self) -> Searcher:
        """Return the searcher of the store."""
        with self._lock:
            store = self.existing_store()
            if self._searcher is None:
                self._searcher = Searcher(store, self.words)
            return self._searcher

    def words(self) -> LexicalIndex:
        """Return the index of the store's words, brought up to date."""
        with self._lock:
            store = self.existing_store()
            words = self._words
            if words is None:
                words = store.lexical() or WordIndex(self.directory, self.collection)
                self._words = words
        if isinstance(words, WordIndex):
            words.update(store)
        return words

    def model(self, provenance: Provenance | None) -> CachedModel:
        """Return the model; it is loaded once and then kept.

        Args:
            provenance: How the vectors of the store were made; None for the model of a new store.

        Raises:
            ConfigError: If the settings would change the vectors.
            ModelError: If the model cannot be loaded.
        """
        with self._lock:
            if self._model is None or not (
                provenance is None or self._model.is_compatible(provenance)
            ):
                settings = self.settings
                if provenance is None:
                    self._model = storable_model(settings)
                else:
                    self._model = model_of_store(provenance, settings, self.directory)
            return self._model

    def query_vectors(self, provenance: Provenance, text: str) -> QueryVectors:
        """Return a question as unit vectors, by the query encoder if there is one.

        Raises:
            ConfigError: If the settings would change the vectors.
            ModelError: If the model is needed and cannot be loaded.
        """
        encoder = self._query_encoder(provenance)
        encoded = None if encoder is None else encoder.encode(text)
        return encode_query(self.model(provenance), text) if encoded is None else encoded

    def warn_of_query(
        self, provenance: Provenance, text: str, coverage: Coverage, stacklevel: int
    ) -> None:
        """Warn as `encode` does if not all of a question was read, or is known to the model."""
        if coverage.read < coverage.tokens or coverage.is_unknown:
            warn_of_query(self.model(provenance), text, coverage, stacklevel + 1)

    def embedder(self, store: Store, on_step: OnStep) -> Embed:
        """Return what embeds documents for a store, and loads the model with the first of them.

        If the settings name the model otherwise than the store, or its whitening was moved with the
        store, it is loaded and compared at once.

        Raises:
            ConfigError: If the settings would change the vectors.
            ModelError: If the model is loaded at once, and cannot be.
        """

        @cache
        def embed_by_model() -> Embed:
            if not self.is_model_loaded:
                on_step("model", 0, 1)
            model = self.model(store.info.provenance)
            record_new_place(store, model)
            return embedder_of(model, store.info.units)

        stored = store.info.provenance
        named = with_absolute_paths(self.settings).model_name
        is_elsewhere = named not in (None, stored.settings.model_name)
        if is_elsewhere or with_whitening_in_folder(stored, self.directory) != stored:
            embed_by_model()
        return lambda texts: embed_by_model()(texts)

    @property
    def needs_model(self) -> bool:
        """Return whether a question of usual length waits until the model is loaded."""
        return (
            self._model is None
            and self._query_encoder(self.existing_store().info.provenance) is None
        )

    def keep_query_encoder(self, tokens: int) -> None:
        """Write the encoder of queries, which takes seconds, if a run embedded many tokens."""
        if tokens < _MANY_TOKENS or self._model is None:
            return
        from longembed_st.loading.query_export import export_query_encoder

        export_query_encoder(self._model.model, self._model.fingerprint)

    def _query_encoder(self, provenance: Provenance) -> QueryEncoder | None:
        """Return the encoder of the store's model, unless settings ask for something else."""
        stored, explicit = provenance.settings, self.settings.explicit
        wanted = {name: value for name, value in explicit.items() if name != "cache_folder"}
        if any(getattr(stored, name) != value for name, value in wanted.items()):
            return None
        return query_encoder(provenance.fingerprint)

    def use(self, model: CachedModel) -> None:
        """Use a loaded model from now on; the store has its vectors, or is about to get them."""
        with self._lock:
            self._model = model

    def close(self) -> None:
        """Release files, connections and the model."""
        with self._lock:
            if self._store is not None:
                self._store.close()
            self._store = self._searcher = self._words = self._model = None
            self._is_closed = True


def _is_replaced(store: Store) -> bool:
    """Return whether another store has taken the place of an open one."""
    try:
        _ = store.generation
    except StoreReplacedError:
        return True
    except StoreError:
        # Whoever reads the store is told.
        return False
    return False


def of_this_machine(settings: ModelSettings) -> ModelSettings:
    """Return the settings that belong to a machine and not to a store."""
    names = ("device", "cache_folder")
    return ModelSettings(**{k: v for k, v in settings.explicit.items() if k in names})
