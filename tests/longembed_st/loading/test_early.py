"""Mistakes that are named before anything is loaded."""

from __future__ import annotations

import sys

import pytest

from longembed_st.base.settings import ModelSettings
from longembed_st.errors import ConfigError, ModelError
from longembed_st.extras import MissingExtraError
from longembed_st.loading.early import refuse_mistakes, refuse_unknown_method


def test_an_unknown_method_is_named_with_the_known_ones() -> None:
    with pytest.raises(
        ConfigError, match=r"'foo' is not a method. Methods: gp, none, .*yarn, auto"
    ):
        refuse_unknown_method("foo")
    refuse_unknown_method("auto")
    refuse_unknown_method("pcw")


def test_a_model_that_does_not_exist_is_named(tmp_path) -> None:
    with pytest.raises(ModelError, match="is not a folder"):
        refuse_mistakes(ModelSettings(model_name=str(tmp_path / "nothing")))
    with pytest.raises(ModelError, match=r"has no model: none of the files modules.json"):
        refuse_mistakes(ModelSettings(model_name=str(tmp_path)))


def test_a_missing_library_is_named_with_the_command_that_installs_it(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(MissingExtraError, match=r'pip install "longembed-st\[openvino\]"'):
        refuse_mistakes(ModelSettings(backend="openvino"))
