"""Write the tuned model, whole or not at all."""

from __future__ import annotations

import json
from pathlib import Path

import longembed_st as le
from longembed_st.files import atomic_folder
from longembed_tuning.plots import plot_log
from longembed_tuning.record import TuningRecord, model_card
from longembed_tuning.training import Log

RECORD = "tuning.json"


def write_checkpoint(
    model: le.LongSentenceTransformer, record: TuningRecord, log: Log, out: Path
) -> None:
    """Write a tuned model with its card, its log and the plot of its loss.

    Args:
        model: The tuned model.
        record: The run that it is from.
        log: The trainer's log.
        out: A folder that is new or empty.
    """
    with atomic_folder(out) as unfinished:
        model.save_pretrained(str(unfinished))
        with Path(unfinished, "README.md").open("a", encoding="utf8") as card:
            card.write(model_card(record))
        content = {
            "model": record.model,
            "data": record.data,
            "counts": record.counts,
            "settings": record.settings.model_dump(),
            "scores": {name: vars(scores) for name, scores in record.scores.items()},
            "fingerprint": record.fingerprint,
            "log": log,
        }
        Path(unfinished, RECORD).write_text(json.dumps(content, indent=2), encoding="utf8")
        plot_log(log, unfinished)
