"""Every class of models on MiniLM's backbone: time and memory beside one dense vector a text.

    python benchmarks/classes.py [MODEL] [--parts memory,time] [--texts 100] [--runs 3]

Heads that the backbone does not have are random: they cost what real ones do. The time of a class
is compared with that of the dense model for as many tokens, plus its own head on all of them.
"""

from __future__ import annotations

import argparse
import tempfile
import warnings
from collections.abc import Callable
from typing import Any

import torch
from measure import (
    extra_peak_megabytes,
    interleaved,
    minilm,
    mixed_lengths,
    random_texts,
    seconds,
    whole_peak_megabytes,
)
from sentence_transformers import CrossEncoder, MultiVectorEncoder, SparseEncoder
from sentence_transformers.base.modules import Dense, Transformer
from sentence_transformers.multi_vector_encoder.modules import MultiVectorMask
from sentence_transformers.sentence_transformer.modules import Normalize
from sentence_transformers.sparse_encoder.modules import SpladePooling
from transformers import AutoModelForSequenceClassification, AutoTokenizer

import longembed_st as le

LONG = 32_768
QUERY = "who spoke of the budget of the town"


def dense(name: str, method: str, **settings: Any):
    """Return a model with one vector a text."""
    return le.load(name, method, device="cpu", **settings)


def sparse(name: str, method: str, **settings: Any):
    """Return a model with a weight for each word of the vocabulary."""
    transformer = Transformer(name, transformer_task="fill-mask")
    stock = SparseEncoder(modules=[transformer, SpladePooling("max")], device="cpu")
    return le.extend(stock, method, **settings)


def late(name: str, method: str, **settings: Any):
    """Return a model with a vector of 128 numbers for each token."""
    transformer = Transformer(name)
    width = transformer.get_embedding_dimension()
    projection = Dense(
        width,
        128,
        bias=False,
        activation_function=torch.nn.Identity(),
        module_input_name="token_embeddings",
    )
    modules = [
        transformer,
        projection,
        MultiVectorMask(),
        Normalize(module_input_name="token_embeddings"),
    ]
    return le.extend(MultiVectorEncoder(modules=modules, device="cpu"), method, **settings)


def pairs(name: str, method: str, **settings: Any):
    """Return a model with a score for a query and a text."""
    folder = tempfile.mkdtemp()
    model = AutoModelForSequenceClassification.from_pretrained(name, num_labels=1)
    model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(name, model_max_length=256).save_pretrained(folder)
    return le.extend(CrossEncoder(folder, device="cpu"), method, **settings)


CLASSES: dict[str, Callable[..., Any]] = {
    "dense": dense,
    "sparse": sparse,
    "late interaction": late,
    "cross-encoder": pairs,
}


def job(model: Any, texts: list[str]) -> Callable[[], object]:
    """Return what the class does with texts."""
    if isinstance(model, CrossEncoder):
        return lambda: model.predict([(QUERY, text) for text in texts])
    return lambda: model.encode(texts)


def prepared(kind: str, name: str, method: str, n: int) -> Callable[[], object]:
    """Return a job for a process of its own."""
    settings = {} if method == "pcw" else {"max_seq_length": n + 64}
    run = CLASSES[kind](name, method, **settings)
    job(run, ["warm"])()
    return job(run, random_texts([n], 5))


def memory(name: str) -> None:
    """Measure the peak memory of one text, in fresh processes."""
    for method, n in (("pcw", LONG), ("pi", 4096)):
        print(f"{method}, {n:,} tokens: peak memory beyond the loaded model, and in all (MB)")
        base = 0.0
        for kind in CLASSES:
            extra = extra_peak_megabytes(prepared, kind, name, method, n)
            whole = whole_peak_megabytes(prepared, kind, name, method, n)
            base = base or whole
            print(f"  {kind:18} {extra:8.0f} {whole:8.0f}   {whole / base:.2f} x dense", flush=True)


def read_tokens(model: Any, texts: list[str]) -> int:
    """Return the number of tokens in all passes."""
    reader = model.long_transformer
    inputs: list[Any] = (
        [(QUERY, text) for text in texts] if isinstance(model, CrossEncoder) else texts
    )
    return sum(len(each.tokens) for each in reader.passes_of(reader.flat_features(inputs)))


@torch.inference_mode()
def head_seconds(model: Any, tokens: int) -> float:
    """Return the seconds of a class's head on so many tokens, in pieces as large as windows."""
    width = model.long_transformer.backbone.config.hidden_size
    states = torch.randn(1, 256, width)
    if isinstance(model, SparseEncoder):
        head = sparse_head(model)
        run = lambda: head(states)  # noqa: E731
    elif isinstance(model, MultiVectorEncoder):
        mask = torch.ones(1, 256, dtype=torch.int64)
        ids = torch.zeros(1, 256, dtype=torch.int64)

        def run() -> object:
            features = {"token_embeddings": states, "attention_mask": mask, "input_ids": ids}
            return model.apply_following_modules(features, {"task": "document"})
    else:
        return 0.0
    run()
    return seconds(lambda: [run() for _ in range(20)]) / 20 * tokens / 256


def sparse_head(model: Any) -> Callable[[torch.Tensor], object]:
    """Return the head for words with the pooling behind it."""
    from longembed_st.compat import head_alone

    head, pooling = head_alone(model.long_transformer.model), SpladePooling("max")
    mask = torch.ones(1, 256, dtype=torch.int64)
    return lambda states: pooling(
        {"token_embeddings": head(inputs_embeds=states).logits, "attention_mask": mask}
    )


def time(name: str, count: int, runs: int) -> None:
    """Measure every class on mixed texts."""
    texts = random_texts(mixed_lengths(count), 1)
    models = {kind: build(name, "pcw") for kind, build in CLASSES.items()}
    jobs = [job(model, texts) for model in models.values()]
    medians = dict(zip(models, interleaved(runs, *jobs), strict=True))
    base = medians["dense"] / read_tokens(models["dense"], texts)
    print(f"{count} texts of 100 to 8,000 tokens, pcw: seconds; beside dense plus the own head")
    for kind, taken in medians.items():
        tokens = read_tokens(models[kind], texts)
        head = head_seconds(models[kind], tokens)
        print(
            f"  {kind:18} {taken:7.1f} s, {tokens:,} tokens, head {head:5.1f} s: "
            f"{taken / (base * tokens + head):.2f}",
            flush=True,
        )


def main() -> None:
    """Measure and print."""
    warnings.simplefilter("ignore")
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", nargs="?", default=minilm())
    parser.add_argument("--parts", default="memory,time")
    parser.add_argument("--texts", type=int, default=100)
    parser.add_argument("--runs", type=int, default=3)
    arguments = parser.parse_args()
    if "memory" in arguments.parts:
        memory(arguments.model)
    if "time" in arguments.parts:
        time(arguments.model, arguments.texts, arguments.runs)


if __name__ == "__main__":
    main()
