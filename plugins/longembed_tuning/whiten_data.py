"""What a fit of a whitening sees of the documents."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import reduce

import numpy as np

from longembed_st.base.texts import has_text
from longembed_st.errors import InputError
from longembed_st.loading.whitening import unit
from longembed_st.sentence_transformer.model import LongSentenceTransformer
from longembed_st.sentence_transformer.transformer import long_transformer
from longembed_tuning.duplicates import near_duplicates, sketch
from longembed_tuning.frequencies import DocumentFrequencies
from longembed_tuning.judging import FOLDS, Trial
from longembed_tuning.samples import Windows
from longembed_tuning.wccn import Scatter

PASSAGES = 3
"""Passages of a document that are looked up."""

PASSAGE_WORDS = 100
"""A paragraph. Hardly any 30 words of talk tell what it is about (docs/WHITENING.md)."""


@dataclass(frozen=True)
class Survey:
    """What is known of the documents before any is read.

    Attributes:
        kept: Numbers of the documents that are fitted on.
        repeated: How many were left out as near-duplicates.
        corpus: A hash of the documents that are fitted on, in whatever order.
        frequencies: Of the model's tokens, if they were counted.
    """

    kept: list[int]
    repeated: int
    corpus: str
    frequencies: DocumentFrequencies | None

    @classmethod
    def of(
        cls, model: LongSentenceTransformer, documents: Sequence[str], *, count_tokens: bool
    ) -> Survey:
        """Look at all documents.

        Args:
            model: Whose tokens are counted.
            documents: The texts; those without any visible character are left out.
            count_tokens: Whether to count them.

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
    """A model with equal or other weights of tokens, and its vectors of the documents.

    Attributes:
        model: The model.
        token_weights: Its weights; None for equal ones.
        judged: The documents that passages are looked up in.
    """

    model: LongSentenceTransformer
    token_weights: np.ndarray | None = None
    judged: list[Windows] = field(default_factory=list)

    def __post_init__(self) -> None:
        width = self.model.get_embedding_dimension()
        assert width is not None
        # One for each fold of the judged documents, and one for all others.
        self._parts = [Scatter(width) for _ in range(FOLDS + 1)]

    def add(self, windows: Windows, number: int | None) -> None:
        """Add a document.

        Args:
            windows: Its vectors.
            number: Its number among the judged documents; None if it is not one of them.
        """
        self._parts[FOLDS if number is None else number % FOLDS].add(
            windows.vectors, windows.document
        )
        if number is not None:
            self.judged.append(windows)

    def scatter(self, without: int | None = None) -> Scatter:
        """Return the scatter of all documents, or of all outside a fold.

        Args:
            without: The fold, or None.
        """
        return reduce(Scatter.merged, [p for i, p in enumerate(self._parts) if i != without])

    def trial(self, seed: int) -> Trial:
        """Return passages as questions, which their own documents should answer.

        Args:
            seed: Of the passages.

        Raises:
            InputError: If too few documents have several windows.
        """
        draw = np.random.default_rng(seed)
        passages: list[str] = []
        answers: list[int] = []
        without: list[np.ndarray] = []
        for index, windows in enumerate(self.judged):
            if len(windows.vectors) < 2:
                continue
            for chosen in draw.permutation(len(windows.vectors))[:PASSAGES]:
                words = windows.passages[chosen].split()
                start = int(draw.integers(max(1, len(words) - PASSAGE_WORDS)))
                passage = " ".join(words[start : start + PASSAGE_WORDS])
                if has_text(passage):
                    passages.append(passage)
                    answers.append(index)
                    others = np.delete(windows.vectors, chosen, axis=0)
                    without.append(unit(others).mean(axis=0))
        if len(set(answers)) < 5:
            raise InputError(
                f"only {len(set(answers))} documents have two windows or more: too few to judge a "
                "whitening. Give more documents, or validation=False"
            )
        encoded = self.model.encode_with_coverage(passages, role="query")
        return Trial(
            encoded.vectors,
            np.array(answers),
            np.array(without),
            np.array([windows.document for windows in self.judged]),
        )
