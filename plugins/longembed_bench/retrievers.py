"""Three ways to find documents, each as the search model that mteb evaluates.

mteb hands over the corpus and the queries and asks for scores; what was read, how long it took and
what was found is reported beside.
"""

from __future__ import annotations

import hashlib
import json
import random
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import bm25s  # type: ignore[import-untyped]
import numpy as np
import Stemmer  # type: ignore[import-not-found]
from mteb.models.model_meta import ModelMeta
from numpy.typing import NDArray

import longembed_st as le
from longembed_bench.runs import HybridChoice, MethodChoice, SpanChoice
from longembed_bench.vectors import CachedVectors, OnTexts, VectorCache, VectorFolder
from longembed_index.embedding import ROWS, batches
from longembed_index.hybrid import word_shares
from longembed_index.lexical import WordFile
from longembed_st.loading.whitening import FITTED_DOCUMENTS, Whitening, with_whitening

Found = dict[str, dict[str, float]]
"""The score of documents by query."""

Scores = NDArray[np.float32]
"""Shape (queries, documents)."""

QUERIES_AT_ONCE = 256


@dataclass(frozen=True)
class Reading:
    """What it took to make documents findable.

    Attributes:
        documents: How many there are.
        vectors: How many vectors stand for all of them; 0 for word counts.
        tokens: Tokens of all documents; 0 if they were not counted.
        read: How many of them were read.
        seconds: Time to read the documents, that of earlier runs included where vectors were kept.
        query_seconds: Time to read the queries.
        width: Numbers of a vector; 0 for word counts, and where it was not noted.
        number_bits: Of a number; fewer where it was quantized.
    """

    documents: int
    vectors: int
    tokens: int
    read: int
    seconds: float
    query_seconds: float
    width: int = 0
    number_bits: int = 32

    @property
    def coverage(self) -> float:
        """The share of the documents' tokens that was read; word counts read all."""
        return self.read / self.tokens if self.tokens else 1.0

    @property
    def vectors_per_document(self) -> float:
        """How many vectors stand for a document."""
        return self.vectors / self.documents

    @property
    def bytes_per_document(self) -> float:
        """What the vectors of a document take."""
        return self.number_bits / 8 * self.width * self.vectors_per_document

    @property
    def seconds_per_document(self) -> float:
        """Time to read one document."""
        return self.seconds / self.documents


OnSearched = Callable[[str, Found, Reading], None]
"""Called with the split, what was found, and what it took."""


class Retriever(ABC):
    """Satisfies mteb's SearchProtocol.

    Args:
        full_name: Of the run, as `organisation/name`.
        revision: Changes whenever the scores could.
    """

    def __init__(self, full_name: str, revision: str) -> None:
        self.mteb_model_meta = ModelMeta.create_empty(
            {"name": full_name, "revision": revision, "languages": ["eng-Latn"]}
        )
        self.on_texts: OnTexts = lambda count: None
        self.on_searched: OnSearched = lambda split, found, reading: None

    def index(self, corpus: Any, **kwargs: Any) -> None:
        """Read the documents.

        Args:
            corpus: mteb's table of documents.
            **kwargs: What else mteb passes.
        """
        self._ids: list[str] = list(corpus["id"])
        self._read_documents(document_texts(corpus))

    def search(self, queries: Any, *, hf_split: str, top_k: int, **kwargs: Any) -> Found:
        """Score the documents for each query.

        Args:
            queries: mteb's table of queries.
            hf_split: The split they belong to.
            top_k: How many documents to return for a query.
            **kwargs: What else mteb passes.
        """
        texts = list(queries["text"])
        found: Found = {}
        for start in range(0, len(texts), QUERIES_AT_ONCE):
            chunk = slice(start, start + QUERIES_AT_ONCE)
            scores = self._score(texts[chunk])
            for key, row in zip(queries["id"][chunk], scores, strict=True):
                # Stable: of equal scores, the earlier document.
                best = np.argsort(-row, kind="stable")[:top_k]
                found[key] = {self._ids[place]: float(row[place]) for place in best}
        self.on_searched(hf_split, found, self._reading(len(self._ids)))
        return found

    @abstractmethod
    def _read_documents(self, texts: list[str]) -> None: ...

    @abstractmethod
    def _score(self, queries: list[str]) -> Scores: ...

    @abstractmethod
    def _reading(self, documents: int) -> Reading: ...


class WholeDocuments(Retriever):
    """One vector a document.

    Args:
        full_name: See `Retriever`.
        model: The model, extended or not.
        cache: Where its vectors are kept.
        revision: Of more than the model; None for its fingerprint.
    """

    def __init__(
        self,
        full_name: str,
        model: le.LongSentenceTransformer,
        cache: VectorCache,
        revision: str | None = None,
    ) -> None:
        super().__init__(full_name, revision or le.fingerprint(model).removeprefix("sha256:"))
        self._model = model
        self._cache = cache
        self._query_seconds = 0.0
        self.whitening: Whitening | None = None

    def _read_documents(self, texts: list[str]) -> None:
        self._query_seconds = 0.0
        self._embedded = self._embed(texts)

    def _embed(self, texts: Sequence[str]) -> CachedVectors:
        return self._cache.embed(self._model, texts, "document", self.on_texts)

    def _score(self, queries: list[str]) -> Scores:
        embedded = self._cache.embed(self._model, queries, "query")
        self._query_seconds += float(embedded.seconds.sum())
        similarity = self._model.similarity(embedded.vectors, self._embedded.vectors)
        return np.asarray(similarity, dtype=np.float32)

    def _reading(self, documents: int) -> Reading:
        return Reading(
            documents=documents,
            vectors=len(self._embedded.vectors),
            tokens=int(self._embedded.tokens.sum()),
            read=int(self._embedded.read.sum()),
            seconds=float(self._embedded.seconds.sum()),
            query_seconds=self._query_seconds,
            width=self._embedded.vectors.shape[1],
        )


class Whitened(WholeDocuments):
    """One vector a document, whitened by a fit on the documents that are searched.

    Args:
        full_name: See `Retriever`.
        model: The model, not whitened.
        options: Of the fit.
        folder: Where vectors and fits are kept.
    """

    def __init__(
        self,
        full_name: str,
        model: le.LongSentenceTransformer,
        options: Mapping[str, Any],
        folder: VectorFolder,
    ) -> None:
        fingerprint = le.fingerprint(model)
        revision = digest(fingerprint, json.dumps(options, sort_keys=True))
        super().__init__(full_name, model, folder.of(fingerprint), revision)
        self._plain, self._plain_cache = model, self._cache
        self._options, self._folder = options, folder

    def _read_documents(self, texts: list[str]) -> None:
        fitted = self._folder.whitening(digest(str(self.mteb_model_meta.revision), *texts))
        if fitted.exists():
            self._use(Whitening.read(str(fitted)))
        else:
            self._fit(texts)
            assert self.whitening is not None
            self.whitening.write(fitted)
        super()._read_documents(texts)

    def _use(self, whitening: Whitening) -> None:
        self.whitening = whitening
        self._model = with_whitening(self._plain, whitening)
        self._cache = self._folder.of(le.fingerprint(self._model))

    def _fit(self, texts: list[str]) -> None:
        """Fit, and keep the vectors that come with it: no document is read twice for one."""
        read: list[str] = []
        coverages: list[le.Coverage] = []
        seconds: list[float] = []
        variants: list[list[NDArray[np.float32]]] = []
        before = time.perf_counter()

        def keep(text: str, windows: Sequence[Any]) -> None:
            nonlocal before
            now = time.perf_counter()
            read.append(text)
            coverages.append(windows[0].coverage)
            seconds.append(now - before)
            variants.append([one.document for one in windows])
            before = now

        most = min(len(texts), FITTED_DOCUMENTS)
        sample = [texts[i] for i in sorted(random.Random(0).sample(range(len(texts)), most))]
        made = le.fit_whitening(self._plain, sample, on_document=keep, **self._options)
        self._use(made.whitening)
        took = np.array(seconds)
        plain = np.array([vectors[0] for vectors in variants])
        chosen = np.array([vectors[made.variant] for vectors in variants])
        self._plain_cache.put(read, "document", le.Encoded(plain, coverages), took)
        whitened = le.Encoded(made.whitening(chosen), coverages)
        self._cache.put(read, "document", whitened, took)


class Spans(WholeDocuments):
    """One vector a document, and one for each of its spans.

    Args:
        inner: What reads the documents, and whitens them if it is to.
        choice: Which spans, and what a document's score is.
        folder: Where their vectors are kept.
    """

    def __init__(self, inner: WholeDocuments, choice: SpanChoice, folder: VectorFolder) -> None:
        meta = inner.mteb_model_meta
        revision = digest(str(meta.revision), f"{choice.tokens} {choice.score}")
        Retriever.__init__(self, str(meta.name), revision)
        self._inner, self._choice, self._folder = inner, choice, folder
        self.whitening = None

    def _read_documents(self, texts: list[str]) -> None:
        self._inner.on_texts = self.on_texts
        self._inner._read_documents(texts)
        self.whitening = self._inner.whitening
        model = self._inner._model
        cache = self._folder.spans(le.fingerprint(model), self._choice.tokens)
        found = [cache.read(model, text) for text in texts]
        counts = [len(vectors) for vectors, _ in found]
        self._starts = np.cumsum([0, *counts[:-1]])
        self._vectors = np.concatenate([vectors for vectors, _ in found])
        self._seconds = sum(seconds for _, seconds in found)

    def _score(self, queries: list[str]) -> Scores:
        own = self._inner._score(queries)
        if self._choice.score == "document":
            return own
        asked = self._inner._cache.embed(self._inner._model, queries, "query").vectors
        similarity = self._inner._model.similarity(asked, self._vectors)
        each = np.asarray(similarity, dtype=np.float32)
        best: Scores = np.maximum.reduceat(each, self._starts, axis=1)
        average: Scores = (own + best) / np.float32(2)
        return best if self._choice.score == "best" else average

    def _reading(self, documents: int) -> Reading:
        own = self._inner._reading(documents)
        return replace(own, vectors=own.vectors + len(self._vectors), seconds=self._seconds)


class Hybrid(WholeDocuments):
    """Words beside the vectors, as `longembed search` has them; all documents are scored.

    Args:
        inner: The vectors.
        choice: How both are put together.
    """

    def __init__(self, inner: WholeDocuments, choice: HybridChoice) -> None:
        meta = inner.mteb_model_meta
        Retriever.__init__(self, str(meta.name), digest(str(meta.revision), f"hybrid {choice}"))
        self._inner, self._choice = inner, choice
        self.whitening = None

    def _read_documents(self, texts: list[str]) -> None:
        self._query_seconds = 0.0
        self._inner.on_texts = self.on_texts
        self._inner._read_documents(texts)
        self.whitening = self._inner.whitening
        begin = time.perf_counter()
        self._folder = TemporaryDirectory(prefix="longembed-")
        self._words = WordFile(Path(self._folder.name), "documents")
        self._keys = [f"{number:09}" for number in range(len(texts))]
        for part in batches(list(zip(self._keys, texts, strict=True)), ROWS):
            self._words.add(dict(part))
        self._seconds = time.perf_counter() - begin

    def _score(self, queries: list[str]) -> Scores:
        dense = self._inner._score(queries)
        begin = time.perf_counter()
        shares = [word_shares(self._words.ask(query), self._keys) for query in queries]
        self._query_seconds += time.perf_counter() - begin
        weight = self._choice.weight
        if weight is None:
            documents = np.array([[one[key].document for key in self._keys] for one in shares])
            return reciprocal_ranks(documents) + reciprocal_ranks(dense)
        words = np.array([[one[key].total for key in self._keys] for one in shares])
        return np.asarray((1 - weight) * words + weight * dense, dtype=np.float32)

    def _reading(self, documents: int) -> Reading:
        own = self._inner._reading(documents)
        return replace(
            own,
            seconds=own.seconds + self._seconds,
            query_seconds=own.query_seconds + self._query_seconds,
        )


def reciprocal_ranks(scores: Any) -> Scores:
    """What reciprocal rank fusion makes of scores: 1 / (60 + rank), Cormack et al. 2009.

    Args:
        scores: Shape (queries, documents).
    """
    ranks = np.argsort(np.argsort(-scores, axis=1, kind="stable"), axis=1)
    return np.asarray(1 / (61 + ranks), dtype=np.float32)


def whole_documents(
    full_name: str,
    model: le.LongSentenceTransformer,
    method: MethodChoice,
    folder: VectorFolder,
) -> WholeDocuments:
    """What finds whole documents as a method says.

    Args:
        full_name: See `Retriever`.
        model: The model, extended or not.
        method: Whether a whitening is to be fitted, spans are to be kept, and words count.
        folder: Where vectors and fits are kept.
    """
    found: WholeDocuments
    if method.whitening is not None:
        found = Whitened(full_name, model, method.whitening, folder)
    else:
        found = WholeDocuments(full_name, model, folder.of(le.fingerprint(model)))
    if method.spans is not None:
        found = Spans(found, method.spans, folder)
    return found if method.hybrid is None else Hybrid(found, method.hybrid)


class Chunks(WholeDocuments):
    """What people do today: a vector for each chunk of the original window, the best chunk counts.

    Args:
        full_name: See `Retriever`.
        model: The model, not extended.
        cache: Where its vectors are kept.
    """

    def _read_documents(self, texts: list[str]) -> None:
        self._query_seconds = 0.0
        # Passes of pcw are chunks: as long as the original window, and none cut in a token.
        cutter = le.extend(self._model, "pcw")
        prompt = self._model.prompt_of("document")
        spans = [read.spans for read in le.coverage(cutter, texts, prompt=prompt)]
        chunks = [
            text[start:end]
            for text, of_text in zip(texts, spans, strict=True)
            for start, end in of_text
        ]
        self._starts = np.cumsum([0, *(len(of_text) for of_text in spans[:-1])])
        self._embedded = self._embed(chunks)

    def _score(self, queries: list[str]) -> Scores:
        best: Scores = np.maximum.reduceat(super()._score(queries), self._starts, axis=1)
        return best


class Bm25(Retriever):
    """Words and their frequencies: BM25 with English stemming and stop words, k1 1.5, b 0.75.

    Args:
        full_name: See `Retriever`.
    """

    def __init__(self, full_name: str) -> None:
        super().__init__(full_name, f"bm25s-{bm25s.__version__}-english-k1.5-b0.75")
        self._stemmer = Stemmer.Stemmer("english")

    def _tokens(self, texts: list[str]) -> Any:
        return bm25s.tokenize(texts, stopwords="en", stemmer=self._stemmer, show_progress=False)

    def _read_documents(self, texts: list[str]) -> None:
        begin = time.perf_counter()
        self._index = bm25s.BM25(k1=1.5, b=0.75)
        self._index.index(self._tokens(texts), show_progress=False)
        self._seconds = time.perf_counter() - begin
        self._query_seconds = 0.0
        self.on_texts(len(texts))

    def _score(self, queries: list[str]) -> Scores:
        begin = time.perf_counter()
        words = bm25s.tokenize(
            queries,
            stopwords="en",
            stemmer=self._stemmer,
            return_ids=False,
            show_progress=False,
        )
        # bm25s cannot score a query that has nothing but stop words.
        nothing = np.zeros(len(self._ids), dtype=np.float32)
        scores = [self._index.get_scores(row) if row else nothing for row in words]
        self._query_seconds += time.perf_counter() - begin
        return np.stack(scores)

    def _reading(self, documents: int) -> Reading:
        return Reading(documents, 0, 0, 0, self._seconds, self._query_seconds)


def document_texts(corpus: Any) -> list[str]:
    """The texts of mteb's documents: unaltered, and behind their title where they have one.

    Args:
        corpus: mteb's table of documents, with a column `text` and perhaps a column `title`.
    """
    texts: list[str] = list(corpus["text"])
    if "title" not in corpus.column_names:
        return texts
    return [f"{a} {b}" if a else b for a, b in zip(corpus["title"], texts, strict=True)]


def digest(*parts: str) -> str:
    """What stands for some texts together.

    Args:
        *parts: The texts.
    """
    joined = "\0".join(parts).encode("utf8", "surrogatepass")
    return hashlib.sha256(joined).hexdigest()
