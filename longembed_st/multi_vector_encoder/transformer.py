"""LongTokenTransformer: the token vectors of queries and documents, for late interaction."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import torch
from sentence_transformers.base.modules import Transformer

from longembed_st.base.coverage import Overflow, warn_truncated_queries
from longembed_st.base.extension import ExtensionConfig
from longembed_st.base.reader import LongReader
from longembed_st.base.tokens import checked_texts

logger = logging.getLogger(__name__)


class LongTokenTransformer(LongReader):
    """A transformer that reads texts as an extension method says, and keeps the token vectors.

    The modules behind it are applied pass by pass; see `LongMultiVectorEncoder.forward`. Queries
    with an expansion (ColBERT: Khattab and Zaharia 2020, section 3.2) are read by
    sentence-transformers itself.

    Args:
        model_name_or_path: Folder or hub name of the underlying model.
        extension: The extension, as an `ExtensionConfig` or its fields.
        **kwargs: Arguments of `sentence_transformers.base.modules.Transformer`.

    Raises:
        ConfigError: If the extension is not valid.
        ModelError: If the model cannot take it, or if weights are missing from the checkpoint.
    """

    # Saved models name the class by this path, whichever file it lives in.
    __module__ = "longembed_st"

    per_task = ("query_length", "document_length", "query_expansion")

    def extend(self, extension: ExtensionConfig) -> None:
        """Read as an extension says from now on; a saved cap on documents is lifted.

        Args:
            extension: See `LongReader.extend`.

        Raises:
            ConfigError: As there.
            ModelError: As there.
        """
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
        overflow: Overflow | None = None,
        **kwargs: Any,
    ) -> dict[str, Any]:
        """Tokenize texts: documents whole, queries as the model is set to.

        Args:
            inputs: Strings.
            prompt: Put before each text, or None.
            processing_kwargs: Refused: it could cut texts without a warning.
            overflow: As `LongReader.preprocess`.
            **kwargs: `task`, "query" for queries; otherwise as `LongReader.preprocess`.

        Returns:
            As `LongReader.preprocess`; for expanded queries the features of sentence-transformers.

        Raises:
            InputError: For the same reasons as `LongReader.preprocess`.
        """
        if kwargs.get("task") == "query":
            limit = self._query_limit()
            if limit is not None:
                kwargs.setdefault("max_length", limit)
                texts = self.tokenize_texts(inputs, prompt)
                warn_truncated_queries([len(text) for text in texts], limit, self.extension)
            if self.query_expansion is not None:
                queries = checked_texts(inputs)
                return Transformer.preprocess(
                    self, queries, prompt, processing_kwargs, task="query"
                )
        return super().preprocess(inputs, prompt, processing_kwargs, overflow, **kwargs)

    def _query_limit(self) -> int | None:
        """Most tokens of a query; None for the limit of documents."""
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
