"""Every use of a dependency's private API: the reason, and the test that notices a change.

The tests are in tests/longembed_st/test_compat.py, one for each function here.
"""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import torch
from torch import Tensor, nn
from transformers.modeling_outputs import BaseModelOutput

if TYPE_CHECKING:
    from sentence_transformers.base.model import BaseModel
    from sentence_transformers.base.modules import Transformer
    from sentence_transformers.sentence_transformer.trainer import SentenceTransformerTrainer
    from transformers import PretrainedConfig, PreTrainedModel

ModelT = TypeVar("ModelT", bound="BaseModel")


def weights_not_in_checkpoint(model: PreTrainedModel) -> list[str]:
    """Return the names of parameters with random values, as the checkpoint has none for them.

    transformers logs them and offers no public record once the model is loaded; it marks every
    parameter that it read.
    """
    return [
        name
        for name, parameter in model.named_parameters()
        if not getattr(parameter, "_is_hf_initialized", False)
    ]


def attention_implementation(config: PretrainedConfig) -> str:
    """Return the attention that a model computes with: "sdpa", "eager", ...

    transformers has a public method to set it and none to ask for it.
    """
    return str(getattr(config, "_attn_implementation", None))


def load_with_modules(
    kind: type[ModelT],
    model_name_or_path: str,
    classes: dict[str, type[nn.Module]],
    **kwargs: Any,
) -> ModelT:
    """Load a saved model, some of whose modules are of our classes.

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
    """Count the tokens of a prompt as the pooling does, leading special ones included.

    sentence-transformers counts them once a prompt and keeps the number; its pooling and ours must
    leave out the same tokens.
    """
    return int(transformer._get_prompt_length(prompt) or 0)


def head_alone(model: PreTrainedModel) -> nn.Module:
    """Separate what stands on a model's backbone; the weights are shared.

    transformers computes heads inside the model's forward, each class in its own way, for all
    tokens of a batch at once: a vocabulary's width of numbers a token. Here the backbone of a
    shallow copy returns its input, so that the head can be applied to a few tokens.

    Returns:
        A module to call with `inputs_embeds`, the backbone's last hidden states, of shape
        (batch, n, width).
    """
    head = copy.copy(model)
    head._modules = {**model._modules, model.base_model_prefix: _PassThrough()}
    return head


class _PassThrough(nn.Module):
    """A backbone whose output is its input."""

    def forward(self, *args: Any, inputs_embeds: Tensor, **kwargs: Any) -> BaseModelOutput:
        return BaseModelOutput(last_hidden_state=inputs_embeds)


def fused_attention_on_cpu(
    query: Tensor, key: Tensor, value: Tensor, scaling: float, causal: bool, mask: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Compute fused attention and its log-sum-exp, which the public function does not return.

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


def weight_versions(model: nn.Module) -> tuple[tuple[int, int, float], ...]:
    """Identify the present values of all weights, without reading them.

    torch counts the changes of a tensor in place, and has no public name for the count. Fused
    optimizers and `tensor.data` are not counted, hence one number of each tensor as well.

    Returns:
        The memory address, the count and the first number of each parameter and buffer.
    """
    return tuple(
        # Tensors of inference mode have no count.
        (t.data_ptr(), 0 if t.is_inference() else t._version, t.flatten()[0].item())
        for t in (*model.parameters(), *model.buffers())
        if t.numel()
    )


@contextmanager
def without_half_precision_advice() -> Iterator[None]:
    """Hide sentence-transformers' advice against half precision on a CPU.

    Its logger has other messages, too, which differ in their text only.
    """
    logger = logging.getLogger("sentence_transformers.base.model")

    def is_other(record: logging.LogRecord) -> bool:
        return "This model was loaded in" not in record.getMessage()

    logger.addFilter(is_other)
    try:
        yield
    finally:
        logger.removeFilter(is_other)


def is_shape_mismatch(error: Exception) -> bool:
    """Whether transformers refused weights of other shapes than the configuration says.

    It raises a RuntimeError as for many other faults; only the argument that it names differs.
    """
    return "ignore_mismatched_sizes" in str(error)


def trainer_with_checkpoints(
    save: Callable[[nn.Module, Path], None], load: Callable[[nn.Module, Path], None]
) -> type[SentenceTransformerTrainer]:
    """Make a trainer whose checkpoints hold what a function saves, and no model card.

    A trainer has no public method for the weights that it resumes with or ends with.
    """
    from sentence_transformers.sentence_transformer.trainer import SentenceTransformerTrainer

    class Trainer(SentenceTransformerTrainer):
        def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
            if self.args.should_save:
                folder = Path(cast(str, output_dir or self.args.output_dir))
                folder.mkdir(parents=True, exist_ok=True)
                save(self.model, folder)

        def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
            load(self.model, Path(resume_from_checkpoint))

        def add_model_card_callback(self, default_args_dict: dict[str, Any]) -> None:
            pass

    return Trainer
