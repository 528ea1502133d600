"""E5-RoPE checkpoints: loaded by name onto a native class, and their code never run."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from compare import difference
from reference.rotary import rotary_bert
from safetensors.torch import save_file
from small_models import build_tokenizer, change_config, text_of

import longembed_st as le

CONFIG = {
    "architectures": ["E5RopeModel"],
    "auto_map": {
        "AutoConfig": "modeling_e5rope.E5RopeConfig",
        "AutoModel": "modeling_e5rope.E5RopeModel",
    },
    "hidden_size": 48,
    "intermediate_size": 64,
    "layer_norm_eps": 1e-12,
    "max_position_embeddings": 64,
    "model_type": "e5rope",
    "num_attention_heads": 3,
    "num_hidden_layers": 2,
    "rope_theta": 7000,
    "rotary_value": False,
    "vocab_size": 1000,
}

CODE = """
from pathlib import Path
Path(__file__).with_name("code-was-run").touch()
raise SystemExit("code of the checkpoint was run")
"""


def random_weights(prefix=""):
    """All tensors of the original layout."""
    torch.manual_seed(0)
    hidden, inner = CONFIG["hidden_size"], CONFIG["intermediate_size"]
    shapes = {
        "embeddings.word_embeddings": (CONFIG["vocab_size"], hidden),
        "embeddings.token_type_embeddings": (2, hidden),
        "embeddings.LayerNorm": hidden,
        "pooler.dense": (hidden, hidden),
    }
    for layer in range(CONFIG["num_hidden_layers"]):
        name = f"encoder.layer.{layer}"
        shapes |= {
            f"{name}.attention.self.{p}": (hidden, hidden) for p in ("query", "key", "value")
        }
        shapes |= {
            f"{name}.attention.output.dense": (hidden, hidden),
            f"{name}.attention.output.LayerNorm": hidden,
            f"{name}.intermediate.dense": (inner, hidden),
            f"{name}.output.dense": (hidden, inner),
            f"{name}.output.LayerNorm": hidden,
        }
    weights = {}
    for name, shape in shapes.items():
        if isinstance(shape, int):
            weights[f"{prefix}{name}.weight"] = 1 + 0.2 * torch.randn(shape)
            weights[f"{prefix}{name}.bias"] = 0.2 * torch.randn(shape)
        else:
            weights[f"{prefix}{name}.weight"] = 0.3 * torch.randn(shape)
            if not name.endswith("_embeddings"):
                weights[f"{prefix}{name}.bias"] = 0.2 * torch.randn(shape[0])
    return weights


def write_checkpoint(folder, weights=None, suffix="safetensors", **config):
    folder.mkdir(parents=True)
    weights = random_weights() if weights is None else weights
    if suffix == "safetensors":
        save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    else:
        torch.save(weights, folder / "pytorch_model.bin")
    (folder / "config.json").write_text(json.dumps({**CONFIG, **config}))
    build_tokenizer("bert", 64, "right").save_pretrained(folder)
    (folder / "modeling_e5rope.py").write_text(CODE)
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_checkpoint(tmp_path_factory.mktemp("e5rope") / "checkpoint")


def reference_vector(text, tokenizer, **config):
    ids = tokenizer(text, return_tensors="pt", verbose=False)["input_ids"][0]
    return rotary_bert(random_weights(), {**CONFIG, **config}, ids).mean(0)


def texts_of(model):
    return [text_of(n, model.tokenizer) for n in (2, 3, 20, 64)]


@pytest.mark.parametrize("suffix", ["safetensors", "bin"])
def test_its_vectors_are_those_of_bert_with_rotary_positions(tmp_path, suffix):
    model = le.load(str(write_checkpoint(tmp_path / "model", suffix=suffix)), "pcw")
    texts = texts_of(model)
    wanted = torch.stack([reference_vector(text, model.tokenizer) for text in texts])
    assert difference(model.encode(texts), wanted) < 1e-5
    other = reference_vector(texts[-1], model.tokenizer, rope_theta=10_000)
    assert difference(other, wanted[-1]) > 1e-3


def test_its_code_is_never_run_and_no_copy_is_left_behind(tmp_path, monkeypatch):
    folder = write_checkpoint(tmp_path / "model")
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    model = le.load(str(folder), trust_remote_code=True)
    model.encode(text_of(100, model.tokenizer))
    assert not list(tmp_path.rglob("code-was-run"))
    assert not list((tmp_path / "temporary").iterdir())
    assert type(model[0].model).__module__.startswith("transformers.models.")


def test_it_is_extended_like_any_rotary_model(folder):
    model = le.load(str(folder))
    assert model[0].extension.method == "self_extend"
    assert model[0].extension.original_max_seq_length == 64
    long = text_of(200, model.tokenizer)
    plain = le.load(str(folder), "ntk", base_factor=1.0, max_seq_length=256).encode(long)
    assert difference(plain, reference_vector(long, model.tokenizer)) < 1e-5
    assert difference(model.encode(long), plain) > 1e-3


def test_checkpoints_with_a_language_modelling_head_are_read_too(tmp_path):
    prefix = "e5rope."
    head = {
        "cls.predictions.bias": torch.randn(1000),
        "cls.predictions.transform.dense.weight": torch.randn(48, 48),
        f"{prefix}embeddings.position_ids": torch.arange(64)[None],
    }
    folder = write_checkpoint(tmp_path / "model", {**random_weights(prefix), **head})
    model = le.load(str(folder), "pcw")
    text = text_of(30, model.tokenizer)
    assert difference(model.encode(text), reference_vector(text, model.tokenizer)) < 1e-5


# Folders of sentence-transformers, and names.


def as_hub_cache(checkpoint, cache, name):
    """What huggingface_hub leaves behind after it fetched a repository."""
    repository = cache / f"models--{name.replace('/', '--')}"
    shutil.copytree(checkpoint, repository / "snapshots" / "0123abcd")
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("0123abcd")


def with_modules(folder):
    """Makes a sentence-transformers folder of it, with CLS pooling."""
    (folder / "1_Pooling").mkdir()
    pooling = {"word_embedding_dimension": 48, "pooling_mode_cls_token": True}
    pooling["pooling_mode_mean_tokens"] = False
    (folder / "1_Pooling" / "config.json").write_text(json.dumps(pooling))
    kinds = {"": "Transformer", "1_Pooling": "Pooling"}
    modules = [
        {"idx": i, "name": str(i), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for i, (path, kind) in enumerate(kinds.items())
    ]
    (folder / "modules.json").write_text(json.dumps(modules))
    settings = {"max_seq_length": 48, "do_lower_case": False}
    (folder / "sentence_bert_config.json").write_text(json.dumps(settings))
    return folder


def test_the_modules_of_a_sentence_transformers_folder_are_kept(tmp_path):
    model = le.load(str(with_modules(write_checkpoint(tmp_path / "model"))), "pcw")
    assert model[0].extension.original_max_seq_length == 48
    text = text_of(20, model.tokenizer)
    ids = model.tokenizer(text, return_tensors="pt")["input_ids"][0]
    assert difference(model.encode(text), rotary_bert(random_weights(), CONFIG, ids)[0]) < 1e-5


def test_it_is_loaded_by_its_name(tmp_path, folder):
    as_hub_cache(folder, tmp_path, "someone/e5rope-tiny")
    model = le.load("someone/e5rope-tiny", "pcw", cache_folder=str(tmp_path))
    text = text_of(30, model.tokenizer)
    assert difference(model.encode(text), reference_vector(text, model.tokenizer)) < 1e-5
    assert not list(tmp_path.rglob("code-was-run"))


def test_the_released_checkpoint_gets_its_window_prompts_and_normalization(tmp_path):
    checkpoint = write_checkpoint(tmp_path / "checkpoint", max_position_embeddings=512)
    build_tokenizer("bert", 512, "right").save_pretrained(checkpoint)
    as_hub_cache(checkpoint, tmp_path / "cache", "dwzhu/e5rope-base")
    model = le.load("dwzhu/e5rope-base", max_seq_length=1024, cache_folder=str(tmp_path / "cache"))
    extension = model[0].extension
    assert (extension.method, extension.original_max_seq_length) == ("self_extend", 512)
    assert model.prompts["query"] == "query: "
    text = text_of(30, model.tokenizer)
    vector = torch.tensor(model.encode(text, prompt_name="query"))
    wanted = reference_vector("query: " + text, model.tokenizer)
    assert difference(vector, wanted / wanted.norm()) < 1e-5


# What is refused.


def test_settings_that_the_file_leaves_out_are_those_of_e5rope(tmp_path):
    folder = write_checkpoint(tmp_path / "model", layer_norm_eps=1e-12, rope_theta=10_000)
    config = json.loads((folder / "config.json").read_text())
    for name in ("layer_norm_eps", "type_vocab_size", "pad_token_id", "rope_theta", "hidden_act"):
        config.pop(name, None)
    (folder / "config.json").write_text(json.dumps(config))
    model = le.load(str(folder), "pcw")
    assert model[0].config.layer_norm_eps == 1e-12
    text = text_of(30, model.tokenizer)
    wanted = reference_vector(text, model.tokenizer, rope_theta=10_000)
    assert difference(model.encode(text), wanted) < 1e-5


def test_it_is_saved_as_a_native_model(tmp_path, folder):
    model = le.load(str(folder), max_seq_length=256)
    model.save_pretrained(str(tmp_path / "saved"))
    texts = [*texts_of(model), text_of(200, model.tokenizer)]
    saved = json.loads((tmp_path / "saved" / "config.json").read_text())
    assert saved["model_type"] == "jina_embeddings_v3"
    vectors = le.load(tmp_path / "saved").encode(texts)
    assert difference(vectors, model.encode(texts)) < 1e-6


def test_what_no_native_class_computes_is_refused(tmp_path):
    folder = write_checkpoint(tmp_path / "model")
    for changes in ({"rotary_value": True}, {"rotary_value": False, "embedding_size": 16}):
        change_config(folder, **changes)
        with pytest.raises(le.ModelError, match=list(changes)[-1]):
            le.load(str(folder))


def test_a_checkpoint_without_weights_is_refused(tmp_path):
    folder = write_checkpoint(tmp_path / "model")
    Path(folder, "model.safetensors").unlink()
    with pytest.raises(le.ModelError, match=r"model\.safetensors.*pytorch_model\.bin"):
        le.load(str(folder))


def test_a_pickle_that_runs_code_is_refused(tmp_path):
    class Trap:
        def __reduce__(self):
            return Path.touch, (tmp_path / "code-was-run",)

    folder = write_checkpoint(tmp_path / "model", {"trap": Trap()}, suffix="bin")
    with pytest.raises(le.ModelError, match="cannot load"):
        le.load(str(folder))
    assert not (tmp_path / "code-was-run").exists()
