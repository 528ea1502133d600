"""LongSpladeTransformer: learned sparse vectors of long texts, window by window."""

from __future__ import annotations

from typing import Any, cast

import torch
from sentence_transformers.base.modules import Transformer
from sentence_transformers.sparse_encoder.modules import SpladePooling
from torch import Tensor
from typing_extensions import Self

from longembed_st.base.extension import ExtensionConfig
from longembed_st.base.layout import flattened
from longembed_st.base.reader import LongReader
from longembed_st.compat import head_alone
from longembed_st.errors import ModelError

HEAD_TOKENS = 256
"""Tokens whose scores for the whole vocabulary exist at once: 31 MB for 30,522 words."""


class PooledSplade(SpladePooling):
    """The SpladePooling of an extended model, which the module before has applied already.

    Its settings say how the windows are pooled.
    """

    # Saved models name the class by this path, whichever file it lives in.
    __module__ = "longembed_st"

    def forward(self, features: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
        """Pool what is not pooled yet."""
        return super().forward(features) if "token_embeddings" in features else features

    def joined(self, first: Tensor, second: Tensor) -> Tensor:
        """Join the vectors of two parts of a text: their maximum or their sum.

        For the maximum, the same as pooling the scores of all windows at once.

        Args:
            first: Shape (vocabulary,).
            second: Shape (vocabulary,).
        """
        return torch.maximum(first, second) if self.pooling_strategy == "max" else first + second


class LongSpladeTransformer(LongReader):
    """A masked-word model and its pooling that read each text as an extension method says.

    The scores of a window for the vocabulary are pooled some tokens at a time, so that those of a
    whole text, or only of a batch, never exist (SPLADE: Formal et al. 2021, equation 1 for the sum;
    v2, equation 6 for the maximum).

    Args:
        pooling: The fields of the model's own `SpladePooling`. The others are those of
            `LongReader`.
    """

    # Saved models name the class by this path, whichever file it lives in.
    __module__ = "longembed_st"

    def __init__(
        self,
        model_name_or_path: str,
        *,
        extension: ExtensionConfig | dict[str, Any],
        pooling: dict[str, Any],
        **kwargs: Any,
    ) -> None:
        super().__init__(model_name_or_path, extension=extension, **kwargs)
        self.pooling = PooledSplade(**pooling)

    @classmethod
    def extending(
        cls, transformer: Transformer, pooling: SpladePooling, extension: ExtensionConfig
    ) -> Self:
        """Extend a loaded model; its modules stay as they are and share their weights.

        Raises:
            ConfigError: If the extension is not valid.
            ModelError: If the model cannot take it.
        """
        if transformer.transformer_task != "fill-mask":
            raise ModelError(
                f"a SpladePooling stands behind a model for {transformer.transformer_task!r}; it "
                "needs the scores of masked words: Transformer(name, transformer_task='fill-mask')"
            )
        module = cls.extended_copy(transformer, extension)
        width = module.model.config.vocab_size
        settings = {**pooling.get_config_dict(), "embedding_dimension": width}
        module.pooling = PooledSplade(**settings)
        return module

    def get_embedding_dimension(self) -> int:
        """Return the size of the vocabulary."""
        return self.pooling.get_embedding_dimension()

    def get_config_dict(self) -> dict[str, Any]:
        """Return the settings that are saved with the weights."""
        return {**super().get_config_dict(), "pooling": self.pooling.get_config_dict()}

    def forward(self, features: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
        """Read and pool each text.

        Args:
            features: What `preprocess` returned.
            **kwargs: Passed on to the transformers model.

        Returns:
            The features with `sentence_embedding`, shape (texts, vocabulary), and outside training,
            if the tokens were counted, `coverages`, what each vector was computed from.

        Raises:
            ModelError: If a vector is not finite.
        """
        flat = flattened(features)
        passes = self.passes_of(flat)
        head = head_alone(self.model)
        vectors: dict[int, Tensor] = {}
        for indices, outputs in self.read_batches(passes, flat, **kwargs):
            for row, index in enumerate(indices):
                item = passes[index]
                states = outputs["token_embeddings"][row, : len(item.tokens)]
                for block in states.split(HEAD_TOKENS):
                    vector = self._pooled(head, block)
                    if item.text in vectors:
                        vector = self.pooling.joined(vectors[item.text], vector)
                    vectors[item.text] = vector
        texts = [vectors[text] for text in range(len(vectors))]
        result = torch.stack(texts) if texts else torch.zeros(0, self.get_embedding_dimension())
        owners = [item.text for item in passes]
        return self.with_result(features, "sentence_embedding", result, flat, owners)

    def _pooled(self, head: torch.nn.Module, states: Tensor) -> Tensor:
        """Return the pooled scores of some tokens, shape (vocabulary,)."""
        scores = head(inputs_embeds=states[None]).logits
        mask = torch.ones(scores.shape[:2], dtype=torch.int64, device=scores.device)
        pooled = self.pooling({"token_embeddings": scores, "attention_mask": mask})
        return cast(Tensor, pooled["sentence_embedding"][0])

    def read_with_torch(self, inputs: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
        """Run one forward pass of the model without its head.

        Returns:
            The inputs, with `token_embeddings`, the last hidden states.
        """
        arguments = {name: value for name, value in inputs.items() if name != "modality"}
        states = self.backbone(**arguments, **kwargs, return_dict=True).last_hidden_state
        return {**inputs, "token_embeddings": states}
