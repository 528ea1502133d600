"""How stored vectors were made: stored with them, compared before others are added.

A model is built from the settings that are stored with a collection, perhaps by somebody else on
another machine. Only names and values that are known to be harmless are therefore stored or read:
nothing in them can run code.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from longembed_st.base.settings import ModelSettings
from longembed_st.errors import ConfigError

FINGERPRINT = "fingerprint"
_OPTIONS = "options"
_UNDER_OPTIONS = ("method_options", "model_kwargs")
_ADVICE = (
    "everybody who opens the collection loads a model by its settings. Leave it out, or load the "
    "model yourself with longembed_st.load"
)


class _Plain(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class _ModelArguments(_Plain):
    dtype: Literal["auto", "float32", "float16", "bfloat16"] | None = None
    torch_dtype: Literal["auto", "float32", "float16", "bfloat16"] | None = None
    attn_implementation: Literal["eager", "sdpa"] | None = None


class _TokenizerArguments(_Plain):
    padding_side: Literal["left", "right"] | None = None
    truncation_side: Literal["left", "right"] | None = None


class StorableArguments(_Plain):
    """The arguments of `SentenceTransformer` that may be stored with a collection, and no others.

    Paths of code, secrets, names of kernels to fetch and switches that let pickles or a model's own
    code run are not among them.
    """

    revision: str | None = None
    local_files_only: bool = False
    truncate_dim: int | None = None
    default_prompt_name: str | None = None
    similarity_fn_name: Literal["cosine", "dot", "euclidean", "manhattan"] | None = None
    model_kwargs: _ModelArguments | None = None
    processor_kwargs: _TokenizerArguments | None = None


def refuse_unless_storable(settings: ModelSettings) -> None:
    """Raise `ConfigError`, naming the setting, if one must not be stored with a collection."""
    if not settings.model_name:
        raise ConfigError(f"model_name must be a name or a path, not {settings.model_name!r}")
    try:
        StorableArguments(**settings.model_kwargs)
    except ValidationError as error:
        # Without the values: one may be a secret, and messages are logged.
        problems = {".".join(map(str, e["loc"])): e["msg"] for e in error.errors()}
        secret = any(name.endswith("token") for name in problems)
        hint = " A secret goes into the environment variable HF_TOKEN." if secret else ""
        listed = "; ".join(f"{name}: {problem}" for name, problem in problems.items())
        raise ConfigError(
            f"{listed}. This cannot be stored with a collection: {_ADVICE}.{hint}"
        ) from None


@dataclass(frozen=True)
class Provenance:
    """How some vectors were made.

    Attributes:
        settings: Of the model.
        fingerprint: Of the model; None where it was not noted.
    """

    settings: ModelSettings
    fingerprint: str | None

    def to_dict(self) -> dict[str, Any]:
        """Return plain data: a key a setting; options and arguments of loading under "options".

        Raises:
            ConfigError: If a setting must not be stored.
        """
        refuse_unless_storable(self.settings)
        fields = {name: getattr(self.settings, name) for name in ModelSettings.model_fields}
        fields["cache_folder"] = None  # Whoever reads the collection has a place of their own.
        options = {key: value for name in _UNDER_OPTIONS for key, value in fields.pop(name).items()}
        for newer in ("whitening", "dtype", "backend", "model_type", "combine"):
            if fields[newer] is None:
                # Earlier versions do not know these settings.
                del fields[newer]
        return {**fields, _OPTIONS: options, FINGERPRINT: self.fingerprint}

    def portable(self) -> Provenance:
        """Return a copy without the settings of this machine."""
        settings = self.settings.model_copy(update={"device": None, "cache_folder": None})
        return replace(self, settings=settings)

    def to_json(self) -> str:
        """Return one canonical string: equal settings give equal strings."""
        return json.dumps(self.to_dict(), sort_keys=True)

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> Provenance:
        """Read what `to_dict` returned, in this version or an earlier one.

        A stored `cache_folder` is ignored: a collection must not choose where models are written.

        Raises:
            ConfigError: If it is something else, or holds a setting that must not be stored.
        """
        others = {_OPTIONS, FINGERPRINT, "cache_folder"}
        fields = {name: stored[name] for name in stored.keys() - others}
        known = [name for name in ModelSettings.model_fields if name not in _UNDER_OPTIONS]
        for name in fields:
            if name not in known:
                raise ConfigError(f"unknown setting {name!r}; there are {', '.join(known)}")
        options = stored.get(_OPTIONS) or {}
        if not isinstance(options, dict) or not all(isinstance(name, str) for name in options):
            raise ConfigError(f"options must be a mapping of names to values, not {options!r}")
        options = {name: value for name, value in options.items() if name != "cache_folder"}
        settings = ModelSettings.from_keywords(**{**options, **fields})
        refuse_unless_storable(settings)
        fingerprint = stored.get(FINGERPRINT)
        if not isinstance(fingerprint, str | None):
            raise ConfigError(f"fingerprint must be a string, not {fingerprint!r}")
        return cls(settings, fingerprint)

    @classmethod
    def from_json(cls, text: str) -> Provenance:
        """Read what `to_json` returned.

        Raises:
            ConfigError: If it is something else.
        """
        try:
            stored = json.loads(text)
        except (RecursionError, ValueError):
            stored = None
        if not isinstance(stored, dict):
            raise ConfigError(f"the stored settings cannot be read: {text[:80]!r}")
        return cls.from_dict(stored)

    def refuse_incompatible(self, now: Provenance, what: str) -> None:
        """Raise `ConfigError` unless other vectors can be compared with those of this provenance.

        Equal fingerprints are enough, so that a model may move to another path.

        Args:
            now: How the other vectors are made.
            what: The name of the collection, for the message.

        Raises:
            ConfigError: If a setting that changes vectors, or the fingerprint, differs.
        """
        if self.fingerprint is not None and self.fingerprint == now.fingerprint:
            return
        differences = self.settings.differences(now.settings)
        if self.settings.dtype != now.settings.dtype:
            differences.append(
                f"dtype is {self.settings.dtype!r} in the store, {now.settings.dtype!r} now"
            )
        differences = differences or [
            "the settings are the same, but the weights behind the name or the software that "
            f"computes the vectors are not (fingerprint {self.fingerprint} in the store, "
            f"{now.fingerprint} now)"
        ]
        raise ConfigError(
            f"{what} holds vectors that were made differently: {'; '.join(differences)}. Such "
            "vectors cannot be compared. Use the stored settings, index into a new place, or make "
            "all vectors again with `longembed reindex` or `chroma_longembed.reindex`"
        )
