"""Whether a text is a transcript: what people said, with the speaker's name before each turn."""

from __future__ import annotations

import re
from collections import Counter

_TURN = re.compile(r"[ \t]*\[?([^\W_][\w .,'’()/&-]{0,60}?)\]? ?(?::[ \t]+|：[ \t]*)\S")
"""The beginning of a line at which someone begins to speak."""

_TURNS_EACH = 3
"""The least turns of a speaker. What begins fewer lines may be a key of a list, for instance."""


def is_transcript(text: str) -> bool:
    """Return whether most of a text is turns of speakers, such as "Chair: Good morning."."""
    # Most lines have no colon: this takes a tenth of the time of the pattern.
    lines = [line for line in text.splitlines() if ":" in line or "：" in line]
    speakers = [_speaker(line) for line in lines]
    turns = Counter(speakers)
    spoken = sum(
        len(line)
        for line, speaker in zip(lines, speakers, strict=True)
        if speaker and turns[speaker] >= _TURNS_EACH
    )
    return 2 * spoken > len(text)


def _speaker(line: str) -> str:
    """Return the speaker's name with which a line begins; empty without one."""
    match = _TURN.match(line)
    return match[1] if match and not match[1][0].islower() else ""
