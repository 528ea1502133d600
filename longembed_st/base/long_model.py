"""The base class of all extended models."""

from __future__ import annotations

import copy
import inspect
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from sentence_transformers.base.model import BaseModel

from longembed_st.base.card import write_card
from longembed_st.base.coverage import Coverage, Overflow, counting
from longembed_st.base.coverage import Role as Role  # Adapters import it from here.
from longembed_st.base.exit_gate import exit_gate
from longembed_st.base.reader import LongReader, long_reader
from longembed_st.errors import ConfigError, InputError, ModelError

_SAVE = inspect.signature(BaseModel.save)

_PROMPT_NAMES = {"query": ("query",), "document": ("document", "passage", "corpus")}
"""The prompt names of each role in sentence-transformers; the first that the model has is used."""

UNLIMITED = sys.maxsize
"""The `max_seq_length`, in tokens, of a model that reads texts of any length."""

CHARACTERS_AT_ONCE = 1_000_000
"""The number of characters that are tokenized together; they need about 100 MB."""


class LongModel(BaseModel):
    """A model that warns once per call about text that it did not read."""

    @property
    def long_transformer(self) -> LongReader:
        """The module that reads the texts."""
        return long_reader(self)

    # Type checkers keep the signatures of the base class.
    if not TYPE_CHECKING:

        @property
        def max_seq_length(self) -> int:
            """The extended window in tokens; `UNLIMITED` if there is no limit.

            This is always a number, because losses and text splitters compare it. The value of
            `model.long_transformer.max_seq_length` is None if there is no limit.
            """
            limit = self.long_transformer.max_seq_length
            return UNLIMITED if limit is None else limit

        @max_seq_length.setter
        def max_seq_length(self, value: int | None) -> None:
            self.long_transformer.max_seq_length = None if value == UNLIMITED else value

        def save(self, path: str, *args: Any, **kwargs: Any) -> None:
            """Save the model with a card that describes how it reads.

            `save_pretrained` and `push_to_hub` call this method.

            Args:
                path: The folder.
                *args: Passed to the base class.
                **kwargs: Passed to the base class; `create_model_card=False` leaves the card out.
            """
            call = _SAVE.bind(self, path, *args, **kwargs)
            call.apply_defaults()
            super().save(path, *args, **kwargs)
            if path is not None and call.arguments["create_model_card"]:
                write_card(self, Path(path))

        def start_multi_process_pool(
            self, target_devices: list[str] | None = None
        ) -> dict[Any, Any]:
            """Start worker processes, one for each device, each with a copy of the model.

            This model stays on its device and is not changed, so other threads can go on using it.

            Returns:
                The pool, for `encode(..., pool=...)` or `predict(..., pool=...)`.
            """
            # The base class moves the weights to shared memory on the CPU, so it gets a copy.
            model = copy.deepcopy(self)
            model.long_transformer.is_in_worker = True
            return BaseModel.start_multi_process_pool(model, target_devices)

    @exit_gate.use()
    def encode_and_report(
        self,
        call: Callable[..., Any],
        signature: inspect.Signature,
        checked: Callable[[Sequence[Any]], list[Any]],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> Any:
        """Call a method of the stock class, and report text that was not read.

        The extension's `on_overflow` decides how it is reported.

        Args:
            call: The method: `encode` or `predict`.
            signature: The signature of the method, with `self`.
            checked: Returns the inputs as a list, or raises if one of them cannot be read.
            args: The arguments of the call.
            kwargs: The keyword arguments of the call.
        """
        bound = self.bound(signature, args, kwargs)
        arguments = bound.arguments
        items = checked(self.as_list(arguments["inputs"]))
        arguments["inputs"] = items[0] if self.is_singular_input(arguments["inputs"]) else items
        # Text that is cut silently need not be counted.
        overflow = Overflow(exact=False)
        if uses_workers(arguments):
            # Worker processes do not return their counts, so count here.
            prompt = resolve_prompt(self, arguments.get("prompt"), arguments.get("prompt_name"))
            role: Role | None = "query" if arguments.get("task") == "query" else None
            self._count(items, prompt, overflow, role)
        with counting(overflow):
            result = call(*bound.args[1:], **bound.kwargs)
        overflow.warn(self.long_transformer.extension, stacklevel=4)
        return result

    def bound(
        self, signature: inspect.Signature, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> inspect.BoundArguments:
        """Return the arguments of a call, bound to a signature with `self`."""
        if "sentences" in kwargs:  # The name before sentence-transformers 6, which still takes it.
            kwargs.setdefault("inputs", kwargs.pop("sentences"))
        return signature.bind(self, *args, **kwargs)

    def as_list(self, inputs: Any) -> list[Any]:
        """Return inputs as a list; a single input becomes a list of one."""
        is_single = self.is_singular_input(inputs)
        plain = inputs.tolist() if isinstance(inputs, np.ndarray) else inputs
        return [plain] if is_single else list(plain)

    def _count(
        self, items: list[Any], prompt: str | None, overflow: Overflow, role: Role | None
    ) -> None:
        """Count what worker processes will not read."""
        reader = self.long_transformer
        policy = reader.extension.on_overflow
        if policy == "truncate" or not reader.may_cut(role):
            return
        if role == "query" and _looks_queries_up(self):
            return
        for group in in_groups(items):
            texts = reader.tokenize_texts(group, prompt, whole=False, count=policy == "warn")
            reader.check_lengths(group, texts, overflow, role)

    def prompt_of(self, role: Role | None) -> str | None:
        """Return the prompt of queries or documents, as sentence-transformers finds it.

        Args:
            role: "query" or "document"; None for the model's default prompt.
        """
        return resolve_prompt(self, None, prompt_name_of(self, role))

    def apply_following_modules(
        self, features: dict[str, Any], kwargs: dict[str, Any]
    ) -> dict[str, Any]:
        """Apply the modules that follow the reader to its outputs."""
        for name, module in list(self.named_children())[1:]:
            accepted = {
                *getattr(module, "forward_kwargs", ()),
                *(self.module_kwargs or {}).get(name, ()),
            }
            features = module(features, **{k: v for k, v in kwargs.items() if k in accepted})
        return features


def uses_workers(arguments: Mapping[str, Any]) -> bool:
    """Whether worker processes compute a call of `encode` or `predict`."""
    return arguments.get("pool") is not None or isinstance(arguments.get("device"), list)


def refuse_stock_class(model: BaseModel, reason: str | None) -> None:
    """Raise `ModelError` for a stock model that would not read as the extended one does."""
    if reason is not None and not isinstance(model, LongModel):
        raise ModelError(f"{reason}. Load it with longembed_st.load, not {model.model_type}")


def prompt_name_of(model: BaseModel, role: Role | None) -> str | None:
    """Return the name of the prompt of queries or documents; None if the model has none."""
    names = [name for name in _PROMPT_NAMES.get(role or "", ()) if name in model.prompts]
    return names[0] if names else None


def resolve_prompt(model: BaseModel, prompt: str | None, prompt_name: str | None) -> str | None:
    """Return the prompt that an encode call with these arguments puts before each text.

    Raises:
        ConfigError: If the model does not have a prompt with this name.
    """
    if prompt is not None:
        return prompt
    name = prompt_name if prompt_name is not None else model.default_prompt_name
    if name is None:
        return None
    if name not in model.prompts:
        known = ", ".join(model.prompts) or "none"
        raise ConfigError(f"unknown prompt {name!r}. The prompts of the model: {known}")
    return model.prompts[name]


def coverage(
    model: BaseModel,
    texts: Sequence[Any],
    *,
    prompt: str | None = None,
    prompt_name: str | None = None,
    role: Role | None = None,
) -> list[Coverage]:
    """Count the tokens of each text that the model would read, without computing vectors.

    Args:
        model: An extended model of any class.
        texts: The texts; for a CrossEncoder the pairs.
        prompt: The prompt before each text, as in `model.encode`.
        prompt_name: The name of one of the model's prompts, as in `model.encode`.
        role: "query" to count as `model.encode_query` reads, "document" as `encode_document`;
            None for `encode`.

    Returns:
        One coverage for each text, in order, with the characters that each pass reads.

    Raises:
        InputError: If an input is not a valid string.
        ModelError: If the model was not extended.
    """
    reader = long_reader(model)
    if prompt is None and prompt_name is None:
        prompt_name = prompt_name_of(model, role)
    prompt = resolve_prompt(model, prompt, prompt_name)
    tokenized = (
        text
        for group in in_groups(texts)
        for text in reader.tokenize_texts(group, prompt, offsets=True)
    )
    if role == "query" and _looks_queries_up(model):
        return [Coverage(text.counted, text.counted, 1) for text in tokenized]
    return [reader.coverage_of(text, spans=True, role=role) for text in tokenized]


def _looks_queries_up(model: BaseModel) -> bool:
    """Whether queries go to a module without a window, as in inference-free sparse models."""
    routes = cast("dict[str, Any]", getattr(model[0], "sub_modules", {}))
    return "query" in routes and not isinstance(routes["query"][0], LongReader)


def in_groups(texts: Sequence[Any]) -> Iterator[list[Any]]:
    """Yield texts or pairs in groups of about `CHARACTERS_AT_ONCE` characters, in their order.

    Raises:
        InputError: If `texts` is a single string.
    """
    if isinstance(texts, str):
        raise InputError("give a list of texts, not a string. Put a single text into a list")
    group: list[Any] = []
    size = 0
    for text in texts:
        group.append(text)
        last = text[-1] if isinstance(text, (list, tuple)) and text else text
        size += len(last) if isinstance(last, str) else 0
        if size >= CHARACTERS_AT_ONCE:
            yield group
            group, size = [], 0
    if group:
        yield group
