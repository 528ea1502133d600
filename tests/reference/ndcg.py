"""nDCG from its formula (Jaervelin and Kekaelaeinen 2002): gains over the logarithm of the rank."""

from __future__ import annotations

import math


def discounted(gains: list[int], k: int) -> float:
    return sum(gain / math.log2(rank + 1) for rank, gain in enumerate(gains[:k], 1))


def ndcg(grades: dict[str, int], scores: dict[str, float], k: int) -> float:
    ranking = sorted(scores, key=lambda document: -scores[document])
    found = discounted([grades.get(document, 0) for document in ranking], k)
    return found / discounted(sorted(grades.values(), reverse=True), k)
