from __future__ import annotations

import json
import shutil

import chromadb
import numpy as np
import pytest
from fresh_process import run_fresh

import longembed_st as le
from chroma_longembed import LongEmbedEmbeddingFunction
from longembed_st.errors import ConfigError, InputError, ModelError
from longembed_st.loading import cache

LONG = "The committee met on Tuesday to discuss the budget. " * 60
TEXTS = [LONG, "a short note"]


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """An empty model cache, and the names of the models that are loaded from now on."""
    names: list[str] = []

    def load(settings: le.ModelSettings) -> object:
        names.append(settings.model_name)
        return original(settings)

    original = cache.load_settings
    monkeypatch.setattr(cache, "_models", type(cache._models)())
    monkeypatch.setattr(cache, "_recent", type(cache._recent)(maxlen=cache.MAX_IDLE_MODELS))
    monkeypatch.setattr(cache, "load_settings", load)
    return names


def test_queries_and_documents_get_their_own_prompts(minilm_folder) -> None:
    prompts = {"query": "query: ", "document": "passage: "}
    function = LongEmbedEmbeddingFunction(str(minilm_folder), "pcw", prompts=prompts)
    model = le.load(str(minilm_folder), "pcw", prompts=prompts)
    np.testing.assert_allclose(function.embed_query([LONG])[0], model.encode_query(LONG), atol=1e-6)
    np.testing.assert_allclose(function([LONG])[0], model.encode_document(LONG), atol=1e-6)
    assert not np.allclose(function([LONG])[0], function.embed_query([LONG])[0], atol=1e-3)


def test_config_is_plain_data_with_nothing_left_open(minilm_folder) -> None:
    function = LongEmbedEmbeddingFunction(str(minilm_folder), "auto")
    config = function.get_config()
    assert json.loads(json.dumps(config)) == config
    assert config["method"] != "auto"
    assert config["original_max_seq_length"] == 256
    assert config["fingerprint"] == le.fingerprint(function.model)


def test_a_model_is_loaded_once_however_often_the_function_is_rebuilt(loads, minilm_folder) -> None:
    function = LongEmbedEmbeddingFunction(str(minilm_folder), "pcw", window_size=128)
    for _ in range(5):
        function = LongEmbedEmbeddingFunction.build_from_config(function.get_config())
    other = LongEmbedEmbeddingFunction(str(minilm_folder), "pcw", window_size=128)
    assert other.model is function.model
    assert len(loads) == 1


def test_a_relative_model_path_is_stored_absolute(minilm_folder, monkeypatch) -> None:
    monkeypatch.chdir(minilm_folder.parent)
    function = LongEmbedEmbeddingFunction(minilm_folder.name, "pcw")
    assert function.get_config()["model_name"] == str(minilm_folder.resolve())


def test_another_model_under_the_same_name_is_refused(minilm_folder, tmp_path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(minilm_folder, folder)
    config = LongEmbedEmbeddingFunction(str(folder), "pcw").get_config()
    pooling = folder / "1_Pooling" / "config.json"
    changed = json.loads(pooling.read_text())
    changed |= {"pooling_mode_mean_tokens": False, "pooling_mode_cls_token": True}
    if "pooling_mode" in changed:
        changed["pooling_mode"] = "cls"
    pooling.write_text(json.dumps(changed))
    with pytest.raises(ConfigError, match="weights behind the name"):
        LongEmbedEmbeddingFunction.build_from_config(config)


def test_an_update_that_changes_a_vector_is_refused_by_name(minilm) -> None:
    old = minilm.get_config()
    minilm.validate_config_update(old, {**old, "device": "cpu", "on_overflow": "error"})
    for change, named in (
        ({"method": "pi"}, "method"),
        ({"options": {"window_size": 128}}, "window_size"),
        ({"model_name": "other"}, "model_name"),
    ):
        new = {**old, **change, "fingerprint": "sha256:other"}
        with pytest.raises(ConfigError, match=f"{named} is .* in the store, .* now"):
            minilm.validate_config_update(old, new)


def test_texts_that_cannot_be_embedded_are_refused(minilm) -> None:
    for embed in (minilm, minilm.embed_query):
        with pytest.raises(InputError, match="surrogate"):
            embed(["fine", "a \ud800 b"])
        with pytest.raises(InputError):
            embed([3])


def test_a_vector_that_is_not_finite_is_an_error(minilm, monkeypatch) -> None:
    for name in ("encode_document", "encode_query"):
        monkeypatch.setattr(minilm.model, name, lambda *a, **k: np.full((1, 384), np.nan))
    for embed in (minilm, minilm.embed_query):
        with pytest.raises(ModelError, match="not finite"):
            embed(["text"])


def test_a_model_that_is_not_there_is_an_error() -> None:
    with pytest.raises(ModelError, match="no/such-model"):
        LongEmbedEmbeddingFunction("no/such-model")


def test_a_model_cannot_ask_to_run_its_own_code(minilm_folder) -> None:
    with pytest.raises(ConfigError, match="trust_remote_code"):
        LongEmbedEmbeddingFunction(str(minilm_folder), trust_remote_code=True)


def test_chroma_stores_and_rebuilds_it_without_our_help(minilm, tmp_path) -> None:
    with chromadb.PersistentClient(str(tmp_path)) as client:
        collection = client.create_collection("papers", embedding_function=minilm)
        collection.add(ids=["a", "b"], documents=["cats and dogs " * 200, "interest rates " * 200])
        stored = collection.get(include=["embeddings"])["embeddings"]
    with chromadb.PersistentClient(str(tmp_path)) as client:
        collection = client.get_collection("papers")
        assert collection.configuration_json["hnsw"]["space"] == "cosine"
        assert collection.query(query_texts=["money"], n_results=1)["ids"] == [["b"]]
        np.testing.assert_allclose(stored[0], minilm(["cats and dogs " * 200])[0], atol=1e-6)


def test_chroma_refuses_a_change_of_method(minilm, minilm_folder, tmp_path) -> None:
    with chromadb.PersistentClient(str(tmp_path)) as client:
        collection = client.create_collection("changing", embedding_function=minilm)
        other = LongEmbedEmbeddingFunction(str(minilm_folder), "pi", max_seq_length=512)
        with pytest.raises(ConfigError, match="method is 'pcw' in the store, 'pi' now"):
            collection.modify(configuration={"embedding_function": other})


def test_importing_the_package_alone_lets_chroma_reopen_a_collection(small_model, tmp_path) -> None:
    client = chromadb.PersistentClient(str(tmp_path / "store"))
    function = LongEmbedEmbeddingFunction(str(small_model("bert")), "pcw")
    client.create_collection("papers", embedding_function=function).add(
        ids=["a"], documents=["ban cor"]
    )
    code = """
        import chroma_longembed
        heavy = sorted({"torch", "transformers", "sentence_transformers"} & sys.modules.keys())
        import chromadb
        found = chromadb.PersistentClient(given).get_collection("papers")
        answer([heavy, found.query(query_texts=["ban"], n_results=1)["ids"]])
    """
    assert run_fresh(code, tmp_path, given=str(tmp_path / "store")) == [[], [["a"]]]
