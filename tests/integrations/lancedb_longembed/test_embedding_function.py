"""The embedding function in LanceDB's own registry, with tables of LanceDB."""

from __future__ import annotations

import json

import lancedb
import numpy as np
import pytest
from lancedb.embeddings import get_registry
from lancedb.pydantic import LanceModel, Vector

import longembed_st as le
from lancedb_longembed import LongEmbedEmbeddingFunction
from longembed_st.errors import ConfigError, InputError

SETTINGS = {"method": "pcw", "window_size": 128}
LONG = "The committee met on Tuesday, and spoke of the weather. " * 60 + "Whales are mammals."
SHORT = "Cats and dogs are kept as pets."


@pytest.fixture
def function(minilm_folder):
    return get_registry().get("longembed").create(name=str(minilm_folder), **SETTINGS)


@pytest.fixture
def database(function, tmp_path):
    class Report(LanceModel):
        text: str = function.SourceField()
        vector: Vector(function.ndims()) = function.VectorField()

    table = lancedb.connect(tmp_path / "db").create_table("reports", schema=Report)
    table.add([{"text": LONG}, {"text": SHORT}])
    return tmp_path / "db"


def test_a_table_embeds_and_finds_as_the_core_does(function, database, minilm_folder) -> None:
    core = le.load(str(minilm_folder), **SETTINGS)
    rows = lancedb.connect(database).open_table("reports").search("pets of cats").to_list()
    assert [row["text"] for row in rows] == [SHORT, LONG]
    for row in rows:
        np.testing.assert_allclose(row["vector"], core.encode_document(row["text"]), atol=1e-6)
    (vector,) = function.compute_query_embeddings("pets of cats")
    np.testing.assert_allclose(vector, core.encode_query("pets of cats"), atol=1e-6)


def test_the_settings_and_the_fingerprint_are_stored_with_the_table(function, database) -> None:
    schema = lancedb.connect(database).open_table("reports").schema
    (stored,) = json.loads(schema.metadata[b"embedding_functions"])
    assert stored["name"] == "longembed"
    assert stored["model"]["method"] == "pcw"
    assert stored["model"]["window_size"] == 128
    assert stored["model"]["fingerprint"] == function.loaded.fingerprint
    again = LongEmbedEmbeddingFunction.create(**stored["model"])
    assert again.loaded.fingerprint == function.loaded.fingerprint


def test_a_model_that_would_make_other_vectors_is_refused(function, minilm_folder) -> None:
    stored = {**function.safe_model_dump(), "window_size": 64}
    with pytest.raises(ConfigError, match="the table"):
        LongEmbedEmbeddingFunction.create(**stored).compute_query_embeddings("pets")


def test_mistakes(function, minilm_folder) -> None:
    for wrong in ({"max_seq_length": -1}, {"trust_remote_code": True}, {"windowsize": 3}):
        with pytest.raises(ConfigError):
            LongEmbedEmbeddingFunction.create(name=str(minilm_folder), **wrong).ndims()
    with pytest.raises(InputError, match="not a int"):
        function.compute_query_embeddings(5)
