"""One loaded model per settings, for all adapters of a process.

Frameworks rebuild their embedding objects from stored settings, copy them, and send them to other
processes. Only the first object loads the model, and none carries the weights.
"""

from __future__ import annotations

import inspect
import os
import threading
from collections import deque
from collections.abc import Hashable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

from sentence_transformers import SentenceTransformer

from longembed_st.base.extension import ExtensionConfig
from longembed_st.base.fingerprint import fingerprint, fingerprint_with_options
from longembed_st.base.long_model import coverage
from longembed_st.base.provenance import Provenance
from longembed_st.base.settings import ModelSettings
from longembed_st.loading.load import load_settings, was_saved_extended
from longembed_st.loading.published import PUBLISHED
from longembed_st.sentence_transformer.model import LongSentenceTransformer

MAX_IDLE_MODELS = 2
"""Unused models that are kept, as a framework may ask for one again."""


class CachedModel:
    """A loaded model that is shared, and must not be changed.

    Pickles and copies hold the settings only; the model is looked up or loaded again.

    Args:
        requested: The settings to load it by.

    Attributes:
        model: The model.
        settings: The same with "auto" and all defaults resolved; they load the same model.
    """

    def __init__(self, requested: ModelSettings) -> None:
        self._requested = requested
        self.model: LongSentenceTransformer = load_settings(requested)
        extension = self.model.long_transformer.extension
        fields = {name: getattr(extension, name) for name in ExtensionConfig.model_fields}
        self.settings: ModelSettings = requested.model_copy(update=fields)
        self._compared: tuple[Provenance, bool] | None = None
        # The first call sets up the tokenizer, which two threads must not do at the same time.
        coverage(self.model, ["a"])

    @cached_property
    def fingerprint(self) -> str:
        """A hash that is equal for models with the same vectors; reads every weight once."""
        return fingerprint(self.model)

    @property
    def provenance(self) -> Provenance:
        """How its vectors are made, to be stored with them."""
        return Provenance(self.settings, self.fingerprint)

    def is_compatible(self, stored: Provenance) -> bool:
        """Whether its vectors can be compared with stored ones."""
        if stored.fingerprint in (None, self.fingerprint):
            return stored.fingerprint is not None
        # Every search asks, mostly for one store.
        compared = self._compared
        if compared is None or compared[0] != stored:
            self._compared = compared = stored, self._was_compatible(stored)
        return compared[1]

    def _was_compatible(self, stored: Provenance) -> bool:
        """Whether an earlier version made such vectors, which had another fingerprint then."""
        # Version 0.1 gave options that spell out a default a fingerprint of their own, and
        # versions before 0.3 OpenVINO in bfloat16.
        now, then = self.model.long_transformer.extension, stored.settings
        spelled = now.model_copy(update={"method_options": then.method_options})
        if then.method != now.method or spelled.resolved() != now:
            return False
        return any(
            stored.fingerprint == fingerprint_with_options(self.model, options, separate_openvino)
            for options in (then.method_options, now.changed_options())
            for separate_openvino in (False, True)
        )

    def refuse_incompatible(self, stored: Provenance, what: str) -> None:
        """Raise `ConfigError` if vectors of this model cannot be compared with stored ones.

        Raises:
            ConfigError: If they were made differently; each differing setting is named.
        """
        if not self.is_compatible(stored):
            stored.refuse_incompatible(self.provenance, what)

    def __reduce__(self) -> tuple[Any, ...]:
        return cached_model, (self._requested,)


_models: WeakValueDictionary[Hashable, CachedModel] = WeakValueDictionary()
_recent: deque[CachedModel] = deque(maxlen=MAX_IDLE_MODELS)
_loading: dict[Hashable, threading.Lock] = {}
_lock = threading.Lock()
"""Of the three above; never held while a model is loaded."""


def _after_fork() -> None:
    """Forget the locks of other threads, which do not exist in the child."""
    global _lock
    _lock = threading.Lock()
    _loading.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def cached_model(settings: ModelSettings) -> CachedModel:
    """Return the model of some settings, loaded only if this process does not have it.

    Args:
        settings: With a `model_name`. A folder whose files changed is another model.

    Raises:
        LongEmbedError: For the same reasons as `longembed_st.load` does.
    """
    key = _key(settings)
    with _lock:
        load_lock = _loading.setdefault(key, threading.Lock())
    # Two threads that ask for one model must not load it twice; others need not wait for them.
    with load_lock:
        with _lock:
            loaded = _models.get(key)
        if loaded is None:
            loaded = CachedModel(settings)
        with _lock:
            # Stored settings are resolved ones: the model is found by those, too.
            loaded = _models.setdefault(_key(loaded.settings), loaded)
            _models[key] = loaded
            if loaded in _recent:
                _recent.remove(loaded)
            _recent.append(loaded)
            _loading.pop(key, None)
    return loaded


def _key(settings: ModelSettings) -> Hashable:
    """Equal for settings that load the same model, whether defaults are spelled out or not."""
    name = settings.model_name or ""
    reading = {k: v for k, v in settings.explicit.items() if k in ExtensionConfig.model_fields}
    if settings.is_resolved:
        reading["method_options"] = settings.build_method().model_dump()
    if not _has_saved_settings(name):
        reading = _without_defaults(reading, vars(ExtensionConfig()))
    arguments = _without_defaults(settings.loading_arguments(), _STOCK)
    # Stored settings do not say where a model of the hub lies; it is the same model everywhere.
    arguments.pop("cache_folder", None)
    stock = _frozen(arguments)
    computed = (settings.backend or "torch", settings.dtype)
    return _files(name), _files(settings.whitening or ""), _frozen(reading), stock, computed


_STOCK = {
    parameter.name: parameter.default
    for parameter in inspect.signature(SentenceTransformer.__init__).parameters.values()
}


def _without_defaults(values: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    frozen = {name: _frozen(value) for name, value in defaults.items()}
    return {k: v for k, v in values.items() if k not in frozen or frozen[k] != _frozen(v)}


def _has_saved_settings(name: str) -> bool:
    """Whether a model brings settings of its own, which an explicit default overrides."""
    return name in PUBLISHED or not Path(name).is_dir() or was_saved_extended(name, {})


def _files(name: str) -> Hashable:
    """Return the files of a path with their sizes and times of change; another name as it is."""
    place = Path(name)
    if not name or not place.exists():
        return name
    files = sorted(f for f in [place.resolve(), *place.resolve().rglob("*")] if f.is_file())
    return tuple((str(file), (s := file.stat()).st_size, s.st_mtime_ns) for file in files)


class _Itself:
    """An object that cannot be hashed, compared by identity and kept alive."""

    def __init__(self, value: object) -> None:
        self._value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Itself) and self._value is other._value

    def __hash__(self) -> int:
        return id(self._value)


def _frozen(value: Any) -> Hashable:
    """Return a hashable stand-in for a value, in which 1, 1.0 and True differ."""
    if isinstance(value, Mapping):
        return frozenset((k, _frozen(v)) for k, v in value.items())
    if isinstance(value, list | tuple):
        return tuple(map(_frozen, value))
    return (type(value), value if isinstance(value, Hashable) else _Itself(value))
