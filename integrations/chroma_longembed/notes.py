"""What was last found in order in a store's folder, so that it need not be looked at again."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

from longembed_st.files import write_text

FILE = "longembed.checked.json"


def read_notes(directory: Path) -> dict[str, Any]:
    """All notes by key; none if there are none that can be read.

    Args:
        directory: The folder of the store.
    """
    with suppress(OSError, ValueError):
        notes = json.loads((directory / FILE).read_text("utf-8"))
        if isinstance(notes, dict):
            return notes
    return {}


def note(directory: Path, key: str, value: Any) -> None:
    """Put down a note, unless the folder cannot be written to.

    Args:
        directory: The folder of the store.
        key: What it is about; an earlier note is replaced.
        value: Plain data; None takes the note away.
    """
    notes = {**read_notes(directory), key: value}
    with suppress(OSError):
        write_text(directory / FILE, json.dumps(notes, sort_keys=True, indent=1))
