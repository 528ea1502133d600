"""Whatever is given or stored as a setting ends in settings, or in an error that names it."""

from __future__ import annotations

import json
from contextlib import suppress

from fuzzing import check, few_or_many
from hypothesis import strategies as st

from longembed_st.base.extension import ExtensionConfig
from longembed_st.base.provenance import Provenance
from longembed_st.base.settings import ModelSettings
from longembed_st.errors import ConfigError
from longembed_st.positions.method import methods

NAMES = [
    *ModelSettings.model_fields,
    *("window_size", "overlap", "group", "stride", "scale", "alpha", "neighbor"),
    *("trust_remote_code", "revision", "truncate_dim", "model_kwargs", "processor_kwargs"),
    *("backend", "token", "x", ""),
]
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=10)
    | st.binary(max_size=4)
    | st.sampled_from([*methods(), "auto", "warn", "error", "truncate", "cpu", 512, 4096, 10**400]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=6,
)
some_settings = st.dictionaries(st.sampled_from(NAMES), values, max_size=5)


@few_or_many
def test_keywords(examples) -> None:
    def claim(keywords) -> None:
        for kind in (ModelSettings, ExtensionConfig):
            with suppress(ConfigError):
                settings = kind.from_keywords(**keywords)
                # What was taken can be told apart, and read by people.
                assert settings == settings.with_defaults(kind())
                assert repr(settings)

    check(claim, examples, keywords=some_settings)


@few_or_many
def test_a_method_of_any_settings_is_built_or_refused(examples) -> None:
    resolved = {"method": "pcw", "original_max_seq_length": 512, "max_seq_length": 4096}

    def claim(keywords) -> None:
        with suppress(ConfigError):
            stated = {name: value for name, value in keywords.items() if value is not None}
            config = ExtensionConfig.from_keywords(**{**resolved, **stated})
            assert config.with_defaults(ExtensionConfig.from_keywords(**resolved)).build_method()

    check(claim, examples, keywords=some_settings)


@few_or_many
def test_stored_settings(examples) -> None:
    def claim(stored) -> None:
        try:
            text = json.dumps(stored)
        except TypeError:
            text = str(stored)
        with suppress(ConfigError):
            provenance = Provenance.from_json(text)
            assert Provenance.from_json(provenance.to_json()).to_dict() == provenance.to_dict()

    check(claim, examples, stored=some_settings | values)
