"""LlamaIndex's rerankers: nodes in a better order."""

from __future__ import annotations

from typing import Any

from llama_index.core.bridge.pydantic import Field, PrivateAttr
from llama_index.core.postprocessor.types import BaseNodePostprocessor
from llama_index.core.schema import MetadataMode, NodeWithScore, QueryBundle

from longembed_st.base.reranking import Reranker
from longembed_st.errors import ConfigError
from longembed_st.loading.reranker import reranker_of


class LongEmbedReranker(BaseNodePostprocessor):
    """Nodes read whole together with the query, the best first.

    Each node has in its metadata `retrieval_score`, what it was found with, and of its best window
    `window_start` and `window_end` in characters of its text.

    Example:
        ```python
        reranker = LongEmbedReranker(model="cross-encoder/ms-marco-MiniLM-L6-v2", top_n=3)
        engine = index.as_query_engine(node_postprocessors=[reranker])
        ```
    """

    model: Any = Field(
        description="Cross-encoder or late-interaction model: its name or folder, or one that "
        "`longembed_st.load` has loaded."
    )
    top_n: int | None = Field(default=None, ge=1, description="The most nodes; None for all.")
    device: str | None = Field(default=None, description="Where to compute; None chooses.")

    _reranker: Any = PrivateAttr(default=None)

    @classmethod
    def class_name(cls) -> str:
        """Of this class, for LlamaIndex's records."""
        return "LongEmbedReranker"

    def _loaded(self) -> Reranker:
        if self._reranker is None:
            self._reranker = reranker_of(self.model, device=self.device)
        reranker: Reranker = self._reranker
        return reranker

    def _postprocess_nodes(
        self, nodes: list[NodeWithScore], query_bundle: QueryBundle | None = None
    ) -> list[NodeWithScore]:
        """Order nodes by their scores for a query.

        Returns:
            The best first.

        Raises:
            ConfigError: If there is no query.
            ModelError: If the model cannot be loaded, or is not a reranker.
            InputError: If a text cannot be read.
        """
        if query_bundle is None:
            raise ConfigError("a reranker needs the query: give query_bundle or query_str")
        if not nodes:
            return []
        texts = [item.node.get_content(MetadataMode.NONE) for item in nodes]
        scores = self._loaded().score_windows(query_bundle.query_str, texts)
        scored = []
        for item, windows in zip(nodes, scores, strict=True):
            node = item.node.model_copy(deep=True)
            node.metadata["retrieval_score"] = item.score
            if windows.best_span is not None:
                start, end = windows.best_span
                node.metadata |= {"window_start": start, "window_end": end}
            scored.append(NodeWithScore(node=node, score=windows.score))
        return sorted(scored, key=lambda item: -(item.score or 0.0))[: self.top_n]
