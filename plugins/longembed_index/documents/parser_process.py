"""Run in the process in which files are parsed; see `longembed_index.documents.parsing`."""

from __future__ import annotations

import json
import os
import signal
import sys
from contextlib import suppress
from dataclasses import asdict
from typing import BinaryIO

from longembed_index.documents.parsed import Parsed
from longembed_index.documents.parsing import (
    NOT_INSTALLED,
    OUT_OF_MEMORY,
    REFUSED,
    TEXT,
    Limits,
    receive,
    send,
)
from longembed_index.documents.readers import PDF, READERS
from longembed_st.errors import InputError
from longembed_st.extras import MissingExtraError

try:
    import resource
except ImportError:  # Windows has no such limits.
    resource = None  # type: ignore[assignment]


def main(limits: Limits) -> None:
    """Answer requests until the pipe is closed."""
    # Ctrl-C is for the parent process; this one ends when the pipe is closed.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    requests, answers = sys.stdin.buffer, _own_stdout()
    _limit_memory(limits)
    while True:
        try:
            suffix = receive(requests).decode("utf-8", "surrogateescape")
            data = receive(requests)
        except EOFError:
            return
        except MemoryError:
            kind, answer = OUT_OF_MEMORY, Parsed("")
        else:
            _limit_processor(limits)
            kind, answer = _read(suffix, data, limits)
            del data
        answers.write(kind)
        about = {
            "title": answer.title,
            "left_out": [asdict(part) for part in answer.left_out],
            "metadata": dict(answer.metadata),
        }
        send(answers, json.dumps(about).encode())
        send(answers, answer.text.encode("utf-8", "surrogatepass"))


def _read(suffix: str, data: bytes, limits: Limits) -> tuple[bytes, Parsed]:
    try:
        reader = READERS[suffix]
        parsed = reader(data, ocr=limits.ocr) if reader == PDF else reader(data)
    except MissingExtraError as error:
        return NOT_INSTALLED, Parsed(str(error))
    except MemoryError:
        return OUT_OF_MEMORY, Parsed("")
    except InputError as error:
        return REFUSED, Parsed(str(error))
    if len(parsed.text) > limits.characters:
        return REFUSED, Parsed(
            f"gives {len(parsed.text):,} characters of text, more than the {limits.characters:,} "
            "that a file may give. Allow more: --reader-characters"
        )
    return TEXT, parsed


def _own_stdout() -> BinaryIO:
    """Return the pipe for the answers; what a library prints is discarded."""
    answers = os.fdopen(os.dup(1), "wb")
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.close(nowhere)
    return answers


def _limit_memory(limits: Limits) -> None:
    if resource is None:
        return
    allowed = limits.megabytes * 1_000_000
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_DATA, (allowed, allowed))


def _limit_processor(limits: Limits) -> None:
    """Limit the processor time: if the parent has died, nothing else ends a parser that hangs."""
    if resource is None:
        return
    used = resource.getrusage(resource.RUSAGE_SELF)
    soft = int(used.ru_utime + used.ru_stime + 2 * limits.seconds) + 1
    with suppress(ValueError, OSError, OverflowError):
        resource.setrlimit(resource.RLIMIT_CPU, (soft, resource.getrlimit(resource.RLIMIT_CPU)[1]))


if __name__ == "__main__":
    main(Limits(**json.loads(sys.argv[1])))
