"""The SentenceTransformer that `load` and `extend` return."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sentence_transformers import SentenceTransformer
from sentence_transformers.util import batch_to_device, truncate_embeddings
from torch import nn

from longembed_st.base.computing import NOT_FINITE
from longembed_st.base.coverage import Coverage, Encoded, Overflow, QueryVectors
from longembed_st.base.exit_gate import exit_gate
from longembed_st.base.layout import padded
from longembed_st.base.long_model import (
    LongModel,
    Role,
    in_groups,
    resolve_prompt,
    uses_workers,
)
from longembed_st.base.pooled import following_modules, linear_modules
from longembed_st.base.reductions import mean_by_text
from longembed_st.base.tokens import checked_texts
from longembed_st.errors import InputError, ModelError
from longembed_st.sentence_transformer.transformer import LongTransformer
from longembed_st.sentence_transformer.units import PooledText, UnitVectors, read_units

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
            that is read, special ones included; see `LongReader.token_states`. Unlike vectors,
            these take memory by the length of the text. With `output_value=None`, return the
            features of each text, with `token_embeddings` if it fits the original window.

            Raises:
                InputError: If an input is not a valid string, or is too long under the policy
                    "error".
            """
            arguments = self.bound(_ENCODE, args, kwargs).arguments
            output = arguments.get("output_value", "sentence_embedding")
            is_vector = output == "sentence_embedding"
            if is_vector or (output is None and uses_workers(arguments)):
                return self.encode_and_report(super().encode, _ENCODE, checked_texts, args, kwargs)
            texts = checked_texts(self.as_list(arguments["inputs"]))
            prompt = resolve_prompt(self, arguments.get("prompt"), arguments.get("prompt_name"))
            width = arguments.get("truncate_dim") or self.truncate_dim
            overflow = Overflow(exact=False)
            self.eval()
            reader = self.long_transformer
            results: list[Any] = []
            for text in texts:
                features = reader.flat_features([text], prompt, overflow)
                with torch.inference_mode():
                    if output == "token_embeddings":
                        results.append(reader.token_states(features))
                    else:
                        results.append(self._features(features, width))
            overflow.warn(reader.extension, stacklevel=2)
            return results[0] if self.is_singular_input(arguments["inputs"]) else results

    def _features(self, flat: dict[str, Any], width: int | None) -> dict[str, Any]:
        """The features of one text as a stock model returns them."""
        reader = self.long_transformer
        flat = batch_to_device(flat, self.device)
        features = padded(self.forward(dict(flat)), {})
        for own in ("token_parts", "token_counts", "query_lost", "coverages"):
            features.pop(own, None)
        tokens = features["input_ids"].shape[1]
        if reader.method.reads_originally(tokens, reader.extension.context):
            features["token_embeddings"] = reader.token_states(flat)[None]
        features["sentence_embedding"] = truncate_embeddings(features["sentence_embedding"], width)
        return {
            name: value[0] if isinstance(value, torch.Tensor) and value.ndim else value
            for name, value in features.items()
        }

    @exit_gate.use()
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
            features = self.long_transformer.flat_features(
                group, prompt, overflow=Overflow(), role=role
            )
            features = self(batch_to_device(features, self.device))
            embeddings = truncate_embeddings(features["sentence_embedding"], self.truncate_dim)
            vectors.append(embeddings.float().cpu().numpy())
            coverages += features["coverages"]
        return Encoded(np.concatenate(vectors[1:] or vectors), coverages)

    @property
    def has_offsets(self) -> bool:
        """Whether the tokenizer knows the characters of each token, which units need."""
        return bool(self.tokenizer.is_fast)

    def encode_units(
        self,
        texts: Sequence[str],
        ranges: Sequence[ArrayLike],
        *,
        role: Role | None = "document",
        prompt: str | None = None,
    ) -> list[UnitVectors]:
        """Encode texts, and their units, in one reading.

        What the window does not hold is read for units in further, overlapping passes; the
        document's vector stays that of `encode`.

        Args:
            texts: The texts.
            ranges: Of each text the half-open ranges of characters of its units, in order, not
                overlapping, shape (units, 2).
            role: Whose prompt to use; None for the model's default prompt.
            prompt: Put before each text, instead of the prompt of the role.

        Returns:
            One a text, in order.

        Raises:
            ConfigError: If the tokenizer keeps no offsets.
            InputError: If a text is not a valid string, or too long under the policy "error", or if
                there are not as many ranges as texts.
            ModelError: If a vector is not finite.
        """
        if not isinstance(texts, str) and len(ranges) != len(texts):
            raise InputError(f"{len(texts)} texts need ranges of {len(texts)}, not {len(ranges)}")
        if prompt is None:
            prompt = self.prompt_of(role)
        self.eval()
        results: list[UnitVectors] = []
        for group in in_groups(texts):
            own_ranges = ranges[len(results) : len(results) + len(group)]
            read = read_units(self.long_transformer, group, own_ranges, prompt)
            results += map(self.units_from_pooled, own_ranges, read)
        return results

    def units_from_pooled(self, ranges: ArrayLike, read: PooledText) -> UnitVectors:
        """Apply the modules behind the pooling to what was read of a text.

        Args:
            ranges: The characters of its units, shape (units, 2).
            read: Of this model.

        Raises:
            ModelError: If a vector is not finite.
        """
        plain = self._through(linear_modules(self), read.units)
        # A bias is not a direction.
        plain[(read.counts == 0).cpu().numpy()] = 0
        (document,) = self.vectors_from_pooled(read.document[None])
        edges = np.asarray(ranges, dtype=np.int64).reshape(-1, 2)
        return UnitVectors(edges, plain, read.counts.cpu().numpy(), document, read.coverage)

    def vectors_from_units(self, plain: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the vectors of runs of units as `encode` gives vectors: of unit length, whitened.

        Args:
            plain: Means of the vectors of units, shape (runs, width).

        Returns:
            Shape (runs, dimensions).

        Raises:
            ModelError: If a vector is not finite.
        """
        behind = following_modules(self)[len(linear_modules(self)) :]
        pooled = torch.from_numpy(np.asarray(plain, dtype=np.float32))
        return self._through(behind, pooled.to(self.device))

    @torch.inference_mode()
    def encode_query_twice(self, text: str, *, prompt: str | None = None) -> QueryVectors:
        """Encode a query in one reading for documents, and for runs of their units.

        Args:
            text: The query.
            prompt: Put before it, instead of the prompt for queries.

        Raises:
            InputError: If it is not a valid string, or too long under the policy "error".
            ModelError: If a vector is not finite.
        """
        if prompt is None:
            prompt = self.prompt_of("query")
        self.eval()
        reader = self.long_transformer
        features = reader.flat_features([text], prompt, overflow=Overflow(), role="query")
        features = batch_to_device(features, self.device)
        width = reader.get_embedding_dimension()

        def pool(outputs: dict[str, Any]) -> torch.Tensor:
            return torch.cat([reader.pool(outputs), reader.pool_plainly(outputs)], dim=1)

        rows, owners = reader.read_reduced(features, pool, 2 * width)
        own, plain = mean_by_text(rows, owners, 1).split(width, dim=1)
        features = reader.with_result({}, "sentence_embedding", own, features, owners)
        plain = self._through(linear_modules(self), plain)[0]
        length = np.linalg.norm(plain)
        return QueryVectors(
            self.vectors_from_pooled(own)[0], plain / (length or 1), features["coverages"][0]
        )

    def vectors_from_pooled(self, pooled: torch.Tensor) -> NDArray[np.float32]:
        """Apply the modules behind the pooling to pooled vectors.

        Args:
            pooled: Shape (n, width of the pooling).

        Returns:
            Shape (n, dimensions).

        Raises:
            ModelError: If a vector is not finite.
        """
        return self._through(list(self.children())[1:], pooled)

    @torch.inference_mode()
    def _through(self, modules: Sequence[nn.Module], pooled: torch.Tensor) -> NDArray[np.float32]:
        features = {"sentence_embedding": pooled}
        for module in modules:
            features = module(features)
        embeddings = truncate_embeddings(features["sentence_embedding"], self.truncate_dim)
        vectors = cast("NDArray[np.float32]", embeddings.float().cpu().numpy())
        if not np.isfinite(vectors).all():
            raise ModelError(NOT_FINITE)
        return vectors

    def set_pooling_include_prompt(self, include_prompt: bool) -> None:
        """Set whether the prompt's tokens count in the pooling."""
        self.long_transformer.pooling.include_prompt = include_prompt
