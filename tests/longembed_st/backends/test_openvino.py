"""Passes computed by OpenVINO: the vectors of torch, whatever the model and the method."""

from __future__ import annotations

import copy
import logging
import pickle
import threading
import time
from dataclasses import replace

import numpy as np
import pytest
import torch
from class_models import late, pairs, splade
from compare import difference
from engines import computes_bfloat16
from reference import absolute
from reference.plain import PlainModel
from reference.rotary import RotaryReference
from small_models import WORDS, text_of
from small_rotary_models import folder_of, random_ids

import longembed_st as le
from longembed_st.backends import openvino as engine
from longembed_st.backends.openvino import OpenVino
from longembed_st.base.fingerprint import fingerprint_with_options
from longembed_st.base.provenance import Provenance
from longembed_st.base.settings import ModelSettings
from longembed_st.command.estimate import estimate_costs
from longembed_st.errors import ConfigError, ModelError
from longembed_st.loading.cache import CachedModel, cached_model

LENGTHS = (1, 3, 9, 40, 61, 64, 100, 200, 250, 9, 9)


def texts(*lengths: int) -> list[str]:
    draw = np.random.default_rng(0)
    return [" ".join(draw.choice(WORDS, size=n)) for n in lengths or LENGTHS]


def folder(kind: str, small_model) -> str:
    absolute_kinds = ("bert", "distilbert", "electra", "albert", "roberta", "xlm-roberta")
    if kind in (*absolute_kinds, "camembert", "mpnet"):
        return str(small_model(kind, positions=64))
    return str(folder_of(kind))


QUICK = ("bert", "gte", "modernbert")
SLOW = (
    *("distilbert", "electra", "albert", "mpnet", "roberta", "xlm-roberta", "camembert"),
    *("nomic_bert", "jina_embeddings_v3", "eurobert", "gemma3_text", "gemma3_text, causal"),
    *("llama", "mistral", "qwen2", "qwen3", "qwen3, bidirectional"),
    *("t5", "mt5", "umt5", "bloom"),
)
KINDS = [*QUICK, *(pytest.param(kind, marks=pytest.mark.slow) for kind in SLOW)]


@pytest.mark.parametrize("kind", KINDS)
def test_vectors_are_those_of_torch(kind, small_model) -> None:
    """Alone and in padded batches, in windows and in one pass."""
    name = folder(kind, small_model)
    reader = le.load(name, "pcw").long_transformer
    family = reader.family
    methods = {"none": {"on_overflow": "truncate"}, "pcw": {}}
    if "position_ids" in family.capabilities and not family.local_layers:
        methods |= {"pi": {"max_seq_length": 300}, "gp": {"max_seq_length": 300}}
    if "frequencies" in family.capabilities and not family.local_layers:
        methods |= {"ntk": {"max_seq_length": 300}, "yarn": {"max_seq_length": 300}}
    for method, options in methods.items():
        ours = le.load(name, method, backend="openvino", **options)
        theirs = le.load(name, method, device="cpu", **options)
        assert ours.long_transformer.engine is not None
        expected = theirs.encode(texts())
        scale = float(np.abs(expected).max())
        assert difference(ours.encode(texts()), expected) < 1e-5 * max(scale, 1), method
        alone = np.stack([ours.encode(text) for text in texts()])
        assert difference(alone, expected) < 1e-5 * max(scale, 1), method


def test_every_family_is_tested_here() -> None:
    tested = {kind.split(",")[0] for kind in (*QUICK, *SLOW)}
    assert tested == set(le.families())


BOTH = ("torch", "openvino")


@pytest.mark.parametrize("model_type", ["bert", pytest.param("roberta", marks=pytest.mark.slow)])
def test_long_passes_equal_the_dense_reference(model_type, small_model) -> None:
    name = small_model(model_type, positions=512)
    reference = PlainModel(name, 512, 0 if model_type == "bert" else 2)
    models = [le.load(str(name), "pi", max_seq_length=4096, backend=backend) for backend in BOTH]
    for n in (2048, 4096):
        text = text_of(n, reference.tokenizer)
        expected = absolute.embed(reference, text, "pi", 4096)
        for model in models:
            assert difference(model.encode(text), expected) < 1e-5, n


@pytest.mark.slow
@pytest.mark.parametrize("n", [2048, 4096])
def test_long_rotary_passes_equal_the_dense_reference(n) -> None:
    name = folder_of("gte")
    window = le.load(str(name), "none").long_transformer.extension.context.original
    reference = RotaryReference(name, window, causal=False)
    settings = {"max_seq_length": 4096, "base_factor": "formula"}
    models = [le.load(str(name), "ntk", backend=b, **settings).long_transformer for b in BOTH]
    ids = random_ids(models[0].tokenizer, n)
    expected = reference.token_embeddings(ids, "ntk", 4096)
    for model in models:
        with torch.inference_mode():
            states = model.token_embeddings(ids)
        # As angles grow with the position, so does their rounding.
        assert difference(states, expected) < 1e-3


def test_units_and_token_embeddings_are_those_of_torch(minilm_folder) -> None:
    text = "The committee met again, and it spoke of many things. " * 60
    ours, theirs = (
        le.load(str(minilm_folder), "pcw", backend=name) for name in ("openvino", "torch")
    )
    ranges = [[(start, start + 53) for start in range(0, len(text), 54)]]
    (units,), (expected,) = ours.encode_units([text], ranges), theirs.encode_units([text], ranges)
    assert units.counts.tolist() == expected.counts.tolist()
    assert difference(units.vectors, expected.vectors) < 1e-4
    states = [m.encode(text, output_value="token_embeddings") for m in (ours, theirs)]
    assert difference(*states) < 1e-4


def test_lower_precision_is_near_and_has_a_fingerprint_of_its_own(minilm_folder) -> None:
    name = str(minilm_folder)
    plain = le.load(name, "pcw")
    rounded = le.load(name, "pcw", backend="openvino", dtype="bfloat16")
    inputs = ["The committee met again.", "It spoke of many things, the budget among them. " * 90]
    alike = (plain.encode(inputs) * rounded.encode(inputs)).sum(1)
    assert alike.min() > 0.999
    if computes_bfloat16():
        assert alike.max() < 1 - 1e-6
    exact = le.load(name, "pcw", backend="openvino")
    assert le.fingerprint(exact) == le.fingerprint(plain)
    assert le.fingerprint(rounded) != le.fingerprint(plain)
    assert difference(exact.encode(inputs), plain.encode(inputs)) < 1e-6


def test_stores_of_another_precision_are_refused(small_model) -> None:
    name = str(small_model("bert"))

    def made(**settings) -> CachedModel:
        return CachedModel(ModelSettings(model_name=name, method="pcw", **settings))

    torch_made, exact = made(), made(backend="openvino")
    rounded = made(backend="openvino", dtype="bfloat16")
    exact.refuse_incompatible(torch_made.provenance, "the store")
    with pytest.raises(ConfigError, match="dtype is 'bfloat16' in the store, None now"):
        torch_made.refuse_incompatible(rounded.provenance, "the store")
    # Versions before 0.3 gave this engine in this precision a fingerprint of its own.
    earlier = replace(
        rounded.provenance, fingerprint=fingerprint_with_options(rounded.model, {}, True)
    )
    assert earlier.fingerprint != rounded.fingerprint
    rounded.refuse_incompatible(earlier, "the store")
    # The store's own settings bring back what made it.
    stored = Provenance.from_json(rounded.provenance.to_json())
    assert cached_model(stored.settings).is_compatible(stored)


def test_a_trained_model_is_not_read_with_the_weights_of_before(small_model) -> None:
    model = le.load(str(small_model("bert")), "pcw", backend="openvino")
    before = model.encode(texts())
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    model.train()
    features = model(model.preprocess(texts()))
    features["sentence_embedding"].sum().backward()
    optimizer.step()
    model.eval()
    after = model.encode(texts())
    assert difference(before, after) > 1e-3
    model.long_transformer.set_engine(None)
    assert difference(after, model.encode(texts())) < 1e-5


def test_one_changed_number_is_noticed(small_model) -> None:
    """Also if an extension changes it, which shares the weights."""
    model = le.load(str(small_model("bert")), "pcw", backend="openvino")
    before = model.encode(texts(5))
    with torch.no_grad():
        word = model.tokenizer(texts(5)[0])["input_ids"][1]
        le.extend(model, "none").long_transformer.token_table[word, 3] += 5
    after = model.encode(texts(5))
    assert difference(before, after) > 1e-3
    model.long_transformer.set_engine(None)
    assert difference(after, model.encode(texts(5))) < 1e-5


def test_gradients_flow_as_without(small_model) -> None:
    model = le.load(str(small_model("bert")), "pcw", backend="openvino")
    model.eval()
    vectors = model(model.preprocess(texts()))["sentence_embedding"]
    assert vectors.requires_grad


def test_extensions_of_one_model_share_what_is_compiled(small_model, monkeypatch) -> None:
    model = le.load(str(small_model("bert")), "pcw", backend="openvino")
    monkeypatch.setattr(engine, "graph_on_disk", None)
    other = le.extend(model, "pi", max_seq_length=256)
    copied = copy.deepcopy(model)
    pickled = pickle.loads(pickle.dumps(model))
    for same in (other, copied, pickled):
        assert same.long_transformer.engine is not None
        assert difference(same.encode(texts(5)), model.encode(texts(5))) < 1e-6


def test_threads_get_their_own_vectors(small_model) -> None:
    model = le.load(str(small_model("bert")), "pcw", backend="openvino")
    expected = [model.encode(text) for text in texts()]
    vectors: dict[int, list[np.ndarray]] = {}

    def work(number: int) -> None:
        vectors[number] = [model.encode(text) for text in texts()]

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(difference(np.stack(vectors[n]), np.stack(expected)) < 1e-6 for n in range(4))


def test_what_it_cannot_compute_is_refused() -> None:
    for settings, reason in (
        ({"dtype": "float16"}, r"'float32' or 'bfloat16'"),
        ({"device": "cuda"}, r"computes on device='cpu'"),
        ({"backend": "onnx"}, r"backend='onnx'"),
    ):
        with pytest.raises(ConfigError, match=reason):
            ModelSettings(**{"backend": "openvino", **settings})


@pytest.mark.parametrize(
    ("kind", "settings", "reason"),
    [
        ("gte", {"method": "self_extend"}, "method 'self_extend'"),
        ("gte", {"method": "ntk", "logn_scaling": True}, "logn_scaling"),
        ("modernbert", {"method": "ntk"}, "method 'ntk' with 'modernbert'"),
    ],
)
def test_what_acts_inside_the_attention_is_refused(kind, settings, reason) -> None:
    with pytest.raises(ModelError, match=f"cannot compute {reason}.*backend='torch'"):
        le.load(str(folder_of(kind)), backend="openvino", max_seq_length=2048, **settings)
    model = le.load(str(folder_of(kind)), "pcw", backend="openvino")
    with pytest.raises(ModelError, match=reason):
        le.extend(model, max_seq_length=2048, **settings)


def test_a_graph_that_computes_something_else_is_refused(small_model) -> None:
    """What is not known of an architecture shows when its graph is compared."""
    with pytest.raises(ModelError, match=r"(?s)OpenVINO.*backend='torch'"):
        le.load(str(small_model("gpt2")), "pcw", backend="openvino")


def test_bfloat16_without_instructions_for_it_is_said(monkeypatch, caplog) -> None:
    class Core:
        def get_property(self, device, name):
            return ["FP32"]

    monkeypatch.setattr(engine, "_core", Core)
    with caplog.at_level(logging.WARNING):
        OpenVino("float32")
        assert not caplog.records
        OpenVino("bfloat16")
    assert "no instructions for bfloat16" in caplog.text


def test_costs_are_those_of_the_engine(minilm_folder, monkeypatch) -> None:
    asked: list[int] = []
    real = OpenVino.start

    def counted(self, reader, inputs, streams):
        asked.append(inputs["input_ids"].numel())
        return real(self, reader, inputs, streams)

    monkeypatch.setattr(OpenVino, "start", counted)
    model = le.load(str(minilm_folder), "pcw", backend="openvino", dtype="bfloat16")
    asked.clear()
    with monkeypatch.context() as patch:
        # A clock that only the engine moves: a second a token.
        patch.setattr(time, "perf_counter", lambda: float(sum(asked)))
        costs = estimate_costs(model, [256, 4096])
    assert max(asked) > 200, "the measured text was read by the engine"
    assert costs[1].seconds > 10 * costs[0].seconds
    plain = estimate_costs(le.load(str(minilm_folder), "pcw"), [256, 4096])
    assert [2 * cost.megabytes for cost in costs] == [cost.megabytes for cost in plain]


@pytest.mark.parametrize("kind", ["sparse", pytest.param("late", marks=pytest.mark.slow)])
def test_other_classes_are_those_of_torch(kind) -> None:
    """Sparse vectors and token vectors; the heads behind them are torch's."""
    name, encode = {
        "sparse": (splade("bert"), lambda model, texts: model.encode(texts).to_dense()),
        "late": (late("gte"), lambda model, texts: torch.cat(model.encode_document(texts))),
    }[kind]
    plain = le.load(name, "pcw")
    compiled = le.load(name, "pcw", backend="openvino")
    inputs = texts(10, 64, 200)
    assert difference(encode(compiled, inputs), encode(plain, inputs)) < 5e-5
    assert le.fingerprint(compiled) == le.fingerprint(plain)


def test_pairs_are_not_computed_by_it() -> None:
    with pytest.raises(ModelError, match="computed by torch alone"):
        le.load(pairs("bert"), backend="openvino")
