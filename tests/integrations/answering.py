"""A store of long documents that retrievers of all frameworks are tested with, and a fake model."""

from __future__ import annotations

import re
from pathlib import Path

from command_line import longembed

TOPICS = {
    "harbour": "the harbour, its cranes and its ships",
    "orchard": "the orchard, its apples and its bees",
    "railway": "the railway, its engines and its signals",
}
ANSWERS = {
    "harbour": "The new crane was paid for by the widow of a sea captain.",
    "orchard": "The oldest pear tree was planted in the year of the great frost.",
    "railway": "The signal box burned down on the night of the village fair.",
}
QUESTIONS = {
    "harbour": "Who paid for the new crane?",
    "orchard": "When was the oldest pear tree planted?",
    "railway": "When did the signal box burn down?",
}


def indexed(place: Path, model: Path) -> Path:
    """A store with units of three documents of some thousand words; each answers a question.

    Args:
        place: An empty folder for all of it.
        model: Folder of the model.

    Returns:
        The store.
    """
    documents, store = place / "docs", place / "store"
    documents.mkdir()
    for name, subject in TOPICS.items():
        lines = [
            f"In meeting {number}, the council spoke at length of {subject}, and agreed on nothing."
            for number in range(150)
        ]
        lines.insert(100, ANSWERS[name])
        (documents / f"{name}.txt").write_text(" ".join(lines))
    ended = longembed(
        *("index", documents, "--store", store, "--model", model, "--method", "pcw", "--units")
    )
    assert ended.exit_code == 0, ended.output
    return store


class FakeLanguageModel:
    """Answers with the sentence of its prompt that shares most words with the question.

    Attributes:
        calls: How often it was asked.
        words: Of all prompts.
    """

    def __init__(self) -> None:
        self.calls = 0
        self.words = 0

    def answer(self, question: str, context: str) -> str:
        """The sentence of the context that answers."""
        self.calls += 1
        self.words += len(context.split())
        asked = set(re.findall(r"[a-z]{4,}", question.lower()))
        sentences = re.split(r"(?<=[.!?])\s+", context)
        return max(sentences, key=lambda s: len(asked & set(re.findall(r"[a-z]{4,}", s.lower()))))
