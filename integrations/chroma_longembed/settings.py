"""The settings of an embedding function as plain data: checked, compared, safe to store.

Chroma keeps them in the collection and builds the embedding function from them again, perhaps on
another machine. They are therefore JSON values, and nothing in them can make a reader run code
that came with a model.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from longembed_st.errors import ConfigError

Settings = dict[str, Any]

NAMES = (
    "model_name",
    "method",
    "max_seq_length",
    "original_max_seq_length",
    "logn_scaling",
    "on_overflow",
    "device",
    "prompts",
    "options",
    "fingerprint",
)
"""Every key that settings may have. `model_name` alone must be there."""

_NOT_IN_A_VECTOR = frozenset({"device", "on_overflow", "token_budget", "fingerprint"})
_RUNS_CODE = frozenset({"trust_remote_code", "code_revision", "modules", "auto_map"})
_SECRET = frozenset({"token", "use_auth_token"})


def check(settings: Mapping[str, Any]) -> None:
    """Refuse settings that are incomplete, unknown, not plain data, or unsafe to store.

    Args:
        settings: What an embedding function is built from.

    Raises:
        ConfigError: With the name of the setting at fault.
    """
    for name in settings:
        if name not in NAMES:
            raise ConfigError(f"unknown setting {name!r}; there are {', '.join(NAMES)}")
    if not isinstance(settings.get("model_name"), str) or not settings["model_name"]:
        raise ConfigError(f"model_name must be a name or path, not {settings.get('model_name')!r}")
    options = settings.get("options")
    if options is not None and not isinstance(options, dict):
        raise ConfigError(f"options must be a mapping of names to values, not {options!r}")
    for name, value in settings.items():
        _check_plain(name, value)


def flat(settings: Mapping[str, Any]) -> Settings:
    """The settings with the method's own options beside the others.

    Args:
        settings: Settings with their `options` nested.

    Returns:
        One level of names.
    """
    return {k: v for k, v in settings.items() if k != "options"} | (settings.get("options") or {})


def differences(stored: Mapping[str, Any], wanted: Mapping[str, Any]) -> list[str]:
    """Name each setting that would give other vectors.

    Args:
        stored: The settings that a collection was made with.
        wanted: The settings to compare; one that is left out of both is equal.

    Returns:
        One phrase per differing setting, in a fixed order.
    """
    old, new = flat(stored), flat(wanted)
    return [
        f"{name} is {old.get(name)!r} in the store, {new.get(name)!r} now"
        for name in sorted(old.keys() | new.keys())
        if name not in _NOT_IN_A_VECTOR and old.get(name) != new.get(name)
    ]


def refuse_other_vectors(stored: Mapping[str, Any], wanted: Mapping[str, Any], what: str) -> None:
    """Refuse settings whose vectors cannot be compared with those of the stored ones.

    Two equal fingerprints settle it: a model that was only moved to another path is let in.

    Args:
        stored: The settings that the vectors in store were made with, fingerprint included.
        wanted: The settings of the vectors to come, fingerprint included.
        what: The thing that is protected, for the message.

    Raises:
        ConfigError: If a vector-changing setting or the fingerprint differs.
    """
    if stored.get("fingerprint") == wanted.get("fingerprint") is not None:
        return
    found = differences(stored, wanted) or [
        "the settings are the same, but the weights behind the name or the software that computes "
        f"the vectors are not (fingerprint {stored.get('fingerprint')} in the store, "
        f"{wanted.get('fingerprint')} now)"
    ]
    raise ConfigError(
        f"{what} holds vectors that were made otherwise: {'; '.join(found)}. Vectors of two kinds "
        "cannot be compared. Use the stored settings, index into a new place, or make all vectors "
        "anew with `longembed reindex` or `chroma_longembed.reindex`"
    )


def _check_plain(name: str, value: object) -> None:
    if name in _RUNS_CODE:
        raise ConfigError(
            f"{name} is not accepted here: the settings are stored, and whoever opened the "
            "collection would run the code of whatever model they name"
        )
    if name in _SECRET:
        raise ConfigError(
            f"{name} is not accepted here: the settings are stored, and a secret would be stored "
            "with them. Set the HF_TOKEN environment variable instead"
        )
    if isinstance(value, Mapping):
        for key, inner in value.items():
            if not isinstance(key, str):
                raise ConfigError(f"{name} has a key that is not a string: {key!r}")
            _check_plain(key, inner)
    elif isinstance(value, list):
        for inner in value:
            _check_plain(name, inner)
    elif value is not None and not isinstance(value, str | bool | int | float):
        raise ConfigError(
            f"{name} must be plain data that can be stored as JSON, not {type(value).__name__}"
        )


def to_json(settings: Mapping[str, Any]) -> str:
    """Settings as one canonical string: equal settings, equal strings."""
    return json.dumps(settings, sort_keys=True)


def from_json(text: str) -> Settings:
    """Read what `to_json` wrote.

    Args:
        text: The stored string.

    Returns:
        The settings, checked.

    Raises:
        ConfigError: If it is not such a string.
    """
    try:
        settings = json.loads(text)
    except ValueError:
        settings = None
    if not isinstance(settings, dict):
        raise ConfigError(f"the stored settings cannot be read: {text[:80]!r}")
    check(settings)
    return settings
