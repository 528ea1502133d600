"""Sparse encoders and late-interaction models, all of whose documents are compared."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

import longembed_st as le
from longembed_bench.retrievers import Cost, Retriever, Scores
from longembed_bench.vectors import TextVectors, VectorFile, Vectors

_VECTORS_AT_ONCE = 2048
"""Vectors of queries that are compared with those of a document together."""


class Sparse(Retriever):
    """One sparse vector a document, as long as the vocabulary.

    Args:
        model: The model.
    """

    def __init__(self, model: le.LongSparseEncoder) -> None:
        self.revision = le.fingerprint(model).removeprefix("sha256:")
        self._model = model

    def read(self, documents: Sequence[str]) -> None:
        """Read the documents."""
        begin = time.perf_counter()
        vectors = []
        for text in documents:
            vectors.append(self._model.encode_document(text, convert_to_sparse_tensor=True).cpu())
            self.on_text()
        self._documents = torch.stack(vectors).coalesce()
        seconds = time.perf_counter() - begin
        prompt = self._model.prompt_of("document")
        coverages = le.coverage(self._model, list(documents), prompt=prompt)
        self._cost = Cost(
            documents=len(documents),
            vectors=len(documents),
            tokens=sum(coverage.tokens for coverage in coverages),
            read=sum(coverage.read for coverage in coverages),
            seconds=seconds,
            # A weight is a number and its place.
            width=round(2 * len(self._documents.values()) / len(documents)),
        )

    def score(self, queries: Sequence[str]) -> Scores:
        """Return the model's similarity of each document and each query."""
        asked = self._model.encode_query(list(queries), convert_to_sparse_tensor=True).cpu()
        return self._model.similarity(asked, self._documents).numpy().astype(np.float32)

    def cost(self) -> Cost:
        """Return what it took to read the documents."""
        return self._cost


class LateInteraction(Retriever):
    """A vector a token; the score is MaxSim.

    Args:
        model: The model.
        vectors: Where vectors are kept.
    """

    def __init__(self, model: le.LongMultiVectorEncoder, vectors: VectorFile) -> None:
        self._model, self._vectors = model, vectors
        self.revision = le.fingerprint(model).removeprefix("sha256:")

    def read(self, documents: Sequence[str]) -> None:
        """Read the documents; their vectors stay in the file, as they may not fit into memory."""
        self._texts = documents
        read = []
        for text in documents:
            read.append(self._read(text))
            self.on_text()
        self._cost = Cost(
            documents=len(documents),
            vectors=sum(len(document.vectors) for document in read),
            tokens=sum(document.tokens for document in read),
            read=sum(document.read for document in read),
            seconds=sum(document.seconds for document in read),
            width=read[0].vectors.shape[1],
        )

    def score(self, queries: Sequence[str]) -> Scores:
        """Return the MaxSim of each document and each query."""
        asked = query_vectors(self._model, queries)
        if self._model.similarity_fn_name == "meanmaxsim":
            asked = [vectors / np.float32(len(vectors)) for vectors in asked]
        scores = [maxsim(asked, self._read(text).vectors) for text in self._texts]
        return np.stack(scores, axis=1)

    def cost(self) -> Cost:
        """Return what it took to read the documents."""
        return self._cost

    def _read(self, text: str) -> TextVectors:
        def compute(group: list[str]) -> Iterable[tuple[Vectors, le.Coverage]]:
            prompt = self._model.prompt_of("document")
            coverages = le.coverage(self._model, group, prompt=prompt)
            vectors = (document_vectors(self._model, document) for document in group)
            return zip(vectors, coverages, strict=True)

        return self._vectors.read(f"sha256:{self.revision} tokens", [text], compute)[0]


def query_vectors(model: le.LongMultiVectorEncoder, queries: Sequence[str]) -> list[Vectors]:
    """Return the vectors of each query's tokens, shape (tokens, width)."""
    return [vectors.float().cpu().numpy() for vectors in model.encode_query(list(queries))]


def document_vectors(model: le.LongMultiVectorEncoder, document: str) -> Vectors:
    """Return the vectors of a document's tokens, shape (tokens, width)."""
    vectors: Vectors = model.encode_document(document).float().cpu().numpy()
    return vectors


def maxsim(queries: Sequence[Vectors], document: Vectors) -> NDArray[np.float32]:
    """Return `sum_i max_j q_i . d_j` of several queries (Khattab and Zaharia 2020, equation 3).

    Args:
        queries: For each query, shape (its vectors, width).
        document: Shape (vectors, width).

    Returns:
        Shape (queries,).
    """
    starts = np.cumsum([0, *map(len, queries[:-1])])
    flat, columns = torch.from_numpy(np.concatenate(list(queries))), torch.from_numpy(document).T
    best = [(part @ columns).amax(1) for part in flat.split(_VECTORS_AT_ONCE)]
    return np.add.reduceat(torch.cat(best).numpy(), starts).astype(np.float32)
