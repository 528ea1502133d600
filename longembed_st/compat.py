"""Every use of a dependency's private API: the reason, and the test that notices a change.

The tests are in tests/longembed_st/test_compat.py, one for each function here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer
    from transformers import PretrainedConfig, PreTrainedModel

ModelT = TypeVar("ModelT", bound="SentenceTransformer")


def weights_not_in_checkpoint(model: PreTrainedModel) -> list[str]:
    """Names of the parameters that were made up because the checkpoint has none for them.

    transformers logs them and offers no public record once the model is loaded; it marks every
    parameter that it read.

    Args:
        model: Fresh from `from_pretrained`.
    """
    return [
        name
        for name, parameter in model.named_parameters()
        if not getattr(parameter, "_is_hf_initialized", False)
    ]


def attention_implementation(config: PretrainedConfig) -> str:
    """The attention that a model computes with: "sdpa", "eager", ...

    transformers has a public method to set it and none to ask for it.

    Args:
        config: Of the model.
    """
    return str(getattr(config, "_attn_implementation", None))


def load_with_module(
    kind: type[ModelT],
    model_name_or_path: str,
    type_name: str,
    module: type[nn.Module],
    **kwargs: Any,
) -> ModelT:
    """Load a saved model, one of whose modules is a class that is given here.

    sentence-transformers takes classes outside its own package only under `trust_remote_code`,
    which would also run whatever code lies in the folder.

    Args:
        kind: The class of the model.
        model_name_or_path: Folder or hub name.
        type_name: How `modules.json` names the module.
        module: Its class.
        **kwargs: Arguments of `SentenceTransformer`.
    """
    model = kind._load_with_module_classes(model_name_or_path, {type_name: module}, **kwargs)
    assert isinstance(model, kind)
    return model


def fused_attention_on_cpu(
    query: Tensor, key: Tensor, value: Tensor, scaling: float, causal: bool, mask: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Fused attention that also returns its log-sum-exp, which the public function keeps.

    Args:
        query: Shape (batch, heads, m, width).
        key: Shape (batch, heads, k, width).
        value: Shape (batch, heads, k, width).
        scaling: Factor on the scores.
        causal: Whether row `r` sees only keys up to `r`.
        mask: Additive mask, shape (m, k).

    Returns:
        The output, and the log-sum-exp of shape (batch, heads, m).
    """
    output, log_sum_exp = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(
        query, key, value, 0.0, causal, attn_mask=mask, scale=scaling
    )
    return output, log_sum_exp
