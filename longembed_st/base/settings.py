"""The one description of an extended model: how it reads, which model it is, how that is loaded.

Whatever takes, keeps, compares or shows settings uses the fields of `ModelSettings`.
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import Any, Literal

from pydantic import field_validator, model_validator
from typing_extensions import Self

from longembed_st.base.extension import ExtensionConfig
from longembed_st.base.fields import UNSET, setting
from longembed_st.errors import ConfigError

LOADING_ARGUMENTS = frozenset(
    {
        "activation_fn",
        "cache_folder",
        "config_kwargs",
        "default_prompt_name",
        "device",
        "local_files_only",
        "max_active_dims",
        "model_card_data",
        "model_kwargs",
        "num_labels",
        "processor_kwargs",
        "prompts",
        "revision",
        "similarity_fn_name",
        "token",
        "truncate_dim",
        "trust_remote_code",
        "use_auth_token",
    }
)
"""Of the classes of sentence-transformers, whose import takes seconds; a test compares the two."""


_TRANSFORMERS_ARGUMENTS = frozenset(
    ("attn_implementation", "device_map", "dtype", "quantization_config", "torch_dtype", "variant")
)
"""Arguments of `from_pretrained` that frameworks put beside those of `SentenceTransformer`."""


class ModelSettings(ExtensionConfig):
    """Which model, how it reads, and how it is loaded: the keyword arguments of `load`.

    Attributes:
        model_name: Folder or Hugging Face hub name; None for a model that is loaded already.
        model_type: The class to load it as; None for that which the checkpoint names.
        device: Where to compute; None chooses.
        dtype: Numbers to compute in; None for single precision on a CPU, where half precision
            takes several times as long, and as the weights are stored elsewhere; "auto" always for
            the latter.
        backend: What computes: "torch", or on a CPU "openvino"; "auto" for OpenVINO where it is
            installed and can compute the model, otherwise torch; None for torch.
        prompts: Texts put before queries and documents, by name; None for the model's own.
        whitening: File that `longembed whiten` has written, or folder of the whitened model: built
            into the model when it is loaded.
        cache_folder: Where models from the hub are stored.
        model_kwargs: Further arguments of `SentenceTransformer`, by name: revision, token,
            model_kwargs, ...
    """

    model_name: str | None = setting(None, "Folder or Hugging Face hub name.", option=False)
    model_type: (
        Literal["SentenceTransformer", "SparseEncoder", "MultiVectorEncoder", "CrossEncoder"] | None
    ) = setting(
        None,
        "Class of sentence-transformers to load the model as.",
        default_text="the checkpoint's own",
        affects_vectors=False,
        option=False,
    )
    device: str | None = setting(
        None,
        "Where to compute: cpu, cuda, mps, ...",
        default_text="chosen",
        affects_vectors=False,
    )
    dtype: Literal["float32", "float16", "bfloat16", "auto"] | None = setting(
        None,
        "Numbers to compute in; auto: as the weights are stored.",
        default_text="float32 on a CPU, elsewhere auto",
        affects_vectors=False,
    )
    backend: Literal["torch", "openvino", "auto"] | None = setting(
        None,
        "What computes: torch; openvino, on a CPU and faster; auto: openvino where it can.",
        default_text="torch",
        affects_vectors=False,
    )
    prompts: dict[str, str] | None = setting(
        None,
        "Texts put before queries and documents, by the names 'query' and 'document'.",
        default_text="the model's own",
    )
    whitening: str | None = setting(
        None,
        "Whitening to build into the model: a file, or the folder of a whitened model.",
        default_text="none",
    )
    cache_folder: str | None = setting(
        None, "Where models from the hub are stored.", affects_vectors=False, option=False
    )
    model_kwargs: dict[str, Any] = setting(
        dict, "Further arguments of SentenceTransformer: revision, truncate_dim, ...", option=False
    )

    @field_validator("model_name", "whitening", mode="before")
    @classmethod
    def _paths_are_names(cls, value: Any) -> Any:
        return os.fspath(value) if isinstance(value, os.PathLike) else value

    @field_validator("model_kwargs")
    @classmethod
    def _pass_others_to_transformers(cls, value: dict[str, Any]) -> dict[str, Any]:
        # Frameworks mix both kinds of arguments, too.
        inner = {name: value[name] for name in value if name in _TRANSFORMERS_ARGUMENTS}
        for name in value.keys() - LOADING_ARGUMENTS - inner.keys():
            raise ValueError(f"SentenceTransformer has no argument {name!r}")
        if not inner:
            return value
        outer = {name: value[name] for name in value if name in LOADING_ARGUMENTS}
        return {**outer, "model_kwargs": {**inner, **(outer.get("model_kwargs") or {})}}

    @model_validator(mode="after")
    def _engine_computes_it(self) -> Self:
        if self.backend == "openvino":
            if self.dtype not in (None, "float32", "bfloat16"):
                raise ValueError(
                    "backend='openvino' computes in dtype='float32' or 'bfloat16', not "
                    f"{self.dtype!r}"
                )
            if self.device not in (None, "cpu"):
                raise ValueError(
                    f"backend='openvino' computes on device='cpu', not {self.device!r}; torch does"
                )
        return self

    @model_validator(mode="before")
    @classmethod
    def _gather_arguments(cls, data: Any) -> Any:
        """Move further arguments of SentenceTransformer into `model_kwargs`."""
        fields = cls.model_fields.keys()
        if not isinstance(data, dict) or data.keys() <= fields:
            return data
        loading = {k: v for k, v in data.items() if k not in fields and k in LOADING_ARGUMENTS}
        rest = {name: value for name, value in data.items() if name not in loading}
        arguments = data.get("model_kwargs") or {}
        if isinstance(arguments, dict):
            arguments = {**arguments, **loading}
        return {**rest, "model_kwargs": arguments}

    @classmethod
    def from_keywords(cls, **keywords: Any) -> Self:
        """Make settings of the arguments of `load`; those that are `UNSET` count as not given.

        Args:
            **keywords: Any of the fields, arguments of `SentenceTransformer`, options of the
                method. `model_kwargs` is here the argument of `SentenceTransformer`.

        Raises:
            ConfigError: If one is out of range.
        """
        keywords = {name: value for name, value in keywords.items() if value is not UNSET}
        if keywords.get("model_kwargs") is not None:
            keywords["model_kwargs"] = {"model_kwargs": keywords["model_kwargs"]}
        if keywords.get("device") is not None:
            # Also a torch.device.
            keywords["device"] = str(keywords["device"])
        return super().from_keywords(**keywords)

    def keywords(self) -> dict[str, Any]:
        """Return the keyword arguments of `load` that were given."""
        explicit = self.explicit
        explicit.pop("model_name", None)
        options, arguments = explicit.pop("method_options", {}), explicit.pop("model_kwargs", {})
        return {**options, **arguments, **explicit}

    def loading_arguments(self) -> dict[str, Any]:
        """Return the keyword arguments of `SentenceTransformer` that were given."""
        ours = {"model_name", "model_type", "whitening", "backend", "dtype", "model_kwargs"}
        names = ModelSettings.model_fields.keys() - ExtensionConfig.model_fields.keys() - ours
        # Given as None, these would replace what the model was saved with.
        arguments = {
            name: value
            for name, value in self.explicit.items()
            if name in names and value is not None
        }
        others = self.model_kwargs
        if self.backend == "openvino":
            arguments["device"] = "cpu"
        # Weights are widened to single precision after loading, which shows how they were stored.
        elif self.dtype not in (None, "float32"):
            inner = {**(others.get("model_kwargs") or {}), "dtype": self.dtype}
            others = {**others, "model_kwargs": inner}
        return {**others, **arguments}

    def differences(self, now: ModelSettings) -> list[str]:
        """Describe each setting that would give other vectors."""
        old, new = self.comparable(), now.comparable()
        return [
            f"{name} is {old.get(name)!r} in the store, {new.get(name)!r} now"
            for name in sorted(old.keys() | new.keys())
            if old.get(name) != new.get(name)
        ]

    def comparable(self) -> dict[str, Any]:
        """Return what vectors depend on, by name, whether defaults were given or not."""
        fields = {
            name: getattr(self, name)
            for name in self._names()
            if field_info(name)["affects_vectors"]
            and name not in ("method_options", "model_kwargs")
        }
        options = self.method_options
        # Options that do not fit are compared as they are; loading the model refuses them.
        with suppress(ConfigError):
            options = self.build_method().model_dump() if self.is_resolved else options
        return {**fields, **options, **self.model_kwargs}

    @classmethod
    def _names(cls) -> list[str]:
        return list(ModelSettings.model_fields)


def field_info(name: str) -> dict[str, Any]:
    """Return what `setting` was given about a field."""
    info = ModelSettings.model_fields[name].json_schema_extra
    assert isinstance(info, dict)
    return info
