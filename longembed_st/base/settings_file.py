"""Settings in a JSON file, as `longembed calibrate` writes it and `--settings` reads it."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from longembed_st.base.settings import ModelSettings
from longembed_st.base.texts import escaped
from longembed_st.errors import ConfigError
from longembed_st.files import write_text

_NAME = "model_name_or_path"


@dataclass(frozen=True)
class SettingsFile:
    """The content of a file: `{"model": {...}, "search": {...}}`.

    Attributes:
        model: The keyword arguments of `longembed_st.load`.
        search: How a store is searched: mode and weight, as far as they are given.
    """

    model: ModelSettings
    search: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path) -> SettingsFile:
        """Read a file; without the key "model", all of it belongs under that key.

        Raises:
            ConfigError: If it cannot be read, or has an unknown setting.
        """
        try:
            content = json.loads(path.read_text(encoding="utf8"))
        except (OSError, ValueError) as error:
            raise ConfigError(f"cannot read settings from {escaped(path)}: {error}") from None
        if isinstance(content, dict) and "model" not in content:
            content = {"model": content}
        if not isinstance(content, dict) or not all(isinstance(v, dict) for v in content.values()):
            raise ConfigError(f"{escaped(path)} is not a mapping of settings to values")
        for name in content.keys() - {"model", "search"}:
            raise ConfigError(f"{escaped(path)}: unknown {name!r}; there are model and search")
        named = {("model_name" if k == _NAME else k): v for k, v in content["model"].items()}
        return cls(ModelSettings.from_keywords(**named), content.get("search", {}))

    def write(self, path: Path) -> None:
        """Write the file, whole or not at all."""
        model = {_NAME: self.model.model_name, **self.model.keywords()}
        content = {"model": model, **({"search": self.search} if self.search else {})}
        write_text(path, json.dumps(content, indent=2) + "\n")
