"""Scores on QMSum that were measured beforehand with other code (nDCG@10 x 100)."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path

import pytest

from longembed_bench.results import ResultFile
from longembed_bench.runner import RESULTS, measure
from longembed_bench.runs import plan
from longembed_bench.tasks import parse_task

SHARED = Path(__file__).parents[3] / "shared"
QMSUM = SHARED / "data" / "qmsum"
GTE_SMALL = SHARED / "models" / "gte-small"

needs_qmsum = pytest.mark.skipif(not QMSUM.is_dir(), reason=f"{QMSUM} is not there")
needs_gte_small = pytest.mark.skipif(not GTE_SMALL.is_dir(), reason=f"{GTE_SMALL} is not there")


@contextmanager
def silent(doing: str, documents: int):
    yield lambda: None


def score(tmp_path: Path, models: list[str], method: str) -> float:
    task = parse_task(f"qmsum={QMSUM}", [], 0, str)
    measure(plan(models, [method], baselines=False), [task], tmp_path, silent, device="cpu")
    (result,) = ResultFile(tmp_path / RESULTS).all()
    return 100 * result.score


@needs_qmsum
def test_bm25_on_qmsum(tmp_path) -> None:
    assert score(tmp_path, [], "bm25") == pytest.approx(83.3, abs=1)


@pytest.mark.slow
@needs_qmsum
@needs_gte_small
@pytest.mark.parametrize(("method", "expected"), [("none", 21.2), ("pcw", 39.0), ("chunks", 52.9)])
def test_gte_small_on_qmsum(tmp_path, method, expected) -> None:
    assert score(tmp_path, [str(GTE_SMALL)], method) == pytest.approx(expected, abs=1)
