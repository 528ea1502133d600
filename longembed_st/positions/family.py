"""Where each model type keeps its positions, and what it offers to methods."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import nn
from transformers import PretrainedConfig, PreTrainedModel

from longembed_st.errors import ConfigError, ModelError
from longembed_st.positions.method import Capability, Context, Encoding, Method, methods
from longembed_st.registry import Registry

ENTRY_POINT_GROUP = "longembed_st.families"


@dataclass(frozen=True)
class Family:
    """One model type of transformers.

    Attributes:
        model_type: `config.model_type`.
        encoding: How the model encodes positions.
        capabilities: Where an extension can act.
        position_table: Path of the learned position embedding below the transformers model.
        after_padding: Whether positions start at `padding_idx + 1` instead of 0.
        local_layers: Whether some layers attend to near tokens only, with a rotation of their own;
            no method touches them.
        lifts_sliding_window: Whether all layers attend to near tokens only, a limit that extension
            lifts as LongEmbed does for E5-Mistral.
        note: What a user should know.
    """

    model_type: str
    encoding: Encoding
    capabilities: frozenset[Capability] = frozenset()
    position_table: str | None = None
    after_padding: bool = False
    local_layers: bool = False
    lifts_sliding_window: bool = False
    note: str = ""

    def table(self, model: PreTrainedModel) -> nn.Embedding | None:
        """Return the learned position embedding, shape (rows, hidden), or None."""
        if self.position_table is None:
            return None
        table = model.get_submodule(self.position_table)
        if not isinstance(table, nn.Embedding):
            raise ModelError(
                f"{type(model).__name__}.{self.position_table} is a {type(table).__name__}, not a "
                "learned position embedding; this model cannot be extended"
            )
        return table

    def first_position(self, model: PreTrainedModel) -> int:
        """Return the row of the position table for the first token of a text."""
        if not self.after_padding:
            return 0
        table = self.table(model)
        assert table is not None
        assert table.padding_idx is not None
        return table.padding_idx + 1

    def takes(self, method: type[Method]) -> bool:
        """Whether the family offers every capability that the method needs."""
        return method.needs <= self.capabilities

    def refuse_unless_takes(self, method: Method, context: Context) -> None:
        """Raise `ModelError`, naming the methods that work, if a method does not."""
        if method.required(context) <= self.capabilities:
            return
        accepted = ", ".join(name for name, other in methods().items() if self.takes(other))
        missing = ", ".join(sorted(method.required(context) - self.capabilities)).replace("_", " ")
        if "extrapolation" in method.required(context):
            raise ModelError(
                f"method {method.name!r} reads {context.original} tokens with this model, whose "
                f"position encoding ({self.encoding}) does not reach max_seq_length="
                f"{context.extended} by itself{self._because()}. Methods that extend it: {accepted}"
            )
        raise ModelError(
            f"method {method.name!r} needs to act on {missing}, which model type "
            f"{self.model_type!r} does not offer{self._because()}. It can take: {accepted}"
        )

    def refuse_logn(self) -> None:
        """Raise `ModelError` unless the attention logits can be scaled."""
        if "logn" not in self.capabilities:
            raise ModelError(
                f"logn_scaling is not possible for model type {self.model_type!r}"
                f"{self._because()}; leave logn_scaling off"
            )

    def _because(self) -> str:
        return f" ({self.note})" if self.note else ""


def _absolute(model_type: str, **changes: object) -> Family:
    record = {
        "encoding": "absolute",
        "capabilities": frozenset({"position_ids", "position_table", "logn"}),
        "position_table": "embeddings.position_embeddings",
        **changes,
    }
    return Family(model_type, **record)  # type: ignore[arg-type]


def _rotary(model_type: str, **changes: object) -> Family:
    offered = frozenset({"position_ids", "frequencies", "relative_positions", "logn"})
    record = {"encoding": "rotary", "capabilities": offered, **changes}
    return Family(model_type, **record)  # type: ignore[arg-type]


_DENSE_BIAS = "it reads past its window by itself; its bias takes memory quadratic in length"

_OWN = (
    _absolute("bert"),
    _absolute("distilbert"),
    _absolute("electra"),
    _absolute("albert"),
    _absolute("roberta", after_padding=True),
    _absolute("xlm-roberta", after_padding=True),
    _absolute("camembert", after_padding=True),
    _absolute(
        "mpnet",
        after_padding=True,
        capabilities=frozenset({"position_ids", "position_table"}),
        note="its own attention code adds a relative bias and takes no scaling",
    ),
    *(
        Family(model_type, "relative", frozenset({"extrapolation"}), note=_DENSE_BIAS)
        for model_type in ("t5", "mt5", "umt5")
    ),
    Family("bloom", "alibi", frozenset({"extrapolation"}), note=_DENSE_BIAS),
    _rotary("nomic_bert"),
    _rotary("gte"),
    _rotary("jina_embeddings_v3"),
    _rotary("modernbert", local_layers=True),
    _rotary("eurobert"),
    _rotary("gemma3_text", local_layers=True),
    _rotary("llama"),
    _rotary("mistral", lifts_sliding_window=True),
    _rotary("qwen2"),
    _rotary("qwen3"),
)


def _name_of(family: Any, where: str) -> str:
    if not isinstance(family, Family):
        raise ConfigError(f"{where} is not a longembed_st.Family")
    return family.model_type


_registry: Registry[Family] = Registry(ENTRY_POINT_GROUP, "family", _name_of, _OWN)


def register_family(family: Family) -> Family:
    """Register a model type in this process.

    A package registers its families by the entry-point group `longembed_st.families` instead, each
    under its model type.

    Args:
        family: What the model type offers.

    Returns:
        The family.

    Raises:
        ConfigError: If it is not a `Family`, or the model type has another one.
    """
    return _registry.register(family)


def families() -> dict[str, Family]:
    """Return the model types that support more than `pcw`, by `config.model_type`.

    Raises:
        ConfigError: If an installed package has registered something unusable.
    """
    return _registry.all()


def family_of(config: PretrainedConfig) -> Family:
    """Return the family of a model; for an unknown type, one that offers nothing.

    Raises:
        ModelError: If the checkpoint uses a position encoding that transformers dropped, so that
            its vectors would be wrong with any method.
    """
    unknown = Family(
        config.model_type, "unknown", note="longembed-st does not know where it keeps its positions"
    )
    family = families().get(config.model_type, unknown)
    scheme = getattr(config, "position_embedding_type", None) or "absolute"
    # Rotary checkpoints may name their scheme there too, and transformers does compute it.
    if family.encoding == "absolute" and scheme != "absolute":
        raise ModelError(
            f"this checkpoint was trained with position_embedding_type={scheme!r}, which "
            "transformers 5 no longer computes for this model type: its vectors would be wrong"
        )
    return family
