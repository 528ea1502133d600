"""One loaded model per settings, shared by all embedding functions of a process.

Chroma rebuilds an embedding function from its settings several times in a session; only the first
time may cost a load.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import longembed_st as le
from chroma_longembed import settings

if TYPE_CHECKING:
    from longembed_st import LongSentenceTransformer

MOST_SETTINGS = 8
"""Settings whose model is kept; those that were not asked for the longest make room."""


@dataclass(frozen=True)
class LoadedModel:
    """A model, the fingerprint of the vectors it makes, and its settings with nothing left open.

    Attributes:
        model: Shared; must not be changed.
        fingerprint: Equal for equal vectors.
        arguments: The arguments that it was loaded with, defaults and "auto" resolved.
    """

    model: LongSentenceTransformer
    fingerprint: str
    arguments: Mapping[str, Any]


_models: OrderedDict[str, LoadedModel] = OrderedDict()
_lock = threading.Lock()


def get_model(arguments: Mapping[str, Any]) -> LoadedModel:
    """The model of these settings, loaded at the first call.

    Args:
        arguments: `model_name` and keyword arguments for `longembed_st.load`, JSON values only.

    Returns:
        The shared model.

    Raises:
        LongEmbedError: As `longembed_st.load` does.
    """
    key = settings.to_json(arguments)
    # Held while loading: two threads that ask for one model must not load it twice.
    with _lock:
        if key not in _models:
            loaded = _load(**arguments)
            # Chroma stores the resolved settings and comes back with them.
            _models[settings.to_json(loaded.arguments)] = _models[key] = loaded
            while len(_models) > MOST_SETTINGS:
                _models.popitem(last=False)
        _models.move_to_end(key)
        return _models[key]


def _load(model_name: str, **arguments: Any) -> LoadedModel:
    model = le.load(model_name, **arguments)
    extension = model.long_transformer.extension
    resolved = {
        "model_name": model_name,
        **arguments,
        "method": extension.method,
        "max_seq_length": extension.max_seq_length,
        "original_max_seq_length": extension.original_max_seq_length,
        "logn_scaling": extension.logn_scaling,
        **extension.options,
    }
    return LoadedModel(model, le.fingerprint(model), resolved)
