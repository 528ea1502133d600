"""The commands `longembed index`, `longembed search` and `longembed reindex`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from chroma_longembed import display, settings
from chroma_longembed.errors import needs_extra
from longembed_st.errors import ConfigError
from longembed_st.options import (
    DeviceOption,
    DocumentPromptOption,
    QueryPromptOption,
    parse_option,
)
from longembed_st.quiet import without_loading_bars

if TYPE_CHECKING:
    from chroma_longembed.embedding_function import LongEmbedEmbeddingFunction
    from chroma_longembed.store import Hit

DEFAULT_MODEL = "sentence-transformers/all-MiniLM-L6-v2"

StoreOption = Annotated[
    Path, typer.Option("--store", metavar="DIR", help="Folder of the store.", show_default=False)
]
ModelOption = Annotated[
    str | None,
    typer.Option(help="Model name or folder.", show_default=f"the store's, or {DEFAULT_MODEL}"),
]
MethodOption = Annotated[
    str | None, typer.Option(help="How to read past the original window.", show_default="auto")
]
WindowOption = Annotated[
    int | None,
    typer.Option(help="Most tokens to read of a document.", show_default="the method's"),
]
OriginalOption = Annotated[
    int | None, typer.Option(help="Tokens the model reads unextended.", show_default="the model's")
]
WindowSizeOption = Annotated[
    int | None,
    typer.Option(help="Tokens of a window (method pcw).", show_default="the original window"),
]
OptionOption = Annotated[
    list[str] | None,
    typer.Option(
        "--option",
        "-o",
        metavar="K=V",
        help="Any further option of the method, for instance overlap=32. Can be repeated.",
    ),
]
LognOption = Annotated[
    bool | None,
    typer.Option(
        "--logn-scaling/--no-logn-scaling",
        help="Scale attention with the logarithm of the length.",
        show_default="off",
    ),
]
OverflowOption = Annotated[
    str | None,
    typer.Option(
        metavar="warn|error|truncate",
        help="Documents longer than can be read: name them, refuse them, or cut them silently.",
        show_default="warn",
    ),
]
WaitOption = Annotated[
    float,
    typer.Option(min=0, metavar="SECONDS", help="Wait so long for another writer to finish."),
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
    model: ModelOption = None,
    method: MethodOption = None,
    max_seq_length: WindowOption = None,
    original_max_seq_length: OriginalOption = None,
    window_size: WindowSizeOption = None,
    option: OptionOption = None,
    logn_scaling: LognOption = None,
    query_prompt: QueryPromptOption = None,
    document_prompt: DocumentPromptOption = None,
    on_overflow: OverflowOption = None,
    device: DeviceOption = None,
    wait: WaitOption = 0,
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

    given = _given(
        option,
        {"query": query_prompt, "document": document_prompt},
        model_name=model,
        method=method,
        max_seq_length=max_seq_length,
        original_max_seq_length=original_max_seq_length,
        window_size=window_size,
        logn_scaling=logn_scaling,
        on_overflow=on_overflow,
        device=device,
    )
    found = find_files(paths, exclude=store)
    stored = stores.read_settings(store)
    out, console = Console(), Console(stderr=True)
    if not found.files and stored is None:
        display.show_failed(console, found.unreadable)
        display.show_skipped(console, found.skipped)
        raise ConfigError("there is no document to index under these paths")
    with without_loading_bars():
        function = _embedding_function(LongEmbedEmbeddingFunction, stored, given)
    console.print(_describe(function), highlight=False, soft_wrap=True)

    with stores.open_store(store, function, write=True, wait=wait) as chroma:
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
    model: Annotated[
        str | None,
        typer.Option(
            help="Where the store's model is now, if it was moved.", show_default="the store's"
        ),
    ] = None,
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
    with without_loading_bars():
        given = _given(None, {}, model_name=model, device=device)
        function = _embedding_function(LongEmbedEmbeddingFunction, stored, given)
    with stores.open_store(store, function) as chroma:
        hits = chroma.search(query, k) if len(chroma) else []
    if not hits:
        raise ConfigError(f"the store in {store} is empty")
    if as_json:
        print(json.dumps([_as_dict(rank, hit) for rank, hit in enumerate(hits, 1)], indent=2))
    else:
        display.show_hits(Console(), hits)


def reindex(
    store: StoreOption,
    collection: Annotated[
        str, typer.Option(metavar="NAME", help="Collection in the store.")
    ] = "documents",
    model: ModelOption = None,
    method: MethodOption = None,
    max_seq_length: WindowOption = None,
    original_max_seq_length: OriginalOption = None,
    window_size: WindowSizeOption = None,
    option: OptionOption = None,
    logn_scaling: LognOption = None,
    query_prompt: QueryPromptOption = None,
    document_prompt: DocumentPromptOption = None,
    on_overflow: OverflowOption = None,
    device: DeviceOption = None,
    wait: WaitOption = 0,
    drop_old: Annotated[
        bool,
        typer.Option(
            "--drop-old/--keep-old",
            help="Delete the old vectors after the switch, and those kept earlier. Alone, it "
            "deletes what is kept.",
        ),
    ] = False,
    allow_missing: Annotated[
        bool,
        typer.Option(
            "--allow-missing",
            help="Switch even if some documents cannot be embedded. They stay in the old vectors.",
        ),
    ] = False,
    restart: Annotated[
        bool,
        typer.Option("--restart", help="Throw away an unfinished reindexing of other settings."),
    ] = False,
) -> None:
    """Embed all documents of a store again, with another model or other settings.

    The texts are taken from the store; no file is read. The old vectors answer searches until the
    new ones are complete, and stay beside them until `--drop-old`. The model is the store's unless
    one is named; every other setting that is not given takes its default. A run that was cut off
    goes on when it is run again.

    Example: `longembed reindex --store ./store --method pi --max-seq-length 4096`
    """
    with needs_extra():
        from chroma_longembed import reindexing
        from chroma_longembed import store as stores
        from chroma_longembed.embedding_function import LongEmbedEmbeddingFunction

    given = _given(
        option,
        {"query": query_prompt, "document": document_prompt},
        model_name=model,
        method=method,
        max_seq_length=max_seq_length,
        original_max_seq_length=original_max_seq_length,
        window_size=window_size,
        logn_scaling=logn_scaling,
        on_overflow=on_overflow,
        device=device,
    )
    stored = stores.read_settings(store, collection)
    if stored is None:
        raise ConfigError(f"there is no collection {collection!r} in a store in {store}")
    out, console = Console(), Console(stderr=True)
    if not given.keys() - {"device"}:
        if not drop_old:
            raise ConfigError("name what is to change, for instance --method or --model")
        with stores.write_client(store, wait) as client, stores.chroma_errors("write"):
            display.show_dropped(out, reindexing.drop_kept(client, collection))
        return
    with without_loading_bars():
        function = LongEmbedEmbeddingFunction(**{"model_name": stored["model_name"], **given})
    console.print(_describe(function), highlight=False, soft_wrap=True)
    with stores.write_client(store, wait) as client, stores.chroma_errors("write"):
        count = client.get_collection(collection, embedding_function=None).count()
        with display.progress_bar(console, [1] * count) as on_outcome:
            done = reindexing.reindex(
                client,
                collection,
                function,
                drop_old=drop_old,
                allow_missing=allow_missing,
                restart=restart,
                on_outcome=on_outcome,
            )
        display.show_reindexed(out, done, count)
    if done.kept_as is None:
        raise typer.Exit(1)


def _given(
    options: list[str] | None, prompts: dict[str, str | None], **named: Any
) -> settings.Settings:
    """The settings that the user gave, and no others."""
    named["prompts"] = {k: v for k, v in prompts.items() if v is not None} or None
    named |= dict(parse_option(text) for text in options or [])
    return {name: value for name, value in named.items() if value is not None}


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


def _as_dict(rank: int, hit: Hit) -> dict[str, Any]:
    return {
        "rank": rank,
        "score": round(hit.score, 6),
        "source": hit.source,
        "title": hit.title,
        "tokens": hit.tokens,
        "share_read": round(hit.share_read, 6),
    }
