"""The command `longembed index`."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from longembed_index.command import by_ray, display
from longembed_index.command.filling import filling, refuse_language
from longembed_index.command.options import (
    CollectionOption,
    ModelOption,
    ReportJsonOption,
    WaitOption,
    WhitenOption,
    address,
    named,
    path_or_url,
)
from longembed_index.command.steps import (
    NO_DOCUMENT,
    describe,
    embedder,
    has_spans_unasked,
    load_model,
    whiten_model,
)
from longembed_index.modes import Ranking, write_ranking
from longembed_index.parsing import Limits
from longembed_st.base.settings import ModelSettings
from longembed_st.base.settings_file import SettingsFile
from longembed_st.base.texts import escaped
from longembed_st.command.display import document_bar
from longembed_st.command.options import path_argument, with_settings
from longembed_st.command.terminal import print_json, terminal
from longembed_st.errors import ConfigError

if TYPE_CHECKING:
    from longembed_index.addresses import Address
    from longembed_index.reports import Report
    from longembed_index.sources import Found
    from longembed_index.spans import SpanKeeper
    from longembed_index.store import Store
    from longembed_st.base.provenance import Provenance
    from longembed_st.command.terminal import Terminal
    from longembed_st.loading.cache import CachedModel

_MOST = 1_000_000_000_000


def _new_address(text: str | Path) -> Address:
    """A store as typed, or a folder of Parquet files."""
    from longembed_index.addresses import PARQUET, Address

    kind, _, place = str(text).partition(":")
    return Address(Path(), PARQUET, place) if kind == PARQUET and place else address(text)


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


@with_settings
def index(
    paths: Annotated[
        list[Path],
        typer.Argument(
            parser=path_or_url,
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
    as_json: ReportJsonOption = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", help="Name every document that failed, not the first 20.")
    ] = False,
    failures: Annotated[
        Path | None,
        typer.Option(
            parser=path_argument,
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
    from longembed_index.opening import read_provenance, spans_in
    from longembed_index.parsing import Parser
    from longembed_index.sources import emptied, find_files, is_gone
    from longembed_index.verify import verify as compare
    from longembed_index.watching import changes
    from longembed_index.whitening import Texts

    limits = Limits(reader_seconds, reader_memory, reader_characters)
    by_ray.refuse_unlike(
        paths,
        store,
        ray,
        with_ray=_given({"--actors": actors}),
        alone=_given(
            {"--whiten": whiten, "--watch": watch, "--prune": prune, "--dry-run": dry_run}
        ),
        of_stores=_given(
            {"--store-kind": store_kind, "--language": language, "--wait": wait, "--verify": verify}
        ),
    )
    tell = partial(_tell, failures=failures, as_json=as_json, verbose=verbose)
    if ray is not None and store.url is not None:
        found = by_ray.inputs(paths, store.url, include, exclude)
        given = named(settings, model)
        report = by_ray.to_parquet(found, store.url, given, spans, ray, actors, limits)
        tell(report, found, None)
        _fail_if(strict, report)
        return

    folder, kind = _place_of(store, store_kind)
    ranking = Ranking.of(settings_file.search) if settings_file else Ranking()
    if ray is not None:
        look = partial(by_ray.inputs, paths, folder, include, exclude)
    else:
        parser = Parser(limits)
        look = partial(find_files, paths, folder, parser, only=include or [], but=exclude or [])
    found = look()
    stored = read_provenance(folder, collection, kind=kind)
    out, console = terminal(), terminal(stderr=True)
    if not found.files and stored is None:
        display.show_failed(console, found.unreadable, verbose)
        display.show_skipped(console, found.skipped)
        raise ConfigError(NO_DOCUMENT)
    if whiten and stored is not None and stored.settings.whitening is None:
        raise ConfigError(
            f"the store in {escaped(folder)} has vectors that are not whitened. To make them anew: "
            f"longembed reindex --whiten --store {escaped(folder)}"
        )
    words = WordFile(folder, collection)
    remake = f"delete {escaped(words.path)}, which is made anew, and run again"
    refuse_language(language, words.language, remake)
    console.say(f"Found {len(found.files):,} documents", style="dim")
    loaded = load_model(stored, named(settings, model), folder, console)
    has_spans = _has_spans(spans, stored, spans_in(folder, collection, kind=kind), loaded, console)
    embed = embedder(loaded, has_spans)
    console.say(describe(loaded))
    if dry_run:
        _foresee(found, folder, collection, stored, loaded, out, console)
        return
    if whiten and stored is None:
        texts = Texts.of_sources(found.files)
        loaded, embed = whiten_model(folder, loaded, texts, has_spans, console)
    if ray is not None:
        bring = by_ray.ingestion(loaded, ray, actors, limits)
    else:
        bring = partial(ingest, embed=embed, is_gone=partial(is_gone, roots=paths), prune=prune)

    with filling(
        folder,
        loaded,
        embed,
        console,
        collection=collection,
        kind=kind,
        language=language,
        wait=wait,
    ) as target:
        opened = target.store
        if prune and not prune_empty_root:
            _refuse_emptied(emptied(paths, found, (name for _, name in opened.names())))
        if settings_file and settings_file.search:
            write_ranking(folder, collection, ranking)
        report = target.bring(found.files, bring)
        tell(report, found, len(opened))
        _name_lost(opened, report, folder, console)
        if verify:
            compared = compare(opened, embed)
            (console if as_json else out).say(
                f"Verified: {compared} stored vectors are those of the model."
            )
        if watch:
            console.say("Watching for changes; Ctrl-C ends.", style="dim")
            for changed in changes(paths, folder):
                seen = look().among(changed)
                tell(target.bring(seen.files, bring), seen, len(opened))
    _fail_if(strict, report)


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


def _name_lost(store: Store, report: Report, folder: Path, console: Terminal) -> None:
    """Say which documents from elsewhere have lost their files."""
    from longembed_index.sources import is_missing

    missing = {name for _, name in store.names() if is_missing(name)}
    if lost := missing - set(report.gone):
        console.say(
            f"Of {len(lost):,} documents from elsewhere, the files are gone, {escaped(min(lost))} "
            f"among them. To remove those: longembed delete --gone --store {escaped(folder)}"
        )


def _fail_if(strict: bool, report: Report) -> None:
    if strict and report.failed:
        raise typer.Exit(1)


def _given(options: dict[str, object]) -> list[str]:
    return [name for name, value in options.items() if value]


def _place_of(address: Address, kind: str | None) -> tuple[Path, str | None]:
    """Folder and kind of a store that may be new."""
    if None not in (kind, address.kind) and kind != address.kind:
        raise ConfigError(f"--store names the kind {address.kind!r}, --store-kind {kind!r}")
    return address.directory, address.kind or kind


def _refuse_emptied(roots: list[tuple[Path, int]]) -> None:
    if roots:
        root, count = roots[0]
        raise ConfigError(
            f"there is no file under {escaped(root)} now, and the store has {count:,} documents from "
            "there; is a drive not mounted? To remove them from the store, add --prune-empty-root"
        )


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
    if has_spans_unasked(loaded):
        return True
    if not loaded.model.has_offsets:
        console.say("No spans: the model's tokenizer does not tell the characters of its tokens.")
    else:
        console.say(
            "No spans: to have them, what is longer than "
            f"{loaded.settings.max_seq_length:,} tokens has to be read to its end, which takes "
            "longer: --spans"
        )
    return False


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
    from longembed_st.base.long_model import coverage

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
