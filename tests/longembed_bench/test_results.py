"""Results as JSON lines."""

from __future__ import annotations

from dataclasses import replace

import pytest

from longembed_bench.results import Result, ResultFile
from longembed_bench.retrievers import Cost
from longembed_st.errors import InputError

RESULT = Result(
    *("small", "pcw", "passkey", 256, 0.5, "accuracy"),
    *(Cost(100, 100, 900, 800, 1.5, 32), [[0.25, True], [0.75, False]], "data", "revision", {}),
)


def test_a_result_is_found_again_by_data_and_revision(tmp_path) -> None:
    path = tmp_path / "results.jsonl"
    ResultFile(path).add(RESULT)
    results = ResultFile(path)
    assert results.all() == [RESULT]
    found = results.get("small pcw", "passkey", 256, data="data", revision="revision")
    assert found == RESULT
    assert results.get("small pcw", "passkey", 256, data="other", revision="revision") is None
    assert results.get("small pcw", "passkey", 256, data="data", revision="other") is None
    assert results.get("small pcw", "passkey", 512, data="data", revision="revision") is None


def test_a_new_result_replaces_the_one_of_its_place(tmp_path) -> None:
    path = tmp_path / "results.jsonl"
    results = ResultFile(path)
    bm25 = replace(RESULT, model="", method="bm25")
    for result in (RESULT, bm25, replace(RESULT, length=64), replace(RESULT, score=0.75)):
        results.add(result)
    shown = [(result.label, result.length, result.score) for result in ResultFile(path).all()]
    assert shown == [("small pcw", 64, 0.5), ("small pcw", 256, 0.75), ("BM25", 256, 0.5)]


def test_another_file_is_refused(tmp_path) -> None:
    path = tmp_path / "results.jsonl"
    path.write_text('{"text": "a document"}\n')
    with pytest.raises(InputError, match=r"results\.jsonl, line 1 is not a result"):
        ResultFile(path)
