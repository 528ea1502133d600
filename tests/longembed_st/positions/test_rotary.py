"""Rotations, the module that applies them, and the frequencies that a model has."""

from __future__ import annotations

import math

import torch
from compare import difference
from reference.rotary import rope_frequencies
from sentence_transformers import SentenceTransformer
from small_models import text_of
from small_rotary_models import WINDOW, folder_of, stock
from transformers.models.llama.modeling_llama import apply_rotary_pos_emb

import longembed_st as le
from longembed_st.positions.method import Frequencies
from longembed_st.positions.rotary import RotaryPositions


def rotation(positions=None, width=16, **changes):
    inverse = rope_frequencies(width, 10_000.0).float()
    return RotaryPositions(positions, Frequencies(inverse=inverse, base=10_000.0, **changes))


def rotated(states, places, **changes):
    """States of shape (1, heads, n, d), rotated by transformers with our cosine and sine."""
    cos, sin = rotation(places, states.shape[-1], **changes).cos_sin(len(places), states)
    return apply_rotary_pos_emb(states, states, cos, sin)[0]


def test_a_rotation_is_that_of_transformers():
    states = torch.randn(1, 3, 50, 8)
    rotary = stock("llama")[0].model.rotary_emb
    wanted = rotary(states, torch.arange(50)[None])
    own = rotation(torch.arange(50), 8).cos_sin(50, states)
    for ours, theirs in zip(own, wanted, strict=True):
        assert difference(ours, theirs) < 5e-6


def test_only_the_distance_of_two_positions_counts():
    torch.manual_seed(0)
    query, key = torch.randn(2, 1, 1, 20, 16).unbind(0)
    places = torch.arange(20).double()
    here = rotated(query, places) @ rotated(key, places).mT
    assert difference(here, query @ key.mT) > 0.1
    for shift in (-70, 0.25):
        shifted = rotated(query, places + shift) @ rotated(key, places + shift).mT
        assert difference(here, shifted) < 1e-4


def test_a_quarter_turn_by_hand():
    quarter = RotaryPositions(None, Frequencies(inverse=torch.tensor([math.pi / 2, 0.0]), base=1.0))
    cos, sin = quarter.rotation_at(torch.tensor([0, 1, -1]), torch.zeros(()))
    # Channel 0 turns by a quarter a position, the other one stands still.
    assert difference(cos, torch.tensor([[1.0, 1.0], [0.0, 1.0], [0.0, 1.0]])) < 1e-6
    assert difference(sin, torch.tensor([[0.0, 0.0], [1.0, 0.0], [-1.0, 0.0]])) < 1e-6


def test_the_attention_factor_multiplies_queries_and_keys():
    states = torch.randn(1, 2, 9, 16)
    longer = rotated(states, torch.arange(9), attention_factor=1.2)
    assert difference(longer, 1.2 * rotated(states, torch.arange(9))) < 1e-6


def test_a_fraction_of_a_position_far_out_is_not_lost():
    place = torch.tensor([1_000_000 + 1 / 8], dtype=torch.float64)
    cos, _ = rotation().rotation_at(place, torch.zeros(()))
    exact = place[:, None] * rotation().frequencies.inverse.double()
    assert difference(cos, exact.cos()) < 0.05


def test_half_precision_rounds_only_the_result():
    places = torch.tensor([0, 1, 1000, 4001, 30_001])
    cos, sin = rotation().rotation_at(places, torch.zeros((), dtype=torch.bfloat16))
    exact = places.double()[:, None] * rotation().frequencies.inverse.double()
    assert cos.dtype == sin.dtype == torch.bfloat16
    assert difference(cos, exact.cos()) < 2**-8
    assert difference(sin, exact.sin()) < 2**-8


def test_a_dynamic_model_that_has_read_a_long_text_extends_as_if_it_had_not():
    folder = str(folder_of("llama", rope_type="dynamic", factor=4.0))
    used = SentenceTransformer(folder)
    used.max_seq_length = 250
    used.encode(text_of(250, used.tokenizer))
    settings = {"original_max_seq_length": WINDOW, "max_seq_length": 250}
    text = text_of(200, used.tokenizer)
    model = le.extend(SentenceTransformer(folder), "self_extend", **settings)
    again = le.extend(used, "self_extend", **settings)
    assert difference(again.encode(text), model.encode(text)) < 1e-6
