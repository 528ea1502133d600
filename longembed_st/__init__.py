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
    from longembed_st.base.coverage import Coverage as Coverage
    from longembed_st.base.coverage import Encoded as Encoded
    from longembed_st.base.extension import ExtensionConfig as ExtensionConfig
    from longembed_st.base.fields import UNSET as UNSET
    from longembed_st.base.fingerprint import fingerprint as fingerprint
    from longembed_st.base.long_model import coverage as coverage
    from longembed_st.base.pooled import PooledPasses as PooledPasses
    from longembed_st.base.provenance import Provenance as Provenance
    from longembed_st.base.reranking import Reranker as Reranker
    from longembed_st.base.reranking import WindowScores as WindowScores
    from longembed_st.base.settings import ModelSettings as ModelSettings
    from longembed_st.cross_encoder.model import LongCrossEncoder as LongCrossEncoder
    from longembed_st.cross_encoder.transformer import LongPairTransformer as LongPairTransformer
    from longembed_st.errors import ConfigError as ConfigError
    from longembed_st.errors import InputError as InputError
    from longembed_st.errors import LongEmbedError as LongEmbedError
    from longembed_st.errors import ModelError as ModelError
    from longembed_st.errors import TextNotReadWarning as TextNotReadWarning
    from longembed_st.loading.bake import ShortTextsChangeWarning as ShortTextsChangeWarning
    from longembed_st.loading.bake import bake as bake
    from longembed_st.loading.extend import extend as extend
    from longembed_st.loading.load import load as load
    from longembed_st.loading.reranker import reranker_of as reranker_of
    from longembed_st.multi_vector_encoder.from_units import multi_vector as multi_vector
    from longembed_st.multi_vector_encoder.model import (
        LongMultiVectorEncoder as LongMultiVectorEncoder,
    )
    from longembed_st.multi_vector_encoder.transformer import (
        LongTokenTransformer as LongTokenTransformer,
    )
    from longembed_st.positions.family import Family as Family
    from longembed_st.positions.family import families as families
    from longembed_st.positions.family import register_family as register_family
    from longembed_st.positions.method import Capability as Capability
    from longembed_st.positions.method import Context as Context
    from longembed_st.positions.method import Encoding as Encoding
    from longembed_st.positions.method import Frequencies as Frequencies
    from longembed_st.positions.method import Grouping as Grouping
    from longembed_st.positions.method import Method as Method
    from longembed_st.positions.method import Recommendation as Recommendation
    from longembed_st.positions.method import methods as methods
    from longembed_st.positions.method import register_method as register_method
    from longembed_st.sentence_transformer.model import (
        LongSentenceTransformer as LongSentenceTransformer,
    )
    from longembed_st.sentence_transformer.transformer import LongTransformer as LongTransformer
    from longembed_st.sentence_transformer.units import UnitVectors as UnitVectors
    from longembed_st.sparse_encoder.model import LongSparseEncoder as LongSparseEncoder
    from longembed_st.sparse_encoder.transformer import (
        LongSpladeTransformer as LongSpladeTransformer,
    )
    from longembed_st.sparse_encoder.transformer import PooledSplade as PooledSplade

__version__ = "0.3.0"

_HOMES = {
    "base.coverage": ["Coverage", "Encoded"],
    "base.extension": ["ExtensionConfig"],
    "base.fields": ["UNSET"],
    "base.fingerprint": ["fingerprint"],
    "base.long_model": ["coverage"],
    "base.pooled": ["PooledPasses"],
    "base.provenance": ["Provenance"],
    "base.reranking": ["Reranker", "WindowScores"],
    "base.settings": ["ModelSettings"],
    "cross_encoder.model": ["LongCrossEncoder"],
    "cross_encoder.transformer": ["LongPairTransformer"],
    "errors": ["ConfigError", "InputError", "LongEmbedError", "ModelError", "TextNotReadWarning"],
    "loading.bake": ["ShortTextsChangeWarning", "bake"],
    "loading.extend": ["extend"],
    "loading.load": ["load"],
    "loading.reranker": ["reranker_of"],
    "multi_vector_encoder.from_units": ["multi_vector"],
    "multi_vector_encoder.model": ["LongMultiVectorEncoder"],
    "multi_vector_encoder.transformer": ["LongTokenTransformer"],
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
    "sentence_transformer.model": ["LongSentenceTransformer"],
    "sentence_transformer.units": ["UnitVectors"],
    "sentence_transformer.transformer": ["LongTransformer"],
    "sparse_encoder.model": ["LongSparseEncoder"],
    "sparse_encoder.transformer": ["LongSpladeTransformer", "PooledSplade"],
}
_FUNCTIONS = "longembed_st.functions"
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = sorted(_HOME_OF)


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
