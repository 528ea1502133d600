"""What the adapters of frameworks that are built on pydantic have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, model_validator

if TYPE_CHECKING:
    from longembed_st.cache import CachedModel
    from longembed_st.model import LongSentenceTransformer


class ModelSettings(BaseModel):
    """The keyword arguments of `longembed_st.load` as fields, and the model that they load.

    A method's own options may be given by their names, as to `load`; they end in `method_options`.
    Once the model is loaded, the fields say what "auto" and the defaults came to. They are frozen:
    another setting is another object.
    """

    model_config = ConfigDict(extra="forbid", populate_by_name=True, protected_namespaces=())

    model_name: str = Field(frozen=True, description="Folder or Hugging Face hub name.")
    method: str = Field(
        default="auto",
        frozen=True,
        description="Extension method; 'auto' takes the best known one for the model.",
    )
    max_seq_length: int | None = Field(
        default=None,
        frozen=True,
        description="Extended window in tokens; None for the method's default.",
    )
    original_max_seq_length: int | None = Field(
        default=None,
        frozen=True,
        description="Original window in tokens; None for the model's own.",
    )
    logn_scaling: bool = Field(
        default=False,
        frozen=True,
        description="Scale attention logits with the logarithm of the text's length.",
    )
    on_overflow: Literal["warn", "error", "truncate"] = Field(
        default="warn",
        frozen=True,
        description="What happens to a text that is longer than the extended window.",
    )
    token_budget: int | None = Field(
        default=None,
        frozen=True,
        description="Most tokens in one forward pass; None for the default. Bounds the memory.",
    )
    method_options: dict[str, Any] = Field(
        default_factory=dict, frozen=True, description="The method's own options, by name."
    )
    cache_folder: str | None = Field(
        default=None, frozen=True, description="Where models from the hub are stored."
    )
    model_kwargs: dict[str, Any] = Field(
        default_factory=dict,
        frozen=True,
        description="Further arguments of SentenceTransformer: device, prompts, revision, ...",
    )

    _loaded: CachedModel = PrivateAttr()

    def __init__(self, **data: Any) -> None:
        """Load the model, or share the one that another object with equal settings has loaded.

        Args:
            **data: The fields, and the method's own options.

        Raises:
            ConfigError: If a setting is out of range, or wrong for the model.
            ModelError: If the model cannot be loaded or cannot take the method.
        """
        super().__init__(**data)
        # Importing an adapter must stay light.
        from longembed_st.cache import cached_model

        names = (*_RESOLVED, "model_name", "token_budget", "cache_folder")
        given = {name: getattr(self, name) for name in names}
        # Only what is not None: a model's saved settings stay in force.
        given = {name: value for name, value in given.items() if value is not None}
        self._loaded = cached_model(**given, **self.model_kwargs, **self.method_options)
        extension = self._loaded.model.long_transformer.extension
        resolved = {name: getattr(extension, name) for name in _RESOLVED}
        # Sorted, because frameworks hash the fields in the order in which they stand.
        self.__dict__.update(resolved, method_options=dict(sorted(extension.options.items())))

    @model_validator(mode="before")
    @classmethod
    def _gather_options(cls, data: Any) -> Any:
        """Move what is no field but an option of some method into `method_options`."""
        taken = {field.alias for field in cls.model_fields.values()} | cls.model_fields.keys()
        if not isinstance(data, dict) or data.keys() <= taken:
            return data
        from longembed_st.method import methods

        known = {name for method in methods().values() for name in method.model_fields}
        options = {name: data[name] for name in data.keys() - taken if name in known}
        rest = {name: value for name, value in data.items() if name not in options}
        return {**rest, "method_options": {**data.get("method_options", {}), **options}}

    @property
    def sentence_transformer(self) -> LongSentenceTransformer:
        """The model behind it, for `longembed_st.coverage` and the like; shared: only to read."""
        return self._loaded.model


_RESOLVED = (
    "method",
    "max_seq_length",
    "original_max_seq_length",
    "logn_scaling",
    "on_overflow",
)


def plain_floats(vectors: Any) -> list[list[float]]:
    """Vectors as frameworks and JSON want them.

    Args:
        vectors: Shape (texts, width).
    """
    floats: list[list[float]] = np.asarray(vectors, dtype=np.float64).tolist()
    return floats
