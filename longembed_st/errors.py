"""The errors of this package, and the warning that a text was not read to its end."""

from __future__ import annotations

import warnings


class LongEmbedError(Exception):
    """Base class of every error that this package raises on purpose."""


class ConfigError(LongEmbedError, ValueError):
    """A setting is unknown, out of range, or contradicts another one."""


class ModelError(LongEmbedError, ValueError):
    """A model cannot be loaded, or does not support what is asked of it."""


class InputError(LongEmbedError, ValueError):
    """A text cannot be embedded as it is."""


class TextNotReadWarning(UserWarning):
    """Some tokens of some texts lie beyond the window and were not read."""


# Two calls that cut the same number of tokens are two losses: show each.
warnings.simplefilter("always", TextNotReadWarning, append=True)
