"""The settings of a tuning run."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from longembed_st.base.fields import one_line
from longembed_st.errors import ConfigError

WEIGHT_DECAY = 0.01
"""LongEmbed, table 4."""


class TuningSettings(BaseModel):
    """How the added position vectors are trained; the defaults are those of LongEmbed, appendix B.

    Attributes:
        max_seq_length: The extended window in tokens.
        method: What the added vectors start from: "pi", interpolated between the original ones, or
            "rp", copies of them.
        original_max_seq_length: The original window in tokens; None for the model's own.
        train_seq_length: The most tokens that are read of a training text; None for the original
            window. Short texts are moved along the table, so that they reach all of it.
        batch_size: Examples of a step, on all devices together; each is a negative of the others.
        mini_batch_size: Texts that are in memory at a time.
        learning_rate: The highest learning rate; it falls linearly to 0.
        warmup_steps: Steps until the highest learning rate.
        epochs: Rounds over the training data, unless `steps` is given.
        steps: Optimizer steps; None to count epochs.
        temperature: Divides the cosine similarities in the contrastive loss.
        seed: Chooses the held-out documents, the passages, the order and the offsets.
        bf16: Compute in bfloat16 where that is safe; weights stay in float32.
        gradient_checkpointing: Compute activations twice instead of keeping them.
        eval_steps: Steps between two checkpoints, each with a validation score.
        validate_held_out: Whether documents are held out to validate on.
        patience: Validations without a better score after which training stops.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    max_seq_length: int = Field(ge=8)
    method: Literal["pi", "rp"] = "pi"
    original_max_seq_length: int | None = Field(default=None, ge=4)
    train_seq_length: int | None = Field(default=None, ge=8)
    batch_size: int = Field(default=512, ge=2)
    mini_batch_size: int = Field(default=16, ge=1)
    learning_rate: float = Field(default=5e-4, gt=0, allow_inf_nan=False)
    warmup_steps: int = Field(default=100, ge=0)
    epochs: float = Field(default=3.0, gt=0, allow_inf_nan=False)
    steps: int | None = Field(default=None, ge=1)
    temperature: float = Field(default=0.01, gt=0, allow_inf_nan=False)
    seed: int = Field(default=0, ge=0)
    bf16: bool = False
    gradient_checkpointing: bool = False
    eval_steps: int = Field(default=100, ge=1)
    validate_held_out: bool = True
    patience: int = Field(default=5, ge=1)

    def __init__(self, **data: Any) -> None:
        try:
            super().__init__(**data)
        except ValidationError as error:
            raise ConfigError(one_line(error)) from None
