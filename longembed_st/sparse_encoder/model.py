"""The SparseEncoder that `load` and `extend` return."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

from sentence_transformers import SparseEncoder

from longembed_st.base.long_model import LongModel
from longembed_st.base.tokens import checked_texts

_ENCODE = inspect.signature(SparseEncoder.encode)


class LongSparseEncoder(LongModel, SparseEncoder):
    """A SparseEncoder that reads long texts: of each word, its highest weight in any window.

    Models of SPLADE's kind take the maximum or the sum over windows, as over tokens; those with a
    SparseAutoEncoder the mean of the windows' pooled vectors. The query side of an inference-free
    model stays as it is, and reads queries of any length.
    """

    # Type checkers keep the signatures of the base class.
    if not TYPE_CHECKING:

        def encode(self, *args: Any, **kwargs: Any) -> Any:
            """Encode texts of any length; see `SparseEncoder.encode`.

            Raises:
                InputError: If an input is not a valid string, or is too long under the policy
                    "error".
            """
            return self.encode_and_report(super().encode, _ENCODE, checked_texts, args, kwargs)
