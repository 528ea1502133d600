"""Real weights: a rotary encoder and a language model beside the repository."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import pytest
import torch
from compare import cosine, difference
from reference.rotary import RotaryReference
from sentence_transformers import SentenceTransformer
from small_rotary_models import folder_of
from tokenizers import Tokenizer, models
from torch.nn.functional import cross_entropy
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast

import longembed_st as le

METHODS = ["gp", "rp", "pi", "ntk", "yarn", "self_extend"]
SHARED_MODELS = Path(__file__).parents[3] / "shared" / "models"


def needs(name):
    return pytest.mark.skipif(
        not (SHARED_MODELS / name).is_dir(), reason=f"../shared/models/{name} is not there"
    )


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
@pytest.mark.parametrize("method", ["self_extend", "pcw"])
def test_short_texts_of_a_real_encoder_keep_their_vectors(method):
    length = {} if method == "pcw" else {"max_seq_length": 4096}
    model = le.extend(roformer(), method, **length)
    assert model[0].extension.original_max_seq_length == 512
    short = [*SENTENCES[:2], "", "x", chinese(512)]
    assert len(roformer().tokenizer(short[-1])["input_ids"]) == 512
    wanted = torch.stack([roformer().encode(text, convert_to_tensor=True) for text in short])
    scale = wanted.norm(dim=1).max()
    vectors = torch.tensor(model.encode([chinese(600), *short])[1:])
    assert difference(vectors / scale, wanted / scale) < 1e-6


@needs("roformer-sim-small-zh")
@pytest.mark.parametrize("method", ["ntk", "self_extend"])
def test_a_real_encoder_equals_the_dense_reference(method):
    # As if it had been trained on 128 tokens: the dense reference takes its time.
    windows = {"original_max_seq_length": 128, "max_seq_length": 256}
    model = le.extend(roformer(), method, logn_scaling=True, **windows)
    ids = roformer().tokenizer(chinese(200), return_tensors="pt", verbose=False)["input_ids"]
    reference = RotaryReference(SHARED_MODELS / "roformer-sim-small-zh", 128, causal=False)
    with torch.inference_mode():
        states = model[0].token_embeddings(ids)
    multiple = {"multiple": 4.0} if method == "ntk" else {}
    wanted = reference.token_embeddings(ids, method, 256, logn=True, **multiple)
    assert difference(states, wanted) < 1e-4


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
    means = [block.mean().item() for block in losses(model, 1024).split(128)]
    assert means == pytest.approx(published, abs=0.02)
