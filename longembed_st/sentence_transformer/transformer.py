"""LongTransformer: the module that reads texts of any length and pools what it read."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any, cast

from safetensors.torch import load_file, save_file
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.modules import Transformer
from sentence_transformers.sentence_transformer.modules import Pooling
from torch import Tensor
from typing_extensions import Self

from longembed_st.base.extension import ExtensionConfig
from longembed_st.base.layout import STARTS, flattened
from longembed_st.base.pooled import PooledPasses
from longembed_st.base.reader import LongReader, long_reader
from longembed_st.base.reductions import mean_by_text
from longembed_st.errors import ModelError
from longembed_st.sentence_transformer.token_weights import FILE_NAME as TOKEN_WEIGHTS
from longembed_st.sentence_transformer.token_weights import TokenWeights, refuse_unless_mean


class LongTransformer(LongReader):
    """A transformer and its pooling that read each text as an extension method says.

    It takes the places of both `Transformer` and `Pooling` in a sentence-transformers pipeline:
    each text is read in one pass or in several windows, in batches that fit a token budget, and
    pooled at once, so that the token embeddings of a batch never exist all at the same time.

    Args:
        pooling: The fields of the model's own `Pooling`. The others are those of `LongReader`.
    """

    # Saved models name the class by this path, whichever file it lives in.
    __module__ = "longembed_st"

    token_weights: TokenWeights | None

    def __init__(
        self,
        model_name_or_path: str,
        *,
        extension: ExtensionConfig | dict[str, Any],
        pooling: dict[str, Any],
        **kwargs: Any,
    ) -> None:
        super().__init__(model_name_or_path, extension=extension, **kwargs)
        self.register_module("token_weights", None)
        self.pooling = PooledPasses(**pooling)

    @classmethod
    def load(cls, model_name_or_path: str, *args: Any, **kwargs: Any) -> Self:
        """Load what `save` has written; see `sentence_transformers.base.modules.Transformer`.

        Raises:
            ModelError: If it has weights of tokens for another vocabulary.
        """
        module = super().load(model_name_or_path, *args, **kwargs)
        known = inspect.signature(cls.load_file_path).parameters
        where = {name: value for name, value in kwargs.items() if name in known}
        path = cls.load_file_path(model_name_or_path, TOKEN_WEIGHTS, **where)
        if path is not None:
            module.weigh_tokens(load_file(path)["weights"])
        return module

    @classmethod
    def extending(
        cls, transformer: Transformer, pooling: Pooling, extension: ExtensionConfig
    ) -> Self:
        """Extend a loaded model; its modules stay as they are and share their weights."""
        module = cls.extended_copy(transformer, extension)
        # A model that was extended before keeps its weights of tokens.
        if not isinstance(transformer, LongTransformer):
            module.register_module("token_weights", None)
        module.pooling = PooledPasses.of(pooling)
        return module

    def get_embedding_dimension(self) -> int:
        """Return the width of the pooled vectors."""
        return self.pooling.get_embedding_dimension()

    def get_config_dict(self) -> dict[str, Any]:
        """Return the settings that are saved with the weights."""
        return {**super().get_config_dict(), "pooling": self.pooling.get_config_dict()}

    def save(self, output_path: str, *args: Any, **kwargs: Any) -> None:
        """Save the original model and the extension's settings."""
        super().save(output_path, *args, **kwargs)
        if self.token_weights is not None:
            save_file(self.token_weights.state_dict(), Path(output_path, TOKEN_WEIGHTS))

    @property
    def excludes_prompt(self) -> bool:
        """Whether the pooling leaves out the tokens of the prompt."""
        return not self.pooling.include_prompt

    def weigh_tokens(self, weights: Tensor) -> None:
        """Weigh the tokens in the mean of a pass from now on.

        Args:
            weights: One for each row of the token table, shape (vocabulary,), none negative.

        Raises:
            ModelError: If the model does not pool by the mean, or has another vocabulary.
        """
        refuse_unless_mean(self.pooling)
        table = self.token_table
        if len(weights) != len(table):
            raise ModelError(
                f"there are weights for {len(weights)} tokens, and the model has {len(table)}: the "
                "two do not belong together"
            )
        self.token_weights = TokenWeights(weights).to(table.device)

    def forward(self, features: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
        """Read and pool each text.

        Args:
            features: What `preprocess` returned.
            **kwargs: Passed on to the transformers model.

        Returns:
            The features with `sentence_embedding`, shape (texts, width), and outside training, if
            the tokens were counted, `coverages`, what each vector was computed from.

        Raises:
            ModelError: If a vector is not finite.
        """
        if self.config.output_hidden_states and "attention_mask" in features:
            return self._all_layers(features, **kwargs)
        flat = flattened(features)
        width = self.get_embedding_dimension()
        vectors, owners = self.read_reduced(flat, self.pool, width, **kwargs)
        texts = len(flat[STARTS]) - 1
        if len(owners) > texts:
            vectors = mean_by_text(vectors, owners, texts)
        return self.with_result(features, "sentence_embedding", vectors, flat, owners)

    def _all_layers(self, features: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
        """Return the embeddings of all layers, for losses over layers, of texts that fit."""
        longest = int(features["attention_mask"].sum(1).max())
        fit = self.method.reads_originally(longest, self.extension.context)
        if not fit or self.token_weights is not None:
            raise ModelError(
                f"embeddings of all layers exist for texts of at most "
                f"{self.extension.context.original} tokens and without weights of tokens: a loss "
                "over layers (AdaptiveLayerLoss) trains on short texts; extend the model afterwards"
            )
        return super().forward(features, **kwargs)

    def pool(self, outputs: dict[str, Any]) -> Tensor:
        """Pool the token embeddings of some passes.

        Args:
            outputs: `input_ids`, `token_embeddings` and perhaps `attention_mask` of the passes.

        Returns:
            Shape (passes, width).
        """
        weighted = self.token_weights(outputs) if self.token_weights is not None else dict(outputs)
        return cast(Tensor, self.pooling(weighted)["sentence_embedding"])

    def pool_plainly(self, outputs: dict[str, Any]) -> Tensor:
        """Pool the token embeddings of some passes as `pool`, without weights of tokens."""
        return cast(Tensor, self.pooling(dict(outputs))["sentence_embedding"])


def long_transformer(model: SentenceTransformer) -> LongTransformer:
    """Return the module that reads and pools the texts of an extended model.

    Raises:
        ModelError: If the model was not extended, or is of another class.
    """
    reader = long_reader(model)
    if not isinstance(reader, LongTransformer):
        raise ModelError(
            f"this is a {model.model_type}, and a SentenceTransformer is needed, which gives one "
            "dense vector a text"
        )
    return reader
