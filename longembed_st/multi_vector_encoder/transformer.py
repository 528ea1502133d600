"""LongTokenTransformer: the token vectors of queries and documents, for late interaction."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import torch
from sentence_transformers.base.model import BaseModel
from sentence_transformers.base.modules import Transformer
from sentence_transformers.multi_vector_encoder.modules import BaseTokenPooling

from longembed_st.base.extension import ExtensionConfig
from longembed_st.base.layout import STARTS, flattened, padded
from longembed_st.base.long_model import refuse_stock_class
from longembed_st.base.reader import LongReader
from longembed_st.base.tokens import checked_texts

logger = logging.getLogger(__name__)


class LongTokenTransformer(LongReader):
    """A transformer that reads texts as an extension method says, and keeps the token vectors.

    `LongMultiVectorEncoder.forward` applies the modules behind it pass by pass; a stock model gets
    the token vectors of whole texts. Queries with an expansion (ColBERT: Khattab and Zaharia 2020,
    section 3.2) are read by sentence-transformers itself. The arguments are those of `LongReader`.
    """

    # Saved models name the class by this path, whichever file it lives in.
    __module__ = "longembed_st"

    per_task = ("query_length", "document_length", "query_expansion")

    def extend(self, extension: ExtensionConfig) -> None:
        """Read as an extension says from now on; a saved cap on documents is lifted."""
        if self.document_length is not None:
            logger.info(
                "the model was saved to cut documents at %d tokens: they are read as method %r "
                "does instead",
                self.document_length,
                extension.method,
            )
            self.document_length = None
        super().extend(extension)

    def preprocess(
        self,
        inputs: Sequence[Any],
        prompt: str | None = None,
        processing_kwargs: Any = None,
        **kwargs: Any,
    ) -> dict[str, Any]:
        """Tokenize texts: documents whole, queries as the model is set to.

        Arguments and errors are those of `LongReader.preprocess`.

        Returns:
            As `LongReader.preprocess`; for expanded queries the features of sentence-transformers.
        """
        if kwargs.get("task") == "query" and self.query_expansion is not None:
            queries = checked_texts(inputs)
            texts = self.tokenize_texts(queries, prompt)
            self.check_lengths(queries, texts, self.overflow_of_this_call(), "query")
            return Transformer.preprocess(self, queries, prompt, processing_kwargs, task="query")
        return super().preprocess(inputs, prompt, processing_kwargs, **kwargs)

    def forward(self, features: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
        """Read each text: what a stock model calls that has loaded a saved one.

        Args:
            features: What `preprocess` returned.
            **kwargs: Passed on to the transformers model.

        Returns:
            The features in rows, with `token_embeddings`, shape (texts, longest, width).
        """
        if "query_expansion_positions" in features:
            return super().forward(features, **kwargs)
        rows = padded(features, {}) if STARTS in features else features
        mask = rows["attention_mask"].bool()
        states = self.token_states(flattened(rows), **kwargs)
        embeddings = states.new_zeros(*mask.shape, states.shape[1])
        embeddings[mask] = states
        return {**rows, "token_embeddings": embeddings}

    def refusal_of_stock(self, model: BaseModel) -> str | None:
        """Say why a stock model would give other results; see `LongReader.refusal_of_stock`."""
        if not any(isinstance(module, BaseTokenPooling) for module in model):
            return None
        return (
            "this model pools the tokens of one window at a time, and a stock MultiVectorEncoder "
            "those of a whole text"
        )

    def on_model_ready(self, model: BaseModel) -> None:
        """Refuse a stock model that would give other results."""
        refuse_stock_class(model, self.refusal_of_stock(model))

    @property
    def query_limit(self) -> int | None:
        """Most tokens that are read of a query; None for the limit of documents."""
        expansion = self.query_expansion
        if expansion is None:
            return self.query_length
        if expansion["strategy"] == "fixed":
            return expansion["length"]
        return max(expansion["length"], self.query_length or self.extension.context.original)


def join_tokens(vectors: Sequence[torch.Tensor]) -> dict[str, torch.Tensor]:
    """Put the token vectors of texts into one padded tensor, as sentence-transformers does.

    Args:
        vectors: For each text, shape (its vectors, width).

    Returns:
        `token_embeddings`, shape (texts, most vectors, width), and `attention_mask`.
    """
    masks = [torch.ones(len(v), dtype=torch.bool, device=v.device) for v in vectors]
    pad = torch.nn.utils.rnn.pad_sequence
    return {"token_embeddings": pad(list(vectors), True), "attention_mask": pad(masks, True)}
