"""Extended models in mteb's registry: import this, then `mteb.get_model("longembed/gte-small")`.

`register` registers other models. Settings go into mteb's `experiment_kwargs`, by which it keeps
the results of methods apart.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from longembed_st.base.settings import ModelSettings
from longembed_st.extras import needs_extra

with needs_extra("bench", "mteb"):
    from mteb.models.model_implementations import MODEL_REGISTRY
    from mteb.models.model_meta import ModelMeta
    from mteb.models.sentence_transformer_wrapper import SentenceTransformerEncoderWrapper

if TYPE_CHECKING:
    from mteb.models import MTEBModels

ORGANISATION = "longembed"
KNOWN = (
    "sentence-transformers/all-MiniLM-L6-v2",
    "sentence-transformers/all-mpnet-base-v2",
    "thenlper/gte-small",
    "thenlper/gte-base",
    "intfloat/e5-small-v2",
    "intfloat/e5-base-v2",
    "BAAI/bge-small-en-v1.5",
    "BAAI/bge-base-en-v1.5",
    "Snowflake/snowflake-arctic-embed-m",
)
"""Models that are registered when this is imported, with the method that fits each."""


def register(model_name: str, *, name: str | None = None, **settings: Any) -> ModelMeta:
    """Register an extended model with mteb.

    Example:
        ```python
        import mteb
        from longembed_bench.mteb_models import register

        register("thenlper/gte-small", method="pcw")
        model = mteb.get_model("longembed/gte-small")
        ```

    Args:
        model_name: Folder or Hugging Face hub name of the model to be extended.
        name: What mteb calls it; None for "longembed/" and the last part of the model's name.
        **settings: Keyword arguments of `longembed_st.load`; `mteb.get_model` can override them.

    Returns:
        The metadata of the model itself, if mteb has them, with `adapted_from`.

    Raises:
        ConfigError: If a setting is unknown or out of range.
    """
    ModelSettings.from_keywords(model_name=model_name, **settings)
    base = MODEL_REGISTRY.get(model_name) or ModelMeta.create_empty(
        {"modalities": ["text"], "framework": ["Sentence Transformers"]}
    )
    meta = base.model_copy(
        update={
            "name": name or f"{ORGANISATION}/{model_name.rstrip('/').rpartition('/')[2]}",
            "loader": load_extended,
            "loader_kwargs": {**base.loader_kwargs, "model_name": model_name},
            "adapted_from": model_name,
            "experiment_kwargs": settings or None,
            # It reads to the end of what it is given, unless the settings say otherwise.
            "max_tokens": settings.get("max_seq_length"),
            "n_active_parameters_override": None,
        },
        deep=True,
    )
    MODEL_REGISTRY[str(meta.name)] = meta
    return meta


def load_extended(
    name: str,
    revision: str | None = None,
    device: str | None = None,
    *,
    model_name: str,
    model_prompts: dict[str, str] | None = None,
    embed_dim: int | None = None,
    **settings: Any,
) -> MTEBModels:
    """Load an extended model for mteb, which calls this with arguments of its own.

    The `settings` are keyword arguments of `longembed_st.load`.
    """
    import longembed_st as le

    # mteb's word for none.
    known = None if revision == "no_revision_available" else revision
    loading = {"revision": known, "device": device, "truncate_dim": embed_dim}
    settings |= {key: value for key, value in loading.items() if value is not None}
    model: Any = le.load(model_name, **settings)
    return SentenceTransformerEncoderWrapper(model, model_prompts=model_prompts)


for _name in KNOWN:
    if _name in MODEL_REGISTRY:
        register(_name)
