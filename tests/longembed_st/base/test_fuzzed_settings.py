"""Whatever is given or stored as a setting ends in settings, or in an error that names it."""

from __future__ import annotations

import json
from contextlib import suppress

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from longembed_st.base.extension import ExtensionConfig
from longembed_st.base.provenance import Provenance
from longembed_st.base.settings import ModelSettings
from longembed_st.errors import ConfigError
from longembed_st.positions.method import methods

NAMES = [
    *ModelSettings.model_fields,
    *(
        "window_size",
        "overlap",
        "group",
        "stride",
        "scale",
        "alpha",
        "neighbor",
        "trust_remote_code",
    ),
    *("revision", "truncate_dim", "model_kwargs", "processor_kwargs", "backend", "token", "x", ""),
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
many = settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck))


@given(given_values=some_settings)
@many
def test_keywords(given_values) -> None:
    for kind in (ModelSettings, ExtensionConfig):
        with suppress(ConfigError):
            found = kind.from_keywords(**given_values)
            # What was taken can be told apart, and read by people.
            assert found == found.with_defaults(kind())
            assert repr(found)


@given(given_values=some_settings)
@many
def test_a_method_of_any_settings_is_built_or_refused(given_values) -> None:
    resolved = {"method": "pcw", "original_max_seq_length": 512, "max_seq_length": 4096}
    with suppress(ConfigError):
        stated = {name: value for name, value in given_values.items() if value is not None}
        found = ExtensionConfig.from_keywords(**{**resolved, **stated})
        assert found.with_defaults(ExtensionConfig.from_keywords(**resolved)).build_method().name


@given(stored=some_settings | values)
@many
def test_stored_settings(stored) -> None:
    try:
        text = json.dumps(stored)
    except TypeError:
        text = str(stored)
    with suppress(ConfigError):
        found = Provenance.from_json(text)
        assert Provenance.from_json(found.to_json()).to_dict() == found.to_dict()


@given(text=st.text())
@many
def test_any_text_in_the_place_of_stored_settings(text) -> None:
    with suppress(ConfigError):
        Provenance.from_json(text)
