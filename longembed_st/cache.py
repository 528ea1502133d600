"""One loaded model per settings, for all adapters of a process.

Frameworks build their embedding objects again from stored settings, copy them, and send them to
other processes. Only the first object may cost a load, and none may carry the weights along.
"""

from __future__ import annotations

import inspect
import threading
from collections import deque
from collections.abc import Hashable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

from sentence_transformers import SentenceTransformer

from longembed_st.fingerprints import fingerprint
from longembed_st.loading import coverage, load
from longembed_st.model import LongSentenceTransformer

MOST_IDLE = 2
"""Models kept though nothing uses them: a framework may be about to ask for one of them again."""


class CachedModel:
    """A loaded model, shared: whoever uses it must leave it as it is.

    Pickled or copied, it is the settings that travel; where they arrive, the model is looked up or
    loaded again.

    Args:
        arguments: `model_name` and keyword arguments of `longembed_st.load`.

    Attributes:
        model: The model.
        settings: The arguments with "auto" and the defaults resolved; they load the same model.
    """

    def __init__(self, arguments: Mapping[str, Any]) -> None:
        self._arguments = dict(arguments)
        name, keywords = _split(arguments)
        self.model: LongSentenceTransformer = load(name, **keywords)
        extension = self.model.long_transformer.extension
        self.settings: Mapping[str, Any] = {
            **arguments,
            "method": extension.method,
            "max_seq_length": extension.max_seq_length,
            "original_max_seq_length": extension.original_max_seq_length,
            "logn_scaling": extension.logn_scaling,
            "on_overflow": extension.on_overflow,
            **extension.options,
        }
        # The first call sets up the tokenizer, which two threads must not do at the same time.
        coverage(self.model, ["a"])

    @cached_property
    def fingerprint(self) -> str:
        """Equal for models whose vectors can be compared; reads every weight once."""
        return fingerprint(self.model)

    def __reduce__(self) -> tuple[Any, ...]:
        return _get, (self._arguments,)


_models: WeakValueDictionary[Hashable, CachedModel] = WeakValueDictionary()
_recent: deque[CachedModel] = deque(maxlen=MOST_IDLE)
_lock = threading.Lock()


def cached_model(model_name: str, **arguments: Any) -> CachedModel:
    """The model of these settings, loaded only if no other user in this process has it.

    Args:
        model_name: Folder or hub name. A folder whose files changed is another model.
        **arguments: Keyword arguments of `longembed_st.load`.

    Raises:
        LongEmbedError: As `longembed_st.load` does.
    """
    return _get({"model_name": model_name, **arguments})


def _get(arguments: Mapping[str, Any]) -> CachedModel:
    key = _key(arguments)
    # Held while loading: two threads that ask for one model must not load it twice.
    with _lock:
        loaded = _models.get(key)
        if loaded is None:
            loaded = CachedModel(arguments)
            # Stored settings are the resolved ones: found by those, too.
            _models[_key(loaded.settings)] = _models[key] = loaded
        if loaded in _recent:
            _recent.remove(loaded)
        _recent.append(loaded)
        return loaded


def _split(arguments: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    keywords = dict(arguments)
    return keywords.pop("model_name"), keywords


def _key(arguments: Mapping[str, Any]) -> Hashable:
    """Equal for arguments that load the same model, whether defaults are spelled out or not."""
    name, keywords = _split(arguments)
    defaults = {
        parameter.name: _frozen(parameter.default)
        for function in (SentenceTransformer.__init__, load)
        for parameter in inspect.signature(function).parameters.values()
    }
    given = {k: _frozen(v) for k, v in keywords.items()}
    return (
        _files(name),
        frozenset((k, v) for k, v in given.items() if k not in defaults or defaults[k] != v),
    )


def _files(model_name: str) -> Hashable:
    """The name of a hub model; the files of a folder with size and time of their last change."""
    folder = Path(model_name)
    if not folder.is_dir():
        return model_name
    files = sorted(file for file in folder.resolve().rglob("*") if file.is_file())
    return tuple((str(file), (s := file.stat()).st_size, s.st_mtime_ns) for file in files)


def _frozen(value: Any) -> Hashable:
    """A hashable stand-in: 1, 1.0 and True are three values, and an unknown object is itself."""
    if isinstance(value, Mapping):
        return frozenset((k, _frozen(v)) for k, v in value.items())
    if isinstance(value, list | tuple):
        return tuple(map(_frozen, value))
    return (type(value), value if isinstance(value, Hashable) else id(value))
