"""Count in how many documents each token of a model occurs."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from longembed_st.base.tokens import CONTENT
from longembed_st.sentence_transformer.transformer import LongTransformer


class DocumentFrequencies:
    """The document frequencies of tokens; memory does not grow with the documents.

    Args:
        reader: The model whose tokens are counted.
    """

    def __init__(self, reader: LongTransformer) -> None:
        self._reader = reader
        self._counts = np.zeros(len(reader.token_table))
        self.documents = 0

    def add(self, text: str) -> None:
        """Count a document.

        Args:
            text: The whole text; neither prompt nor special tokens are counted.
        """
        (tokens,) = self._reader.tokenize_texts([text], None)
        ids = np.asarray(tokens.ids)[np.asarray(tokens.parts) == CONTENT]
        self._counts[np.unique(ids)] += 1
        self.documents += 1

    def idf(self) -> NDArray[np.float32]:
        """Return the inverse document frequency of each token, as in BM25; it is never negative.

        idf(t) = ln(1 + (N - n(t) + 0.5) / (n(t) + 0.5)), with n(t) of N documents that have t
        (Robertson and Zaragoza 2009, section 3.1, with Lucene's 1 +). A token that no document has
        weighs the most. Special tokens count as if every document had them: they weigh next to
        nothing.

        Returns:
            Shape (vocabulary,).
        """
        counts = self._counts.copy()
        counts[self._reader.text_tokenizer.all_special_ids] = self.documents
        return np.log1p((self.documents - counts + 0.5) / (counts + 0.5)).astype(np.float32)
