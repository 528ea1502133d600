"""The command `longembed search`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import nullcontext, suppress
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

from longembed_index.command import display
from longembed_index.command.options import (
    CollectionOption,
    JsonOption,
    MovedModelOption,
    StoreOption,
    WhereOption,
    conditions,
    named,
)
from longembed_index.command.progress import reranking_bar
from longembed_index.modes import CANDIDATES, WEIGHT, Mode
from longembed_st.command.display import loading
from longembed_st.command.options import (
    BackendOption,
    DeviceOption,
    DtypeOption,
    settings_from_options,
)
from longembed_st.command.terminal import print_json, terminal
from longembed_st.errors import ConfigError

if TYPE_CHECKING:
    from longembed_index.passages import DocumentHit
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
    given = named(settings_from_options(device=device, dtype=dtype, backend=backend), model)
    finder = Finder(store, collection=collection, given=given)
    by_words_alone = finder.ranking.but(mode, weight).mode == "lexical"
    console = terminal(stderr=True)
    reranker: Reranker | None = None
    if rerank is not None:
        from longembed_st.loading.reranker import reranker_of

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
