"""Whitening a store: fitted on its own documents, kept beside them, used for all that come later.

What the fit reads is not read again: the vectors it makes anyway are kept until they are stored.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

import longembed_st as le
from longembed_index.documents.sentences import sentence_units
from longembed_index.documents.sources import content_of, parsed_of
from longembed_index.maintain.embedding import (
    Embed,
    Embedded,
    embedder_of,
    storable_model,
    units_of,
    with_whitening_in_folder,
)
from longembed_index.maintain.report import OnStep, StepCounter
from longembed_index.store.kinds import WHITENINGS
from longembed_index.store.vectors import unit_vectors
from longembed_st.errors import ConfigError, InputError, LongEmbedError, ModelError

if TYPE_CHECKING:
    from longembed_index.documents.sources import Source
    from longembed_index.resources import Resources
    from longembed_index.store.protocol import Store
    from longembed_st.loading.cache import CachedModel
    from longembed_st.loading.whitening import Whitening


class LazyTexts(Sequence[str]):
    """Texts that are fetched when they are asked for, and not kept."""

    def __init__(self, fetch: Sequence[Callable[[], str]]) -> None:
        self._fetch = fetch

    @classmethod
    def from_sources(cls, sources: Sequence[Source]) -> LazyTexts:
        """Return a sample of documents that are going to be indexed."""
        return cls([partial(_text_of_source, source) for source in _sample(sources)])

    @classmethod
    def from_store(cls, store: Store) -> LazyTexts:
        """Return a sample of the documents of a store."""
        ids = [entry.id for entry in store.entries()]
        return cls([partial(_stored_text, store, document_id) for document_id in _sample(ids)])

    def __len__(self) -> int:
        return len(self._fetch)

    @overload
    def __getitem__(self, place: int) -> str: ...
    @overload
    def __getitem__(self, place: slice) -> LazyTexts: ...
    def __getitem__(self, place: int | slice) -> str | LazyTexts:
        return LazyTexts(self._fetch[place]) if isinstance(place, slice) else self._fetch[place]()

    def __iter__(self) -> Iterator[str]:
        return (fetch() for fetch in self._fetch)


def whiten(
    directory: Path,
    model: CachedModel,
    texts: Sequence[str],
    *,
    units: bool = False,
    on_step: OnStep = lambda step, done, total: None,
    on_message: Callable[[str], None] = lambda line: None,
) -> tuple[CachedModel, Embed]:
    """Fit a whitening for a store, and keep it in the store's folder.

    Args:
        directory: The folder.
        model: Not whitened.
        texts: What the whitening is fitted on.
        units: Whether the sentence units of the documents are wanted, too.
        on_step: Called with the step "whitening" after each text that was read.
        on_message: Called with sentences that say how the whitening was judged.

    Returns:
        The whitened model, and what embeds with it without reading those texts again.

    Raises:
        InputError: If the documents are too few, or all alike.
        ModelError: If the whitening gains nothing on documents held out of the fit.
    """
    count = StepCounter(on_step, "whitening", len(texts))
    windows_by_text: dict[bytes, Sequence[Any]] = {}

    def keep(text: str, windows: Sequence[Any]) -> None:
        # Texts and what nobody asked for would fill the memory.
        windows_by_text[_digest(text)] = [
            replace(each, passages=[], vectors=each.vectors[:0]) for each in windows
        ]
        count()

    # By its public name: the package that fits is one of those that build on this one.
    fit = le.fit_whitening(
        model.model, texts, on_document=keep, split=sentence_units if units else None
    )
    for line in fit.summary():
        on_message(line)
    if not fit.gains:
        raise ModelError(
            "whitening gains nothing on these documents (see above), so nothing was stored. Leave "
            "--whiten out (whiten=False)"
        )
    whitening: Whitening = fit.whitening
    file = directory.resolve() / WHITENINGS.replace("*", whitening.digest[:16])
    whitening.write(file)
    whitened = storable_model(model.settings.model_copy(update={"whitening": str(file)}))
    known = {
        key: _whitened(windows[fit.variant], whitening) for key, windows in windows_by_text.items()
    }
    return whitened, _unless_known(embedder_of(whitened, units), known)


def whiten_new(
    resources: Resources,
    sources: Sequence[Source],
    on_step: OnStep,
    on_message: Callable[[str], None],
) -> Embed | None:
    """Whiten the model of a new index by its first documents.

    Returns:
        What embeds with it; None if the index exists and is whitened already.

    Raises:
        ConfigError: If the index exists and is not whitened.
    """
    store = resources.store()
    if store is not None:
        if store.info.provenance.settings.whitening is None:
            raise ConfigError(
                "the vectors of the index are not whitened. To make them anew: longembed reindex "
                "--whiten, or reindex(whiten=True)"
            )
        return None
    model, embed = whiten(
        resources.directory,
        resources.model(None),
        LazyTexts.from_sources(sources),
        units=resources.new_info().units,
        on_step=on_step,
        on_message=on_message,
    )
    resources.use(model)
    return embed


def whiten_stored(
    store: Store,
    directory: Path,
    model: CachedModel,
    *,
    units: bool,
    restart: bool,
    on_step: OnStep,
    on_message: Callable[[str], None],
) -> tuple[CachedModel, Embed]:
    """Whiten a model for a store that is going to be reindexed with it.

    Returns:
        As `whiten`.
    """
    unfinished = None if restart else unfinished_whitening(store, model, directory)
    if unfinished is not None:
        return unfinished, embedder_of(unfinished, units)
    texts = LazyTexts.from_store(store)
    return whiten(directory, model, texts, units=units, on_step=on_step, on_message=on_message)


def unfinished_whitening(store: Store, model: CachedModel, directory: Path) -> CachedModel | None:
    """Return the whitened model of a reindexing that was cut off: another fit would differ.

    Returns:
        None if nothing was begun, or with other settings.
    """
    staged = store.staged()
    if staged is None or staged.info.provenance.settings.whitening is None:
        return None
    settings = with_whitening_in_folder(staged.info.provenance, directory).settings
    if settings.model_copy(update={"whitening": None}).differences(model.settings):
        return None
    return storable_model(settings)


def _whitened(windows: Any, whitening: Whitening) -> Embedded:
    """Return what the whitened model makes of a document, from what the fit has read of it."""
    (vector,) = unit_vectors(whitening(windows.document[None]))
    units = None if windows.units is None else units_of(windows.units)
    return Embedded(vector, windows.coverage, units)


def _unless_known(embed: Embed, known: dict[bytes, Embedded]) -> Embed:
    def embed_unless_known(texts: list[str]) -> list[Embedded | LongEmbedError]:
        unknown = [text for text in texts if _digest(text) not in known]
        results = iter(embed(unknown))
        return [known.get(_digest(text)) or next(results) for text in texts]

    return embed_unless_known


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()


def _sample(items: Sequence[Any]) -> list[Any]:
    # The package that fits names the number; its libraries take seconds to import.
    from longembed_st.loading.whitening import FITTED_DOCUMENTS

    most = min(len(items), FITTED_DOCUMENTS)
    return [items[place] for place in sorted(random.Random(0).sample(range(len(items)), most))]


def _text_of_source(source: Source) -> str:
    try:
        return parsed_of(source, content_of(source)).text
    except InputError:
        return ""


def _stored_text(store: Store, document_id: str) -> str:
    return "".join(record.document.text for record in store.get([document_id]))
