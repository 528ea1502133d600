from __future__ import annotations

import pytest

from chroma_longembed import settings
from longembed_st.errors import ConfigError

PCW = {
    "model_name": "m",
    "method": "pcw",
    "max_seq_length": None,
    "device": "cpu",
    "options": {"window_size": 256},
    "fingerprint": "sha256:1",
}


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"model_name": ""}, "model_name"),
        ({"model_name": None}, "model_name"),
        ({"modle": "x"}, "modle"),
        ({"options": ["window_size"]}, "options"),
        ({"options": {"trust_remote_code": True}}, "trust_remote_code"),
        ({"options": {"trust_remote_code": False}}, "trust_remote_code"),
        ({"options": {"model_kwargs": {"trust_remote_code": True}}}, "trust_remote_code"),
        ({"options": {"config_kwargs": [{"auto_map": {}}]}}, "auto_map"),
        ({"options": {"token": "hf_secret"}}, "token"),
        ({"options": {"callback": print}}, "callback"),
        ({"options": {"window_size": {1: 2}}}, "window_size"),
    ],
)
def test_settings_that_cannot_be_stored_safely_are_refused_by_name(change, name) -> None:
    with pytest.raises(ConfigError, match=name):
        settings.check({**PCW, **change})


def test_a_secret_is_not_repeated_in_the_message() -> None:
    with pytest.raises(ConfigError) as caught:
        settings.check({**PCW, "options": {"token": "hf_secret"}})
    assert "hf_secret" not in str(caught.value)


def test_settings_survive_the_store() -> None:
    assert settings.from_json(settings.to_json(PCW)) == PCW


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"method": "pcw"}', '{"model_name": "m", "x": 1}']
)
def test_damaged_stored_settings_are_an_error(text) -> None:
    with pytest.raises(ConfigError):
        settings.from_json(text)


def test_each_difference_that_changes_a_vector_is_named_with_both_values() -> None:
    wanted = {
        **PCW,
        "method": "pi",
        "device": "cuda",
        "options": {"window_size": 128, "overlap": 8},
    }
    assert settings.differences(PCW, wanted) == [
        "method is 'pcw' in the store, 'pi' now",
        "overlap is None in the store, 8 now",
        "window_size is 256 in the store, 128 now",
    ]


def test_equal_fingerprints_settle_it() -> None:
    moved = {**PCW, "model_name": "elsewhere"}
    settings.refuse_other_vectors(PCW, moved, "it")
    with pytest.raises(ConfigError, match="model_name is 'm' in the store, 'elsewhere' now"):
        settings.refuse_other_vectors(PCW, {**moved, "fingerprint": "sha256:2"}, "it")


def test_other_weights_under_the_same_settings_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"weights.*sha256:1 in the store, sha256:2 now"):
        settings.refuse_other_vectors(PCW, {**PCW, "fingerprint": "sha256:2"}, "it")


def test_missing_fingerprints_do_not_count_as_equal() -> None:
    unknown = {**PCW, "fingerprint": None}
    with pytest.raises(ConfigError):
        settings.refuse_other_vectors(unknown, unknown, "it")
