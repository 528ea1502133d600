"""Read long documents with existing text-embedding models.

Example:
    ```python
    import longembed_st as le

    model = le.load("thenlper/gte-small")
    vectors = model.encode_document(["a contract of forty pages ..."])
    ```
"""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from longembed_st.baking import ShortTextsChangeWarning, bake
    from longembed_st.coverages import Coverage, Encoded
    from longembed_st.encoders.cross_encoder import LongCrossEncoder
    from longembed_st.encoders.late_interaction import LongMultiVectorEncoder
    from longembed_st.encoders.reranking import Reranker, WindowScores, reranker_of
    from longembed_st.encoders.sparse import LongSparseEncoder
    from longembed_st.errors import (
        ConfigError,
        InputError,
        LongEmbedError,
        ModelError,
        TextNotReadWarning,
    )
    from longembed_st.fingerprints import fingerprint
    from longembed_st.loading.load import extend, load
    from longembed_st.model import LongSentenceTransformer, coverage
    from longembed_st.multivector import multi_vector
    from longembed_st.positions.family import Family, families, register_family
    from longembed_st.positions.method import (
        Capability,
        Context,
        Encoding,
        Frequencies,
        Grouping,
        Method,
        Recommendation,
        methods,
        register_method,
    )
    from longembed_st.provenance import Provenance
    from longembed_st.reading.late import LongTokenTransformer
    from longembed_st.reading.pairs import LongPairTransformer
    from longembed_st.reading.pooled import PooledPasses
    from longembed_st.reading.spans import SpanVectors
    from longembed_st.reading.splade import LongSpladeTransformer, PooledSplade
    from longembed_st.reading.transformer import LongTransformer
    from longembed_st.settings import UNSET, ExtensionConfig, ModelSettings

__version__ = "0.2.0"

_HOMES = {
    "baking": ["ShortTextsChangeWarning", "bake"],
    "coverages": ["Coverage", "Encoded"],
    "encoders.cross_encoder": ["LongCrossEncoder"],
    "encoders.late_interaction": ["LongMultiVectorEncoder"],
    "encoders.reranking": ["Reranker", "WindowScores", "reranker_of"],
    "encoders.sparse": ["LongSparseEncoder"],
    "errors": ["ConfigError", "InputError", "LongEmbedError", "ModelError", "TextNotReadWarning"],
    "fingerprints": ["fingerprint"],
    "loading.load": ["extend", "load"],
    "model": ["LongSentenceTransformer", "coverage"],
    "multivector": ["multi_vector"],
    "positions.family": ["Family", "families", "register_family"],
    "positions.method": [
        "Capability",
        "Context",
        "Encoding",
        "Frequencies",
        "Grouping",
        "Method",
        "Recommendation",
        "methods",
        "register_method",
    ],
    "provenance": ["Provenance"],
    "reading.late": ["LongTokenTransformer"],
    "reading.pairs": ["LongPairTransformer"],
    "reading.spans": ["SpanVectors"],
    "reading.splade": ["LongSpladeTransformer", "PooledSplade"],
    "reading.pooled": ["PooledPasses"],
    "reading.transformer": ["LongTransformer"],
    "settings": ["UNSET", "ExtensionConfig", "ModelSettings"],
}
_FUNCTIONS = "longembed_st.functions"
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "UNSET",
    "Capability",
    "ConfigError",
    "Context",
    "Coverage",
    "Encoded",
    "Encoding",
    "ExtensionConfig",
    "Family",
    "Frequencies",
    "Grouping",
    "InputError",
    "LongCrossEncoder",
    "LongEmbedError",
    "LongMultiVectorEncoder",
    "LongPairTransformer",
    "LongSentenceTransformer",
    "LongSparseEncoder",
    "LongSpladeTransformer",
    "LongTokenTransformer",
    "LongTransformer",
    "Method",
    "ModelError",
    "ModelSettings",
    "PooledPasses",
    "PooledSplade",
    "Provenance",
    "Recommendation",
    "Reranker",
    "ShortTextsChangeWarning",
    "SpanVectors",
    "TextNotReadWarning",
    "WindowScores",
    "bake",
    "coverage",
    "extend",
    "families",
    "fingerprint",
    "load",
    "methods",
    "multi_vector",
    "register_family",
    "register_method",
    "reranker_of",
]


def __getattr__(name: str) -> Any:
    # Torch takes seconds to import, and `longembed --help` should not.
    if name in _HOME_OF:
        value = getattr(import_module(f"{__name__}.{_HOME_OF[name]}"), name)
    else:
        value = _function_of_a_plugin(name)
    globals()[name] = value
    return value


def _function_of_a_plugin(name: str) -> Any:
    """What an installed package adds to this module by the entry-point group of its functions."""
    found = [one for one in entry_points(group=_FUNCTIONS) if one.name == name]
    if not found:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return found[0].load()


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
