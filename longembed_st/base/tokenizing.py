"""Turn texts into the features that sentence-transformers passes from module to module."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import ArrayLike
from sentence_transformers.base.modules import Transformer
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from longembed_st.base.coverage import Coverage, Overflow, Role, overflow_of_this_call
from longembed_st.base.extension import ExtensionConfig
from longembed_st.base.layout import STARTS, padded
from longembed_st.base.tokens import TokenizedText, TokenizeOptions, checked_texts, tokenize
from longembed_st.base.unknown_tokens import count_unknown, unknown_words
from longembed_st.compat import prompt_length
from longembed_st.errors import InputError, ModelError
from longembed_st.positions.method import Method


class TokenizingTransformer(Transformer):
    """A transformer that counts all tokens of its texts and reports each text that it cuts."""

    extension: ExtensionConfig
    method: Method

    is_in_worker: bool = False
    """Whether a worker process reads for a call that counts what is not read."""

    @property
    def text_tokenizer(self) -> PreTrainedTokenizerBase:
        """The tokenizer, which every model that can be extended has."""
        return cast(PreTrainedTokenizerBase, self.tokenizer)

    @property
    def token_table(self) -> Tensor:
        """The model's vectors of tokens, shape (vocabulary, width)."""
        return cast(torch.nn.Embedding, self.model.get_input_embeddings()).weight

    @property
    def keeps_end(self) -> bool:
        """Whether the tokenizer is set to cut a long text at its beginning."""
        return bool(self.text_tokenizer.truncation_side == "left")

    def checked_inputs(self, inputs: Sequence[Any]) -> list[Any]:
        """Return the inputs in the form that all other methods take; see `checked_texts`."""
        return checked_texts(inputs)

    def tokenize_texts(
        self,
        inputs: Sequence[Any],
        prompt: str | None,
        *,
        whole: bool = True,
        count: bool = True,
        offsets: bool = False,
    ) -> list[TokenizedText]:
        """Tokenize texts, each after the prompt.

        Args:
            inputs: Strings.
            prompt: Put before each text, or None.
            whole: Whether to keep all tokens; False keeps at least those in the extended window.
            count: Whether to count the tokens that are not kept.
            offsets: Whether to keep the characters of each token.

        Raises:
            InputError: If an input is not a valid string.
        """
        options = self._tokenize_options(whole, count, offsets)
        return tokenize(self.text_tokenizer, checked_texts(inputs), prompt, options)

    def _tokenize_options(self, whole: bool, count: bool, offsets: bool) -> TokenizeOptions:
        max_tokens = None if whole else self.max_seq_length
        return TokenizeOptions(max_tokens, self.keeps_end, count, offsets)

    def cut_windows(self, content: int, header: int, footer: int) -> list[tuple[int, int]] | None:
        """Cut a text into windows, unless it is read in one pass.

        Args:
            content: Its content tokens.
            header: Tokens before them, repeated in every window.
            footer: Tokens after them, repeated in every window.

        Returns:
            Half-open ranges of content tokens; None for one pass.
        """
        context = self.extension.context
        if header + content + footer <= context.original:
            return None
        room = self.method.tokens_per_window(context) - header - footer
        return self.method.windows(content, room)

    @property
    def query_limit(self) -> int | None:
        """Most tokens that are read of a query; None for the limit of documents."""
        return None

    def limit_of(self, role: Role | None) -> int | None:
        """Return the most tokens that are read of a text; None for all."""
        limits = [self.max_seq_length, self.query_limit if role == "query" else None]
        return min((limit for limit in limits if limit is not None), default=None)

    def may_cut(self, role: Role | None) -> bool:
        """Return whether there are inputs that are not read to their end."""
        return self.limit_of(role) is not None

    def coverage_of(
        self, text: TokenizedText, spans: bool = False, role: Role | None = None
    ) -> Coverage:
        """Count what is read of a tokenized text."""
        tokens = text.counted - text.dropped_header
        cut = max(tokens - (self.limit_of(role) or tokens), 0)
        first = cut if self.keeps_end else 0
        content = text.content + text.dropped - cut
        passes = self.cut_windows(content, text.header, text.footer) or [(0, content)]
        characters = [text.characters(first + a, first + b) for a, b in passes if spans]
        beyond = max(len(text) - (tokens - cut), 0)
        start = text.header if self.keeps_end else max(len(text) - text.footer - beyond, 0)
        ids = np.delete(text.ids, slice(start, start + beyond))
        return Coverage(
            tokens=text.counted,
            read=tokens - cut,
            passes=len(passes),
            spans=tuple(span for span in characters if span is not None),
            unknown=count_unknown(self.text_tokenizer, ids),
            query_lost=cut if role == "query" else text.dropped_header,
        )

    def preprocess(
        self,
        inputs: Sequence[Any],
        prompt: str | None = None,
        processing_kwargs: Any = None,
        **kwargs: Any,
    ) -> dict[str, Any]:
        """Tokenize texts into rows, as sentence-transformers' trainers and losses take them.

        Inside a call that reports what is not read, return the features of `flat_features`.

        Args:
            inputs: Strings.
            prompt: Put before each text, or None.
            processing_kwargs: Refused: it could cut texts without a warning.
            **kwargs: `max_length`, a smaller limit in tokens that the trainer may set; `task`,
                "query" for queries; anything else that sentence-transformers passes has no effect.

        Returns:
            `input_ids`, `attention_mask`, `token_parts` and perhaps `token_type_ids`, each of shape
            (texts, longest); `token_counts`, shape (texts,), the tokens of each whole text, if they
            were counted; perhaps `prompt_length`.

        Raises:
            InputError: If an input is not a valid string, or too long under the policy "error".
        """
        if processing_kwargs:
            raise InputError(
                "processing_kwargs are not supported: longembed-st tokenizes the whole text. Leave "
                "them out"
            )
        role: Role | None = "query" if kwargs.get("task") == "query" else None
        overflow = self.overflow_of_this_call()
        flat = self.flat_features(inputs, prompt, overflow, kwargs.get("max_length"), role)
        if overflow is not None:
            # `encode` reads them at once; rows padded to a long text could fill the memory.
            return flat
        tokenizer = self.text_tokenizer
        padding = {
            "input_ids": tokenizer.pad_token_id or 0,
            "token_type_ids": tokenizer.pad_token_type_id,
        }
        return padded(flat, padding)

    def overflow_of_this_call(self) -> Overflow | None:
        """Return what counts that which is not read, for a report; None if there is no report."""
        return overflow_of_this_call() or (Overflow(exact=False) if self.is_in_worker else None)

    def flat_features(
        self,
        inputs: Sequence[Any],
        prompt: str | None = None,
        overflow: Overflow | None = None,
        max_length: int | None = None,
        role: Role | None = None,
    ) -> dict[str, Any]:
        """Tokenize texts into one flat sequence, which takes no memory for padding.

        Args:
            inputs: Strings.
            prompt: Put before each text, or None.
            overflow: Counts what is not read, for a caller that reports it; None to warn here.
            max_length: A smaller limit in tokens than the extended window, or None.
            role: Of the texts.

        Returns:
            As `features_of`.

        Raises:
            InputError: For the same reasons as `preprocess`.
        """
        inputs = self.checked_inputs(inputs)
        policy = self.extension.on_overflow
        # How much is cut matters only where it is reported.
        count = policy == "warn" or (policy == "truncate" and (overflow or Overflow()).exact)
        texts = self.tokenize_texts(inputs, prompt, whole=False, count=count)
        self.check_lengths(inputs, texts, overflow, role)
        limits = [n for n in (self.limit_of(role), max_length) if n is not None]
        if limits:
            texts = [text.shortened(min(limits), self.keeps_end) for text in texts]
        features = self.features_of(texts, prompt)
        if role == "query" and "token_counts" in features:
            features["query_lost"] = features["token_counts"] - features[STARTS].diff()
        return features

    def features_of(self, texts: Sequence[TokenizedText], prompt: str | None) -> dict[str, Any]:
        """Put tokenized texts into one flat, unpadded sequence of tokens.

        Returns:
            `input_ids`, `token_parts` and perhaps `token_type_ids`, each of shape (1, all tokens);
            `cu_seq_lens_q`, shape (texts + 1,), where each text begins; `token_counts`, the tokens
            of each whole text, and `query_lost`, if they were counted; perhaps `prompt_length`.

        Raises:
            ModelError: If the model has no vector for a token.
        """
        input_ids = _flat([text.ids for text in texts], np.int64)
        if texts:
            self._refuse_unknown_ids(int(input_ids.max()))
        features: dict[str, Any] = {
            "input_ids": input_ids,
            "token_parts": _flat([text.parts for text in texts], np.int8),
            STARTS: torch.tensor([0, *map(len, texts)]).cumsum(0),
            "modality": "text",
        }
        if all(text.complete for text in texts):
            counts = [text.counted for text in texts]
            features["token_counts"] = torch.tensor(counts, dtype=torch.int64)
            lost = [text.dropped_header for text in texts]
            features["query_lost"] = torch.tensor(lost, dtype=torch.int64)
        types = [text.type_ids for text in texts if text.type_ids is not None]
        if types:
            features["token_type_ids"] = _flat(types, np.int64)
        if prompt:
            features["prompt_length"] = prompt_length(self, prompt)
        return features

    def features_and_spans(
        self, inputs: Sequence[Any], prompt: str | None
    ) -> tuple[dict[str, Any], list[list[tuple[int, int]]]]:
        """Tokenize inputs, and find the characters that each of their passes reads.

        Returns:
            What `flat_features` returns, and for each input the half-open ranges of characters
            that its passes read; none if the tokenizer keeps no offsets.

        Raises:
            InputError: For the same reasons as `preprocess`.
        """
        texts = self.tokenize_texts(inputs, prompt, offsets=True)
        self.check_lengths(inputs, texts)
        spans = [list(self.coverage_of(text, spans=True).spans) for text in texts]
        limit = self.max_seq_length
        if limit is not None:
            texts = [text.shortened(limit, self.keeps_end) for text in texts]
        return self.features_of(texts, prompt), spans

    def check_lengths(
        self,
        inputs: Sequence[str],
        texts: Sequence[TokenizedText],
        overflow: Overflow | None = None,
        role: Role | None = None,
    ) -> None:
        """Raise `InputError` for a text that is empty, or too long under the policy "error".

        Args:
            inputs: The texts.
            texts: The same texts, tokenized.
            overflow: Counts what is not read or not known, for a caller that reports it; None to
                warn here.
            role: Of the texts.
        """
        if not all(map(len, texts)):
            raise InputError("a text is empty or blank, so that it has no tokens; leave it out")
        counted = overflow or Overflow()
        limit = self.limit_of(role)
        for text, tokenized in zip(inputs, texts, strict=True):
            tokens = tokenized.counted - tokenized.dropped_header
            if role == "query" and self.query_limit is not None:
                counted.count_query(tokens, min(tokens, limit or tokens), self.extension)
            else:
                counted.count(text, tokens, limit or tokens, self.extension, tokenized.complete)
            header, lost = tokenized.header, tokenized.dropped_header
            counted.count_query(header + lost, header, self.extension)
            unknown = count_unknown(self.text_tokenizer, tokenized.ids)
            words = partial(unknown_words, self.text_tokenizer, text)
            counted.count_unknown(unknown, len(tokenized), words)
        if overflow is None:
            counted.warn(self.extension, stacklevel=4)

    def _refuse_unknown_ids(self, largest: int) -> None:
        rows = len(self.token_table)
        if largest >= rows:
            raise ModelError(
                f"the tokenizer gives token id {largest}, and the model has vectors for {rows} "
                "tokens: the two do not belong together. Fetch the model again"
            )


def _flat(rows: Sequence[ArrayLike], dtype: type[np.integer[Any]]) -> Tensor:
    """Return all rows in one, shape (1, total)."""
    parts = [np.empty(0, dtype=dtype), *(np.asarray(row, dtype=dtype) for row in rows)]
    return torch.from_numpy(np.concatenate(parts))[None]
