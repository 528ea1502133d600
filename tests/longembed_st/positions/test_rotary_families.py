"""Every rotary model type: the numbers against a dense reference, and what stays as it was."""

from __future__ import annotations

from functools import cache
from itertools import combinations

import pytest
import torch
from compare import difference
from reference.rotary import RotaryReference
from sentence_transformers import SentenceTransformer
from small_models import change_config, text_of
from small_rotary_models import KINDS, OTHERS, WINDOW, folder_of, random_ids, stock

import longembed_st as le

METHODS = ["gp", "rp", "pi", "ntk", "yarn", "self_extend"]
EXTENDED = 299  # s = 5, and no multiple of anything
LENGTHS = (65, 299)
FEW = ("nomic_bert", "modernbert", "llama", "gemma3_text")
"""An encoder, one with local layers, a decoder, and one with two bases."""
ONE = "nomic_bert"


@cache
def reference(kind, **config):
    return RotaryReference(folder_of(kind, **config), WINDOW, KINDS[kind].causal)


def extend(kind, method, logn=False, **options):
    settings = {} if method == "pcw" else {"max_seq_length": EXTENDED}
    return le.extend(stock(kind), method, logn_scaling=logn, **{**settings, **options})


def read(model, ids):
    with torch.inference_mode():
        return model[0].token_embeddings(ids)


def expected(kind, ids, method, extended=EXTENDED, **options):
    if method == "ntk" and not options.get("multiple"):
        options["multiple"] = 25.0  # the default, s^2
    return reference(kind).token_embeddings(ids, method, extended, **options)


def texts_of(model, lengths):
    return [text_of(n, model.tokenizer) for n in lengths]


# The numbers.


@pytest.mark.parametrize(
    "kind", [pytest.param(kind, marks=[] if kind == ONE else pytest.mark.slow) for kind in KINDS]
)
def test_the_reference_is_the_stock_model_on_short_texts(kind):
    for n in (1, 2, 17, 64):
        ids = random_ids(stock(kind).tokenizer, n)
        with torch.no_grad():
            own = stock(kind)[0].model(input_ids=ids, attention_mask=torch.ones_like(ids))
        assert difference(own.last_hidden_state, expected(kind, ids, "none")) < 2e-5


def test_these_models_tell_the_methods_apart():
    ids = random_ids(stock(ONE).tokenizer, 131)
    settings = [("none", False)]
    settings += [(method, logn) for method in METHODS for logn in (False, True)]
    states = {setting: expected(ONE, ids, setting[0], logn=setting[1]) for setting in settings}
    for setting, other in combinations(states, 2):
        assert difference(states[setting], states[other]) > 0.05, f"{setting} and {other}"


# One model type times all methods, and a few types times the one that acts inside the attention; in
# the slow suite, all types times the two places where a method can act.
ALL = [
    *[(ONE, method, False) for method in METHODS],
    *[(kind, "self_extend", True) for kind in FEW],
    *[pytest.param(kind, "ntk", False, marks=pytest.mark.slow) for kind in KINDS if kind != ONE],
    *[
        pytest.param(kind, "self_extend", True, marks=pytest.mark.slow)
        for kind in KINDS
        if kind not in FEW
    ],
]


@pytest.mark.parametrize(("kind", "method", "logn"), ALL)
def test_token_embeddings_equal_the_dense_reference(kind, method, logn):
    model = extend(kind, method, logn)
    for n in LENGTHS:
        ids = random_ids(model.tokenizer, n)
        assert difference(read(model, ids), expected(kind, ids, method, logn=logn)) < 1e-4, n


@pytest.mark.parametrize("method", ["pi", "ntk"])
def test_dynamic_factors_equal_the_dense_reference(method):
    options = {"base_factor": "formula"} if method == "ntk" else {}
    model = extend("llama", method, factor="dynamic", **options)
    for n in (65, 128, 129, 299):
        ids = random_ids(model.tokenizer, n)
        wanted = reference("llama").token_embeddings(ids, method, EXTENDED, dynamic=True)
        assert difference(read(model, ids), wanted) < 1e-4, n


def test_self_extend_takes_any_pair_of_group_size_and_window():
    kind, size, near = "gemma3_text", 17, 1
    model = extend(kind, "self_extend", group_size=size, neighbor_window=near)
    ids = random_ids(model.tokenizer, EXTENDED)
    wanted = expected(kind, ids, "self_extend", group=(size, near))
    assert difference(read(model, ids), wanted) < 1e-4


def test_wider_heads_equal_the_dense_reference():
    # Narrower weights: their products add up over more channels.
    changes = {"head_dim": 128, "initializer_range": 0.15}
    model = le.extend(stock("qwen3", **changes), "self_extend", max_seq_length=EXTENDED)
    ids = random_ids(model.tokenizer, 211)
    wanted = reference("qwen3", **changes).token_embeddings(ids, "self_extend", EXTENDED)
    assert difference(read(model, ids), wanted) < 1e-4


def test_every_rotary_family_that_is_declared_is_tested_here():
    declared = {name for name, family in le.families().items() if family.encoding == "rotary"}
    assert declared == {kind.model_type for kind in KINDS.values()}


def test_vectors_are_the_pooled_token_embeddings_of_the_reference():
    model = le.extend(stock("llama", pooling="lasttoken"), "self_extend", max_seq_length=EXTENDED)
    texts = texts_of(model, (65, 200, 299, 200))
    for text, vector in zip(texts, model.encode(texts), strict=True):
        ids = model.tokenizer(text, return_tensors="pt")["input_ids"]
        assert difference(vector, expected("llama", ids, "self_extend")[0, -1]) < 1e-4


# Short texts are sacred.

SHORT = (3, 7, 20, 63, 64, 64)


def one_by_one(model, texts):
    return torch.stack([model.encode(text, convert_to_tensor=True) for text in texts])


@cache
def short_vectors(kind, **settings):
    original = stock(kind, normalize=True, **settings)
    return one_by_one(original, texts_of(original, SHORT))


@pytest.mark.parametrize(
    ("kind", "method", "logn"),
    [
        (ONE, "pi", False),
        ("gemma3_text", "self_extend", True),
        *[
            pytest.param(kind, "self_extend", True, marks=pytest.mark.slow)
            for kind in KINDS
            if kind != "gemma3_text"
        ],
    ],
)
def test_short_texts_keep_their_vectors_alone_and_beside_long_ones(kind, method, logn):
    original = stock(kind, normalize=True)
    model = le.extend(original, method, max_seq_length=EXTENDED, logn_scaling=logn)
    short, long = texts_of(model, SHORT), texts_of(model, (65, 100, 200))
    assert difference(one_by_one(model, short), short_vectors(kind)) < 1e-6
    together = model.encode([long[0], *short, *long[1:]])[1 : 1 + len(short)]
    assert difference(together, short_vectors(kind)) < 1e-6


@pytest.mark.parametrize(
    ("kind", "side", "method"),
    [("llama", "left", "pcw"), ("modernbert", "left", "ntk")],
)
def test_the_padding_side_changes_no_vector(kind, side, method):
    settings = {"pooling": "lasttoken", "padding_side": side}
    length = None if method == "pcw" else EXTENDED
    model = le.extend(
        stock(kind, normalize=True, **settings),
        method,
        max_seq_length=length,
        on_overflow="truncate",
    )
    short = texts_of(model, SHORT)
    together = model.encode([*short, *texts_of(model, (65, 90))])[: len(short)]
    assert difference(together, short_vectors(kind, **settings)) < 1e-6


@pytest.mark.parametrize(
    ("kind", "method"),
    [("modernbert", "self_extend"), ("llama", "ntk")],
)
def test_the_method_begins_with_the_first_token_behind_the_window(kind, method):
    model = extend(kind, method)
    last, first = (random_ids(model.tokenizer, n) for n in (WINDOW, WINDOW + 1))
    assert difference(read(model, last), expected(kind, last, "none")) < 2e-5
    assert difference(read(model, first), expected(kind, first, method)) < 1e-4
    untouched = reference(kind).token_embeddings(first, "none", EXTENDED)
    assert difference(read(model, first), untouched) > 0.01


# Per text, never per batch.


@pytest.mark.parametrize(
    ("kind", "method"),
    [("gte", "ntk"), ("gemma3_text, causal", "self_extend")],
)
def test_a_vector_depends_on_its_text_alone(kind, method):
    model = le.extend(
        stock(kind, normalize=True),
        method,
        max_seq_length=EXTENDED,
        logn_scaling=True,
        token_budget=400,
    )
    texts = texts_of(model, (5, 64, 65, 66, 65, 130, 131, 299, 64, 12, 200))
    alone = one_by_one(model, texts)
    # Texts of up to 299 tokens with logits far sharper than any trained model's.
    assert difference(model.encode(texts), alone) < 1e-5
    assert difference(model.encode(texts[::-1])[::-1].copy(), alone) < 1e-5
    assert difference(model.encode(texts, batch_size=2), alone) < 1e-5


def test_a_vector_depends_on_its_text_alone_in_bfloat16_too():
    folder = folder_of("qwen2", normalize=True, initializer_range=0.1)
    original = SentenceTransformer(str(folder), model_kwargs={"dtype": torch.bfloat16})
    model = le.extend(original, "self_extend", max_seq_length=EXTENDED)
    texts = texts_of(model, (5, 64, 65, 65, 130, 299, 64, 12))
    alone = one_by_one(model, texts)
    # bfloat16 keeps 8 bits, of which each of the layers loses some: a few parts in 256.
    together = torch.tensor(model.encode(texts))
    assert torch.cosine_similarity(together, alone.float()).min() > 0.9995
    exact = le.extend(SentenceTransformer(str(folder)), "self_extend", max_seq_length=EXTENDED)
    vectors = exact.encode(texts, convert_to_tensor=True)
    assert torch.cosine_similarity(together, vectors).min() > 0.995


# What cannot be extended.


def test_local_layers_that_share_the_rotation_are_refused():
    layers = {"layer_types": ("full_attention", "sliding_attention")}
    original = stock("qwen2", use_sliding_window=True, sliding_window=16, **layers)
    with pytest.raises(le.ModelError, match=r"16 tokens.*pcw"):
        le.extend(original, "self_extend", max_seq_length=EXTENDED)
    model = le.extend(original, "pcw")
    short = texts_of(model, (10, 64))
    assert difference(model.encode(short), original.encode(short)) < 1e-5


def test_a_sliding_window_that_no_layer_uses_is_no_obstacle():
    model_type = "qwen2"
    original = stock(model_type, use_sliding_window=True, sliding_window=16, max_window_layers=2)
    assert "sliding_attention" not in original[0].config.layer_types
    model = le.extend(original, "self_extend", max_seq_length=EXTENDED)
    ids = random_ids(model.tokenizer, 131)
    assert difference(read(model, ids), expected(model_type, ids, "self_extend")) < 1e-4


def test_a_sliding_window_below_the_original_window_is_refused():
    original = stock("mistral", sliding_window=WINDOW - 1)
    with pytest.raises(le.ModelError, match=r"63 tokens.*pcw"):
        le.extend(original, "ntk", max_seq_length=EXTENDED)


def test_a_learned_table_is_refused_by_rotary_models():
    with pytest.raises(le.ModelError, match=r"position table.*It can take: .*self_extend"):
        le.extend(stock("llama"), "table", max_seq_length=128, stride=2)


def test_rotary_methods_are_refused_by_models_with_a_table(small_model):
    for method in ("ntk", "self_extend"):
        with pytest.raises(le.ModelError, match=r"'bert'.*It can take: .*gp.*pcw"):
            le.load(str(small_model("bert")), method=method, max_seq_length=256)


def test_without_a_method_a_rotary_model_reads_its_window_only():
    with pytest.raises(le.ModelError, match=r"65 by itself.*self_extend"):
        le.extend(stock("mistral"), "none", max_seq_length=65)
    model = le.extend(stock("mistral"), "none", max_seq_length=64, on_overflow="truncate")
    texts = texts_of(model, (64, 80))
    assert difference(model.encode(texts), stock("mistral").encode(texts)) < 1e-5


def test_a_rotary_checkpoint_that_calls_its_positions_rotary_is_loaded(tmp_path):
    folder = folder_of("gte", seed=3)
    change_config(folder, position_embedding_type="rope")
    assert le.load(str(folder), "pi").max_seq_length == 8 * WINDOW


# The paper's 7B model, in small.


@cache
def e5_mistral(**changes):
    """The configuration of intfloat/e5-mistral-7b-instruct but for its size, limit 4,096."""
    settings = {
        "limit": 4096,
        "bos_token_id": 1,
        "pad_token_id": 2,
        "head_dim": 8,
        "hidden_act": "silu",
        "max_position_embeddings": 32768,
        "rms_norm_eps": 1e-5,
        "rope_theta": 10000.0,
        "sliding_window": 4096,
    }
    folder = folder_of("mistral", pooling="lasttoken", normalize=True, **{**settings, **changes})
    return SentenceTransformer(str(folder))


def test_e5_mistral_turns_with_a_base_of_100000_and_looks_all_the_way_back():
    original = e5_mistral()
    model = le.extend(original, "ntk", max_seq_length=32768, base_factor=10)
    assert model[0].extension.original_max_seq_length == 4096
    # Its limit is lifted in the extended copy only.
    assert model[0].config.sliding_window is None
    assert model[0].model.config.sliding_window is None
    assert original[0].model.config.sliding_window == 4096
    assert le.extend(original, "pcw")[0].config.sliding_window == 4096
    text = text_of(5003, model.tokenizer)
    ids = model.tokenizer(text, return_tensors="pt", verbose=False)["input_ids"]
    changed = e5_mistral(limit=32768, rope_theta=100000.0, sliding_window=None)
    assert changed[0].config.rope_parameters["rope_theta"] == 100000.0
    assert difference(model.encode(text), changed.encode(text)) < 1e-4
    with torch.inference_mode():
        whole = changed[0].model(input_ids=ids).last_hidden_state
    assert difference(read(model, ids), whole) < 1e-2


# Positions that are neither learned nor rotary.


@pytest.mark.parametrize("kind", ["t5", "bloom"])
def test_models_that_read_on_by_themselves_take_a_larger_window_without_a_method(kind):
    original = stock(kind, normalize=True)
    model = le.extend(original, "none", max_seq_length=256)
    raised = SentenceTransformer(str(folder_of(kind, normalize=True)))
    raised.max_seq_length = 256
    texts = texts_of(model, (5, 64, 65, 256))
    vectors = model.encode(texts)
    assert difference(vectors, one_by_one(raised, texts)) < 1e-6
    assert difference(vectors[3], original.encode(texts[3])) > 0.01
    assert original.max_seq_length == WINDOW


def test_models_that_read_on_by_themselves_refuse_the_methods():
    for kind, method in (("t5", "self_extend"), ("bloom", "pi")):
        with pytest.raises(le.ModelError, match=rf"{kind}.*reads past its window.*none, pcw"):
            le.extend(stock(kind), method, max_seq_length=256)


def test_models_that_read_on_by_themselves_are_read_in_windows_by_default():
    for kind in OTHERS:
        assert le.extend(stock(kind))[0].extension.method == "pcw"


def test_log_n_scaling_is_refused_where_it_would_do_nothing():
    for method in ("none", "pcw"):
        with pytest.raises(le.ConfigError, match=rf"logn_scaling.*{method}"):
            le.extend(stock("llama"), method, logn_scaling=True)
