from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reference.whitening import whiten as slow_whiten

from longembed_st.errors import ConfigError, InputError
from longembed_st.loading.whitening import to_unit_length
from longembed_tuning.wccn import LEAST_DOCUMENTS, Scatter, fit_map

WIDTH = 12


def corpus(seed: int, documents: int = 30, *, alike: float = 0.5) -> list[np.ndarray]:
    """Documents of 2 to 9 windows around subjects, with noise that is strong along some axes."""
    draw = np.random.default_rng(seed)
    noise = np.diag([1.5] * (WIDTH // 2) + [0.1] * (WIDTH - WIDTH // 2))
    found = []
    for _ in range(documents):
        subject = draw.normal(size=WIDTH)
        windows = subject * alike + draw.normal(size=(draw.integers(2, 10), WIDTH)) @ noise
        found.append(to_unit_length(windows))
    return found


def own(documents: list[np.ndarray]) -> np.ndarray:
    return to_unit_length(np.array([windows.mean(axis=0) for windows in documents]))


def scatter_of(documents: list[np.ndarray]) -> Scatter:
    scatter = Scatter(WIDTH)
    for windows, document in zip(documents, own(documents), strict=True):
        scatter.add(windows, document)
    return scatter


def cosines(vectors: np.ndarray) -> np.ndarray:
    return vectors @ vectors.T


def test_the_closed_form_is_that_of_the_formula() -> None:
    """Up to a rotation, which no cosine sees."""
    documents = corpus(0)
    vectors = to_unit_length(np.random.default_rng(1).normal(size=(20, WIDTH)))
    for ridge in (0.03, 3.0):
        expected = cosines(slow_whiten(documents, vectors, ridge))
        mapped = fit_map(scatter_of(documents), ridge=ridge)(vectors)
        np.testing.assert_allclose(cosines(mapped), expected, atol=1e-9)


@given(seed=st.integers(0, 10_000), ridge=st.sampled_from([0.03, 0.2, 1.0]))
@settings(max_examples=25)
def test_neither_order_nor_scale_matters(seed, ridge) -> None:
    draw = np.random.default_rng(seed)
    documents = corpus(seed)
    vectors = draw.normal(size=(10, WIDTH))
    expected = cosines(fit_map(scatter_of(documents), ridge=ridge)(vectors))
    shuffled = [documents[i] for i in draw.permutation(len(documents))]
    scaled = [windows * draw.uniform(0.1, 50, size=(len(windows), 1)) for windows in shuffled]
    scatter = Scatter(WIDTH)
    for windows, document in zip(scaled, own(shuffled), strict=True):
        scatter.add(windows, document * draw.uniform(0.1, 50))
    found = cosines(fit_map(scatter, ridge=ridge)(vectors * draw.uniform(0.1, 50, size=(10, 1))))
    np.testing.assert_allclose(found, expected, atol=1e-8)


@given(seed=st.integers(0, 10_000), cut=st.integers(0, 40))
@settings(max_examples=25)
def test_parts_put_together_are_the_whole(seed, cut) -> None:
    documents = corpus(seed, 40)
    whole = scatter_of(documents)
    parts = [
        scatter_of(part) if part else Scatter(WIDTH) for part in (documents[:cut], documents[cut:])
    ]
    merged = parts[0].merged(parts[1])
    for name in ("within", "between"):
        np.testing.assert_allclose(getattr(merged, name), getattr(whole, name), atol=1e-12)
    assert (merged.documents, merged.divided) == (40, 40)
    assert merged.differences == sum(len(windows) - 1 for windows in documents)


def test_each_document_counts_alike_however_long() -> None:
    documents = corpus(5)
    giant = [*documents, np.tile(documents[0], (500, 1))]
    twin = [*documents, documents[0]]
    for name in ("within", "between"):
        np.testing.assert_allclose(
            getattr(scatter_of(giant), name), getattr(scatter_of(twin), name), atol=1e-12
        )


def test_fewer_dimensions_are_the_first_of_all() -> None:
    scatter = scatter_of(corpus(6))
    whole, cut = fit_map(scatter), fit_map(scatter, dimensions=4)
    np.testing.assert_allclose(cut.matrix, whole.matrix[:4])
    assert cut(np.ones((3, WIDTH))).shape == (3, 4)
    ratios = np.diag(whole.matrix @ scatter.between @ whole.matrix.T)
    assert (np.diff(ratios) <= 1e-9).all()


def test_documents_that_cannot_be_fitted_on_are_refused() -> None:
    for documents, reason in (
        (corpus(7, LEAST_DOCUMENTS - 1), "only 19 of 19 documents have two windows"),
        ([windows[:1] for windows in corpus(8)], "only 0 of 30 documents"),
        ([np.tile(windows[:1], (3, 1)) for windows in corpus(9)], "nothing to shrink"),
        ([corpus(10)[0]] * 30, "all documents are alike"),
    ):
        with pytest.raises(InputError, match=reason):
            fit_map(scatter_of(documents))


def test_vectors_without_a_direction_are_refused() -> None:
    windows = corpus(11)[0].copy()
    for bad in (np.nan, np.inf, 0.0):
        windows[0] = bad
        with pytest.raises(InputError, match="zero or not finite"):
            Scatter(WIDTH).add(windows, np.ones(WIDTH))


def test_a_covariance_of_few_windows_is_still_regular() -> None:
    """20 documents of two windows leave directions in which nothing was seen to vary."""
    documents = [to_unit_length(np.random.default_rng(n).normal(size=(2, 40))) for n in range(20)]
    scatter = Scatter(40)
    for windows in documents:
        scatter.add(windows, windows.mean(axis=0))
    assert scatter.differences == 20 < 40
    made = fit_map(scatter)
    assert np.isfinite(made.matrix).all()
    assert np.linalg.cond(made.matrix) < 1e3


def test_settings_out_of_range_are_refused() -> None:
    for name, values in {"ridge": (0, float("nan")), "dimensions": (0, 13)}.items():
        for value in values:
            with pytest.raises(ConfigError, match=name):
                fit_map(scatter_of(corpus(12)), **{name: value})
