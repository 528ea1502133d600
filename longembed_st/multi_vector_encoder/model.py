"""The MultiVectorEncoder that `load` and `extend` return: a vector for each token."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from sentence_transformers import MultiVectorEncoder
from sentence_transformers.util import batch_to_device
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from longembed_st.base.computing import NOT_FINITE
from longembed_st.base.exit_gate import exit_gate
from longembed_st.base.layout import STARTS, TOKEN_WISE, flattened
from longembed_st.base.long_model import LongModel, in_groups
from longembed_st.base.passes import unique_token_masks
from longembed_st.base.reductions import split_by_text
from longembed_st.base.reranking import WindowScores
from longembed_st.base.tokens import checked_texts
from longembed_st.errors import ModelError
from longembed_st.multi_vector_encoder.transformer import join_tokens

_ENCODE = inspect.signature(MultiVectorEncoder.encode)


class LongMultiVectorEncoder(LongModel, MultiVectorEncoder):
    """A MultiVectorEncoder that reads long documents: the token vectors of all windows.

    Prompt and special tokens count once a text. The modules behind the transformer, such as a
    projection, the mask of scored tokens or token pooling, are applied window by window.
    """

    def forward(
        self,
        input: dict[str, Any],  # noqa: A002 - the base class calls it so
        **kwargs: Any,
    ) -> dict[str, Any]:
        """Read each text, and keep the vectors of its tokens.

        Args:
            input: What `preprocess` returned.
            **kwargs: `task`, and whatever else modules take.

        Returns:
            The features with `token_embeddings`, shape (texts, most vectors, width),
            `attention_mask`, true where there is one, and `input_ids`, the token of each, unless
            tokens were pooled.

        Raises:
            ModelError: If a vector is not finite.
        """
        if "query_expansion_positions" in input:
            return super().forward(input, **kwargs)
        flat = flattened(input)
        windows, ids, owners = self._read_windows(flat, kwargs)
        texts = len(flat[STARTS]) - 1
        joined = join_tokens(_joined_by_text(windows, owners, texts))
        if all(len(own) == len(vectors) for own, vectors in zip(ids, windows, strict=True)):
            joined["input_ids"] = pad_sequence(_joined_by_text(ids, owners, texts), True)
        others = {name: input[name] for name in input.keys() - {*TOKEN_WISE, STARTS}}
        return {**others, **joined}

    def _read_windows(
        self, flat: dict[str, Any], kwargs: dict[str, Any]
    ) -> tuple[list[Tensor], list[Tensor], list[int]]:
        """Return the vectors of all windows, shape (vectors, width) each, their tokens and texts.

        The tokens are fewer than the vectors if tokens were pooled.
        """
        reader = self.long_transformer
        passes = reader.passes_of(flat)
        token_masks = unique_token_masks(passes)
        vectors: dict[int, Tensor] = {}
        ids: dict[int, Tensor] = {}
        for indices, outputs in reader.read_batches(passes, flat):
            states = outputs["token_embeddings"]
            mask = torch.zeros(states.shape[:2], dtype=torch.int64, device=states.device)
            for row, index in enumerate(indices):
                mask[row, : len(token_masks[index])] = token_masks[index].to(states.device)
            outputs = self.apply_following_modules({**outputs, "attention_mask": mask}, kwargs)
            scored = outputs["attention_mask"].bool()
            for row, index in enumerate(indices):
                vectors[index] = outputs["token_embeddings"][row][scored[row]]
                tokens = outputs["input_ids"][row]
                ids[index] = tokens[scored[row]] if len(tokens) == scored.shape[1] else tokens[:0]
        if not self.training and not all(torch.isfinite(v).all() for v in vectors.values()):
            raise ModelError(NOT_FINITE)
        order = range(len(passes))
        owners = [item.text for item in passes]
        return [vectors[index] for index in order], [ids[index] for index in order], owners

    @exit_gate.use()
    @torch.inference_mode()
    def score_windows(
        self, query: str, documents: Sequence[str], *, weights: Tensor | None = None
    ) -> list[WindowScores]:
        """Score documents and their windows by MaxSim, without keeping vectors of documents.

        Args:
            query: The query.
            documents: The documents.
            weights: Of the query's vectors, shape (its vectors,); None for 1 each.

        Returns:
            One a document, in order; a document's score is that of `similarity`, if no weights are
            given, a window's that of its own vectors.

        Raises:
            InputError: If a text is not a valid string, or too long under the policy "error".
            ModelError: If a vector is not finite.
        """
        self.eval()
        query_vectors = self.encode_query(query)
        count, device = len(query_vectors), query_vectors.device
        if weights is None:
            weights = torch.ones(count, device=device)
        if self.similarity_fn_name == "meanmaxsim":
            weights = weights / count
        prompt = self.prompt_of("document")
        results: list[WindowScores] = []
        for group in in_groups(list(documents)):
            flat, spans = self.long_transformer.features_and_spans(group, prompt)
            flat = batch_to_device(flat, self.device)
            windows, _, owners = self._read_windows(flat, {"task": "document"})
            # A window whose tokens are all masked gets the lowest similarity.
            lowest = query_vectors.new_full([count, 1], -1.0)
            best = torch.stack(
                [(query_vectors @ w.T if len(w) else lowest).amax(1) for w in windows]
            )
            scores_by_text = split_by_text(best, owners, len(spans))
            for own, document_spans in zip(scores_by_text, spans, strict=True):
                total = float((own.amax(0) * weights).sum())
                scores = (own * weights).sum(1).float().cpu().numpy()
                results.append(WindowScores(total, scores, document_spans))
        return results

    # Type checkers keep the signatures of the base class.
    if not TYPE_CHECKING:

        def encode(self, *args: Any, **kwargs: Any) -> Any:
            """Encode texts of any length; see `MultiVectorEncoder.encode`.

            Raises:
                InputError: If an input is not a valid string, or is too long under the policy
                    "error".
            """
            return self.encode_and_report(super().encode, _ENCODE, checked_texts, args, kwargs)


def _joined_by_text(windows: Sequence[Tensor], owners: Sequence[int], count: int) -> list[Tensor]:
    """The rows of the windows of each text, one behind the other."""
    texts: list[list[Tensor]] = [[] for _ in range(count)]
    for rows, text in zip(windows, owners, strict=True):
        texts[text].append(rows)
    return [torch.cat(rows) for rows in texts]
