"""What `longembed tune` shows: the progress, and the scores at the end."""

from __future__ import annotations

from typing import Any

from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.table import Table
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from longembed_st.command.display import Bars
from longembed_st.command.terminal import Terminal
from longembed_tuning.evaluation import SCORE
from longembed_tuning.record import TuningRecord


class ProgressBar(TrainerCallback):
    """Show a bar with the last loss and the last validation score."""

    def __init__(self, console: Terminal) -> None:
        self._progress = Bars(
            TextColumn("steps"),
            MofNCompleteColumn(),
            BarColumn(),
            TextColumn("loss {task.fields[loss]}  nDCG@10 {task.fields[score]}"),
            TimeRemainingColumn(),
            TextColumn("left"),
            console=console,
        )

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Show the bar, from the step that a resumed run begins with."""
        if state.is_world_process_zero:
            self._task = self._progress.add_task(
                "", total=state.max_steps, completed=state.global_step, loss="-", score="-"
            )
            self._progress.start()

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, float] | None = None,
        **kwargs: Any,
    ) -> None:
        """Advance the bar."""
        if not state.is_world_process_zero:
            return
        shown = {"loss": "loss", f"eval_{SCORE}": "score"}
        fields: dict[str, Any] = {
            shown[key]: f"{value:.3f}" for key, value in (logs or {}).items() if key in shown
        }
        self._progress.update(self._task, completed=state.global_step, **fields)

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Remove the bar."""
        self._progress.stop()


def show_record(console: Terminal, record: TuningRecord) -> None:
    """Print the data, the steps and the scores of a run."""
    table = Table(show_header=False, box=None)
    for name, count in record.counts.items():
        table.add_row(name, f"{count:,}")
    table.add_row("steps", f"{record.steps:,}")
    table.add_row("step kept", f"{record.best_step:,}")
    console.print(table)
    if record.scores:
        scores = Table(title="Held-out documents", title_justify="left")
        for heading in ("model", "nDCG@10", "accuracy@1"):
            scores.add_column(heading, justify="left" if heading == "model" else "right")
        for name, score in record.scores.items():
            label = name if name == "tuned" else f"untuned, {name}"
            scores.add_row(label, f"{score.ndcg:.4f}", f"{score.accuracy:.4f}")
        console.print(scores)
