"""Long texts as a vector for each token."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

import torch
from sentence_transformers import MultiVectorEncoder
from torch import Tensor

from longembed_st.encoders.long_model import LongModel
from longembed_st.errors import ModelError
from longembed_st.reading.late import join_tokens
from longembed_st.reading.layout import STARTS, TOKEN_WISE, flattened
from longembed_st.reading.reader import NOT_FINITE, read_once
from longembed_st.reading.tokens import checked_texts

_ENCODE = inspect.signature(MultiVectorEncoder.encode)


class LongMultiVectorEncoder(LongModel, MultiVectorEncoder):
    """A MultiVectorEncoder that reads long documents: the token vectors of all windows.

    Prompt and special tokens count once a text. What stands behind the transformer, a projection,
    the mask of scored tokens, token pooling, is applied window by window.
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
            The features with `token_embeddings`, shape (texts, most vectors, width), and
            `attention_mask`, true where there is one.

        Raises:
            ModelError: If a vector is not finite.
        """
        if "query_expansion_positions" in input:
            return super().forward(input, **kwargs)
        reader = self.long_transformer
        flat = flattened(input)
        passes = reader.passes_of(flat)
        kept: dict[int, Tensor] = {}
        counted = read_once(passes)
        for chosen, outputs in reader.read_batches(passes, flat):
            states = outputs["token_embeddings"]
            mask = torch.zeros(states.shape[:2], dtype=torch.int64, device=states.device)
            for row, index in enumerate(chosen):
                mask[row, : len(counted[index])] = counted[index].to(states.device)
            found = self.behind({**outputs, "attention_mask": mask}, kwargs)
            for row, index in enumerate(chosen):
                kept[index] = found["token_embeddings"][row][found["attention_mask"][row].bool()]
        texts = [
            torch.cat([kept[i] for i, one in enumerate(passes) if one.text == text])
            for text in range(len(flat["cu_seq_lens_q"]) - 1)
        ]
        joined = join_tokens(texts)
        if not self.training and not torch.isfinite(joined["token_embeddings"]).all():
            raise ModelError(NOT_FINITE)
        others = {name: input[name] for name in input.keys() - {*TOKEN_WISE, STARTS}}
        return {**others, **joined}

    # Type checkers keep the signatures of the base class.
    if not TYPE_CHECKING:

        def encode(self, *args: Any, **kwargs: Any) -> Any:
            """Encode texts of any length; see `MultiVectorEncoder.encode`.

            Raises:
                InputError: If an input is not a valid string, or is too long under the policy
                    "error".
            """
            return self.reported(super().encode, _ENCODE, checked_texts, args, kwargs)
