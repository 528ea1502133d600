"""Files are parsed in a process of their own, with limits: one that is killed costs one file.

The process is started with the first file that needs it and serves all that follow. A request is
the file's suffix and its bytes; an answer a letter, a JSON object with title, metadata and parts
left out, and a text. Each but the letter is preceded by its length.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import struct
import subprocess
import sys
import threading
import weakref
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import IO, Any

from longembed_index.documents.parsed import SCANNED, LeftOut, Parsed
from longembed_st.errors import ConfigError, InputError
from longembed_st.extras import MissingExtraError

TEXT, REFUSED, NOT_INSTALLED, OUT_OF_MEMORY = b"T", b"R", b"I", b"M"
"""The kinds of answers: a text, or why there is none."""

_KILLED = (-signal.SIGABRT, -9)
"""The exit statuses of a process that was out of memory."""

_LENGTH = struct.Struct(">Q")


@dataclass(frozen=True)
class Limits:
    """What parsing one file may take, and the command that may help with it.

    Attributes:
        seconds: Wall-clock time, with that of the command.
        megabytes: Memory of the process that does it; enforced on Linux.
        characters: Text that it gives.
        ocr: A command for pages of PDF without text, as in a shell; no shell runs it. With
            `{image}`, it gets each page as a PNG file and prints the text. With `{pdf}` and
            `{output}`, it gets the whole file and writes one with text.

    Raises:
        ConfigError: If the command does not say where the files go.
    """

    seconds: float = 300
    megabytes: int = 2_000
    characters: int = 50_000_000
    ocr: str = ""

    def __post_init__(self) -> None:
        if self.ocr:
            _check_ocr_command(self.ocr)

    def can_read(self, left_out: Iterable[LeftOut]) -> bool:
        """Return whether the command could read some of what was left out of a file."""
        return bool(self.ocr) and any(part.what == SCANNED for part in left_out)


def _check_ocr_command(command: str) -> None:
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise ConfigError(f"--ocr {command!r} is not a command: {error}") from None
    names = {name for name in ("image", "pdf", "output") if f"{{{name}}}" in command}
    if not words or names not in ({"image"}, {"pdf", "output"}):
        raise ConfigError(
            f"--ocr {command!r} does not say where the files go. Give it {{image}}, as in "
            "'tesseract {image} -', or {pdf} and {output}, as in 'ocrmypdf {pdf} {output}'"
        )
    if shutil.which(words[0]) is None:
        raise ConfigError(f"--ocr: there is no command {words[0]!r}. Install it, or give its path")


class Parser:
    """Read files in a process with limits.

    Args:
        limits: For each file.
    """

    def __init__(self, limits: Limits | None = None) -> None:
        self.limits = limits or Limits()
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        # Ends the process when this object is deleted, or Python ends.
        self._end: weakref.finalize[[subprocess.Popen[bytes]], Parser] | None = None
        _parsers.add(self)

    def read(self, suffix: str, data: bytes) -> Parsed:
        """Return the text and title of a file, and what was left out.

        Args:
            suffix: In lower case, with its dot; tells the reader.
            data: The file.

        Raises:
            InputError: If it cannot be read as what its suffix says, or not within the limits.
            MissingExtraError: If the library that reads such files is not installed.
        """
        with self._lock:
            kind, about, answer = self._ask(suffix, data)
        if kind == TEXT:
            left_out = tuple(LeftOut(**part) for part in about["left_out"])
            return Parsed(answer, about["title"], left_out, about["metadata"])
        if kind == NOT_INSTALLED:
            raise MissingExtraError(answer)
        raise InputError(self._too_much_memory() if kind == OUT_OF_MEMORY else answer)

    def close(self) -> None:
        """End the process, if it was started."""
        if self._end is not None:
            self._end()
        self._process = self._end = None

    def forget(self) -> None:
        """Forget the process in a forked child: its pipes belong to the parent."""
        if self._end is not None:
            self._end.detach()
        self._lock, self._process, self._end = threading.Lock(), None, None

    def _ask(self, suffix: str, data: bytes) -> tuple[bytes, dict[str, Any], str]:
        if self._process is None:
            self._process = _start(self.limits)
            self._end = weakref.finalize(self, _kill, self._process)
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        is_late = threading.Event()

        def end() -> None:
            # Noted first: the answer may break off before this thread has ended.
            is_late.set()
            _kill_group(process)

        watch = threading.Timer(self.limits.seconds, end)
        watch.daemon = True
        watch.start()
        try:
            send(process.stdin, suffix.encode("utf-8", "surrogateescape"))
            send(process.stdin, data)
            kind = process.stdout.read(1)
            about, answer = receive(process.stdout), receive(process.stdout)
        except (OSError, EOFError):
            self.close()
            raise InputError(self._why_it_ended(process.returncode, is_late.is_set())) from None
        except BaseException:
            # Cut off in the middle, by Ctrl-C for instance, it would answer the next question late.
            self.close()
            raise
        finally:
            watch.cancel()
        if kind == OUT_OF_MEMORY:
            self.close()
        return kind, json.loads(about), answer.decode("utf-8", "surrogatepass")

    def _why_it_ended(self, status: int, was_late: bool) -> str:
        if was_late:
            return (
                f"takes longer than {self.limits.seconds:g} seconds to parse. Give it more: "
                "--reader-seconds"
            )
        if status in _KILLED:
            return self._too_much_memory()
        return f"ends the process that parses it (exit status {status})"

    def _too_much_memory(self) -> str:
        return (
            f"takes more than {self.limits.megabytes:,} MB of memory to parse. Give it more: "
            "--reader-memory"
        )


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    """Kill a process, and the command of the user that it may run."""
    if os.name == "posix" and process.poll() is None:
        with suppress(OSError):
            os.killpg(process.pid, signal.SIGKILL)
    process.kill()


def _kill(process: subprocess.Popen[bytes]) -> None:
    _kill_group(process)
    process.wait()
    for pipe in (process.stdin, process.stdout):
        # Nobody reads what is still unsent.
        with suppress(OSError):
            pipe.close()  # type: ignore[union-attr]


def _forget_all() -> None:
    for parser in _parsers:
        parser.forget()


_parsers: weakref.WeakSet[Parser] = weakref.WeakSet()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_all)


def send(pipe: IO[bytes], data: bytes) -> None:
    """Write some bytes after their number."""
    pipe.write(_LENGTH.pack(len(data)))
    pipe.write(data)
    pipe.flush()


def receive(pipe: IO[bytes]) -> bytes:
    """Read what `send` wrote; raises `EOFError` if the other side has ended."""
    (length,) = _LENGTH.unpack(_exactly(pipe, _LENGTH.size))
    return _exactly(pipe, length)


def _exactly(pipe: IO[bytes], count: int) -> bytes:
    data = pipe.read(count)
    if len(data) < count:
        raise EOFError
    return data


def _start(limits: Limits) -> subprocess.Popen[bytes]:
    # `python -m` would import from the working folder first, where the documents of strangers may
    # be called like a library.
    code = (
        f"import sys; sys.path[:] = {sys.path!r}; import runpy; "
        "runpy.run_module('longembed_index.documents.parser_process', run_name='__main__')"
    )
    return subprocess.Popen(
        [sys.executable, "-c", code, json.dumps(asdict(limits))],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


DEFAULT_PARSER = Parser()
"""The parser with the default limits."""
