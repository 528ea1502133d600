"""A text as the vectors of its parts, in the class that sentence-transformers has for several.

Its MaxSim of a query, which is one vector, is then the similarity of the best part.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, cast

from numpy.typing import ArrayLike
from sentence_transformers import MultiVectorEncoder
from sentence_transformers.base.modules.module import Module
from sentence_transformers.util import batch_to_device
from torch import nn

from longembed_st.base.pooled import following_modules
from longembed_st.base.sharing import copy_sharing_weights
from longembed_st.base.tokens import checked_texts
from longembed_st.errors import ConfigError, ModelError
from longembed_st.multi_vector_encoder.transformer import join_tokens
from longembed_st.sentence_transformer.transformer import LongTransformer, long_transformer
from longembed_st.sentence_transformer.units import read_units

if TYPE_CHECKING:
    from longembed_st.sentence_transformer.model import LongSentenceTransformer

Split = Callable[[str], ArrayLike]
"""From a text to the half-open ranges of characters of its units, shape (units, 2)."""

_TOKENS = "token_embeddings"
_SUPPORTED = ("Normalize", "Dense")


class PartReader(Module):
    """The first module of a multi-vector model: reads a document as its parts, a query as a whole.

    Args:
        reader: Of an extended model.
        split: The same as for `multi_vector`.
    """

    forward_kwargs = {"task"}  # noqa: RUF012 - as the base class has it

    def __init__(self, reader: LongTransformer, split: Split | None) -> None:
        super().__init__()
        self.reader = reader
        self.split = split

    @property
    def tokenizer(self) -> Any:
        """The model's tokenizer."""
        return self.reader.tokenizer

    @property
    def max_seq_length(self) -> int | None:
        """None: texts of any length are read."""
        return None

    def get_embedding_dimension(self) -> int:
        """Width of a vector."""
        return self.reader.get_embedding_dimension()

    def preprocess(
        self, inputs: Sequence[Any], prompt: str | None = None, **kwargs: Any
    ) -> dict[str, Any]:
        """Keep the texts: how they are read depends on the task, which `forward` knows."""
        return {"texts": checked_texts(inputs), "prompt": prompt, "modality": "text"}

    def forward(self, features: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
        """Read each text.

        Args:
            features: What `preprocess` returned.
            **kwargs: `task`, "query" for one vector; parts otherwise.

        Returns:
            The features with `token_embeddings`, shape (texts, most parts, width), and
            `attention_mask`, true where there is a part.
        """
        texts, prompt = features["texts"], features["prompt"]
        if kwargs.get("task") == "query":
            flat = self.reader.flat_features(texts, prompt)
            flat = batch_to_device(flat, self.reader.token_table.device)
            vectors = list(self.reader(flat)["sentence_embedding"][:, None])
        else:
            ranges = [() if self.split is None else self.split(text) for text in texts]
            documents = read_units(self.reader, texts, ranges, prompt)
            vectors = [read.windows if self.split is None else read.units for read in documents]
        return features | join_tokens(vectors)

    def save(self, output_path: str, *args: Any, **kwargs: Any) -> None:
        """Raise `ConfigError`: sentence-transformers could not load it without this package."""
        raise ConfigError(
            "this model is not saved itself: save the one that it was made from, and after loading "
            "make it again: longembed_st.multi_vector(longembed_st.load(folder))"
        )


def multi_vector(
    model: LongSentenceTransformer, *, split: Split | None = None
) -> MultiVectorEncoder:
    """Make a MultiVectorEncoder of a model: a document becomes its parts, a query one vector.

    The evaluators of sentence-transformers, mteb's wrapper for late interaction, and fields of
    several vectors in other engines take the result; its MaxSim is the similarity of the best part.

    Args:
        model: An extended model; stays as it is and shares its weights.
        split: Splits a document into the units that get a vector, for instance
            `longembed_index.documents.sentences.sentence_units`; None for the windows of the
            method, which end with the extended window.

    Raises:
        ModelError: If the model was not extended, or has modules that vectors of parts cannot go
            through.
    """
    reader = copy_sharing_weights(long_transformer(model))
    modules: list[nn.Module] = [PartReader(reader, split)]
    for module in following_modules(model):
        kind = type(module).__name__
        if kind not in _SUPPORTED:
            raise ModelError(f"vectors of parts cannot go through the module {kind}")
        copy = cast(Any, copy_sharing_weights(module))
        copy.module_input_name = copy.module_output_name = _TOKENS
        modules.append(copy)
    return MultiVectorEncoder(
        modules=modules,
        device=str(model.device),
        prompts=cast("dict[str, str]", dict(model.prompts)),
        default_prompt_name=model.default_prompt_name,
    )
