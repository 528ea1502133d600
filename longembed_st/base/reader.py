"""LongReader: texts of any length through a transformer, pass by pass.

One reader serves every class of models: a class differs in what it keeps of a pass, and in how the
passes of a text become one.
"""

from __future__ import annotations

import inspect
import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, cast

import numpy as np
import torch
from numpy.typing import ArrayLike
from sentence_transformers.base.model import BaseModel
from sentence_transformers.base.modules import Router, Transformer
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from transformers import PreTrainedModel, PreTrainedTokenizerBase
from typing_extensions import Self

from longembed_st.base.batching import PADDABLE_LENGTH, token_budget_batches
from longembed_st.base.coverage import Coverage, Overflow
from longembed_st.base.layout import padded
from longembed_st.base.precision import is_widened
from longembed_st.base.progress import report_progress
from longembed_st.base.settings import ExtensionConfig
from longembed_st.base.sharing import copy_sharing_weights
from longembed_st.base.tokens import (
    CONTENT,
    FOOTER,
    HEADER,
    PARTS,
    TokenizedText,
    TokenizeOptions,
    checked_texts,
    tokenize,
)
from longembed_st.compat import attention_implementation, prompt_length
from longembed_st.errors import ConfigError, InputError, ModelError
from longembed_st.positions import checks
from longembed_st.positions.attention import LONG_ATTENTION, logn_scale
from longembed_st.positions.family import family_of
from longembed_st.positions.hooks import install_hook

if TYPE_CHECKING:
    from longembed_st.backends.openvino import OpenVino


REQUIREMENT = {"longembed-st": ">=0.2"}
"""Written into saved models, so that sentence-transformers asks for the package by name."""


NOT_FINITE = (
    "the model gave NaN or infinite values, so no vector is returned. Half precision may overflow "
    "on this model: load it with model_kwargs={'dtype': torch.float32}"
)


@dataclass(frozen=True)
class Pass:
    """Tokens that go through the model as one sequence.

    Attributes:
        text: Index of the text in the batch.
        tokens: Shape (n,): indices into the batch's flat token axis.
        header: How many of them stand before the content.
        first: Its first content token, counted from that of the text.
        last: Its content token after the last.
        prompt_length: Tokens at the start that the pooling may be told to leave out.
    """

    text: int
    tokens: Tensor
    header: int
    first: int
    last: int
    prompt_length: int


class LongReader(Transformer):
    """A transformer that reads each text in one pass or in several windows, as a method says.

    Args:
        model_name_or_path: Folder or hub name of the underlying model.
        extension: The extension, as an `ExtensionConfig` or its fields.
        **kwargs: Arguments of `sentence_transformers.base.modules.Transformer`.

    Raises:
        ConfigError: If the extension is not valid.
        ModelError: If the model cannot take it, or if weights are missing from the checkpoint.
    """

    outputs: ClassVar[tuple[str, ...]] = ("token_embeddings",)
    """What the transformer may give, as sentence-transformers names it."""

    per_task: ClassVar[tuple[str, ...]] = ()
    """Settings for queries or documents alone that the class knows how to follow."""

    engine: OpenVino | None = None
    """What computes the passes; None for torch."""

    widened_from: torch.dtype | None = None
    """The half precision that weights were stored in, if they are computed with in single."""

    # What `encode` may be given beside its own arguments; it hands it to preprocess and forward.
    forward_kwargs = Transformer.forward_kwargs | {"overflow"}

    def __init__(
        self, model_name_or_path: str, *, extension: ExtensionConfig | dict[str, Any], **kwargs: Any
    ) -> None:
        super().__init__(model_name_or_path, **kwargs)
        checks.refuse_missing_weights(self.model, model_name_or_path)
        if isinstance(extension, dict):
            extension = ExtensionConfig(**extension)
        self.extend(extension)

    @classmethod
    def extended_copy(cls, transformer: Transformer, extension: ExtensionConfig) -> Self:
        """Extend a loaded module, which stays as it is; both share their weights.

        Args:
            transformer: The module.
            extension: How to extend it.

        Raises:
            ConfigError: If the extension is not valid.
            ModelError: If the model cannot take it.
        """
        module = cls.__new__(cls)
        torch.nn.Module.__init__(module)
        module.__dict__.update(copy_sharing_weights(transformer).__dict__)
        module.extend(extension)
        return module

    def extend(self, extension: ExtensionConfig) -> None:
        """Read as an extension says from now on.

        Args:
            extension: Its defaults are worked out here.

        Raises:
            ConfigError: If the extension is not valid.
            ModelError: If the model cannot take it.
        """
        extension = extension.resolved()
        method = extension.build_method()
        family = family_of(self.config)
        family.refuse_unless_takes(method, extension.context)
        checks.refuse_unsupported(self, method, self.outputs, self.per_task)
        limit = checks.position_limit(self, family)
        if limit is not None and method.last_position(extension.context) >= limit:
            raise ConfigError(
                f"original_max_seq_length={extension.context.original} with method "
                f"{method.name!r} reaches past the {limit} positions that this model has"
            )
        if extension.logn_scaling:
            if not method.scales_logn:
                raise ConfigError(
                    f"logn_scaling has no effect with method {method.name!r}, whose passes never "
                    "exceed the original window; leave it off"
                )
            family.refuse_logn()
        present = attention_implementation(self.config)
        if present != LONG_ATTENTION:
            self._own_attention = present
        acts_inside = extension.logn_scaling or "relative_positions" in method.needs
        if acts_inside or (family.local_layers and method.needs):
            self.model.set_attn_implementation(LONG_ATTENTION)
        elif present == LONG_ATTENTION:
            self.model.set_attn_implementation(self._own_attention)
        checks.lift_sliding_window(self.config, family, method, extension.context)
        self.unpad_inputs = False
        self.extension = extension
        self.method = method
        self.family = family
        self.hook = install_hook(self.backbone, family)
        self._takes_type_ids = "token_type_ids" in inspect.signature(self.model.forward).parameters
        if self.engine is not None:
            self._refuse_inside(self.engine)

    @property
    def backbone(self) -> PreTrainedModel:
        """The transformers model without the head that may stand on it."""
        return checks.backbone_of(self)

    # What sentence-transformers asks of a module.

    @property
    def max_seq_length(self) -> int | None:
        """The extended window in tokens, special tokens counted; None without an upper length."""
        return self.extension.max_seq_length

    @max_seq_length.setter
    def max_seq_length(self, value: int | None) -> None:
        if value != self.extension.max_seq_length:
            raise ConfigError(
                f"the extended window is {self.extension.max_seq_length}, fixed when the model was "
                f"extended; use longembed_st.extend(model, max_seq_length={value}) for another one"
            )

    def get_config_dict(self) -> dict[str, Any]:
        """What is saved beside the weights."""
        return {
            **super().get_config_dict(),
            "extension": self.extension.saved(),
        }

    def save(self, output_path: str, *args: Any, **kwargs: Any) -> None:
        """Save the original model with the extension's settings beside it.

        Args:
            output_path: The folder.
            *args: Passed on to sentence-transformers.
            **kwargs: Passed on to sentence-transformers.
        """
        Transformer.save(self._as_stored(), output_path, *args, **kwargs)
        model_config = Path(output_path, "config_sentence_transformers.json")
        if model_config.exists():
            settings = json.loads(model_config.read_text(encoding="utf8"))
            settings["requirements"] = {**settings.get("requirements", {}), **REQUIREMENT}
            model_config.write_text(json.dumps(settings, indent=2, sort_keys=True), encoding="utf8")

    def _as_stored(self) -> Self:
        """This, or a copy with weights of the precision that they were stored in."""
        narrow = self.widened_from
        weights = [t for t in self.model.state_dict().values() if t.dtype == torch.float32]
        if narrow is None or not all(is_widened(tensor, narrow) for tensor in weights):
            return self
        copy = copy_sharing_weights(self)
        cast(torch.nn.Module, copy.model).to(narrow)
        return copy

    def __repr__(self) -> str:
        name = type(self).__name__
        return f"{name}({self.extension!r}, architecture={type(self.model).__name__!r})"

    @property
    def token_table(self) -> Tensor:
        """The model's vectors of tokens, shape (vocabulary, width)."""
        return cast(torch.nn.Embedding, self.model.get_input_embeddings()).weight

    # From texts to tokens.

    @property
    def text_tokenizer(self) -> PreTrainedTokenizerBase:
        """The tokenizer, which every model that can be extended has."""
        return cast(PreTrainedTokenizerBase, self.tokenizer)

    def tokenize_texts(
        self,
        inputs: Sequence[Any],
        prompt: str | None,
        *,
        whole: bool = True,
        count: bool = True,
        offsets: bool = False,
    ) -> list[TokenizedText]:
        """Tokenize texts, each behind the prompt.

        Args:
            inputs: Strings.
            prompt: Put before each text, or None.
            whole: Whether to keep all tokens; otherwise those within the extended window at least.
            count: Whether to count the tokens that are not kept.
            offsets: Whether to keep the characters of each token.

        Raises:
            InputError: If an input is not a valid string.
        """
        need = TokenizeOptions(
            None if whole else self.max_seq_length, self.keeps_end, count, offsets
        )
        return tokenize(self.text_tokenizer, checked_texts(inputs), prompt, need)

    def coverage_of(self, text: TokenizedText, spans: bool = False) -> Coverage:
        """What is read of a tokenized text.

        Args:
            text: The text.
            spans: Whether to find the characters that each pass reads.
        """
        tokens = text.counted
        cut = max(tokens - (self.max_seq_length or tokens), 0)
        first = cut if self.keeps_end else 0
        content = text.content + text.dropped - cut
        passes = self._windows(content, text.header, text.footer) or [(0, content)]
        characters = [text.characters(first + a, first + b) for a, b in passes if spans]
        return Coverage(
            tokens=tokens,
            read=tokens - cut,
            passes=len(passes),
            spans=tuple(span for span in characters if span is not None),
        )

    @property
    def keeps_end(self) -> bool:
        """Whether the tokenizer is set to cut a long text at its beginning."""
        return bool(self.text_tokenizer.truncation_side == "left")

    @property
    def excludes_prompt(self) -> bool:
        """Whether what is kept of a pass is without the tokens of its prompt."""
        return False

    def _windows(self, content: int, header: int, footer: int) -> list[tuple[int, int]] | None:
        """The ranges of content tokens that a text is read in, or None for one pass."""
        context = self.extension.context
        if header + content + footer <= context.original:
            return None
        room = self.method.tokens_per_window(context) - header - footer
        return self.method.windows(content, room)

    def preprocess(
        self,
        inputs: Sequence[Any],
        prompt: str | None = None,
        processing_kwargs: Any = None,
        overflow: Overflow | None = None,
        **kwargs: Any,
    ) -> dict[str, Any]:
        """Tokenize texts into rows, as sentence-transformers' trainers and losses take them.

        Args:
            inputs: Strings.
            prompt: Put before each text, or None.
            processing_kwargs: Refused: nothing may cut texts unseen.
            overflow: Counts what is not read, for a caller that reports it and gets features of
                `flat_features`; None to warn here.
            **kwargs: `max_length`, a smaller limit in tokens that the trainer may set; anything
                else that sentence-transformers passes, the task for instance, has no effect.

        Returns:
            `input_ids`, `attention_mask`, `token_parts` and perhaps `token_type_ids`, each of shape
            (texts, longest); `token_counts`, shape (texts,), the tokens of each whole text, if they
            were counted; perhaps `prompt_length`.

        Raises:
            InputError: If an input is not a valid string, or too long under the policy "error".
        """
        if processing_kwargs:
            raise InputError(
                "processing_kwargs are not supported: longembed-st tokenizes the whole text and "
                "cuts nothing unseen"
            )
        flat = self.flat_features(inputs, prompt, overflow, kwargs.get("max_length"))
        if overflow is not None:
            # `encode`, which reads them at once: padding beside a book could fill the memory.
            return flat
        tokenizer = self.text_tokenizer
        padding = {
            "input_ids": tokenizer.pad_token_id or 0,
            "token_type_ids": tokenizer.pad_token_type_id,
        }
        return padded(flat, padding)

    def flat_features(
        self,
        inputs: Sequence[Any],
        prompt: str | None = None,
        overflow: Overflow | None = None,
        max_length: int | None = None,
    ) -> dict[str, Any]:
        """Tokenize texts into one flat sequence, which takes no memory for padding.

        Args:
            inputs: Strings.
            prompt: Put before each text, or None.
            overflow: Counts what is not read, for a caller that reports it; None to warn here.
            max_length: A smaller limit in tokens than the extended window, or None.

        Returns:
            As `features_of`.

        Raises:
            InputError: As `preprocess`.
        """
        policy = self.extension.on_overflow
        # Nobody sees how much is cut silently, nor by how much a refused text is too long.
        count = policy == "warn" or (policy == "truncate" and (overflow or Overflow()).exact)
        texts = self.tokenize_texts(inputs, prompt, whole=False, count=count)
        self.check_lengths(inputs, texts, overflow)
        limits = [n for n in (self.max_seq_length, max_length) if n is not None]
        if limits:
            texts = [text.shortened(min(limits), self.keeps_end) for text in texts]
        return self.features_of(texts, prompt)

    def features_of(self, texts: Sequence[TokenizedText], prompt: str | None) -> dict[str, Any]:
        """Tokenized texts as one flat, unpadded sequence of tokens.

        Args:
            texts: Each within the extended window.
            prompt: What stands before each text, or None.

        Returns:
            `input_ids`, `token_parts` and perhaps `token_type_ids`, each of shape (1, all tokens);
            `cu_seq_lens_q`, shape (texts + 1,), where each text begins; `token_counts`, the tokens
            of each whole text, if they were counted; perhaps `prompt_length`.

        Raises:
            ModelError: If a token is none of the model's.
        """
        input_ids = _flat([text.ids for text in texts], np.int64)
        if texts:
            self._refuse_unknown_ids(int(input_ids.max()))
        features: dict[str, Any] = {
            "input_ids": input_ids,
            "token_parts": _flat([text.parts for text in texts], np.int8),
            "cu_seq_lens_q": torch.tensor([0, *map(len, texts)]).cumsum(0),
            "modality": "text",
        }
        if all(text.complete for text in texts):
            features["token_counts"] = torch.tensor(
                [text.counted for text in texts], dtype=torch.int64
            )
        types = [text.type_ids for text in texts if text.type_ids is not None]
        if types:
            features["token_type_ids"] = _flat(types, np.int64)
        if prompt:
            features["prompt_length"] = prompt_length(self, prompt)
        return features

    def features_and_spans(
        self, inputs: Sequence[Any], prompt: str | None
    ) -> tuple[dict[str, Any], list[list[tuple[int, int]]]]:
        """Tokenize inputs whose passes are to be found again in their texts.

        Args:
            inputs: As `tokenize_texts` takes them.
            prompt: As there.

        Returns:
            What `flat_features` would give, and for each input the half-open ranges of characters
            that its passes read; none if the tokenizer keeps no offsets.

        Raises:
            InputError: As `preprocess`.
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
    ) -> None:
        """Raise `InputError` for a text that is empty, or too long under the policy "error".

        Args:
            inputs: The texts.
            texts: The same, tokenized.
            overflow: Counts what is not read, for a caller that reports it; None to warn here.
        """
        if not all(map(len, texts)):
            raise InputError(
                "a text gives no tokens at all: it is empty or blank; leave such texts out"
            )
        counted = overflow or Overflow()
        limit = self.max_seq_length
        for text, tokenized in zip(inputs, texts, strict=True):
            tokens = tokenized.counted
            counted.count(text, tokens, limit or tokens, self.extension, tokenized.complete)
        if overflow is None:
            counted.warn(self.extension, stacklevel=4)

    def _refuse_unknown_ids(self, largest: int) -> None:
        rows = len(self.token_table)
        if largest >= rows:
            raise ModelError(
                f"the tokenizer gives token id {largest}, and the model has vectors for {rows} "
                "tokens: the two do not belong together. Fetch the model again"
            )

    # From tokens to vectors.

    def passes_of(self, features: dict[str, Any]) -> list[Pass]:
        """The sequences that go through the model.

        Args:
            features: What `flat_features` returned.
        """
        parts = self._parts(features)
        starts = features["cu_seq_lens_q"].tolist()
        excluded = 0
        if self.excludes_prompt:
            # Collators may have made a tensor of it.
            excluded = int(torch.as_tensor(features.get("prompt_length", 0)).flatten()[0])
        passes = []
        for text, (start, end) in enumerate(pairwise(starts)):
            tokens = torch.arange(start, end)
            header, content, footer = (tokens[parts[start:end] == part] for part in PARTS)
            windows = self._windows(len(content), len(header), len(footer))
            if windows is None:
                passes.append(Pass(text, tokens, len(header), 0, len(content), excluded))
            for first, last in windows or ():
                window = torch.cat([header, content[first:last], footer])
                left_out = len(header) if excluded else 0
                passes.append(Pass(text, window, len(header), first, last, left_out))
        return passes

    def _parts(self, features: dict[str, Any]) -> Tensor:
        """Header, content and footer of each text; what others have tokenized has no prompt."""
        if "token_parts" in features:
            return cast(Tensor, features["token_parts"][0].cpu())
        ids = features["input_ids"][0].cpu()
        special = torch.isin(ids, torch.tensor(self.text_tokenizer.all_special_ids))
        parts = torch.full_like(ids, CONTENT, dtype=torch.int8)
        for start, end in pairwise(features["cu_seq_lens_q"].tolist()):
            first = int((~special[start:end]).int().cumsum(0).eq(0).sum())
            last = int((~special[start:end]).int().flip(0).cumsum(0).eq(0).sum())
            parts[start : start + first] = HEADER
            parts[max(end - last, start + first) : end] = FOOTER
        return parts

    def read_batches(
        self, passes: Sequence[Pass], features: dict[str, Any], **kwargs: Any
    ) -> Iterator[tuple[list[int], dict[str, Any]]]:
        """Run passes in token-budget batches.

        Args:
            passes: Of `passes_of`.
            features: What `flat_features` returned.
            **kwargs: Passed on to the transformers model.

        Yields:
            The indices of some passes, and the model's outputs for them: `input_ids`,
            `token_embeddings`, perhaps `attention_mask` and `prompt_length`, a row a pass.
        """
        # Texts that fit never share a batch with others: their computation stays that of the
        # unmodified model to the letter.
        groups = defaultdict(list)
        for index, one in enumerate(passes):
            original = self.method.reads_originally(len(one.tokens), self.extension.context)
            groups[original, one.prompt_length].append(index)
        read, all_tokens = 0, sum(len(one.tokens) for one in passes)
        for (original, left_out), members in groups.items():
            lengths = [len(passes[index].tokens) for index in members]
            paddable = PADDABLE_LENGTH if original else 0
            for batch in token_budget_batches(lengths, self.extension.token_budget, paddable):
                chosen = [members[index] for index in batch]
                inputs = self._model_inputs([passes[i].tokens for i in chosen], features, original)
                outputs = self._read(inputs, original, **kwargs)
                if left_out:
                    outputs["prompt_length"] = left_out
                yield chosen, outputs
                read += sum(len(passes[index].tokens) for index in chosen)
                report_progress(read, all_tokens)

    def read_reduced(
        self,
        features: dict[str, Any],
        reduce: Callable[[dict[str, Any]], Tensor],
        width: int,
        **kwargs: Any,
    ) -> tuple[Tensor, list[int]]:
        """Read each pass, and keep one row of it; a text of several windows is several passes.

        Args:
            features: What `flat_features` returned.
            reduce: From the outputs of some passes to their rows, shape (passes, width).
            width: Of a row.
            **kwargs: Passed on to the transformers model.

        Returns:
            The rows, shape (passes, width), and the index of the text of each.
        """
        passes = self.passes_of(features)
        order: list[int] = []
        rows: list[Tensor] = []
        for chosen, outputs in self.read_batches(passes, features, **kwargs):
            rows.append(reduce(outputs))
            order.extend(chosen)
        if not passes:
            return torch.zeros(0, width), []
        in_order = torch.cat(rows)[torch.tensor(order).argsort()]
        return in_order, [one.text for one in passes]

    def with_result(
        self,
        features: dict[str, Any],
        name: str,
        result: Tensor,
        flat: dict[str, Any],
        owners: Sequence[int],
    ) -> dict[str, Any]:
        """Features with what came out of reading them.

        Args:
            features: What `preprocess` returned; added to.
            name: What came out.
            result: A row a text.
            flat: The features as one flat sequence.
            owners: The text of each pass.

        Returns:
            The features, outside training with `coverages` if the tokens were counted.

        Raises:
            ModelError: If the result is not finite, outside training.
        """
        if not self.training and not torch.isfinite(result).all():
            raise ModelError(NOT_FINITE)
        features[name] = result
        if not self.training and "token_counts" in flat:
            features["coverages"] = _coverages(flat, owners)
        return features

    def token_embeddings(self, input_ids: Tensor) -> Tensor:
        """Read tokens in one pass, as the method says, and keep the embedding of each.

        Args:
            input_ids: Shape (batch, n), special tokens included, no padding.

        Returns:
            Shape (batch, n, width).
        """
        inputs: dict[str, Any] = {"modality": "text", "input_ids": input_ids}
        if self._takes_type_ids:
            inputs["token_type_ids"] = torch.zeros_like(input_ids)
        original = self.method.reads_originally(input_ids.shape[1], self.extension.context)
        return cast(Tensor, self._read(inputs, original)["token_embeddings"])

    def _read(self, inputs: dict[str, Any], original: bool, **kwargs: Any) -> dict[str, Any]:
        """One forward pass of the transformers model, extended unless the texts fit."""
        if original:
            return self._compute(inputs, **kwargs)
        context = self.extension.context
        if self.extension.logn_scaling:
            inputs["logn"] = logn_scale(inputs["input_ids"].shape[1], context.original)
        with self.hook.reading(self.backbone, inputs, self.method, context):
            return self._compute(inputs, **kwargs)

    def _compute(self, inputs: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
        # Only torch knows gradients, and the further arguments of a model.
        if self.engine is None or torch.is_grad_enabled() or kwargs:
            return self.read_with_torch(inputs, **kwargs)
        return {**inputs, "token_embeddings": self.engine.token_embeddings(self, inputs)}

    def read_with_torch(self, inputs: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
        """One forward pass of the transformers model by torch, at the positions it is told.

        Args:
            inputs: Of the model.
            **kwargs: Passed on to it.

        Returns:
            The inputs, with `token_embeddings`.
        """
        return super().forward(inputs, **kwargs)

    def padded_inputs(self, texts: Sequence[str]) -> dict[str, Any]:
        """The model's inputs for a batch of texts, cut to the original window, with a mask.

        Args:
            texts: Not empty.
        """
        most = self.extension.context.original
        tokenized = [text.shortened(most, False) for text in self.tokenize_texts(texts, None)]
        features = self.features_of(tokenized, None)
        rows = [one.tokens for one in self.passes_of(features)]
        inputs = self._model_inputs(rows, features, True)
        return {"attention_mask": torch.ones_like(inputs["input_ids"]), **inputs}

    def set_engine(self, engine: OpenVino | None) -> None:
        """Let an engine compute the passes from now on.

        Args:
            engine: None for torch.

        Raises:
            ModelError: If the method acts where the engine cannot.
        """
        if engine is not None:
            self._refuse_inside(engine)
        self.engine = engine

    def _refuse_inside(self, engine: OpenVino) -> None:
        if self.extension.logn_scaling:
            engine.refuse_inside("logn_scaling")
        if "relative_positions" in self.method.needs:
            engine.refuse_inside(f"method {self.method.name!r}")
        if self.family.local_layers and self.method.needs:
            engine.refuse_inside(
                f"method {self.method.name!r} with {self.family.model_type!r} and its local layers"
            )

    def _model_inputs(
        self, tokens: Sequence[Tensor], features: dict[str, Any], original: bool
    ) -> dict[str, Any]:
        """One batch for the transformers model; padded and masked only if lengths differ."""
        device = features["input_ids"].device
        tokenizer = self.text_tokenizer

        def gathered(name: str, padding: int) -> Tensor:
            flat = features[name][0]
            rows = [flat[index.to(device)] for index in tokens]
            # On the right whatever the tokenizer says: on the left, padding moves the positions.
            return pad_sequence(rows, True, padding)

        ids = gathered("input_ids", tokenizer.pad_token_id or 0)
        inputs: dict[str, Any] = {"modality": "text", "input_ids": ids}
        if "token_type_ids" in features:
            inputs["token_type_ids"] = gathered("token_type_ids", tokenizer.pad_token_type_id)
        elif self._takes_type_ids and not original:
            # The models would look them up in a buffer that is as long as the original window.
            inputs["token_type_ids"] = torch.zeros_like(ids)
        padded = any(len(index) < ids.shape[1] for index in tokens)
        # Unknown models get what stock sentence-transformers gives them, and so do local layers.
        hooked = self.family.encoding in ("absolute", "rotary")
        if padded or not hooked or (original and self.family.local_layers):
            rows = [torch.ones_like(index, device=device) for index in tokens]
            inputs["attention_mask"] = pad_sequence(rows, True, 0)
        return inputs


def _coverages(features: dict[str, Any], texts: Sequence[int]) -> list[Coverage]:
    """What was read of each text, from its tokens and the texts of all passes."""
    read = features["cu_seq_lens_q"].diff().tolist()
    passes, counts = Counter(texts), features["token_counts"].tolist()
    return [
        Coverage(tokens, kept, passes[index])
        for index, (tokens, kept) in enumerate(zip(counts, read, strict=True))
    ]


def unique_token_masks(passes: Sequence[Pass]) -> list[Tensor]:
    """Which tokens of each pass stand for the text, so that each of its tokens does once.

    Leading special tokens and the prompt are those of the first pass, trailing ones those of the
    last; a token that two windows share is that of the earlier one.

    Args:
        passes: Of any number of texts, in order.

    Returns:
        For each pass, shape (n,).
    """
    chosen = []
    done: dict[int, int] = {}
    last = {one.text: index for index, one in enumerate(passes)}
    for index, one in enumerate(passes):
        mask = torch.ones(len(one.tokens), dtype=torch.bool)
        read = done.get(one.text)
        if read is not None:
            mask[: one.header + max(read - one.first, 0)] = False
        if index != last[one.text]:
            mask[one.header + one.last - one.first :] = False
        done[one.text] = max(read or 0, one.last)
        chosen.append(mask)
    return chosen


def input_modules(model: BaseModel) -> list[torch.nn.Module]:
    """What the inputs of a model go into: one module, or the first of each of its routes.

    Args:
        model: Any model of sentence-transformers.
    """
    first = model[0]
    if not isinstance(first, Router):
        return [first]
    routes = cast("dict[str, torch.nn.Sequential]", first.sub_modules)
    return [route[0] for route in routes.values()]


def long_reader(model: BaseModel) -> LongReader:
    """The module that reads long texts in an extended model of any class.

    Args:
        model: Any model of sentence-transformers.

    Raises:
        ModelError: If the model was not extended.
    """
    for module in input_modules(model):
        if isinstance(module, LongReader):
            return module
    raise ModelError("this model was not extended; use longembed_st.extend(model) first")


def _flat(rows: Sequence[ArrayLike], dtype: type[np.integer[Any]]) -> Tensor:
    """All rows behind each other, shape (1, total)."""
    parts = [np.empty(0, dtype=dtype), *(np.asarray(row, dtype=dtype) for row in rows)]
    return torch.from_numpy(np.concatenate(parts))[None]
