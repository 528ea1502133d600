"""The SentenceTransformer that `load` and `extend` return."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from sentence_transformers import SentenceTransformer
from sentence_transformers.util import batch_to_device, truncate_embeddings

from longembed_st.base.computing import NOT_FINITE
from longembed_st.base.coverage import Coverage, Encoded, Overflow
from longembed_st.base.long_model import LongModel, Role, in_groups, resolve_prompt
from longembed_st.base.tokens import checked_texts
from longembed_st.errors import ConfigError, ModelError
from longembed_st.sentence_transformer.spans import SpanVectors, read_ranges, read_spans
from longembed_st.sentence_transformer.token_states import token_states
from longembed_st.sentence_transformer.transformer import LongTransformer

_ENCODE = inspect.signature(SentenceTransformer.encode)


class LongSentenceTransformer(LongModel, SentenceTransformer):
    """A SentenceTransformer that says once per encode call what it did not read."""

    @property
    def long_transformer(self) -> LongTransformer:
        """The module that reads the texts."""
        return cast(LongTransformer, super().long_transformer)

    # Type checkers keep the signatures of the base class.
    if not TYPE_CHECKING:

        def encode(self, *args: Any, **kwargs: Any) -> Any:
            """Encode texts of any length; see `SentenceTransformer.encode`.

            With `output_value="token_embeddings"`, return a tensor a text, a row for each token
            that is read, special ones included; see `token_states`. Unlike vectors, these take
            memory by the length of the text.

            Raises:
                InputError: If an input is not a valid string, or is too long under the policy
                    "error".
            """
            arguments = self.bound_arguments(_ENCODE, args, kwargs)
            if arguments.get("output_value") != "token_embeddings":
                return self.encode_and_report(super().encode, _ENCODE, checked_texts, args, kwargs)
            texts = checked_texts(self.as_list(arguments["inputs"]))
            prompt = resolve_prompt(self, arguments.get("prompt"), arguments.get("prompt_name"))
            overflow = Overflow(exact=False)
            self.eval()
            reader = self.long_transformer
            states = [
                token_states(reader, reader.flat_features([text], prompt, overflow))
                for text in texts
            ]
            overflow.warn(reader.extension, stacklevel=2)
            return states[0] if self.is_singular_input(arguments["inputs"]) else states

    @torch.inference_mode()
    def encode_with_coverage(
        self, texts: Sequence[str], *, role: Role | None = None, prompt: str | None = None
    ) -> Encoded:
        """Encode texts, and say of each what its vector was computed from.

        The vectors are those of `encode_document` or `encode_query`. There is no warning: what was
        not read is in the result.

        Args:
            texts: The texts.
            role: Whose prompt to use; None for the model's default prompt.
            prompt: Put before each text, instead of the prompt of the role.

        Returns:
            Vectors and coverages, in the order of the texts.

        Raises:
            InputError: If a text is not a valid string, or too long under the policy "error".
            ModelError: If a vector is not finite.
        """
        if prompt is None:
            prompt = self.prompt_of(role)
        self.eval()
        vectors = [np.empty((0, self.get_embedding_dimension() or 0), dtype=np.float32)]
        coverages: list[Coverage] = []
        for group in in_groups(texts):
            features = self.long_transformer.flat_features(group, prompt, overflow=Overflow())
            features = self(batch_to_device(features, self.device))
            embeddings = truncate_embeddings(features["sentence_embedding"], self.truncate_dim)
            vectors.append(embeddings.float().cpu().numpy())
            coverages += features["coverages"]
        return Encoded(np.concatenate(vectors[1:] or vectors), coverages)

    @property
    def has_offsets(self) -> bool:
        """Whether the tokenizer knows the characters of each token, which spans need."""
        return bool(self.tokenizer.is_fast)

    def encode_spans(
        self,
        texts: Sequence[str],
        *,
        span_tokens: int | None = None,
        role: Role | None = "document",
        prompt: str | None = None,
    ) -> list[SpanVectors]:
        """Encode texts, and every part of them, in one reading.

        The windows that the method reads in are the spans; a method that reads in one pass gives
        ranges of that pass, each of the original window's length at most (late chunking, Günther et
        al. 2024). What the window does not hold is read for spans in further, overlapping passes;
        the document's vector stays that of `encode`.

        Args:
            texts: The texts.
            span_tokens: Most tokens of a span; shorter spans are pooled inside their pass, and end
                at the end of a sentence or line where one is near.
            role: Whose prompt to use; None for the model's default prompt.
            prompt: Put before each text, instead of the prompt of the role.

        Returns:
            One a text, in order.

        Raises:
            ConfigError: If `span_tokens` is out of range, or the tokenizer keeps no offsets.
            InputError: If a text is not a valid string, or too long under the policy "error".
            ModelError: If a vector is not finite.
        """
        if prompt is None:
            prompt = self.prompt_of(role)
        self.eval()
        results: list[SpanVectors] = []
        for group in in_groups(texts):
            for read in read_spans(self.long_transformer, group, prompt, span_tokens=span_tokens):
                vectors = self.vectors_from_pooled(torch.cat([read.vectors, read.document[None]]))
                results.append(SpanVectors(vectors[:-1], read.spans, vectors[-1], read.coverage))
        return results

    def encode_ranges(
        self,
        text: str,
        ranges: Sequence[tuple[int, int]],
        *,
        role: Role | None = "document",
        prompt: str | None = None,
    ) -> NDArray[np.float32]:
        """Encode known parts of a text, its sentences for instance, in one reading.

        Ranges beyond the window are read in further, overlapping passes, as by `encode_spans`.

        Args:
            text: The text.
            ranges: Half-open ranges of its characters.
            role: Whose prompt to use; None for the model's default prompt.
            prompt: Put before the text, instead of the prompt of the role.

        Returns:
            One a range, shape (ranges, width).

        Raises:
            ConfigError: If there is no range, or the tokenizer keeps no offsets.
            InputError: If the text is not a valid string, or too long under the policy "error".
            ModelError: If a vector is not finite.
        """
        if not ranges:
            raise ConfigError("give at least one range of characters")
        if prompt is None:
            prompt = self.prompt_of(role)
        self.eval()
        return self.vectors_from_pooled(read_ranges(self.long_transformer, text, ranges, prompt))

    @torch.inference_mode()
    def vectors_from_pooled(self, pooled: torch.Tensor) -> NDArray[np.float32]:
        """Apply the modules behind the pooling to pooled vectors.

        Args:
            pooled: Shape (n, width of the pooling).

        Returns:
            Shape (n, dimensions).

        Raises:
            ModelError: If a vector is not finite.
        """
        features = {"sentence_embedding": pooled}
        for module in list(self.children())[1:]:
            features = module(features)
        embeddings = truncate_embeddings(features["sentence_embedding"], self.truncate_dim)
        vectors = cast("NDArray[np.float32]", embeddings.float().cpu().numpy())
        if not np.isfinite(vectors).all():
            raise ModelError(NOT_FINITE)
        return vectors

    def set_pooling_include_prompt(self, include_prompt: bool) -> None:
        """Set whether the prompt's tokens count in the pooling.

        Args:
            include_prompt: Whether they do.
        """
        self.long_transformer.pooling.include_prompt = include_prompt
