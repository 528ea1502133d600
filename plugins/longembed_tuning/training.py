"""Train one position table by sentence-transformers' trainer and cached contrastive loss."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import torch
from datasets import Dataset  # type: ignore[import-untyped]
from safetensors.torch import load_file, save_file
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.losses import (
    CachedMultipleNegativesRankingLoss,
    MultipleNegativesRankingLoss,
)
from sentence_transformers.sentence_transformer.training_args import (
    BatchSamplers,
    SentenceTransformerTrainingArguments,
)
from torch import nn
from transformers import EarlyStoppingCallback, PrinterCallback, TrainerCallback
from transformers.trainer_utils import get_last_checkpoint

from longembed_st.compat import trainer_with_checkpoints
from longembed_st.errors import ConfigError
from longembed_tuning.evaluation import SCORE, HeldOut, TunedEvaluator
from longembed_tuning.model import tunable_table
from longembed_tuning.offsets import QUERY, OffsetCollator
from longembed_tuning.settings import WEIGHT_DECAY, TuningSettings
from longembed_tuning.sources import Example
from longembed_tuning.table import Layout

ADDED_ROWS = "added_rows.safetensors"
"""All that a checkpoint holds of the model: everything else never changes."""

Log = list[dict[str, float]]
"""The trainer's log: what was measured, step by step."""


def _save_added_rows(model: nn.Module, folder: Path) -> None:
    added = tunable_table(cast(SentenceTransformer, model)).added
    save_file({"added": added.detach().cpu().contiguous()}, folder / ADDED_ROWS)


def _load_added_rows(model: nn.Module, folder: Path) -> None:
    added = load_file(folder / ADDED_ROWS)["added"]
    with torch.no_grad():
        tunable_table(cast(SentenceTransformer, model)).added.copy_(added)


def train(
    model: SentenceTransformer,
    examples: Sequence[Example],
    held_out: HeldOut | None,
    settings: TuningSettings,
    layout: Layout,
    folder: Path,
    *,
    callbacks: Sequence[TrainerCallback] = (),
) -> Log:
    """Train the added rows of a model, and leave it with the best of them.

    A folder that holds checkpoints of the same run is continued.

    Args:
        model: What `trainable_model` returned; trained in place.
        examples: The training pairs.
        held_out: What to validate on, or None to train to the end and keep the last rows.
        settings: The settings of the run.
        layout: Where the original rows of the table stand.
        folder: Where checkpoints go.
        callbacks: Callbacks of the trainer.

    Returns:
        The log of the whole run, parts before an interruption included.

    Raises:
        ConfigError: If the batch size is not a multiple of the number of devices.
    """
    arguments = training_arguments(model, settings, folder, validates=held_out is not None)
    dataset = as_dataset(examples)
    checkpoint = last_checkpoint(folder)
    collator = OffsetCollator(
        model.preprocess,
        prompts=prompts_by_column(model, dataset.column_names),
        layout=layout,
        seed=settings.seed,
        device_index=arguments.process_index,
        batches=_steps_of(checkpoint) if checkpoint else 0,
    )
    early_stop = [EarlyStoppingCallback(settings.patience)] if held_out else []
    trainer = trainer_with_checkpoints(_save_added_rows, _load_added_rows)(
        model=model,
        args=arguments,
        train_dataset=dataset,
        loss=contrastive_loss(model, settings, arguments),
        evaluator=TunedEvaluator(held_out, layout) if held_out else None,
        data_collator=collator,
        callbacks=[*callbacks, *early_stop],
    )
    trainer.remove_callback(PrinterCallback)
    trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    return trainer.state.log_history


def training_arguments(
    model: SentenceTransformer, settings: TuningSettings, folder: Path, validates: bool
) -> SentenceTransformerTrainingArguments:
    """Return the settings as arguments of the trainer.

    Raises:
        ConfigError: If the batch size is not a multiple of the number of devices.
    """
    arguments = SentenceTransformerTrainingArguments(
        output_dir=str(folder.resolve()),
        num_train_epochs=settings.epochs,
        max_steps=settings.steps or -1,
        learning_rate=settings.learning_rate,
        warmup_steps=settings.warmup_steps,
        weight_decay=WEIGHT_DECAY,
        seed=settings.seed,
        bf16=settings.bf16,
        use_cpu=model.device.type == "cpu",
        gradient_checkpointing=settings.gradient_checkpointing or None,
        batch_sampler=BatchSamplers.NO_DUPLICATES,
        dataloader_drop_last=True,
        eval_strategy="steps" if validates else "no",
        eval_steps=settings.eval_steps,
        save_steps=settings.eval_steps,
        save_total_limit=2,
        load_best_model_at_end=validates,
        metric_for_best_model=f"eval_{SCORE}" if validates else None,
        greater_is_better=True,
        restore_callback_states_from_checkpoint=True,
        logging_steps=1,
        disable_tqdm=True,
        dataloader_pin_memory=torch.cuda.is_available(),
        report_to="none",
    )
    devices = arguments.world_size * max(arguments.n_gpu, 1)
    if settings.batch_size % devices:
        raise ConfigError(
            f"batch_size={settings.batch_size} is not a multiple of the {devices} devices: "
            "choose one that is"
        )
    arguments.per_device_train_batch_size = settings.batch_size // devices
    return arguments


def contrastive_loss(
    model: SentenceTransformer,
    settings: TuningSettings,
    arguments: SentenceTransformerTrainingArguments,
) -> nn.Module:
    """Return the InfoNCE loss over the batch and the given negatives (LongEmbed, appendix B)."""
    scale, gather = 1 / settings.temperature, arguments.world_size > 1
    if arguments.per_device_train_batch_size <= settings.mini_batch_size:
        # The same loss, without the second forward pass that caching gradients costs.
        return MultipleNegativesRankingLoss(model, scale, gather_across_devices=gather)
    return CachedMultipleNegativesRankingLoss(
        model, scale, mini_batch_size=settings.mini_batch_size, gather_across_devices=gather
    )


def as_dataset(examples: Sequence[Example]) -> Dataset:
    """Return training pairs in the columns that the loss expects."""
    columns = {
        QUERY: [example.query for example in examples],
        "document": [example.document for example in examples],
    }
    for index in range(len(examples[0].negatives)):
        columns[f"negative_{index + 1}"] = [example.negatives[index] for example in examples]
    return Dataset.from_dict(columns)


def prompts_by_column(model: SentenceTransformer, columns: Sequence[str]) -> dict[str, str]:
    """Return the model's prompt for each column of the training data, where it has one."""
    names = {column: "query" if column == QUERY else "document" for column in columns}
    prompts = {column: model.prompts.get(name) for column, name in names.items()}
    return {column: prompt for column, prompt in prompts.items() if prompt}


def last_checkpoint(folder: Path) -> Path | None:
    """Return the last complete checkpoint, or None."""
    while folder.is_dir() and (last := get_last_checkpoint(str(folder))):
        if _is_complete(Path(last)):
            return Path(last)
        # The run was killed while this was written: look at the one before it.
        Path(last).rename(folder / f"incomplete-{Path(last).name}")
    return None


def _is_complete(checkpoint: Path) -> bool:
    """Return whether the trainer wrote its state, which it does last."""
    try:
        _steps_of(checkpoint)
    except (OSError, ValueError, KeyError):
        return False
    return True


def _steps_of(checkpoint: Path) -> int:
    state = json.loads((checkpoint / "trainer_state.json").read_text(encoding="utf-8"))
    return int(state["global_step"])
