"""Steps that several commands take: load a store's model, whiten it, mend the store."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from longembed_index.command import display
from longembed_index.command.options import DEFAULT_MODEL
from longembed_index.command.progress import record_bar
from longembed_st.base.settings import ModelSettings
from longembed_st.command.display import document_bar, loading

if TYPE_CHECKING:
    from longembed_index.embedding import Embed
    from longembed_index.store import Store
    from longembed_index.whitening import Texts
    from longembed_st.base.provenance import Provenance
    from longembed_st.command.terminal import Terminal
    from longembed_st.loading.cache import CachedModel

NO_DOCUMENT = "there is no document to index under these paths"


def load_model(
    stored: Provenance | None, given: ModelSettings, store: Path, console: Terminal
) -> CachedModel:
    """The store's own model, or that of a new store.

    Args:
        stored: What made the store's vectors; None for a new store.
        given: Settings that were given.
        store: Its folder.
        console: Where to say that this takes a while.

    Raises:
        ConfigError: If the settings are not those of the store.
    """
    usual = stored.settings.model_name if stored else DEFAULT_MODEL
    settings = given.with_defaults(ModelSettings(model_name=usual))
    with loading(console, settings.model_name):
        from longembed_index.embedding import storable_model
        from longembed_index.finding import model_of_store

        return model_of_store(stored, given, store) if stored else storable_model(settings)


def describe(loaded: CachedModel) -> str:
    """A model, and what it reads of a document, in a line.

    Args:
        loaded: The model.
    """
    settings = loaded.settings
    limit = settings.max_seq_length
    whitened = f", whitened by {settings.whitening}" if settings.whitening else ""
    return (
        f"Model {settings.model_name}, method {settings.method}{whitened}: reads "
        f"{f'up to {limit:,} tokens of' if limit else 'all of'} each document"
    )


def has_spans_unasked(loaded: CachedModel) -> bool:
    """Whether spans cost little: the model knows its tokens' characters, and reads to the end.

    Args:
        loaded: The model.
    """
    return loaded.model.has_offsets and loaded.settings.max_seq_length is None


def embedder(loaded: CachedModel, spans: bool) -> Embed:
    """What embeds documents.

    Args:
        loaded: The model.
        spans: Whether spans are wanted, too.
    """
    from longembed_index.embedding import document_embedder
    from longembed_index.spans import SpanEmbedder

    return SpanEmbedder(loaded.model.encode_spans) if spans else document_embedder(loaded)


def whiten_model(
    store: Path, loaded: CachedModel, texts: Texts, spans: bool, console: Terminal
) -> tuple[CachedModel, Embed]:
    """Whiten a model by some documents.

    Args:
        store: Folder of the store that keeps the whitening.
        loaded: The model.
        texts: Of the documents.
        spans: Whether spans are wanted, too.
        console: Where to show progress.

    Returns:
        The whitened model, and what embeds without reading those documents again.
    """
    from longembed_index.whitening import whiten

    with document_bar(console, len(texts), "whitening") as on_document:
        return whiten(store, loaded, texts, spans=spans, on_document=on_document, tell=console.say)


def mend(store: Store, embed: Embed, console: Terminal, remove_lost: bool = False) -> None:
    """Write vectors anew that a store has lost, and say so; nothing if it is sound.

    Args:
        store: Open for writing.
        embed: For those that are not in the store's copy.
        console: Where to show progress and result.
        remove_lost: Whether to remove records whose vector nobody can make again.
    """
    from longembed_index import repairing

    lost = len(store.lost())
    if not lost:
        return
    console.say(f"The store has lost {lost:,} of {len(store):,} vectors; they are written anew.")
    with record_bar(console, lost) as on_outcome:
        report = repairing.repair(store, embed, remove_lost=remove_lost, on_outcome=on_outcome)
    display.show_repaired(console, report)
