"""Collect from the documents what a whitening is fitted on."""

from __future__ import annotations

import hashlib
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import reduce
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from longembed_st.base.texts import has_text
from longembed_st.base.tokens import CONTENT
from longembed_st.errors import InputError
from longembed_st.loading.whitening import to_unit_length
from longembed_st.sentence_transformer.model import LongSentenceTransformer
from longembed_st.sentence_transformer.transformer import LongTransformer, long_transformer
from longembed_tuning.judging import FOLDS, Trial
from longembed_tuning.samples import Windows
from longembed_tuning.wccn import Scatter

PASSAGES = 3
"""The most passages of a document that serve as questions."""

PASSAGE_WORDS = 100
"""About a paragraph. Thirty words of talk are too few to show the subject (docs/WHITENING.md)."""

SHINGLE = 8
"""The words of each run that is hashed."""

SKETCH = 64
"""The number of smallest hashes that represent a text (Broder 1997)."""

ALIKE = 0.5
"""The least share of hashes that two near-duplicates have in common."""


class DocumentFrequencies:
    """Count in how many documents each token occurs, in memory of constant size."""

    def __init__(self, reader: LongTransformer) -> None:
        self._reader = reader
        self._counts = np.zeros(len(reader.token_table))
        self.documents = 0

    def add(self, text: str) -> None:
        """Count a document."""
        (tokens,) = self._reader.tokenize_texts([text], None)
        ids = np.asarray(tokens.ids)[np.asarray(tokens.parts) == CONTENT]
        self._counts[np.unique(ids)] += 1
        self.documents += 1

    def idf(self) -> NDArray[np.float32]:
        """Return the inverse document frequency of each token, as in BM25; it is never negative.

        idf(t) = ln(1 + (N - n(t) + 0.5) / (n(t) + 0.5)), where n(t) of N documents have the token t
        (Robertson and Zaragoza 2009, section 3.1, with the 1 that Lucene adds). A token that no
        document has gets the highest weight. Special tokens count as if every document had them,
        so that their weight is almost zero.

        Returns:
            Shape (vocabulary,).
        """
        counts = self._counts.copy()
        counts[self._reader.text_tokenizer.all_special_ids] = self.documents
        return np.log1p((self.documents - counts + 0.5) / (counts + 0.5)).astype(np.float32)


def sketch(text: str) -> frozenset[int]:
    """Return the smallest hashes of the runs of words of a text, in any case."""
    words = re.findall(r"\w+", text.lower())
    runs = {" ".join(words[i : i + SHINGLE]) for i in range(max(1, len(words) - SHINGLE + 1))}
    hashes = (int.from_bytes(blake2b(run.encode(), digest_size=8).digest(), "big") for run in runs)
    return frozenset(sorted(hashes)[:SKETCH])


def near_duplicates(sketches: Iterable[frozenset[int]]) -> list[int]:
    """Return the numbers of the documents that repeat an earlier one."""
    seen: defaultdict[int, list[int]] = defaultdict(list)
    sizes: dict[int, int] = {}
    repeated = []
    for index, hashes in enumerate(sketches):
        shared = Counter(other for value in hashes for other in seen[value])
        if any(n >= ALIKE * min(len(hashes), sizes[other]) for other, n in shared.items()):
            repeated.append(index)
            continue
        sizes[index] = len(hashes)
        for value in hashes:
            seen[value].append(index)
    return repeated


@dataclass(frozen=True)
class Survey:
    """What is known of the documents before the model reads them.

    Attributes:
        kept: Numbers of the documents that are fitted on.
        repeated: How many were left out as near-duplicates.
        corpus: A hash of the documents that are fitted on; it does not depend on their order.
        frequencies: The document frequencies of the tokens, if they were counted.
    """

    kept: list[int]
    repeated: int
    corpus: str
    frequencies: DocumentFrequencies | None

    @classmethod
    def of(
        cls, model: LongSentenceTransformer, documents: Sequence[str], *, count_tokens: bool
    ) -> Survey:
        """Choose the documents to fit on, those with a visible character, and count their tokens.

        Raises:
            InputError: If there is no document with a text.
        """
        frequencies = DocumentFrequencies(long_transformer(model)) if count_tokens else None
        numbers, sketches, digests = [], [], []
        for number, text in enumerate(documents):
            if has_text(text):
                numbers.append(number)
                sketches.append(sketch(text))
                digests.append(hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest())
                if frequencies is not None:
                    frequencies.add(text)
        repeated = set(near_duplicates(sketches))
        places = [place for place in range(len(numbers)) if place not in repeated]
        if not places:
            raise InputError("there is no document with a text to fit the whitening on")
        corpus = hashlib.sha256(b"".join(sorted(digests[place] for place in places))).hexdigest()
        kept = [numbers[place] for place in places]
        return cls(kept, len(repeated), f"sha256:{corpus}", frequencies)


@dataclass
class Variant:
    """A model with its weights of tokens, and its vectors of the documents.

    Attributes:
        model: The model.
        token_weights: The weight of each token; None if all are equal.
        judged: The documents in which the passages are searched.
    """

    model: LongSentenceTransformer
    token_weights: np.ndarray | None = None
    judged: list[Windows] = field(default_factory=list)

    def __post_init__(self) -> None:
        width = self.model.get_embedding_dimension()
        assert width is not None
        # A scatter for each fold of the judged documents, and one for all other documents.
        self._parts = [Scatter(width) for _ in range(FOLDS + 1)]

    def add(self, windows: Windows, number: int | None) -> None:
        """Add a document."""
        self._parts[FOLDS if number is None else number % FOLDS].add(
            windows.vectors, windows.document
        )
        if number is not None:
            self.judged.append(windows)

    def scatter(self, without: int | None = None) -> Scatter:
        """Return the scatter of all documents, or of those outside a fold."""
        return reduce(Scatter.merged, [p for i, p in enumerate(self._parts) if i != without])

    def trial(self, seed: int) -> Trial:
        """Return passages as questions, each of which should find its own document.

        The vector of this document is computed without the window of the passage.

        Raises:
            InputError: If too few documents have several windows.
        """
        rng = np.random.default_rng(seed)
        passages: list[str] = []
        answers: list[int] = []
        vectors_without: list[np.ndarray] = []
        for index, windows in enumerate(self.judged):
            if len(windows.vectors) < 2:
                continue
            for chosen in rng.permutation(len(windows.vectors))[:PASSAGES]:
                words = windows.passages[chosen].split()
                start = int(rng.integers(max(1, len(words) - PASSAGE_WORDS)))
                passage = " ".join(words[start : start + PASSAGE_WORDS])
                if has_text(passage):
                    passages.append(passage)
                    answers.append(index)
                    others = np.delete(windows.vectors, chosen, axis=0)
                    vectors_without.append(to_unit_length(others).mean(axis=0))
        if len(set(answers)) < 5:
            raise InputError(
                f"only {len(set(answers))} documents have two windows or more: too few to judge a "
                "whitening. Give more documents, or do not judge it: validation=False"
            )
        encoded = self.model.encode_with_coverage(passages, role="query")
        return Trial(
            encoded.vectors,
            np.array(answers),
            np.array(vectors_without),
            np.array([windows.document for windows in self.judged]),
        )
