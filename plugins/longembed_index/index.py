"""The index: documents with their vectors and words, in one place on disk."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from longembed_index.document import Entry
from longembed_index.documents.files import FoundFiles, find_files
from longembed_index.documents.parsing import Limits, Parser
from longembed_index.documents.tables import JSON_LINES, items_of, json_lines
from longembed_index.errors import NO_DOCUMENTS
from longembed_index.index_writer import IndexWriter, ignore
from longembed_index.maintain.embed_ahead import embed_ahead
from longembed_index.maintain.embedding import Embed, embedder_of, storable_model
from longembed_index.maintain.reindex import Reindexed, reindex
from longembed_index.maintain.report import OnOutcome, OnStep, Report, with_steps
from longembed_index.maintain.sync import Sync
from longembed_index.maintain.watch import changed_files
from longembed_index.resources import Resources, of_this_machine
from longembed_index.search.ranking import Ranking
from longembed_index.store.kinds import COLLECTION, parse_address
from longembed_st.base.settings import ModelSettings
from longembed_st.errors import ConfigError

if TYPE_CHECKING:
    from typing_extensions import Self


OnMessage = Callable[[str], None]
PathLike = str | os.PathLike[str]


class Index(IndexWriter):
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
        on_outcome: OnOutcome = ignore,
        on_step: OnStep = ignore,
        on_message: OnMessage = ignore,
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
        listing = find_files(roots, self.directory, parser, follow_links=follow_links, **search)
        if not listing.files and not self.exists:
            raise ConfigError(NO_DOCUMENTS)
        embed = None
        if whiten:
            from longembed_index.maintain.whiten import whiten_new

            embed = whiten_new(self._resources, listing.files, on_step, on_message)
        return self._add_found(
            listing,
            roots,
            embed,
            limits=limits,
            prune=prune,
            prune_empty_root=prune_empty_root,
            on_outcome=on_outcome,
            on_step=on_step,
        )

    def sync(
        self,
        source: PathLike | Iterable[Any] | Callable[[], Iterable[Any]],
        *,
        name: str | None = None,
        allow_empty: bool = False,
        on_outcome: OnOutcome = ignore,
        on_step: OnStep = ignore,
        **options: Any,
    ) -> Report:
        """Make the index like a source: add what is new, replace what changed, remove the rest.

        Nothing is removed if the source raises an error, or if none of its stored documents would
        be left. Documents from elsewhere are never removed.

        Args:
            source: A folder; a file with a JSON object in each line (.jsonl or .ndjson); or
                documents, or a function that returns them: whatever `add_documents` takes, or
                tuples (id, text, metadata, version). If there is a version, a document whose
                version is the stored one is unchanged, and its text, which may be a function that
                returns it, is not looked at.
            name: Stands for the source in the next run; kept in the field `synced_from` of the
                metadata. Of a file, its path without it; a folder needs none.
            allow_empty: Remove documents even if none of the source would be left.
            on_outcome: The same as for `add`.
            on_step: The same as for `add`.
            **options: For a folder, those of `add`.

        Returns:
            What became of every document; `removed` has those that were removed.

        Raises:
            ConfigError: If the source has no name, or does not yield documents.
            InputError: If the file cannot be read to its end.
            StoreError: If the store cannot be written.
        """
        calls: dict[str, Any] = {"on_outcome": on_outcome, "on_step": on_step}
        if isinstance(source, str | os.PathLike):
            path = Path(source)
            if path.suffix not in JSON_LINES:
                options = {**options, "prune": True, "prune_empty_root": allow_empty}
                return self.add(path, **calls, **options)
            name, source = name or os.path.realpath(path), json_lines(path)
        if options:
            raise ConfigError(f"{', '.join(options)}: only for a folder")
        if not name:
            raise ConfigError("give the source a name: sync(..., name='wiki')")
        sync = Sync(name, items_of(source() if callable(source) else source), allow_empty)
        return self._ingest(sync.sources(), finish=sync.remove_vanished, **calls)

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
        for listing in changed_files(roots, self.directory, parser, changes, **search):
            ahead = embed_ahead(listing.files, self)
            yield self._add_found(listing, roots, ahead=ahead, wait=float("inf"), **options)

    def reindex(
        self,
        model: PathLike | None = None,
        *,
        units: bool | None = None,
        whiten: bool = False,
        drop_old: bool = False,
        allow_missing: bool = False,
        restart: bool = False,
        on_outcome: OnOutcome = ignore,
        on_step: OnStep = ignore,
        on_message: OnMessage = ignore,
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

    def _add_found(
        self,
        listing: FoundFiles,
        roots: Sequence[Path],
        embed: Embed | None = None,
        limits: Limits | None = None,
        **options: Any,
    ) -> Report:
        metadata = {file.id: file.metadata for file in listing.files}

        def is_outdated(entry: Entry) -> bool:
            more = metadata.get(entry.id, {})
            lacks = any(entry.metadata.get(key) != value for key, value in more.items())
            return lacks or (limits is not None and limits.can_read(entry.left_out))

        options = {"roots": roots, "is_outdated": is_outdated, **options}
        report = self._ingest(listing.files, embed, **options)
        report.add_failed(listing.unreadable)
        report.skipped = [str(path) for path in listing.skipped]
        report.links = [str(path) for path in listing.links]
        return report
