"""Round trips: saved and loaded in a fresh process, baked and loaded without this package."""

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

import longembed_st as le

PROMPTS = {"query": "query: ", "document": "passage: "}
OURS = ("longembed_st", "longembed_methods", "chroma_longembed", "langchain_longembed")
LENGTHS = (5, 64, 65, 200, 300)

SAVED = {
    "pi": {"method": "pi", "max_seq_length": 300},
    "gp dynamic logn": {
        "method": "gp",
        "max_seq_length": 300,
        "factor": "dynamic",
        "logn_scaling": True,
    },
    "rp": {"method": "rp", "max_seq_length": 300, "token_budget": 99, "on_overflow": "error"},
    "pcw": {"method": "pcw", "window_size": 40, "overlap": 4},
    "none": {"method": "none", "on_overflow": "truncate"},
}
BAKED = [
    *[(model_type, method) for model_type in ("roberta", "mpnet") for method in ("gp", "rp", "pi")],
    *[("bert", "pi"), ("distilbert", "gp"), ("electra", "rp"), ("albert", "pi")],
    *[("xlm-roberta", "pi"), ("camembert", "gp")],
]


def build(small_model, model_type, **settings):
    pooling = "cls" if model_type == "mpnet" else "mean"
    return small_model(model_type, pooling=pooling, prompts=PROMPTS, **settings)


def texts_of(model):
    return [text_of(n, model.tokenizer, seed) for seed, n in enumerate(LENGTHS)]


# Saved.


@pytest.fixture(scope="module")
def saved(small_model, tmp_path_factory):
    """Models saved here, and what a fresh process makes of them."""
    here = tmp_path_factory.mktemp("saved")
    expected, folders = {}, {}
    for name, settings in SAVED.items():
        model = le.load(str(build(small_model, "roberta")), **settings)
        model.save_pretrained(str(here / name))
        texts = texts_of(model)
        expected[name] = {
            "vectors": model.encode(texts).tolist(),
            "query": model.encode_query(texts[0]).tolist(),
            "fingerprint": le.fingerprint(model),
            "extension": model[0].extension.model_dump(),
        }
        folders[name] = str(here / name)
    code = """
        import longembed_st as le
        from sentence_transformers import SentenceTransformer
        warnings.simplefilter("ignore")
        found = {}
        for name, folder in given["folders"].items():
            ours = le.load(folder)
            stock = SentenceTransformer(folder, trust_remote_code=True)
            assert type(stock) is SentenceTransformer
            for kind, model in (("ours", ours), ("stock", stock)):
                found[f"{kind} {name}"] = {
                    "vectors": model.encode(given["texts"]).tolist(),
                    "query": model.encode_query(given["texts"][0]).tolist(),
                    "fingerprint": le.fingerprint(model),
                    "extension": model[0].extension.model_dump(),
                }
        answer(found)
    """
    found = run_fresh(code, here, given={"folders": folders, "texts": texts})
    return here, expected, found


@pytest.mark.parametrize("kind", ["ours", "stock"])
@pytest.mark.parametrize("name", SAVED)
def test_a_saved_model_comes_back_in_a_fresh_process(saved, kind, name):
    _, expected, found = saved
    one, other = expected[name], found[f"{kind} {name}"]
    assert other["extension"] == one["extension"]
    assert other["fingerprint"] == one["fingerprint"]
    assert difference(other["vectors"], one["vectors"]) < 1e-6
    assert difference(other["query"], one["query"]) < 1e-6


@pytest.mark.parametrize("name", SAVED)
def test_a_saved_model_is_the_original_with_settings_beside_it(saved, name):
    folder = saved[0] / name
    settings = json.loads((folder / "config_sentence_transformers.json").read_text())
    assert "longembed-st" in settings["requirements"]
    assert settings["prompts"] == PROMPTS
    modules = json.loads((folder / "modules.json").read_text())
    assert modules[0]["type"] == "longembed_st.LongTransformer"
    assert json.loads((folder / "config.json").read_text())["max_position_embeddings"] == 66
    tokenizer = json.loads((folder / "tokenizer_config.json").read_text())
    assert tokenizer["model_max_length"] == 64


def test_stock_sentence_transformers_asks_before_it_runs_our_class(saved):
    with pytest.raises(ValueError, match="trust_remote_code"):
        SentenceTransformer(str(saved[0] / "pi"))


def test_without_the_package_its_name_is_asked_for(saved, tmp_path):
    code = """
        import importlib.metadata
        version = importlib.metadata.version
        def without(name):
            if name == "longembed-st":
                raise importlib.metadata.PackageNotFoundError(name)
            return version(name)
        importlib.metadata.version = without
        from sentence_transformers import SentenceTransformer
        try:
            SentenceTransformer(given, trust_remote_code=True)
        except Exception as error:
            answer(str(error))
    """
    folder = str(saved[0] / "pi")
    assert "longembed-st" in run_fresh(code, tmp_path, given=folder, blocked=OURS)


def test_saving_again_changes_nothing(saved, tmp_path):
    model = le.load(str(saved[0] / "gp dynamic logn"))
    model.save_pretrained(str(tmp_path / "again"))
    again = le.load(str(tmp_path / "again"))
    assert le.fingerprint(again) == saved[1]["gp dynamic logn"]["fingerprint"]


# Baked.


@pytest.fixture(scope="module")
def baked(small_model, tmp_path_factory):
    """Models baked here, and what stock sentence-transformers makes of them, without ours."""
    here = tmp_path_factory.mktemp("baked")
    models, given = {}, {}
    for model_type, method in BAKED:
        folder = build(small_model, model_type)
        model = le.load(str(folder), method=method, max_seq_length=300)
        path = here / f"{model_type}-{method}"
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            le.bake(model, path)
        models[model_type, method] = folder, model, path, caught
        given[f"{model_type} {method}"] = {"folder": str(path), "texts": texts_of(model)}
    code = """
        from sentence_transformers import SentenceTransformer
        found = {}
        for name, one in given.items():
            model = SentenceTransformer(one["folder"])
            found[name] = {
                "vectors": [model.encode(text).tolist() for text in one["texts"]],
                "padded": model.encode(one["texts"]).tolist(),
                "query": model.encode_query(one["texts"][3]).tolist(),
                "window": model.max_seq_length,
                "too long": model.encode(one["texts"][4] + " ban bar").tolist(),
            }
        answer([found, [name for name in sys.modules if "longembed" in name]])
    """
    found, ours = run_fresh(code, here, given=given, blocked=OURS)
    assert ours == []
    return models, found


@pytest.mark.parametrize(("model_type", "method"), BAKED)
def test_a_baked_model_reads_long_texts_without_our_package(baked, model_type, method):
    folder, model, _, _ = baked[0][model_type, method]
    found = baked[1][f"{model_type} {method}"]
    long = texts_of(model)[2:]
    assert found["window"] == 300
    assert difference(found["vectors"][2:], model.encode(long)) < 1e-6
    assert difference(found["padded"][2:], model.encode(long)) < 1e-5
    assert difference(found["query"], model.encode_query(long[1])) < 1e-6
    assert difference(found["too long"], found["vectors"][4]) < 1e-6
    offset = 0 if model_type in ("bert", "distilbert", "electra", "albert") else 2
    plain = PlainModel(folder, 64, offset, pooling="cls" if model_type == "mpnet" else "mean")
    expected = torch.stack([absolute.embed(plain, text, method, 300) for text in long])
    assert difference(found["vectors"][2:], expected) < 1e-5


@pytest.mark.parametrize(("model_type", "method"), BAKED)
def test_what_baking_does_to_short_texts_is_true_and_told(baked, model_type, method):
    folder, _, path, caught = baked[0][model_type, method]
    found = baked[1][f"{model_type} {method}"]
    stock = SentenceTransformer(str(folder))
    moved = difference(found["vectors"][:2], stock.encode(texts_of(stock)[:2]))
    told = [str(w.message) for w in caught if w.category is le.ShortTextsChangeWarning]
    card = (path / "README.md").read_text()
    assert "64 to 300 tokens" in card
    if method == "rp":
        assert moved < 1e-6
        assert told == []
        assert "get the vectors of the original model" in card
    else:
        assert moved > 1e-3
        assert len(told) == 1
        assert told[0] in card
        for part in ("other vectors", "save_pretrained"):
            assert part in told[0]


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
        SentenceTransformer(str(one))[0].model.embeddings.position_embeddings.weight
        for one in (folder, path)
    ]
    assert [len(table) for table in tables] == [66, 302]
    assert torch.equal(tables[0][:2], tables[1][:2])


def test_baking_leaves_the_extended_model_as_it_was(small_model, tmp_path):
    model = le.load(str(build(small_model, "roberta")), method="rp", max_seq_length=300)
    texts = texts_of(model)
    before, fingerprint = model.encode(texts), le.fingerprint(model)
    le.bake(model, tmp_path / "baked")
    assert difference(model.encode(texts), before) == 0
    assert le.fingerprint(model) == fingerprint
    assert model[0].model.config.max_position_embeddings == 66


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
    one, other = (m.encode(text, convert_to_tensor=True).float() for m in (model, plain))
    assert difference(one, other) < 1e-2


@pytest.mark.parametrize(
    ("settings", "part"),
    [
        ({"method": "pcw"}, "pcw"),
        ({"method": "pi", "max_seq_length": 128, "logn_scaling": True}, "log-n"),
        ({"method": "gp", "max_seq_length": 128, "factor": "dynamic"}, "dynamic"),
        ({"method": "pi", "max_seq_length": 128, "factor": "dynamic"}, "dynamic"),
        ({"method": "none"}, "none"),
    ],
    ids=str,
)
def test_what_needs_our_code_cannot_be_baked(small_model, tmp_path, settings, part):
    model = le.load(str(build(small_model, "roberta")), **settings)
    with pytest.raises(le.ModelError, match=f"{part}.*bake"):
        le.bake(model, tmp_path / "baked")
    assert list(tmp_path.iterdir()) == []


def test_a_model_that_was_not_extended_cannot_be_baked(small_model, tmp_path):
    with pytest.raises(le.ModelError, match="extend"):
        le.bake(SentenceTransformer(str(small_model("bert"))), tmp_path / "baked")


def test_a_folder_that_holds_something_is_left_alone(small_model, tmp_path):
    model = le.load(str(small_model("bert")), method="rp")
    (tmp_path / "notes.txt").write_text("mine")
    file = tmp_path / "notes.txt"
    for target in (tmp_path, file):
        with pytest.raises(le.ConfigError, match=target.name):
            le.bake(model, target)
    assert [f.name for f in tmp_path.iterdir()] == ["notes.txt"]
    assert file.read_text() == "mine"


@pytest.mark.parametrize("kind", ["new", "empty", "nested", "text", "relative"])
def test_new_and_empty_folders_are_filled(small_model, tmp_path, monkeypatch, kind):
    model = le.load(str(small_model("bert")), method="rp", max_seq_length=100)
    target = tmp_path / ("a/b/c" if kind == "nested" else "baked")
    if kind == "empty":
        target.mkdir()
    monkeypatch.chdir(tmp_path)
    le.bake(model, {"text": str(target), "relative": "baked"}.get(kind, target))
    assert SentenceTransformer(str(target)).max_seq_length == 100
    assert sorted(f.name for f in target.parent.iterdir()) == [target.name]


def test_an_interrupted_bake_leaves_no_half_model(small_model, tmp_path, monkeypatch):
    model = le.load(str(small_model("bert")), method="rp")

    def interrupted(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(SentenceTransformer, "save_pretrained", interrupted)
    with pytest.raises(KeyboardInterrupt):
        le.bake(model, tmp_path / "baked")
    assert list(tmp_path.iterdir()) == []
