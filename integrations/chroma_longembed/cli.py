"""The commands `longembed index` and `longembed search`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from chroma_longembed import display, settings
from chroma_longembed.errors import needs_extra
from longembed_st.errors import ConfigError

if TYPE_CHECKING:
    from chroma_longembed.embedding_function import LongEmbedEmbeddingFunction
    from chroma_longembed.store import Hit

DEFAULT_MODEL = "sentence-transformers/all-MiniLM-L6-v2"

StoreOption = Annotated[
    Path, typer.Option("--store", metavar="DIR", help="Folder of the store.", show_default=False)
]
DeviceOption = Annotated[
    str | None, typer.Option(help="Where to compute: cpu, cuda, mps, ...", show_default="chosen")
]


def index(
    paths: Annotated[
        list[Path],
        typer.Argument(
            metavar="PATH...",
            help="Files, or folders to search: text, Markdown, HTML, PDF, DOCX.",
            show_default=False,
        ),
    ],
    store: StoreOption,
    model: Annotated[
        str | None,
        typer.Option(help="Model name or folder.", show_default=f"the store's, or {DEFAULT_MODEL}"),
    ] = None,
    method: Annotated[
        str | None,
        typer.Option(help="How to read past the original window.", show_default="auto"),
    ] = None,
    max_seq_length: Annotated[
        int | None,
        typer.Option(help="Most tokens to read of a document.", show_default="the method's"),
    ] = None,
    original_max_seq_length: Annotated[
        int | None,
        typer.Option(help="Tokens the model reads unextended.", show_default="the model's"),
    ] = None,
    window_size: Annotated[
        int | None,
        typer.Option(help="Tokens of a window (method pcw).", show_default="the original window"),
    ] = None,
    option: Annotated[
        list[str] | None,
        typer.Option(
            "--option",
            "-o",
            metavar="K=V",
            help="Any further option of the method, for instance overlap=32. Can be repeated.",
        ),
    ] = None,
    logn_scaling: Annotated[
        bool | None,
        typer.Option(
            "--logn-scaling/--no-logn-scaling",
            help="Scale attention with the logarithm of the length.",
            show_default="off",
        ),
    ] = None,
    query_prompt: Annotated[
        str | None,
        typer.Option(help="Text put before each query.", show_default="the model's"),
    ] = None,
    document_prompt: Annotated[
        str | None,
        typer.Option(help="Text put before each document.", show_default="the model's"),
    ] = None,
    on_overflow: Annotated[
        str | None,
        typer.Option(
            metavar="warn|error|truncate",
            help="Documents longer than can be read: name them, refuse them, or cut them silently.",
            show_default="warn",
        ),
    ] = None,
    device: DeviceOption = None,
    prune: Annotated[
        bool, typer.Option("--prune", help="Remove documents whose file is gone.")
    ] = False,
    strict: Annotated[
        bool, typer.Option("--strict", help="Exit with 1 if any document was not stored.")
    ] = False,
    verify: Annotated[
        bool, typer.Option("--verify", help="Embed a few stored documents again and compare.")
    ] = False,
) -> None:
    """Index whole documents, without chunks, into a Chroma store on disk.

    Each document becomes one vector. Run it again at any time: what is there is left alone, changed
    files are replaced, and a run that was cut off goes on. The store remembers the model and its
    settings; later runs and `search` use them.

    Example: `longembed index reports/ notes.md --store ./store --method pcw`
    """
    with needs_extra():
        from chroma_longembed import store as stores
        from chroma_longembed.embedding_function import LongEmbedEmbeddingFunction
        from chroma_longembed.ingestion import ingest
        from chroma_longembed.sources import find_files, is_gone
        from chroma_longembed.verify import verify as compare

    prompts = {"query": query_prompt, "document": document_prompt}
    given: dict[str, Any] = {
        "model_name": model,
        "method": method,
        "max_seq_length": max_seq_length,
        "original_max_seq_length": original_max_seq_length,
        "window_size": window_size,
        "logn_scaling": logn_scaling,
        "on_overflow": on_overflow,
        "device": device,
        "prompts": {k: v for k, v in prompts.items() if v is not None} or None,
        **dict(_parse_option(text) for text in option or []),
    }
    given = {name: value for name, value in given.items() if value is not None}
    found = find_files(paths, exclude=store)
    stored = stores.read_settings(store)
    out, console = Console(), Console(stderr=True)
    if not found.files and stored is None:
        display.show_failed(console, found.unreadable)
        display.show_skipped(console, found.skipped)
        raise ConfigError("there is no document to index under these paths")
    with _quiet():
        function = _embedding_function(LongEmbedEmbeddingFunction, stored, given)
    console.print(_describe(function), highlight=False, soft_wrap=True)

    with stores.open_store(store, function, write=True) as chroma:
        with display.progress_bar(console, [file.size for file in found.files]) as on_outcome:
            report = ingest(
                found.files,
                chroma,
                function,
                is_gone=lambda name: is_gone(name, paths),
                prune=prune,
                on_outcome=on_outcome,
            )
        report.failed += found.unreadable
        report.counts["failed"] += len(found.unreadable)
        display.show_report(out, report, len(chroma))
        display.show_skipped(out, found.skipped)
        if verify:
            compared = compare(chroma, function)
            out.print(f"Verified: {compared} stored vectors are those of the model.")
    if strict and report.failed:
        raise typer.Exit(1)


def search(
    query: Annotated[
        str, typer.Argument(metavar="QUERY", help="What to look for.", show_default=False)
    ],
    store: StoreOption,
    k: Annotated[int, typer.Option("-k", min=1, help="The most documents to show.")] = 5,
    device: DeviceOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Find the documents of a store that are closest in meaning to a query.

    Model and settings are those that the store was made with. The score is the cosine similarity.

    Example: `longembed search "who approved the budget?" --store ./store -k 3`
    """
    if not query.strip():
        raise ConfigError("the query is empty")
    with needs_extra():
        from chroma_longembed import store as stores
        from chroma_longembed.embedding_function import LongEmbedEmbeddingFunction

    stored = stores.read_settings(store)
    if stored is None:
        raise ConfigError(
            f"there is no store in {store}. Make one: longembed index PATH... --store {store}"
        )
    with _quiet():
        given = {} if device is None else {"device": device}
        function = _embedding_function(LongEmbedEmbeddingFunction, stored, given)
    with stores.open_store(store, function) as chroma:
        hits = chroma.search(query, k) if len(chroma) else []
    if not hits:
        raise ConfigError(f"the store in {store} is empty")
    if as_json:
        print(json.dumps([_as_dict(rank, hit) for rank, hit in enumerate(hits, 1)], indent=2))
    else:
        display.show_hits(Console(), hits)


def _parse_option(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not (equals and name.isidentifier()):
        raise ConfigError(f"--option {text!r}: write name=value, for instance overlap=32")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


def _embedding_function(
    kind: type[LongEmbedEmbeddingFunction],
    stored: settings.Settings | None,
    given: settings.Settings,
) -> LongEmbedEmbeddingFunction:
    """The store's own, unless it is new; what is given on top must not change its vectors."""
    if stored is None:
        return kind(**{"model_name": DEFAULT_MODEL, **given})
    if given.get("method") == "auto":
        del given["method"]
    wanted = {**settings.flat(stored), **given}
    del wanted["fingerprint"]
    # A model that was moved has another name and the same vectors: only loading it tells.
    if settings.differences({**stored, "model_name": wanted["model_name"]}, wanted):
        settings.refuse_other_vectors(stored, wanted, "the store")
    function = kind(**wanted)
    settings.refuse_other_vectors(stored, function.get_config(), "the store")
    return function


def _describe(function: LongEmbedEmbeddingFunction) -> str:
    config = function.get_config()
    limit = config["max_seq_length"]
    return (
        f"Model {config['model_name']}, method {config['method']}: reads "
        f"{f'up to {limit:,} tokens of' if limit else 'all of'} each document"
    )


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the loading bar of transformers away from the command's own output."""
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()


def _as_dict(rank: int, hit: Hit) -> dict[str, Any]:
    return {
        "rank": rank,
        "score": round(hit.score, 6),
        "source": hit.source,
        "title": hit.title,
        "tokens": hit.tokens,
        "share_read": round(hit.share_read, 6),
    }
