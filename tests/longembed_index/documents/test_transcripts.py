"""Transcripts are told from lists, code and running text."""

from __future__ import annotations

import pytest

from longembed_index.documents.transcripts import is_transcript

MEETING = "Chair: Good morning.\nDr. Ng (Leeds): Thank you.\n\n" * 5
PLAY = "[Anna] : Who is there?\n(Somebody knocks.)\n[Bert] : Nobody.\n" * 5
CHINESE = "主席：早上好。\n王先生：谢谢。\n" * 5


@pytest.mark.parametrize("text", [MEETING, PLAY, CHINESE])
def test_speakers_have_many_turns(text) -> None:
    assert is_transcript(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "The board met.\n" * 20,
        MEETING + "The minutes were read, and nobody had anything to add to them.\n" * 20,
        "".join(f"Entry {number}: some words\n" for number in range(50)),
        "name: Anna\nsite: https://example.org\n" * 20,
        '"Name": "Anna",\n' * 20,
        "if x:\n    y = 1\n" * 20,
        "12:30 lunch\n" * 20,
    ],
)
def test_other_lines_with_colons_are_not_turns(text) -> None:
    assert not is_transcript(text)
