"""How stored vectors were made: kept beside them, compared before others are put to them.

Whoever opens a collection builds a model from what is stored with it, perhaps on another machine
and perhaps of somebody else's making. Only names and values that are known to be harmless are
therefore stored or read: nothing in them can make a reader run code.
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
_WAY_OUT = (
    "the settings are stored, and whoever opens the collection acts on them. Leave it out, or load "
    "the model yourself with longembed_st.load"
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
    """Raise `ConfigError`, naming the setting, if one must not be stored with a collection.

    Args:
        settings: What vectors are to be made with.
    """
    if not settings.model_name:
        raise ConfigError(f"model_name must be a name or a path, not {settings.model_name!r}")
    try:
        StorableArguments(**settings.model_kwargs)
    except ValidationError as error:
        # Without the values: one may be a secret, and messages are logged.
        found = [(".".join(map(str, one["loc"])), one["msg"]) for one in error.errors()]
        secret = any(name.endswith("token") for name, _ in found)
        hint = " A secret goes into the environment variable HF_TOKEN." if secret else ""
        raise ConfigError(
            f"{'; '.join(f'{name}: {problem}' for name, problem in found)}. This cannot be stored "
            f"with a collection: {_WAY_OUT}.{hint}"
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
        """As plain data: one key a setting, options and arguments of loading under "options".

        Raises:
            ConfigError: If a setting must not be stored.
        """
        refuse_unless_storable(self.settings)
        fields = {name: getattr(self.settings, name) for name in ModelSettings.model_fields}
        options = {key: value for name in _UNDER_OPTIONS for key, value in fields.pop(name).items()}
        for newer in ("whitening", "dtype", "backend", "model_type", "combine"):
            if fields[newer] is None:
                # As versions wrote it that knew of none.
                del fields[newer]
        return {**fields, _OPTIONS: options, FINGERPRINT: self.fingerprint}

    def portable(self) -> Provenance:
        """The same without what belongs to this machine: who opens a store may be on another."""
        here = {"device": None, "cache_folder": None}
        return replace(self, settings=self.settings.model_copy(update=here))

    def to_json(self) -> str:
        """As one canonical string: equal settings, equal strings."""
        return json.dumps(self.to_dict(), sort_keys=True)

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> Provenance:
        """Read what `to_dict` gave, in this version or an earlier one.

        Raises:
            ConfigError: If it is not that, or holds what must not be acted on.
        """
        fields = {name: stored[name] for name in stored.keys() - {_OPTIONS, FINGERPRINT}}
        known = [name for name in ModelSettings.model_fields if name not in _UNDER_OPTIONS]
        for name in fields:
            if name not in known:
                raise ConfigError(f"unknown setting {name!r}; there are {', '.join(known)}")
        options = stored.get(_OPTIONS) or {}
        if not isinstance(options, dict) or not all(isinstance(name, str) for name in options):
            raise ConfigError(f"options must be a mapping of names to values, not {options!r}")
        settings = ModelSettings.from_keywords(**{**options, **fields})
        refuse_unless_storable(settings)
        fingerprint = stored.get(FINGERPRINT)
        if not isinstance(fingerprint, str | None):
            raise ConfigError(f"fingerprint must be a string, not {fingerprint!r}")
        return cls(settings, fingerprint)

    @classmethod
    def from_json(cls, text: str) -> Provenance:
        """Read what `to_json` gave.

        Raises:
            ConfigError: If it is not that.
        """
        try:
            stored = json.loads(text)
        except ValueError:
            stored = None
        if not isinstance(stored, dict):
            raise ConfigError(f"the stored settings cannot be read: {text[:80]!r}")
        return cls.from_dict(stored)

    def refuse_incompatible(self, now: Provenance, what: str) -> None:
        """Refuse vectors that cannot be compared with those that were made like this.

        Two equal fingerprints settle it: a model that was only moved to another path is let in.

        Args:
            now: How the vectors to come are made.
            what: The thing that is protected, for the message.

        Raises:
            ConfigError: If a setting that changes vectors, or the fingerprint, differs.
        """
        if self.fingerprint is not None and self.fingerprint == now.fingerprint:
            return
        found = self.settings.differences(now.settings) or [
            "the settings are the same, but the weights behind the name or the software that "
            f"computes the vectors are not (fingerprint {self.fingerprint} in the store, "
            f"{now.fingerprint} now)"
        ]
        raise ConfigError(
            f"{what} holds vectors that were made otherwise: {'; '.join(found)}. Vectors of two "
            "kinds cannot be compared. Use the stored settings, index into a new place, or make "
            "all vectors anew with `longembed reindex` or `chroma_longembed.reindex`"
        )
