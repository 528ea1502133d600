"""LongReader: texts of any length through a transformer, pass by pass.

One reader serves every class of models: a class differs in what it keeps of a pass, and in how the
passes of a text become one.
"""

from __future__ import annotations

import inspect
import json
from pathlib import Path
from typing import Any, ClassVar, cast

import torch
from sentence_transformers.base.model import BaseModel
from sentence_transformers.base.modules import Router, Transformer
from torch import Tensor
from typing_extensions import Self

from longembed_st.base.computing import ComputingTransformer
from longembed_st.base.extension import ExtensionConfig
from longembed_st.base.sharing import copy_sharing_weights
from longembed_st.compat import attention_implementation
from longembed_st.errors import ConfigError, ModelError
from longembed_st.positions import checks
from longembed_st.positions.attention import LONG_ATTENTION
from longembed_st.positions.family import family_of
from longembed_st.positions.hooks import install_hook

REQUIREMENT = {"longembed-st": ">=0.2"}
"""Written into saved models, so that sentence-transformers asks for the package by name."""


class LongReader(ComputingTransformer):
    """A transformer that reads each text in one pass or in several windows, as a method says.

    Args:
        model_name_or_path: Folder or hub name of the underlying model.
        extension: The extension, as an `ExtensionConfig` or its fields.
        **kwargs: Arguments of `sentence_transformers.base.modules.Transformer`.

    Raises:
        ConfigError: If the extension is not valid.
        ModelError: If the model cannot take it, or if weights are missing from the checkpoint.
    """

    outputs: ClassVar[tuple[str, ...]] = ("token_embeddings",)
    """What the transformer may give, as sentence-transformers names it."""

    per_task: ClassVar[tuple[str, ...]] = ()
    """Settings for queries or documents alone that the class follows."""

    widened_from: torch.dtype | None = None
    """The half precision that weights were stored in, if they are computed with in single."""

    def __init__(
        self, model_name_or_path: str, *, extension: ExtensionConfig | dict[str, Any], **kwargs: Any
    ) -> None:
        super().__init__(model_name_or_path, **kwargs)
        checks.refuse_missing_weights(self.model, model_name_or_path)
        if isinstance(extension, dict):
            extension = ExtensionConfig(**extension)
        self.extend(extension)

    @classmethod
    def extended_copy(cls, transformer: Transformer, extension: ExtensionConfig) -> Self:
        """Extend a loaded module, which stays as it is; both share their weights."""
        module = cls.__new__(cls)
        torch.nn.Module.__init__(module)
        module.__dict__.update(copy_sharing_weights(transformer).__dict__)
        module.extend(extension)
        return module

    def extend(self, extension: ExtensionConfig) -> None:
        """Read as an extension says from now on.

        Raises:
            ConfigError: If the extension is not valid.
            ModelError: If the model cannot take it.
        """
        extension = extension.resolved()
        method = extension.build_method()
        family = family_of(self.config)
        family.refuse_unless_takes(method, extension.context)
        checks.refuse_unsupported(self, method, self.outputs, self.per_task)
        limit = checks.position_limit(self, family)
        if limit is not None and method.last_position(extension.context) >= limit:
            raise ConfigError(
                f"original_max_seq_length={extension.context.original} with method "
                f"{method.name!r} reaches past the {limit} positions that this model has"
            )
        if extension.logn_scaling:
            if not method.scales_logn:
                raise ConfigError(
                    f"logn_scaling has no effect with method {method.name!r}, whose passes never "
                    "exceed the original window; leave it off"
                )
            family.refuse_logn()
        present = attention_implementation(self.config)
        if present != LONG_ATTENTION:
            self._own_attention = present
        acts_inside = extension.logn_scaling or "relative_positions" in method.needs
        if acts_inside or (family.local_layers and method.needs):
            self.model.set_attn_implementation(LONG_ATTENTION)
        elif present == LONG_ATTENTION:
            self.model.set_attn_implementation(self._own_attention)
        checks.lift_sliding_window(self.config, family, method, extension.context)
        self.unpad_inputs = False
        self.extension = extension
        self.method = method
        self.family = family
        self.hook = install_hook(self.backbone, family)
        self._takes_type_ids = "token_type_ids" in inspect.signature(self.model.forward).parameters
        if self.engine is not None:
            self._check_engine(self.engine)

    @property
    def max_seq_length(self) -> int | None:
        """The extended window in tokens, special tokens counted; None without an upper length."""
        return self.extension.max_seq_length

    @max_seq_length.setter
    def max_seq_length(self, value: int | None) -> None:
        if value != self.extension.max_seq_length:
            raise ConfigError(
                f"the extended window is {self.extension.max_seq_length}, fixed when the model was "
                f"extended; use longembed_st.extend(model, max_seq_length={value}) for another one"
            )

    def get_config_dict(self) -> dict[str, Any]:
        """Return the settings that are saved with the weights."""
        return {**super().get_config_dict(), "extension": self.extension.saved()}

    def refusal_of_stock(self, model: BaseModel) -> str | None:
        """Say why a stock model would give other results with it; None if it would not."""
        return None

    def save(self, output_path: str, *args: Any, **kwargs: Any) -> None:
        """Save the original model and the extension's settings."""
        Transformer.save(self._in_stored_precision(), output_path, *args, **kwargs)
        model_config = Path(output_path, "config_sentence_transformers.json")
        if model_config.exists():
            settings = json.loads(model_config.read_text(encoding="utf8"))
            settings["requirements"] = {**settings.get("requirements", {}), **REQUIREMENT}
            model_config.write_text(json.dumps(settings, indent=2, sort_keys=True), encoding="utf8")

    def _in_stored_precision(self) -> Self:
        """Return the module, or a copy with weights of the precision that they were stored in."""
        narrow = self.widened_from
        weights = [t for t in self.model.state_dict().values() if t.dtype == torch.float32]
        if narrow is None or not all(is_widened(tensor, narrow) for tensor in weights):
            return self
        copy = copy_sharing_weights(self)
        cast(torch.nn.Module, copy.model).to(narrow)
        return copy

    def __repr__(self) -> str:
        name = type(self).__name__
        return f"{name}({self.extension!r}, architecture={type(self.model).__name__!r})"


def input_modules(model: BaseModel) -> list[torch.nn.Module]:
    """Return what the inputs of a model go into: one module, or the first of each of its routes."""
    first = model[0]
    if not isinstance(first, Router):
        return [first]
    routes = cast("dict[str, torch.nn.Sequential]", first.sub_modules)
    return [route[0] for route in routes.values()]


def long_reader(model: BaseModel) -> LongReader:
    """Return the module that reads long texts in an extended model of any class.

    Raises:
        ModelError: If the model was not extended.
    """
    for module in input_modules(model):
        if isinstance(module, LongReader):
            return module
    raise ModelError("this model was not extended; use longembed_st.extend(model) first")


def is_widened(tensor: Tensor, narrow: torch.dtype) -> bool:
    """Whether a tensor in single precision has no more digits than half precision."""
    return tensor.dtype == torch.float32 and torch.equal(tensor, tensor.to(narrow).float())
