"""The errors of this package, and the warnings that a text was not read."""

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


class UnknownTokensWarning(UserWarning):
    """Many tokens of some texts are not known to the model, and all look the same to it."""


# Two calls that cut the same number of tokens are two losses: show each.
warnings.simplefilter("always", TextNotReadWarning, append=True)
