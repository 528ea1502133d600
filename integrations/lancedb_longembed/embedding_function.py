"""The embedding function that reads whole documents, registered with LanceDB as "longembed"."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lancedb.embeddings import TextEmbeddingFunction, register
from pydantic import ConfigDict, PrivateAttr

from longembed_index.maintain.embedding import storable_model
from longembed_st.adapter import list_of_texts, plain_floats
from longembed_st.base.extension import AUTO
from longembed_st.base.provenance import Provenance, refuse_unless_storable
from longembed_st.base.settings import ModelSettings
from longembed_st.errors import InputError

if TYPE_CHECKING:
    from longembed_st.loading.cache import CachedModel


@register("longembed")
class LongEmbedEmbeddingFunction(TextEmbeddingFunction):
    """Makes one vector per document, with a sentence-transformers model that reads it to its end.

    Documents go through `encode_document` and queries through `encode_query`, so that a model's
    prompts are applied. Other keywords of `create` are settings of `longembed_st.load`; they are
    stored with the table, so anything that would run a model's own code is refused. The fingerprint
    of the vectors is stored with them, and a model that would make other vectors is refused.

    Attributes:
        name: A model on the Hugging Face Hub, or a folder.
        method: The extension method, one of `longembed_st.methods()`, or "auto".
        fingerprint: Of the vectors of a table; None for a new one.
        max_retries: How often a call is repeated after an error, which is the same each time.

    Example:
        ```python
        import lancedb
        from lancedb.embeddings import get_registry
        from lancedb.pydantic import LanceModel, Vector
        from lancedb_longembed import LongEmbedEmbeddingFunction  # registers "longembed"

        model = get_registry().get("longembed").create(name="thenlper/gte-small", method="pcw")


        class Report(LanceModel):
            text: str = model.SourceField()
            vector: Vector(model.ndims()) = model.VectorField()  # type: ignore


        table = lancedb.connect("reports-db").create_table("reports", schema=Report)
        table.add([{"text": "a report of forty pages"}])
        print(table.search("who approved the budget?").limit(1).to_list())
        ```
    """

    model_config = ConfigDict(extra="allow")

    name: str = "sentence-transformers/all-MiniLM-L6-v2"
    method: str = AUTO
    fingerprint: str | None = None
    max_retries: int = 0

    _settings: ModelSettings = PrivateAttr()
    _model: CachedModel | None = PrivateAttr(default=None)

    def __init__(self, **data: Any) -> None:
        """Check the settings; LanceDB calls this by `create`.

        Args:
            **data: The fields, and settings of `longembed_st.load`.

        Raises:
            ConfigError: If one is unknown, out of range, or must not be stored.
        """
        super().__init__(**data)
        self._settings = ModelSettings.from_keywords(
            model_name=self.name, method=self.method, **(self.model_extra or {})
        )
        refuse_unless_storable(self._settings)

    @property
    def loaded(self) -> CachedModel:
        """Return the model behind it, shared with other instances of equal settings.

        Raises:
            ConfigError: If it would make other vectors than those of the table.
            ModelError: If it cannot be loaded or cannot take the method.
        """
        if self._model is None:
            model = storable_model(self._settings)
            if self.fingerprint is not None:
                stored = Provenance(self._settings, self.fingerprint)
                model.refuse_incompatible(stored, "the table")
            self._model = model
        return self._model

    def safe_model_dump(self) -> dict[str, Any]:
        """Return the settings that LanceDB stores, with the fingerprint of the vectors."""
        provenance = self.loaded.provenance.portable()
        settings = provenance.settings
        return {
            "name": settings.model_name,
            **settings.keywords(),
            "fingerprint": provenance.fingerprint,
        }

    def ndims(self) -> int:
        """Return the number of dimensions of a vector."""
        return int(self.loaded.model.get_embedding_dimension() or 0)

    def generate_embeddings(self, texts: Any, *args: Any, **kwargs: Any) -> list[Any]:
        """Return the vectors of documents.

        Args:
            texts: The documents, each read up to the extended window.
            *args: Not used.
            **kwargs: Not used.

        Raises:
            InputError: If a text cannot be embedded.
        """
        documents = list_of_texts(texts)
        return plain_floats(self.loaded.model.encode_document(documents, show_progress_bar=False))

    def compute_query_embeddings(self, query: str, *args: Any, **kwargs: Any) -> list[Any]:
        """Return the vector of a query, in a list."""
        if not isinstance(query, str):
            raise InputError(f"a query is a str, not a {type(query).__name__}")
        return plain_floats(self.loaded.model.encode_query([query], show_progress_bar=False))
