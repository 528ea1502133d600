"""The index: documents with their vectors and words, in one place on disk."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

# SKELETON by the lead: signatures and docstrings are agreed, bodies belong to "maintain".


class Index:
    """Documents that can be searched by words and vectors, in a store on disk.

    It is opened once and answers many questions. Threads may share it, a forked child may go on
    using it, and other processes may write to the store meanwhile: the next search sees what they
    wrote.

    Example:
        ```python
        from longembed_index import Document, Index

        with Index.open("./store", model="thenlper/gte-small") as index:
            index.add("reports/")
            index.add_documents([Document("contract-17", "All of its text.", {"year": 2019})])
            for hit in index.search("who approved the budget?", k=5, where={"year": 2019}):
                print(hit.score, hit.document.title, hit.passages[0].text)
        ```
    """

    @classmethod
    def open(
        cls,
        store: str | os.PathLike[str],
        model: str | None = None,
        *,
        collection: str = "documents",
        kind: str | None = None,
        spans: bool | None = None,
        language: str | None = None,
        wait: float = 0,
        **settings: Any,
    ) -> Index:
        """Open an index, or prepare a new one, which is written with its first documents.

        Args:
            store: Its folder, with the kind of a new store before it (`lancedb:DIR`), or an address
                in an object store (`lancedb:s3://bucket/store`).
            model: Name or folder of the model. An existing index has its own; give it only if the
                model was moved. Without it, an index that does not exist is an error.
            collection: The collection in the store.
            kind: The kind of a new store: sqlite, lancedb, chroma or an installed one.
            spans: Whether a new index has the vectors of parts of documents, too; by default if
                the method reads texts of any length.
            language: The language of the words of a new index; guessed from the first documents.
            wait: The seconds to wait for another writer, in each method that writes.
            **settings: As for `longembed_st.load`: method, max_seq_length, device and others.

        Raises:
            ConfigError: If settings are wrong, or would give other vectors than the stored ones.
            StoreError: If there is no index and no model, or the store cannot be read.
        """

    # Reading: search(query, k, *, passages, where, mode, weight, reranker, candidates, on_read)
    #   -> list[Hit]; documents(patterns, where) -> Iterator[Entry]; get(id) -> Document | None;
    #   __len__; stats() -> Stats (dataclass); export(path, where, vectors); info -> StoreInfo;
    #   ranking (property with setter); model (CachedModel, loaded when first needed);
    #   is_model_loaded; generation.
    # Writing: add(*paths, include, exclude, prune, prune_empty_root, whiten, limits, on_outcome)
    #   -> Report; add_documents(documents, *, on_outcome) -> Report; delete(ids) -> int;
    #   reindex(*, whiten, drop_old, allow_missing, restart, on_outcome, **settings) -> Reindexed;
    #   verify(); watch(paths, ...); dry_run(*paths) -> DryRun.
    # close, __enter__, __exit__.
