"""The index: documents with their vectors and words, in one place on disk."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from longembed_index.document import Document, Entry
from longembed_index.documents.files import FoundFiles, find_files
from longembed_index.documents.parsing import Limits, Parser
from longembed_index.documents.sources import Source, TextSource, to_document
from longembed_index.errors import NO_DOCUMENTS
from longembed_index.index_reader import IndexReader
from longembed_index.maintain.embed_ahead import EmbeddedAhead, embed_ahead
from longembed_index.maintain.embedding import Embed, embedder_of, storable_model
from longembed_index.maintain.ingest import ingest
from longembed_index.maintain.reindex import Reindexed, reindex
from longembed_index.maintain.report import OnStep, Outcome, Report, with_steps
from longembed_index.maintain.watch import changed_files
from longembed_index.resources import Resources, of_this_machine
from longembed_index.search.ranking import Ranking
from longembed_index.store.kinds import COLLECTION, parse_address
from longembed_st.base.settings import ModelSettings
from longembed_st.errors import ConfigError

if TYPE_CHECKING:
    from typing_extensions import Self

    from longembed_index.store.protocol import Store

OnOutcome = Callable[[Outcome], None]
OnMessage = Callable[[str], None]
PathLike = str | os.PathLike[str]


def _ignore(*arguments: object) -> None:
    """Do nothing."""


class Index(IndexReader):
    """Documents that can be searched by words and vectors, in a store on disk.

    It is opened once and answers many questions. Threads may share it, a forked child may go on
    using it, and other processes may write to the store meanwhile: the next search sees what they
    wrote.

    Example:
        ```python
        from longembed_index import Document, Index

        with Index.open("./store", model="thenlper/gte-small") as index:
            index.add("reports/")
            index.add_documents([Document("contract-17", "All of its text.", {"year": 2019})])
            for hit in index.search("who approved the budget?", k=5, where={"year": 2019}):
                print(hit.score, hit.document.title, hit.passages[0].text)
        ```
    """

    @classmethod
    def open(
        cls,
        store: PathLike,
        model: PathLike | None = None,
        *,
        collection: str = COLLECTION,
        kind: str | None = None,
        units: bool | None = None,
        language: str | None = None,
        wait: float = 0,
        **settings: Any,
    ) -> Self:
        """Open an index, or prepare a new one, which is written with its first documents.

        Args:
            store: Its folder, with the kind of a new store before it (`lancedb:DIR`), or an address
                in an object store (`lancedb:s3://bucket/store`).
            model: Name or folder of the model. An existing index has its own; give it only if the
                model was moved. Without it, an index that does not exist is an error.
            collection: The collection in the store.
            kind: The kind of a new store: sqlite, lancedb, chroma or an installed one.
            units: Whether a new index has the sentence units of documents, too; by default if the
                method reads texts of any length.
            language: The language of the words of a new index; guessed from the first documents.
            wait: The seconds to wait for another writer, in each method that writes.
            **settings: Arguments of `longembed_st.load`: method, max_seq_length, device and others.

        Raises:
            ConfigError: If settings are wrong, or would give other vectors than the stored ones.
            StoreError: If there is no index and no model, or the store cannot be read.
        """
        address = parse_address(os.fspath(store), kind)
        name = {} if model is None else {"model_name": os.fspath(model)}
        resources = Resources(
            address.directory,
            collection,
            address.kind,
            ModelSettings.from_keywords(**name, **settings),
            units=units,
            language=language,
            wait=wait,
        )
        resources.check()
        return cls(resources)

    @property
    def ranking(self) -> Ranking:
        """Return how the index is searched unless a search says otherwise; can be set."""
        return self.info.ranking if self.exists else self._resources.new_ranking

    @ranking.setter
    def ranking(self, ranking: Ranking) -> None:
        self._resources.new_ranking = ranking
        if self.exists:
            with self.writing() as store:
                store.update_info(replace(store.info, ranking=ranking))

    def add(
        self,
        *paths: PathLike,
        include: Sequence[str] = (),
        exclude: Sequence[str] = (),
        follow_links: bool = False,
        metadata: Mapping[str, Any] | None = None,
        prune: bool = False,
        prune_empty_root: bool = False,
        whiten: bool = False,
        limits: Limits | None = None,
        on_outcome: OnOutcome = _ignore,
        on_step: OnStep = _ignore,
        on_message: OnMessage = _ignore,
    ) -> Report:
        """Bring the index up to date with files and folders.

        What is unchanged is left alone, and a run that was cut off is finished by the next one.

        Args:
            *paths: Files and folders; folders are searched recursively.
            include: Patterns, one of which a file in a folder must match, by its name or by its
                path below the folder.
            exclude: Patterns of files to leave out.
            follow_links: Whether to follow links in folders that lead out of the paths.
            metadata: Fields of all files, to filter by; stored files get them, too.
            prune: Remove documents whose file is gone from these paths; but none of a path from
                which all are gone, since a drive may be unmounted.
            prune_empty_root: Remove them even then.
            whiten: Fit a whitening on the documents of a new index, and use it for all vectors.
            limits: What parsing one file may take. With a command for scanned pages, stored files
                of which such pages were left out are read again.
            on_outcome: Called for every document as soon as its fate is settled.
            on_step: Called with a step, how much is done, and how much there is (of "documents" in
                bytes), or 0 if that is not known. The step "model" comes before the model of an
                existing index is loaded.
            on_message: Called with sentences that say how a whitening was judged.

        Returns:
            What became of every document.

        Raises:
            InputError: If a path does not exist, or the metadata is not JSON.
            ConfigError: If there is no document for a new index, or an old one is to be whitened.
            StoreError: If the store cannot be written.
        """
        roots = [Path(path) for path in paths]
        search: dict[str, Any] = {"include": include, "exclude": exclude, "metadata": metadata}
        parser = Parser(limits)
        found = find_files(roots, self.directory, parser, follow_links=follow_links, **search)
        if not found.files and not self.exists:
            raise ConfigError(NO_DOCUMENTS)
        embed = None
        if whiten:
            from longembed_index.maintain.whiten import whiten_new

            embed = whiten_new(self._resources, found.files, on_step, on_message)
        return self._add_found(
            found,
            roots,
            embed,
            limits=limits,
            prune=prune,
            prune_empty_root=prune_empty_root,
            on_outcome=on_outcome,
            on_step=on_step,
        )

    def add_documents(
        self,
        documents: Iterable[Document | Mapping[str, Any]],
        *,
        on_outcome: OnOutcome = _ignore,
        on_step: OnStep = _ignore,
    ) -> Report:
        """Add documents, or replace those of the same id.

        A document that is equal to the stored one is left alone; if only its title or metadata
        have changed, it is not embedded again.

        Args:
            documents: Documents, or mappings with `id`, `text`, and perhaps `metadata` and `title`.
            on_outcome: The same as for `add`.
            on_step: The same as for `add`.

        Returns:
            What became of every document.

        Raises:
            ConfigError: If a mapping has other keys.
            StoreError: If the store cannot be written.
        """
        sources: Iterable[Source] = (TextSource(to_document(document)) for document in documents)
        if isinstance(documents, Sequence):
            sources = list(sources)
        return self._ingest(sources, on_outcome=on_outcome, on_step=on_step)

    def delete(self, ids: Iterable[str]) -> int:
        """Remove documents, and return how many there were.

        Args:
            ids: Their ids; those that do not exist are passed over.

        Raises:
            StoreError: If the store does not exist, or cannot be written.
        """
        self._resources.existing_store()
        with self.writing() as store:
            before = len(store)
            store.write([], delete=[ids] if isinstance(ids, str) else list(ids))
            return before - len(store)

    def watch(
        self, *paths: PathLike, changes: Iterable[set[Path]] | None = None, **options: Any
    ) -> Iterator[Report]:
        """Add files whenever they change, until interrupted.

        Others can write meanwhile: texts are embedded before the store is locked. Another writer is
        waited for, however long it takes.

        Args:
            *paths: Files and folders.
            changes: Sets of paths that have changed; by default what the system reports.
            **options: The same as for `add`, except `whiten`.

        Yields:
            A report after each change.
        """
        roots, parser = [Path(path) for path in paths], Parser(options.get("limits"))
        names = ("include", "exclude", "follow_links", "metadata")
        search = {name: options.pop(name) for name in names if name in options}
        for found in changed_files(roots, self.directory, parser, changes, **search):
            ahead = embed_ahead(found.files, self)
            yield self._add_found(found, roots, ahead=ahead, wait=float("inf"), **options)

    def reindex(
        self,
        model: PathLike | None = None,
        *,
        units: bool | None = None,
        whiten: bool = False,
        drop_old: bool = False,
        allow_missing: bool = False,
        restart: bool = False,
        on_outcome: OnOutcome = _ignore,
        on_step: OnStep = _ignore,
        on_message: OnMessage = _ignore,
        **settings: Any,
    ) -> Reindexed:
        """Embed every document again, with another model or other settings.

        The texts are taken from the store. The old vectors answer searches until the new ones are
        complete. A run that was cut off is finished by running it again.

        Args:
            model: Name or folder of the model; the index's own without it.
            units: Whether documents are to have sentence units; as now without it.
            whiten: Fit a whitening on the documents, and use it for all vectors.
            drop_old: Delete the old vectors after the switch, and others kept earlier.
            allow_missing: Switch even if some documents cannot be embedded.
            restart: Discard what an unfinished reindexing with other settings has left.
            on_outcome: The same as for `add`.
            on_step: The same as for `add`.
            on_message: The same as for `add`.
            **settings: Arguments of `longembed_st.load`; those not given take their defaults.

        Returns:
            What was done.

        Raises:
            ConfigError: If the index has these settings already, or an unfinished reindexing has
                others.
            StoreError: If the store does not exist, or fails.
        """
        self._resources.existing_store()
        machine = of_this_machine(self._resources.settings).explicit
        name = self.model_name if model is None else os.fspath(model)
        new_model = storable_model(
            ModelSettings.from_keywords(**{**machine, "model_name": name, **settings})
        )
        with self.writing(on_step=on_step) as store:
            units = store.info.units if units is None else units
            embed = embedder_of(new_model, units)
            if whiten:
                from longembed_index.maintain.whiten import whiten_stored

                new_model, embed = whiten_stored(
                    store,
                    self.directory,
                    new_model,
                    units=units,
                    restart=restart,
                    on_step=on_step,
                    on_message=on_message,
                )
            result = reindex(
                store,
                new_model,
                embed,
                units=units,
                drop_old=drop_old,
                allow_missing=allow_missing,
                restart=restart,
                on_outcome=with_steps(
                    on_outcome, on_step, sum(entry.characters for entry in store.entries())
                ),
            )
        if result.replaced is not None:
            self._resources.use(new_model)
            self._resources.keep_query_encoder(sum(entry.tokens for entry in self.documents()))
        return result

    def drop_replaced(self) -> list[str]:
        """Delete the vectors that reindexing has kept, and return their names."""
        self._resources.existing_store()
        with self.writing() as store:
            return store.drop_replaced()

    def writing(
        self, *, on_step: OnStep = _ignore, wait: float | None = None
    ) -> AbstractContextManager[Store]:
        """Open the store for writing, and bring the words up to date when the block ends.

        Other writers are kept out meanwhile. A new store is created.

        Args:
            on_step: The same as for `add`.
            wait: The seconds to wait for another writer; as the index was opened without it.
        """
        return self._resources.writing(on_step, wait)

    def _add_found(
        self,
        found: FoundFiles,
        roots: Sequence[Path],
        embed: Embed | None = None,
        limits: Limits | None = None,
        **options: Any,
    ) -> Report:
        metadata = {file.id: file.metadata for file in found.files}

        def is_outdated(entry: Entry) -> bool:
            more = metadata.get(entry.id, {})
            lacks = any(entry.metadata.get(key) != value for key, value in more.items())
            return lacks or (limits is not None and limits.can_read(entry.left_out))

        options = {"roots": roots, "is_outdated": is_outdated, **options}
        report = self._ingest(found.files, embed, **options)
        report.add_failed(found.unreadable)
        report.skipped = [str(path) for path in found.skipped]
        report.links = [str(path) for path in found.links]
        return report

    def _ingest(
        self,
        sources: Iterable[Source],
        embed: Embed | None = None,
        *,
        wait: float | None = None,
        ahead: EmbeddedAhead | None = None,
        on_outcome: OnOutcome = _ignore,
        on_step: OnStep = _ignore,
        **options: Any,
    ) -> Report:
        model = None if embed is None else self.model
        total = sum(s.size for s in sources) if isinstance(sources, Sequence) else 0
        on_outcome = with_steps(on_outcome, on_step, total)
        with self._resources.writing(on_step, wait) as store:
            if embed is None:
                embed = self._resources.embedder(store, on_step)
                embed = embed if ahead is None else ahead.before(embed, store.info)
            elif model is not None:
                model.refuse_incompatible(store.info.provenance, "the store")
            report = ingest(sources, store, embed, on_outcome=on_outcome, **options)
        self._resources.keep_query_encoder(report.tokens)
        return report
