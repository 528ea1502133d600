"""Find documents that are almost the same text, so that no fit sees what it is judged by."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable
from hashlib import blake2b

SHINGLE = 8
"""Words of a run that is hashed."""

SKETCH = 64
"""How many of the smallest hashes stand for a text (Broder 1997)."""

ALIKE = 0.5
"""The share of their hashes that near-duplicates have in common, at least."""


def sketch(text: str) -> frozenset[int]:
    """Return the smallest hashes of the runs of words of a text.

    Args:
        text: The text; case, punctuation and white space do not count.
    """
    words = re.findall(r"\w+", text.lower())
    runs = {" ".join(words[i : i + SHINGLE]) for i in range(max(1, len(words) - SHINGLE + 1))}
    hashes = (int.from_bytes(blake2b(run.encode(), digest_size=8).digest(), "big") for run in runs)
    return frozenset(sorted(hashes)[:SKETCH])


def near_duplicates(sketches: Iterable[frozenset[int]]) -> list[int]:
    """Return the numbers of the documents that repeat an earlier one.

    Args:
        sketches: The sketch of each document.
    """
    seen: defaultdict[int, list[int]] = defaultdict(list)
    sizes: dict[int, int] = {}
    repeated = []
    for index, hashes in enumerate(sketches):
        shared = Counter(other for value in hashes for other in seen[value])
        if any(n >= ALIKE * min(len(hashes), sizes[other]) for other, n in shared.items()):
            repeated.append(index)
            continue
        sizes[index] = len(hashes)
        for value in hashes:
            seen[value].append(index)
    return repeated
