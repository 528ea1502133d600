"""Score documents by words, as `longembed search` does."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray

from longembed_index.document import Document, Record
from longembed_index.lexical.index import WordIndex
from longembed_index.search.scores import lexical_scores
from longembed_index.store.memory import MemoryStore
from longembed_index.store.protocol import StoreInfo
from longembed_st.base.coverage import Coverage
from longembed_st.base.provenance import Provenance
from longembed_st.base.settings import ModelSettings


class LexicalScorer:
    """Score documents by their words."""

    def __init__(self, documents: Sequence[str]) -> None:
        self._ids = [f"{number:09}" for number in range(len(documents))]
        no_vector, no_model = np.ones(1, dtype=np.float32), ModelSettings(model_name="none")
        store = MemoryStore(StoreInfo(Provenance(no_model, None)))
        store.write(
            [
                Record(Document(key, text), no_vector, key, Coverage(0, 0, 0))
                for key, text in zip(self._ids, documents, strict=True)
            ]
        )
        self._folder = TemporaryDirectory(prefix="longembed-")
        self._words = WordIndex(Path(self._folder.name), "documents")
        self._words.update(store)

    def score(self, query: str) -> NDArray[np.float32]:
        """Return the scores of all documents for a query, shape (documents,), from 0 to 1."""
        words = self._words.query(query)
        scores = lexical_scores(self._ids, words.scores(self._ids), words.highest)
        return np.asarray(scores.totals, dtype=np.float32)
