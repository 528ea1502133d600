"""Other classes of models as search models: sparse, late interaction, and rerankers."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sentence_transformers.util import quantize_embeddings

import longembed_st as le
from longembed_bench.retrievers import Found, Reading, Retriever, Scores, digest, document_texts
from longembed_bench.runs import RerankChoice, TokenChoice
from longembed_bench.vectors import DocumentCache
from longembed_st.errors import ConfigError

Score = Callable[[list[str], str], Sequence[float]]
"""From ids of queries and a document's text to a score for each query."""

_VECTORS_AT_ONCE = 2048
"""Vectors of queries that are compared with those of a document together."""

_BITS = {"float32": 32, "int8": 8, "binary": 1}


class Sparse(Retriever):
    """One sparse vector a document, as long as the vocabulary.

    Args:
        full_name: See `Retriever`.
        model: The model.
    """

    def __init__(self, full_name: str, model: le.LongSparseEncoder) -> None:
        super().__init__(full_name, le.fingerprint(model).removeprefix("sha256:"))
        self._model = model

    def _read_documents(self, texts: list[str]) -> None:
        begin = time.perf_counter()
        vectors = []
        for text in texts:
            vectors.append(self._model.encode_document(text, convert_to_sparse_tensor=True).cpu())
            self.on_texts(1)
        self._documents = torch.stack(vectors).coalesce()
        self._seconds = time.perf_counter() - begin
        self._query_seconds = 0.0
        self._counts = le.coverage(self._model, texts, prompt=self._model.prompt_of("document"))

    def _score(self, queries: list[str]) -> Scores:
        begin = time.perf_counter()
        asked = self._model.encode_query(queries, convert_to_sparse_tensor=True).cpu()
        scores = self._model.similarity(asked, self._documents)
        self._query_seconds += time.perf_counter() - begin
        return scores.numpy().astype(np.float32)

    def _reading(self, documents: int) -> Reading:
        weights = len(self._documents.values())
        return Reading(
            documents=documents,
            vectors=documents,
            tokens=sum(one.tokens for one in self._counts),
            read=sum(one.read for one in self._counts),
            seconds=self._seconds,
            query_seconds=self._query_seconds,
            # A weight is a number and its place.
            width=round(2 * weights / documents),
        )


class LateInteraction(Retriever):
    """A vector a token; the score is MaxSim, over all documents.

    Args:
        full_name: See `Retriever`.
        model: The model.
        choice: What is kept of the vectors.
        cache: Where they are kept, unpooled by the model's own settings and in single precision.
    """

    def __init__(
        self,
        full_name: str,
        model: le.LongMultiVectorEncoder,
        choice: TokenChoice,
        cache: DocumentCache,
    ) -> None:
        fingerprint = le.fingerprint(model)
        super().__init__(full_name, digest(fingerprint, f"{choice.pool} {choice.precision}"))
        self._model, self._choice, self._cache = model, choice, cache

    def _read_documents(self, texts: list[str]) -> None:
        self._query_seconds = self._seconds = 0.0
        self._vectors = self._width = 0
        self._texts = texts
        for text in texts:
            vectors, seconds = self._cache.read(self._model, text)
            self._vectors += len(vectors)
            self._width = vectors.shape[1]
            self._seconds += seconds
            self.on_texts(1)
        self._counts = le.coverage(self._model, texts, prompt=self._model.prompt_of("document"))

    def _score(self, queries: list[str]) -> Scores:
        begin = time.perf_counter()
        asked = [one.float().cpu().numpy() for one in self._model.encode_query(queries)]
        if self._model.similarity_fn_name == "meanmaxsim":
            asked = [one / len(one) for one in asked]
        scores = [self._of_document(asked, text) for text in self._texts]
        self._query_seconds += time.perf_counter() - begin
        return np.stack(scores, axis=1)

    def _of_document(self, asked: Sequence[NDArray[np.float32]], text: str) -> Any:
        document = quantized(self._cache.read(self._model, text)[0], self._choice.precision)
        return maxsim(asked, document)

    def _reading(self, documents: int) -> Reading:
        return Reading(
            documents=documents,
            vectors=self._vectors,
            tokens=sum(one.tokens for one in self._counts),
            read=sum(one.read for one in self._counts),
            seconds=self._seconds,
            query_seconds=self._query_seconds,
            width=self._width,
            number_bits=_BITS[self._choice.precision],
        )


def maxsim(
    asked: Sequence[NDArray[np.float32]], document: NDArray[np.float32]
) -> NDArray[np.float32]:
    """`sum_i max_j q_i . d_j` of several queries (Khattab and Zaharia 2020, equation 3).

    Args:
        asked: For each query, shape (its vectors, width).
        document: Shape (vectors, width).

    Returns:
        Shape (queries,).
    """
    starts = np.cumsum([0, *map(len, asked[:-1])])
    flat = torch.from_numpy(np.concatenate(list(asked)))
    theirs = torch.from_numpy(document)
    best = [(some @ theirs.T).amax(1) for some in flat.split(_VECTORS_AT_ONCE)]
    return np.add.reduceat(torch.cat(best).numpy(), starts).astype(np.float32)


def quantized(vectors: NDArray[np.float32], precision: str) -> NDArray[np.float32]:
    """Vectors as they come back from a lower precision, by sentence-transformers' quantization.

    Args:
        vectors: Of a document, shape (vectors, width), of length 1.
        precision: "float32", "int8" with symmetric ranges of the document, or "binary", signs.
    """
    if precision == "float32":
        return vectors
    if precision == "binary":
        bits = quantize_embeddings(vectors, "ubinary")
        signs = np.unpackbits(np.asarray(bits), axis=1)[:, : vectors.shape[1]]
        return (2.0 * signs - 1.0).astype(np.float32) / np.float32(np.sqrt(vectors.shape[1]))
    most = np.abs(vectors).max(axis=0)
    small = np.asarray(quantize_embeddings(vectors, "int8", np.stack([-most, most])))
    return ((small + 128.5) * (2 * most / 255) - most).astype(np.float32)


class Reranked(Retriever):
    """The best documents of another retriever, in the order of a model that reads them again.

    Documents that it does not read stay behind those that it does, in their order.

    Args:
        full_name: See `Retriever`.
        inner: Finds the documents.
        reranker: A cross-encoder or a late-interaction model.
        choice: How many documents it reads.
    """

    def __init__(
        self, full_name: str, inner: Retriever, reranker: Any, choice: RerankChoice
    ) -> None:
        revision = digest(
            str(inner.mteb_model_meta.revision), le.fingerprint(reranker), str(choice.candidates)
        )
        super().__init__(full_name, revision)
        self._inner, self._reranker, self._choice = inner, reranker, choice

    def index(self, corpus: Any, **kwargs: Any) -> None:
        """Read the documents.

        Args:
            corpus: mteb's table of documents.
            **kwargs: What else mteb passes.
        """
        self._inner.on_texts = self.on_texts
        self._inner.index(corpus, **kwargs)
        self._ids, self._texts = list(corpus["id"]), document_texts(corpus)
        self._seconds = 0.0

    def search(self, queries: Any, *, hf_split: str, top_k: int, **kwargs: Any) -> Found:
        """Score the best documents for each query anew.

        Args:
            queries: mteb's table of queries.
            hf_split: The split they belong to.
            top_k: How many documents to return for a query.
            **kwargs: What else mteb passes.
        """
        kept, self._inner.on_searched = self._inner.on_searched, lambda *given: None
        found = self._inner.search(queries, hf_split=hf_split, top_k=top_k, **kwargs)
        self._inner.on_searched = kept
        texts = dict(zip(queries["id"], queries["text"], strict=True))
        begin = time.perf_counter()
        score = self._late(texts) if self._is_late else self._one_by_one(texts)
        wanted: dict[str, list[str]] = defaultdict(list)
        for query, scores in found.items():
            for document in sorted(scores, key=lambda key: -scores[key])[: self._choice.candidates]:
                wanted[document].append(query)
        again: Found = {query: {} for query in found}
        of_id = dict(zip(self._ids, self._texts, strict=True))
        for document, asked in wanted.items():
            for query, value in zip(asked, score(asked, of_id[document]), strict=True):
                again[query][document] = float(value)
        self._seconds += time.perf_counter() - begin
        for query, scores in found.items():
            least = min(again[query].values(), default=0.0)
            unread = scores.keys() - again[query].keys()
            rest = sorted(unread, key=lambda key: (-scores[key], key))
            again[query] |= {key: least - rank for rank, key in enumerate(rest, 1)}
        self.on_searched(hf_split, again, self._reading(len(self._ids)))
        return again

    @property
    def _is_late(self) -> bool:
        return isinstance(self._reranker, le.LongMultiVectorEncoder)

    def _late(self, queries: dict[str, str]) -> Score:
        """Each query and each document is read once, whatever is compared."""
        found = self._reranker.encode_query(list(queries.values()))
        vectors = {key: one.float().cpu().numpy() for key, one in zip(queries, found, strict=True)}

        def score(asked: list[str], document: str) -> Sequence[float]:
            theirs = self._reranker.encode_document(document).float().cpu().numpy()
            return list(maxsim([vectors[query] for query in asked], theirs))

        return score

    def _one_by_one(self, queries: dict[str, str]) -> Score:
        def score(asked: list[str], document: str) -> Sequence[float]:
            found = [self._reranker.score_windows(queries[key], [document]) for key in asked]
            return [of_query[0].score for of_query in found]

        return score

    def _read_documents(self, texts: list[str]) -> None:
        raise AssertionError("the inner retriever reads")

    def _score(self, queries: list[str]) -> Scores:
        raise AssertionError("search scores")

    def _reading(self, documents: int) -> Reading:
        own = self._inner._reading(documents)
        return replace(own, query_seconds=own.query_seconds + self._seconds)


def refuse_dense_options(method: Any, kind: str) -> None:
    """Raise `ConfigError` for what is about one dense vector a text.

    Args:
        method: The choice.
        kind: The class of the model.
    """
    named = {
        "whiten": method.whitening,
        "spans": method.spans,
        "hybrid": method.hybrid,
    }
    for name, value in named.items():
        if value is not None:
            raise ConfigError(
                f"--method {method.label!r}: {name} is not for a {kind}; leave it out"
            )
