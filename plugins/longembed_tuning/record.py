"""The record of a tuning run: written beside the tuned model, with a model card and a plot."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from matplotlib.figure import Figure

import longembed_st as le
from longembed_st.files import atomic_folder
from longembed_tuning.evaluation import SCORE, Scores
from longembed_tuning.settings import TuningSettings
from longembed_tuning.table import Layout
from longembed_tuning.training import Log

RECORD = "tuning.json"


@dataclass(frozen=True)
class TuningRecord:
    """What a reader of a tuned checkpoint should know.

    Attributes:
        model: The model that was tuned, as the user named it.
        data: The source of the data, as the user named it.
        counts: What the source has and what was left out, by description.
        settings: The recipe.
        layout: Where the original rows of the table stand.
        steps: Optimizer steps that were done.
        best_step: The step whose rows were kept.
        scores: By "none", "pi" and "rp" for the untuned model, and "tuned"; empty without held-out
            documents.
        fingerprint: The fingerprint of the tuned model.
    """

    model: str
    data: str
    counts: dict[str, int]
    settings: TuningSettings
    layout: Layout
    steps: int
    best_step: int
    scores: dict[str, Scores]
    fingerprint: str


def model_card(record: TuningRecord) -> str:
    """Return the model card of a tuned model, in Markdown."""
    layout = record.layout
    rule = (
        f"Row {layout.stride}i of its position table is row i of the original one. Inputs of up "
        f"to {layout.original} tokens stand at positions 0, {layout.stride}, "
        f"{2 * layout.stride}, ... and so keep the vectors of the original model"
        if layout.stride > 1
        else f"The first {layout.original} rows of its position table are the original ones, so "
        f"inputs of up to {layout.original} tokens keep the vectors of the original model"
    )
    done = {"steps done": record.steps, "step kept": record.best_step}
    return f"""

## Tuned position vectors

The window of {record.model} was extended from {layout.original} to {layout.extended} tokens by
training the added position vectors, and nothing else (LongEmbed, arXiv 2404.12096, section 4.2 and
appendix B), with longembed-st. {rule}; longer inputs use every row.

Load it with `longembed_st.load(folder)`, or with `SentenceTransformer(folder,
trust_remote_code=True)` where longembed-st is installed.

Fingerprint: `{record.fingerprint}`

### Data

{_table({"source": record.data, **record.counts})}

### Settings

{_table({**record.settings.model_dump(), **done})}

### Scores

{_scores(record.scores)}
"""


def _table(rows: dict[str, object]) -> str:
    lines = [f"| {name} | {value} |" for name, value in rows.items()]
    return "\n".join(["| | |", "|---|---|", *lines])


def _scores(scores: dict[str, Scores]) -> str:
    if not scores:
        return "Not measured: no documents were held out."
    lines = [f"| {name} | {s.ndcg:.4f} | {s.accuracy:.4f} |" for name, s in scores.items()]
    return "\n".join(
        [
            "On the held-out documents, by the untuned model (none, pi, rp) and the tuned one:",
            "",
            "| | nDCG@10 | accuracy@1 |",
            "|---|---|---|",
            *lines,
        ]
    )


def write_checkpoint(
    model: le.LongSentenceTransformer, record: TuningRecord, log: Log, out: Path
) -> None:
    """Write a tuned model with its card, its log and the plot of its loss."""
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


def curve(log: Log, key: str) -> tuple[list[float], list[float]]:
    """Return the steps at which a value was logged, and the values."""
    entries = [entry for entry in log if key in entry]
    return [entry["step"] for entry in entries], [entry[key] for entry in entries]


def plot_log(log: Log, folder: Path) -> None:
    """Draw the loss, and the validation score if there is one, as loss.png."""
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.add_subplot()
    axes.plot(*curve(log, "loss"), color="tab:blue", linewidth=1)
    axes.set_xlabel("step")
    axes.set_ylabel("training loss", color="tab:blue")
    steps, scores = curve(log, f"eval_{SCORE}")
    if steps:
        right = axes.twinx()
        right.plot(steps, scores, color="tab:orange", marker="o", markersize=3)
        right.set_ylabel("validation nDCG@10", color="tab:orange")
    figure.savefig(folder / "loss.png", dpi=150)
