"""Released checkpoints whose files do not say how positions are read."""

from __future__ import annotations

from dataclasses import dataclass

from longembed_st.base.settings import ModelSettings


@dataclass(frozen=True)
class Published:
    """How a released checkpoint must be loaded.

    Attributes:
        settings: Defaults; the prompts are those of its training.
        normalize: Whether its vectors have unit length.
    """

    settings: ModelSettings
    normalize: bool = True


_E5_PROMPTS = {"query": "query: ", "document": "passage: "}

PUBLISHED = {
    # Row 8i of its 4,096-row table is row i of E5-base; the model card multiplies the positions of
    # inputs up to 512 tokens by 8.
    "dwzhu/e5-base-4k": Published(
        ModelSettings(
            method="table",
            original_max_seq_length=512,
            max_seq_length=4096,
            method_options={"stride": 8},
            prompts=_E5_PROMPTS,
        )
    ),
    "dwzhu/e5rope-base": Published(ModelSettings(original_max_seq_length=512, prompts=_E5_PROMPTS)),
}
"""By hub name."""
