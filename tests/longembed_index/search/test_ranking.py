from __future__ import annotations

import pytest

from longembed_index.search.ranking import WEIGHT, Ranking
from longembed_st.errors import ConfigError


def test_a_search_can_say_otherwise() -> None:
    ranking = Ranking(mode="lexical", weight=0.7)
    assert ranking.with_overrides() == ranking
    assert ranking.with_overrides("dense") == Ranking(mode="dense", weight=0.7)
    assert ranking.with_overrides(weight=0.0) == Ranking(mode="lexical", weight=0)


def test_a_ranking_is_read_from_plain_data() -> None:
    assert Ranking.from_mapping({}) == Ranking(mode="hybrid", weight=WEIGHT)
    assert Ranking.from_mapping({"weight": 1}).weight == 1


def test_what_does_not_exist_or_is_out_of_range_is_refused() -> None:
    for name, value in (("mode", "fuzzy"), ("weight", 1.1), ("weight", "much"), ("speed", 3)):
        with pytest.raises(ConfigError, match=name):
            Ranking.from_mapping({name: value})
    for overrides in (("fuzzy", None), (None, -0.1), (None, 1.1), (None, float("nan"))):
        with pytest.raises(ConfigError, match="must be"):
            Ranking().with_overrides(*overrides)
