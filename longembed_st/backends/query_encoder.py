"""Encode queries without torch, whose import takes seconds.

When documents are indexed, `query_export` writes the files for this to the cache folder: the whole
model as an OpenVINO graph, its tokenizer, and its vectors of two texts, for a check.
"""

from __future__ import annotations

import json
import logging
import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from longembed_st.backends.graph_files import read_graph
from longembed_st.base.coverage import Coverage, QueryVectors
from longembed_st.base.fork_gate import ForkSafeLock
from longembed_st.base.unknown_tokens import UNKNOWN_SHARE
from longembed_st.files import cache_folder

if TYPE_CHECKING:
    from openvino import CompiledModel

logger = logging.getLogger(__name__)

VERSION = 2
"""Raise it when a change gives another graph for the same model, or other files: the encoders of
other versions are left alone, as their programs may still be used."""

SETTINGS, TOKENIZER, WHITENING = "query.json", "tokenizer.json", "whitening.npy"
"""The files of a query encoder; its graph is kept with the other graphs."""

PROBES = (
    "Who approved the budget?",
    "The committee met again in the spring, and it spoke of many things: of the budget, of the "
    "school by the river, and of the letters that nobody had answered.",
)
"""Queries for the check of an encoder that is opened; those that fit into the window are used."""

MIN_COSINE = 0.9999
"""The least cosine between the vectors that the encoder and the model give for a text."""


class QueryEncoder:
    """A model that encodes queries of at most one window, on a CPU, without torch.

    Threads may share it. A forked child opens its own, because OpenVINO does not work after a fork.

    Args:
        folder: The folder that `query_export` wrote.

    Raises:
        ValueError: If the files are damaged, or give other vectors than the model.
        OSError: If a file is missing.
        ImportError: If OpenVINO is not installed.
    """

    def __init__(self, folder: Path) -> None:
        import openvino
        from tokenizers import Tokenizer

        settings = json.loads((folder / SETTINGS).read_text(encoding="utf8"))
        self._prompt: str = settings["prompt"]
        self._window: int = settings["window"]
        self._unknown: int | None = settings["unknown"]
        whitening = folder / WHITENING
        self._whitening = np.load(whitening) if whitening.exists() else None
        self._tokenizer = Tokenizer.from_file(str(folder / TOKENIZER))
        core = openvino.Core()
        graph = read_graph(core, settings["graph"])
        if graph is None:
            raise ValueError("its graph is missing or damaged")
        options = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"}
        self._model: CompiledModel = core.compile_model(graph, "CPU", options)
        self._of_thread = threading.local()
        self._check(settings["probes"])

    def encode(self, text: str) -> QueryVectors | None:
        """Encode a query as unit vectors, or return None if the model itself must encode it.

        It must if the query is longer than the original window, is not valid Unicode, or has many
        tokens that the model does not know: the model refuses or warns of these.

        Args:
            text: The query, without the model's prompt for queries.
        """
        try:
            ids = self._tokenizer.encode(self._prompt + text).ids
        except TypeError:  # The text is not valid Unicode.
            return None
        unknown = sum(number == self._unknown for number in ids)
        if not 0 < len(ids) <= self._window or unknown > UNKNOWN_SHARE * len(ids):
            return None
        if not hasattr(self._of_thread, "request"):
            self._of_thread.request = self._model.create_infer_request()
        (output,) = self._of_thread.request.infer([np.array([ids])]).values()
        vector, plain = (_unit(row) for row in np.array(output, dtype=np.float32))
        if self._whitening is not None:
            vector = _unit(self._whitening @ vector)
        return QueryVectors(vector, plain, Coverage(len(ids), len(ids), 1, unknown=unknown))

    def _check(self, expected: dict[str, list[float]]) -> None:
        for text, vector in expected.items():
            query = self.encode(text)
            if query is None or not query.vector @ _unit(np.array(vector)) >= MIN_COSINE:
                raise ValueError("it does not give the vectors of the model")


def query_encoder(fingerprint: str | None) -> QueryEncoder | None:
    """Return the query encoder of a model; None if it does not exist or cannot be used here.

    Args:
        fingerprint: The fingerprint of the model; None if it is not known.
    """
    if fingerprint is None:
        return None
    key = (os.getpid(), fingerprint)
    with _lock:
        if key not in _opened:
            _opened[key] = _open(fingerprint)
        return _opened[key]


def encoder_folder(fingerprint: str) -> Path:
    """Return the folder for the query encoder of a model, whether it exists or not."""
    return cache_folder() / "queries" / f"version-{VERSION}" / fingerprint.removeprefix("sha256:")


def forget_encoder(fingerprint: str) -> None:
    """Read the files of a model's encoder again the next time, because they have changed."""
    with _lock:
        _opened.pop((os.getpid(), fingerprint), None)


def _open(fingerprint: str) -> QueryEncoder | None:
    try:
        folder = encoder_folder(fingerprint)
        return QueryEncoder(folder) if folder.is_dir() else None
    except ImportError:
        return None
    except Exception as error:  # OpenVINO raises errors of every kind
        logger.warning(
            "the query encoder in %s cannot be used (%s). The model is loaded instead, which takes "
            "longer. Delete the folder: it is written again when documents are added",
            folder,
            error,
        )
        return None


def _unit(vector: NDArray[Any]) -> NDArray[np.float32]:
    return np.asarray(vector / np.linalg.norm(vector), dtype=np.float32)


_lock = ForkSafeLock()
_opened: dict[tuple[int, str], QueryEncoder | None] = {}
"""The opened encoders by process and fingerprint; None for one that cannot be used."""
