"""From a question to the documents of a store on disk, with the store's own model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property, partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from longembed_index.addresses import address_of
from longembed_index.embedding import ROWS, batches
from longembed_index.errors import StoreError
from longembed_index.hybrid import FEW, catch_up, question_of, search_hybrid
from longembed_index.lexical import WordFile
from longembed_index.modes import CANDIDATES, Mode, Ranking, read_ranking
from longembed_index.opening import COLLECTION, open_store, read_provenance, spans_in
from longembed_index.passages import DocumentHit, first_distinct, search_dense, with_best_sentence
from longembed_index.reranking import reranked
from longembed_index.spans import SpanKeeper, SpannedStore
from longembed_index.word_index import RanksWords
from longembed_st.base.extension import AUTO
from longembed_st.base.provenance import Provenance
from longembed_st.base.settings import ModelSettings
from longembed_st.base.texts import escaped, has_text
from longembed_st.errors import ConfigError

if TYPE_CHECKING:
    from longembed_index.store import Store
    from longembed_index.word_index import WordIndex
    from longembed_st.base.coverage import Coverage
    from longembed_st.base.reranking import Reranker
    from longembed_st.loading.cache import CachedModel


class Finder:
    """Answers questions from a store; whoever writes to it is not stopped.

    Args:
        store: Its folder, or what else may stand after `--store`; see `addresses.address_of`.
        collection: The collection in it.
        given: The device, or where the model is now; nothing that changes vectors.

    Raises:
        ConfigError: If there is no such store.
        StoreError: If the store cannot be read.
    """

    def __init__(
        self,
        store: Path | str,
        *,
        collection: str = COLLECTION,
        given: ModelSettings | None = None,
    ) -> None:
        directory = address_of(str(store)).directory
        stored = read_provenance(directory, collection)
        if stored is None:
            raise ConfigError(
                f"there is no store in {escaped(directory)}. Make one: longembed index PATH... "
                f"--store {escaped(directory)}"
            )
        self._stored, self._given = stored, given or ModelSettings()
        self._directory, self._collection = directory, collection
        self._words: WordFile | None = None
        self._temporary: TemporaryDirectory[str] | None = None

    @cached_property
    def loaded(self) -> CachedModel:
        """The store's model, loaded when it is first asked for: words need none.

        Raises:
            ConfigError: If a setting would give other vectors.
            ModelError: If the model cannot be loaded.
        """
        return model_of_store(self._stored, self._given, self._directory)

    @property
    def model_name(self) -> str:
        """Where the store's model is."""
        return str(self._given.model_name or self._stored.settings.model_name)

    @property
    def is_loaded(self) -> bool:
        """Whether the model is there already."""
        return "loaded" in self.__dict__

    @property
    def ranking(self) -> Ranking:
        """How the store is searched unless a search says otherwise."""
        return read_ranking(self._directory, self._collection)

    @property
    def has_spans(self) -> bool:
        """Whether the store keeps spans, so that there are passages."""
        return self._spans.exists

    def has_passages(self, mode: Mode | None = None) -> bool:
        """Whether documents are found with passages: by their spans, or by their words.

        Args:
            mode: As for `find`.
        """
        return self.has_spans or self.ranking.but(mode, None).mode != "dense"

    @cached_property
    def _spans(self) -> SpanKeeper:
        return spans_in(self._directory, self._collection)

    def find(
        self,
        query: str,
        k: int = 5,
        *,
        passages: int = 1,
        where: Mapping[str, str] | None = None,
        mode: Mode | None = None,
        weight: float | None = None,
        reranker: Reranker | None = None,
        candidates: int = CANDIDATES,
        on_read: Callable[[int, int], None] | None = None,
    ) -> tuple[list[DocumentHit], Coverage | None]:
        """The documents that answer a question best.

        Args:
            query: What to look for.
            k: The most documents; those of one text count as one.
            passages: The most passages of each; the best one with its best sentence.
            where: What the documents' metadata must be; see `records.meets`.
            mode: "dense", by vectors; "lexical", by words; "hybrid", by both; None as the store
                was told, or "hybrid".
            weight: Of the vectors in a hybrid search, from 0 to 1; None as the store was told, or
                the default.
            reranker: Reads the best documents together with the query, and orders them anew.
            candidates: How many it reads, at least k.
            on_read: Called while it reads, with how many it has read and is to.

        Returns:
            The best first, none if no document meets what is asked for; and what was read of the
            query, None if by words alone.

        Raises:
            ConfigError: If the query is blank, the store is empty, or an argument out of range.
            ModelError: If the model is asked for and cannot be loaded.
            StoreError: If the store cannot be read, or vectors of it are lost.
        """
        ranking = self.ranking.but(mode, weight)
        mode, weight = ranking.mode, ranking.weight
        refuse_blank(query)
        question = question_of(query)
        vector: Any = None
        coverage: Coverage | None = None
        if mode != "lexical":
            refuse_blank(question.text)
            encoded = self.loaded.model.encode_with_coverage([question.text], role="query")
            vector, coverage = encoded.vectors[0], encoded.coverages[0]
        loaded = None if mode == "lexical" else self.loaded
        with open_store(self._directory, loaded, collection=self._collection) as opened:
            if not len(opened):
                raise ConfigError(f"the store in {escaped(self._directory)} is empty")
            store = SpannedStore(opened, self._spans) if self.has_spans else opened
            words = None if mode == "dense" and not question.phrases else self._words_of(opened)
            if words is None:
                ask = partial(search_dense, store, vector, passages=passages, where=where)
            else:
                ask = partial(
                    search_hybrid,
                    store,
                    words,
                    question,
                    vector,
                    weight=1.0 if mode == "dense" else weight,
                    passages=passages,
                    where=where,
                )
            wanted = k if reranker is None else max(k, candidates)
            found = first_distinct(ask, wanted)
            if not found and where:
                _refuse_unknown(opened, where)

        if reranker is not None:
            refuse_blank(question.text)
            found = reranked(found, question.text, reranker, passages=passages, on_read=on_read)[:k]

        def rank(text: str, ranges: list[tuple[int, int]]) -> Any:
            if vector is None and words is not None:
                return words.ask(question.text).text_scores(text, ranges)
            return self.loaded.model.encode_ranges(text, ranges) @ vector

        return [with_best_sentence(one, rank) for one in found], coverage

    def _words_of(self, store: Store) -> WordIndex:
        """The store's own, or a file's, up to date; in a temporary folder if need be."""
        if isinstance(store, RanksWords):
            return store.word_index
        words = self._words or WordFile(self._directory, self._collection)
        # Of a large store, only the number is compared at every search.
        if len(store) <= FEW or len(words) != len(store):
            try:
                catch_up(store, words)
            except StoreError:
                self._temporary = TemporaryDirectory(prefix="longembed-")
                words = WordFile(Path(self._temporary.name), self._collection)
                catch_up(store, words)
        self._words = words
        return words


def _refuse_unknown(store: Store, where: Mapping[str, str]) -> None:
    """Raise `ConfigError` if no document has a key that is asked for: a typing error, mostly."""
    ids = [record_id for record_id, _ in store.names()]
    known = {key for part in batches(ids, ROWS) for r in store.get(part) for key in r.metadata}
    unknown = sorted(where.keys() - known)
    if unknown:
        raise ConfigError(
            f"no document of the store has {unknown[0]!r} in its metadata, only "
            f"{', '.join(sorted(known))}"
        )


def refuse_blank(query: str) -> None:
    """Raise `ConfigError` for a query that would rank noise.

    Args:
        query: What to look for.
    """
    if not has_text(query):
        raise ConfigError("the query is blank: nothing in it can be seen")


def model_of_store(stored: Provenance, given: ModelSettings, directory: Path) -> CachedModel:
    """The model of a store; what is given on top must not change its vectors.

    Args:
        stored: How the vectors were made.
        given: Settings on top: the device, or another place of the same model.
        directory: The store's folder.

    Raises:
        ConfigError: If they would give other vectors.
        ModelError: If the model cannot be loaded.
    """
    # They bring the libraries that models need, which take seconds to import.
    from longembed_index.embedding import storable_model
    from longembed_index.whitening import located

    stored = located(stored, directory)
    if given.explicit.get("method") == AUTO:
        given = ModelSettings(**{k: v for k, v in given.explicit.items() if k != "method"})
    wanted = given.with_defaults(stored.settings)
    # A model that was moved has another name and the same vectors: only loading it tells.
    moved = stored.settings.model_copy(update={"model_name": wanted.model_name})
    if moved.differences(wanted):
        stored.refuse_incompatible(Provenance(wanted, None), "the store")
    loaded = storable_model(wanted)
    loaded.refuse_incompatible(stored, "the store")
    return loaded
