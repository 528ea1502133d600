"""What requests may have.

Clients of other services send fields of their own, null for what they leave out, and numbers as
text. `/v1/embeddings` and `/v1/rerank`, which those clients call, ignore fields that they do not
know. `/search`, `/context` and `/document` are ours: there, an unknown field is a typing error.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AliasChoices, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from longembed_index.search.question import MAX_CHARACTERS

MAX_TEXTS = 2048
"""The largest number of texts in a request, as in OpenAI's API."""

_ROLES: dict[str, Literal["query", "document"] | None] = {
    **dict.fromkeys(("query", "search_query", "retrieval.query", "retrieval_query"), "query"),
    **dict.fromkeys(
        ("document", "passage", "search_document", "retrieval.passage", "retrieval_document"),
        "document",
    ),
    # Tasks that have no prompt of their own.
    **dict.fromkeys(("", "classification", "clustering", "separation", "text-matching")),
}
"""Names of roles in the APIs of OpenAI's, Cohere's, Jina's, NVIDIA's and Voyage's services."""


def _number(value: Any) -> Any:
    # Pydantic reads "128", "128.0" and 128.0 as 128, but also True as 1.
    if isinstance(value, bool):
        raise ValueError("give a number, not true or false")
    return value.strip() if isinstance(value, str) else value


def _role(value: Any) -> Any:
    name = value.lower() if isinstance(value, str) else ""
    if not isinstance(value, str) or name not in _ROLES:
        raise ValueError("give 'query' or 'document'")
    return _ROLES[name]


Text = Annotated[str, Field(max_length=MAX_CHARACTERS)]
"""The query of a reranking, which is read with every window of a document, or a document's id."""

Integer = Annotated[int, BeforeValidator(_number)]
Share = Annotated[float, BeforeValidator(_number), Field(ge=0, le=1)]


class _Body(BaseModel):
    @model_validator(mode="before")
    @classmethod
    def _leave_out_nulls(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        return {name: value for name, value in data.items() if value is not None}


class EmbeddingsRequest(_Body):
    """Texts to embed, as OpenAI's clients send them; `input_type` is the role of the texts."""

    input: str | list[Any]
    model: str | None = None
    encoding_format: Literal["float", "base64"] = "float"
    dimensions: Annotated[Integer, Field(ge=1)] | None = Field(
        default=None, validation_alias=AliasChoices("dimensions", "output_dimension")
    )
    input_type: Annotated[Literal["query", "document"] | None, BeforeValidator(_role)] = Field(
        default=None, validation_alias=AliasChoices("input_type", "task")
    )


class _Question(_Body):
    model_config = ConfigDict(extra="forbid")

    query: str
    where: dict[str, Any] = {}
    mode: Literal["hybrid", "dense", "lexical"] | None = None
    weight: Share | None = None

    @property
    def cost(self) -> int:
        """Return about how many characters are read for it."""
        return 1_000 + len(self.query)


class SearchRequest(_Question):
    """A question to the index."""

    k: Annotated[Integer, Field(ge=1, le=1000)] = 5
    passages: Annotated[Integer, Field(ge=0, le=100)] = 1
    rerank: bool = False
    candidates: Annotated[Integer, Field(ge=1, le=1000)] = 50

    @property
    def cost(self) -> int:
        """Return about how many characters are read for it."""
        return super().cost + (10_000 * self.candidates if self.rerank else 0)


class ContextRequest(_Question):
    """A question whose answer is to be put into a prompt."""

    max_words: Annotated[Integer, Field(ge=1, le=100_000)] = 600


class RerankRequest(_Body):
    """Documents to rerank, as the clients of other services send them."""

    query: Text
    documents: Annotated[list[str | dict[str, Any]], Field(min_length=1, max_length=MAX_TEXTS)]
    model: str | None = None
    top_n: Annotated[Integer, Field(ge=1)] | None = Field(
        default=None, validation_alias=AliasChoices("top_n", "top_k")
    )
    return_documents: bool = False

    @property
    def cost(self) -> int:
        """Return about how many characters are read for it."""
        return sum(len(str(document)) + len(self.query) for document in self.documents)


class DocumentRequest(_Body):
    """The id of a document of the index."""

    model_config = ConfigDict(extra="forbid")

    source: Text
