"""Every use of a dependency's private API: the reason, and the test that notices a change.

The tests are in tests/longembed_st/test_compat.py, one for each function here.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from torch import Tensor, nn
from transformers.modeling_outputs import BaseModelOutput

if TYPE_CHECKING:
    from sentence_transformers.base.model import BaseModel
    from sentence_transformers.base.modules import Transformer
    from transformers import PretrainedConfig, PreTrainedModel

ModelT = TypeVar("ModelT", bound="BaseModel")


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


def load_with_modules(
    kind: type[ModelT],
    model_name_or_path: str,
    classes: dict[str, type[nn.Module]],
    **kwargs: Any,
) -> ModelT:
    """Load a saved model, some of whose modules are classes that are given here.

    sentence-transformers takes classes outside its own package only under `trust_remote_code`,
    which would also run whatever code lies in the folder.

    Args:
        kind: The class of the model.
        model_name_or_path: Folder or hub name.
        classes: By the names that `modules.json` has for them.
        **kwargs: Arguments of `SentenceTransformer`.
    """
    model = kind._load_with_module_classes(model_name_or_path, dict(classes), **kwargs)
    assert isinstance(model, kind)
    return model


def prompt_length(transformer: Transformer, prompt: str) -> int:
    """Tokens of a prompt as the pooling counts them, leading special ones among them.

    sentence-transformers counts them once a prompt and keeps the number; its pooling and ours must
    leave out the same tokens.

    Args:
        transformer: The module whose tokenizer counts.
        prompt: The prompt.
    """
    return int(transformer._get_prompt_length(prompt) or 0)


def head_alone(model: PreTrainedModel) -> nn.Module:
    """What stands on top of a model's backbone, as a module of its own with the same weights.

    transformers computes heads inside the model's forward, each class in its own way, for all
    tokens of a batch at once: a vocabulary's width of numbers a token. Here the backbone of a
    shallow copy gives back what it is given, so that the head can be applied to a few tokens.

    Args:
        model: With a head, for masked words for instance.

    Returns:
        Called with `inputs_embeds`, the backbone's last hidden states, shape (batch, n, width).
    """
    head = copy.copy(model)
    head._modules = {**model._modules, model.base_model_prefix: _PassThrough()}
    return head


class _PassThrough(nn.Module):
    """In the place of a backbone: its output is its input."""

    def forward(self, *args: Any, inputs_embeds: Tensor, **kwargs: Any) -> BaseModelOutput:
        return BaseModelOutput(last_hidden_state=inputs_embeds)


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
