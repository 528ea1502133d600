"""Saved models come back as they were, here and in a fresh process, ours and stock."""

from __future__ import annotations

import json

import pytest
import torch
from class_models import inference_free, late, pairs
from compare import difference
from fresh_process import run_fresh
from sentence_transformers import SentenceTransformer
from small_models import text_of
from small_rotary_models import stock

import longembed_st as le

PROMPTS = {"query": "query: ", "document": "passage: "}
LENGTHS = (5, 64, 65, 200, 300)

ABSOLUTE = {
    "pi": {"method": "pi", "max_seq_length": 300, "token_budget": 99, "on_overflow": "error"},
    "gp dynamic logn": {
        "method": "gp",
        "max_seq_length": 300,
        "factor": "dynamic",
        "logn_scaling": True,
    },
    "pcw": {"method": "pcw", "window_size": 40, "overlap": 4},
}
ROTARY = {
    "ntk": ("modernbert", {"method": "ntk", "base_factor": "paper", "logn_scaling": True}),
    "self_extend": ("llama", {"method": "self_extend", "group_size": 9}),
}


def texts_of(model):
    return [text_of(n, model.tokenizer, seed) for seed, n in enumerate(LENGTHS)]


def described(model, texts):
    return {
        "vectors": model.encode(texts).tolist(),
        "query": model.encode_query(texts[0]).tolist(),
        "fingerprint": le.fingerprint(model),
        "extension": model[0].extension.saved(),
    }


@pytest.fixture(scope="module")
def saved(small_model, tmp_path_factory):
    """Models saved here, and what a fresh process makes of them."""
    here = tmp_path_factory.mktemp("saved")
    roberta = str(small_model("roberta", prompts=PROMPTS))
    models = {name: le.load(roberta, **settings) for name, settings in ABSOLUTE.items()}
    for name, (kind, settings) in ROTARY.items():
        original = stock(kind, normalize=True, padding_side="left", pooling="lasttoken")
        models[name] = le.extend(original, max_seq_length=300, **settings)
    expected, inputs = {}, {}
    for name, model in models.items():
        model.save_pretrained(str(here / name))
        texts = texts_of(model)
        expected[name] = described(model, texts)
        inputs[name] = [str(here / name), texts]
    code = """
        import longembed_st as le
        from sentence_transformers import SentenceTransformer
        warnings.simplefilter("ignore")
        answers = {}
        for name, (folder, texts) in given.items():
            ours = le.load(folder)
            stock = SentenceTransformer(folder, trust_remote_code=True)
            assert type(stock) is SentenceTransformer
            for kind, model in (("ours", ours), ("stock", stock)):
                answers[f"{kind} {name}"] = {
                    "vectors": model.encode(texts).tolist(),
                    "query": model.encode_query(texts[0]).tolist(),
                    "fingerprint": le.fingerprint(model),
                    "extension": model[0].extension.saved(),
                }
        answer(answers)
    """
    return here, expected, run_fresh(code, here, given=inputs)


def test_a_saved_model_comes_back_in_a_fresh_process(saved):
    _, expected, loaded = saved
    for name, before in expected.items():
        for after in (loaded[f"ours {name}"], loaded[f"stock {name}"]):
            assert after["extension"] == before["extension"], name
            assert after["fingerprint"] == before["fingerprint"], name
            assert difference(after["vectors"], before["vectors"]) < 1e-6, name
            assert difference(after["query"], before["query"]) < 1e-6, name


def test_a_saved_model_is_the_original_with_settings_beside_it(saved):
    folder = saved[0] / "pi"
    settings = json.loads((folder / "config_sentence_transformers.json").read_text())
    assert "longembed-st" in settings["requirements"]
    assert settings["prompts"] == PROMPTS
    modules = json.loads((folder / "modules.json").read_text())
    assert modules[0]["type"] == "longembed_st.LongTransformer"
    assert json.loads((folder / "config.json").read_text())["max_position_embeddings"] == 66
    tokenizer = json.loads((folder / "tokenizer_config.json").read_text())
    assert tokenizer["model_max_length"] == 64


@pytest.mark.parametrize(
    ("build", "encode", "settings"),
    [
        (inference_free, "encode_document", {"overlap": 8}),
        (late, "encode_document", {"window_size": 32}),
        (pairs, "predict", {"combine": "mean"}),
    ],
)
def test_a_saved_model_of_another_class_comes_back(tmp_path, build, encode, settings):
    model = le.load(build("bert"), "pcw", **settings)
    model.save_pretrained(str(tmp_path / "saved"))
    again = le.load(tmp_path / "saved")
    text = text_of(203, model.tokenizer)
    inputs = ("bad kan", text) if encode == "predict" else text

    def result(of):
        tensor = torch.as_tensor(getattr(of, encode)(inputs))
        return tensor.to_dense() if tensor.is_sparse else tensor

    assert difference(result(again), result(model)) < 1e-6
    assert again.long_transformer.extension == model.long_transformer.extension
    assert le.fingerprint(again) == le.fingerprint(model)
    assert le.fingerprint(le.load(build("bert"), "pcw")) != le.fingerprint(model)
    assert type(model).__name__.removeprefix("Long") in (tmp_path / "saved/README.md").read_text()


def test_stock_sentence_transformers_asks_before_it_runs_our_class(saved):
    with pytest.raises(ValueError, match="trust_remote_code"):
        SentenceTransformer(str(saved[0] / "pi"))
