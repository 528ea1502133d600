"""Tuning the added positions of MiniLM to 2,048 tokens, beside extension without training.

nDCG@10 on held-out documents of more than 256 tokens; 40 steps of 32 pairs a seed, some minutes
each on two CPU cores.

    python benchmarks/tuning.py books.jsonl --method pi --learning-rate 2e-3 --temperature 0.01

books.jsonl has one document a line, in the column `text`; any source of `longembed tune` will do.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from measure import minilm

import longembed_st as le
from longembed_tuning.data import prepare
from longembed_tuning.evaluation import HeldOut
from longembed_tuning.model import layout_of, load_base, trainable_model, tuned_model
from longembed_tuning.settings import TuningSettings
from longembed_tuning.training import train

WINDOW = 2048
TRAIN_LENGTH = 128


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data")
    parser.add_argument("--method", default="pi", choices=("pi", "rp"))
    parser.add_argument("--learning-rate", type=float, default=2e-3)
    parser.add_argument("--temperature", type=float, default=0.01)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    arguments = parser.parse_args()
    base = load_base(minilm(), None, {})
    layout = layout_of(base, arguments.method, WINDOW)
    tokenizer = base.long_transformer.text_tokenizer
    pairs = prepare(arguments.data, tokenizer, layout.context, budget=TRAIN_LENGTH, seed=0)
    held_out = HeldOut(pairs.held_out)
    print(f"untuned none  {held_out.score(base).ndcg:.3f}", flush=True)
    for untuned in ("pi", "rp"):
        score = held_out.score(le.extend(base, untuned, max_seq_length=WINDOW)).ndcg
        print(f"untuned {untuned}    {score:.3f}", flush=True)
    for seed in arguments.seeds:
        settings = TuningSettings(
            max_seq_length=WINDOW,
            method=arguments.method,
            train_seq_length=TRAIN_LENGTH,
            batch_size=32,
            mini_batch_size=32,
            steps=40,
            warmup_steps=4,
            learning_rate=arguments.learning_rate,
            temperature=arguments.temperature,
            eval_steps=10_000,
            seed=seed,
        )
        model = trainable_model(base, arguments.method, layout, TRAIN_LENGTH)
        with tempfile.TemporaryDirectory() as folder:
            train(model, pairs.train, None, settings, layout, Path(folder))
        score = held_out.score(tuned_model(model, layout)).ndcg
        print(f"tuned on {arguments.method}, seed {seed}  {score:.3f}", flush=True)


if __name__ == "__main__":
    main()
