"""The `longembed` command: its own commands, and those that other packages bring.

Nothing heavy is imported before a command runs, so that `--help` is quick.
"""

from __future__ import annotations

import functools
import json
import sys
import warnings
from collections.abc import Callable
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Column, Table

from longembed_st.errors import ConfigError, LongEmbedError
from longembed_st.options import parse_option
from longembed_st.quiet import without_loading_bars

if TYPE_CHECKING:
    from longembed_st.estimate import Cost
    from longembed_st.model import LongSentenceTransformer

COMMAND_GROUP = "longembed_st.commands"

app = typer.Typer(
    name="longembed",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    help="Read long documents with existing text-embedding models: inspect a model, index whole "
    "documents, search them, write an extended model as a plain folder.",
)

ModelArgument = Annotated[
    str, typer.Argument(help="Folder of a model, or its name on the Hugging Face hub.")
]
MethodOption = Annotated[
    str, typer.Option(help="Extension method, or 'auto'. `longembed inspect MODEL` lists them.")
]
WindowOption = Annotated[
    int | None, typer.Option(help="Extended window in tokens.", show_default="the method's own")
]
OriginalOption = Annotated[
    int | None, typer.Option(help="Original window in tokens.", show_default="the model's own")
]
OptionOption = Annotated[
    list[str] | None,
    typer.Option("--option", "-o", help="An option of the method, as name=value.", metavar="K=V"),
]


def inspect(
    model: ModelArgument,
    method: MethodOption = "auto",
    max_seq_length: WindowOption = None,
    original_max_seq_length: OriginalOption = None,
    option: OptionOption = None,
    length: Annotated[
        list[int] | None,
        typer.Option(help="Estimate time and memory for a text of so many tokens. Repeatable."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead.")] = False,
) -> None:
    """Show how a model reads: its windows, the methods it can take, the cost of a long text.

    Example: `longembed inspect thenlper/gte-small --length 4096 --length 32768`
    """
    import longembed_st as le
    from longembed_st.estimate import estimate_costs

    extended = _load(model, method, max_seq_length, original_max_seq_length, option)
    reader = extended.long_transformer
    lengths = length or [reader.extension.original_max_seq_length * s for s in (1, 8, 64)]
    if min(lengths) < 1:
        raise ConfigError(f"--length {min(lengths)}: a text has at least one token")
    costs = estimate_costs(extended, lengths)
    facts: dict[str, Any] = {
        "model": model,
        "model_type": reader.family.model_type,
        "position_encoding": reader.family.encoding,
        "note": reader.family.note,
        "parameters": sum(p.numel() for p in reader.parameters()),
        "embedding_dimension": extended.get_embedding_dimension(),
        "original_max_seq_length": reader.extension.original_max_seq_length,
        "max_seq_length": reader.max_seq_length,
        "method": reader.extension.method,
        "methods": {
            name: {"takes": reader.family.takes(candidate), "summary": candidate.summary}
            for name, candidate in le.methods().items()
        },
        "costs": [vars(cost) for cost in costs],
    }
    if as_json:
        typer.echo(json.dumps(facts, indent=2))
    else:
        _show(facts, costs)


def bake(
    model: ModelArgument,
    out: Annotated[Path, typer.Argument(help="A new folder.")],
    method: MethodOption = "auto",
    max_seq_length: WindowOption = None,
    original_max_seq_length: OriginalOption = None,
    option: OptionOption = None,
) -> None:
    """Write an extended model as a plain folder that needs neither longembed-st nor a flag.

    Example: `longembed bake intfloat/e5-base-v2 e5-4k --method rp --max-seq-length 4096`
    """
    import longembed_st as le

    extended = _load(model, method, max_seq_length, original_max_seq_length, option)
    with warnings.catch_warnings(record=True) as notes:
        warnings.simplefilter("always", le.ShortTextsChangeWarning)
        le.bake(extended, out)
    typer.echo(f"Wrote {out}: load it with SentenceTransformer({str(out)!r}).")
    for note in notes:
        typer.secho(f"Note: {note.message}", fg="yellow", err=True)


def _load(
    model: str,
    method: str,
    max_seq_length: int | None,
    original_max_seq_length: int | None,
    options: list[str] | None,
) -> LongSentenceTransformer:
    import longembed_st as le

    with without_loading_bars():
        return le.load(
            model,
            method,
            max_seq_length=max_seq_length,
            original_max_seq_length=original_max_seq_length,
            **dict(map(parse_option, options or [])),
        )


def _show(facts: dict[str, Any], costs: list[Cost]) -> None:
    console = Console()
    about = Table("", Column(overflow="fold"), show_header=False, box=None)
    note = f" ({facts['note']})" if facts["note"] else ""
    reach = facts["max_seq_length"]
    about.add_row("model", facts["model"])
    about.add_row("type", f"{facts['model_type']}, {facts['parameters']:,} parameters")
    about.add_row("positions", facts["position_encoding"] + note)
    about.add_row("vector", f"{facts['embedding_dimension']} dimensions")
    about.add_row("original window", f"{facts['original_max_seq_length']:,} tokens")
    about.add_row("extended window", "no upper length" if reach is None else f"{reach:,} tokens")
    about.add_row("method", facts["method"])
    console.print(about)
    methods = Table(title="Methods", title_justify="left")
    for heading in ("method", "this model", "what it does"):
        methods.add_column(heading)
    for name, method in facts["methods"].items():
        methods.add_row(name, "yes" if method["takes"] else "no", method["summary"])
    console.print(methods)
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


def _in_one_line(command: Callable[..., None]) -> Callable[..., None]:
    """End a command on a user's mistake with one line and exit code 1."""

    @functools.wraps(command)
    def run(*args: Any, **kwargs: Any) -> None:
        try:
            command(*args, **kwargs)
        except LongEmbedError as error:
            typer.secho(f"Error: {error}", fg="red", err=True)
            raise typer.Exit(1) from None

    return run


def _register_commands() -> None:
    for command in (inspect, bake):
        app.command(command.__name__)(_in_one_line(command))
    for entry_point in sorted(entry_points(group=COMMAND_GROUP), key=lambda e: e.name):
        try:
            command = entry_point.load()
        except (ImportError, AttributeError) as error:
            print(f"longembed: command {entry_point.name!r} is broken: {error}", file=sys.stderr)
            continue
        app.command(entry_point.name)(_in_one_line(command))


def main() -> None:
    """Run the command line."""
    app()


_register_commands()
