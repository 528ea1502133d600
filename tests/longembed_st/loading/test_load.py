"""load and extend: settings, defaults, what is refused, and released checkpoints."""

from __future__ import annotations

import logging
import shutil
import sys
from collections import OrderedDict
from functools import partial

import pytest
import torch
from compare import difference
from reference import absolute, windows
from reference.plain import PlainModel
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Dense, Normalize, Pooling
from small_models import build_checkpoint, text_of
from transformers import AutoModel, AutoTokenizer

import longembed_st as le


@pytest.fixture(scope="module")
def folder(small_model):
    return str(small_model("bert", prompts={"query": "query: "}))


@pytest.fixture
def stock(folder):
    return SentenceTransformer(folder)


# Defaults.


def test_the_default_windows_are_those_of_the_documentation(folder, stock):
    for method, window in (("pcw", None), ("none", 64), ("pi", 512)):
        for model in (le.load(folder, method=method), le.extend(stock, method=method)):
            # For those who compare it, there is always a number.
            assert model.max_seq_length == (sys.maxsize if window is None else window)
            assert model[0].max_seq_length == window
            assert model[0].extension.original_max_seq_length == 64
            assert model[0].extension.logn_scaling is False
            assert model[0].extension.on_overflow == "warn"


def test_auto_says_what_it_chose_in_one_line(folder, caplog):
    with caplog.at_level(logging.INFO, logger="longembed_st"):
        model = le.load(folder)
    lines = [r.getMessage() for r in caplog.records if r.name.startswith("longembed_st")]
    assert len(lines) == 1
    assert model[0].extension.method in lines[0]
    assert "bert" in lines[0]
    assert "\n" not in lines[0]


def test_settings_of_sentence_transformers_are_passed_on(folder):
    model = le.load(
        folder,
        method="pi",
        prompts={"query": "title", "other": "passage: "},
        default_prompt_name="other",
        similarity_fn_name="dot",
        truncate_dim=8,
        device="cpu",
        model_kwargs={"dtype": torch.bfloat16, "attn_implementation": "eager"},
        token_budget=100,
    )
    assert model.prompts["query"] == "title"
    assert model.default_prompt_name == "other"
    assert model.similarity_fn_name == "dot"
    assert model.truncate_dim == 8
    assert model[0].model.dtype == torch.bfloat16
    assert model[0].model.config._attn_implementation == "eager"
    assert model[0].extension.token_budget == 100


def test_eager_attention_gives_the_reference_too(folder):
    model = le.load(folder, method="pi", model_kwargs={"attn_implementation": "eager"})
    plain = PlainModel(folder, 64)
    texts = [text_of(n, plain.tokenizer) for n in (300, 10, 64, 200)]
    expected = torch.stack([absolute.embed(plain, text, "pi", 512) for text in texts])
    assert difference(model.encode(texts), expected) < 1e-5


def test_extending_again_keeps_the_attention_that_the_model_was_loaded_with(folder):
    eager = {"model_kwargs": {"attn_implementation": "eager"}}
    model = le.load(folder, "pi", logn_scaling=True, **eager)
    assert model[0].model.config._attn_implementation == "longembed"
    for again in (le.extend(model, "pcw"), le.extend(le.extend(model, "gp"), "pi")):
        assert again[0].model.config._attn_implementation == "eager"
    assert le.extend(le.load(folder, "pi"), "gp")[0].model.config._attn_implementation == "sdpa"


def test_settings_of_the_model_are_kept(stock):
    stock.prompts["extra"] = "title"
    stock.default_prompt_name = "extra"
    stock.truncate_dim = 5
    stock.similarity_fn_name = "euclidean"
    model = le.extend(stock, method="pcw")
    assert model.prompts == stock.prompts
    assert model.default_prompt_name == "extra"
    assert model.truncate_dim == 5
    assert model.similarity_fn_name == "euclidean"
    assert difference(model.encode("ban"), stock.encode("ban")) < 1e-6


def test_modules_behind_the_pooling_are_kept(stock):
    torch.manual_seed(3)
    dense = Dense(32, 12)
    longer = SentenceTransformer(modules=[stock[0], stock[1], dense, Normalize()])
    model = le.extend(longer, method="pcw")
    assert model.get_embedding_dimension() == 12
    assert difference(model.encode("ban bar"), longer.encode("ban bar")) < 1e-6
    plain = PlainModel(stock[0].model.config._name_or_path, 64, normalize=False)
    text = text_of(150, stock.tokenizer)
    pooled = windows.embed(plain, text)
    expected = torch.nn.functional.normalize(torch.tanh(dense.linear(pooled)), dim=0)
    assert difference(model.encode(text), expected) < 1e-5


def test_names_of_modules_are_kept(stock):
    named = OrderedDict([("reader", stock[0]), ("pool", stock[1]), ("unit", stock[2])])
    model = le.extend(SentenceTransformer(modules=named), method="pcw")
    assert "unit" in dict(model.named_children())


# What is refused.


def test_bad_settings_are_refused_by_load_and_extend(folder, stock):
    for settings, part in (
        ({"method": "pi", "max_seq_length": 63}, "63"),
        ({"method": "pi", "original_max_seq_length": 65}, "65"),
        ({"method": "pi", "factor": "log"}, "log"),
        ({"method": "none", "max_seq_length": 128}, "128"),
        ({"method": "pcw", "chunk_size": 10}, "chunk_size"),
        ({"method": "table"}, "stride.*leave the method out"),
    ):
        for load in (partial(le.load, folder), partial(le.extend, stock)):
            with pytest.raises(le.LongEmbedError, match=part) as refusal:
                load(**settings)
            assert "\n" not in str(refusal.value)


def test_a_model_that_does_not_exist_is_refused(tmp_path):
    file = tmp_path / "model.txt"
    file.write_text("hello")
    (tmp_path / "config.json").write_text("{}")
    for name in ("no/such-model", str(file), "", "\x00", "x" * 5000, str(tmp_path)):
        with pytest.raises(le.ModelError) as refusal:
            le.load(name, method="pcw")
        assert name[:40] in str(refusal.value) or repr(name)[1:-1] in str(refusal.value)
    with pytest.raises(le.LongEmbedError):
        le.load(7, method="pcw")


def test_models_of_other_modules_are_refused(stock):
    with pytest.raises(le.ModelError, match="Pooling"):
        le.extend(SentenceTransformer(modules=[stock[0]]), method="pcw")
    with pytest.raises(le.ModelError, match="Pooling"):
        le.extend(SentenceTransformer(modules=[stock[0], Normalize(), Pooling(32)]), method="pcw")


# A model that was extended and saved.


@pytest.fixture(scope="module")
def saved(folder, tmp_path_factory):
    path = tmp_path_factory.mktemp("saved") / "pi"
    le.load(folder, method="pi", max_seq_length=256, factor="dynamic").save_pretrained(str(path))
    return str(path)


def test_changing_one_setting_of_a_saved_extension_keeps_the_others(saved):
    def settings_of(model):
        extension = model[0].extension.saved()
        options = extension.pop("options")
        return {**extension, **options}

    before = settings_of(le.load(saved))
    for change in ({"max_seq_length": 128}, {"factor": "static"}):
        assert settings_of(le.load(saved, **change)) == {**before, **change}


def test_an_explicit_default_overrides_what_was_saved(folder, tmp_path):
    changed = {"logn_scaling": True, "on_overflow": "error", "token_budget": 99}
    le.load(folder, "pi", max_seq_length=256, **changed).save_pretrained(str(tmp_path / "m"))
    text = text_of(200, AutoTokenizer.from_pretrained(folder))
    plain = PlainModel(folder, 64)
    back = le.load(tmp_path / "m", logn_scaling=False, on_overflow="warn", token_budget=8192)
    assert back[0].extension == le.load(folder, "pi", max_seq_length=256)[0].extension
    assert difference(back.encode(text), absolute.embed(plain, text, "pi", 256)) < 1e-5
    kept = le.load(tmp_path / "m")
    assert {name: getattr(kept[0].extension, name) for name in changed} == changed
    scaled = absolute.embed(plain, text, "pi", 256, logn=True)
    assert difference(kept.encode(text), scaled) < 1e-5
    assert difference(kept.encode(text), back.encode(text)) > 1e-3


def test_no_code_in_the_folder_is_run(saved, tmp_path):
    trap = shutil.copytree(saved, tmp_path / "trap")
    for name in ("longembed_st.py", "transformer.py"):
        (trap / name).write_text("raise SystemExit('code from the folder was run')")
    assert le.load(str(trap))[0].extension.method == "pi"


# dwzhu/e5-base-4k: row 8i of its 4,096-row table is row i of E5-base.

NAME = "dwzhu/e5-base-4k"


@pytest.fixture(scope="module")
def released(tmp_path_factory):
    """A small base model, and a checkpoint of the released shape made from it."""
    here = tmp_path_factory.mktemp("released")
    base = build_checkpoint(here / "base", "bert", positions=512)
    folder = here / NAME
    small = AutoModel.from_pretrained(base)
    rows = small.embeddings.position_embeddings.weight.detach()
    torch.manual_seed(11)
    table = torch.randn(4096, rows.shape[1]) * rows.std()
    table[::8] = rows
    config = small.config
    config.max_position_embeddings = 4096
    long = AutoModel.from_config(config)
    weights = {**small.state_dict(), "embeddings.position_embeddings.weight": table}
    long.load_state_dict(weights)
    long.save_pretrained(folder)
    AutoTokenizer.from_pretrained(base).save_pretrained(folder)
    return here, base, folder


@pytest.fixture
def e5(released, monkeypatch):
    monkeypatch.chdir(released[0])
    return le.load(NAME)


def test_short_inputs_of_the_released_checkpoint_equal_the_base_model(e5, released):
    plain = PlainModel(released[1], 512)
    texts = [text_of(n, plain.tokenizer) for n in (3, 20, 100, 511, 512)]
    expected = torch.stack([plain.embed(text) for text in texts])
    long = text_of(2000, plain.tokenizer)
    assert difference(e5.encode([*texts, long])[:-1], expected) < 1e-6
    shorter = texts[:3]
    for encode, prompt in ((e5.encode_query, "query: "), (e5.encode_document, "passage: ")):
        expected = torch.stack([plain.embed(text, prompt) for text in shorter])
        assert difference(encode(shorter), expected) < 1e-6


def test_long_inputs_of_the_released_checkpoint_read_every_row(e5, released):
    long = PlainModel(released[2], 4096)
    for length in (513, 4096):
        text = text_of(length, long.tokenizer)
        hidden = long.hidden(long.token_ids(text), positions=range(length))
        assert difference(e5.encode(text), long.finish(long.pool(hidden))) < 1e-5


def test_no_other_method_can_read_the_released_checkpoint(e5):
    assert (e5.max_seq_length, e5[0].extension.original_max_seq_length) == (4096, 512)
    for method in ("pi", "pcw"):
        with pytest.raises(le.ModelError, match=r"position table.*'table'") as refusal:
            le.load(NAME, method=method)
        assert "stride" not in str(refusal.value), "an option that nobody gave"
        with pytest.raises(le.ModelError, match="table"):
            le.extend(e5, method=method)


def test_a_tuned_table_of_ones_own_is_read_by_its_stride(released):
    _, base, folder = released
    windows = {"original_max_seq_length": 512, "max_seq_length": 4096}
    model = le.load(folder, method="table", stride=8, **windows)
    plain = PlainModel(base, 512, normalize=False)
    text = text_of(40, plain.tokenizer)
    assert difference(model.encode(text), plain.embed(text)) < 1e-5
    with pytest.raises(le.ConfigError, match="stride=9"):
        le.load(folder, method="table", stride=9, **windows)
