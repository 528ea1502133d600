"""The Pooling of an extended model, and the modules behind it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sentence_transformers import SentenceTransformer
from sentence_transformers.base.model import BaseModel
from sentence_transformers.sentence_transformer.modules import Dense, Normalize, Pooling
from torch import nn
from typing_extensions import Self


class PooledPasses(Pooling):
    """The Pooling of an extended model, which the module before has applied to each pass.

    It stands where others expect a Pooling, and its settings say how the passes are pooled.
    """

    # Saved models name the class by this path, whichever file it lives in.
    __module__ = "longembed_st"

    @classmethod
    def of(cls, pooling: Pooling) -> Self:
        """Copy a pooling as a module that may stand behind the reader."""
        return cls(**pooling.get_config_dict())

    def stock(self) -> Pooling:
        """Copy the settings into the class of sentence-transformers."""
        return Pooling(**self.get_config_dict())

    def forward(self, features: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
        """Pool what is not pooled yet."""
        return super().forward(features, **kwargs) if "token_embeddings" in features else features


def following_modules(model: BaseModel) -> list[nn.Module]:
    """Return what pooled vectors go through in an extended model."""
    return [module for module in list(model.children())[1:] if not isinstance(module, PooledPasses)]


def ends_in_map(modules: Sequence[nn.Module]) -> bool:
    """Return whether modules end in a map of unit vectors to unit vectors, as a whitening does."""
    last = list(modules)[-3:]
    return [type(module) for module in last] == [Normalize, Dense, Normalize] and isinstance(
        last[1].activation_function, nn.Identity
    )


def linear_modules(model: SentenceTransformer) -> list[nn.Module]:
    """Return what pooled vectors go through before the last scaling to unit length.

    A map of unit vectors at the end, a whitening, is left out: it is for whole documents. What is
    returned is linear for most models, so that a run of units has the vector of its tokens. Behind
    another activation than the identity, a run has the mean of its units' vectors.
    """
    modules = following_modules(model)
    if ends_in_map(modules):
        modules = modules[:-2]
    while modules and isinstance(modules[-1], Normalize):
        modules.pop()
    return modules
