"""Copies of a module that share its weights."""

from __future__ import annotations

import copy
from typing import TypeVar

from torch import nn

ModuleT = TypeVar("ModuleT", bound=nn.Module)


def copy_sharing_weights(module: ModuleT) -> ModuleT:
    """Copy a module deeply, except that parameters and buffers keep their memory.

    The copy may be hooked, moved to another device or cast to another dtype, and the original does
    not notice. Changing weights in place, as training does, changes both.
    """
    memo: dict[int, object] = {}
    for parameter in module.parameters():
        # Detached, both count changes in place together; see `compat.weight_versions`.
        memo[id(parameter)] = nn.Parameter(
            parameter.detach(), requires_grad=parameter.requires_grad
        )
    for buffer in module.buffers():
        memo[id(buffer)] = buffer
    return copy.deepcopy(module, memo)
