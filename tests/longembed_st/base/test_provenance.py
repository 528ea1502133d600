"""What is stored beside vectors, what is refused there, and what vectors are let in."""

from __future__ import annotations

import json

import pytest
import torch

import longembed_st as le
from longembed_st.base.provenance import refuse_unless_storable
from longembed_st.base.settings import ModelSettings

PCW = {"model_name": "m", "method": "pcw", "original_max_seq_length": 64}

HARMFUL = [
    {"model_kwargs": {"weights_only": False}},
    {"model_kwargs": {"attn_implementation": "org/repo"}},
    {"model_kwargs": {"allow_all_kernels": True}},
    {"model_kwargs": {"trust_remote_code": True}},
    {"model_kwargs": {"dtype": "os.system"}},
    {"token": "hf_secret"},
    {"trust_remote_code": True},
    {"config_kwargs": {"auto_map": {"AutoModel": "code.Model"}}},
    {"processor_kwargs": {"trust_remote_code": True}},
    {"similarity_fn_name": "module.function"},
    {"truncate_dim": "8"},
]
HARMLESS = [
    {},
    {"revision": "0123abcd", "local_files_only": True, "truncate_dim": 8, "backend": "torch"},
    {"default_prompt_name": "query", "similarity_fn_name": "dot"},
    {"model_kwargs": {"dtype": "bfloat16", "attn_implementation": "eager"}},
    {"processor_kwargs": {"padding_side": "left", "truncation_side": "left"}},
    {"device": "cpu", "prompts": {"query": "q"}},
]


def test_what_may_make_a_reader_run_code_is_neither_written_nor_read():
    for arguments in HARMFUL:
        settings = ModelSettings.from_keywords(**PCW, **arguments)
        (name,) = arguments
        for refused in (
            lambda given=settings: le.Provenance(given, "sha256:0").to_json(),
            lambda given=arguments: le.Provenance.from_json(json.dumps({**PCW, "options": given})),
        ):
            with pytest.raises(le.ConfigError, match=name) as refusal:
                refused()
            assert "cannot be stored with a collection" in str(refusal.value), arguments


def test_what_is_not_an_argument_of_loading_is_not_an_option():
    stored = le.Provenance.from_dict({**PCW, "options": {"modules": 1}})
    with pytest.raises(le.ConfigError, match="modules"):
        stored.settings.build_method()


def test_a_dtype_of_torch_is_refused_with_the_way_out():
    settings = ModelSettings.from_keywords(**PCW, model_kwargs={"dtype": torch.float16})
    with pytest.raises(le.ConfigError, match=r"model_kwargs\.dtype.*'float16'.*Leave it out"):
        refuse_unless_storable(settings)


def test_a_secret_is_not_shown_but_how_to_pass_it_is():
    settings = ModelSettings.from_keywords(**PCW, token="hf_secret")
    with pytest.raises(le.ConfigError, match=r"token.*HF_TOKEN") as refusal:
        refuse_unless_storable(settings)
    assert "hf_secret" not in str(refusal.value)


def test_a_model_without_a_name_cannot_be_stored():
    for name in (None, ""):
        with pytest.raises(le.ConfigError, match="model_name"):
            refuse_unless_storable(ModelSettings(model_name=name))


def test_what_is_harmless_comes_back():
    for arguments in HARMLESS:
        settings = ModelSettings.from_keywords(**PCW, window_size=32, **arguments)
        stored = le.Provenance(settings, "sha256:0")
        again = le.Provenance.from_json(stored.to_json())
        assert again.fingerprint == "sha256:0"
        assert again.settings.differences(settings) == []
        assert again.settings.keywords().items() >= settings.keywords().items(), arguments
        assert again.to_json() == stored.to_json()
        assert le.Provenance.from_dict(stored.to_dict()).to_json() == stored.to_json()


def test_a_collection_does_not_choose_where_models_are_written():
    settings = ModelSettings.from_keywords(**PCW, cache_folder="/models")
    assert le.Provenance(settings, None).to_dict()["cache_folder"] is None
    for stored in ({"cache_folder": "/etc"}, {"options": {"cache_folder": "/etc"}}):
        read = le.Provenance.from_dict({**PCW, **stored}).settings
        assert read.cache_folder is None
        assert "cache_folder" not in read.loading_arguments()


def test_the_form_that_is_stored():
    settings = ModelSettings.from_keywords(**PCW, window_size=32, revision="abc")
    assert le.Provenance(settings, "sha256:0").to_dict() == {
        "model_name": "m",
        "method": "pcw",
        "max_seq_length": None,
        "original_max_seq_length": 64,
        "logn_scaling": False,
        "on_overflow": "warn",
        "token_budget": 8192,
        "device": None,
        "prompts": None,
        "cache_folder": None,
        "options": {"window_size": 32, "revision": "abc"},
        "fingerprint": "sha256:0",
    }


def test_what_was_not_written_by_us_is_refused():
    for stored, part in (
        ("{", "cannot be read: '{'"),
        ("[" * 90_000, "cannot be read"),
        ('{"model_name": "m", "modle": 1}', "unknown setting 'modle'"),
        ('{"model_name": "m", "model_kwargs": {}}', "unknown setting 'model_kwargs'"),
        ('{"model_name": "m", "options": [1]}', "options must be a mapping"),
        ('{"model_name": "m", "fingerprint": 7}', "fingerprint must be a string"),
        ('{"method": "pcw"}', "model_name"),
    ):
        with pytest.raises(le.ConfigError, match=part):
            le.Provenance.from_json(stored)


# What vectors are let in.


def provenance(fingerprint="sha256:0", **changes):
    return le.Provenance(ModelSettings.from_keywords(**{**PCW, **changes}), fingerprint)


def test_equal_fingerprints_settle_it():
    provenance().refuse_incompatible(provenance(model_name="moved"), "the store")
    with pytest.raises(le.ConfigError, match=r"^the store holds"):
        provenance(fingerprint=None).refuse_incompatible(provenance(fingerprint=None), "the store")


def test_each_difference_is_named_with_the_way_out():
    now = provenance("sha256:1", window_size=32, logn_scaling=True)
    with pytest.raises(le.ConfigError) as refusal:
        provenance().refuse_incompatible(now, "collection 'a'")
    for part in (
        "collection 'a'",
        "window_size is 64 in the store, 32 now",
        "logn_scaling is False in the store, True now",
        "longembed reindex",
    ):
        assert part in str(refusal.value)


def test_other_weights_behind_the_name_are_told_apart():
    with pytest.raises(le.ConfigError, match=r"weights.*sha256:0 in the store, sha256:1 now"):
        provenance().refuse_incompatible(provenance("sha256:1"), "the store")
