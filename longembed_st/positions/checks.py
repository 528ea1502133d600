"""Checks before a model is extended: each refuses with a reason and what to do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from sentence_transformers.base.modules import Transformer
from transformers import PretrainedConfig, PreTrainedModel

from longembed_st.compat import attention_implementation, weights_not_in_checkpoint
from longembed_st.errors import ConfigError, ModelError
from longembed_st.positions.family import Family
from longembed_st.positions.method import Context, Method

UNUSED_WEIGHTS = ("pooler.",)
"""Weights that no token embedding depends on; embedding checkpoints often omit them."""


def refuse_missing_weights(model: PreTrainedModel, name_or_path: str) -> None:
    """Raise `ModelError` if part of the model was not in the checkpoint."""
    random = weights_not_in_checkpoint(model)
    missing = [name for name in random if not name.startswith(UNUSED_WEIGHTS)]
    if missing:
        shown = ", ".join(missing[:3]) + (", ..." if len(missing) > 3 else "")
        raise ModelError(
            f"{len(missing)} weights of {type(model).__name__} are missing from {name_or_path!r} "
            f"({shown}): the checkpoint is incomplete or belongs to another architecture, and the "
            "vectors would be random. Check the model's name, or fetch it again"
        )


def backbone_of(transformer: Transformer) -> PreTrainedModel:
    """Return the transformers model of a module, without the head that may stand on it."""
    model = transformer.model
    if transformer.transformer_task == "feature-extraction":
        return model
    return cast(PreTrainedModel, model.base_model)


def refuse_unsupported(
    transformer: Transformer, method: Method, outputs: Sequence[str], per_task: Sequence[str]
) -> None:
    """Raise `ModelError` if the module has a feature that longembed-st does not support."""
    if transformer.tokenizer is None:
        raise ModelError("this model has no tokenizer; longembed-st extends text models only")
    if transformer.backend != "torch":
        raise ModelError(
            f"backend={transformer.backend!r} cannot be extended: its attention and positions are "
            "compiled in. Bake the extended torch model and export that"
        )
    if transformer.module_output_name not in outputs:
        raise ModelError(
            f"this model gives {transformer.module_output_name!r} instead of "
            f"{' or '.join(outputs).replace('_', ' ')}; longembed-st cannot read windows of that"
        )
    if set(transformer.modality_config) == {"text", "message"}:
        raise ModelError(
            "this model wraps each text in its tokenizer's chat template, which would be cut with "
            "the text. To read texts as they are, build its first module with Transformer(name, "
            "modality_config={'text': {'method': 'forward', 'method_output_name': "
            "'last_hidden_state'}}, module_output_name='token_embeddings') and extend that model"
        )
    if set(transformer.modality_config) != {"text"}:
        raise ModelError(
            f"this model takes {sorted(map(str, transformer.modality_config))}; longembed-st "
            "extends models that take plain text only"
        )
    settings = [
        name
        for name in ("query_length", "document_length", "query_expansion")
        if name not in per_task and getattr(transformer, name, None) is not None
    ]
    if transformer.processing_kwargs:
        settings.append("processing_kwargs")
    if settings:
        raise ModelError(
            f"this model is saved with {', '.join(settings)}, which longembed-st does not support"
        )
    implementation = attention_implementation(transformer.config)
    if "flash" in implementation and "position_ids" in method.needs:
        raise ModelError(
            f"attn_implementation={implementation!r} takes repeated positions for the start of "
            "another text; load the model with model_kwargs={'attn_implementation': 'sdpa'}, which "
            "uses the same kernels where it can"
        )


def lift_sliding_window(
    config: PretrainedConfig, family: Family, method: Method, context: Context
) -> None:
    """Let all layers see the whole text, if their sliding window exceeds L_o anyway.

    Raises:
        ModelError: If lifting the limit would change short texts, or cannot be done.
    """
    window = getattr(config, "sliding_window", None)
    local = "sliding_attention" in (getattr(config, "layer_types", None) or ())
    if not method.needs or family.local_layers or window is None:
        return
    if family.lifts_sliding_window and window >= context.original:
        config.sliding_window = None
    elif family.lifts_sliding_window or local:
        raise ModelError(
            f"this model attends to {window} tokens at most, in layers that share their rotation "
            f"with the others; method {method.name!r} cannot extend it, pcw can"
        )


def original_window(transformer: Transformer, family: Family) -> int:
    """Return L_o: the most tokens that the model reads as shipped, special tokens counted.

    Returns:
        The smaller of the sentence-transformers limit and the positions that the model has.

    Raises:
        ConfigError: If the model states neither.
    """
    limits = [position_limit(transformer, family)]
    if transformer.tokenizer is not None:
        limits.append(transformer.tokenizer.model_max_length)
    # Tokenizers without a limit say 1e30; some configurations without one say -1.
    stated = [int(limit) for limit in limits if limit is not None and 0 < limit < 2**31]
    if not stated:
        raise ConfigError(
            f"model type {family.model_type!r} does not say how many tokens it reads; give "
            "original_max_seq_length"
        )
    return min(stated)


def position_limit(transformer: Transformer, family: Family) -> int | None:
    """Return the most tokens that the model has positions for, or None if it does not say."""
    backbone = backbone_of(transformer)
    table = family.table(backbone)
    if table is not None:
        return table.num_embeddings - family.first_position(backbone)
    stated = getattr(transformer.config, "max_position_embeddings", None)
    return stated if stated and stated > 0 else None
