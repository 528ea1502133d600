"""The suites that LangChain has for every embeddings class."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("langchain_core")
pytest.importorskip("langchain_tests")

from langchain_tests.integration_tests import EmbeddingsIntegrationTests
from langchain_tests.unit_tests import EmbeddingsUnitTests

from langchain_longembed import LongEmbedEmbeddings


class _OurEmbeddings:
    @pytest.fixture(autouse=True)
    def _folder(self, minilm_folder: Path) -> None:
        self.folder = str(minilm_folder)

    @property
    def embeddings_class(self) -> type[LongEmbedEmbeddings]:
        return LongEmbedEmbeddings

    @property
    def embedding_model_params(self) -> dict[str, str]:
        return {"model": self.folder}


class TestUnit(_OurEmbeddings, EmbeddingsUnitTests):
    pass


class TestIntegration(_OurEmbeddings, EmbeddingsIntegrationTests):
    pass
