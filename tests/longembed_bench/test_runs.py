"""Models and methods as they are typed."""

from __future__ import annotations

import pytest

from longembed_bench.runs import MethodChoice, ModelSource, Run, plan
from longembed_index.search.ranking import WEIGHT
from longembed_st.base.settings import ModelSettings
from longembed_st.errors import ConfigError


def test_plan() -> None:
    runs = plan(["a=x/y", "b"], ["pcw", "pcw:window_size=256"], baselines=True)
    assert [run.label for run in runs] == [
        *("a pcw", "a pcw:window_size=256", "a chunks"),
        *("b pcw", "b pcw:window_size=256", "b chunks"),
        "BM25",
    ]
    assert runs[1] == Run(
        ModelSource("a", "x/y"),
        MethodChoice(
            "pcw:window_size=256", "pcw", ModelSettings.from_keywords(method="pcw", window_size=256)
        ),
    )
    alone = plan(["a"], ["bm25", "none"], baselines=False)
    assert [run.label for run in alone] == ["a none", "BM25"]


def test_weight_of_the_vectors_beside_words() -> None:
    weights = {"pcw": None, "pcw:hybrid=false": None, "pcw:hybrid=true": WEIGHT, "pcw:hybrid=0": 0}
    assert {text: MethodChoice.parse(text).hybrid for text in weights} == weights


def test_whitening_by_a_fit_or_from_a_file() -> None:
    fitted = MethodChoice.parse("pcw:whiten=true,ridge=0.3,window_size=64")
    assert fitted.whitening == {"ridge": 0.3}
    assert fitted.settings.keywords()["window_size"] == 64
    assert MethodChoice.parse("pcw:whiten=a/b").settings.whitening == "a/b"
    assert MethodChoice.parse("pcw").whitening is None


def test_what_cannot_be_measured_is_refused() -> None:
    for text, reason in (
        (":a=1", "write a method"),
        ("pcw:window", "write name=value"),
        ("pcw:method=pi", "method is named outside the settings"),
        ("bm25:k1=2", "bm25 takes no options"),
        ("pcw:whiten=3", "whiten=true, or whiten=FILE"),
        ("pcw:hybrid=2", "weight of the vectors from 0 to 1"),
        ("pcw:hybrid=ranks", "write true, or the weight"),
    ):
        with pytest.raises(ConfigError, match=reason):
            MethodChoice.parse(text)


def test_a_model_has_the_name_that_it_is_given(tmp_path) -> None:
    (tmp_path / "gte").mkdir()
    assert ModelSource.parse("org/name") == ModelSource("org/name", "org/name")
    assert ModelSource.parse("a=org/name") == ModelSource("a", "org/name")
    assert ModelSource.parse(str(tmp_path / "gte")).name == "gte"
    with pytest.raises(ConfigError, match="write MODEL or NAME=MODEL"):
        ModelSource.parse("=model")
