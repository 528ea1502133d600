"""How commands print: foreign text is escaped, and a full disk loses no finished work.

All commands print through `terminal()` or `print_json`, as documents, file names, models, stores
and the messages about them come from other people.
"""

from __future__ import annotations

import json
import os
import sys
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, TextIO, cast

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.style import Style
from rich.text import Text

from longembed_st.base.texts import escaped


class Terminal(Console):
    """A rich console that escapes every string.

    A plain string is one line or one cell: it is printed without markup, and with escapes for
    control characters. Our own layout is a `rich.text.Text`.
    """

    def render_str(self, text: str, **options: Any) -> Text:
        """Turn a string into text without markup."""
        options |= {"emoji": False, "markup": False, "highlight": False, "highlighter": None}
        return super().render_str(escaped(text), **options)

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        """Render without characters that a terminal acts on."""
        for segment in super().render(renderable, options):
            if segment.control or segment.text == "\n" or segment.text.isprintable():
                yield segment
            else:
                lines = "\n".join(map(escaped, segment.text.split("\n")))
                yield Segment(lines, segment.style)

    def say(self, text: str, style: str | Style | None = None) -> None:
        """Print one line, however long."""
        self.print(self.render_str(text), style=style, soft_wrap=True)


def terminal(stderr: bool = False) -> Terminal:
    """Return the console for results, or the one for progress, notes and errors."""
    return Terminal(stderr=stderr)


def print_json(value: Any, indent: int | None = 2) -> None:
    """Print a value as exact JSON, in characters that this terminal can show.

    Others, and those that a terminal acts on, are written as escapes.
    """
    encoding = sys.stdout.encoding or "utf-8"

    def encoded(character: str) -> str:
        if character == "\n" or (character.isprintable() and _can_encode(encoding, character)):
            return character
        return json.dumps(character)[1:-1]

    print("".join(map(encoded, json.dumps(value, indent=indent, ensure_ascii=False))))


def _can_encode(encoding: str, character: str) -> bool:
    try:
        character.encode(encoding)
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def _nowhere() -> TextIO:
    return open(os.devnull, "w", encoding="utf8")


class SafeStream:
    """Standard output or error that never raises, so that a command ends its work anyway.

    Attributes:
        problem: The first error in writing.
    """

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream if stream is not None else _nowhere()
        self.problem: Exception | None = None
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            # A name that the terminal's encoding has no character for is shown as an escape.
            reconfigure(errors="backslashreplace")

    def write(self, text: str) -> int:
        """Write, or keep the error."""
        try:
            return self._stream.write(text)
        except UnicodeEncodeError:
            # Only a stream that cannot be reconfigured raises this.
            return self.write(text.encode("ascii", "backslashreplace").decode())
        except (OSError, ValueError) as error:
            self._give_up(error)
            return len(text)

    def flush(self) -> None:
        """Flush, or keep the error."""
        try:
            self._stream.flush()
        except (OSError, ValueError) as error:
            self._give_up(error)

    def _give_up(self, error: Exception) -> None:
        self.problem = self.problem or error
        nowhere = _nowhere()
        with suppress(OSError, ValueError):
            # Python flushes the stream once more when it ends, and what it still holds fails again.
            os.dup2(nowhere.fileno(), self._stream.fileno())
        self._stream = nowhere

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextmanager
def safe_streams() -> Iterator[SafeStream]:
    """Replace standard output and error by a `SafeStream` each, and print warnings in one line.

    Yields:
        The stream of standard output.
    """
    streams = sys.stdout, sys.stderr
    both = SafeStream(sys.stdout), SafeStream(sys.stderr)
    sys.stdout, sys.stderr = cast(tuple[TextIO, TextIO], both)
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _show_warning
            yield both[0]
    finally:
        for stream in both:
            stream.flush()
        sys.stdout, sys.stderr = streams


def _show_warning(message: Warning | str, *args: Any, **kwargs: Any) -> None:
    terminal(stderr=True).say(f"Warning: {message}", style="yellow")
