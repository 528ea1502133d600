"""Whitening a store: fitted on its own documents, kept beside them, used for all that come later.

What the fit reads is not read again: the vectors it makes anyway are kept until they are stored.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

import numpy as np

import longembed_st as le
from longembed_index.embedding import Embed, document_embedder, storable_model
from longembed_index.opening import WHITENINGS
from longembed_index.sources import content_of, parsed_of
from longembed_index.spans import SpanEmbedder, digest_of
from longembed_st.base.coverage import Encoded
from longembed_st.errors import InputError, ModelError
from longembed_st.loading.whitening import FITTED_DOCUMENTS
from longembed_st.sentence_transformer.spans import SpanVectors

if TYPE_CHECKING:
    from longembed_index.sources import Source
    from longembed_index.store import Store
    from longembed_st.base.provenance import Provenance
    from longembed_st.loading.cache import CachedModel
    from longembed_st.loading.whitening import Whitening


class Texts(Sequence[str]):
    """Texts that are fetched when they are asked for, and not kept.

    Args:
        fetch: One for each.
    """

    def __init__(self, fetch: Sequence[Callable[[], str]]) -> None:
        self._fetch = fetch

    @classmethod
    def of_sources(cls, sources: Sequence[Source]) -> Texts:
        """A sample of documents to be indexed; what cannot be read counts as empty here.

        Args:
            sources: All documents.
        """
        return cls([partial(_text, source) for source in _sample(sources)])

    @classmethod
    def of_store(cls, store: Store) -> Texts:
        """A sample of the documents of a store.

        Args:
            store: Open.
        """
        ids = sorted(record_id for record_id, _ in store.names())
        return cls([partial(_stored_text, store, one) for one in _sample(ids)])

    def __len__(self) -> int:
        return len(self._fetch)

    @overload
    def __getitem__(self, place: int) -> str: ...
    @overload
    def __getitem__(self, place: slice) -> Texts: ...
    def __getitem__(self, place: int | slice) -> str | Texts:
        return Texts(self._fetch[place]) if isinstance(place, slice) else self._fetch[place]()

    def __iter__(self) -> Iterator[str]:
        return (fetch() for fetch in self._fetch)


def whiten(
    directory: Path,
    model: CachedModel,
    texts: Texts,
    *,
    spans: bool = False,
    on_document: Callable[[], None] = lambda: None,
    tell: Callable[[str], None] = lambda line: None,
) -> tuple[CachedModel, Embed]:
    """Fit a whitening for a store, and keep it in the store's folder.

    Args:
        directory: The folder.
        model: Not whitened.
        texts: What the whitening is fitted on.
        spans: Whether the documents' spans are wanted, too.
        on_document: Called after each that was read.
        tell: Told how the whitening was judged, in sentences.

    Returns:
        The whitened model, and what embeds with it without reading those texts again; a
        `SpanEmbedder` if spans are wanted.

    Raises:
        InputError: If the documents are too few, or all alike.
        ModelError: If the whitening gains nothing on documents held out of the fit.
    """
    read: dict[bytes, Sequence[Any]] = {}

    def keep(text: str, windows: Sequence[Any]) -> None:
        # Texts and what nobody asked for would fill the memory.
        most = None if spans else 0
        read[digest_of(text)] = [replace(w, passages=[], vectors=w.vectors[:most]) for w in windows]
        on_document()

    # By its public name: the package that fits is one of those that build on this one.
    made = le.fit_whitening(model.model, texts, on_document=keep)
    for line in made.summary():
        tell(line)
    if not made.gains:
        raise ModelError(
            "whitening gains nothing on these documents (see above), so nothing was stored. Leave "
            "--whiten out"
        )
    whitening: Whitening = made.whitening
    file = directory.resolve() / WHITENINGS.replace("*", whitening.digest[:16])
    whitening.write(file)
    whitened = storable_model(model.settings.model_copy(update={"whitening": str(file)}))
    known = {key: _mapped(windows[made.variant], whitening) for key, windows in read.items()}

    def read_unless_known(texts: list[str]) -> list[SpanVectors]:
        keys = [digest_of(text) for text in texts]
        rest = [text for text, key in zip(texts, keys, strict=True) if key not in known]
        others = iter(whitened.model.encode_spans(rest))
        return [known[key] if key in known else next(others) for key in keys]

    if spans:
        return whitened, SpanEmbedder(read_unless_known)
    return whitened, _embedder(document_embedder(whitened), known)


def begun_whitening(store: Store, model: CachedModel, directory: Path) -> CachedModel | None:
    """The whitened model of a reindexing that was cut off: fitting it anew would give another.

    Args:
        store: That is being reindexed.
        model: With the new settings, not whitened.
        directory: The store's folder.

    Returns:
        None if nothing was begun, or with other settings.
    """
    staged = store.staged()
    if staged is None or staged.provenance.settings.whitening is None:
        return None
    begun = located(staged.provenance, directory).settings
    if begun.model_copy(update={"whitening": None}).differences(model.settings):
        return None
    return storable_model(begun)


def located(stored: Provenance, directory: Path) -> Provenance:
    """The provenance of a store that may have been moved, its whitening with it.

    Args:
        stored: As the store has it.
        directory: Where the store is now.
    """
    if stored.settings.whitening is None:
        return stored
    here = directory.resolve() / Path(stored.settings.whitening).name
    if not here.is_file():
        return stored
    return replace(stored, settings=stored.settings.model_copy(update={"whitening": str(here)}))


def _mapped(windows: Any, whitening: Whitening) -> SpanVectors:
    """What the whitened model makes of a document, from what the fit has read of it."""
    vectors = whitening(np.concatenate([windows.vectors, windows.document[None]]))
    return SpanVectors(vectors[:-1], windows.spans, vectors[-1], windows.coverage)


def _embedder(embed: Embed, known: dict[bytes, SpanVectors]) -> Embed:
    def embed_unless_known(texts: list[str]) -> Encoded:
        keys = [digest_of(text) for text in texts]
        encoded = embed([t for t, key in zip(texts, keys, strict=True) if key not in known])
        rest = zip(encoded.vectors, encoded.coverages, strict=True)
        found = [known.get(key) for key in keys]
        pairs = [(one.document, one.coverage) if one else next(rest) for one in found]
        vectors, coverages = zip(*pairs, strict=True)
        return Encoded(np.stack(vectors), list(coverages))

    return embed_unless_known


def _sample(items: Sequence[Any]) -> list[Any]:
    most = min(len(items), FITTED_DOCUMENTS)
    return [items[place] for place in sorted(random.Random(0).sample(range(len(items)), most))]


def _text(source: Source) -> str:
    try:
        return parsed_of(source, content_of(source)).text
    except InputError:
        return ""


def _stored_text(store: Store, record_id: str) -> str:
    return "".join(record.text or "" for record in store.get([record_id]))
