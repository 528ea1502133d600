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
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from longembed_st.baking import ShortTextsChangeWarning, bake
    from longembed_st.config import ExtensionConfig
    from longembed_st.errors import (
        ConfigError,
        InputError,
        LongEmbedError,
        ModelError,
        TextNotReadWarning,
    )
    from longembed_st.family import Family, families
    from longembed_st.fingerprints import fingerprint
    from longembed_st.loading import coverage, extend, load
    from longembed_st.method import Context, Method, Recommendation, methods
    from longembed_st.model import LongSentenceTransformer
    from longembed_st.overflow import Coverage, observe_coverage
    from longembed_st.transformer import LongTransformer

__version__ = "0.1.0"

_HOMES = {
    "baking": ["ShortTextsChangeWarning", "bake"],
    "config": ["ExtensionConfig"],
    "errors": ["ConfigError", "InputError", "LongEmbedError", "ModelError", "TextNotReadWarning"],
    "family": ["Family", "families"],
    "fingerprints": ["fingerprint"],
    "loading": ["coverage", "extend", "load"],
    "method": ["Context", "Method", "Recommendation", "methods"],
    "model": ["LongSentenceTransformer"],
    "overflow": ["Coverage", "observe_coverage"],
    "transformer": ["LongTransformer"],
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "ConfigError",
    "Context",
    "Coverage",
    "ExtensionConfig",
    "Family",
    "InputError",
    "LongEmbedError",
    "LongSentenceTransformer",
    "LongTransformer",
    "Method",
    "ModelError",
    "Recommendation",
    "ShortTextsChangeWarning",
    "TextNotReadWarning",
    "bake",
    "coverage",
    "extend",
    "families",
    "fingerprint",
    "load",
    "methods",
    "observe_coverage",
]


def __getattr__(name: str) -> Any:
    # Torch takes seconds to import, and `longembed --help` should not.
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOME_OF[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
