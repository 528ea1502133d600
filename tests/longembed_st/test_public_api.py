"""The names that users import, and what importing them costs."""

from __future__ import annotations

import inspect
from typing import Literal, get_origin

import pytest
from fresh_process import run_fresh

import longembed_st as le


def test_every_public_name_exists_and_says_what_it_is():
    for name in le.__all__:
        value = getattr(le, name)
        # A choice of words is documented where it is used.
        assert get_origin(value) is Literal or inspect.getdoc(value), name


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="emded"):
        le.emded  # noqa: B018 - the access itself is what is tested


def test_every_error_has_one_base():
    for kind in (le.ConfigError, le.InputError, le.ModelError):
        assert issubclass(kind, le.LongEmbedError)


def test_methods_and_families_answer_by_name():
    assert {"none", "pcw", "gp", "rp", "pi", "table"} <= set(le.methods())
    for name, method in le.methods().items():
        assert method.name == name
        assert method.summary
        assert method.source
    for name, family in le.families().items():
        assert family.model_type == name


def test_importing_the_package_is_light_and_hides_no_name(tmp_path):
    """Neither torch nor a plugin is imported early, and the reader registers its attention."""
    code = """
        import longembed_st, longembed_st.errors, longembed_st.command.options
        heavy = {"torch", "transformers", "sentence_transformers", "chromadb", "langchain_core"}
        early = sorted(heavy & set(sys.modules))
        import longembed_st.loading.load, longembed_st.loading.bake
        ours = {"longembed_methods", "longembed_index", "longembed_bench", "longembed_tuning"}
        ours = sorted((ours | {"chroma_longembed"}) & set(sys.modules))
        from longembed_st.positions.attention import LONG_ATTENTION as name
        from transformers import AttentionInterface, AttentionMaskInterface
        attention = [name in kind() for kind in (AttentionInterface, AttentionMaskInterface)]
        import pkgutil, importlib
        for module in pkgutil.walk_packages(longembed_st.__path__, "longembed_st."):
            importlib.import_module(module.name)
        kinds = {name: type(getattr(longembed_st, name)).__name__ for name in longembed_st.__all__}
        hidden = sorted(name for name, kind in kinds.items() if kind == "module")
        answer({"early": early, "ours": ours, "attention": attention, "hidden": hidden})
    """
    answered = run_fresh(code, tmp_path)
    assert answered == {"early": [], "ours": [], "attention": [True, True], "hidden": []}
