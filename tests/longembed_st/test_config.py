"""ExtensionConfig: what it refuses, and that it survives JSON."""

from __future__ import annotations

import json

import pytest

import longembed_st as le

FIELDS = {"method": "pi", "original_max_seq_length": 512, "max_seq_length": 4096}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("max_seq_length", 0),
        ("max_seq_length", -1),
        ("max_seq_length", 511),
        ("max_seq_length", 10**12),
        ("max_seq_length", 4096.0),
        ("max_seq_length", "4096"),
        ("max_seq_length", True),
        ("max_seq_length", float("nan")),
        ("max_seq_length", [4096]),
        ("original_max_seq_length", 0),
        ("original_max_seq_length", 3),
        ("original_max_seq_length", -512),
        ("original_max_seq_length", None),
        ("original_max_seq_length", "512"),
        ("original_max_seq_length", 10**12),
        ("token_budget", 0),
        ("token_budget", -8192),
        ("token_budget", 1.5),
        ("token_budget", None),
        ("on_overflow", "ignore"),
        ("on_overflow", None),
        ("logn_scaling", "yes"),
        ("logn_scaling", 1),
        ("method", 7),
        ("method", None),
        ("options", [1]),
        ("options", {"factor": ["dynamic"]}),
        ("window", 512),
    ],
)
def test_a_bad_field_is_refused_by_name_and_value(field, value):
    with pytest.raises(le.ConfigError) as refusal:
        le.ExtensionConfig(**{**FIELDS, field: value})
    message = str(refusal.value)
    assert "\n" not in message
    assert field in message or str(value) in message
    (shown,) = value.values() if isinstance(value, dict) else [value]
    assert repr(shown) in message


def test_a_window_below_the_original_one_is_refused_with_the_way_out():
    with pytest.raises(le.ConfigError, match=r"max_seq_length=256.*512.*[Ll]eave") as refusal:
        le.ExtensionConfig(method="pi", original_max_seq_length=512, max_seq_length=256)
    assert isinstance(refusal.value, le.LongEmbedError)
    assert isinstance(refusal.value, ValueError)


def test_a_config_comes_back_from_json():
    config = le.ExtensionConfig(
        **FIELDS, logn_scaling=True, on_overflow="error", options={"factor": "dynamic"}
    )
    assert le.ExtensionConfig(**json.loads(config.model_dump_json())) == config


def test_a_config_cannot_be_changed():
    config = le.ExtensionConfig(**FIELDS)
    with pytest.raises(Exception, match="frozen"):
        config.max_seq_length = 8192


def test_an_unknown_method_is_refused_with_those_that_exist():
    config = le.ExtensionConfig(method="yarm", original_max_seq_length=512)
    with pytest.raises(le.ConfigError, match="yarm") as refusal:
        config.build_method()
    for name in ("gp", "pcw", "pi", "rp"):
        assert name in str(refusal.value)


def test_an_unknown_option_is_refused_with_those_that_exist():
    config = le.ExtensionConfig(**FIELDS, options={"facto": "dynamic"})
    with pytest.raises(le.ConfigError, match=r"facto.*options: factor"):
        config.build_method()


@pytest.mark.parametrize(("extended", "factor"), [(512, 1), (513, 2), (4096, 8), (None, 1)])
def test_the_scaling_factor_follows_the_formula(extended, factor):
    context = le.ExtensionConfig(
        method="pcw", original_max_seq_length=512, max_seq_length=extended
    ).context
    assert context.scaling_factor == factor
    assert (context.original, context.extended) == (512, extended)
