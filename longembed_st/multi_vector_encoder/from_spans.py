"""A text as the vectors of its spans, in the class that sentence-transformers has for several.

Its MaxSim of a query, which is one vector, is then the similarity of the best span.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

import torch
from sentence_transformers.base.modules.module import Module
from sentence_transformers.util import batch_to_device
from torch import nn
from torch.nn.utils.rnn import pad_sequence

from longembed_st.base.pooled import following_modules
from longembed_st.base.sharing import copy_sharing_weights
from longembed_st.base.tokens import checked_texts
from longembed_st.errors import ConfigError, ModelError
from longembed_st.sentence_transformer.spans import read_spans, refuse_short
from longembed_st.sentence_transformer.transformer import LongTransformer, long_transformer

if TYPE_CHECKING:
    from sentence_transformers import MultiVectorEncoder

    from longembed_st.sentence_transformer.model import LongSentenceTransformer

_TOKENS = "token_embeddings"
_SUPPORTED = ("Normalize", "Dense")


class SpanReader(Module):
    """The first module of a multi-vector model: reads a document as its spans, a query as a whole.

    Args:
        reader: Of an extended model.
        span_tokens: As for `LongSentenceTransformer.encode_spans`.
    """

    forward_kwargs = {"task"}  # noqa: RUF012 - as the base class has it

    def __init__(self, reader: LongTransformer, span_tokens: int | None) -> None:
        super().__init__()
        self.reader = reader
        self.span_tokens = span_tokens

    @property
    def tokenizer(self) -> Any:
        """The model's tokenizer."""
        return self.reader.tokenizer

    @property
    def max_seq_length(self) -> int | None:
        """None: what the window does not hold has spans of its own."""
        return None

    def get_embedding_dimension(self) -> int:
        """Width of a vector."""
        return self.reader.get_embedding_dimension()

    def preprocess(
        self, inputs: Sequence[Any], prompt: str | None = None, **kwargs: Any
    ) -> dict[str, Any]:
        """Keep the texts: how they are read depends on the task, which `forward` knows.

        Args:
            inputs: Strings.
            prompt: Put before each text, or None.
            **kwargs: What else sentence-transformers passes.
        """
        return {"texts": checked_texts(inputs), "prompt": prompt, "modality": "text"}

    def forward(self, features: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
        """Read each text.

        Args:
            features: What `preprocess` returned.
            **kwargs: `task`, "query" for one vector; spans otherwise.

        Returns:
            The features with `token_embeddings`, shape (texts, most spans, width), and
            `attention_mask`, 1 where there is a span.
        """
        texts, prompt = features["texts"], features["prompt"]
        if kwargs.get("task") == "query":
            flat = self.reader.flat_features(texts, prompt)
            flat = batch_to_device(flat, self.reader.token_table.device)
            vectors = list(self.reader(flat)["sentence_embedding"][:, None])
        else:
            documents = read_spans(self.reader, texts, prompt, span_tokens=self.span_tokens)
            vectors = [document.vectors for document in documents]
        masks = [torch.ones(len(v), dtype=torch.int64, device=v.device) for v in vectors]
        features[_TOKENS] = pad_sequence(vectors, batch_first=True)
        features["attention_mask"] = pad_sequence(masks, batch_first=True)
        return features

    def save(self, output_path: str, *args: Any, **kwargs: Any) -> None:
        """Raise `ConfigError`: sentence-transformers could not load it without this package.

        Args:
            output_path: Not written to.
            *args: Not used.
            **kwargs: Not used.
        """
        raise ConfigError(
            "this model is not saved itself: save the one that it was made from, and after loading "
            "make it again: "
            "longembed_st.multi_vector(longembed_st.load(folder))"
        )


def multi_vector(
    model: LongSentenceTransformer, *, span_tokens: int | None = None
) -> MultiVectorEncoder:
    """Make a MultiVectorEncoder of a model: a document becomes its spans, a query one vector.

    Needs sentence-transformers 6.1 or later. Its evaluators, mteb's wrapper for late interaction,
    and fields of several vectors in other engines take the result; its MaxSim is the similarity of
    the best span.

    Args:
        model: An extended model; stays as it is and shares its weights.
        span_tokens: Most tokens of a span; None for the windows of the method.

    Raises:
        ConfigError: If `span_tokens` is out of range, or sentence-transformers is too old.
        ModelError: If the model was not extended, or has modules that vectors of spans cannot go
            through.
    """
    try:
        from sentence_transformers import MultiVectorEncoder
    except ImportError:
        raise ConfigError(
            "models of several vectors need sentence-transformers 6.1: "
            "pip install -U sentence-transformers"
        ) from None
    refuse_short(span_tokens)
    reader = copy_sharing_weights(long_transformer(model))
    modules: list[nn.Module] = [SpanReader(reader, span_tokens)]
    for module in following_modules(model):
        kind = type(module).__name__
        if kind not in _SUPPORTED:
            raise ModelError(f"vectors of spans cannot go through the module {kind}")
        copy = cast(Any, copy_sharing_weights(module))
        copy.module_input_name = copy.module_output_name = _TOKENS
        modules.append(copy)
    return MultiVectorEncoder(
        modules=modules,
        device=str(model.device),
        prompts=cast("dict[str, str]", dict(model.prompts)),
        default_prompt_name=model.default_prompt_name,
    )
