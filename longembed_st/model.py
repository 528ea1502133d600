"""The SentenceTransformer that `load` and `extend` return."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from sentence_transformers import SentenceTransformer

from longembed_st.errors import InputError
from longembed_st.overflow import record, warn_once
from longembed_st.transformer import LongTransformer


class LongSentenceTransformer(SentenceTransformer):
    """A SentenceTransformer that says once per encode call what it did not read."""

    @property
    def long_transformer(self) -> LongTransformer:
        """The module that reads the texts."""
        return cast(LongTransformer, self[0])

    # Type checkers keep the overloads of the base class.
    if not TYPE_CHECKING:

        def encode(self, inputs: Any, *args: Any, **kwargs: Any) -> Any:
            """Encode texts of any length; see `SentenceTransformer.encode`.

            Raises:
                InputError: If an input is not a valid string, is too long under the policy "error",
                    or if token embeddings are asked for, which a long text never has all at once.
            """
            if kwargs.get("output_value") == "token_embeddings":
                raise InputError(
                    "an extended model pools each text at once and keeps no token embeddings; use "
                    "the original model for output_value='token_embeddings'"
                )
            with warn_once(self.long_transformer.extension, stacklevel=2):
                if kwargs.get("pool") is not None or isinstance(kwargs.get("device"), list):
                    self._record_coverage(inputs, kwargs)
                return super().encode(inputs, *args, **kwargs)

    def _record_coverage(self, inputs: Any, kwargs: dict[str, Any]) -> None:
        """Count here what worker processes will read: their counts do not come back."""
        texts = [inputs] if self.is_singular_input(inputs) else list(inputs)
        prompt = self._resolve_prompt(kwargs.get("prompt"), kwargs.get("prompt_name"))
        module = self.long_transformer
        for text, tokenized in zip(texts, module.tokenize_texts(texts, prompt), strict=True):
            record(str(text), module.coverage_of(tokenized), module.extension)

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
