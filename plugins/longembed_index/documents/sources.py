"""Documents that have not been read yet: files, or texts that are in memory."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from longembed_index.document import Document
from longembed_index.documents.parsed import Parsed, first_line
from longembed_index.documents.parsing import DEFAULT_PARSER, Parser
from longembed_index.documents.readers import is_parsed, reader_of, suffix_of
from longembed_st.base.texts import has_text
from longembed_st.errors import InputError, LongEmbedError

# Not to wait for the other end of a pipe, where there is such a thing.
_OPEN_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)


class Source(Protocol):
    """A document that has not been read yet."""

    @property
    def id(self) -> str:
        """Return its id in the index; two documents never share one."""

    @property
    def title(self) -> str:
        """Return what a person calls it, if it has no title of its own."""

    @property
    def metadata(self) -> Mapping[str, Any]:
        """Return its metadata, without what its text says."""

    @property
    def size(self) -> int:
        """Return about how much there is to read, in bytes."""

    def content(self) -> bytes:
        """Return the bytes by which a change is noticed; `InputError` if they cannot be had."""

    def read(self, content: bytes) -> Parsed:
        """Return the text and title of these bytes; `InputError` if they hold none."""


def content_of(source: Source) -> bytes:
    """Return the bytes of a document.

    Args:
        source: The document; its method may raise anything.

    Raises:
        InputError: If the bytes cannot be had, for any reason.
    """
    with _errors_as_input_errors():
        return source.content()


def parsed_of(source: Source, content: bytes) -> Parsed:
    """Return the text and title of a document; the text may be blank.

    Raises:
        InputError: If there is no text, for any reason.
        MissingExtraError: If a library is missing.
    """
    with _errors_as_input_errors():
        return source.read(content)


def readable_of(source: Source, content: bytes) -> Parsed:
    """Return the text and title of a document, and refuse a blank text.

    Raises:
        InputError: If there is no text, for any reason, or it has no visible character.
        MissingExtraError: If a library is missing.
    """
    if not content.strip():
        raise InputError("is empty")
    parsed = parsed_of(source, content)
    if not has_text(parsed.text):
        raise InputError(": ".join(["has no text", *map(str, parsed.left_out)]))
    return parsed


@contextmanager
def _errors_as_input_errors() -> Iterator[None]:
    # One document never stops the others.
    try:
        yield
    except (LongEmbedError, KeyboardInterrupt):
        raise
    except BaseException as error:
        raise InputError(f"cannot be read: {type(error).__name__}: {first_line(error)}") from error


@dataclass(frozen=True)
class FileSource:
    """A file.

    Attributes:
        path: Absolute, without symbolic links.
        size: In bytes.
        parser: Reads the file, unless it is plain text.
        metadata: What the user says about it.
    """

    path: Path
    size: int
    parser: Parser = field(default=DEFAULT_PARSER, repr=False, compare=False)
    metadata: Mapping[str, Any] = field(default_factory=dict, compare=False)

    @property
    def id(self) -> str:
        """Return the path."""
        return str(self.path)

    @property
    def title(self) -> str:
        """Return the file name."""
        return self.path.name

    def content(self) -> bytes:
        """Return the file's bytes.

        Raises:
            InputError: If it cannot be read.
        """
        try:
            # A pipe that has taken its place meanwhile would never end.
            with open(os.open(self.path, _OPEN_FLAGS), "rb") as file:
                if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                    raise InputError("is no longer a regular file")
                return file.read()
        except OSError as error:
            raise InputError(f"cannot be read: {error.strerror}") from None

    def read(self, content: bytes) -> Parsed:
        """Return the text and title of the file; a file of unknown type is read as plain text.

        Raises:
            InputError: If it cannot be read as what its name says.
        """
        suffix = suffix_of(self.path)
        if is_parsed(suffix):
            return self.parser.read(suffix, content)
        return reader_of(suffix)(content)


@dataclass(frozen=True)
class TextSource:
    """A document whose text is in memory.

    Attributes:
        document: The document.
    """

    document: Document

    @property
    def id(self) -> str:
        """Return the document's id."""
        return self.document.id

    @property
    def title(self) -> str:
        """Return the document's title."""
        return self.document.title

    @property
    def metadata(self) -> Mapping[str, Any]:
        """Return the document's metadata."""
        return self.document.metadata

    @property
    def size(self) -> int:
        """Return the number of characters."""
        return len(self.document.text)

    def content(self) -> bytes:
        """Return text, title and metadata as bytes.

        Raises:
            InputError: If the metadata is not plain JSON.
        """
        document = self.document
        metadata = json_metadata(document.metadata)
        return (
            b"\0" + json.dumps([document.text, document.title, metadata], sort_keys=True).encode()
        )

    def read(self, content: bytes) -> Parsed:
        """Return the text and the title."""
        return Parsed(self.document.text, self.document.title)


def json_metadata(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Return metadata as a dictionary that JSON keeps as it is.

    Raises:
        InputError: If it has a value that JSON does not keep, such as NaN, a date or a tuple.
    """
    values = dict(metadata)
    for key, value in values.items():
        try:
            is_kept = (
                isinstance(key, str) and json.loads(json.dumps(value, allow_nan=False)) == value
            )
        except (TypeError, ValueError, RecursionError):
            is_kept = False
        if not is_kept:
            raise InputError(
                f"has metadata that is not JSON: {key!r}: {value!r:.80}. Use strings, finite "
                "numbers, true, false, null, lists, and objects with strings as keys"
            )
    return values
