"""From a model's name to a reranker."""

from __future__ import annotations

import os
from typing import Any, cast

from longembed_st.base.reranking import Reranker
from longembed_st.base.settings import ModelSettings
from longembed_st.errors import ConfigError, ModelError


def reranker_of(model: str | os.PathLike[str] | Reranker, **settings: Any) -> Reranker:
    """Load the reranker of a name; return one that is loaded already.

    Args:
        model: Folder or hub name of a cross-encoder or a late-interaction model, or a reranker.
        **settings: Of `longembed_st.load`, if it is to be loaded.

    Raises:
        ConfigError: If it is not a reranker.
        ModelError: If it cannot be loaded, or is of another class.
    """
    if hasattr(model, "score_windows"):
        return cast(Reranker, model)
    if not isinstance(model, (str, os.PathLike)):
        raise ConfigError(
            f"a {type(model).__name__} is not a reranker: give the name of a cross-encoder or of a "
            "late-interaction model, or one that longembed_st.load has loaded"
        )
    # Retrievers import this module, and torch takes seconds to import.
    from longembed_st.loading.load import load_any

    loaded = load_any(ModelSettings.from_keywords(model_name=str(model), **settings))
    if not hasattr(loaded, "score_windows"):
        raise ModelError(
            f"{str(model)!r} is a {loaded.model_type}, which does not rerank: give a CrossEncoder "
            "or a MultiVectorEncoder (late interaction)"
        )
    return cast(Reranker, loaded)
