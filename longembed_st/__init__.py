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
    from longembed_st.base.coverage import Coverage, Encoded
    from longembed_st.base.extension import ExtensionConfig
    from longembed_st.base.fields import UNSET
    from longembed_st.base.fingerprint import fingerprint
    from longembed_st.base.long_model import coverage
    from longembed_st.base.pooled import PooledPasses
    from longembed_st.base.provenance import Provenance
    from longembed_st.base.reranking import Reranker, WindowScores
    from longembed_st.base.settings import ModelSettings
    from longembed_st.cross_encoder.model import LongCrossEncoder
    from longembed_st.cross_encoder.transformer import LongPairTransformer
    from longembed_st.errors import (
        ConfigError,
        InputError,
        LongEmbedError,
        ModelError,
        TextNotReadWarning,
    )
    from longembed_st.loading.bake import ShortTextsChangeWarning, bake
    from longembed_st.loading.extend import extend
    from longembed_st.loading.load import load
    from longembed_st.loading.reranker import reranker_of
    from longembed_st.multi_vector_encoder.from_spans import multi_vector
    from longembed_st.multi_vector_encoder.model import LongMultiVectorEncoder
    from longembed_st.multi_vector_encoder.transformer import LongTokenTransformer
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
    from longembed_st.sentence_transformer.model import LongSentenceTransformer
    from longembed_st.sentence_transformer.spans import SpanVectors
    from longembed_st.sentence_transformer.transformer import LongTransformer
    from longembed_st.sparse_encoder.model import LongSparseEncoder
    from longembed_st.sparse_encoder.transformer import LongSpladeTransformer, PooledSplade

__version__ = "0.2.0"

_HOMES = {
    "loading.bake": ["ShortTextsChangeWarning", "bake"],
    "base.coverage": ["Coverage", "Encoded"],
    "cross_encoder.model": ["LongCrossEncoder"],
    "multi_vector_encoder.model": ["LongMultiVectorEncoder"],
    "base.reranking": ["Reranker", "WindowScores"],
    "loading.reranker": ["reranker_of"],
    "sparse_encoder.model": ["LongSparseEncoder"],
    "errors": ["ConfigError", "InputError", "LongEmbedError", "ModelError", "TextNotReadWarning"],
    "base.fingerprint": ["fingerprint"],
    "loading.extend": ["extend"],
    "loading.load": ["load"],
    "sentence_transformer.model": ["LongSentenceTransformer"],
    "base.long_model": ["coverage"],
    "multi_vector_encoder.from_spans": ["multi_vector"],
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
    "base.provenance": ["Provenance"],
    "multi_vector_encoder.transformer": ["LongTokenTransformer"],
    "cross_encoder.transformer": ["LongPairTransformer"],
    "sentence_transformer.spans": ["SpanVectors"],
    "sparse_encoder.transformer": ["LongSpladeTransformer", "PooledSplade"],
    "base.pooled": ["PooledPasses"],
    "sentence_transformer.transformer": ["LongTransformer"],
    "base.extension": ["ExtensionConfig"],
    "base.fields": ["UNSET"],
    "base.settings": ["ModelSettings"],
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
    """Return what an installed package adds to this module by the entry-point group."""
    for entry_point in entry_points(group=_FUNCTIONS, name=name):
        return entry_point.load()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
