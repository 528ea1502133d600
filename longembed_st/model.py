"""The SentenceTransformer that `load` and `extend` return."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, cast

from sentence_transformers import SentenceTransformer

from longembed_st.errors import InputError
from longembed_st.overflow import record, warn_once
from longembed_st.tokens import checked_texts
from longembed_st.transformer import LongTransformer

_ENCODE = inspect.signature(SentenceTransformer.encode)


class LongSentenceTransformer(SentenceTransformer):
    """A SentenceTransformer that says once per encode call what it did not read."""

    @property
    def long_transformer(self) -> LongTransformer:
        """The module that reads the texts."""
        return cast(LongTransformer, self[0])

    # Type checkers keep the overloads of the base class.
    if not TYPE_CHECKING:

        def encode(self, *args: Any, **kwargs: Any) -> Any:
            """Encode texts of any length; see `SentenceTransformer.encode`.

            Raises:
                InputError: If an input is not a valid string, is too long under the policy "error",
                    or if token embeddings are asked for, which a long text never has all at once.
            """
            if "sentences" in kwargs:  # The name before sentence-transformers 6, still taken there.
                kwargs.setdefault("inputs", kwargs.pop("sentences"))
            given = _ENCODE.bind(self, *args, **kwargs).arguments
            if given.get("output_value") == "token_embeddings":
                raise InputError(
                    "an extended model pools each text at once and keeps no token embeddings; use "
                    "the original model for output_value='token_embeddings'"
                )
            # All of them before the first is read, and counted as the caller does.
            texts = checked_texts(self._listed(given["inputs"]))
            with warn_once(self.long_transformer.extension, stacklevel=2):
                if given.get("pool") is not None or isinstance(given.get("device"), list):
                    prompt = self._resolve_prompt(given.get("prompt"), given.get("prompt_name"))
                    self._record_coverage(texts, prompt)
                return super().encode(*args, **kwargs)

    def set_pooling_include_prompt(self, include_prompt: bool) -> None:
        """Say whether the prompt's tokens count in the pooling.

        Args:
            include_prompt: Whether they do.
        """
        self.long_transformer.pooling.include_prompt = include_prompt

    def _listed(self, inputs: Any) -> list[Any]:
        return [inputs] if self.is_singular_input(inputs) else list(inputs)

    def _record_coverage(self, texts: list[str], prompt: str | None) -> None:
        """Count here what worker processes will read: their counts do not come back."""
        module = self.long_transformer
        for text, tokenized in zip(texts, module.tokenize_texts(texts, prompt), strict=True):
            record(text, module.coverage_of(tokenized), module.extension)

    def start_multi_process_pool(self, target_devices: list[str] | None = None) -> dict[Any, Any]:
        """Start worker processes that leave it to this one to report what is not read.

        Args:
            target_devices: One device a process.

        Returns:
            The pool, for `encode(..., pool=...)`.
        """
        module = self.long_transformer
        module.reports_overflow = False
        try:
            return super().start_multi_process_pool(target_devices)
        finally:
            module.reports_overflow = True
