"""Released checkpoints whose rule for positions is not in their own files."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Published:
    """How a released checkpoint must be loaded.

    Attributes:
        extension: Arguments of `longembed_st.extend`.
        prompts: The prompts that it was trained with.
        normalize: Whether its vectors are meant to have unit length.
    """

    extension: dict[str, Any]
    prompts: dict[str, str] = field(default_factory=dict)
    normalize: bool = True


PUBLISHED = {
    # Row 8i of its 4,096-row table is row i of E5-base; the model card multiplies the positions of
    # inputs up to 512 tokens by 8.
    "dwzhu/e5-base-4k": Published(
        extension={
            "method": "table",
            "original_max_seq_length": 512,
            "max_seq_length": 4096,
            "stride": 8,
        },
        prompts={"query": "query: ", "document": "passage: "},
    ),
    "dwzhu/e5rope-base": Published(
        extension={"original_max_seq_length": 512},
        prompts={"query": "query: ", "document": "passage: "},
    ),
}
"""By the name that a user gives to `longembed_st.load`."""
