"""Baked models are read by stock sentence-transformers, without this package."""

from __future__ import annotations

import json
import warnings

import pytest
import torch
from compare import difference
from fresh_process import run_fresh
from reference import absolute
from reference.plain import PlainModel
from sentence_transformers import SentenceTransformer
from small_models import text_of
from small_rotary_models import folder_of, stock

import longembed_st as le

PROMPTS = {"query": "query: ", "document": "passage: "}
OURS = ("longembed_st", "longembed_methods", "chroma_longembed", "langchain_longembed")
LENGTHS = (5, 64, 65, 200, 300)

BAKED = [
    *[("roberta", method) for method in ("rp", "pi")],
    *[(other, "pi") for other in ("bert", "mpnet")],
]
ROTARY_BAKED = [
    *[("llama", method) for method in ("pi", "yarn")],
    *[(other, "ntk") for other in ("modernbert", "gemma3_text")],
]


def build(small_model, model_type, **settings):
    pooling = "cls" if model_type == "mpnet" else "mean"
    return small_model(model_type, pooling=pooling, prompts=PROMPTS, **settings)


def texts_of(model):
    return [text_of(n, model.tokenizer, seed) for seed, n in enumerate(LENGTHS)]


@pytest.fixture(scope="module")
def baked(small_model, tmp_path_factory):
    """Models baked here, and what stock sentence-transformers makes of them, without ours."""
    here = tmp_path_factory.mktemp("baked")
    models, inputs = {}, {}
    for model_type, method in BAKED:
        folder = build(small_model, model_type)
        model = le.load(str(folder), method=method, max_seq_length=300)
        path = here / f"{model_type}-{method}"
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            le.bake(model, path)
        models[model_type, method] = folder, model, path, caught
        inputs[f"{model_type} {method}"] = {"folder": str(path), "texts": texts_of(model)}
    for kind, method in ROTARY_BAKED:
        model = le.extend(stock(kind, normalize=True), method, max_seq_length=300)
        path = here / f"{kind}-{method}"
        with pytest.warns(le.ShortTextsChangeWarning, match="do not mix"):
            le.bake(model, path)
        inputs[f"{kind} {method}"] = {"folder": str(path), "texts": texts_of(model)}
    code = """
        import importlib.metadata
        version = importlib.metadata.version
        def without(name):
            if name == "longembed-st":
                raise importlib.metadata.PackageNotFoundError(name)
            return version(name)
        importlib.metadata.version = without
        from sentence_transformers import SentenceTransformer
        answers = {}
        for name, folder_and_texts in given["baked"].items():
            model = SentenceTransformer(folder_and_texts["folder"])
            answers[name] = {
                "vectors": [model.encode(text).tolist() for text in folder_and_texts["texts"]],
                "padded": model.encode(folder_and_texts["texts"]).tolist(),
                "query": model.encode_query(folder_and_texts["texts"][3]).tolist(),
                "window": model.max_seq_length,
                "too long": model.encode(folder_and_texts["texts"][4] + " ban bar").tolist(),
            }
        ours = [name for name in sys.modules if "longembed" in name]
        try:
            SentenceTransformer(given["saved"], trust_remote_code=True)
        except Exception as error:
            answers["saved"] = str(error)
        answer([answers, ours])
    """
    saved = here / "saved"
    le.load(str(build(small_model, "roberta")), "pi").save_pretrained(str(saved))
    inputs = {"baked": inputs, "saved": str(saved)}
    results, ours = run_fresh(code, here, given=inputs, blocked=OURS)
    assert ours == []
    return models, results


def test_a_baked_model_reads_long_texts_without_our_package(baked):
    for (model_type, method), (folder, model, _, _) in baked[0].items():
        results = baked[1][f"{model_type} {method}"]
        long = texts_of(model)[2:]
        assert results["window"] == 300
        assert difference(results["vectors"][2:], model.encode(long)) < 1e-6
        assert difference(results["padded"][2:], model.encode(long)) < 1e-5
        assert difference(results["query"], model.encode_query(long[1])) < 1e-6
        assert difference(results["too long"], results["vectors"][4]) < 1e-6
        offset = 0 if model_type == "bert" else 2
        plain = PlainModel(folder, 64, offset, pooling="cls" if model_type == "mpnet" else "mean")
        expected = torch.stack([absolute.embed(plain, text, method, 300) for text in long])
        assert difference(results["vectors"][2:], expected) < 1e-5


def test_what_baking_does_to_short_texts_is_true_and_reported(baked):
    for (model_type, method), (folder, _, path, caught) in baked[0].items():
        results = baked[1][f"{model_type} {method}"]
        stock = SentenceTransformer(str(folder))
        moved = difference(results["vectors"][:2], stock.encode(texts_of(stock)[:2]))
        messages = [str(w.message) for w in caught if w.category is le.ShortTextsChangeWarning]
        card = (path / "README.md").read_text()
        assert "64 to 300 tokens" in card
        if method == "rp":
            assert moved < 1e-6
            assert messages == []
            assert "get the vectors of the original model" in card
        else:
            assert moved > 1e-3
            assert len(messages) == 1
            assert messages[0] in card
            for part in ("other vectors", "save_pretrained"):
                assert part in messages[0]


def test_without_the_package_a_saved_model_asks_for_it_by_name(baked):
    assert "longembed-st" in baked[1]["saved"]


def test_a_baked_folder_names_only_stock_classes(baked):
    for _, _, path, _ in baked[0].values():
        modules = json.loads((path / "modules.json").read_text())
        assert all(m["type"].startswith("sentence_transformers.") for m in modules)
        for file in path.rglob("*.json"):
            assert '"extension"' not in file.read_text()
        settings = json.loads((path / "config_sentence_transformers.json").read_text())
        assert "requirements" not in settings
        assert settings["prompts"] == PROMPTS


def test_a_baked_table_keeps_the_rows_that_stand_for_padding(baked):
    folder, _, path, _ = baked[0]["roberta", "pi"]
    tables = [
        SentenceTransformer(str(model_folder))[0].model.embeddings.position_embeddings.weight
        for model_folder in (folder, path)
    ]
    assert [len(table) for table in tables] == [66, 302]
    assert torch.equal(tables[0][:2], tables[1][:2])


def test_baking_leaves_the_extended_model_as_it_was(small_model, tmp_path):
    table = le.load(str(build(small_model, "roberta")), method="rp", max_seq_length=300)
    rotary = le.extend(stock("mistral", normalize=True), "ntk", max_seq_length=300)
    for name, model in (("table", table), ("rotary", rotary)):
        texts = texts_of(model)
        before, fingerprint = model.encode(texts), le.fingerprint(model)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", le.ShortTextsChangeWarning)
            le.bake(model, tmp_path / name)
        assert difference(model.encode(texts), before) < 1e-6
        assert le.fingerprint(model) == fingerprint
    assert table[0].model.config.max_position_embeddings == 66
    assert rotary[0].config.rope_parameters["rope_theta"] == 10_000.0


def test_a_baked_half_precision_model_stays_one(small_model, tmp_path):
    model = le.load(
        str(build(small_model, "roberta")),
        method="rp",
        max_seq_length=300,
        model_kwargs={"dtype": torch.bfloat16},
    )
    le.bake(model, tmp_path / "baked")
    plain = SentenceTransformer(str(tmp_path / "baked"), model_kwargs={"dtype": "auto"})
    assert plain[0].model.dtype == torch.bfloat16
    text = texts_of(model)[3]
    extended_vector, plain_vector = (
        m.encode(text, convert_to_tensor=True).float() for m in (model, plain)
    )
    assert difference(extended_vector, plain_vector) < 1e-2


def test_what_needs_our_code_cannot_be_baked(small_model, tmp_path):
    original = SentenceTransformer(str(build(small_model, "roberta")))
    with pytest.raises(le.ModelError, match="extend"):
        le.bake(original, tmp_path / "baked")
    for model, settings, message in (
        (original, {"method": "pcw"}, "pcw.*save_pretrained"),
        (original, {"method": "pi", "logn_scaling": True}, "log-n.*save_pretrained"),
        (original, {"method": "pi", "factor": "dynamic"}, "dynamic.*static"),
        (stock("llama"), {"method": "gp"}, "gp.*save_pretrained"),
        (stock("llama"), {"method": "self_extend"}, "self_extend.*save_pretrained"),
        (stock("llama"), {"method": "ntk", "factor": "dynamic"}, "dynamic.*static"),
    ):
        with pytest.raises(le.ModelError, match=message):
            le.bake(le.extend(model, **settings), tmp_path / "baked")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_holds_something_is_left_alone(small_model, tmp_path):
    model = le.load(str(small_model("bert")), method="rp")
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(le.ConfigError, match=tmp_path.name):
        le.bake(model, tmp_path)
    assert [f.name for f in tmp_path.iterdir()] == ["notes.txt"]


# Rotary models.


def test_a_baked_rotary_model_gives_the_long_vectors(baked):
    for kind, method in ROTARY_BAKED:
        results = baked[1][f"{kind} {method}"]
        original = stock(kind, normalize=True)
        model = le.extend(original, method, max_seq_length=300)
        short, long = texts_of(model)[:2], texts_of(model)[2:]
        assert results["window"] == 300
        assert difference(results["vectors"][2:], model.encode(long)) < 1e-5
        # As the warning says, short texts get other vectors.
        assert difference(results["vectors"][1], original.encode(short[1])) > 1e-3
        assert difference(model.encode(short), original.encode(short)) < 1e-6


def test_a_second_scheme_is_not_baked_over_the_models_own(tmp_path):
    folder = folder_of("llama", rope_type="linear", factor=4.0)
    model = le.extend(SentenceTransformer(str(folder)), "pi", max_seq_length=256)
    with pytest.raises(le.ModelError, match=r"linear.*save_pretrained"):
        le.bake(model, tmp_path / "out")
