from __future__ import annotations

import json

import pytest

from longembed_index.errors import StoreError
from longembed_index.store.conformance import INFO, OTHER_INFO
from longembed_index.store.info import info_from_json, info_to_json
from longembed_st.errors import ConfigError

PLACE = "some/folder"


def test_a_description_is_read_as_it_was_written() -> None:
    for info in [INFO, OTHER_INFO]:
        assert info_from_json(info_to_json(info), PLACE) == info


CHANGES = [
    ({"provenance": {"cache_folder": "/tmp"}}, ConfigError, "a folder for models"),
    ({"provenance": {"device": "cuda"}}, ConfigError, "a device"),
    (
        {"provenance": {"options": {"trust_remote_code": True}}},
        ConfigError,
        "trust_remote_code",
    ),
    ({"provenance": {"startup": "code.py"}}, ConfigError, "unknown setting 'startup'"),
    ({"provenance": {"model_name": 7}}, ConfigError, "model_name"),
    ({"provenance": []}, StoreError, "provenance"),
    ({"units": "yes"}, StoreError, "units"),
    ({"language": "klingon"}, StoreError, "klingon"),
    ({"ranking": {"weight": 7}}, StoreError, "weight"),
    ({"ranking": {"weight": float("nan")}}, StoreError, "NaN"),
    ({"startup": "code.py"}, StoreError, "startup"),
]


def test_what_we_never_write_is_refused() -> None:
    for change, error, reason in CHANGES:
        stored = json.loads(info_to_json(INFO))
        for name, value in change.items():
            is_part = isinstance(value, dict) and name in stored
            stored[name] = {**stored[name], **value} if is_part else value
        with pytest.raises(error, match=f"{PLACE}.*{reason}"):
            info_from_json(json.dumps(stored), PLACE)


def test_other_json_is_refused() -> None:
    for text in ["", "[]", "null", "[" * 90_000, "{}"]:
        with pytest.raises(
            StoreError, match=rf"description of the store in {PLACE} is damaged.*from a copy"
        ):
            info_from_json(text, PLACE)
