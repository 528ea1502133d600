"""Hooks act on an extended copy, while it reads a long text, in one thread, and nowhere else."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import cache

import pytest
import torch
from compare import difference
from reference.rotary import RotaryReference
from sentence_transformers import SentenceTransformer
from small_models import text_of
from small_rotary_models import KINDS, WINDOW, folder_of, random_ids, stock
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

import longembed_st as le

EXTENSIONS = {
    "self_extend": {"method": "self_extend", "max_seq_length": 300},
    "self_extend, other pair": {
        "method": "self_extend",
        "max_seq_length": 300,
        "group_size": 20,
        "neighbor_window": 30,
        "logn_scaling": True,
    },
    "ntk": {"method": "ntk", "max_seq_length": 300},
    "pi": {"method": "pi", "max_seq_length": 300, "logn_scaling": True},
    "yarn, less far": {"method": "yarn", "max_seq_length": 150, "on_overflow": "truncate"},
}


@cache
def texts():
    tokenizer = stock("llama").tokenizer
    return tuple(text_of(n, tokenizer) for n in (65, 20, 140, 62, 297))


def fresh(kind):
    """A model of its own, which no other test extends."""
    return SentenceTransformer(str(folder_of(kind, normalize=True)), device="cpu")


def vectors_of(model):
    return torch.stack([model.encode(text, convert_to_tensor=True) for text in texts()])


def state_of(model):
    transformer = model[0].model
    return (
        [(name, type(module)) for name, module in transformer.named_modules()],
        transformer.config._attn_implementation,
        transformer.config.to_dict(),
        model.max_seq_length,
        model.tokenizer.model_max_length,
    )


# Side by side.


def test_extensions_leave_each_other_and_the_original_alone():
    kind = "modernbert"
    original = fresh(kind)
    before, state = vectors_of(original), state_of(original)
    # Each alone, from a model of its own.
    alone = {
        name: vectors_of(le.extend(fresh(kind), **settings))
        for name, settings in EXTENSIONS.items()
    }
    models = {name: le.extend(original, **settings) for name, settings in EXTENSIONS.items()}
    # By turns, text by text.
    rows = {name: [] for name in models}
    for text in texts():
        for name, model in models.items():
            rows[name].append(model.encode(text, convert_to_tensor=True))
    for name in models:
        assert difference(torch.stack(rows[name]), alone[name]) < 1e-6, name
    assert difference(vectors_of(original), before) < 1e-6
    assert state_of(original) == state
    for settings, next_name in zip([*models][:-1], [*models][1:], strict=True):
        assert difference(alone[settings][0], alone[next_name][0]) > 1e-3


def test_the_copys_own_forward_is_the_original_one():
    original = fresh("modernbert")
    model = le.extend(original, "ntk", max_seq_length=300)
    ids = random_ids(original.tokenizer, 131)
    mask = torch.ones_like(ids)
    with torch.no_grad():
        inside = model[0].model(input_ids=ids, attention_mask=mask).last_hidden_state
        outside = original[0].model(input_ids=ids, attention_mask=mask).last_hidden_state
    assert difference(inside, outside) < 2e-5


def test_a_pass_that_fails_leaves_nothing_behind():
    model = le.extend(fresh("llama"), "self_extend", max_seq_length=300)
    before = vectors_of(model)
    layer = model[0].model.layers[1]

    def fail(*_):
        raise RuntimeError("out of memory, say")

    handle = layer.register_forward_pre_hook(fail)
    with pytest.raises(RuntimeError, match="out of memory"):
        model.encode(texts()[0])
    handle.remove()
    assert difference(vectors_of(model), before) < 1e-6


# In threads.


def test_threads_give_the_vectors_of_one_after_the_other():
    original, names = fresh("modernbert"), ("self_extend", "yarn, less far")
    models = {name: le.extend(original, **EXTENSIONS[name]) for name in set(names)}
    wanted = {name: vectors_of(model) for name, model in models.items()}
    with ThreadPoolExecutor(2) as pool:
        tasks = [(name, pool.submit(vectors_of, models[name])) for name in names * 4]
        for name, task in tasks:
            assert difference(task.result(), wanted[name]) < 1e-6, name


# No dense mask.


class LargestSquare(TorchDispatchMode):
    """The largest n for which a tensor with two dimensions of n or more was made or used."""

    def __init__(self):
        super().__init__()
        self.size = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        output = function(*args, **(kwargs or {}))
        for value in tree_leaves((args, kwargs, output)):
            if isinstance(value, torch.Tensor) and value.ndim >= 2:
                # By memory: an expanded tensor costs nothing.
                sizes = [n for n, step in zip(value.shape, value.stride(), strict=True) if step]
                self.size = max([self.size, *sorted(sizes)[-2:-1]])
        return output


def largest_square(model, lengths):
    texts = [text_of(n, model.tokenizer) for n in lengths]
    with LargestSquare() as watch:
        model.encode(texts)
    return watch.size


def test_the_watch_sees_a_dense_mask():
    original = stock("modernbert")
    ids = random_ids(original.tokenizer, 777)
    with LargestSquare() as watch, torch.inference_mode():
        original[0].model(input_ids=ids)
    assert watch.size == 777


@pytest.mark.parametrize(
    ("kind", "method", "logn"),
    [
        ("modernbert", "pi", True),
        *[(kind, "self_extend", True) for kind in ("llama", "modernbert")],
        *[pytest.param(kind, "ntk", False, marks=pytest.mark.slow) for kind in KINDS],
        *[pytest.param(kind, "self_extend", True, marks=pytest.mark.slow) for kind in KINDS],
    ],
)
def test_no_square_matrix_is_made_of_a_long_text(kind, method, logn):
    model = le.extend(stock(kind), method, max_seq_length=900, logn_scaling=logn)
    # The band of SelfExtend is read in blocks of 256 rows at most, local layers likewise.
    assert largest_square(model, (777, 777, 640, 10)) < 400


def test_one_long_text_makes_no_mask_for_its_short_neighbours():
    model = le.extend(stock("modernbert"), "ntk", max_seq_length=900)
    short = largest_square(model, (9, 33, 64))
    assert largest_square(model, (9, 33, 64, 777)) <= max(short, 100)


# With frequencies that are scaled already.

SCALED = {
    "linear": {"factor": 2.0},
    "yarn": {"factor": 4.0, "original_max_position_embeddings": 16, "attention_factor": 1.3},
    "llama3": {
        "factor": 8.0,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": 16,
    },
}


@pytest.mark.parametrize(
    ("rope_type", "method"),
    [("yarn", "self_extend"), ("linear", "pi"), ("llama3", "ntk")],
)
def test_a_checkpoint_with_scaled_frequencies_keeps_its_scaling(rope_type, method):
    folder = folder_of("llama", rope_type=rope_type, **SCALED[rope_type])
    original = SentenceTransformer(str(folder))
    model = le.extend(original, method, max_seq_length=299)
    short = text_of(64, model.tokenizer)
    assert difference(model.encode(short), original.encode(short)) < 1e-6
    reference = RotaryReference(folder, WINDOW, causal=True)
    rotary = original[0].model.rotary_emb
    ids = random_ids(model.tokenizer, 299)
    inverse = rotary.inv_freq.double()
    multiple = {"multiple": 25.0} if method == "ntk" else {}
    with torch.inference_mode():
        states = model[0].token_embeddings(ids)
    # Queries and keys arrive with the attention factor of the checkpoint in the reference.
    wanted = reference.token_embeddings(ids, method, 299, inverse=inverse, **multiple)
    assert difference(states, wanted) < 1e-4
