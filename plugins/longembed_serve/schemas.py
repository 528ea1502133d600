"""What requests may hold. Anything else is refused with the name of what is wrong."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

MOST_TEXTS = 2048
"""Of one request, as OpenAI has it."""


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class EmbeddingsRequest(_Body):
    """As OpenAI's clients send it; `input_type` is ours."""

    input: str | Annotated[list[str], Field(min_length=1, max_length=MOST_TEXTS)] | list[Any]
    model: str | None = None
    encoding_format: Literal["float", "base64"] = "float"
    dimensions: Annotated[int, Field(ge=1)] | None = None
    user: str | None = None
    input_type: Literal["query", "document"] | None = None


class SearchRequest(_Body):
    """A question to the store."""

    query: str
    k: Annotated[int, Field(ge=1, le=1000)] = 5
    passages: Annotated[int, Field(ge=0, le=100)] = 1
    where: dict[str, str] = {}
    mode: Literal["hybrid", "dense", "lexical"] | None = None
    weight: Annotated[float, Field(ge=0, le=1)] | None = None
    rerank: bool = False
    candidates: Annotated[int, Field(ge=1, le=1000)] = 50


class RerankRequest(_Body):
    """As the rerankers of other services take it."""

    query: str
    documents: Annotated[list[str | dict[str, str]], Field(min_length=1, max_length=MOST_TEXTS)]
    model: str | None = None
    top_n: Annotated[int, Field(ge=1)] | None = None
    return_documents: bool = False


class DocumentRequest(_Body):
    """A document of the store, by its name there."""

    source: str
