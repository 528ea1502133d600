"""The model before, during and after its training."""

from __future__ import annotations

import tempfile
import warnings
from pathlib import Path
from typing import cast

import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.modules import Transformer
from torch import nn

import longembed_st as le
from longembed_st.base.sharing import copy_sharing_weights
from longembed_st.errors import ModelError
from longembed_st.positions.family import family_of
from longembed_st.positions.method import Context
from longembed_tuning.table import Layout, TunableTable


def load_base(
    model_name_or_path: str, original: int | None, prompts: dict[str, str]
) -> le.LongSentenceTransformer:
    """Load the model that is to be tuned, unextended and in single precision.

    Raises:
        ModelError: If the model has no learned position vectors.
    """
    model = le.load(
        model_name_or_path,
        "none",
        original_max_seq_length=original,
        on_overflow="truncate",
        model_kwargs={"dtype": torch.float32},
    )
    refuse_unless_absolute(model.long_transformer.family)
    model.prompts = {**model.prompts, **prompts}
    return model


def refuse_unless_absolute(family: le.Family) -> None:
    """Raise `ModelError` unless a family has position vectors that can be trained."""
    if family.encoding == "absolute":
        return
    if family.encoding == "rotary":
        raise ModelError(
            f"model type {family.model_type!r} has rotary positions and no position vectors, so "
            "there are none to train. Extend it without training: method 'ntk' or 'self_extend' of "
            "longembed_st.load"
        )
    raise ModelError(
        f"model type {family.model_type!r} has {family.encoding} positions: `tune` trains learned "
        "position vectors, which it does not have. `longembed inspect MODEL` lists what it can take"
    )


def layout_of(base: le.LongSentenceTransformer, method: str, extended: int) -> Layout:
    """Return where the original rows will stand in the longer table.

    Raises:
        ConfigError: If the windows do not fit.
    """
    reader = base.long_transformer
    context = Context(reader.extension.context.original, extended)
    return Layout.of(method, context, reader.family.first_position(reader.model))


def trainable_model(
    base: le.LongSentenceTransformer, method: str, layout: Layout, train_length: int
) -> SentenceTransformer:
    """Return a stock model with the longer table, of which only the added rows can learn."""
    extended = le.extend(
        base, method, original_max_seq_length=layout.original, max_seq_length=layout.extended
    )
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        # Short texts do change in the baked model; in the tuned one they do not.
        warnings.simplefilter("ignore", le.ShortTextsChangeWarning)
        baked = Path(folder, "model")
        le.bake(extended, baked)
        model = SentenceTransformer(str(baked), model_kwargs={"dtype": torch.float32})
    model.requires_grad_(False)
    transformer = cast(Transformer, model[0])
    transformer.unpad_inputs = False
    transformer.max_seq_length = train_length
    path = _table_path(model)
    table = cast(nn.Embedding, transformer.model.get_submodule(path))
    transformer.model.set_submodule(path, TunableTable(table, layout.original_rows()))
    return model


def tunable_table(model: SentenceTransformer) -> TunableTable:
    """Return the table of a model that `trainable_model` returned."""
    transformer = cast(Transformer, model[0])
    return cast(TunableTable, transformer.model.get_submodule(_table_path(model)))


def tuned_model(model: SentenceTransformer, layout: Layout) -> le.LongSentenceTransformer:
    """Return the model as it is now, reading by the rule of tuned checkpoints.

    It shares all weights but the table.
    """
    plain = copy_sharing_weights(model)
    transformer = cast(Transformer, plain[0])
    transformer.model.set_submodule(_table_path(plain), tunable_table(model).as_embedding())
    return le.extend(
        plain,
        "table",
        original_max_seq_length=layout.original,
        max_seq_length=layout.extended,
        stride=layout.stride,
    )


def _table_path(model: SentenceTransformer) -> str:
    return cast(str, family_of(cast(Transformer, model[0]).config).position_table)
