"""Run a tuning from a model's name to the tuned checkpoint."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from accelerate import PartialState  # type: ignore[import-untyped]
from transformers import TrainerCallback

import longembed_st as le
from longembed_st.errors import ConfigError
from longembed_st.files import refuse_existing, write_text
from longembed_tuning.data import TuningData, prepare
from longembed_tuning.evaluation import SCORE, HeldOut, Scores
from longembed_tuning.model import layout_of, load_base, trainable_model, tuned_model
from longembed_tuning.record import TuningRecord, curve, write_checkpoint
from longembed_tuning.settings import TuningSettings
from longembed_tuning.table import Layout
from longembed_tuning.training import Log, train

IDENTITY = "run.json"
"""The file in the folder of an unfinished run that identifies it."""


def tune(
    model_name_or_path: str,
    data: str,
    out: str | os.PathLike[str],
    settings: TuningSettings,
    *,
    validation_data: str | None = None,
    prompts: dict[str, str] | None = None,
    resume: bool = False,
    callbacks: Sequence[TrainerCallback] = (),
) -> TuningRecord:
    """Train the position vectors that extension adds to a model, and write the tuned model.

    Everything else of the model stays as it is, and so do the vectors of texts that fit its
    original window. Checkpoints are kept in a folder beside `out` until the model is written.

    Args:
        model_name_or_path: A model with learned absolute positions.
        data: See `longembed_tuning.sources.read_source`.
        out: A folder that is new or empty.
        settings: The settings of the run.
        validation_data: Validate on the long documents of this source; None to hold out some of
            `data`.
        prompts: Put before texts, by "query" and "document"; added to the model's own.
        resume: Go on with a run that was cut off.
        callbacks: Callbacks of the trainer.

    Returns:
        The record of the run.

    Raises:
        ConfigError: If a setting does not fit the model, the data or the run to be resumed.
        InputError: If the data cannot be used.
        ModelError: If the model has no position vectors to train.
    """
    out = Path(out)
    refuse_existing(out)
    base = load_base(model_name_or_path, settings.original_max_seq_length, prompts or {})
    layout = layout_of(base, settings.method, settings.max_seq_length)
    length = _training_length(settings, layout)
    pairs = prepare(
        data,
        base.long_transformer.text_tokenizer,
        layout.context,
        budget=length,
        seed=settings.seed,
        hold_out=settings.validate_held_out,
        validation_source=validation_data,
    )
    _refuse_too_few(pairs, settings)
    folder = out.with_name(f"{out.name}.unfinished")
    model = trainable_model(base, settings.method, layout, length)
    # Only now: once devices know of each other, only the first one writes files.
    devices = PartialState(cpu=base.device.type == "cpu")
    if devices.is_main_process:
        _start(folder, _identity(base, pairs, settings), resume)
    devices.wait_for_everyone()
    held_out = HeldOut(pairs.held_out) if pairs.held_out else None
    log = train(model, pairs.train, held_out, settings, layout, folder, callbacks=callbacks)
    tuned = tuned_model(model, layout)
    best, last = kept_step(log)
    record = TuningRecord(
        model=model_name_or_path,
        data=f"{data}, validated on {validation_data}" if validation_data else data,
        counts=pairs.counts,
        settings=settings,
        layout=layout,
        steps=last,
        best_step=best,
        scores=_scores(base, tuned, held_out, layout) if held_out else {},
        fingerprint=le.fingerprint(tuned),
    )
    if devices.is_main_process:
        write_checkpoint(tuned, record, log, out)
        shutil.rmtree(folder)
    return record


def _training_length(settings: TuningSettings, layout: Layout) -> int:
    length = settings.train_seq_length or layout.original
    if length > layout.extended:
        raise ConfigError(
            f"train_seq_length={length} is more than the extended window of {layout.extended}"
        )
    return length


def _refuse_too_few(pairs: TuningData, settings: TuningSettings) -> None:
    """Raise `ConfigError` unless the pairs fill a batch and the steps outlast the warm-up."""
    count = len(pairs.train)
    if count < settings.batch_size:
        raise ConfigError(
            f"batch_size={settings.batch_size} needs as many training pairs, and there are "
            f"{count}: choose a smaller batch, or add data"
        )
    steps = settings.steps or int(settings.epochs * (count // settings.batch_size))
    if settings.warmup_steps >= steps:
        raise ConfigError(
            f"warmup_steps={settings.warmup_steps} leaves none of the {steps} steps at the full "
            "learning rate: choose fewer, or train longer"
        )


def _identity(
    base: le.LongSentenceTransformer, pairs: TuningData, settings: TuningSettings
) -> dict[str, Any]:
    """Return what must stay the same for a run to be resumed."""
    return {"model": le.fingerprint(base), "data": pairs.digest(), **settings.model_dump()}


def _start(folder: Path, identity: dict[str, Any], resume: bool) -> None:
    """Start a run in a folder, or raise `ConfigError` unless the folder holds the same run."""
    started = folder / IDENTITY
    if not resume:
        if folder.exists():
            raise ConfigError(
                f"{folder} holds an unfinished run: continue it with --resume, or delete the folder"
            )
        folder.mkdir(parents=True)
        write_text(started, json.dumps(identity, indent=2))
        return
    if not started.is_file():
        raise ConfigError(f"{folder} holds no unfinished run: leave out --resume")
    known = json.loads(started.read_text(encoding="utf8"))
    changed = [name for name, value in identity.items() if known.get(name) != value]
    if changed:
        raise ConfigError(
            f"the unfinished run in {folder} was started with other values of "
            f"{', '.join(changed)}: resume it with the same values, or delete the folder"
        )


def kept_step(log: Log) -> tuple[int, int]:
    """Return the step whose rows were kept, and the last step."""
    last = int(max(entry["step"] for entry in log))
    steps, scores = curve(log, f"eval_{SCORE}")
    return (int(steps[scores.index(max(scores))]), last) if scores else (last, last)


def _scores(
    base: le.LongSentenceTransformer,
    tuned: le.LongSentenceTransformer,
    held_out: HeldOut,
    layout: Layout,
) -> dict[str, Scores]:
    """Return the scores of the untuned model, by method, and of the tuned one."""
    windows: dict[str, Any] = {
        "original_max_seq_length": layout.original,
        "max_seq_length": layout.extended,
    }
    untuned = {method: le.extend(base, method, **windows) for method in ("pi", "rp")}
    models = {"none": base, **untuned, "tuned": tuned}
    return {name: held_out.score(model) for name, model in models.items()}
