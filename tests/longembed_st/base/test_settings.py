"""The one description of an extended model: what it refuses, what was given, what differs."""

from __future__ import annotations

import inspect
import json
import subprocess
import sys

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sentence_transformers import SentenceTransformer

import longembed_st as le
from longembed_st.base.extension import ExtensionConfig
from longembed_st.base.fields import UNSET
from longembed_st.base.settings import LOADING_ARGUMENTS, ModelSettings, field_info
from longembed_st.command.models import inspect as inspect_command

FIELDS = {"method": "pi", "original_max_seq_length": 512, "max_seq_length": 4096}
RESOLVED = {**FIELDS, "model_name": "m"}


# What is refused.


def test_a_bad_field_is_refused_by_name_and_value():
    for field, value in (
        ("max_seq_length", 0),
        ("max_seq_length", 10**12),
        ("max_seq_length", "4096"),
        ("token_budget", 1.5),
        ("on_overflow", "ignore"),
        ("method", None),
        ("method_options", ["dynamic"]),
    ):
        with pytest.raises(le.ConfigError) as refusal:
            ExtensionConfig(**{**FIELDS, field: value})
        assert f"{field}={value!r}" in str(refusal.value)
        assert "\n" not in str(refusal.value)


def test_a_bad_field_of_loading_is_refused_too():
    bad = {"model_name": 7, "prompts": {"query": 1}, "model_kwargs": {"chunk_size": 10}}
    for field, value in bad.items():
        with pytest.raises(le.ConfigError, match=field):
            ModelSettings(**{**RESOLVED, field: value})


def test_a_window_below_the_original_one_is_refused_with_the_way_out():
    with pytest.raises(le.ConfigError, match=r"max_seq_length=256.*512.*[Ll]eave") as refusal:
        ExtensionConfig(method="pi", original_max_seq_length=512, max_seq_length=256)
    assert isinstance(refusal.value, le.LongEmbedError)
    assert isinstance(refusal.value, ValueError)


def test_settings_cannot_be_changed():
    with pytest.raises(Exception, match="frozen"):
        ModelSettings(**RESOLVED).max_seq_length = 8192


def test_a_name_that_nobody_knows_is_refused_by_the_method():
    for kind in (ExtensionConfig, ModelSettings):
        with pytest.raises(le.ConfigError, match=r"window=512.*options: factor"):
            kind(**FIELDS, window=512).build_method()


# What was given.


def test_an_explicit_default_is_another_thing_than_nothing():
    unset = dict.fromkeys(ModelSettings.model_fields.keys() - {"model_name"}, UNSET)
    nothing = ModelSettings.from_keywords(model_name="m", **unset)
    assert nothing.explicit == {"model_name": "m"}
    defaults = {
        name: field.get_default(call_default_factory=True)
        for name, field in ModelSettings.model_fields.items()
        if name != "model_name"
    }
    spelled = ModelSettings(model_name="m", **defaults)
    assert spelled.explicit == {"model_name": "m", **defaults}
    assert {name: getattr(nothing, name) for name in defaults} == defaults
    assert repr(UNSET) == "UNSET"


def test_what_is_not_a_field_goes_where_it_belongs():
    settings = ModelSettings.from_keywords(
        model_name="m", method="pcw", window_size=32, revision="abc", model_kwargs={"dtype": "auto"}
    )
    assert settings.method_options == {"window_size": 32}
    # Here the name is that of the argument of SentenceTransformer.
    assert settings.model_kwargs == {"revision": "abc", "model_kwargs": {"dtype": "auto"}}
    beside = ModelSettings(model_name="m", method="pcw", window_size=32, revision="abc")
    assert beside.method_options == {"window_size": 32}
    assert beside.model_kwargs == {"revision": "abc"}
    # Frameworks mix arguments of SentenceTransformer and of transformers.
    mixed = ModelSettings(model_kwargs={"dtype": "auto", "model_kwargs": {"use_cache": False}})
    assert mixed.model_kwargs == {"model_kwargs": {"dtype": "auto", "use_cache": False}}
    assert ModelSettings.from_keywords(device=torch.device("cpu")).device == "cpu"
    # Given as None, a setting must not replace what the model was saved with.
    settings = ModelSettings.from_keywords(model_name="m", prompts=None, device="cpu", revision="r")
    assert settings.loading_arguments() == {"device": "cpu", "revision": "r"}


@given(
    st.fixed_dictionaries(
        {"model_name": st.just("m")},
        optional={
            "method": st.sampled_from(["auto", "pcw", "pi"]),
            "max_seq_length": st.sampled_from([None, 512]),
            "logn_scaling": st.booleans(),
            "on_overflow": st.sampled_from(["warn", "error", "truncate"]),
            "token_budget": st.integers(1, 9999),
            "device": st.sampled_from([None, "cpu"]),
            "prompts": st.sampled_from([None, {"query": "q"}]),
            "revision": st.just("abc"),
            "window_size": st.integers(4, 99),
            "overlap": st.integers(0, 9),
            "model_kwargs": st.just({"dtype": "auto"}),
        },
    )
)
def test_keywords_give_the_same_settings_again(keywords):
    settings = ModelSettings.from_keywords(**keywords)
    again = ModelSettings.from_keywords(model_name=settings.model_name, **settings.keywords())
    assert again == settings
    assert again.explicit == settings.explicit
    assert {"model_name": "m", **settings.keywords()} == keywords


def test_settings_come_back_from_json_and_from_what_is_saved():
    changes = {"logn_scaling": True, "on_overflow": "error", "options": {"factor": "dynamic"}}
    for kind in (ExtensionConfig, ModelSettings):
        settings = kind(**FIELDS, **changes)
        assert kind(**json.loads(settings.model_dump_json())) == settings
    config = ExtensionConfig(**FIELDS, **changes)
    assert config.saved()["options"] == {"factor": "dynamic"}
    assert ExtensionConfig(**config.saved()) == config


# Over others.

SAVED = ExtensionConfig(
    **FIELDS,
    logn_scaling=True,
    on_overflow="error",
    token_budget=100,
    method_options={"factor": "dynamic"},
)


def over(base=SAVED, **keywords):
    return ModelSettings.from_keywords(**keywords).with_defaults(base)


def test_an_explicit_default_overrides_what_was_saved():
    merged = over(logn_scaling=False, on_overflow="warn", token_budget=8192)
    assert (merged.logn_scaling, merged.on_overflow, merged.token_budget) == (False, "warn", 8192)
    assert (merged.method, merged.max_seq_length) == ("pi", 4096)
    assert merged.method_options == {"factor": "dynamic"}
    assert over(factor="static").method_options == {"factor": "static"}
    assert over(method="pi").max_seq_length == 4096


def test_of_another_method_only_the_original_window_is_kept():
    merged = over(method="gp", model_name="m")
    assert merged.explicit == {"method": "gp", "model_name": "m", "original_max_seq_length": 512}
    # A released checkpoint's prompts have nothing to do with the method.
    published = ModelSettings(**FIELDS, prompts={"query": "q"}, token_budget=7)
    merged = over(published, method="gp")
    assert merged.explicit == {
        "method": "gp",
        "original_max_seq_length": 512,
        "prompts": {"query": "q"},
    }


def test_options_and_arguments_of_loading_are_overridden_one_by_one():
    base = ModelSettings.from_keywords(
        method="pcw", window_size=32, overlap=4, revision="a", truncate_dim=8
    )
    merged = over(base, method="pcw", overlap=0, revision="b")
    assert merged.method_options == {"window_size": 32, "overlap": 0}
    assert merged.model_kwargs == {"revision": "b", "truncate_dim": 8}


def test_defaults_that_depend_on_the_windows_are_worked_out_anew():
    resolved = ExtensionConfig(
        method="self_extend", original_max_seq_length=512, max_seq_length=4096
    ).resolved()
    assert resolved.method_options == {"group_size": 9, "neighbor_window": 64}
    merged = over(resolved, max_seq_length=1024)
    assert merged.method_options == {}
    assert merged.resolved().method_options == {"group_size": 3, "neighbor_window": 256}


# Resolved.


def test_resolved_settings_are_given_in_full():
    for settings, method_options in (
        ({"method": "pcw"}, {"overlap": 0, "window_size": 512}),
        ({"method": "self_extend", "group_size": 20}, {"group_size": 20, "neighbor_window": 64}),
    ):
        unresolved = ModelSettings(**{**RESOLVED, **settings})
        resolved = unresolved.resolved()
        assert resolved.is_resolved
        assert list(resolved.method_options.items()) == list(method_options.items())
        assert resolved.explicit.keys() == ModelSettings.model_fields.keys()
        assert resolved.resolved() == resolved
        assert resolved.changed_options() == unresolved.method_options


# Differences.


def differences(stored, now):
    return ModelSettings.from_keywords(**stored).differences(ModelSettings.from_keywords(**now))


def test_each_setting_that_changes_vectors_is_named():
    for changes, *named in (
        ({"method": "gp"}, "method is 'pi' in the store, 'gp' now"),
        ({"factor": "dynamic"}, "factor is 'static' in the store, 'dynamic' now"),
        ({"prompts": {"query": "q"}}, "prompts is None in the store, {'query': 'q'} now"),
        (
            {"logn_scaling": True, "truncate_dim": 8},
            "logn_scaling is False in the store, True now",
            "truncate_dim is None in the store, 8 now",
        ),
    ):
        assert differences(RESOLVED, {**RESOLVED, **changes}) == named


def test_what_changes_no_vector_and_a_default_spelled_out_are_no_difference():
    changes = {"on_overflow": "error", "token_budget": 1, "device": "cpu", "cache_folder": "/tmp"}
    changes |= {"factor": "static", "logn_scaling": False}
    assert differences(RESOLVED, {**RESOLVED, **changes}) == []
    assert differences({**RESOLVED, **changes}, RESOLVED) == []


# One list of settings for all.

NO_OPTION = {
    *("model_name", "model_type", "combine"),
    *("token_budget", "cache_folder", "model_kwargs"),
}
"""Settings that no command has an option for: the model is an argument, the rest is for code."""
MADE_OF_SEVERAL = {
    "prompts": {"query_prompt", "document_prompt"},
    "method_options": {"window_size", "option"},
}


def test_every_setting_is_an_option_of_a_command_or_known_to_be_none():
    shown = set(inspect.signature(inspect_command).parameters)
    shown -= {"model", "length", "tune", "as_json", "settings_file"}
    expected = set()
    for name in ModelSettings.model_fields.keys() - NO_OPTION:
        expected |= MADE_OF_SEVERAL.get(name, {name})
    assert shown == expected
    assert {name for name in ModelSettings.model_fields if not field_info(name)["option"]} == (
        NO_OPTION
    )


def test_functions_show_the_settings_in_their_signature():
    hidden = {"model_name", "method_options", "model_kwargs"}
    for function, kind in ((le.load, ModelSettings), (le.extend, ExtensionConfig)):
        shown = inspect.signature(function).parameters
        assert set(shown) >= kind.model_fields.keys() - hidden
        assert shown["max_seq_length"].default is None
        assert shown["max_seq_length"].kind is inspect.Parameter.KEYWORD_ONLY
        assert list(shown)[-1] == "options"
        assert shown["options"].kind is inspect.Parameter.VAR_KEYWORD


def test_no_setting_is_named_like_another_argument_of_loading():
    arguments = set(inspect.signature(SentenceTransformer.__init__).parameters)
    shared = arguments & ModelSettings.model_fields.keys()
    assert shared == {"backend", "device", "prompts", "cache_folder", "model_kwargs"}
    of_methods = {name for method in le.methods().values() for name in method.model_fields}
    assert not of_methods & (arguments | ModelSettings.model_fields.keys())


def test_the_arguments_of_sentence_transformers_are_those_that_it_has() -> None:
    own = inspect.signature(SentenceTransformer.__init__).parameters.keys()
    # What computes is a setting of ours.
    assert own - LOADING_ARGUMENTS == {"self", "model_name_or_path", "modules", "backend"}


def test_stored_settings_are_read_without_sentence_transformers() -> None:
    line = (
        "import sys; from longembed_st.base.provenance import Provenance; "
        "made = Provenance.from_dict({'model_name': 'some/model', 'method': 'pcw', "
        "'options': {'revision': 'main', 'overlap': 0.5}}); "
        "assert made.settings.model_kwargs == {'revision': 'main'}; "
        "assert made.settings.method_options == {'overlap': 0.5}; "
        "assert 'sentence_transformers' not in sys.modules and 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", line], check=True)
