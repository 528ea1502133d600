"""Settings in a file: what is written is read back, by commands and by `load`."""

from __future__ import annotations

import json

import pytest

from longembed_st.base.settings import ModelSettings
from longembed_st.base.settings_file import SettingsFile
from longembed_st.errors import ConfigError

GIVEN = {
    "model_name": "some/model",
    "method": "pcw",
    "window_size": 128,
    "revision": "main",
    "prompts": {"query": "q: "},
}


def test_what_is_written_is_read_back(tmp_path) -> None:
    path = tmp_path / "new" / "longembed.json"
    file = SettingsFile(ModelSettings.from_keywords(**GIVEN), {"weight": 0.5})
    file.write(path)
    assert SettingsFile.read(path) == file
    written = json.loads(path.read_text())["model"]
    assert written.pop("model_name_or_path") == written.pop("model_name", "some/model")
    assert written == {key: value for key, value in GIVEN.items() if key != "model_name"}


def test_a_file_of_the_model_alone(tmp_path) -> None:
    path = tmp_path / "longembed.json"
    path.write_text('{"model_name_or_path": "some/model", "method": "pi"}')
    read = SettingsFile.read(path)
    assert (read.model.model_name, read.model.method, read.search) == ("some/model", "pi", {})


def test_what_is_wrong_is_named(tmp_path) -> None:
    path = tmp_path / "longembed.json"
    with pytest.raises(ConfigError, match=r"longembed\.json"):
        SettingsFile.read(path)
    for content, named in (
        ("{", "cannot read"),
        ('{"model": 1}', "not a mapping"),
        ('{"model": {}, "serch": {}}', "serch"),
        ('{"model": {"token_budget": -1}}', "token_budget"),
    ):
        path.write_text(content)
        with pytest.raises(ConfigError, match=named):
            SettingsFile.read(path)
