"""LangChain's view of an extended sentence-transformers model."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ClassVar

from langchain_core.embeddings import Embeddings
from pydantic import Field

from longembed_st.adapter import AdapterSettings, list_of_texts, plain_floats


class LongEmbedEmbeddings(AdapterSettings, Embeddings):
    """One vector per document, read to its end by an extended sentence-transformers model.

    A drop-in for `HuggingFaceEmbeddings`, whose fields it has, and the settings of
    `longembed_st.load` beside them. Documents go through `encode_document` and queries through
    `encode_query`, so that a model's prompts are applied; texts are embedded unaltered. The
    asynchronous methods compute in a thread. Objects with equal settings share one loaded model.

    Example:
        ```python
        embeddings = LongEmbedEmbeddings(
            model="sentence-transformers/all-MiniLM-L6-v2", method="pcw", window_size=256
        )
        store = InMemoryVectorStore(embeddings)
        store.add_texts([whole_report])
        ```
    """

    renamed_arguments: ClassVar[Mapping[str, str]] = {
        "max_length": "the most tokens that are read of a text are max_seq_length here. Leave it "
        "out to have texts read as far as the method reaches",
        "normalize": "say encode_kwargs={'normalize_embeddings': True}",
        "tokenizer_kwargs": "these are processor_kwargs, as in sentence-transformers",
    }

    model_name: str = Field(
        default="sentence-transformers/all-mpnet-base-v2",
        alias="model",
        frozen=True,
        description="Folder or Hugging Face hub name.",
    )
    encode_kwargs: dict[str, Any] = Field(
        default_factory=dict,
        description="Arguments of encode_document: batch_size, normalize_embeddings, prompt, ...",
    )
    query_encode_kwargs: dict[str, Any] = Field(
        default_factory=dict,
        description="Arguments of encode_query; empty for the same as for documents.",
    )
    multi_process: bool = Field(
        default=False,
        description="Embed documents in several processes: one a GPU, four without, or one for "
        "each device in encode_kwargs['device'].",
    )
    show_progress: bool = Field(default=False, description="Show a progress bar for documents.")

    if TYPE_CHECKING:
        # Type checkers know the fields, and would refuse the options of a method.
        def __init__(self, *, model: str = ..., **settings: Any) -> None: ...

    @property
    def fingerprint(self) -> str:
        """Equal for models whose vectors can be compared, for instance to name a cache by."""
        return self._loaded.fingerprint

    @property
    def cache_namespace(self) -> str:
        """The fingerprint in letters, digits and hyphens, fit for keys and for names of files."""
        return self.fingerprint.replace(":", "-")

    def embed_documents(self, texts: Iterable[str]) -> list[list[float]]:
        """Embed documents.

        Args:
            texts: Documents, each read up to the extended window: a list, a generator, a column
                of a table.

        Returns:
            One vector per document.

        Raises:
            InputError: If a text cannot be embedded.
            ModelError: If a vector is not finite.
        """
        arguments = {"show_progress_bar": self.show_progress, **self.encode_kwargs}
        documents = list_of_texts(texts)
        model = self.sentence_transformer
        if not self.multi_process:
            return plain_floats(model.encode_document(documents, **arguments))
        with self._processes(arguments.pop("device", None)) as pool:
            return plain_floats(model.encode_document(documents, pool=pool, **arguments))

    def embed_query(self, text: str) -> list[float]:
        """Embed a query.

        Args:
            text: The query.

        Returns:
            Its vector.

        Raises:
            InputError: If the text cannot be embedded.
            ModelError: If the vector is not finite.
        """
        arguments = self.query_encode_kwargs or self.encode_kwargs
        arguments = {"show_progress_bar": False, **arguments}
        return plain_floats(self.sentence_transformer.encode_query([text], **arguments))[0]

    @contextmanager
    def _processes(self, devices: str | list[str] | None) -> Iterator[dict[Any, Any]]:
        """Worker processes for as long as the block runs."""
        model = self.sentence_transformer
        pool = model.start_multi_process_pool([devices] if isinstance(devices, str) else devices)
        try:
            yield pool
        finally:
            model.stop_multi_process_pool(pool)
