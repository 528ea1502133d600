"""The command `longembed index`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

import longembed_st as le
from longembed_index.command import display
from longembed_index.command.options import (
    DEFAULT_MODEL,
    CollectionOption,
    ModelOption,
    ReportJsonOption,
    StoreOption,
    WaitOption,
    WhitenOption,
    check_ray_options,
    is_parquet,
    open_or_create,
    parse_metadata,
    path_or_url,
)
from longembed_index.command.progress import embedding_bar
from longembed_index.documents.files import refuse_missing
from longembed_index.documents.parsing import Limits
from longembed_index.errors import NO_DOCUMENTS
from longembed_index.maintain.report import Report, write_failures
from longembed_index.search.ranking import Ranking
from longembed_st.base.settings import ModelSettings
from longembed_st.base.settings_file import SettingsFile
from longembed_st.base.texts import is_url
from longembed_st.command.display import document_bar, loading
from longembed_st.command.help import ADVANCED, INPUT, OUTPUT, STORE
from longembed_st.command.options import path_argument, with_settings
from longembed_st.command.terminal import print_json, terminal

if TYPE_CHECKING:
    from longembed_index.index import Index
    from longembed_st.command.terminal import Terminal

_MAX_LIMIT = 1_000_000_000_000


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
    store: StoreOption,
    *,
    model: ModelOption = None,
    settings: ModelSettings,
    settings_file: SettingsFile | None,
    collection: CollectionOption = "documents",
    store_kind: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Kind of a new store.",
            show_default="sqlite",
            rich_help_panel=STORE,
        ),
    ] = None,
    whiten: WhitenOption = False,
    language: Annotated[
        str | None,
        typer.Option(
            help="Language of a new store, whose words are stemmed and whose stop words are left "
            "out in searches by words: english, german and others; none for words as they are.",
            show_default="guessed from the first documents",
            rich_help_panel=STORE,
        ),
    ] = None,
    meta: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KEY=VALUE",
            help="Field of these documents that --where filters by, for instance department=legal. "
            "Documents that are stored already get it, too. Repeatable.",
            show_default=False,
        ),
    ] = None,
    units: Annotated[
        bool | None,
        typer.Option(
            "--units/--no-units",
            "--spans/--no-spans",
            help="Keep vectors of every sentence unit of a document, too: searches find better and "
            "show the passages that answer. Once chosen, it holds for the store.",
            show_default="units in a new store, if the method reads texts of any length",
            rich_help_panel=STORE,
        ),
    ] = None,
    include: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PATTERN",
            help="In folders, read only files whose name or path below it matches: `*.md`, "
            "`2019/*`. Repeatable.",
            show_default=False,
            rich_help_panel=INPUT,
        ),
    ] = None,
    exclude: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PATTERN",
            help="In folders, leave out files that match. Repeatable.",
            show_default=False,
            rich_help_panel=INPUT,
        ),
    ] = None,
    follow_links: Annotated[
        bool,
        typer.Option(
            "--follow-links",
            help="Follow links in folders that lead out of them. Without it, such links are named.",
            rich_help_panel=INPUT,
        ),
    ] = False,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run",
            help="Only say what would be read: documents, tokens, about how long. Estimated from a "
            "few files of each type.",
        ),
    ] = False,
    as_json: ReportJsonOption = False,
    verbose: Annotated[
        bool,
        typer.Option(
            "--verbose",
            help="Name every document that failed, not the first 20.",
            rich_help_panel=OUTPUT,
        ),
    ] = False,
    failures: Annotated[
        Path | None,
        typer.Option(
            parser=path_argument,
            metavar="FILE",
            help="Write every document that failed, and why, to this file, as JSON lines.",
            show_default=False,
            rich_help_panel=OUTPUT,
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
        bool,
        typer.Option("--prune", help="Remove documents whose file is gone.", rich_help_panel=INPUT),
    ] = False,
    prune_empty_root: Annotated[
        bool,
        typer.Option(
            "--prune-empty-root",
            help="With --prune: also if a named folder has no file left, as when its drive is not "
            "mounted.",
            rich_help_panel=INPUT,
        ),
    ] = False,
    strict: Annotated[
        bool,
        typer.Option(
            "--strict",
            help="Exit with 1 if any document was not stored, not read to its end, has parts that "
            "were not read, or many tokens that the model does not know.",
            rich_help_panel=OUTPUT,
        ),
    ] = False,
    verify: Annotated[
        bool,
        typer.Option(
            "--verify",
            help="Embed a few stored documents again and compare.",
            rich_help_panel=ADVANCED,
        ),
    ] = False,
    reader_seconds: Annotated[
        float,
        typer.Option(
            min=0.1,
            metavar="SECONDS",
            help="The most time to parse one HTML, PDF or other file.",
            rich_help_panel=ADVANCED,
        ),
    ] = Limits.seconds,
    reader_memory: Annotated[
        int,
        typer.Option(
            min=100,
            max=_MAX_LIMIT,
            metavar="MB",
            help="The most memory for it, on Linux.",
            rich_help_panel=ADVANCED,
        ),
    ] = Limits.megabytes,
    reader_characters: Annotated[
        int,
        typer.Option(
            min=1,
            max=_MAX_LIMIT,
            metavar="N",
            help="The most characters of its text.",
            rich_help_panel=ADVANCED,
        ),
    ] = Limits.characters,
    ocr: Annotated[
        str,
        typer.Option(
            metavar="COMMAND",
            help="Reads pages of PDF that are pictures: 'tesseract {image} -' gets each page, "
            "'ocrmypdf {pdf} {output}' the whole file.",
            show_default="such pages are named, not read",
            rich_help_panel=INPUT,
        ),
    ] = Limits.ocr,
    ray: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS",
            help="Embed by the actors of a Ray cluster; `local` starts one on this machine. Then "
            "Parquet and JSON lines are tables, each row with a `text` a document, and paths may "
            "be URLs of object stores.",
            show_default="in this process",
            rich_help_panel=ADVANCED,
        ),
    ] = None,
    actors: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Number of actors, with --ray.",
            show_default="one a GPU, or one for each 4 cores",
            rich_help_panel=ADVANCED,
        ),
    ] = None,
) -> None:
    """Index whole documents, without chunks, into a store on disk.

    Each document gets one vector, and one for each sentence unit. Run it again at any time:
    unchanged documents are skipped, changed ones replaced, and an interrupted run continues. The
    store remembers the model and its settings; later runs and `search` use them.

    Examples: `longembed index reports/ notes.md --store ./store`,
    `longembed index reports/ --store ./store --dry-run`,
    `longembed index contracts/ --store ./store --meta department=legal`
    """
    metadata = parse_metadata(meta)
    limits = Limits(reader_seconds, reader_memory, reader_characters, ocr)
    check_ray_options(
        paths,
        store,
        ray,
        needs_ray={"--actors": actors},
        without_ray={
            "--whiten": whiten,
            "--watch": watch,
            "--prune": prune,
            "--dry-run": dry_run,
            "--meta": meta,
        },
        with_store={
            "--store-kind": store_kind,
            "--language": language,
            "--wait": wait,
            "--verify": verify,
        },
    )
    refuse_missing(path for path in paths if not is_url(str(path)))
    out, console = terminal(), terminal(stderr=True)
    files: dict[str, Any] = {"include": include or (), "exclude": exclude or ()}
    files |= {"follow_links": follow_links, "limits": limits}
    failed: list[tuple[str, str]] = []
    is_complete = has_files = True

    def record_and_show(report: Report) -> None:
        nonlocal is_complete, has_files
        is_complete &= report.is_complete
        has_files = bool(any(report.counts.values()) or report.removed)
        failed.extend(report.failed)
        if failures:
            write_failures(failures, failed)
        if as_json:
            print_json(report.to_dict())
        else:
            display.show_report(out, report, verbose)

    if ray is not None and is_parquet(store):
        named = settings.with_defaults(ModelSettings(model_name=model or DEFAULT_MODEL))
        with loading(console, named.model_name), embedding_bar(console) as bar:
            record_and_show(
                le.embed_files_with_ray(
                    paths, store, named, units, ray, actors, on_outcome=bar.on_outcome, **files
                )
            )
        if strict and not is_complete:
            raise typer.Exit(1)
        return
    with open_or_create(
        store,
        model,
        settings,
        collection=collection,
        kind=store_kind,
        units=units,
        language=language,
        wait=wait,
    ) as index:
        if settings_file and settings_file.search:
            index.ranking = Ranking.from_mapping(settings_file.search)
        if dry_run:
            with loading(console, index.model_name), document_bar(console, 0) as on_document:
                forecast = index.dry_run(*paths, **files, on_document=on_document)
            if as_json:
                print_json(forecast.to_dict())
            else:
                display.show_dry_run(out, forecast)
            return
        options = {
            "metadata": metadata,
            "prune": prune,
            "prune_empty_root": prune_empty_root,
            **files,
        }
        with ExitStack() as stack, _say_if_interrupted(index, console):
            say_loading = partial(loading, console, index.model_name)
            if ray is not None or not index.exists:
                stack.enter_context(say_loading())
            with embedding_bar(console) as bar:

                def on_step(step: str, done: int, total: int) -> None:
                    if step == "model":
                        stack.enter_context(say_loading())
                    bar.on_step(step, done, total)

                if ray is not None:
                    report = le.index_files_with_ray(
                        index, paths, ray, actors, bar.on_outcome, **files
                    )
                else:
                    report = index.add(
                        *paths,
                        whiten=whiten,
                        on_outcome=bar.on_outcome,
                        on_step=on_step,
                        on_message=console.say,
                        **options,
                    )
            console.say(display.model_line(index.info.provenance.settings))
            record_and_show(report)
            if not has_files:
                console.say(f"Error: {NO_DOCUMENTS}", style="red")
        if verify:
            with loading(console, None if index.is_model_loaded else index.model_name):
                count = index.verify()
            (console if as_json else out).say(
                f"Verified: {count} stored vectors are those of the model."
            )
        if watch:
            console.say("Watching for changes; Ctrl-C ends.", style="dim")
            with loading(console):
                for report in index.watch(*paths, **options):
                    record_and_show(report)
    if not has_files or (strict and not is_complete):
        raise typer.Exit(1)


@contextmanager
def _say_if_interrupted(index: Index, console: Terminal) -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt:
        console.say(
            f"Interrupted. The store has {len(index):,} documents; the same command goes on from "
            "there."
        )
        raise
