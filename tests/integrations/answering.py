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


def write_documents(folder: Path) -> None:
    """Three documents of some thousand words, each with one sentence that answers a question."""
    folder.mkdir()
    for name, subject in TOPICS.items():
        lines = [
            f"In meeting {number}, the council spoke at length of {subject}, and agreed on nothing."
            for number in range(150)
        ]
        lines.insert(100, ANSWERS[name])
        (folder / f"{name}.txt").write_text(" ".join(lines))


def index(folder: Path, store: Path, model: Path, *more: str) -> None:
    """A store with spans."""
    line = ("index", folder, "--store", store, "--model", model, "--method", "pcw", "--spans")
    ended = longembed(*line, *more)
    assert ended.exit_code == 0, ended.output


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
