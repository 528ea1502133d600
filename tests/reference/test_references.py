"""The references themselves: small worked examples, and that they tell the methods apart."""

from __future__ import annotations

from itertools import combinations

import pytest
import torch
from compare import difference
from reference import absolute, windows
from reference.plain import PlainModel, logn_factor
from small_models import text_of


def test_grouped_and_recurrent_positions_by_hand():
    assert absolute.gp_positions(7, 3) == [0, 0, 0, 1, 1, 1, 2]
    assert absolute.rp_positions(7, 3) == [0, 1, 2, 0, 1, 2, 0]


def test_an_interpolated_table_by_hand():
    table = torch.tensor([[0.0, 10.0], [4.0, 30.0]])
    expected = [[0, 10], [1, 15], [2, 20], [3, 25], [4, 30], [4, 30], [4, 30], [4, 30]]
    assert absolute.pi_table(table, 4).tolist() == expected


def test_windows_by_hand():
    text = [1, 2, 3, 4, 5, 6, 7]
    assert windows.cut(text, 3) == [[1, 2, 3], [4, 5, 6], [5, 6, 7]]
    assert windows.cut(text[:6], 3) == [[1, 2, 3], [4, 5, 6]]
    assert windows.cut(text, 4, overlap=1) == [[1, 2, 3, 4], [4, 5, 6, 7]]
    assert windows.cut(text[:2], 3) == [[1, 2]]


def test_log_n_scaling_by_hand():
    assert logn_factor(512, 512) == logn_factor(2, 512) == 1
    assert logn_factor(512**2, 512) == pytest.approx(2)


@pytest.mark.parametrize(("model_type", "offset"), [("bert", 0), ("roberta", 2), ("mpnet", 2)])
def test_the_random_models_tell_the_methods_apart(small_model, model_type, offset):
    folder = small_model(model_type)
    plain = PlainModel(folder, 64, offset)
    text = text_of(300, plain.tokenizer)
    vectors = {name: absolute.embed(plain, text, name, 300) for name in ("gp", "rp", "pi")}
    vectors["pi, larger window"] = absolute.embed(plain, text, "pi", 600)
    vectors["pcw"] = windows.embed(plain, text)
    for first, second in combinations(vectors, 2):
        assert difference(vectors[first], vectors[second]) > 1e-3, f"{first} and {second}"


def test_a_position_table_stands_for_explicit_positions(small_model):
    plain = PlainModel(small_model("roberta"), 64, 2)
    ids = plain.token_ids(text_of(128, plain.tokenizer))
    table = plain.encoder.embeddings.position_embeddings.weight.detach()[2:]
    by_positions = plain.hidden(ids, positions=absolute.gp_positions(128, 2))
    by_table = plain.hidden(ids, table=table.repeat_interleave(2, dim=0))
    assert difference(by_positions, by_table) < 1e-6
