"""The sequences that go through the model: whole texts, or the windows of long ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, cast

import torch
from torch import Tensor

from longembed_st.base.layout import STARTS
from longembed_st.base.tokens import CONTENT, FOOTER, HEADER, PARTS

CutWindows = Callable[[int, int, int], "list[tuple[int, int]] | None"]
"""From the tokens of content, header and footer to the ranges of content tokens that are read one
by one; None to read the text in one pass."""


@dataclass(frozen=True)
class Pass:
    """Tokens that go through the model as one sequence.

    Attributes:
        text: Index of the text in the batch.
        tokens: Shape (n,): indices into the batch's flat token axis.
        header: How many of them stand before the content.
        first: Its first content token, counted from that of the text.
        last: Its content token after the last.
        prompt_length: Tokens at the start that the pooling leaves out.
    """

    text: int
    tokens: Tensor
    header: int
    first: int
    last: int
    prompt_length: int


def split_into_passes(
    features: dict[str, Any], cut_windows: CutWindows, special_ids: Sequence[int], excluded: int
) -> list[Pass]:
    """Split each text of a flat sequence into the passes that it is read in.

    Args:
        features: A flat sequence; see `layout`.
        cut_windows: Says which texts are cut, and where.
        special_ids: Of the tokenizer, for features that others have tokenized.
        excluded: Tokens of the prompt that the pooling leaves out.
    """
    parts = _token_parts(features, special_ids)
    passes = []
    for text, (start, end) in enumerate(pairwise(features[STARTS].tolist())):
        tokens = torch.arange(start, end)
        header, content, footer = (tokens[parts[start:end] == part] for part in PARTS)
        windows = cut_windows(len(content), len(header), len(footer))
        if windows is None:
            passes.append(Pass(text, tokens, len(header), 0, len(content), excluded))
        for first, last in windows or ():
            window = torch.cat([header, content[first:last], footer])
            prompt_length = len(header) if excluded else 0
            passes.append(Pass(text, window, len(header), first, last, prompt_length))
    return passes


def _token_parts(features: dict[str, Any], special_ids: Sequence[int]) -> Tensor:
    """Header, content and footer of each text; texts that others have tokenized have no prompt."""
    if "token_parts" in features:
        return cast(Tensor, features["token_parts"][0].cpu())
    ids = features["input_ids"][0].cpu()
    is_content = ~torch.isin(ids, torch.tensor(special_ids))
    parts = torch.full_like(ids, CONTENT, dtype=torch.int8)
    for start, end in pairwise(features[STARTS].tolist()):
        text, content = parts[start:end], is_content[start:end].int()
        text[content.flip(0).cumsum(0).flip(0) == 0] = FOOTER
        text[content.cumsum(0) == 0] = HEADER
    return parts


def unique_token_masks(passes: Sequence[Pass]) -> list[Tensor]:
    """Mark the tokens of each pass that stand for the text, so that each of its tokens does once.

    Leading special tokens and the prompt are those of the first pass, trailing ones those of the
    last; a token that two windows share is that of the earlier one.

    Returns:
        For each pass, shape (n,).
    """
    masks = []
    end_of_text: dict[int, int] = {}
    last_pass = {item.text: index for index, item in enumerate(passes)}
    for index, item in enumerate(passes):
        mask = torch.ones(len(item.tokens), dtype=torch.bool)
        end = end_of_text.get(item.text)
        if end is not None:
            mask[: item.header + max(end - item.first, 0)] = False
        if index != last_pass[item.text]:
            mask[item.header + item.last - item.first :] = False
        end_of_text[item.text] = max(end or 0, item.last)
        masks.append(mask)
    return masks
