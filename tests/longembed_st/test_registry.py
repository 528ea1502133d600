"""What is added by entry point and in this process, and names that are taken."""

from __future__ import annotations

import pytest

import longembed_st as le
from longembed_st.registry import Registry

GROUP = "longembed_st.tested"


def name_of(word: object, where: str) -> str:
    if not isinstance(word, str):
        raise le.ConfigError(f"{where} is not a word")
    return word[0]


@pytest.fixture
def words() -> Registry[str]:
    """Words, each under its first letter."""
    return Registry(GROUP, "word", name_of, own=["zebra"])


def test_what_is_there_registered_and_installed_is_found_sorted_by_name(words, install) -> None:
    install(GROUP, "m = brought_along:WORD", "WORD = 'mouse'")
    assert words.register("ant") == "ant"
    assert words.all() == {"a": "ant", "m": "mouse", "z": "zebra"}
    assert list(words.all()) == ["a", "m", "z"]


def test_what_is_installed_is_looked_up_once_and_handed_out_as_a_copy(words, monkeypatch) -> None:
    words.all().clear()
    assert words.all() == {"z": "zebra"}
    monkeypatch.setattr("longembed_st.registry.entry_points", lambda **_: 1 / 0)
    assert words.all() == {"z": "zebra"}


def test_registering_the_same_again_is_fine_and_another_of_its_name_is_not(words) -> None:
    words.register("zebra")
    with pytest.raises(le.ConfigError, match=r"word name 'z' is taken by 'zebra'"):
        words.register("zoo")
    with pytest.raises(le.ConfigError, match="7 is not a word"):
        words.register(7)
    assert words.all() == {"z": "zebra"}


def test_a_name_that_is_taken_by_an_installed_one_is_taken(words, install) -> None:
    install(GROUP, "m = brought_along:WORD", "WORD = 'mouse'")
    with pytest.raises(le.ConfigError, match=r"'m' is taken by 'mouse'"):
        words.register("mole")


@pytest.mark.parametrize(
    ("entry_point", "part"),
    [
        ("m = brought_along:NUMBER", "is not a word"),
        ("m = no_such_module:WORD", "cannot be imported"),
        ("x = brought_along:WORD", "calls itself 'm'"),
        ("z = brought_along:ZOO", "taken twice"),
    ],
)
def test_a_wrong_registration_is_an_error_that_names_it(words, install, entry_point, part) -> None:
    install(GROUP, entry_point, "WORD, NUMBER, ZOO = 'mouse', 7, 'zoo'")
    with pytest.raises(le.ConfigError, match=part) as refusal:
        words.all()
    name, value = entry_point.split(" = ")
    assert repr(name) in str(refusal.value)
    assert value in str(refusal.value)


def test_the_same_one_installed_twice_is_fine(words, install) -> None:
    install(GROUP, "z = brought_along:WORD", "WORD = 'zebra'")
    assert words.all() == {"z": "zebra"}
