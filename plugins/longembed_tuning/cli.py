"""The commands `longembed tune` and `longembed whiten`."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from longembed_st.base.settings import ModelSettings
from longembed_st.command.display import document_bar, loading
from longembed_st.command.help import ADVANCED
from longembed_st.command.options import (
    DocumentPromptOption,
    ModelArgument,
    QueryPromptOption,
    option_of,
    path_argument,
    settings_from_options,
    with_options,
    with_settings,
)
from longembed_st.command.terminal import terminal
from longembed_st.errors import ConfigError
from longembed_st.extras import needs_extra
from longembed_st.files import refuse_existing
from longembed_tuning.settings import TuningSettings

if TYPE_CHECKING:
    from longembed_tuning.whiten import TokenWeighting

_RECIPE = {
    name: option_of(name, TuningSettings)
    for name in TuningSettings.model_fields
    if name not in ("max_seq_length", "validate_held_out")
}


def _with_recipe(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command an option for each part of the recipe; it gets those that were given."""
    own = inspect.signature(command, eval_str=True)

    @functools.wraps(command)
    def run(**arguments: Any) -> None:
        options = {name: arguments.pop(name) for name in _RECIPE}
        given = {name: value for name, value in options.items() if value is not None}
        command(recipe=given, **arguments)

    return with_options(run, own, _RECIPE, "recipe")


@_with_recipe
def tune(
    model: Annotated[
        str,
        typer.Argument(
            help="A model with learned absolute positions: a folder, or a name on the Hugging Face "
            "hub.",
            show_default=False,
        ),
    ],
    data: Annotated[
        str,
        typer.Option(
            metavar="PATH_OR_DATASET",
            help="A .jsonl or .parquet file with columns query, document and perhaps negatives, or "
            "with the column text; a folder of long documents; or a data set on the Hugging Face "
            "hub (owner/name or owner/name:subset).",
            show_default=False,
        ),
    ],
    max_seq_length: Annotated[int, typer.Option(help="Extended window in tokens.")],
    out: Annotated[
        Path, typer.Option(parser=path_argument, metavar="DIR", help="Folder of the tuned model.")
    ],
    *,
    validation_data: Annotated[
        str | None,
        typer.Option(
            metavar="PATH_OR_DATASET",
            help="Validate on the long documents of this source.",
            show_default="a tenth of those in --data",
        ),
    ] = None,
    no_validation: Annotated[
        bool, typer.Option("--no-validation", help="Train to the end without a score.")
    ] = False,
    query_prompt: QueryPromptOption = None,
    document_prompt: DocumentPromptOption = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the run to DIR that was cut off.")
    ] = False,
    recipe: dict[str, Any],
) -> None:
    """Train the position vectors that extension adds, so that a model reads long texts better.

    Everything else stays as it is: texts that fit the original window keep their exact vectors.
    The tuned model in DIR is loaded by name like any other. Several devices: start the command with
    `torchrun` or `accelerate launch`.

    Example: `longembed tune intfloat/e5-base-v2 --data pairs.jsonl --max-seq-length 4096
    --out e5-4k`
    """
    terminal(stderr=True).say("Loading the libraries of training", style="dim")
    with needs_extra("train", "accelerate", "datasets", "matplotlib"):
        from accelerate import PartialState  # type: ignore[import-untyped]

        from longembed_tuning import tuning
        from longembed_tuning.display import ProgressBar, show_record
    from transformers.utils import logging

    if no_validation and validation_data is not None:
        raise ConfigError("--no-validation and --validation-data contradict each other: drop one")
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    record = tuning.tune(
        model,
        data,
        out,
        TuningSettings(
            max_seq_length=max_seq_length, validate_held_out=not no_validation, **recipe
        ),
        validation_data=validation_data,
        prompts=settings_from_options(
            query_prompt=query_prompt, document_prompt=document_prompt
        ).prompts,
        resume=resume,
        callbacks=[ProgressBar(terminal(stderr=True))],
    )
    if PartialState().is_main_process:
        show_record(terminal(), record)
        terminal().say(f"Wrote {out}: load it with longembed_st.load({str(out)!r}).")


@with_settings
def whiten(
    model: ModelArgument,
    data: Annotated[
        str,
        typer.Option(
            metavar="PATH_OR_DATASET",
            help="The documents that will be searched, or others like them, without labels: a "
            "folder, a .jsonl or .parquet file with the column text, or a data set on the hub.",
            show_default=False,
        ),
    ],
    out: Annotated[
        Path,
        typer.Option(
            parser=path_argument, metavar="DIR", help="Folder of the new model.", show_default=False
        ),
    ],
    *,
    settings: ModelSettings,
    dimensions: Annotated[
        int | None, typer.Option(min=1, help="Numbers of a vector to keep.", show_default="all")
    ] = None,
    ridge: Annotated[
        float | None, typer.Option(help="Strength of the regularisation.", show_default="0.2")
    ] = None,
    token_weights: Annotated[
        str,
        typer.Option(
            metavar="auto|idf|none",
            help="Weigh tokens by their inverse document frequency: always, never, or where it "
            "gains on documents held out.",
        ),
    ] = "auto",
    only_token_weights: Annotated[
        bool,
        typer.Option(
            "--only-token-weights",
            help="Weigh tokens, and leave vectors unmapped.",
            rich_help_panel=ADVANCED,
        ),
    ] = False,
    documents: Annotated[
        int | None,
        typer.Option(
            min=20, help="The most documents to read, drawn at random.", show_default="500"
        ),
    ] = None,
    no_validation: Annotated[
        bool,
        typer.Option("--no-validation", help="Do not judge the whitening on documents held out."),
    ] = False,
    force: Annotated[
        bool,
        typer.Option(
            "--force", help="Write the model even if nothing is gained.", rich_help_panel=ADVANCED
        ),
    ] = False,
    seed: Annotated[
        int,
        typer.Option(
            min=0,
            help="Seed of the sample and of the documents held out.",
            rich_help_panel=ADVANCED,
        ),
    ] = 0,
) -> None:
    """Shrink the directions in which passages of one document differ, without labels.

    One vector a document then ranks far better on most corpora. The result is the same model with a
    linear map behind it, and is loaded by name like any other. It is judged on documents that it
    was not fitted on, and not written if it gains nothing there. Takes as long as embedding the
    documents once.

    Example: `longembed whiten thenlper/gte-small --data reports/ --out gte-whitened`
    """
    refuse_existing(out)
    console = terminal(stderr=True)
    with loading(console, model):
        from longembed_st.errors import ModelError
        from longembed_st.loading.load import load_settings
        from longembed_st.loading.whitening import FITTED_DOCUMENTS, with_whitening
        from longembed_tuning.sources import documents_of, read_source
        from longembed_tuning.wccn import RIDGE
        from longembed_tuning.whiten import fit_whitening
        from longembed_tuning.whiten_report import save

        texts = documents_of(read_source(data), documents or FITTED_DOCUMENTS, seed)
        loaded = load_settings(settings.model_copy(update={"model_name": model}))
    with document_bar(console, len(texts)) as on_document:
        fit = fit_whitening(
            loaded,
            texts,
            dimensions=dimensions,
            ridge=RIDGE if ridge is None else ridge,
            token_weights=cast("TokenWeighting", token_weights),
            only_token_weights=only_token_weights,
            validation=not no_validation,
            seed=seed,
            on_document=lambda text, windows: on_document(),
        )
    for line in fit.summary():
        terminal().say(line)
    if not (fit.gains or force):
        raise ModelError(
            "nothing was written, as nothing is gained. To write it all the same: --force"
        )
    save(with_whitening(loaded, fit.whitening), fit, out)
    terminal().say(f"Wrote {out}: load it with longembed_st.load({str(out)!r}).")
