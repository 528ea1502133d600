"""How many passes a processor best computes at once: measured, and kept in the cache folder."""

from __future__ import annotations

import hashlib
import json
import logging
import platform
import time
from collections import Counter
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import torch
import transformers
from torch import nn

from longembed_st.base.extension import DEFAULT_TOKEN_BUDGET
from longembed_st.base.fork_gate import ForkSafeLock
from longembed_st.errors import ConfigError
from longembed_st.files import cache_folder, write_text

if TYPE_CHECKING:
    from longembed_st.base.computing import ComputingTransformer

logger = logging.getLogger(__name__)

BATCH_TOKENS = (1024, 2048, 4096, DEFAULT_TOKEN_BUDGET)
"""Sizes of a batch that are tried."""

TOKENS_BEFORE_TUNING = 200_000
"""Tokens that are read before the measurement: some ten times as long as it takes."""

MEASURED_SECONDS = 0.5
"""Least time that each try is measured for."""

MAX_BATCH_SECONDS = 3.0
"""A batch that would take longer is not tried: the model is slow, and large batches gain little."""

LEAST_GAIN = 1.05
"""How much faster than the default a try must be to be chosen; less may be chance."""

WINDOW = 512
"""Most tokens of the passes that are measured."""


@dataclass(frozen=True)
class EngineSettings:
    """How passes are computed together. Vectors do not depend on it, beyond rounding.

    Attributes:
        streams: Batches that are computed at the same time, each by a share of the threads.
        batch_tokens: Most tokens of a batch.
    """

    streams: int = 1
    batch_tokens: int = DEFAULT_TOKEN_BUDGET


@dataclass(frozen=True)
class Measurement:
    """The speed of a model with some engine settings.

    Attributes:
        settings: What was tried.
        tokens_per_second: The speed, in passes of the original window.
    """

    settings: EngineSettings
    tokens_per_second: float


_chosen: dict[str, EngineSettings] = {}
_tokens_read: Counter[str] = Counter()
_lock = ForkSafeLock()


def engine_settings(reader: ComputingTransformer, tokens: int) -> EngineSettings:
    """Return the best known settings; measure them once enough has been read to pay for it.

    Only processors are measured: on another device, the default counts.

    Args:
        reader: The extended module.
        tokens: How many it is going to read now.
    """
    if tokens <= BATCH_TOKENS[0] or reader.backbone.device.type != "cpu":
        return EngineSettings()
    key = _key(reader)
    with _lock:
        if key not in _chosen:
            stored = read_measurements(key)
            if stored is not None:
                _chosen[key] = best_of(stored)
        if key in _chosen:
            return _chosen[key]
        _tokens_read[key] += tokens
        if _tokens_read[key] < TOKENS_BEFORE_TUNING:
            return EngineSettings()
        logger.info("measuring which batches this processor reads fastest: some seconds, once")
        measurements = _tune(reader, key)
        return _chosen.setdefault(key, best_of(measurements))


def tune(reader: ComputingTransformer) -> list[Measurement]:
    """Measure the speed of a model with different engine settings, and use the best from now on.

    Args:
        reader: The extended module.

    Returns:
        What was tried, the default first.

    Raises:
        ConfigError: If the model is not on a CPU.
    """
    device = reader.backbone.device
    if device.type != "cpu":
        raise ConfigError(
            f"only processors are measured, and this model is on {device}. Leave --tune out, or "
            "load the model with device='cpu'"
        )
    key = _key(reader)
    with _lock:
        measurements = _tune(reader, key)
        _chosen[key] = best_of(measurements)
    return measurements


def best_of(measurements: list[Measurement]) -> EngineSettings:
    """Return the fastest settings, or the default where nothing is clearly faster.

    Args:
        measurements: The default's first.
    """
    fastest = max(measurements, key=lambda measured: measured.tokens_per_second)
    default = measurements[0]
    if fastest.tokens_per_second < LEAST_GAIN * default.tokens_per_second:
        return default.settings
    return fastest.settings


def to_rows(measurements: list[Measurement]) -> list[dict[str, Any]]:
    """Return measurements as plain data, with which one is chosen.

    Args:
        measurements: The default's first.
    """
    chosen = best_of(measurements)
    return [
        {
            **asdict(measured.settings),
            "tokens_per_second": round(measured.tokens_per_second),
            "chosen": measured.settings == chosen,
        }
        for measured in measurements
    ]


def _tune(reader: ComputingTransformer, key: str) -> list[Measurement]:
    measurements = measure(reader)
    try:
        write_text(_file(key), json.dumps(to_rows(measurements), indent=1))
    except (OSError, ImportError) as error:
        logger.warning("the measured engine settings cannot be kept (%s)", error)
    return measurements


@torch.inference_mode()
def measure(reader: ComputingTransformer) -> list[Measurement]:
    """Measure streams first, in batches of middle size, and then the size of batches.

    Args:
        reader: The extended module.

    Returns:
        The default first.
    """
    window = min(reader.extension.context.original, WINDOW)
    middle = BATCH_TOKENS[1]
    tried: dict[EngineSettings, float] = {}

    def speed(settings: EngineSettings) -> float:
        if settings not in tried:
            tried[settings] = _speed(reader, settings, window)
        return tried[settings]

    streams = max(_stream_counts(reader), key=lambda n: speed(EngineSettings(n, middle)))
    for batch_tokens in BATCH_TOKENS:
        if batch_tokens > MAX_BATCH_SECONDS * max(tried.values()):
            break
        # Together, the batches of all streams stay within the memory that one may take.
        if batch_tokens * streams <= DEFAULT_TOKEN_BUDGET:
            speed(EngineSettings(streams, batch_tokens))
    default = EngineSettings()
    if default not in tried and default.batch_tokens <= MAX_BATCH_SECONDS * max(tried.values()):
        speed(default)
    tried.setdefault(default, tried[EngineSettings(1, middle)])
    return [
        Measurement(settings, tried[settings])
        for settings in sorted(tried, key=lambda s: (s != default, s.streams, s.batch_tokens))
    ]


def _stream_counts(reader: ComputingTransformer) -> list[int]:
    """Return 1 and, for an engine that has streams, as many as there are threads, and half."""
    threads = torch.get_num_threads()
    return [1] if reader.engine is None else sorted({1, max(1, threads // 2), threads})


def _speed(reader: ComputingTransformer, settings: EngineSettings, window: int) -> float:
    rows = max(1, settings.batch_tokens // window)
    ids = torch.randint(_vocabulary_size(reader), (1, rows * window))
    tokens = list(torch.arange(rows * window).view(rows, window))
    inputs = reader.model_inputs(tokens, {"input_ids": ids}, original=True)

    def batches(count: int) -> float:
        begin = time.perf_counter()
        for _ in reader.compute_in_order([(inputs, True)] * count, settings.streams):
            pass
        return time.perf_counter() - begin

    # The first batches wait for the graph to be compiled.
    batches(settings.streams)
    count = 2 * settings.streams
    seconds = batches(count)
    while seconds < MEASURED_SECONDS:
        count = max(count + 1, int(count * min(4, 1.2 * MEASURED_SECONDS / seconds)))
        seconds = batches(count)
    return count * ids.numel() / seconds


def _vocabulary_size(reader: ComputingTransformer) -> int:
    embeddings = cast(nn.Embedding, reader.backbone.get_input_embeddings())
    return min(len(reader.text_tokenizer), embeddings.num_embeddings)


def read_measurements(key: str) -> list[Measurement] | None:
    """Return what was measured earlier; None if nothing was, or if it cannot be read.

    Args:
        key: A hash of the model, the engine, the libraries and the processor.
    """
    try:
        rows = json.loads(_file(key).read_text(encoding="utf8"))
        return [
            Measurement(
                EngineSettings(int(row["streams"]), int(row["batch_tokens"])),
                float(row["tokens_per_second"]),
            )
            for row in rows
        ] or None
    except (FileNotFoundError, ImportError):
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        logger.warning(
            "the engine settings in %s are damaged (%s) and measured again", _file(key), error
        )
        return None


def _file(key: str) -> Path:
    return cache_folder() / "engine-settings" / f"{key}.json"


def _key(reader: ComputingTransformer) -> str:
    """Return a hash of everything that the speed depends on: of the weights only their shapes."""
    engine = reader.engine
    made_of: dict[str, Any] = {
        "processor": [platform.machine(), torch.backends.cpu.get_cpu_capability()],
        "capabilities": getattr(torch.cpu, "get_capabilities", dict)(),
        "threads": torch.get_num_threads(),
        "libraries": [torch.__version__, transformers.__version__],
        "engine": None if engine is None else [version(engine.name), engine.precision],
        "dtype": str(reader.backbone.dtype),
        "model": {**reader.backbone.config.to_dict(), "_name_or_path": None},
        "window": reader.extension.context.original,
    }
    return hashlib.sha256(json.dumps(made_of, sort_keys=True, default=str).encode()).hexdigest()
