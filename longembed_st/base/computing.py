"""From passes to token embeddings: batches that fit a budget, computed by torch or an engine."""

from __future__ import annotations

import os
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any, cast

import torch
from sentence_transformers.util import batch_to_device
from torch import Tensor
from torch.nn.functional import pad
from torch.nn.utils.rnn import pad_sequence
from transformers import PreTrainedModel
from typing_extensions import Self

from longembed_st.backends.tuner import EngineSettings, engine_settings
from longembed_st.base.batching import PADDABLE_LENGTH, padded_width, token_budget_batches
from longembed_st.base.coverage import Coverage
from longembed_st.base.exit_gate import exit_gate
from longembed_st.base.fork_gate import fork_gate
from longembed_st.base.layout import STARTS
from longembed_st.base.passes import Pass, split_into_passes, unique_token_masks
from longembed_st.base.progress import report_progress
from longembed_st.base.tokenizing import TokenizingTransformer
from longembed_st.base.unknown_tokens import count_unknown
from longembed_st.errors import ModelError
from longembed_st.positions import checks
from longembed_st.positions.attention import logn_scale
from longembed_st.positions.family import Family
from longembed_st.positions.hooks import Hook

if TYPE_CHECKING:
    from longembed_st.backends.openvino import OpenVino

NOT_FINITE = (
    "the model gave NaN or infinite values, so no vector is returned. Half precision may overflow "
    "on this model: load it with model_kwargs={'dtype': torch.float32}"
)


def _compute_in_one_thread() -> None:
    # The threads of OpenMP are not in a forked child: torch would wait for them for ever.
    torch.set_num_threads(1)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_compute_in_one_thread)


class ComputingTransformer(TokenizingTransformer):
    """A transformer that computes texts pass by pass, at the positions that a method says."""

    family: Family
    hook: Hook
    _takes_type_ids: bool

    engine: OpenVino | None = None
    """What computes the passes; None for torch."""

    @property
    def backbone(self) -> PreTrainedModel:
        """The transformers model without the head that may stand on it."""
        return checks.backbone_of(self)

    @property
    def excludes_prompt(self) -> bool:
        """Whether the pooling of a pass leaves out the tokens of its prompt."""
        return False

    def passes_of(self, features: dict[str, Any]) -> list[Pass]:
        """Split texts into the sequences that go through the model."""
        excluded = 0
        if self.excludes_prompt:
            # Collators may have made a tensor of it.
            excluded = int(torch.as_tensor(features.get("prompt_length", 0)).flatten()[0])
        special_ids = self.text_tokenizer.all_special_ids
        return split_into_passes(features, self.cut_windows, special_ids, excluded)

    def read_batches(
        self, passes: Sequence[Pass], features: dict[str, Any], **kwargs: Any
    ) -> Iterator[tuple[list[int], dict[str, Any]]]:
        """Run passes in token-budget batches.

        Yields:
            The indices of some passes, and the model's outputs for them: `input_ids`,
            `token_embeddings`, perhaps `attention_mask` and `prompt_length`, a row a pass.
        """
        all_tokens = sum(len(item.tokens) for item in passes)
        settings = EngineSettings()
        if not (torch.is_grad_enabled() or kwargs):
            settings = engine_settings(self, all_tokens)
        batches = self._batches(passes, min(settings.batch_tokens, self.extension.token_budget))
        # Few batches are done sooner one by one, each by all threads.
        streams = settings.streams if len(batches) >= 2 * settings.streams else 1
        inputs = (
            (self.model_inputs([passes[i].tokens for i in indices], features, original), original)
            for indices, original in batches
        )
        computed = self.compute_in_order(inputs, streams, **kwargs)
        read = 0
        for (indices, _), outputs in zip(batches, computed, strict=True):
            prompt_length = passes[indices[0]].prompt_length
            if prompt_length:
                outputs["prompt_length"] = prompt_length
            yield indices, outputs
            read += sum(len(passes[index].tokens) for index in indices)
            report_progress(read, all_tokens)

    def _batches(self, passes: Sequence[Pass], token_budget: int) -> list[tuple[list[int], bool]]:
        """Group passes; each group with whether its texts fit the original window.

        Texts that fit never share a batch with others: their computation stays that of the
        unmodified model to the letter.
        """
        groups = defaultdict(list)
        for index, item in enumerate(passes):
            original = self.method.reads_originally(len(item.tokens), self.extension.context)
            groups[original, item.prompt_length].append(index)
        batches = []
        for (original, _), members in groups.items():
            lengths = [len(passes[index].tokens) for index in members]
            paddable = PADDABLE_LENGTH if original else 0
            for batch in token_budget_batches(lengths, token_budget, paddable):
                batches.append(([members[place] for place in batch], original))
        return batches

    def compute_in_order(
        self, batches: Iterable[tuple[dict[str, Any], bool]], streams: int = 1, **kwargs: Any
    ) -> Iterator[dict[str, Any]]:
        """Compute batches, with an engine some at once, and yield their outputs in order.

        Args:
            batches: The inputs of each, as `model_inputs` returns them, and whether its texts fit
                the original window.
            streams: How many the engine computes at once.
            **kwargs: Passed on to the transformers model.
        """
        # While an output is used, the engine computes those behind it.
        ahead = 0 if self.engine is None else streams
        running: deque[Callable[[], dict[str, Any]]] = deque()
        try:
            for inputs, original in batches:
                running.append(self._start(inputs, original, streams, **kwargs))
                if len(running) > ahead:
                    yield running.popleft()()
            while running:
                yield running.popleft()()
        finally:
            for wait in running:
                wait()

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
        if not passes:
            return torch.zeros(0, width), []
        order: list[int] = []
        rows: list[Tensor] = []
        for indices, outputs in self.read_batches(passes, features, **kwargs):
            rows.append(reduce(outputs))
            order.extend(indices)
        return torch.cat(rows)[torch.tensor(order).argsort()], [item.text for item in passes]

    def token_states(self, features: dict[str, Any], **kwargs: Any) -> Tensor:
        """Return the embeddings of the tokens of texts, each once, in the order of the texts.

        Where a text is read in windows, its leading special tokens are those of the first window,
        the trailing ones those of the last, and a token that two windows share is that of the
        earlier one: rows and `tokenizer(prompt + text)` correspond.

        Args:
            features: What `flat_features` returned.
            **kwargs: Passed on to the transformers model.

        Returns:
            Shape (tokens, width).
        """
        features = batch_to_device(features, self.token_table.device)
        passes = self.passes_of(features)
        masks = unique_token_masks(passes)
        rows: dict[int, Tensor] = {}
        for indices, outputs in self.read_batches(passes, features, **kwargs):
            for row, index in enumerate(indices):
                states = outputs["token_embeddings"][row, : len(masks[index])]
                rows[index] = states[masks[index].to(states.device)]
        return torch.cat([rows[index] for index in range(len(passes))])

    def with_result(
        self,
        features: dict[str, Any],
        name: str,
        result: Tensor,
        flat: dict[str, Any],
        owners: Sequence[int],
    ) -> dict[str, Any]:
        """Add what was computed to the features, outside training with `coverages`.

        Args:
            features: What `preprocess` returned; added to.
            name: Of the result.
            result: A row a text.
            flat: The features as one flat sequence; coverages need its `token_counts`.
            owners: The text of each pass.

        Returns:
            The features.

        Raises:
            ModelError: If the result is not finite, outside training.
        """
        if not self.training and not torch.isfinite(result).all():
            raise ModelError(NOT_FINITE)
        features[name] = result
        if not self.training and "token_counts" in flat:
            passes = Counter(owners)
            counts, lost = flat["token_counts"].tolist(), flat["query_lost"].tolist()
            starts = flat[STARTS].tolist()
            ids = flat["input_ids"][0].cpu().numpy()
            features["coverages"] = [
                Coverage(
                    tokens,
                    end - start,
                    passes[text],
                    unknown=count_unknown(self.text_tokenizer, ids[start:end]),
                    query_lost=lost[text],
                )
                for text, (tokens, (start, end)) in enumerate(
                    zip(counts, pairwise(starts), strict=True)
                )
            ]
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
        return cast(Tensor, self._start(inputs, original)()["token_embeddings"])

    def _start(
        self, inputs: dict[str, Any], original: bool, streams: int = 1, **kwargs: Any
    ) -> Callable[[], dict[str, Any]]:
        """Begin one forward pass, extended unless the texts fit; the result waits for its end."""
        if original:
            return self._start_prepared(inputs, streams, **kwargs)
        context = self.extension.context
        if self.extension.logn_scaling:
            inputs["logn"] = logn_scale(inputs["input_ids"].shape[1], context.original)
        with self.hook.reading(self.backbone, inputs, self.method, context):
            return self._start_prepared(inputs, streams, **kwargs)

    def _start_prepared(
        self, inputs: dict[str, Any], streams: int, **kwargs: Any
    ) -> Callable[[], dict[str, Any]]:
        # A fork in the middle of this would leave locks of torch in the child that nobody opens.
        with exit_gate.use(), fork_gate.use():
            # Only torch knows gradients, and the further arguments of a model.
            if self.engine is None or torch.is_grad_enabled() or kwargs:
                outputs = self.read_with_torch(inputs, **kwargs)
                return lambda: outputs
            wait = self.engine.start(self, inputs, streams)

        def finish() -> dict[str, Any]:
            with exit_gate.use(), fork_gate.use():
                return {**inputs, "token_embeddings": wait()}

        return finish

    def read_with_torch(self, inputs: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
        """Run one forward pass of the transformers model by torch.

        Returns:
            The inputs, with `token_embeddings`.
        """
        return super().forward(inputs, **kwargs)

    def padded_inputs(self, texts: Sequence[str]) -> dict[str, Any]:
        """Return the model's inputs for texts, cut to the original window, with a mask."""
        limit = self.extension.context.original
        tokenized = [text.shortened(limit, False) for text in self.tokenize_texts(texts, None)]
        features = self.features_of(tokenized, None)
        rows = [item.tokens for item in self.passes_of(features)]
        inputs = self.model_inputs(rows, features, True)
        return {"attention_mask": torch.ones_like(inputs["input_ids"]), **inputs}

    def set_engine(self, engine: OpenVino | None) -> None:
        """Let an engine compute the passes from now on; None for torch.

        Raises:
            ModelError: If the method acts where the engine cannot.
        """
        if engine is not None:
            self._check_engine(engine)
        self.engine = engine

    def train(self, mode: bool = True) -> Self:
        """Switch between training and inference; an engine then compiles the trained weights."""
        if mode and self.engine is not None:
            self.engine.forget()
        return super().train(mode)

    def _check_engine(self, engine: OpenVino) -> None:
        if self.extension.logn_scaling:
            engine.refuse_inside("logn_scaling")
        if "relative_positions" in self.method.needs:
            engine.refuse_inside(f"method {self.method.name!r}")
        if self.family.local_layers and self.method.needs:
            engine.refuse_inside(
                f"method {self.method.name!r} with {self.family.model_type!r} and its local layers"
            )

    def model_inputs(
        self, tokens: Sequence[Tensor], features: dict[str, Any], original: bool
    ) -> dict[str, Any]:
        """Return one batch for the transformers model; padded and masked only if lengths differ.

        Args:
            tokens: Where the tokens of each pass are among those of the features.
            features: What `flat_features` returned.
            original: Whether the texts fit the original window.
        """
        device = features["input_ids"].device
        tokenizer = self.text_tokenizer
        width = max(map(len, tokens))
        if original:
            width = padded_width(width, self.extension.context.original, device.type)

        def padded(rows: Sequence[Tensor], padding: int) -> Tensor:
            # On the right whatever the tokenizer says: on the left, padding moves the positions.
            batch = pad_sequence(list(rows), True, padding)
            return pad(batch, (0, width - batch.shape[1]), value=padding)

        def gather(name: str, padding: int) -> Tensor:
            flat = features[name][0]
            return padded([flat[index.to(device)] for index in tokens], padding)

        ids = gather("input_ids", tokenizer.pad_token_id or 0)
        inputs: dict[str, Any] = {"modality": "text", "input_ids": ids}
        if "token_type_ids" in features:
            inputs["token_type_ids"] = gather("token_type_ids", tokenizer.pad_token_type_id)
        elif self._takes_type_ids and not original:
            # The models would look them up in a buffer that is as long as the original window.
            inputs["token_type_ids"] = torch.zeros_like(ids)
        is_padded = any(len(index) < ids.shape[1] for index in tokens)
        # Unknown models get what stock sentence-transformers gives them, and so do local layers.
        is_hooked = self.family.encoding in ("absolute", "rotary")
        if is_padded or not is_hooked or (original and self.family.local_layers):
            rows = [torch.ones_like(index, device=device) for index in tokens]
            inputs["attention_mask"] = padded(rows, 0)
        return inputs
