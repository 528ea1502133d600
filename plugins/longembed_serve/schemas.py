"""What requests may hold; anything else is refused with the name of what is wrong."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

MAX_TEXTS = 2048
"""The most texts of one request, as in OpenAI's API."""


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class EmbeddingsRequest(_Body):
    """Hold what OpenAI's clients send; `input_type` is ours."""

    input: str | Annotated[list[str], Field(min_length=1, max_length=MAX_TEXTS)] | list[Any]
    model: str | None = None
    encoding_format: Literal["float", "base64"] = "float"
    dimensions: Annotated[int, Field(ge=1)] | None = None
    user: str | None = None
    input_type: Literal["query", "document"] | None = None


class SearchRequest(_Body):
    """Hold a question."""

    query: str
    k: Annotated[int, Field(ge=1, le=1000)] = 5
    passages: Annotated[int, Field(ge=0, le=100)] = 1
    where: dict[str, Any] = {}
    mode: Literal["hybrid", "dense", "lexical"] | None = None
    weight: Annotated[float, Field(ge=0, le=1)] | None = None
    rerank: bool = False
    candidates: Annotated[int, Field(ge=1, le=1000)] = 50


class ContextRequest(_Body):
    """Hold a question whose answer is to be put into a prompt."""

    query: str
    max_words: Annotated[int, Field(ge=1, le=100_000)] = 600
    where: dict[str, Any] = {}
    mode: Literal["hybrid", "dense", "lexical"] | None = None
    weight: Annotated[float, Field(ge=0, le=1)] | None = None


class RerankRequest(_Body):
    """Hold what the rerankers of other services take."""

    query: str
    documents: Annotated[list[str | dict[str, str]], Field(min_length=1, max_length=MAX_TEXTS)]
    model: str | None = None
    top_n: Annotated[int, Field(ge=1)] | None = None
    return_documents: bool = False


class DocumentRequest(_Body):
    """Name a document of the index by its id."""

    source: str
