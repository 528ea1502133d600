"""The command `longembed search`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import nullcontext, suppress
from typing import TYPE_CHECKING, Annotated, Any

import typer

from longembed_index.command import display
from longembed_index.command.options import (
    CollectionOption,
    JsonOption,
    MovedModelOption,
    StoreOption,
    WhereOption,
    open_index,
    parse_where,
)
from longembed_index.command.progress import reranking_bar
from longembed_index.search.ranking import CANDIDATES, WEIGHT, Mode
from longembed_st.command.display import loading
from longembed_st.command.help import ADVANCED, OUTPUT
from longembed_st.command.options import (
    BackendOption,
    DeviceOption,
    DtypeOption,
    settings_from_options,
)
from longembed_st.command.terminal import print_json, terminal
from longembed_st.errors import ConfigError

if TYPE_CHECKING:
    from longembed_index.document import Context
    from longembed_st.base.reranking import Reranker
    from longembed_st.command.terminal import Terminal


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
        typer.Option(
            min=0,
            help="The most passages of a document to show.",
            rich_help_panel=OUTPUT,
        ),
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
            help="Weight of the vectors in a hybrid search.",
            show_default=f"the store's, or {WEIGHT}",
            rich_help_panel=ADVANCED,
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
            rich_help_panel=ADVANCED,
        ),
    ] = None,
    candidates: Annotated[
        int,
        typer.Option(
            min=1,
            metavar="N",
            help="Documents that --rerank reads, at least -k.",
            rich_help_panel=ADVANCED,
        ),
    ] = CANDIDATES,
    context: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="WORDS",
            help="Print the passages that answer best, of all documents, as one text of at most so "
            "many words, for the prompt of a language model. -k and --passages do not matter then.",
            show_default="documents and their passages",
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Find the documents of a store that answer a query best, by words and by meaning.

    The score is a weighted sum: of words, BM25 of the document, of its best passage and of its best
    run of sentences, as shares of what a text gets that has every word of the query; of vectors,
    the cosine similarity of the document and of its best run of sentences, in a store with units.
    What stands in "double quotes" must be in the document word by word. Model and
    settings are those that the store was made with. With --rerank, the score is that model's, and
    the passage the window that it liked best. --json prints the hits of a query as a list; without
    a query, for each that is typed, a line with an object that has "query" and "hits".

    Examples: `longembed search "who approved the budget?" --store ./store -k 3`,
    `longembed search "who approved the budget?" --store ./store --where type=pdf`,
    `longembed search "who approved the budget?" --store ./store --context 600`,
    `longembed search --store ./store`
    """
    from longembed_index.search.question import check_query, parse_question

    if query is not None:
        check_query(query)
    if context is not None and rerank is not None:
        raise ConfigError("--context and --rerank cannot be combined: a reranker orders documents")
    filters = parse_where(where)
    settings = settings_from_options(device=device, dtype=dtype, backend=backend)
    index = open_index(store, collection, model=model, settings=settings)
    by_vectors = index.ranking.with_overrides(mode, weight).mode != "lexical"
    console = terminal(stderr=True)
    reranker: Reranker | None = None
    if rerank is not None:
        from longembed_st.loading.reranker import reranker_of

        with loading(console, rerank):
            reranker = reranker_of(rerank, device=device)

    def answer(question: str) -> None:
        if by_vectors and index.needs_model:
            with loading(console, index.model_name):
                _ = index.model
        if context is not None:
            show_context(
                question, index.context(question, context, where=filters, mode=mode, weight=weight)
            )
            return
        with reranking_bar(console) if reranker else nullcontext() as on_read:
            hits = index.search(
                question,
                k,
                passages=passages,
                where=filters,
                mode=mode,
                weight=weight,
                reranker=reranker,
                candidates=candidates,
                on_read=on_read,
            )
        if as_json:
            show_json(question, [{"rank": n, **hit.to_dict()} for n, hit in enumerate(hits, 1)])
            return
        if not hits:
            conditions = [
                *(["meets --where"] if filters else []),
                *(["has each phrase in quotes"] if parse_question(question).phrases else []),
                *([] if by_vectors else ["has a word of the query"]),
            ]
            console.say(f"No document of the store {' and '.join(conditions) or 'matches'}.")
            return
        if any(hit.passages for hit in hits):
            display.show_hits(terminal(), hits)
        else:
            display.show_table(terminal(), hits)
        if not any(hit.is_answer for hit in hits):
            console.say(display.NOT_ANSWERED)

    def show_json(question: str, value: Any) -> None:
        if query is not None:
            print_json(value)
        else:
            # A line for each question, so that a program can read one after the other.
            value = value if isinstance(value, dict) else {"hits": value}
            print_json({"query": question, **value}, indent=None)

    def show_context(question: str, answer: Context) -> None:
        if as_json:
            show_json(question, answer.to_dict())
        else:
            for line in answer.text.split("\n"):
                terminal().say(line)
        if not answer.is_answered:
            console.say(display.NOT_ANSWERED)

    with index:
        if query is not None:
            answer(query)
            return
        for question in _typed_queries(console):
            try:
                answer(question)
            except ConfigError as error:
                console.say(f"Error: {error}")


def _typed_queries(console: Terminal) -> Iterator[str]:
    """Yield queries from the keyboard or a pipe until a blank one or the end."""
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
