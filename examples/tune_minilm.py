"""Tune the added positions of MiniLM on text that every machine has, and see what it brings.

The documents are those of the other examples: for each installed package, the long description and
the licence texts that came with it. Training pairs are passages and their surroundings; a tenth of
the documents is held out, and the untuned model (by none, pi and rp) and the tuned one look for
held-out passages in it. Every number is measured in this run, and nothing is downloaded.

    python examples/tune_minilm.py
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from installed_packages import MODEL, installed_packages
from rich.console import Console
from transformers.utils.logging import disable_progress_bar, set_verbosity_error

import longembed_st as le
from longembed_tuning.display import ProgressBar, show_record
from longembed_tuning.settings import TuningSettings
from longembed_tuning.tuning import tune


def main() -> None:
    """Write the documents down, tune, compare."""
    parser = argparse.ArgumentParser(description="Tune the added positions of a small model.")
    parser.add_argument("--out", type=Path, default=Path("minilm-2k"), help="a new folder")
    parser.add_argument("--packages", nargs="*", help="only these; default: all installed ones")
    parser.add_argument("--max-seq-length", type=int, default=2048)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    disable_progress_bar()
    set_verbosity_error()

    data = given.out.with_suffix(".jsonl")
    rows = [json.dumps({"text": text}) for _, text in installed_packages(given.packages)]
    data.write_text("\n".join(rows), encoding="utf-8")
    # Fewer and shorter texts than the paper's, so that two CPU cores finish within minutes, and
    # larger steps to make up for it.
    settings = TuningSettings(
        max_seq_length=given.max_seq_length,
        train_seq_length=128,
        batch_size=given.batch_size,
        mini_batch_size=given.batch_size,
        steps=given.steps,
        warmup_steps=given.steps // 12,
        learning_rate=2e-3,
        eval_steps=20,
        seed=given.seed,
    )
    callbacks = [ProgressBar(Console(stderr=True))]
    record = tune(MODEL, str(data), given.out, settings, callbacks=callbacks)
    show_record(Console(), record)
    print(f"The tuned model is in {given.out}, its documents are in {data}.")


if __name__ == "__main__":
    try:
        main()
    except le.LongEmbedError as error:
        raise SystemExit(f"Error: {error}") from None
