"""What extended models of every class have in common."""

from __future__ import annotations

import copy
import inspect
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from sentence_transformers.base.model import BaseModel

from longembed_st.base.card import write_card
from longembed_st.base.coverage import Coverage, Overflow
from longembed_st.base.reader import LongReader, long_reader
from longembed_st.errors import ConfigError, InputError

_SAVE = inspect.signature(BaseModel.save)

Role = Literal["query", "document"]
"""What a text is to a search."""

_PROMPT_NAMES = {"query": ("query",), "document": ("document", "passage", "corpus")}
"""Where sentence-transformers looks for the prompt of a role; the first that exists counts."""

UNLIMITED = sys.maxsize
"""Tokens: the `max_seq_length` of a model that reads texts of any length."""

CHARACTERS_AT_ONCE = 1_000_000
"""Texts that are tokenized together: some 100 MB of token records."""


class LongModel(BaseModel):
    """A model that says once per call what it did not read."""

    @property
    def long_transformer(self) -> LongReader:
        """The module that reads the texts."""
        return long_reader(self)

    # Type checkers keep the signatures of the base class.
    if not TYPE_CHECKING:

        @property
        def max_seq_length(self) -> int:
            """The extended window in tokens; `UNLIMITED` without an upper length.

            A number in any case, as losses and text splitters compare it. The module that reads,
            `model.long_transformer`, has None without an upper length.
            """
            limit = self.long_transformer.max_seq_length
            return UNLIMITED if limit is None else limit

        @max_seq_length.setter
        def max_seq_length(self, value: int | None) -> None:
            self.long_transformer.max_seq_length = None if value == UNLIMITED else value

        def save(self, path: str, *args: Any, **kwargs: Any) -> None:
            """Save the model with a card that describes how it reads.

            `save_pretrained` and `push_to_hub` come here, too.

            Args:
                path: The folder.
                *args: Passed on.
                **kwargs: Passed on; `create_model_card=False` leaves the card out.
            """
            call = _SAVE.bind(self, path, *args, **kwargs)
            call.apply_defaults()
            super().save(path, *args, **kwargs)
            if path is not None and call.arguments["create_model_card"]:
                write_card(self, Path(path))

        def start_multi_process_pool(
            self, target_devices: list[str] | None = None
        ) -> dict[Any, Any]:
            """Start worker processes, each with a copy of the model.

            This model stays where it is and as it is, so that other threads may use it meanwhile.

            Args:
                target_devices: One device a process.

            Returns:
                The pool, for `encode(..., pool=...)` or `predict(..., pool=...)`.
            """
            # The base class moves the weights it hands over to the CPU, and into shared memory.
            return BaseModel.start_multi_process_pool(copy.deepcopy(self), target_devices)

    def encode_and_report(
        self,
        call: Callable[..., Any],
        signature: inspect.Signature,
        checked: Callable[[Sequence[Any]], list[Any]],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> Any:
        """Call a method of the stock class, and report what was not read by the overflow policy.

        Args:
            call: Encodes or predicts.
            signature: Its own, with the model in front.
            checked: Refuses inputs that cannot be read, before the first is.
            args: Of the call.
            kwargs: Of the call.
        """
        arguments = self.bound_arguments(signature, args, kwargs)
        items = checked(self.as_list(arguments["inputs"]))
        # Of texts that are cut silently, no more is tokenized than is read.
        overflow = Overflow(exact=False)
        passed = overflow
        if arguments.get("pool") is not None or isinstance(arguments.get("device"), list):
            # What worker processes count does not come back.
            prompt = resolve_prompt(self, arguments.get("prompt"), arguments.get("prompt_name"))
            self._count(items, prompt, overflow)
            passed = Overflow(exact=False)
        result = call(*args, **kwargs, overflow=passed)
        overflow.warn(self.long_transformer.extension, stacklevel=3)
        return result

    def bound_arguments(
        self, signature: inspect.Signature, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> dict[str, Any]:
        """Return the arguments of a call by name."""
        if "sentences" in kwargs:  # The name before sentence-transformers 6, still valid there.
            kwargs.setdefault("inputs", kwargs.pop("sentences"))
        return signature.bind(self, *args, **kwargs).arguments

    def as_list(self, inputs: Any) -> list[Any]:
        """Return inputs as a list, be it one or several.

        Args:
            inputs: As the stock class takes them.
        """
        return [inputs] if self.is_singular_input(inputs) else list(inputs)

    def _count(self, items: list[Any], prompt: str | None, overflow: Overflow) -> None:
        """Count what worker processes will not read."""
        reader = self.long_transformer
        policy = reader.extension.on_overflow
        if reader.max_seq_length is None or policy == "truncate":
            return
        for group in in_groups(items):
            texts = reader.tokenize_texts(group, prompt, whole=False, count=policy == "warn")
            reader.check_lengths(group, texts, overflow)

    def prompt_of(self, role: Role | None) -> str | None:
        """Return the prompt of queries or documents, as sentence-transformers finds it.

        Args:
            role: "query" or "document"; None for the model's default prompt.
        """
        names = [name for name in _PROMPT_NAMES.get(role or "", ()) if name in self.prompts]
        return resolve_prompt(self, None, names[0] if names else None)

    def apply_following_modules(
        self, features: dict[str, Any], kwargs: dict[str, Any]
    ) -> dict[str, Any]:
        """Apply the modules behind the reader to some passes.

        Args:
            features: Outputs of the reader for these passes.
            kwargs: Arguments of the forward call, for the modules that take them.
        """
        for name, module in list(self.named_children())[1:]:
            known = {
                *getattr(module, "forward_kwargs", ()),
                *(self.module_kwargs or {}).get(name, ()),
            }
            features = module(features, **{k: v for k, v in kwargs.items() if k in known})
        return features


def resolve_prompt(model: BaseModel, prompt: str | None, prompt_name: str | None) -> str | None:
    """Return the prompt that an encode call with these arguments puts before each text.

    Args:
        model: The model.
        prompt: As given to the call.
        prompt_name: As given to the call.

    Raises:
        ConfigError: If the model has no prompt of the name.
    """
    if prompt is not None:
        return prompt
    name = prompt_name if prompt_name is not None else model.default_prompt_name
    if name is None:
        return None
    if name not in model.prompts:
        known = ", ".join(model.prompts) or "none"
        raise ConfigError(f"unknown prompt {name!r}; the model has {known}")
    return model.prompts[name]


def coverage(
    model: BaseModel,
    texts: Sequence[Any],
    *,
    prompt: str | None = None,
    prompt_name: str | None = None,
) -> list[Coverage]:
    """Count how much of each text its vector is computed from, without computing it.

    Args:
        model: An extended model of any class.
        texts: The texts; of a CrossEncoder the pairs.
        prompt: Put before each text, as in `model.encode`.
        prompt_name: Name of one of the model's prompts, as in `model.encode`.

    Returns:
        One count a text, in order, with the characters that each pass reads.

    Raises:
        InputError: If an input is not a valid string.
        ModelError: If the model was not extended.
    """
    reader = long_reader(model)
    prompt = resolve_prompt(model, prompt, prompt_name)
    return [
        reader.coverage_of(text, spans=True)
        for group in in_groups(texts)
        for text in reader.tokenize_texts(group, prompt, offsets=True)
    ]


def in_groups(texts: Sequence[Any]) -> Iterator[list[Any]]:
    """Split texts or pairs into runs of about `CHARACTERS_AT_ONCE`, in their order.

    Args:
        texts: Not a single string.

    Raises:
        InputError: If it is one.
    """
    if isinstance(texts, str):
        raise InputError("give a list of texts; put the single text into a list")
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
