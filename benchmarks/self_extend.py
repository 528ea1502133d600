"""SelfExtend attention beside plain attention, its dense form, and in a whole model.

    python benchmarks/self_extend.py [--threads 2] [--lengths 4096 8192 16384]

Ratios of medians, all sides by turns in one process; 12 heads, fp32. Rotations count for SelfExtend
and not for plain attention. On a machine with a GPU, --device cuda --dtype bfloat16.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from functools import partial

import torch
from measure import extra_peak_megabytes, interleaved
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention
from transformers import JinaEmbeddingsV3Config, JinaEmbeddingsV3Model

from longembed_st.positions.kernels import (
    Rotation,
    SelfExtendRotations,
    self_extend_attention,
    self_extend_positions,
)

HEADS = 12
PAIRS = [(9, 64), (5, 128), (9, 512)]
RUNS = {4096: 7, 8192: 5}


def states(n: int, width: int, device: str, dtype: torch.dtype) -> list[Tensor]:
    """Return random queries, keys and values."""
    torch.manual_seed(0)
    return [torch.randn(1, HEADS, n, width).to(device, dtype) for _ in range(3)]


def rotations(n: int, width: int, pair: tuple[int, int], like: Tensor) -> SelfExtendRotations:
    """Return what a forward pass computes once for all its layers."""
    inverse = 10_000.0 ** (-torch.arange(0, width, 2) / width)
    angles = [(p[:, None] * inverse).to(like.device) for p in self_extend_positions(n, *pair)]
    return SelfExtendRotations(
        *(Rotation(a.cos().to(like.dtype), a.sin().to(like.dtype)) for a in angles)
    )


def extended(pair: tuple[int, int], q: Tensor, k: Tensor, v: Tensor) -> Callable[[], Tensor]:
    """Return SelfExtend attention, ready to run."""
    n, width = q.shape[2:]
    return partial(
        self_extend_attention,
        q,
        k,
        v,
        rotations(n, width, pair, q),
        neighbor_window=pair[1],
        causal=False,
        scaling=width**-0.5,
    )


def dense(pair: tuple[int, int], q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Compute SelfExtend from three full score matrices."""
    n, width = q.shape[2:]
    tables = rotations(n, width, pair, q)

    def rotated(x: Tensor, rotation: Rotation) -> Tensor:
        first, second = x.chunk(2, dim=-1)
        return torch.cat(
            [
                first * rotation.cos - second * rotation.sin,
                second * rotation.cos + first * rotation.sin,
            ],
            dim=-1,
        )

    grouped = rotated(k, tables.grouped).mT
    index = torch.arange(n, device=q.device)
    distance = index[:, None] - index
    scores = rotated(q, tables.exact) @ rotated(k, tables.exact).mT
    scores = torch.where(distance >= pair[1], rotated(q, tables.left) @ grouped, scores)
    scores = torch.where(distance <= -pair[1], rotated(q, tables.right) @ grouped, scores)
    return (scores * width**-0.5).softmax(-1) @ v


def extended_job(n: int, width: int) -> Callable[[], Tensor]:
    """Return a job whose memory is measured in a fresh process."""
    job = extended(PAIRS[0], *states(n, width, "cpu", torch.float32))
    extended(PAIRS[0], *states(600, width, "cpu", torch.float32))()
    return job


def whole_model(n: int) -> float:
    """Return the time of a 6-layer encoder with SelfExtend beside that with plain attention."""
    import longembed_st.positions.attention as attention
    from longembed_st.positions.family import family_of
    from longembed_st.positions.hooks import install_hook
    from longembed_st.positions.method import Context, get_method

    config = JinaEmbeddingsV3Config(
        hidden_size=768,
        num_attention_heads=HEADS,
        num_hidden_layers=6,
        intermediate_size=3072,
        vocab_size=1000,
        max_position_embeddings=512,
        pad_token_id=0,
    )
    model = JinaEmbeddingsV3Model(config).eval()
    ids = torch.randint(1, 1000, (1, n))
    method, context = get_method("self_extend")(), Context(512, 4096 if n <= 4096 else n)
    hook = install_hook(model, family_of(config))

    def plain() -> None:
        model.set_attn_implementation("sdpa")
        model(input_ids=ids)

    def long() -> None:
        model.set_attn_implementation(attention.LONG_ATTENTION)
        inputs = {"input_ids": ids}
        with hook.reading(model, inputs, method, context):
            model(**inputs)

    with torch.inference_mode():
        plain_seconds, long_seconds = interleaved(3, plain, long)
    print(f"  6 layers, 768 wide, {n:,} tokens: plain {plain_seconds:.1f} s")
    return long_seconds / plain_seconds


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--lengths", type=int, nargs="+", default=[4096, 8192, 16384])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", default="float32")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    dtype = getattr(torch, arguments.dtype)
    print(f"{arguments.device}, {arguments.dtype}, {arguments.threads} threads, {HEADS} heads")
    print("| tokens | head width | " + " | ".join(f"G, w = {p}" for p in PAIRS) + " | dense |")
    print("|---|---|" + "---|" * (len(PAIRS) + 1))
    for n in arguments.lengths:
        for width in (64, 32):
            q, k, v = states(n, width, arguments.device, dtype)
            sides = [lambda q=q, k=k, v=v: scaled_dot_product_attention(q, k, v)]
            sides += [extended(pair, q, k, v) for pair in PAIRS]
            if n == 4096:
                sides.append(partial(dense, PAIRS[0], q, k, v))
            sides = [synchronised(side, arguments.device) for side in sides]
            plain, *others = interleaved(RUNS.get(n, 3), *sides)
            cells = [f"{seconds / plain:.2f}" for seconds in others]
            print(f"| {n} | {width} | {' | '.join(cells)} |", flush=True)
    if arguments.device == "cpu":
        for width in (64, 32):
            small, large = (extra_peak_megabytes(extended_job, n, width) for n in (4096, 16384))
            growth = large / small
            print(f"  width {width}: extra peak {small:.0f} MB, {large:.0f} MB: {growth:.2f} times")
        print(f"  ratio to plain {whole_model(8192):.2f} (goal: at most 1.3)")


def synchronised(job: Callable[[], object], device: str) -> Callable[[], object]:
    """Wait for a GPU after each call."""
    if device == "cpu":
        return job

    def run() -> None:
        job()
        torch.cuda.synchronize()

    return run


if __name__ == "__main__":
    start = time.perf_counter()
    main()
    print(f"{time.perf_counter() - start:.0f} s in all")
