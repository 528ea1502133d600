"""Write an extended model as a plain sentence-transformers folder."""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import cast

import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.modules import Transformer
from sentence_transformers.sentence_transformer.modules import WordWeights
from torch import Tensor, nn

from longembed_st.base.pooled import following_modules
from longembed_st.base.sharing import copy_sharing_weights
from longembed_st.errors import ModelError
from longembed_st.files import atomic_folder, refuse_existing
from longembed_st.positions.hooks import RotaryHook, within_table
from longembed_st.positions.rotary import GLOBAL_LAYERS
from longembed_st.positions.tables import interpolate_rows
from longembed_st.sentence_transformer.transformer import LongTransformer, long_transformer


class ShortTextsChangeWarning(UserWarning):
    """A baked model changes the vectors of short texts, too."""


def bake(model: SentenceTransformer, path: str | os.PathLike[str]) -> None:
    """Write an extended model so that stock sentence-transformers loads it, without this package.

    The extension becomes a longer position table, or the rotary settings of transformers. Both
    apply to short texts, too: with rp these keep their vectors; otherwise they change, which a
    warning and the model card say.

    Args:
        model: An extended model.
        path: A folder that is new or empty.

    Raises:
        ConfigError: If the folder holds something already.
        ModelError: If the extension works at run time and cannot be written as a table.
    """
    target = Path(path)
    refuse_existing(target)
    reader = long_transformer(model)
    plain = SentenceTransformer(
        modules=[
            _plain_transformer(reader),
            *_plain_weights(reader),
            reader.pooling.stock(),
            *map(copy_sharing_weights, following_modules(model)),
        ],
        device="cpu",
        prompts=cast(dict[str, str], dict(model.prompts)),
        default_prompt_name=model.default_prompt_name,
        similarity_fn_name=model.similarity_fn_name,
        truncate_dim=model.truncate_dim,
    )
    note = _note(reader)
    with atomic_folder(target) as unfinished:
        plain.save_pretrained(str(unfinished))
        with Path(unfinished, "README.md").open("a", encoding="utf8") as card:
            card.write(f"\n\n## Extended context window\n\n{note}\n")
    if _changes_short_texts(reader):
        warnings.warn(note, ShortTextsChangeWarning, stacklevel=2)


def _baked_table(reader: LongTransformer) -> Tensor:
    """Compute the position table of L_t rows, behind the rows before the first position.

    Returns:
        Shape (first position + L_t, width).

    Raises:
        ModelError: If the extension cannot be written as a table.
    """
    context = reader.extension.context
    positions = within_table(reader.method.baked_positions(context), context)
    table = cast(nn.Embedding, reader.family.table(reader.model))
    weight = table.weight.detach()
    first = reader.family.first_position(reader.model)
    places = (positions + first).to(weight.device)
    rows = interpolate_rows(weight, places) if places.is_floating_point() else weight[places]
    return torch.cat([weight[:first], rows])


def _changes_short_texts(reader: LongTransformer) -> bool:
    """Whether baking moves the positions of texts that fit the original window."""
    context = reader.extension.context
    window = context.original
    if reader.family.encoding == "rotary":
        return True  # One configuration rotates texts of all lengths alike.
    exact = torch.arange(window)
    if not reader.method.reads_originally(window, context):
        exact = cast(Tensor, reader.method.position_ids(window, context))
    baked = reader.method.baked_positions(context)[:window]
    return not torch.equal(exact.double(), baked.double())


def _plain_transformer(reader: LongTransformer) -> Transformer:
    """Return a stock Transformer whose own table or configuration holds the extension."""
    if reader.extension.logn_scaling:
        raise ModelError(
            "log-n scaling needs longembed-st at run time and cannot be baked; use "
            "model.save_pretrained(path), or extend with logn_scaling=False and bake that"
        )
    write = _write_rope if reader.family.encoding == "rotary" else _write_table
    plain = Transformer.__new__(Transformer)
    nn.Module.__init__(plain)
    plain.__dict__.update(copy_sharing_weights(reader).__dict__)
    del plain.pooling, plain.token_weights
    write(plain, reader)
    plain.tokenizer.model_max_length = reader.max_seq_length
    return plain


def _plain_weights(reader: LongTransformer) -> list[WordWeights]:
    """Return the stock module that weighs tokens by their names, if there are weights."""
    if reader.token_weights is None:
        return []
    weights = reader.token_weights.weights.tolist()
    names = {number: name for name, number in reader.text_tokenizer.get_vocab().items()}
    # A table may have more rows than there are tokens.
    vocabulary = [names.get(number, f"[row {number}]") for number in range(len(weights))]
    return [WordWeights(vocabulary, dict(zip(vocabulary, weights, strict=True)))]


def _write_table(plain: Transformer, reader: LongTransformer) -> None:
    rows = _baked_table(reader)
    table = cast(nn.Embedding, reader.family.table(plain.model))
    longer = nn.Embedding.from_pretrained(rows, freeze=False, padding_idx=table.padding_idx)
    plain.model.set_submodule(cast(str, reader.family.position_table), longer)
    plain.config.max_position_embeddings = len(rows)


def _write_rope(plain: Transformer, reader: LongTransformer) -> None:
    context = reader.extension.context
    own = cast(RotaryHook, reader.hook).frequencies
    if own.rope_type != "default":
        raise ModelError(
            f"this model's own frequencies are scaled already (rope_type={own.rope_type!r}), and a "
            "configuration holds one scheme only. Use model.save_pretrained(path) instead"
        )
    width = 2 * len(own.inverse)
    parameters = plain.config.rope_parameters
    if GLOBAL_LAYERS in parameters:
        baked = reader.method.baked_rope(parameters[GLOBAL_LAYERS], width, context)
        plain.config.rope_parameters = {**parameters, GLOBAL_LAYERS: baked}
    else:
        plain.config.rope_parameters = reader.method.baked_rope(parameters, width, context)
    plain.config.max_position_embeddings = context.extended


def _note(reader: LongTransformer) -> str:
    extension = reader.extension
    extended = (
        f"The window of this model was extended from {extension.context.original} to "
        f"{extension.max_seq_length} tokens by {reader.method.summary} ({reader.method.source}), "
        "with longembed-st. "
    )
    if _changes_short_texts(reader):
        return extended + (
            "The baked positions serve every text, so texts that fit the original window "
            "get other vectors than from the original model: do not mix the two in one collection. "
            "Saved with save_pretrained instead, the model keeps them."
        )
    return extended + "Texts that fit the original window get the vectors of the original model."
