"""What changes the documents of an index, and what reads them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

from longembed_index.documents.sources import Source, TextSource
from longembed_index.documents.tables import items_of, to_document
from longembed_index.index_reader import IndexReader, in_thread
from longembed_index.maintain.embed_ahead import EmbeddedAhead
from longembed_index.maintain.embedding import Embed
from longembed_index.maintain.ingest import ingest
from longembed_index.maintain.report import OnOutcome, OnStep, Report, with_steps

if TYPE_CHECKING:
    from longembed_index.store.protocol import Store


def ignore(*arguments: object) -> None:
    """Do nothing."""


class IndexWriter(IndexReader):
    """The part of an index that takes documents; see `longembed_index.index.Index`."""

    def add_documents(
        self,
        documents: Iterable[Any],
        *,
        on_outcome: OnOutcome = ignore,
        on_step: OnStep = ignore,
    ) -> Report:
        """Add documents, or replace those of the same id.

        A document that is equal to the stored one is left alone; if only its title or metadata
        have changed, it is not embedded again.

        Args:
            documents: Documents, or mappings with `id`, `text`, and perhaps `metadata` and `title`;
                or a table of pandas, Polars or Arrow with these columns. Other keys and columns
                become metadata. They are taken one by one, so that they need not fit into memory.
            on_outcome: The same as for `add`.
            on_step: The same as for `add`.

        Returns:
            What became of every document.

        Raises:
            ConfigError: If a mapping has no id or text, or values of other types.
            StoreError: If the store cannot be written.
        """
        sources: Iterable[Source] = map(TextSource, map(to_document, items_of(documents)))
        if isinstance(documents, Sequence):
            sources = list(sources)
        return self._ingest(sources, on_outcome=on_outcome, on_step=on_step)

    aadd_documents = in_thread(add_documents)

    def delete(self, ids: Iterable[str]) -> int:
        """Remove documents, and return how many there were.

        Args:
            ids: Their ids; those that do not exist are passed over.

        Raises:
            StoreError: If the store does not exist, or cannot be written.
        """
        self._resources.existing_store()
        with self.writing() as store:
            before = len(store)
            store.write([], delete=[ids] if isinstance(ids, str) else list(ids))
            return before - len(store)

    def drop_replaced(self) -> list[str]:
        """Delete the vectors that reindexing has kept, and return their names."""
        self._resources.existing_store()
        with self.writing() as store:
            return store.drop_replaced()

    def writing(
        self, *, on_step: OnStep = ignore, wait: float | None = None
    ) -> AbstractContextManager[Store]:
        """Open the store for writing, and bring the words up to date when the block ends.

        Other writers are kept out meanwhile. A new store is created.

        Args:
            on_step: The same as for `add`.
            wait: The seconds to wait for another writer; as the index was opened without it.
        """
        return self._resources.writing(on_step, wait)

    def _ingest(
        self,
        sources: Iterable[Source],
        embed: Embed | None = None,
        *,
        wait: float | None = None,
        on_outcome: OnOutcome = ignore,
        on_step: OnStep = ignore,
        finish: Callable[[Store, Report], None] = ignore,
        ahead: EmbeddedAhead | None = None,
        **options: Any,
    ) -> Report:
        model = None if embed is None else self.model
        total = sum(s.size for s in sources) if isinstance(sources, Sequence) else 0
        on_outcome = with_steps(on_outcome, on_step, total)
        with self._resources.writing(on_step, wait) as store:
            if embed is None:
                embed = self._resources.embedder(store, on_step)
                embed = embed if ahead is None else ahead.before(embed, store.info)
            elif model is not None:
                model.refuse_incompatible(store.info.provenance, "the store")
            report = ingest(sources, store, embed, on_outcome=on_outcome, **options)
            finish(store, report)
        self._resources.keep_query_encoder(report.tokens)
        return report
