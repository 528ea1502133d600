"""Rotations, and what becomes of an extended rotary model: saved, baked, trained; real weights."""

from __future__ import annotations

import json
import math
from functools import cache
from pathlib import Path

import pytest
import torch
from compare import cosine, difference
from fresh_process import run_fresh
from reference.rotary import RotaryReference, plan_for, rope_frequencies
from sentence_transformers import SentenceTransformer
from small_models import text_of
from small_rotary_models import KINDS, WINDOW, folder_of, random_ids, stock
from tokenizers import Tokenizer, models
from torch import nn
from torch.nn.functional import cross_entropy
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast
from transformers.models.llama.modeling_llama import apply_rotary_pos_emb

import longembed_st as le
from longembed_st.method import Frequencies
from longembed_st.rotary import MethodRotary, Rotation, own_frequencies, rotating

METHODS = ["gp", "rp", "pi", "ntk", "yarn", "self_extend"]
SHARED_MODELS = Path(__file__).parents[3] / "shared" / "models"


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """Tensors this small are read faster by one thread than by several."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def needs(name):
    return pytest.mark.skipif(
        not (SHARED_MODELS / name).is_dir(), reason=f"{SHARED_MODELS / name} is not there"
    )


def rotation(positions=None, width=16, **changes):
    inverse = rope_frequencies(width, 10_000.0).float()
    return Rotation(positions, Frequencies(inverse=inverse, base=10_000.0, **changes))


def rotated(states, places, **changes):
    """States of shape (1, heads, n, d), turned by transformers with our cosine and sine."""
    cos, sin = rotation(places, states.shape[-1], **changes).cos_sin(len(places), states)
    return apply_rotary_pos_emb(states, states, cos, sin)[0]


# Rotations.


def test_a_rotation_is_that_of_transformers():
    states = torch.randn(1, 3, 50, 8)
    rotary = stock("llama")[0].model.rotary_emb
    wanted = rotary(states, torch.arange(50)[None])
    found = rotation(torch.arange(50), 8).cos_sin(50, states)
    for ours, theirs in zip(found, wanted, strict=True):
        assert difference(ours, theirs) < 5e-6


@pytest.mark.parametrize("shift", [-70, 3, 0.25])
def test_only_the_distance_of_two_positions_counts(shift):
    torch.manual_seed(0)
    query, key = torch.randn(2, 1, 1, 20, 16).unbind(0)
    places = torch.arange(20).double()
    here = rotated(query, places) @ rotated(key, places).mT
    there = rotated(query, places + shift) @ rotated(key, places + shift).mT
    assert difference(here, there) < 1e-4
    assert difference(here, query @ key.mT) > 0.1


def test_a_quarter_turn_by_hand():
    quarter = Rotation(None, Frequencies(inverse=torch.tensor([math.pi / 2, 0.0]), base=1.0))
    cos, sin = quarter.turn(torch.tensor([0, 1, -1]), torch.zeros(()))
    # Channel 0 turns by a quarter a position, the other one stands still.
    assert difference(cos, torch.tensor([[1.0, 1.0], [0.0, 1.0], [0.0, 1.0]])) < 1e-6
    assert difference(sin, torch.tensor([[0.0, 0.0], [1.0, 0.0], [-1.0, 0.0]])) < 1e-6


def test_the_attention_factor_multiplies_queries_and_keys():
    states = torch.randn(1, 2, 9, 16)
    longer = rotated(states, torch.arange(9), attention_factor=1.2)
    assert difference(longer, 1.2 * rotated(states, torch.arange(9))) < 1e-6


def test_a_fraction_of_a_position_far_out_is_not_lost():
    place = torch.tensor([1_000_000 + 1 / 8], dtype=torch.float64)
    cos, _ = rotation().turn(place, torch.zeros(()))
    exact = place[:, None] * rotation().frequencies.inverse.double()
    assert difference(cos, exact.cos()) < 0.05


def test_half_precision_rounds_only_the_result():
    places = torch.tensor([0, 1, 1000, 4001, 30_001])
    cos, sin = rotation().turn(places, torch.zeros((), dtype=torch.bfloat16))
    exact = places.double()[:, None] * rotation().frequencies.inverse.double()
    assert cos.dtype == sin.dtype == torch.bfloat16
    assert difference(cos, exact.cos()) < 2**-8
    assert difference(sin, exact.sin()) < 2**-8


class TestMethodRotary:
    class Original(nn.Module):
        def forward(self, x, position_ids, *layer_type):
            return layer_type, position_ids

    x, ids = torch.zeros(1, 3, 8), torch.arange(3)[None]

    def turning(self, positions):
        return rotating(rotation(positions, 8, attention_factor=1.5))

    def test_outside_it_is_the_original(self):
        rotary = MethodRotary(self.Original())
        assert rotary(self.x, self.ids) == ((), self.ids)
        assert rotary(self.x, self.ids, "full_attention") == (("full_attention",), self.ids)

    def test_local_layers_turn_as_ever(self):
        rotary = MethodRotary(self.Original())
        with self.turning(torch.zeros(3)):
            assert rotary(self.x, self.ids, "sliding_attention")[0] == ("sliding_attention",)
            assert rotary(self.x, self.ids, "full_attention")[0] is not None

    def test_without_positions_queries_and_keys_stay_unturned_and_unscaled(self):
        with self.turning(None):
            cos, sin = MethodRotary(self.Original())(self.x, self.ids)
        assert cos.shape == (1, 3, 8)
        assert torch.equal(cos, torch.ones_like(cos))
        assert torch.equal(sin, torch.zeros_like(sin))

    def test_blocks_may_be_nested(self):
        rotary = MethodRotary(self.Original())
        with self.turning(None):
            with self.turning(torch.ones(3)):
                assert rotary(self.x, self.ids)[1].any()
            assert not rotary(self.x, self.ids)[1].any()
        assert rotary(self.x, self.ids) == ((), self.ids)


@pytest.mark.parametrize("kind", ["llama", "modernbert", "gemma3_text"])
def test_own_frequencies_are_those_of_the_global_layers(kind):
    model = stock(kind)[0].model
    found = own_frequencies(model.rotary_emb, model.config)
    parameters = model.config.rope_parameters
    base = parameters.get("full_attention", parameters)["rope_theta"]
    assert found.base == base
    assert found.attention_factor == 1
    assert difference(found.inverse, rope_frequencies(8, base)) < 1e-7


@pytest.mark.parametrize("method", ["pi", "self_extend"])
def test_a_dynamic_model_that_has_read_a_long_text_extends_as_if_it_had_not(method):
    folder = str(folder_of("llama", rope_type="dynamic", factor=4.0))
    used = SentenceTransformer(folder)
    used.max_seq_length = 250
    used.encode(text_of(250, used.tokenizer))
    settings = {"original_max_seq_length": WINDOW, "max_seq_length": 250}
    text = text_of(200, used.tokenizer)
    model = le.extend(SentenceTransformer(folder), method, **settings)
    assert difference(le.extend(used, method, **settings).encode(text), model.encode(text)) < 1e-6


# Saved and loaded.

SAVED = {
    "gp": {"kind": "nomic_bert", "method": "gp", "factor": "dynamic"},
    "ntk": {"kind": "modernbert", "method": "ntk", "base_factor": "paper", "logn_scaling": True},
    "yarn": {"kind": "gemma3_text", "method": "yarn", "beta_fast": 20.0},
    "self_extend": {"kind": "llama", "method": "self_extend", "group_size": 9},
    "pi": {"kind": "mistral", "method": "pi", "padding_side": "left", "pooling": "lasttoken"},
}
STOCK = ("kind", "padding_side", "pooling")


def saved_model(name):
    settings = dict(SAVED[name])
    model = stock(normalize=True, **{key: settings.pop(key) for key in STOCK if key in settings})
    return le.extend(model, max_seq_length=300, **settings)


def test_saved_models_give_the_same_vectors_in_a_fresh_process(tmp_path):
    told, wanted = {}, {}
    for name in SAVED:
        model = saved_model(name)
        model.save_pretrained(str(tmp_path / name))
        texts = [text_of(n, model.tokenizer) for n in (10, 64, 65, 200, 300)]
        told[name] = [str(tmp_path / name), texts]
        wanted[name] = model.encode(texts).tolist()
    found = run_fresh(
        """
        import longembed_st as le
        from sentence_transformers import SentenceTransformer
        found = {}
        for name, (folder, texts) in given.items():
            again = le.load(folder)
            plainly = SentenceTransformer(folder, trust_remote_code=True)
            found[name] = [again.encode(texts).tolist(), plainly.encode(texts).tolist()]
            found[name].append(repr(again[0].extension))
        answer(found)
        """,
        tmp_path,
        given=told,
    )
    for name, (loaded, plainly, extension) in found.items():
        assert difference(loaded, wanted[name]) < 1e-6, name
        assert difference(plainly, wanted[name]) < 1e-6, name
        assert extension == repr(saved_model(name)[0].extension)


@pytest.mark.slow
def test_worker_processes_give_the_same_vectors(tmp_path):
    model = saved_model("self_extend")
    model.save_pretrained(str(tmp_path / "model"))
    texts = [text_of(n, model.tokenizer) for n in (10, 64, 65, 200)] * 2
    found = run_fresh(
        """
        import longembed_st as le
        if __name__ == "__main__":
            folder, texts = given
            model = le.load(folder)
            answer(model.encode(texts, device=["cpu", "cpu"], chunk_size=4).tolist())
        """,
        tmp_path,
        given=[str(tmp_path / "model"), texts],
    )
    assert difference(found, model.encode(texts)) < 1e-6


# Baked.

BAKED_KINDS = ["nomic_bert", "modernbert", "gemma3_text", "llama", "mistral"]
BAKED_METHODS = ["pi", "ntk", "yarn"]
BAKED_LENGTHS = (65, 200, 256)


@pytest.fixture(scope="module")
def baked(tmp_path_factory):
    """Vectors of stock sentence-transformers, without this package, by kind and method."""
    folder = tmp_path_factory.mktemp("baked")
    told = {}
    for kind in BAKED_KINDS:
        for method in BAKED_METHODS:
            model = le.extend(stock(kind, normalize=True), method, max_seq_length=256)
            texts = [text_of(n, model.tokenizer) for n in (20, 64, *BAKED_LENGTHS)]
            with pytest.warns(le.ShortTextsChangeWarning, match="do not mix"):
                le.bake(model, folder / f"{kind} {method}")
            told[f"{kind} {method}"] = [str(folder / f"{kind} {method}"), texts]
    return run_fresh(
        """
        from sentence_transformers import SentenceTransformer
        found = {}
        for name, (folder, texts) in given.items():
            model = SentenceTransformer(folder)
            found[name] = [model.max_seq_length, model.encode(texts).tolist()]
        assert not any(name.startswith("longembed") for name in sys.modules)
        answer(found)
        """,
        folder,
        given=told,
        blocked=("longembed_st", "longembed_methods"),
    )


@pytest.mark.parametrize("method", BAKED_METHODS)
@pytest.mark.parametrize("kind", BAKED_KINDS)
def test_baked_models_give_the_long_vectors_without_this_package(baked, kind, method):
    window, vectors = baked[f"{kind} {method}"]
    original = stock(kind, normalize=True)
    model = le.extend(original, method, max_seq_length=256)
    long = [text_of(n, model.tokenizer) for n in BAKED_LENGTHS]
    assert window == 256
    assert difference(vectors[2:], model.encode(long)) < 1e-5
    # As the warning says, short texts get other vectors.
    short = [text_of(n, model.tokenizer) for n in (20, 64)]
    assert difference(vectors[1], original.encode(short[1])) > 1e-3
    assert difference(model.encode(short), original.encode(short)) < 1e-6


def test_a_baked_model_says_in_its_card_what_it_does(tmp_path):
    with pytest.warns(le.ShortTextsChangeWarning):
        le.bake(le.extend(stock("llama"), "ntk", max_seq_length=256), tmp_path / "out")
    card = (tmp_path / "out" / "README.md").read_text()
    assert "from 64 to 256 tokens" in card
    assert "other vectors than from the original model" in card


def test_baking_leaves_the_model_as_it_was(tmp_path):
    original = stock("mistral", normalize=True)
    model = le.extend(original, "ntk", max_seq_length=256)
    text = text_of(200, model.tokenizer)
    before = model.encode(text)
    config = original[0].config.to_dict()
    with pytest.warns(le.ShortTextsChangeWarning):
        le.bake(model, tmp_path / "out")
    assert difference(model.encode(text), before) == 0
    assert original[0].config.to_dict() == config
    assert model[0].config.rope_parameters["rope_theta"] == 10_000.0


REFUSED = {
    "gp": ({"method": "gp"}, r"gp.*save_pretrained"),
    "rp": ({"method": "rp"}, r"rp.*save_pretrained"),
    "self_extend": ({"method": "self_extend"}, r"self_extend.*save_pretrained"),
    "dynamic ntk": ({"method": "ntk", "factor": "dynamic"}, r"dynamic.*static"),
    "dynamic pi": ({"method": "pi", "factor": "dynamic"}, r"dynamic.*static"),
    "logn": ({"method": "ntk", "logn_scaling": True}, r"log-n.*save_pretrained"),
    "pcw": ({"method": "pcw", "max_seq_length": None}, r"pcw.*save_pretrained"),
}


@pytest.mark.parametrize("name", REFUSED)
@pytest.mark.parametrize("kind", ["llama", "modernbert"])
def test_what_works_at_run_time_only_is_not_baked(tmp_path, kind, name):
    settings, message = REFUSED[name]
    model = le.extend(stock(kind), **{"max_seq_length": 256, **settings})
    with pytest.raises(le.ModelError, match=message):
        le.bake(model, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("method", BAKED_METHODS)
@pytest.mark.parametrize("rope_type", ["linear", "yarn", "llama3", "dynamic"])
def test_a_second_scheme_is_not_baked_over_the_models_own(tmp_path, rope_type, method):
    more = {
        "yarn": {"original_max_position_embeddings": 16},
        "llama3": {
            "original_max_position_embeddings": 16,
            "low_freq_factor": 1.0,
            "high_freq_factor": 4.0,
        },
    }
    folder = folder_of("llama", rope_type=rope_type, factor=4.0, **more.get(rope_type, {}))
    model = le.extend(SentenceTransformer(str(folder)), method, max_seq_length=256)
    with pytest.raises(le.ModelError, match=rf"{rope_type}.*save_pretrained"):
        le.bake(model, tmp_path / "out")


# Trained.


@pytest.mark.parametrize(("method", "logn"), [("pi", True), ("ntk", False), ("yarn", False)])
@pytest.mark.parametrize("kind", ["nomic_bert", "modernbert", "llama"])
def test_gradients_equal_those_of_the_dense_reference(kind, method, logn):
    model = le.extend(
        SentenceTransformer(str(folder_of(kind))), method, max_seq_length=300, logn_scaling=logn
    ).train()
    reference = RotaryReference(folder_of(kind), WINDOW, KINDS[kind].causal)
    ids = random_ids(model.tokenizer, 131)
    multiple = {"multiple": 25.0} if method == "ntk" else {}
    plan = plan_for(
        method, 131, WINDOW, 300, reference.width, reference.base, logn=logn, **multiple
    )
    weights = torch.randn(131, 32, generator=torch.Generator().manual_seed(0))
    (model[0].token_embeddings(ids)[0] * weights).sum().backward()
    (reference.run(ids, plan, gradients=True)[0] * weights).sum().backward()
    wanted = {name: p.grad for name, p in reference.model.named_parameters() if p.grad is not None}
    found = dict(model[0].model.named_parameters())
    assert wanted
    for name, gradient in wanted.items():
        assert difference(found[name].grad, gradient) < 1e-4 * gradient.abs().max() + 1e-6, name


@pytest.mark.parametrize("kind", ["nomic_bert", "llama"])
def test_self_extend_says_that_it_cannot_be_trained(kind):
    model = le.extend(SentenceTransformer(str(folder_of(kind))), "self_extend", max_seq_length=300)
    ids = random_ids(model.tokenizer, 131)
    with pytest.raises(le.ModelError, match="gradient"):
        model.train()[0].token_embeddings(ids)
    with torch.no_grad():
        assert model.eval()[0].token_embeddings(ids).isfinite().all()


@pytest.mark.parametrize("kind", ["nomic_bert", "modernbert", "llama", "qwen3"])
def test_autocast_changes_no_more_than_its_precision(kind):
    model = le.extend(SentenceTransformer(str(folder_of(kind))), "self_extend", max_seq_length=300)
    text = text_of(131, model.tokenizer)
    wanted = torch.tensor(model.encode(text))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = torch.tensor(model.encode(text)).float()
    assert cosine(found[None], wanted[None]) > 0.99


def test_short_texts_train_with_self_extend_as_without():
    folder = str(folder_of("llama"))
    plain = SentenceTransformer(folder).train()
    model = le.extend(SentenceTransformer(folder), "self_extend", max_seq_length=300).train()
    texts = [text_of(n, model.tokenizer) for n in (10, 64)]
    for one in (plain, model):
        one(one.preprocess(texts))["sentence_embedding"].pow(3).sum().backward()
    wanted = dict(plain[0].model.named_parameters())
    for name, parameter in model[0].model.named_parameters():
        scale = wanted[name].grad.abs().max()
        assert difference(parameter.grad, wanted[name].grad) < 1e-4 * scale, name


# Real weights.


@cache
def roformer():
    folder = str(SHARED_MODELS / "roformer-sim-small-zh")
    return SentenceTransformer(folder, model_kwargs={"dtype": torch.float32}, device="cpu")


SENTENCES = [
    "今天天气很好，我们去公园散步。",
    "合同于三月底到期，需要提前续签。",
    "河边的灯光照亮了整座城市。",
]


def chinese(tokens):
    """A text of about so many tokens: one a character."""
    whole = "".join(SENTENCES)
    return (whole * (tokens // len(whole) + 1))[: tokens - 2]


@needs("roformer-sim-small-zh")
@pytest.mark.parametrize("method", ["rp", "ntk", "self_extend", "pcw"])
def test_short_texts_of_a_real_encoder_keep_their_vectors(method):
    length = {} if method == "pcw" else {"max_seq_length": 4096}
    model = le.extend(roformer(), method, **length)
    assert model[0].extension.original_max_seq_length == 512
    short = [*SENTENCES[:2], "", "x", chinese(512)]
    assert len(roformer().tokenizer(short[-1])["input_ids"]) == 512
    wanted = torch.stack([roformer().encode(text, convert_to_tensor=True) for text in short])
    scale = wanted.norm(dim=1).max()
    found = torch.tensor(model.encode([chinese(600), *short])[1:])
    assert difference(found / scale, wanted / scale) < 1e-6


@needs("roformer-sim-small-zh")
@pytest.mark.parametrize("method", ["pi", "ntk", "self_extend"])
def test_a_real_encoder_equals_the_dense_reference(method):
    # As if it had been trained on 128 tokens: the dense reference takes its time.
    windows = {"original_max_seq_length": 128, "max_seq_length": 256}
    model = le.extend(roformer(), method, logn_scaling=True, **windows)
    ids = roformer().tokenizer(chinese(200), return_tensors="pt", verbose=False)["input_ids"]
    reference = RotaryReference(SHARED_MODELS / "roformer-sim-small-zh", 128, causal=False)
    with torch.inference_mode():
        found = model[0].token_embeddings(ids)
    multiple = {"multiple": 4.0} if method == "ntk" else {}
    wanted = reference.token_embeddings(ids, method, 256, logn=True, **multiple)
    assert difference(found, wanted) < 1e-4


@pytest.mark.slow
@needs("roformer-sim-small-zh")
@pytest.mark.parametrize("method", [*METHODS, "pcw"])
def test_a_real_encoder_reads_8192_tokens(method):
    length = {} if method == "pcw" else {"max_seq_length": 8192}
    model = le.extend(roformer(), method, **length)
    text = chinese(8192)
    (read,) = le.coverage(model, [text])
    assert (read.tokens, read.read) == (8192, 8192)
    vector = model.encode(text)
    assert torch.tensor(vector).isfinite().all()
    # A repetition is still about what it repeats.
    near = roformer().encode("".join(SENTENCES))
    far = roformer().encode("股票价格昨天大幅下跌")
    assert cosine(vector[None], near[None]) > cosine(vector[None], far[None])


@cache
def stories():
    """The language model's body as a sentence-transformers model, its head, and its text."""
    folder = SHARED_MODELS / "stories15M"
    whole = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    parts = folder_of("llama").parent / "stories"
    whole.model.save_pretrained(parts)
    backend = Tokenizer(models.WordLevel({str(i): i for i in range(32_000)}, unk_token="0"))
    PreTrainedTokenizerFast(tokenizer_object=backend, pad_token="0").save_pretrained(parts)
    base = SentenceTransformer(str(parts), model_kwargs={"dtype": torch.float32})
    ids = torch.tensor(json.loads((folder / "stories_ids.json").read_text()))
    return base, whole.lm_head, ids


def losses(model, n):
    """Next-token loss of each of n tokens."""
    _, head, ids = stories()
    with torch.inference_mode():
        hidden = model[0].token_embeddings(ids[None, :n])[0]
        return cross_entropy(head(hidden), ids[1 : n + 1], reduction="none")


@needs("stories15M")
def test_self_extend_keeps_a_language_models_loss_beyond_its_window():
    base, _, _ = stories()
    inside = losses(le.extend(base, "none"), 256).mean()
    model = le.extend(base, "self_extend", max_seq_length=1024)
    assert model[0].extension.original_max_seq_length == 256
    beyond = losses(model, 1024)[256:].mean()
    assert beyond < 1.15 * inside
    assert 0.5 < inside < 0.7  # the table of shared/models/README.md


@needs("stories15M")
def test_without_a_method_a_language_models_loss_explodes_beyond_its_window():
    base, _, _ = stories()
    # The model as it is, at positions that it never saw: a base multiplied by one.
    beyond = losses(le.extend(base, "ntk", max_seq_length=1024, base_factor=1.0), 1024)[256:]
    assert beyond.mean() > 4
    with torch.inference_mode():
        hidden = base[0].model(input_ids=stories()[2][None, :1024]).last_hidden_state[0]
        own = cross_entropy(stories()[1](hidden), stories()[2][1:1025], reduction="none")
    assert own[256:].mean() == pytest.approx(beyond.mean().item(), abs=0.01)


@needs("stories15M")
@pytest.mark.parametrize(
    ("settings", "published"),
    [
        ({"method": "pi"}, [1.70, 1.72, 1.88, 1.56, 1.77, 1.50, 2.35, 2.09]),
        ({"method": "ntk", "base_factor": 5.0}, [0.65, 0.78, 0.57, 0.56, 0.82, 1.59, 4.22, 4.88]),
        ({"method": "ntk", "base_factor": 16.0}, [0.83, 1.00, 0.86, 0.81, 1.11, 0.79, 1.08, 1.26]),
        (
            {"method": "self_extend", "group_size": 8, "neighbor_window": 128},
            [0.55, 0.66, 0.45, 0.47, 0.67, 0.50, 0.54, 0.65],
        ),
    ],
    ids=str,
)
def test_a_language_models_loss_is_that_of_an_independent_prototype(settings, published):
    # The table in shared/models/README.md was computed by a slow dense prototype.
    model = le.extend(stories()[0], max_seq_length=1024, **settings)
    found = [block.mean().item() for block in losses(model, 1024).split(128)]
    assert found == pytest.approx(published, abs=0.02)
