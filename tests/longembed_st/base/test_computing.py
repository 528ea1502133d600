"""Batches as the model gets them."""

from __future__ import annotations

import numpy as np

import longembed_st as le
from longembed_st.base import computing
from longembed_st.base.batching import padded_width

TEXTS = ["word " * count for count in (3, 20, 70, 150, 400)]


def test_on_mps_batches_have_few_widths_and_give_the_same_vectors(
    minilm_folder, monkeypatch
) -> None:
    """A device that says that it is MPS; there is none here."""
    model = le.load(str(minilm_folder), method="pcw")
    expected = model.encode(TEXTS)
    widths = []

    def as_on_mps(longest: int, window: int, device_type: str) -> int:
        widths.append(padded_width(longest, window, "mps"))
        return widths[-1]

    monkeypatch.setattr(computing, "padded_width", as_on_mps)
    np.testing.assert_allclose(model.encode(TEXTS), expected, atol=1e-6)
    assert set(widths) <= {64, 128, 192, 256}
    for text, vector in zip(TEXTS, expected, strict=True):
        np.testing.assert_allclose(model.encode(text), vector, atol=1e-6)
