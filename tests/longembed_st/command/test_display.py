from __future__ import annotations

from longembed_st.command.display import percent


def test_almost_all_is_not_all() -> None:
    assert [percent(share) for share in (0, 0.99999, 1)] == ["0.0%", "99.9%", "100%"]
