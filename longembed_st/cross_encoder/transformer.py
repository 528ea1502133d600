"""LongPairTransformer: pairs of a query and a document, with the query in every window."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from operator import itemgetter
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from sentence_transformers.base.model import BaseModel
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from longembed_st.base.coverage import Overflow, Role
from longembed_st.base.layout import STARTS, flattened
from longembed_st.base.long_model import refuse_stock_class
from longembed_st.base.reader import LongReader
from longembed_st.base.reductions import combined_by_text
from longembed_st.base.tokens import (
    PROBES,
    Offsets,
    TokenizedText,
    checked_texts,
    tokenize,
)
from longembed_st.errors import InputError, ModelError


class LongPairTransformer(LongReader):
    """A transformer that reads a query and a document together, as an extension method says.

    If a pair does not fit the window, the document is read in windows, each behind the whole query.
    The arguments are those of `LongReader`.
    """

    # Saved models name the class by this path, whichever file it lives in.
    __module__ = "longembed_st"

    outputs = ("scores", "token_embeddings")

    def forward(self, features: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
        """Score each pair: what a stock model calls that has loaded a saved one.

        Args:
            features: What `preprocess` returned.
            **kwargs: Passed on to the transformers model.

        Returns:
            As `LongCrossEncoder.forward`.

        Raises:
            ModelError: If a score is not finite.
        """
        labels = cast(int, self.model.config.num_labels)
        flat = flattened(features)
        scores, owners = self.read_reduced(flat, itemgetter("scores"), labels, **kwargs)
        return self.with_scores(features, scores, flat, owners)

    def with_scores(
        self,
        features: dict[str, Any],
        scores: Tensor,
        flat: dict[str, Any],
        owners: Sequence[int],
    ) -> dict[str, Any]:
        """Combine the scores of windows, and add them to the features.

        Raises:
            ModelError: If a score is not finite, outside training.
        """
        pairs = len(flat[STARTS]) - 1
        if len(owners) > pairs:
            how = self.extension.combine or "max"
            scores = combined_by_text(scores, owners, pairs, how)
        return self.with_result(features, "scores", scores, flat, owners)

    def refusal_of_stock(self, model: BaseModel) -> str | None:
        """Say why a stock model would give other results; see `LongReader.refusal_of_stock`."""
        if self.module_output_name == "scores" and len(model) == 1:
            return None
        return (
            "the score of a pair is computed by several modules of this model, once for each "
            "window, and a stock CrossEncoder would do so once for a pair"
        )

    def on_model_ready(self, model: BaseModel) -> None:
        """Refuse a stock model that would give other results."""
        refuse_stock_class(model, self.refusal_of_stock(model))

    def checked_inputs(self, inputs: Sequence[Any]) -> list[Any]:
        """Return pairs of strings, or texts alone, to be counted."""
        if inputs and all(isinstance(item, str) for item in inputs):
            # Cards of trained models count the tokens of queries and documents alone.
            return checked_texts(inputs)
        return checked_pairs(inputs)

    def tokenize_texts(
        self,
        inputs: Sequence[Any],
        prompt: str | None,
        *,
        whole: bool = True,
        count: bool = True,
        offsets: bool = False,
    ) -> list[TokenizedText]:
        """Tokenize pairs; a header ends with the query, and the content is the document.

        The arguments are those of `LongReader.tokenize_texts`; the prompt is put before each query.

        Raises:
            InputError: If an input is not a pair of valid strings.
        """
        pairs = self.checked_inputs(inputs)
        if pairs and isinstance(pairs[0], str):
            return super().tokenize_texts(pairs, prompt, whole=whole, count=count, offsets=offsets)
        tokenizer = self.text_tokenizer
        options = self._tokenize_options(whole, count, offsets)
        documents = tokenize(tokenizer, [document for _, document in pairs], None, options)
        frames = {query: _frame_of(tokenizer, query, prompt) for query in {q for q, _ in pairs}}
        texts = [
            _in_frame(document, frames[query])
            for (query, _), document in zip(pairs, documents, strict=True)
        ]
        room, original = self._window_tokens(), self.extension.context.original
        return [text if text.counted <= original else _shorten_query(text, room) for text in texts]

    def may_cut(self, role: Role | None) -> bool:
        """Return True: long queries are cut."""
        return True

    def _window_tokens(self) -> int:
        """Tokens of the window, or of the one pass, that a long pair is read in."""
        context = self.extension.context
        cuts = self.method.windows(2 * context.original, context.original) is not None
        if cuts or context.extended is None:
            return self.method.tokens_per_window(context)
        return context.extended

    def check_lengths(
        self,
        inputs: Sequence[Any],
        texts: Sequence[TokenizedText],
        overflow: Overflow | None = None,
        role: Role | None = None,
    ) -> None:
        """Check queries and documents; see `LongReader.check_lengths`."""
        documents = [item if isinstance(item, str) else item[1] for item in inputs]
        super().check_lengths(documents, texts, overflow, role)

    def set_engine(self, engine: Any) -> None:
        """Let torch compute, the only engine for pairs.

        Raises:
            ModelError: If it is another.
        """
        if engine is not None:
            raise ModelError(
                "cross-encoders are computed by torch alone: their head is not part of the graphs "
                "of other engines. Load the model without backend"
            )


@dataclass(frozen=True)
class Frame:
    """The tokens around a document in a pair.

    Attributes:
        before: Token ids of the query and the special tokens around it.
        after: Token ids behind the document.
        types: Token type ids of the tokens before, of the document, and of those after; None if the
            tokenizer makes none.
    """

    before: NDArray[np.int32]
    after: NDArray[np.int32]
    types: tuple[NDArray[np.int32], int, NDArray[np.int32]] | None


def checked_pairs(inputs: Sequence[Any]) -> list[tuple[str, str]]:
    """Check that each input is a pair of strings that can be tokenized.

    Raises:
        InputError: Naming the first that is not.
    """
    for index, pair in enumerate(inputs):
        if isinstance(pair, str) or not isinstance(pair, Sequence) or len(pair) != 2:
            raise InputError(
                f"input {index} is not a pair of a query and a document, as a cross-encoder takes"
            )
    queries = checked_texts([query for query, _ in inputs])
    return list(zip(queries, checked_texts([document for _, document in inputs]), strict=True))


def _frame_of(tokenizer: PreTrainedTokenizerBase, query: str, prompt: str | None) -> Frame:
    """Find the tokens that a tokenizer puts around any document that is paired with a query.

    Raises:
        InputError: If the tokenizer joins the two in a way that has no such frame.
    """
    for probe in PROBES:
        plain = tokenizer(probe, add_special_tokens=False)["input_ids"]
        pair = tokenizer((prompt or "") + query, probe, truncation=False, verbose=False)
        ids, types = pair["input_ids"], pair.get("token_type_ids")
        for end in range(len(ids), len(plain) - 1, -1):
            start = end - len(plain)
            if plain and ids[start:end] == plain:
                tokens = np.array(ids, np.int32)
                if types is not None:
                    array = np.array(types, np.int32)
                    types = array[:start], int(array[start]), array[end:]
                return Frame(tokens[:start], tokens[end:], types)
    raise InputError(
        f"{type(tokenizer).__name__} changes a document's own tokens when it joins a query to it; "
        "longembed-st cannot tell the two apart"
    )


def _in_frame(document: TokenizedText, frame: Frame) -> TokenizedText:
    """Put a tokenized document behind its query."""
    end = len(document) - document.footer
    content = np.asarray(document.ids[document.header : end], np.int32)
    types = None
    if frame.types is not None:
        before, between, after = frame.types
        types = np.concatenate([before, np.full(len(content), between, np.int32), after])
    shift = len(frame.before) - document.header
    return replace(
        document,
        ids=np.concatenate([frame.before, content, frame.after]),
        type_ids=types,
        header=len(frame.before),
        footer=len(frame.after),
        offsets=None if document.offsets is None else _ShiftedOffsets(document.offsets, shift),
    )


def _shorten_query(text: TokenizedText, window: int) -> TokenizedText:
    """Cut the query of a pair so that the document gets half of the window, if it needs it.

    The query keeps half of the window at least, and all that the document does not take. Its last
    tokens are cut, before the special ones that divide the two.
    """
    limit = max(window // 2, window - text.footer - text.content - text.dropped)
    excess = text.header - limit
    if excess <= 0:
        return text
    divider = 0
    while text.header - divider > 1 and _divides(text, text.header - divider - 1):
        divider += 1
    return text.without(
        slice(text.header - divider - excess, text.header - divider),
        header=text.header - excess,
        dropped_header=excess,
        offsets=None if text.offsets is None else _ShiftedOffsets(text.offsets, -excess),
    )


def _divides(text: TokenizedText, index: int) -> bool:
    """Whether a token of the header also stands behind the document."""
    return text.ids[index] in text.ids[len(text) - text.footer :]


@dataclass(frozen=True)
class _ShiftedOffsets:
    """Offsets of tokens that stand further on, by a number of tokens."""

    offsets: Offsets
    by: int

    def token_to_chars(self, token_index: int, /) -> tuple[int, int] | None:
        return self.offsets.token_to_chars(token_index - self.by)
