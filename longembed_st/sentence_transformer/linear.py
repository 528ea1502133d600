"""The modules behind the pooling through which the vectors of units go."""

from __future__ import annotations

from collections.abc import Sequence

from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Dense, Normalize
from torch import nn

from longembed_st.base.pooled import following_modules


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

    Args:
        model: An extended model.
    """
    modules = following_modules(model)
    if ends_in_map(modules):
        modules = modules[:-2]
    while modules and isinstance(modules[-1], Normalize):
        modules.pop()
    return modules
