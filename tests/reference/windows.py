"""Parallel context windows from LongEmbed (arXiv 2404.12096), section 4.2.

"we first segment D into chunks of L_o tokens, then average over each chunk's embeddings [...] the
overlap between adjacent chunks [is] 0, except for the last chunk, which conditionally overlaps with
the preceding chunk to ensure it contains L_o tokens."
"""

from __future__ import annotations

import torch
from reference.plain import PlainModel
from torch import Tensor


def cut(content: list[int], room: int, overlap: int = 0) -> list[list[int]]:
    """Chunks of `room` tokens, the last one moved back to be full."""
    chunks = []
    start = 0
    while start + room < len(content):
        chunks.append(content[start : start + room])
        start += room - overlap
    chunks.append(content[max(len(content) - room, 0) :])
    return chunks


def windows_of(
    plain: PlainModel, text: str, *, window: int, overlap: int = 0, prompt: str = ""
) -> list[list[int]]:
    """The token ids of each window: special tokens, prompt, a chunk of the text, special tokens."""
    ids = plain.token_ids(prompt + text)
    before, after = plain.specials
    head = ids[: before + plain.prompt_tokens(text, prompt)]
    tail = ids[len(ids) - after :]
    content = ids[len(head) : len(ids) - after]
    return [head + chunk + tail for chunk in cut(content, window - len(head) - len(tail), overlap)]


def embed(
    plain: PlainModel,
    text: str,
    *,
    window: int | None = None,
    overlap: int = 0,
    prompt: str = "",
) -> Tensor:
    """The vector of one text that is longer than L_o: the mean of its windows' pooled vectors."""
    left_out = plain.specials[0] + plain.prompt_tokens(text, prompt) if prompt else 0
    pieces = windows_of(plain, text, window=window or plain.window, overlap=overlap, prompt=prompt)
    pooled = [plain.pool(plain.hidden(ids), left_out) for ids in pieces]
    return plain.finish(torch.stack(pooled).mean(0))
