"""The commands `longembed index`, `search`, `reindex` and `repair`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from longembed_index import display
from longembed_index.modes import CANDIDATES, WEIGHT, Mode, Ranking, write_ranking
from longembed_index.parsing import Limits
from longembed_index.progress import file_bar, record_bar, reranking_bar
from longembed_st.command.display import document_bar, loading
from longembed_st.command.options import (
    BackendOption,
    DeviceOption,
    DtypeOption,
    given_path,
    given_settings,
    with_settings,
)
from longembed_st.command.terminal import print_json, terminal
from longembed_st.errors import ConfigError
from longembed_st.settings import ModelSettings
from longembed_st.settings_file import SettingsFile
from longembed_st.texts import is_url, shown

if TYPE_CHECKING:
    from longembed_index.addresses import Address
    from longembed_index.embedding import Embed
    from longembed_index.lexical import WordFile
    from longembed_index.passages import DocumentHit
    from longembed_index.reports import Report
    from longembed_index.sources import Found
    from longembed_index.spans import SpanEmbedder, SpanKeeper, SpannedStore
    from longembed_index.store import Store
    from longembed_index.whitening import Texts
    from longembed_st.command.terminal import Terminal
    from longembed_st.coverages import Encoded
    from longembed_st.encoders.reranking import Reranker
    from longembed_st.loading.cache import CachedModel
    from longembed_st.provenance import Provenance

_MOST = 1_000_000_000_000
DEFAULT_MODEL = "sentence-transformers/all-MiniLM-L6-v2"


def _path_or_url(text: str | Path) -> Any:
    return str(text) if is_url(str(text)) else given_path(text)


def _address(text: str | Path) -> Address:
    """A store as typed: a folder, perhaps with its kind before it, or an object store."""
    from longembed_index.addresses import address_of

    return address_of(str(_path_or_url(text)))


def _new_address(text: str | Path) -> Address:
    """The same, or a folder of Parquet files."""
    from longembed_index.addresses import PARQUET, Address

    kind, _, place = str(text).partition(":")
    return Address(Path(), PARQUET, place) if kind == PARQUET and place else _address(text)


def _store_folder(text: str | Path) -> Path:
    return _address(text).directory


StoreOption = Annotated[
    Path,
    typer.Option(
        "--store",
        parser=_store_folder,
        metavar="DIR",
        help="Folder of the store, or KIND:URL of one in an object store.",
        show_default=False,
    ),
]
_NewStoreOption = Annotated[
    # Typer looks at what it is when a command is called, and needs only the parser's answer.
    Any,
    typer.Option(
        "--store",
        parser=_new_address,
        metavar="[KIND:]DIR",
        help="Folder of the store, of a new one perhaps with its kind before it (lancedb:DIR); or "
        "KIND:URL in an object store (lancedb:s3://bucket/store); with --ray, also parquet:DIR or "
        "parquet:URL.",
        show_default=False,
    ),
]
ModelOption = Annotated[
    str | None,
    typer.Option(help="Model name or folder.", show_default=f"the store's, or {DEFAULT_MODEL}"),
]
MovedModelOption = Annotated[
    str | None,
    typer.Option(
        help="Where the store's model is now, if it was moved.", show_default="the store's"
    ),
]
CollectionOption = Annotated[str, typer.Option(metavar="NAME", help="Collection in the store.")]
WhereOption = Annotated[
    list[str] | None,
    typer.Option(
        metavar="KEY=VALUE",
        help="Only documents that have this in their metadata, for instance `source=*/2019/*`: "
        "`*` stands for any characters. Repeatable; all must be met.",
        show_default=False,
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]
WhitenOption = Annotated[
    bool,
    typer.Option(
        "--whiten",
        help="Fit a whitening on the documents, without labels, and use it for all vectors of the "
        "store: see `longembed whiten`.",
    ),
]
WaitOption = Annotated[
    float,
    typer.Option(min=0, metavar="SECONDS", help="Wait so long for another writer to finish."),
]


@with_settings
def index(
    paths: Annotated[
        list[Path],
        typer.Argument(
            parser=_path_or_url,
            metavar="PATH...",
            help="Files, or folders to search: text, Markdown, HTML, PDF, DOCX, PPTX, XLSX, EPUB, "
            "EML, CSV, JSON, notebooks, source code.",
            show_default=False,
        ),
    ],
    store: _NewStoreOption,
    *,
    model: ModelOption = None,
    settings: ModelSettings,
    settings_file: SettingsFile | None,
    collection: CollectionOption = "documents",
    store_kind: Annotated[
        str | None, typer.Option(metavar="NAME", help="Kind of a new store.", show_default="chroma")
    ] = None,
    whiten: WhitenOption = False,
    language: Annotated[
        str | None,
        typer.Option(
            help="Language of a new store, whose words are stemmed and whose stop words are left "
            "out in searches by words: english, german and others; none for words as they are.",
            show_default="guessed from the first documents",
        ),
    ] = None,
    spans: Annotated[
        bool | None,
        typer.Option(
            "--spans/--no-spans",
            help="Keep vectors of every part of a document, too: searches find better and show the "
            "passages that answer. Once chosen, it holds for the store.",
            show_default="spans in a new store, if the method reads texts of any length",
        ),
    ] = None,
    include: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PATTERN",
            help="Of folders, only files whose name or path from there is like this: `*.md`, "
            "`2019/*`. Repeatable.",
            show_default=False,
        ),
    ] = None,
    exclude: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PATTERN",
            help="Of folders, no files that are like this. Repeatable.",
            show_default=False,
        ),
    ] = None,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run", help="Only say what would be read: documents, tokens, about how long."
        ),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print what was done as JSON.")] = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", help="Name every document that failed, not the first 20.")
    ] = False,
    failures: Annotated[
        Path | None,
        typer.Option(
            parser=given_path,
            metavar="FILE",
            help="Write every document that failed, and why, to this file, as JSON lines.",
            show_default=False,
        ),
    ] = None,
    watch: Annotated[
        bool,
        typer.Option(
            "--watch", help="Go on until interrupted, and index again whenever files change."
        ),
    ] = False,
    wait: WaitOption = 0,
    prune: Annotated[
        bool, typer.Option("--prune", help="Remove documents whose file is gone.")
    ] = False,
    prune_empty_root: Annotated[
        bool,
        typer.Option(
            "--prune-empty-root",
            help="With --prune: also if a named folder has no file left, as when its drive is not "
            "mounted.",
        ),
    ] = False,
    strict: Annotated[
        bool, typer.Option("--strict", help="Exit with 1 if any document was not stored.")
    ] = False,
    verify: Annotated[
        bool, typer.Option("--verify", help="Embed a few stored documents again and compare.")
    ] = False,
    reader_seconds: Annotated[
        float,
        typer.Option(
            min=0.1, metavar="SECONDS", help="The most time to parse one HTML, PDF or other file."
        ),
    ] = Limits.seconds,
    reader_memory: Annotated[
        int,
        typer.Option(min=100, max=_MOST, metavar="MB", help="The most memory for it, on Linux."),
    ] = Limits.megabytes,
    reader_characters: Annotated[
        int, typer.Option(min=1, max=_MOST, metavar="N", help="The most text that it may be.")
    ] = Limits.characters,
    ray: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS",
            help="Embed by the actors of a Ray cluster; `local` starts one on this machine. Then "
            "Parquet and JSON lines are tables, each row with a `text` a document, and paths may "
            "be URLs of object stores.",
            show_default="in this process",
        ),
    ] = None,
    actors: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="How many, with --ray.",
            show_default="one a GPU, or one for each 4 cores",
        ),
    ] = None,
) -> None:
    """Index whole documents, without chunks, into a store on disk.

    Each document becomes one vector, with one more for each of its parts beside it. Run it again at
    any time: what is there is left alone, changed files are replaced, and a run that was cut off
    goes on. The store remembers the model and its settings; later runs and `search` use them.

    Example: `longembed index reports/ notes.md --store ./store --method pcw`
    """
    from longembed_index.ingestion import ingest
    from longembed_index.lexical import WordFile
    from longembed_index.opening import open_store, read_provenance, spans_in
    from longembed_index.parsing import Parser
    from longembed_index.sources import emptied, find_files, is_gone, is_missing
    from longembed_index.spans import SpanEmbedder, SpannedStore
    from longembed_index.verify import verify as compare
    from longembed_index.watching import changes
    from longembed_index.whitening import Texts
    from longembed_index.word_index import RanksWords

    ranking = Ranking.of(settings_file.search) if settings_file else Ranking()
    limits = Limits(reader_seconds, reader_memory, reader_characters)
    parser = Parser(limits)
    alone = {"--whiten": whiten, "--watch": watch, "--prune": prune, "--dry-run": dry_run}
    _refuse_unlike(paths, store, ray, [name for name, given in alone.items() if given])
    if ray is not None and store.url is not None:
        from longembed_index.distributed.running import embed_to_parquet

        write = partial(
            embed_to_parquet, place=store.url, address=ray, actors=actors, limits=limits
        )
        found = _inputs(paths, store.url, include, exclude)
        report = _to_parquet(found, write, named(settings, model), spans, store.url)
        _tell(report, found, None, failures, as_json, verbose)
        if strict and report.failed:
            raise typer.Exit(1)
        return
    store, store_kind = _place_of(store, store_kind)

    def look() -> Found:
        if ray is not None:
            return _inputs(paths, store, include, exclude)
        return find_files(paths, store, parser, only=include or [], but=exclude or [])

    found = look()
    stored = read_provenance(store, collection, kind=store_kind)
    out, console = terminal(), terminal(stderr=True)
    if not found.files and stored is None:
        display.show_failed(console, found.unreadable, verbose)
        display.show_skipped(console, found.skipped)
        raise ConfigError("there is no document to index under these paths")
    if whiten and stored is not None and stored.settings.whitening is None:
        raise ConfigError(
            f"the store in {shown(store)} has vectors that are not whitened. To make them anew: "
            f"longembed reindex --whiten --store {shown(store)}"
        )
    console.say(f"Found {len(found.files):,} documents", style="dim")
    loaded = _load(stored, named(settings, model), store, console)
    kept, words = spans_in(store, collection, kind=store_kind), WordFile(store, collection)
    remake = f"delete {shown(words.path)}, which is made anew, and run again"
    _refuse_language(language, words.language, remake)
    has_spans = _has_spans(spans, stored, kept, loaded, console)
    embed = _embedder(loaded, has_spans)
    console.say(_describe(loaded))
    if dry_run:
        _foresee(found, store, collection, stored, loaded, out, console)
        return
    if whiten and stored is None:
        texts = Texts.of_sources(found.files)
        loaded, embed = _whiten(store, loaded, texts, has_spans, console)

    bring: Callable[..., Report]
    if ray is not None:
        from longembed_index.distributed.running import ingest_with_ray

        by_ray = partial(ingest_with_ray, made_by=loaded.provenance, address=ray)
        bring = partial(by_ray, actors=actors, limits=limits)
    else:
        gone = partial(is_gone, roots=paths)
        bring = partial(ingest, embed=embed, is_gone=gone, prune=prune)

    with open_store(
        store, loaded, collection=collection, kind=store_kind, write=True, wait=wait
    ) as plain:
        opened: Store = plain
        if isinstance(embed, SpanEmbedder):
            # Where the kind keeps them, that is known now at the latest.
            kept = spans_in(store, collection)
            # Later runs are told by it that the store has spans, even if none was made yet.
            kept.put(str(plain.provenance.fingerprint), [])
            opened = SpannedStore(plain, kept, embed)
        if isinstance(plain, RanksWords) and language is not None:
            _refuse_language(language, plain.word_index.language, "index into a new store")
            plain.speak(language)
        _repair(opened, embed, console)
        if prune and not prune_empty_root:
            names = (name for _, name in opened.names())
            _refuse_emptied(emptied(paths, found, names))
        if settings_file and settings_file.search:
            write_ranking(store, collection, ranking)

        def bring_up_to_date(found: Found) -> Report:
            with (
                _told_if_interrupted(opened, console),
                file_bar(console, found.files) as on_outcome,
            ):
                report = bring(found.files, opened, on_outcome=on_outcome)
            if isinstance(opened, SpannedStore) and isinstance(embed, SpanEmbedder):
                _catch_up(opened, embed, console)
            if not isinstance(plain, RanksWords):
                _catch_up_words(opened, words, language, console)
            _tell(report, found, len(opened), failures, as_json, verbose)
            return report

        report = bring_up_to_date(found)
        elsewhere = [name for _, name in opened.names() if is_missing(name)]
        if lost := set(elsewhere) - set(report.gone):
            console.say(
                f"Of {len(lost):,} documents from elsewhere, the files are gone, "
                f"{shown(min(lost))} among them. To remove those: longembed delete --gone "
                f"--store {shown(store)}"
            )
        if verify:
            compared = compare(opened, embed)
            (console if as_json else out).say(
                f"Verified: {compared} stored vectors are those of the model."
            )
        if watch:
            console.say("Watching for changes; Ctrl-C ends.", style="dim")
            for changed in changes(paths, store):
                bring_up_to_date(look().among(changed))
    if strict and report.failed:
        raise typer.Exit(1)


def search(
    store: StoreOption,
    query: Annotated[
        str | None,
        typer.Argument(
            metavar="QUERY",
            help="What to look for. Left out, queries are read from the keyboard or a pipe, one a "
            "line, and the model is loaded once.",
            show_default=False,
        ),
    ] = None,
    *,
    collection: CollectionOption = "documents",
    k: Annotated[int, typer.Option("-k", min=1, help="The most documents to show.")] = 5,
    model: MovedModelOption = None,
    device: DeviceOption = None,
    dtype: DtypeOption = None,
    backend: BackendOption = None,
    passages: Annotated[
        int,
        typer.Option(min=0, help="The most passages of a document to show, of a store with spans."),
    ] = 1,
    mode: Annotated[
        Mode | None,
        typer.Option(
            help="By words and vectors, by vectors alone, or by words alone.",
            show_default="the store's, or hybrid",
        ),
    ] = None,
    weight: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=1,
            help="Of the vectors, in a hybrid search.",
            show_default=f"the store's, or {WEIGHT}",
        ),
    ] = None,
    where: WhereOption = None,
    rerank: Annotated[
        str | None,
        typer.Option(
            metavar="MODEL",
            help="Cross-encoder or late-interaction model that reads the best documents together "
            "with the query, whole, and orders them anew.",
            show_default="none",
        ),
    ] = None,
    candidates: Annotated[
        int, typer.Option(min=1, metavar="N", help="Documents that --rerank reads, at least -k.")
    ] = CANDIDATES,
    as_json: JsonOption = False,
) -> None:
    """Find the documents of a store that answer a query best, by words and by meaning.

    The score is a weighted sum: of words, BM25 of the document and of its best passage, as shares
    of the highest; of vectors, the cosine similarity of the document, and, in a store with spans,
    of its best span. What stands in "double quotes" must be in the document word by word. Model and
    settings are those that the store was made with. With --rerank, the score is that model's, and
    the passage the window that it liked best.

    Example: `longembed search "who approved the budget?" --store ./store -k 3`, or, for one query
    after another, `longembed search --store ./store`
    """
    from longembed_index.finding import Finder, refuse_blank

    if query is not None:
        refuse_blank(query)
    wanted = conditions(where or [])
    given = named(given_settings(device=device, dtype=dtype, backend=backend), model)
    finder = Finder(store, collection=collection, given=given)
    by_words_alone = finder.ranking.but(mode, weight).mode == "lexical"
    console = terminal(stderr=True)
    reranker: Reranker | None = None
    if rerank is not None:
        from longembed_st.encoders.reranking import reranker_of

        with loading(console, rerank):
            reranker = reranker_of(rerank, device=device)

    def answer(asked: str) -> None:
        # By words alone, no model is loaded, and nothing that models need is imported.
        unneeded = by_words_alone or finder.is_loaded
        ask = partial(finder.find, asked, k, passages=passages, where=wanted, mode=mode)
        if reranker is not None:
            with reranking_bar(console) as on_read:
                answers, coverage = ask(
                    weight=weight, reranker=reranker, candidates=candidates, on_read=on_read
                )
        else:
            with nullcontext() if unneeded else loading(console, finder.model_name):
                answers, coverage = ask(weight=weight)
        if coverage is not None and finder.loaded.settings.on_overflow == "warn":
            display.show_query_cut(console, coverage)
        if as_json:
            print_json([_as_dict(place, answer) for place, answer in enumerate(answers, 1)])
        elif not answers:
            console.say(
                "No document of the store has what is asked for: a word of the query "
                "(--mode lexical), a phrase in quotes, the metadata of --where."
            )
        elif finder.has_passages(mode) or reranker is not None:
            display.show_answers(terminal(), answers)
        else:
            display.show_hits(terminal(), [answer.hit for answer in answers])

    if query is not None:
        answer(query)
        return
    for asked in _asked(console):
        try:
            answer(asked)
        except ConfigError as error:
            console.say(f"Error: {error}")


def _asked(console: Terminal) -> Iterator[str]:
    """Queries as they are typed, or from a pipe, until there is a blank one or no more."""
    if sys.stdin.isatty():
        console.say("One query a line; an empty one ends.")
        # Arrow keys bring back earlier queries where there is such a library.
        with suppress(ImportError):
            import readline  # noqa: F401
    while True:
        try:
            line = input("> " if sys.stdin.isatty() else "")
        except EOFError:
            return
        if not line.strip():
            return
        yield line


@with_settings
def reindex(
    store: StoreOption,
    *,
    collection: CollectionOption = "documents",
    model: ModelOption = None,
    settings: ModelSettings,
    whiten: WhitenOption = False,
    wait: WaitOption = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print what was done as JSON.")] = False,
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
    from longembed_index import reindexing
    from longembed_index.embedding import storable_model
    from longembed_index.opening import open_store, read_provenance, spans_in
    from longembed_index.spans import SpanEmbedder, SpannedStore
    from longembed_index.whitening import Texts, begun_whitening

    given = named(settings, model)
    stored = read_provenance(store, collection)
    if stored is None:
        raise ConfigError(f"there is no collection {collection!r} in a store in {store}")
    out, console = terminal(), terminal(stderr=True)
    if not (given.given.keys() - {"device"} or whiten):
        if not drop_old:
            raise ConfigError("name what is to change, for instance --method, --model or --whiten")
        with open_store(store, collection=collection, write=True, wait=wait) as opened:
            spans = spans_in(store, collection)
            kept: Store = SpannedStore(opened, spans) if spans.exists else opened
            display.show_dropped(out, kept.drop_kept())
        return
    given = given.over(ModelSettings(model_name=stored.settings.model_name))
    with loading(console, given.model_name):
        loaded = storable_model(given)
    console.say(_describe(loaded))
    with open_store(store, collection=collection, write=True, wait=wait) as opened:
        count = len(opened)
        spans = spans_in(store, collection)
        embed = _embedder(loaded, spans.exists)
        if whiten:
            begun = None if restart else begun_whitening(opened, loaded, store)
            if begun is not None:
                loaded = begun
                embed = _embedder(begun, spans.exists)
            else:
                texts = Texts.of_store(opened)
                loaded, embed = _whiten(store, loaded, texts, spans.exists, console)
        if isinstance(embed, SpanEmbedder):
            opened = SpannedStore(opened, spans, embed)
        with record_bar(console, count) as on_outcome:
            done = reindexing.reindex(
                opened,
                loaded,
                embed,
                drop_old=drop_old,
                allow_missing=allow_missing,
                restart=restart,
                on_outcome=on_outcome,
            )
        if as_json:
            told = {"kept_as": done.kept_as, "dropped": list(done.dropped), "in_store": count}
            print_json({**done.report.as_dict(), **told})
        else:
            display.show_reindexed(out, done, count)
    if done.kept_as is None:
        raise typer.Exit(1)


def repair(
    store: StoreOption,
    *,
    collection: CollectionOption = "documents",
    model: MovedModelOption = None,
    device: DeviceOption = None,
    dtype: DtypeOption = None,
    backend: BackendOption = None,
    wait: WaitOption = 0,
    remove_lost: Annotated[
        bool,
        typer.Option(
            "--remove-lost",
            help="Remove records whose vector is lost and cannot be made again: bare vectors that "
            "another program stored without a text.",
        ),
    ] = False,
) -> None:
    """Find out whether a store has lost vectors, and write those anew.

    A kill or a damaged file can cost a store vectors, but not the texts. They are taken from the
    copy that the store keeps of them, and what is not there is embedded again, with the store's own
    settings. A run that was cut off goes on when it is run again.

    Example: `longembed repair --store ./store`
    """
    from longembed_index.embedding import document_embedder
    from longembed_index.errors import StoreError
    from longembed_index.opening import open_store, read_provenance

    stored = read_provenance(store, collection)
    if stored is None:
        raise ConfigError(f"there is no collection {collection!r} in a store in {store}")
    out, console = terminal(), terminal(stderr=True)

    def embed(texts: list[str]) -> Encoded:
        # Mostly the copy has all of them, and no model is needed.
        given = named(given_settings(device=device, dtype=dtype, backend=backend), model)
        loaded = _load(stored, given, store, console)
        return document_embedder(loaded)(texts)

    with open_store(store, collection=collection, write=True, wait=wait) as opened:
        if not opened.lost():
            out.say(f"All {len(opened):,} vectors are there: nothing to repair.")
            return
        _repair(opened, embed, console, remove_lost)
        if opened.lost():
            raise StoreError(
                f"{len(opened.lost()):,} vectors are lost for good. Remove their records: "
                "longembed repair --remove-lost"
            )
        out.say(f"All {len(opened):,} vectors are there again.")


def _refuse_unlike(
    paths: Sequence[Path | str], store: Address, ray: str | None, alone: list[str]
) -> None:
    """Raise `ConfigError` for what only goes with `--ray`, or only without."""
    urls = [path for path in paths if isinstance(path, str)]
    if ray is None and (urls or store.url):
        what = urls[0] if urls else f"parquet:{store.url}"
        raise ConfigError(f"{what} needs --ray, for instance --ray local")
    if ray is not None and alone:
        raise ConfigError(f"{alone[0]} does not go with --ray: index without --ray for that")


def _inputs(
    paths: Sequence[Path | str],
    result: Path | str,
    include: list[str] | None,
    exclude: list[str] | None,
) -> Found:
    """What there is to read for the actors of a cluster."""
    from longembed_index.distributed.reading import inputs_of
    from longembed_index.sources import Found

    inputs, unreadable = inputs_of(paths, result, only=include or [], but=exclude or [])
    return Found(list(inputs), [], unreadable)


def _to_parquet(
    found: Found,
    write: Callable[..., Report],
    given: ModelSettings,
    spans: bool | None,
    place: str,
) -> Report:
    """Embed documents into a folder of Parquet files."""
    console = terminal(stderr=True)
    if not found.files:
        raise ConfigError("there is no document to index under these paths")
    console.say(f"Found {len(found.files):,} files", style="dim")
    loaded = _load(None, given, Path(), console)
    console.say(_describe(loaded))
    if spans is None:
        spans = loaded.model.has_offsets and loaded.settings.max_seq_length is None
    with file_bar(console, found.files) as on_outcome:
        return write(found.files, made_by=loaded.provenance, spans=spans, on_outcome=on_outcome)


def _tell(
    report: Report,
    found: Found,
    in_store: int | None,
    failures: Path | None,
    as_json: bool,
    verbose: bool,
) -> None:
    """Say what became of all documents."""
    from longembed_index.reports import write_failures

    out = terminal()
    report.failed += found.unreadable
    report.counts["failed"] += len(found.unreadable)
    if failures:
        write_failures(failures, report.failed)
    if as_json:
        skipped = [str(path) for path in found.skipped]
        print_json({**report.as_dict(), "skipped": skipped, "in_store": in_store})
    else:
        display.show_report(out, report, in_store, verbose)
        display.show_skipped(out, found.skipped)


def _place_of(address: Address, kind: str | None) -> tuple[Path, str | None]:
    """Folder and kind of a store that may be new."""
    if None not in (kind, address.kind) and kind != address.kind:
        raise ConfigError(f"--store names the kind {address.kind!r}, --store-kind {kind!r}")
    return address.directory, address.kind or kind


def conditions(given: list[str]) -> dict[str, str]:
    """What `--where` asks for, by key.

    Args:
        given: Each as `KEY=VALUE`.

    Raises:
        ConfigError: If one is of another form, or a key is named twice.
    """
    pairs = [one.partition("=") for one in given]
    wrong = [one for one, (key, sign, _) in zip(given, pairs, strict=True) if not (key and sign)]
    if wrong:
        raise ConfigError(f"--where takes KEY=VALUE, for instance title=*.pdf, not {wrong[0]!r}")
    conditions = {key: value for key, _, value in pairs}
    if len(conditions) < len(pairs):
        raise ConfigError("--where names a key twice; a document has one value of each")
    return conditions


def _refuse_emptied(roots: list[tuple[Path, int]]) -> None:
    if roots:
        root, count = roots[0]
        raise ConfigError(
            f"there is no file under {shown(root)} now, and the store has {count:,} documents from "
            "there; is a drive not mounted? To remove them from the store, add --prune-empty-root"
        )


def _repair(store: Store, embed: Embed, console: Terminal, remove_lost: bool = False) -> None:
    """Repair a store before it is used, and say so; nothing if it is sound."""
    from longembed_index import repairing

    lost = len(store.lost())
    if not lost:
        return
    console.say(f"The store has lost {lost:,} of {len(store):,} vectors; they are written anew.")
    with record_bar(console, lost) as on_outcome:
        report = repairing.repair(store, embed, remove_lost=remove_lost, on_outcome=on_outcome)
    display.show_repaired(console, report)


def named(settings: ModelSettings, model: str | None) -> ModelSettings:
    """Settings with the place where a model is now.

    Args:
        settings: Without a model.
        model: Where it is; None where the store says.
    """
    return settings if model is None else settings.model_copy(update={"model_name": model})


def _embedder(loaded: CachedModel, spans: bool) -> Embed:
    """What embeds documents, with their spans if they are wanted."""
    from longembed_index.embedding import document_embedder
    from longembed_index.spans import SpanEmbedder

    return SpanEmbedder(loaded.model.encode_spans) if spans else document_embedder(loaded)


def _has_spans(
    given: bool | None,
    stored: Provenance | None,
    kept: SpanKeeper,
    loaded: CachedModel,
    console: Terminal,
) -> bool:
    """Whether spans are kept: in a new store if they cost little, later as the store has them."""
    if given is False and kept.exists:
        raise ConfigError(
            f"the store has spans. To go without from now on, delete {kept.place}: they can be "
            "made again"
        )
    if given or kept.exists:
        return True
    if given is False or stored is not None:
        return False
    limit = loaded.settings.max_seq_length
    if not loaded.model.has_offsets:
        console.say("No spans: the model's tokenizer does not tell the characters of its tokens.")
    elif limit is not None:
        console.say(
            f"No spans: to have them, what is longer than {limit:,} tokens has to be read to its "
            "end, which takes longer: --spans"
        )
    return loaded.model.has_offsets and limit is None


def _catch_up(store: SpannedStore, embed: SpanEmbedder, console: Terminal) -> None:
    """Spans for documents that were stored without."""
    from longembed_index.spans import catch_up, without_spans

    missing = without_spans(store)
    if not missing:
        return
    with document_bar(console, len(missing), "spans") as on_document:
        failed = catch_up(store, embed, missing, on_document)
    display.show_failed(console, failed)


def _foresee(
    found: Found,
    store: Path,
    collection: str,
    stored: Provenance | None,
    loaded: CachedModel,
    out: Terminal,
    console: Terminal,
) -> None:
    """Say what indexing would do."""
    from longembed_index.embedding import document_embedder
    from longembed_index.foresight import foresee
    from longembed_index.opening import open_store
    from longembed_st.model import coverage

    there: set[str] = set()
    if stored is not None:
        with open_store(store, loaded, collection=collection) as opened:
            there = {record_id for record_id, _ in opened.names()}

    def count(text: str) -> tuple[int, int]:
        one = coverage(loaded.model, [text])[0]
        return one.tokens, one.read

    with document_bar(console, len(found.files), "looking") as on_document:
        seen = foresee(
            found.files, there.__contains__, count, document_embedder(loaded), on_document
        )
    seen.failed += found.unreadable
    display.show_foresight(out, seen)
    display.show_skipped(out, found.skipped)


@contextmanager
def _told_if_interrupted(store: Store, console: Terminal) -> Iterator[None]:
    """Say what is stored when somebody interrupts a long run."""
    try:
        yield
    except KeyboardInterrupt:
        console.say(
            f"Interrupted. The store has {len(store):,} documents; the same command goes on from "
            "there."
        )
        raise


def _refuse_language(language: str | None, stored: str | None, way_out: str) -> None:
    """Raise `ConfigError` for a language that there is not, or that is not the store's."""
    from longembed_index.words import LANGUAGES

    if language is not None and language not in LANGUAGES:
        raise ConfigError(f"--language must be one of {', '.join(LANGUAGES)}, not {language!r}")
    if language is not None and stored not in (None, language):
        raise ConfigError(
            f"the words of the store are those of {stored}. To change that, {way_out}"
        )


def _catch_up_words(store: Store, words: WordFile, language: str | None, console: Terminal) -> None:
    """The words of documents that are new, or that another program has stored."""
    from longembed_index.derived import behind
    from longembed_index.hybrid import catch_up

    missing, left_over = behind(store, words.ids())
    if missing or left_over:
        with document_bar(console, len(missing), "words") as on_document:
            catch_up(store, words, language, on_document)


def _whiten(
    store: Path, loaded: CachedModel, texts: Texts, spans: bool, console: Terminal
) -> tuple[CachedModel, Embed]:
    """The model whitened by some of the documents, and what embeds without reading those again."""
    from longembed_index.whitening import whiten

    with document_bar(console, len(texts), "whitening") as on_document:
        return whiten(store, loaded, texts, spans=spans, on_document=on_document, tell=console.say)


def _load(
    stored: Provenance | None, given: ModelSettings, store: Path, console: Terminal
) -> CachedModel:
    """The store's own model, or that of a new store."""
    usual = stored.settings.model_name if stored else DEFAULT_MODEL
    settings = given.over(ModelSettings(model_name=usual))
    with loading(console, settings.model_name):
        from longembed_index.embedding import storable_model
        from longembed_index.finding import model_of_store

        return model_of_store(stored, given, store) if stored else storable_model(settings)


def _describe(loaded: CachedModel) -> str:
    settings = loaded.settings
    limit = settings.max_seq_length
    whitened = f", whitened by {settings.whitening}" if settings.whitening else ""
    return (
        f"Model {settings.model_name}, method {settings.method}{whitened}: reads "
        f"{f'up to {limit:,} tokens of' if limit else 'all of'} each document"
    )


def _as_dict(rank: int, answer: DocumentHit) -> dict[str, Any]:
    from longembed_index.passages import as_dict

    hit = answer.hit
    share = hit.share_read
    found = {
        "rank": rank,
        "score": round(hit.score, 6),
        "source": hit.source,
        "title": hit.title,
        "tokens": hit.tokens,
        "share_read": None if share is None else round(share, 6),
    }
    more = answer.passages or answer.words or answer.first_score is not None
    return {**found, **as_dict(answer)} if more else found
