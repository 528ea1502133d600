"""Score how well held-out queries find their documents."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

from sentence_transformers import SentenceTransformer
from sentence_transformers.base.evaluation import BaseEvaluator
from sentence_transformers.sentence_transformer.evaluation import InformationRetrievalEvaluator
from sentence_transformers.util import cos_sim

from longembed_st.errors import TextNotReadWarning
from longembed_tuning.model import tuned_model
from longembed_tuning.sources import Example
from longembed_tuning.table import Layout

SCORE = "ndcg@10"
"""The score that stops training and chooses the best checkpoint."""


@dataclass(frozen=True)
class Scores:
    """nDCG@10 on the held-out documents, and the share of queries whose document comes first."""

    ndcg: float
    accuracy: float


class HeldOut:
    """Held-out queries and documents that models are scored on."""

    def __init__(self, examples: Sequence[Example]) -> None:
        documents = list(dict.fromkeys(example.document for example in examples))
        names = {text: f"d{index}" for index, text in enumerate(documents)}
        answers: dict[str, set[str]] = {}
        for example in examples:
            answers.setdefault(example.query, set()).add(names[example.document])
        queries = {f"q{index}": query for index, query in enumerate(answers)}
        self._evaluator = InformationRetrievalEvaluator(
            cast(Any, queries),
            cast(Any, {name: text for text, name in names.items()}),
            {name: answers[query] for name, query in queries.items()},
            score_functions={"cosine": cos_sim},
            write_csv=False,
        )

    def score(self, model: SentenceTransformer) -> Scores:
        """Return the scores of a model; documents beyond its window are cut without a warning."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", TextNotReadWarning)
            scores = self._evaluator(model)
        return Scores(scores["cosine_ndcg@10"], scores["cosine_accuracy@1"])


class TunedEvaluator(BaseEvaluator):
    """Score a model in training, read as it will be once it is finished."""

    def __init__(self, held_out: HeldOut, layout: Layout) -> None:
        super().__init__()
        self._held_out = held_out
        self._layout = layout

    def __call__(
        self, model: Any, output_path: str | None = None, epoch: int = -1, steps: int = -1
    ) -> dict[str, float]:
        """Return nDCG@10 and accuracy@1 of the model as it is now."""
        scores = self._held_out.score(tuned_model(model, self._layout))
        return {SCORE: scores.ndcg, "accuracy@1": scores.accuracy}
