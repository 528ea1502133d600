"""How far a reading is, as it is reported to whoever listens."""

from __future__ import annotations

import longembed_st as le
from longembed_st.base.progress import report_progress_to


def test_a_long_text_is_reported_batch_by_batch(small_model) -> None:
    model = le.load(str(small_model("bert", positions=64)), method="pcw", token_budget=128)
    reports: list[tuple[int, int]] = []
    with report_progress_to(lambda read, of: reports.append((read, of))):
        model.encode_units(["word " * 600], [[(0, 3000)]])
    reads = [read for read, _ in reports]
    assert len(reports) >= 5
    assert reads == sorted(set(reads))
    # Each window repeats the special tokens.
    assert reads[-1] == reports[0][1] > 600
    assert len({of for _, of in reports}) == 1
    before = list(reports)
    model.encode(["word " * 600])
    assert reports == before


def test_whoever_listens_inside_hears_alone(small_model) -> None:
    model = le.load(str(small_model("bert", positions=64)), method="pcw")
    outer: list[int] = []
    inner: list[int] = []
    with report_progress_to(lambda read, of: outer.append(read)):
        with report_progress_to(lambda read, of: inner.append(read)):
            model.encode(["word " * 100])
        assert inner
        assert not outer
        model.encode(["word " * 100])
    assert len(outer) == len(inner)
