"""Where training texts stand."""

from __future__ import annotations

from collections import Counter

import numpy as np
import torch
from sentence_transformers import SentenceTransformer

from longembed_tuning.offsets import OffsetCollator, draw_offsets, moved_positions, query_positions
from longembed_tuning.table import Layout

LAYOUT = Layout(original=4, extended=12, stride=3)


def test_offsets_are_uniform_over_every_start_that_leaves_room():
    lengths = torch.full((11_000,), 2)
    drawn = Counter(draw_offsets(lengths, 12, np.random.default_rng(0)).tolist())
    assert set(drawn) == set(range(11))
    # 1,000 each are expected, with a standard deviation of about 30.
    assert all(850 < count < 1150 for count in drawn.values())
    # A text that fills the extended window stays where it is.
    assert draw_offsets(torch.tensor([12, 12]), 12, np.random.default_rng(0)).tolist() == [0, 0]


def test_positions_are_counted_from_the_offset_on_either_side_of_padding():
    mask = torch.tensor([[1, 1, 1, 0], [0, 0, 1, 1]])
    positions = moved_positions(mask, torch.tensor([5, 9]))
    assert positions[0].tolist() == [5, 6, 7, 7]
    assert positions[1, 2:].tolist() == [9, 10]
    assert positions.max() < 12


def test_queries_stand_where_the_tuned_model_will_read_them():
    mask = torch.tensor([[1, 1, 1, 1, 0], [1, 1, 1, 1, 1]])
    positions = query_positions(mask, LAYOUT)
    assert positions[0, :4].tolist() == [0, 3, 6, 9]
    assert positions[1].tolist() == [0, 1, 2, 3, 4]


def rows(count):
    return [
        {"query": "ban ber", "document": "dan der dior", "negative_1": "fan fer"}
        for _ in range(count)
    ]


def collator(folder, seed=0, **changes):
    model = SentenceTransformer(str(folder), device="cpu")
    settings = {"layout": Layout(64, 256, 4, first_position=2), "seed": seed, **changes}
    return OffsetCollator(model.preprocess, **settings)


def test_documents_and_negatives_are_moved_and_queries_are_not(small_model):
    folder = small_model("roberta")
    batch = collator(folder)(rows(50))
    queries = batch["query_position_ids"]
    assert queries[0, :3].tolist() == [2, 6, 10]
    assert (queries == queries[0]).all()
    starts = [batch[f"{name}_position_ids"][:, 0] for name in ("document", "negative_1")]
    assert len(set(starts[0].tolist())) > 30
    assert not torch.equal(*starts)
    for name in ("document", "negative_1"):
        positions = batch[f"{name}_position_ids"]
        assert positions.shape == batch[f"{name}_input_ids"].shape
        assert positions.min() >= 2
        assert positions.max() < 2 + 256


def test_offsets_follow_from_seed_device_and_batch_alone(small_model):
    folder = small_model("roberta")
    whole = collator(folder)
    batches = [whole(rows(8))["document_position_ids"] for _ in range(3)]
    assert not torch.equal(batches[0], batches[1])
    resumed = collator(folder, batches=2)(rows(8))["document_position_ids"]
    assert torch.equal(resumed, batches[2])
    for changes in ({"seed": 1}, {"device_index": 1}):
        other = collator(folder, batches=2, **changes)(rows(8))["document_position_ids"]
        assert not torch.equal(other, batches[2])
