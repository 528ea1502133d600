"""Make training pairs and held-out pairs of a source, without duplicates and without overlap."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random

from transformers import PreTrainedTokenizerBase

from longembed_st.errors import ConfigError
from longembed_st.positions.method import Context
from longembed_tuning.cloze import held_out_examples, repeat_keys, training_examples
from longembed_tuning.sources import SHORTEST_DOCUMENT, Document, Example, read_source

HELD_OUT_SHARE = 0.1
"""The share of the documents longer than the original window that is held out."""

LEAST_HELD_OUT = 2
"""Documents. With one alone, every query finds it."""

MOST_HELD_OUT = 200
"""Documents. More would make validations on a large corpus long."""


@dataclass(frozen=True)
class TuningData:
    """What a model is trained and validated on.

    Attributes:
        train: Training pairs.
        held_out: Pairs to validate on; no training pair has a document of theirs.
        counts: What the source has and what was left out, by description.
    """

    train: list[Example]
    held_out: list[Example]
    counts: dict[str, int]

    def digest(self) -> str:
        """Return a hash of all pairs, by which a resumed run recognises its data."""
        digest = hashlib.sha256()
        for part in (self.train, self.held_out):
            for example in part:
                digest.update(json.dumps(vars(example)).encode())
            digest.update(b"end")
        return digest.hexdigest()


def prepare(
    source: str,
    tokenizer: PreTrainedTokenizerBase,
    context: Context,
    *,
    budget: int,
    seed: int,
    hold_out: bool = True,
    validation_source: str | None = None,
) -> TuningData:
    """Read a source, and make training pairs and held-out pairs of it.

    Args:
        source: See `read_source`.
        tokenizer: The model's own.
        context: The original and the extended window.
        budget: Tokens of a training text.
        seed: Chooses passages and held-out documents.
        hold_out: Whether to hold documents out for validation.
        validation_source: Validate on all long documents of this source, instead of some of
            `source`.

    Raises:
        ConfigError: If there is too little to train or to validate on.
        InputError: If a row cannot be used.
    """
    counts: dict[str, int] = {}
    items = _usable(read_source(source), source, counts)
    chosen: list[Example | Document] = []
    if hold_out:
        candidates = items
        if validation_source is not None:
            candidates = _usable(read_source(validation_source), validation_source, {})
        share = HELD_OUT_SHARE if validation_source is None else 1.0
        texts = _choose(candidates, tokenizer, context.original, share, seed)
        chosen = [item for item in candidates if _texts(item)[0] in texts]
        items = [item for item in items if texts.isdisjoint(_texts(item))]
    # Training must not see the text of a question of the validation.
    seen = {key for item in chosen for key in repeat_keys(_texts(item)[0])}
    train = _pairs(items, lambda d: training_examples(d, tokenizer, budget, seed, seen))
    held_out = _pairs(chosen, lambda d: held_out_examples(d, tokenizer, context, seed))
    every = list(dict.fromkeys(example.document for example in held_out))
    documents = set(Random(seed).sample(every, min(len(every), MOST_HELD_OUT)))
    held_out = [example for example in held_out if example.document in documents]
    if hold_out and len(documents) < LEAST_HELD_OUT:
        raise ConfigError(
            f"{validation_source or source} has {len(documents)} documents of more than "
            f"{context.original} tokens to validate on, and {LEAST_HELD_OUT} are needed: add long "
            "documents, name others with --validation-data, or go without with --no-validation"
        )
    counts |= {
        "training pairs": len(train),
        "held-out documents": len(documents),
        "held-out queries": len(held_out),
    }
    return TuningData(train, held_out, counts)


def _texts(item: Example | Document) -> tuple[str, ...]:
    """Return the documents of an item, its own first."""
    if isinstance(item, Document):
        return (item.text,)
    return (item.document, *item.negatives)


def _usable(
    items: list[Example] | list[Document], source: str, counts: dict[str, int]
) -> list[Example | Document]:
    """Return the items without exact repetitions and without documents shorter than a sentence."""
    different: dict[object, Example | Document] = {}
    for item in items:
        # The same text under another name is the same document.
        different.setdefault(item if isinstance(item, Example) else item.text, item)
    usable = [item for item in different.values() if len(_texts(item)[0]) >= SHORTEST_DOCUMENT]
    documents = {_texts(item)[0] for item in usable}
    counts |= {
        "rows or files": len(items),
        "exact repetitions left out": len(items) - len(different),
        "shorter than a sentence, left out": len(different) - len(usable),
        "documents": len(documents),
    }
    if len(documents) < 2:
        raise ConfigError(
            f"{source} has too few documents of at least a sentence ({len(documents)}), and 2 are "
            "needed: add documents, better hundreds"
        )
    return usable


def _choose(
    items: Sequence[Example | Document],
    tokenizer: PreTrainedTokenizerBase,
    original: int,
    share: float,
    seed: int,
) -> set[str]:
    """Choose documents longer than the original window to hold out."""
    texts = dict.fromkeys(_texts(item)[0] for item in items)
    long = [text for text in texts if _tokens(text, tokenizer) > original]
    count = min(max(round(share * len(long)), LEAST_HELD_OUT), len(long), MOST_HELD_OUT)
    return set(Random(seed).sample(long, count))


def _tokens(text: str, tokenizer: PreTrainedTokenizerBase) -> int:
    return len(tokenizer(text, verbose=False)["input_ids"])


def _pairs(
    items: Sequence[Example | Document], made_of: Callable[[Document], list[Example]]
) -> list[Example]:
    """Return each pair once: those of the source, and those that are made of documents."""
    pairs: dict[Example, None] = {}
    for item in items:
        pairs |= dict.fromkeys([item] if isinstance(item, Example) else made_of(item))
    return list(pairs)
