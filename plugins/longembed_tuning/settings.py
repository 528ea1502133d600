"""The settings of a tuning run."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from longembed_st.base.fields import one_line, setting
from longembed_st.errors import ConfigError

WEIGHT_DECAY = 0.01
"""LongEmbed, table 4."""


class TuningSettings(BaseModel):
    """How the added position vectors are trained; the defaults are those of LongEmbed, appendix B.

    Short texts are moved along the table, so that they reach all of it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    max_seq_length: int = setting(..., "Extended window in tokens.", ge=8)
    method: Literal["pi", "rp"] = setting(
        "pi",
        "What the added vectors start from: interpolated between the original ones, or copies.",
    )
    original_max_seq_length: int | None = setting(
        None, "Original window in tokens.", default_text="the model's own", ge=4
    )
    train_seq_length: int | None = setting(
        None, "Most tokens read of a training text.", default_text="the original window", ge=8
    )
    batch_size: int = setting(
        512, "Examples of a step, on all devices; each is the others' negative.", ge=2
    )
    mini_batch_size: int = setting(
        16, "Texts in memory at a time; does not change the result.", ge=1
    )
    learning_rate: float = setting(
        5e-4, "The highest learning rate; it falls linearly to 0.", gt=0, allow_inf_nan=False
    )
    warmup_steps: int = setting(100, "Steps until the highest learning rate.", ge=0)
    epochs: float = setting(
        3.0, "Rounds over the data, unless steps are given.", gt=0, allow_inf_nan=False
    )
    steps: int | None = setting(None, "Steps.", default_text="as many as the epochs have", ge=1)
    temperature: float = setting(
        0.01, "Divides the similarities in the contrastive loss.", gt=0, allow_inf_nan=False
    )
    seed: int = setting(0, "Seed of held-out documents, passages, order and offsets.", ge=0)
    bf16: bool = setting(False, "Compute in bfloat16; weights stay in float32.")
    gradient_checkpointing: bool = setting(False, "Less memory, more time.")
    eval_steps: int = setting(100, "Steps between checkpoints, each with a validation score.", ge=1)
    validate_held_out: bool = setting(True, "Hold documents out to validate on.")
    patience: int = setting(5, "Stop after so many validations without a better score.", ge=1)

    def __init__(self, **data: Any) -> None:
        try:
            super().__init__(**data)
        except ValidationError as error:
            raise ConfigError(one_line(error)) from None
