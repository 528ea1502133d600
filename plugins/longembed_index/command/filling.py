"""A store that documents are brought into, with the spans and words that are kept beside it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from longembed_index.command import display
from longembed_index.command.progress import file_bar
from longembed_index.command.steps import mend
from longembed_st.command.display import document_bar
from longembed_st.errors import ConfigError

if TYPE_CHECKING:
    from longembed_index.embedding import Embed
    from longembed_index.lexical import WordFile
    from longembed_index.reports import Report
    from longembed_index.sources import Source
    from longembed_index.store import Store
    from longembed_st.command.terminal import Terminal
    from longembed_st.loading.cache import CachedModel


@dataclass(frozen=True)
class Filling:
    """A store that is open for writing.

    Attributes:
        store: With its spans, if it has any.
        embed: Makes its vectors.
        words: What it keeps for searches by words; None if the store itself does that.
        language: Of these words; None for what the documents are written in.
        console: Where to show progress.
    """

    store: Store
    embed: Embed
    words: WordFile | None
    language: str | None
    console: Terminal

    def bring(self, files: Sequence[Source], ingest: Callable[..., Report]) -> Report:
        """Bring the store up to date with some files.

        Args:
            files: The files.
            ingest: Takes files, store and `on_outcome`.
        """
        with (
            _told_if_interrupted(self.store, self.console),
            file_bar(self.console, files) as on_outcome,
        ):
            report = ingest(files, self.store, on_outcome=on_outcome)
        self._catch_up_spans()
        self._catch_up_words()
        return report

    def _catch_up_spans(self) -> None:
        """Spans for documents that were stored without."""
        from longembed_index.spans import SpanEmbedder, SpannedStore, catch_up, without_spans

        store, embed = self.store, self.embed
        if not (isinstance(store, SpannedStore) and isinstance(embed, SpanEmbedder)):
            return
        if missing := without_spans(store):
            with document_bar(self.console, len(missing), "spans") as on_document:
                failed = catch_up(store, embed, missing, on_document)
            display.show_failed(self.console, failed)

    def _catch_up_words(self) -> None:
        """The words of documents that are new, or that another program has stored."""
        from longembed_index.derived import behind
        from longembed_index.hybrid import catch_up

        if self.words is None:
            return
        missing, left_over = behind(self.store, self.words.ids())
        if missing or left_over:
            with document_bar(self.console, len(missing), "words") as on_document:
                catch_up(self.store, self.words, self.language, on_document)


@contextmanager
def filling(
    folder: Path,
    loaded: CachedModel,
    embed: Embed,
    console: Terminal,
    *,
    collection: str,
    kind: str | None,
    language: str | None,
    wait: float,
) -> Iterator[Filling]:
    """Open a store to bring documents into it, and mend it if it has lost vectors.

    Args:
        folder: Of the store.
        loaded: The model.
        embed: Makes vectors with it, and spans if they are wanted.
        console: Where to show progress.
        collection: In the store.
        kind: Of a new store; None for the usual one.
        language: Of the words; None for the store's, or the documents'.
        wait: Seconds to wait for another writer.

    Raises:
        ConfigError: If the language is not the store's.
    """
    from longembed_index.lexical import WordFile
    from longembed_index.opening import open_store, spans_in
    from longembed_index.spans import SpanEmbedder, SpannedStore
    from longembed_index.word_index import RanksWords

    words: WordFile | None = WordFile(folder, collection)
    with open_store(
        folder, loaded, collection=collection, kind=kind, write=True, wait=wait
    ) as plain:
        store: Store = plain
        if isinstance(embed, SpanEmbedder):
            # Where the kind keeps them, that is known now at the latest.
            spans = spans_in(folder, collection)
            # Later runs are told by it that the store has spans, even if none was made yet.
            spans.put(str(plain.provenance.fingerprint), [])
            store = SpannedStore(plain, spans, embed)
        if isinstance(plain, RanksWords):
            words = None
            if language is not None:
                refuse_language(language, plain.word_index.language, "index into a new store")
                plain.speak(language)
        mend(store, embed, console)
        yield Filling(store, embed, words, language, console)


def refuse_language(language: str | None, stored: str | None, way_out: str) -> None:
    """Refuse a language that there is not, or that is not the store's.

    Args:
        language: That was asked for, if any.
        stored: Of the store's words; None if there are none yet.
        way_out: What to do to change that.

    Raises:
        ConfigError: If it is one of those.
    """
    from longembed_index.words import LANGUAGES

    if language is not None and language not in LANGUAGES:
        raise ConfigError(f"--language must be one of {', '.join(LANGUAGES)}, not {language!r}")
    if language is not None and stored not in (None, language):
        raise ConfigError(
            f"the words of the store are those of {stored}. To change that, {way_out}"
        )


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
