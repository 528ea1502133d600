"""Graphs on disk: made once, named by a hash of what they depend on, written atomically."""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from longembed_st.errors import ConfigError
from longembed_st.files import CACHE, atomic_folder, cache_folder

if TYPE_CHECKING:
    from openvino import Core, Model

logger = logging.getLogger(__name__)

_GRAPH, _WEIGHTS, _DIGESTS = "graph.xml", "graph.bin", "digests.json"


def graphs_folder() -> Path:
    """Return the folder of graphs, in the cache folder."""
    return cache_folder() / "graphs"


def graph_on_disk(core: Core, key: str, make: Callable[[], Model]) -> Model:
    """Return the graph of a key: read it, or make and write it.

    A damaged graph is made again. If two processes make one at the same time, the first to finish
    is kept, and both have theirs.

    Args:
        core: Reads it.
        key: A hash of everything that it depends on.
        make: Makes it.
    """
    folder = graphs_folder() / key
    graph = read_graph(core, key)
    if graph is not None:
        return graph
    graph = make()
    try:
        shutil.rmtree(folder, ignore_errors=True)
        with atomic_folder(folder) as unfinished:
            _write(graph, unfinished)
    except (OSError, ConfigError, RuntimeError) as error:
        if not folder.exists():
            logger.warning(
                "the compiled model cannot be kept in %s (%s), so it is made again each time. The "
                "environment variable %s names another folder",
                folder.parent,
                error,
                CACHE,
            )
    return graph


def _write(graph: Model, folder: Path) -> None:
    import openvino

    openvino.save_model(graph, folder / _GRAPH, compress_to_fp16=False)
    digests = {name: _digest(folder / name) for name in (_GRAPH, _WEIGHTS)}
    (folder / _DIGESTS).write_text(json.dumps(digests), encoding="utf8")


def read_graph(core: Core, key: str) -> Model | None:
    """Return the graph of a key, if it is on disk as it was written.

    Args:
        core: Reads it.
        key: A hash of everything that it depends on.
    """
    folder = graphs_folder() / key
    try:
        digests = json.loads((folder / _DIGESTS).read_text(encoding="utf8"))
        if any(_digest(folder / name) != digests[name] for name in (_GRAPH, _WEIGHTS)):
            raise ValueError("its files are not those that were written")
        return core.read_model(folder / _GRAPH)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
        logger.warning("the compiled model in %s is damaged (%s) and is made again", folder, error)
        return None


def _digest(file: Path) -> str:
    digest = hashlib.sha256()
    with file.open("rb") as content:
        while block := content.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
