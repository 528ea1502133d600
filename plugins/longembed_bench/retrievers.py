"""Ways to find documents: by vectors, by chunks, by words, and by both."""

from __future__ import annotations

import json
import random
import time
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import bm25s  # type: ignore[import-untyped]
import numpy as np
import Stemmer  # type: ignore[import-not-found]
from numpy.typing import NDArray

import longembed_st as le
from longembed_bench.data import RetrievalData
from longembed_bench.lexical import LexicalScorer
from longembed_bench.vectors import OnText, TextVectors, VectorFile, Vectors, digest
from longembed_st.base.long_model import Role
from longembed_st.loading.whitening import FITTED_DOCUMENTS, Whitening, with_whitening

Scores = NDArray[np.float32]
"""Shape (queries, documents)."""

QUERIES_AT_ONCE = 256
KEPT_DOCUMENTS = 1000
"""Documents that are kept for a query, as mteb has it."""


@dataclass(frozen=True)
class Cost:
    """What it takes to make documents findable.

    Attributes:
        documents: How many there are.
        vectors: Vectors of all of them; 0 for word counts.
        tokens: Tokens of all of them; 0 if they were not counted.
        read: How many of the tokens were read.
        seconds: Time to read them, that of earlier runs included where vectors were kept.
        width: Numbers of a vector, of four bytes each; 0 for word counts.
    """

    documents: int
    vectors: int
    tokens: int
    read: int
    seconds: float
    width: int

    @property
    def coverage(self) -> float:
        """The share of the tokens that was read, from 0 to 1; word counts read all."""
        return self.read / self.tokens if self.tokens else 1.0

    @property
    def vectors_per_document(self) -> float:
        """Vectors that stand for a document."""
        return self.vectors / self.documents

    @property
    def bytes_per_document(self) -> float:
        """Bytes of the vectors of a document."""
        return 4 * self.width * self.vectors_per_document

    @property
    def seconds_per_document(self) -> float:
        """Time to read one document."""
        return self.seconds / self.documents


class Retriever(ABC):
    """A way to find documents.

    Attributes:
        revision: Hexadecimal digits that change whenever the scores could.
        on_text: Called as documents are read.
    """

    revision: str
    on_text: OnText = staticmethod(lambda: None)

    @abstractmethod
    def read(self, documents: Sequence[str]) -> None:
        """Read the documents that `score` is about."""

    @abstractmethod
    def score(self, queries: Sequence[str]) -> Scores:
        """Return the score of each document for each query."""

    @abstractmethod
    def cost(self) -> Cost:
        """Return what it took to read the documents."""


def find(
    retriever: Retriever, data: RetrievalData, k: int = KEPT_DOCUMENTS
) -> dict[str, dict[str, float]]:
    """Read the documents and return the k best ones of each query with their scores."""
    ids, keys = list(data.documents), list(data.queries)
    retriever.read(list(data.documents.values()))
    ranking = {}
    for start in range(0, len(keys), QUERIES_AT_ONCE):
        batch = keys[start : start + QUERIES_AT_ONCE]
        scores = retriever.score([data.queries[key] for key in batch])
        for key, row in zip(batch, scores, strict=True):
            best = np.argsort(-row, kind="stable")[:k]
            ranking[key] = {ids[place]: float(row[place]) for place in best}
    return ranking


class WholeDocuments(Retriever):
    """One vector a document.

    Args:
        model: The model, extended or not.
        vectors: Where vectors are kept.
        fit: Options of `longembed_st.fit_whitening`, to whiten the model by a fit on the documents;
            None to leave it as it is.
    """

    def __init__(
        self,
        model: le.LongSentenceTransformer,
        vectors: VectorFile,
        fit: Mapping[str, Any] | None = None,
    ) -> None:
        self.model = self._plain = model
        self.fingerprint = self._plain_fingerprint = le.fingerprint(model)
        self.vectors, self._fit = vectors, fit
        self.whitening: Whitening | None = None
        self.revision = self.fingerprint.removeprefix("sha256:")
        if fit is not None:
            self.revision = digest(self.revision, json.dumps(fit, sort_keys=True))

    def read(self, documents: Sequence[str]) -> None:
        """Read the documents, after a whitening was fitted on them if there is to be one."""
        if self._fit is not None:
            self._whiten(documents)
        self._documents = self.embed(documents, "document", self.on_text)

    def score(self, queries: Sequence[str]) -> Scores:
        """Return the similarity of each document's vector and each query's."""
        asked = _stacked(self.embed(queries, "query"))
        similarity = self.model.similarity(asked, _stacked(self._documents))
        return np.asarray(similarity, dtype=np.float32)

    def cost(self) -> Cost:
        """Return what it took to read the documents."""
        return _cost_of(self._documents)

    def embed(
        self, texts: Sequence[str], role: Role, on_text: OnText = lambda: None
    ) -> list[TextVectors]:
        """Return one vector of each text."""

        def compute(group: list[str]) -> Iterable[tuple[Vectors, le.Coverage]]:
            encoded = self.model.encode_with_coverage(group, role=role)
            return zip(encoded.vectors[:, None], encoded.coverages, strict=True)

        return self.vectors.read(f"{self.fingerprint} {role}", texts, compute, on_text)

    def _whiten(self, documents: Sequence[str]) -> None:
        name = f"whitening-{digest(self.revision, *documents)[:32]}.safetensors"
        path = self.vectors.path.with_name(name)
        if path.exists():
            self._use(Whitening.read(str(path)))
        else:
            self._fit_on(documents).write(path)

    def _use(self, whitening: Whitening) -> None:
        self.whitening = whitening
        self.model = with_whitening(self._plain, whitening)
        self.fingerprint = le.fingerprint(self.model)

    def _fit_on(self, documents: Sequence[str]) -> Whitening:
        """Fit, and keep the vectors that come with it, so that no document is read twice."""
        read: list[tuple[str, Sequence[Any], float]] = []
        before = time.perf_counter()

        def keep(text: str, variants: Sequence[Any]) -> None:
            nonlocal before
            now = time.perf_counter()
            read.append((text, variants, now - before))
            before = now

        most = min(len(documents), FITTED_DOCUMENTS)
        places = sorted(random.Random(0).sample(range(len(documents)), most))
        sample = [documents[place] for place in places]
        fit = le.fit_whitening(self._plain, sample, on_document=keep, **(self._fit or {}))
        self._use(fit.whitening)
        for text, variants, seconds in read:
            coverage = variants[0].coverage
            plain, chosen = variants[0].document[None], variants[fit.variant].document[None]
            for fingerprint, vectors in (
                (self._plain_fingerprint, plain),
                (self.fingerprint, fit.whitening(chosen)),
            ):
                self.vectors.write(f"{fingerprint} document", text, vectors, coverage, seconds)
        return fit.whitening


class Chunks(WholeDocuments):
    """A vector for each chunk of the original window; the best chunk counts."""

    def read(self, documents: Sequence[str]) -> None:
        """Read the documents chunk by chunk."""
        # The passes of pcw: as long as the original window, and none begins inside a token.
        cutter = le.extend(self.model, "pcw")
        prompt = self.model.prompt_of("document")
        self._chunks = []
        coverages = le.coverage(cutter, list(documents), prompt=prompt)
        for text, coverage in zip(documents, coverages, strict=True):
            chunks = self.embed([text[start:end] for start, end in coverage.spans], "document")
            vectors, cost = _stacked(chunks), _cost_of(chunks)
            self._chunks.append(TextVectors(vectors, cost.tokens, cost.read, cost.seconds))
            self.on_text()

    def score(self, queries: Sequence[str]) -> Scores:
        """Return the score of each document's best chunk."""
        return _best_of_each(self.model, _stacked(self.embed(queries, "query")), self._chunks)

    def cost(self) -> Cost:
        """Return what it took to read the chunks."""
        return _cost_of(self._chunks)


class Bm25(Retriever):
    """BM25 of whole documents, with English stemming and stop words, k1 1.5 and b 0.75."""

    def __init__(self) -> None:
        self.revision = digest(f"bm25s-{bm25s.__version__}-english-k1.5-b0.75")
        self._stemmer = Stemmer.Stemmer("english")

    def read(self, documents: Sequence[str]) -> None:
        """Count the words of the documents."""
        begin = time.perf_counter()
        self._index = bm25s.BM25(k1=1.5, b=0.75)
        self._index.index(self._words(documents), show_progress=False)
        self._cost = Cost(len(documents), 0, 0, 0, time.perf_counter() - begin, 0)

    def score(self, queries: Sequence[str]) -> Scores:
        """Return the score of each document for each query."""
        # bm25s cannot score a query that has nothing but stop words.
        nothing = np.zeros(self._cost.documents, dtype=np.float32)
        rows = self._words(queries, return_ids=False)
        return np.stack([self._index.get_scores(words) if words else nothing for words in rows])

    def cost(self) -> Cost:
        """Return the time that it took; there are no vectors."""
        return self._cost

    def _words(self, texts: Sequence[str], return_ids: bool = True) -> Any:
        return bm25s.tokenize(
            list(texts),
            stopwords="en",
            stemmer=self._stemmer,
            return_ids=return_ids,
            show_progress=False,
        )


class Hybrid(Retriever):
    """Words beside vectors, which have a weight from 0 to 1."""

    def __init__(self, dense: Retriever, weight: float) -> None:
        self._dense, self._weight = dense, weight
        self.revision = digest(dense.revision, f"hybrid {weight}")

    def read(self, documents: Sequence[str]) -> None:
        """Read the documents, then count their words."""
        self._dense.on_text = self.on_text
        self._dense.read(documents)
        begin = time.perf_counter()
        self._lexical = LexicalScorer(documents)
        self._seconds = time.perf_counter() - begin

    def score(self, queries: Sequence[str]) -> Scores:
        """Return the weighted sum of both scores."""
        words = np.stack([self._lexical.score(query) for query in queries])
        vectors = self._dense.score(queries)
        return np.asarray((1 - self._weight) * words + self._weight * vectors, dtype=np.float32)

    def cost(self) -> Cost:
        """Return the cost of the vectors, and the time for both."""
        dense = self._dense.cost()
        return replace(dense, seconds=dense.seconds + self._seconds)


def _best_of_each(
    model: le.LongSentenceTransformer, queries: Vectors, documents: Sequence[TextVectors]
) -> Scores:
    """Return the highest similarity of any vector of a document, for each query."""
    starts = np.cumsum([0, *(len(document.vectors) for document in documents[:-1])])
    similarity = model.similarity(queries, _stacked(documents))
    scores: Scores = np.maximum.reduceat(np.asarray(similarity, np.float32), starts, axis=1)
    return scores


def _stacked(texts: Sequence[TextVectors]) -> Vectors:
    """Return the vectors of all texts, shape (vectors, width)."""
    return np.concatenate([text.vectors for text in texts])


def _cost_of(documents: Sequence[TextVectors]) -> Cost:
    """Return what it took to read documents."""
    return Cost(
        documents=len(documents),
        vectors=sum(len(document.vectors) for document in documents),
        tokens=sum(document.tokens for document in documents),
        read=sum(document.read for document in documents),
        seconds=sum(document.seconds for document in documents),
        width=documents[0].vectors.shape[1],
    )
