"""ntk, yarn, pi, gp and rp on rotary positions: frequencies, positions, options."""

from __future__ import annotations

import math

import pytest
import torch
from compare import difference
from hypothesis import given
from hypothesis import strategies as st
from reference.rotary import rope_frequencies, transformers_frequencies

import longembed_st as le
from longembed_methods.absolute import PositionInterpolation
from longembed_methods.rotary import NtkAware, Yarn, paper_lambda
from longembed_st.positions.method import Frequencies

WINDOW = 512
SHAPES = [(32, 2, 10_000.0), (64, 4, 160_000.0)]
"""The width of a head, s, and the rotary base."""


def original(width, base=10_000.0):
    return Frequencies(inverse=rope_frequencies(width, base).float(), base=base)


def context(scale, window=WINDOW):
    return le.Context(original=window, extended=scale * window)


def relative_difference(values, expected):
    return float(((values.double() - expected.double()) / expected.double()).abs().max())


# Frequencies, as transformers computes them.


def test_ntk_by_formula_equals_transformers():
    method = NtkAware(base_factor="formula")
    for width, scale, base in SHAPES:
        # transformers knows it as the `dynamic` type: with a factor of 1, s is length over window.
        wanted, factor = transformers_frequencies(
            "dynamic", width, base, WINDOW, n=scale * WINDOW, factor=1.0
        )
        slowed = method.frequencies(scale * WINDOW, context(scale), original(width, base))
        assert relative_difference(slowed.inverse, wanted) < 1e-6
        assert slowed.attention_factor == factor == 1


def test_dynamic_ntk_equals_transformers_at_every_length():
    method = NtkAware(base_factor="formula", factor="dynamic")
    for n in (513, 1024, 3001, 4096):
        wanted, _ = transformers_frequencies("dynamic", 64, 10_000.0, WINDOW, n=n, factor=1.0)
        slowed = method.frequencies(n, context(8), original(64))
        assert relative_difference(slowed.inverse, wanted) < 1e-6, n


def test_yarn_equals_transformers():
    for width, scale, base in SHAPES:
        wanted, factor = transformers_frequencies("yarn", width, base, WINDOW, factor=float(scale))
        slowed = Yarn().frequencies(600, context(scale), original(width, base))
        assert relative_difference(slowed.inverse, wanted) < 1e-6
        assert slowed.attention_factor == pytest.approx(factor)
        assert factor == pytest.approx(0.1 * math.log(scale) + 1)


def test_yarn_with_other_betas_equals_transformers():
    fast, slow = 16.0, 2.0
    wanted, factor = transformers_frequencies(
        "yarn", 64, 10_000.0, 4096, factor=4.0, beta_fast=fast, beta_slow=slow, attention_factor=1.5
    )
    method = Yarn(beta_fast=fast, beta_slow=slow, attention_factor=1.5)
    slowed = method.frequencies(5000, context(4, 4096), original(64))
    assert relative_difference(slowed.inverse, wanted) < 1e-6
    assert slowed.attention_factor == factor == 1.5


def test_interpolated_positions_turn_as_transformers_linear_type():
    for width, scale, base in SHAPES:
        wanted, _ = transformers_frequencies("linear", width, base, WINDOW, factor=float(scale))
        n = scale * WINDOW
        positions = PositionInterpolation().position_ids(n, context(scale))
        ours = positions[:, None] * original(width, base).inverse.double()
        theirs = torch.arange(n).double()[:, None] * wanted
        assert difference(ours, theirs) < 1e-3  # radians, at position n; single precision
        assert positions[1] == 1 / scale


def test_a_model_that_is_scaled_already_is_scaled_further():
    llama3 = Frequencies(
        inverse=rope_frequencies(64, 10_000.0).float() / 8, base=10_000.0, attention_factor=1.2
    )
    plain = NtkAware(base_factor="formula").frequencies(1024, context(2), original(64))
    for kind in ("static", "dynamic"):
        slowed = NtkAware(base_factor="formula", factor=kind).frequencies(1024, context(2), llama3)
        assert relative_difference(slowed.inverse, plain.inverse / 8) < 1e-6
        assert slowed.attention_factor == 1.2
    assert Yarn().frequencies(1024, context(2), llama3).attention_factor == pytest.approx(
        1.2 * (0.1 * math.log(2) + 1)
    )


# What ntk promises.


def test_the_papers_lambda_is_that_of_its_table_6():
    for scale, multiple in ((2, 3), (4, 5), (8, 10)):
        assert paper_lambda(scale) == pytest.approx(multiple)
        slowed = NtkAware(base_factor="paper").frequencies(600, context(scale), original(64))
        expected = rope_frequencies(64, 10_000.0 * multiple)
        assert relative_difference(slowed.inverse, expected) < 1e-6


@given(st.floats(1, 1000), st.floats(1, 1000))
def test_the_papers_lambda_grows_with_s_and_is_never_below_1(first, second):
    lower, upper = sorted((first, second))
    assert 1 <= paper_lambda(lower) <= paper_lambda(upper) + 1e-9


def test_ntk_multiplies_the_base_by_the_square_of_s_by_default():
    for scale in (2, 8):
        slowed = NtkAware().frequencies(600, context(scale), original(64)).inverse
        assert relative_difference(slowed, rope_frequencies(64, 10_000.0 * scale**2)) < 1e-6


def test_dynamic_ntk_begins_where_the_original_frequencies_end():
    # The paper's line meets s = 1 at 1.8.
    for base_factor, at_most in (("square", 1.03), ("formula", 1.03), ("paper", 2.0)):
        method = NtkAware(base_factor=base_factor, factor="dynamic")
        slowed = method.frequencies(WINDOW + 1, context(8), original(64)).inverse
        assert (original(64).inverse / slowed).max() < at_most


# As a configuration of transformers.

BAKED = [
    (PositionInterpolation(), {"rope_type": "linear", "factor": 8.0}),
    (NtkAware(base_factor=10), {"rope_type": "default", "rope_theta": 100_000.0}),
    (NtkAware(base_factor="paper"), {"rope_type": "default", "rope_theta": 100_000.0}),
    (NtkAware(), {"rope_type": "default", "rope_theta": 640_000.0}),
]


def test_a_configuration_holds_what_the_method_does():
    parameters = {"rope_type": "default", "rope_theta": 10_000.0}
    for method, changed in BAKED:
        baked = method.baked_rope(parameters, 64, context(8))
        assert baked == pytest.approx({**parameters, **changed})
        assert parameters == {"rope_type": "default", "rope_theta": 10_000.0}


def test_a_configuration_holds_yarn_with_its_attention_factor():
    baked = Yarn(beta_fast=20.0).baked_rope({"rope_theta": 10_000.0}, 64, context(4))
    kept = {name: value for name, value in baked.items() if name not in ("rope_type", "rope_theta")}
    wanted, factor = transformers_frequencies("yarn", 64, 10_000.0, WINDOW, **kept)
    slowed = Yarn(beta_fast=20.0).frequencies(600, context(4), original(64))
    assert baked["rope_type"] == "yarn"
    assert relative_difference(slowed.inverse, wanted) < 1e-6
    assert slowed.attention_factor == pytest.approx(factor)


# Options.


def refused(method, match, **options):
    config = {"method": method, "original_max_seq_length": WINDOW, "max_seq_length": 8 * WINDOW}
    with pytest.raises(le.ConfigError, match=match):
        le.ExtensionConfig(**config, options=options).build_method()


def test_ntk_refuses_what_is_not_a_multiple_of_the_base():
    for value in (0.99, math.nan, math.inf, "papers", "10", True, None):
        refused("ntk", r"base_factor", base_factor=value)
    refused("ntk", r"dynamic.*base_factor", factor="dynamic", base_factor=10.0)
    refused("ntk", r"factor", factor="Dynamic")


def test_yarn_refuses_a_ramp_that_runs_backwards_and_numbers_below_zero():
    for fast, slow in ((1.0, 32.0), (4.0, 4.0)):
        refused("yarn", r"beta_fast.*beta_slow", beta_fast=fast, beta_slow=slow)
    for option, value in {"beta_fast": 0.0, "beta_slow": math.nan, "attention_factor": "3"}.items():
        refused("yarn", option, **{option: value})


def test_an_extended_window_is_needed():
    for method in ("pi", "yarn", "self_extend"):
        config = le.ExtensionConfig(method=method, original_max_seq_length=WINDOW)
        with pytest.raises(le.ConfigError, match=r"max_seq_length"):
            config.build_method()
