from __future__ import annotations

import pytest

from longembed_st.command.display import percent


@pytest.mark.parametrize(
    ("share", "written"),
    [(0, "0.0%"), (0.99999, "99.9%"), (1, "100%")],
)
def test_almost_all_is_not_all(share: float, written: str) -> None:
    assert percent(share) == written
