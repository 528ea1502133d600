"""Models saved by version 0.1 open, and read as they did: tests/fixtures/v0_1/README.md."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest
from compare import difference

import longembed_st as le
from longembed_st.loading.cache import cached_model

FIXTURES = Path(__file__).parents[2] / "fixtures" / "v0_1"
WRITTEN = json.loads((FIXTURES / "vectors.json").read_text())
STORES = json.loads((FIXTURES / "stores.json").read_text())
TEXTS = WRITTEN["texts"]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the unpacked models."""
    folder = tmp_path_factory.mktemp("v0_1")
    with zipfile.ZipFile(FIXTURES / "models.zip") as packed:
        packed.extractall(folder)
    return folder


def assert_reads_as_it_did(model: le.LongSentenceTransformer, then: dict) -> None:
    assert le.fingerprint(model) == then["fingerprint"]
    extension = model.long_transformer.extension.saved()
    options = extension.pop("options")
    written = dict(then["extension"])
    # Options are now resolved in full; those that were given must not have changed.
    assert options.items() >= written.pop("options").items()
    assert extension == written
    for role, key in ((None, "coverage"), ("document", "coverage_document")):
        coverages = model.encode_with_coverage(list(TEXTS.values()), role=role).coverages
        now = [(coverage.tokens, coverage.read, coverage.passes) for coverage in coverages]
        assert now == [(old["tokens"], old["read"], old["windows"]) for old in then[key].values()]
    for role in ("document", "query"):
        vectors = model.encode_with_coverage(list(TEXTS.values()), role=role).vectors
        assert difference(vectors, list(then[role].values())) < 1e-5


def test_a_saved_model_is_what_it_was(models) -> None:
    for name, then in WRITTEN["saved"].items():
        assert_reads_as_it_did(le.load(models / name), then)


def test_the_same_settings_load_the_same_model(models) -> None:
    for then in WRITTEN["loaded"].values():
        assert_reads_as_it_did(le.load(models / then["from"], **then["arguments"]), then)


def test_the_settings_of_a_store_make_its_vectors(models) -> None:
    for store in STORES.values():
        stored = le.Provenance.from_dict(store["settings"])
        moved = stored.settings.model_copy(update={"model_name": str(models / "plain")})
        loaded = cached_model(moved)
        assert loaded.is_compatible(stored)
        loaded.refuse_incompatible(stored, "the store")


def test_a_store_of_an_earlier_version_is_compared_once(models, monkeypatch) -> None:
    stored = le.Provenance.from_dict(STORES["store_options"]["settings"])
    loaded = cached_model(le.ModelSettings(model_name=str(models / "plain"), method="pcw"))
    assert loaded.is_compatible(stored)
    monkeypatch.setattr("longembed_st.loading.cache.fingerprint_with_options", None)
    assert loaded.is_compatible(stored)
    assert not loaded.is_compatible(le.Provenance(stored.settings, None))


def test_a_fingerprint_with_defaults_spelled_out_is_that_of_the_defaults(models) -> None:
    plain, spelled = (
        le.Provenance.from_dict(STORES[name]["settings"]) for name in ("store", "store_options")
    )
    assert plain.fingerprint != spelled.fingerprint
    now = cached_model(le.ModelSettings(model_name=str(models / "plain"), method="pcw"))
    assert now.fingerprint == plain.fingerprint
    assert now.is_compatible(spelled)
    other = le.ModelSettings(model_name=str(models / "plain"), method="pcw", window_size=32)
    for stored in (plain, spelled):
        assert not cached_model(other).is_compatible(stored)
        with pytest.raises(le.ConfigError, match=r"window_size is 64 in the store, 32 now"):
            cached_model(other).refuse_incompatible(stored, "the store")
