"""The CrossEncoder that `load` and `extend` return: scores of a query and a long document."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

import torch
from sentence_transformers import CrossEncoder
from sentence_transformers.util import batch_to_device
from torch import Tensor

from longembed_st.base.computing import NOT_FINITE
from longembed_st.base.exit_gate import exit_gate
from longembed_st.base.layout import flattened
from longembed_st.base.long_model import LongModel, in_groups, resolve_prompt
from longembed_st.base.reductions import combined_by_text, split_by_text
from longembed_st.base.reranking import WindowScores
from longembed_st.cross_encoder.transformer import LongPairTransformer, checked_pairs
from longembed_st.errors import ModelError

_PREDICT = inspect.signature(CrossEncoder.predict)


class LongCrossEncoder(LongModel, CrossEncoder):
    """A CrossEncoder that reads long documents, in windows that each begin with the whole query.

    A document's score is the highest of its windows' scores, unless the setting `combine` differs.
    If a pair does not fit the window, a query takes at most half of it, or what the document
    leaves.
    """

    @property
    def long_transformer(self) -> LongPairTransformer:
        """The module that reads the pairs."""
        return cast(LongPairTransformer, super().long_transformer)

    def forward(
        self,
        input: dict[str, Any],  # noqa: A002 - the base class calls it so
        **kwargs: Any,
    ) -> dict[str, Any]:
        """Score each pair.

        Args:
            input: What `preprocess` returned.
            **kwargs: For the modules that take them.

        Returns:
            The features with `scores`, shape (pairs, labels), before any activation, and outside
            training, if the tokens were counted, `coverages`.

        Raises:
            ModelError: If a score is not finite.
        """
        flat = flattened(input)
        scores, owners = self._score_windows(flat, kwargs)
        return self.long_transformer.with_scores(input, scores, flat, owners)

    def _score_windows(
        self, flat: dict[str, Any], kwargs: dict[str, Any]
    ) -> tuple[Tensor, list[int]]:
        """Return the raw scores of all windows, shape (windows, labels), and the pair of each."""
        return self.long_transformer.read_reduced(
            flat,
            lambda outputs: self.apply_following_modules(outputs, kwargs)["scores"],
            self.num_labels,
        )

    @exit_gate.use()
    @torch.inference_mode()
    def score_windows(
        self, query: str, documents: Sequence[str], *, prompt: str | None = None
    ) -> list[WindowScores]:
        """Score every window of some documents, and say where it stands.

        Args:
            query: The query.
            documents: The documents.
            prompt: Put before the query; None for the model's default prompt.

        Returns:
            One a document, in order; numbers as `predict` gives them.

        Raises:
            InputError: If a text is not a valid string, or too long under the policy "error".
            ModelError: If a score is not finite, or there is more than one for a pair.
        """
        if self.num_labels != 1:
            raise ModelError(
                f"this model gives {self.num_labels} scores for a pair, and a reranker needs one"
            )
        self.eval()
        reader = self.long_transformer
        prompt = resolve_prompt(self, prompt, None)
        how = reader.extension.combine or "max"
        activation = self.activation_fn or torch.nn.Identity()
        results: list[WindowScores] = []
        for group in in_groups([(query, document) for document in documents]):
            flat, spans = reader.features_and_spans(group, prompt)
            raw, owners = self._score_windows(batch_to_device(flat, self.device), {})
            if not torch.isfinite(raw).all():
                raise ModelError(NOT_FINITE)
            totals = activation(combined_by_text(raw.float(), owners, len(group), how))[:, 0]
            scores = split_by_text(activation(raw.float())[:, 0].cpu(), owners, len(group))
            for total, own, document_spans in zip(totals, scores, spans, strict=True):
                results.append(WindowScores(float(total), own.numpy(), document_spans))
        return results

    # Type checkers keep the signatures of the base class.
    if not TYPE_CHECKING:

        def predict(self, *args: Any, **kwargs: Any) -> Any:
            """Score pairs with documents of any length; see `CrossEncoder.predict`.

            Raises:
                InputError: If an input is not a pair of valid strings, or too long under the policy
                    "error".
            """
            return self.encode_and_report(super().predict, _PREDICT, checked_pairs, args, kwargs)
