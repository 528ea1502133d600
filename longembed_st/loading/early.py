"""Mistakes in settings that can be seen before a library is imported or a model is loaded."""

from __future__ import annotations

import sys
from importlib.metadata import entry_points
from pathlib import Path

from longembed_st.base.extension import AUTO
from longembed_st.base.settings import ModelSettings
from longembed_st.errors import ConfigError, ModelError
from longembed_st.extras import require_extra

_MODEL_FILES = ("modules.json", "config.json", "adapter_config.json")


def refuse_mistakes(settings: ModelSettings) -> None:
    """Raise if the model or the method of settings does not exist, or a library is missing.

    Raises:
        ConfigError: If there is no such method.
        MissingExtraError: If the library of the backend is not installed.
        ModelError: If there is no such model.
    """
    refuse_unknown_method(settings.method)
    if settings.backend == "openvino":
        require_extra("openvino", "openvino", "platformdirs")
    if settings.model_name is not None:
        # Its library takes a moment, and a search needs no model.
        from longembed_st.loading.hub import refuse_unknown_model

        refuse_unknown_model(settings.model_name, settings.loading_arguments())
        folder = Path(settings.model_name)
        if folder.is_dir() and not any((folder / name).is_file() for name in _MODEL_FILES):
            raise ModelError(
                f"the folder {settings.model_name!r} has no model: none of the files "
                f"{', '.join(_MODEL_FILES)}"
            )


def refuse_unknown_method(name: str) -> None:
    """Raise `ConfigError` if neither a package nor this process has a method of a name."""
    if name == AUTO:
        return
    known = {entry_point.name for entry_point in entry_points(group="longembed_st.methods")}
    if "longembed_st.positions.method" in sys.modules:
        from longembed_st.positions.method import methods

        known |= methods().keys()
    if name not in known:
        raise ConfigError(f"{name!r} is not a method. Methods: {', '.join(sorted(known))}, {AUTO}")
