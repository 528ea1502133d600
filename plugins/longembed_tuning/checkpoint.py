"""Writing the tuned model: a folder under its final name is always complete."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path

import longembed_st as le
from longembed_st.errors import ConfigError
from longembed_tuning.plots import plot_log
from longembed_tuning.record import TuningRecord, model_card
from longembed_tuning.training import Log

RECORD = "tuning.json"


def refuse_existing(out: Path) -> None:
    """Raise `ConfigError` unless the folder is new or empty.

    Args:
        out: The folder that the tuned model will have.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ConfigError(f"{out} exists and is not an empty folder; choose a new one")


def write_checkpoint(
    model: le.LongSentenceTransformer, record: TuningRecord, log: Log, out: Path
) -> None:
    """Write a tuned model with its card, its log and the plot of its loss.

    Args:
        model: The tuned model.
        record: The run.
        log: What was measured, step by step.
        out: A folder that is new or empty.
    """
    refuse_existing(out)
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}-") as folder:
        unfinished = Path(folder, "model")
        model.save_pretrained(str(unfinished))
        with Path(unfinished, "README.md").open("a", encoding="utf8") as card:
            card.write(model_card(record))
        facts = {
            "model": record.model,
            "data": record.data,
            "counts": record.counts,
            "settings": record.settings.model_dump(),
            "scores": {name: vars(scores) for name, scores in record.scores.items()},
            "fingerprint": record.fingerprint,
            "log": log,
        }
        Path(unfinished, RECORD).write_text(json.dumps(facts, indent=2), encoding="utf8")
        plot_log(log, unfinished)
        os.replace(unfinished, out)
