"""The common base of adapters for frameworks that are built on pydantic."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from pydantic import ConfigDict, Field, PrivateAttr

from longembed_st.base.extension import ExtensionConfig
from longembed_st.base.settings import ModelSettings
from longembed_st.errors import ConfigError, InputError

if TYPE_CHECKING:
    from longembed_st.base.provenance import Provenance
    from longembed_st.loading.cache import CachedModel
    from longembed_st.sentence_transformer.model import LongSentenceTransformer


class AdapterSettings(ModelSettings):
    """The settings as fields of a framework's object, and the model that they load.

    Once the model is loaded, the fields hold the resolved values of "auto" and the defaults. They
    are frozen.
    """

    model_config = ConfigDict(frozen=False, populate_by_name=True, strict=False)

    model_name: str = Field(frozen=True, description="Folder or Hugging Face hub name.")

    renamed_arguments: ClassVar[Mapping[str, str]] = {}
    """Arguments of the framework's own adapter, and what to use here instead."""

    _loaded: CachedModel = PrivateAttr()

    def __init__(self, **data: Any) -> None:
        """Load the model, or share the one that another object with equal settings has loaded.

        Args:
            **data: The fields, and the method's own options.

        Raises:
            ConfigError: If a setting is out of range, or wrong for the model.
            ModelError: If the model cannot be loaded or cannot take the method.
        """
        for name in self.renamed_arguments.keys() & data.keys():
            # Values without effect, as when all arguments of another adapter are handed on.
            if data.pop(name) not in (None, False, "deprecated", {}):
                raise ConfigError(f"{name}: {self.renamed_arguments[name]}")
        super().__init__(**data)
        # Importing an adapter must stay light.
        from longembed_st.loading.cache import cached_model

        explicit = {"model_name": self.model_name, **self.explicit}
        self._loaded = cached_model(ModelSettings(**explicit))
        resolved = self._loaded.settings
        self.__dict__.update(
            {name: getattr(resolved, name) for name in explicit.keys() | _RESOLVED}
        )

    @property
    def sentence_transformer(self) -> LongSentenceTransformer:
        """The model, for `longembed_st.coverage` for instance. It is shared: do not change it."""
        return self._loaded.model

    @property
    def provenance(self) -> Provenance:
        """How its vectors are made, to be stored with them."""
        return self._loaded.provenance


_RESOLVED = ExtensionConfig.model_fields.keys()


def list_of_texts(texts: Iterable[str]) -> list[str]:
    """Return texts as a list; frameworks and programs also give generators, tuples and columns.

    Raises:
        InputError: If it is one text, whose characters would be taken for texts.
    """
    if isinstance(texts, str | bytes):
        raise InputError("give a list of texts, not one text")
    return list(texts)


def plain_floats(vectors: Any) -> list[list[float]]:
    """Convert vectors to lists of floats, as frameworks and JSON take them.

    Args:
        vectors: Shape (texts, width).
    """
    floats: list[list[float]] = np.asarray(vectors, dtype=np.float64).tolist()
    return floats
