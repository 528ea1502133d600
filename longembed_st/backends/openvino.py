"""Passes computed by OpenVINO, on a CPU: the model's own weights in a graph that is compiled."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import threading
from collections import defaultdict
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Literal
from weakref import WeakValueDictionary

import numpy as np
import torch
import transformers
from numpy.typing import NDArray
from torch import Tensor
from transformers import PreTrainedModel

from longembed_st.backends import graph
from longembed_st.backends.graph import GraphInputs, traced
from longembed_st.backends.graph_files import graph_on_disk
from longembed_st.base.fingerprint import hash_weights
from longembed_st.compat import weight_versions
from longembed_st.errors import ModelError
from longembed_st.extras import needs_extra

if TYPE_CHECKING:
    from openvino import CompiledModel, Core, InferRequest, Model

    from longembed_st.base.computing import ComputingTransformer

logger = logging.getLogger(__name__)

Precision = Literal["float32", "bfloat16"]

_HINTS: dict[Precision, str] = {"float32": "f32", "bfloat16": "bf16"}

MIN_COSINE: dict[Precision, float] = {"float32": 0.99999, "bfloat16": 0.99}
"""Between a text's mean token embedding by the graph and by torch, when a graph is new."""

_PROBES = ["The committee met again.", "It spoke of many things, and of the budget among them."]


class OpenVino:
    """Computes the passes of a model.

    The graph is made of the model's weights when the first pass is read, and again whenever they
    have changed, so that a trained model is never read with its earlier weights.

    Args:
        precision: Of the computation; the weights enter in single precision.

    Raises:
        MissingExtraError: If OpenVINO is not installed.
    """

    name = "openvino"

    def __init__(self, precision: Precision) -> None:
        self.precision = precision
        self._core = _core()
        self._compiled: _Compiled | None = None
        self._compiled_of: object = None
        self._lock = threading.Lock()
        native = "BF16" in self._core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
        if precision == "bfloat16" and not native:
            logger.warning(
                "this processor has no instructions for bfloat16: OpenVINO emulates it or computes "
                "in single precision, and gains no speed. dtype='float32' is as fast, and exact"
            )

    def __reduce__(self) -> tuple[Any, ...]:
        # What is compiled is found again by the weights.
        return OpenVino, (self.precision,)

    def forget(self) -> None:
        """Forget the compiled graph; the next pass compiles one of the present weights."""
        with self._lock:
            self._compiled = None

    def refuse_inside(self, reason: str) -> None:
        """Raise `ModelError` for what acts inside the attention, which a graph does not expose."""
        raise ModelError(
            f"OpenVINO cannot compute {reason}: it acts inside the attention, which is one sealed "
            "operation of the compiled graph. Use backend='torch', or another method"
        )

    def start(
        self, reader: ComputingTransformer, inputs: dict[str, Any], streams: int = 1
    ) -> Callable[[], Tensor]:
        """Begin to compute one batch of passes.

        Args:
            reader: The extended module, within what its hook prepares.
            inputs: Those of the transformers model.
            streams: How many batches the processor computes at once, each with a share of the
                threads.

        Returns:
            A function that waits for the result and returns it: shape (batch, n, width), in single
            precision. To be called once.

        Raises:
            ModelError: If the model is not on the CPU, or the graph does not compute what it does.
        """
        if inputs["input_ids"].device.type != "cpu":
            raise ModelError(
                f"OpenVINO computes on the CPU, and this model is on {inputs['input_ids'].device}: "
                "move it back with model.to('cpu'), or load it with backend='torch'"
            )
        compiled = self._of(reader)
        return compiled.start(compiled.inputs.values(reader.backbone, inputs), streams)

    def _of(self, reader: ComputingTransformer) -> _Compiled:
        state = weight_versions(reader.backbone)
        _refuse_in_forked_child()
        with self._lock:
            if self._compiled is None or self._compiled_of != state:
                self._compiled = self._compile(reader)
                self._compiled_of = state
            return self._compiled

    def _compile(self, reader: ComputingTransformer) -> _Compiled:
        threads = torch.get_num_threads()
        inputs = GraphInputs(reader.backbone, reader.family)
        weights = _key(reader.backbone, inputs)
        key = (weights, self.precision, threads)
        shared = _all_compiled.get(key)
        if shared is not None:
            return shared
        example = inputs.values(reader.backbone, reader.padded_inputs(_PROBES))

        network = graph_on_disk(
            self._core, weights, lambda: traced(reader.backbone, inputs, example)
        )
        compiled = _Compiled(self._core, network, _HINTS[self.precision], threads, inputs)
        self._compare(reader, compiled)
        return _all_compiled.setdefault(key, compiled)

    def _compare(self, reader: ComputingTransformer, compiled: _Compiled) -> None:
        """Refuse a graph whose vectors are not the model's, at other lengths than were traced."""
        probe = reader.padded_inputs([" ".join(_PROBES), _PROBES[0]])
        theirs = reader.read_with_torch(dict(probe))["token_embeddings"]
        ours = compiled.start(compiled.inputs.values(reader.backbone, probe), 1)()
        mask = probe["attention_mask"][..., None]
        cosines = torch.cosine_similarity((theirs.float() * mask).sum(1), (ours * mask).sum(1))
        if not cosines.min() >= MIN_COSINE[self.precision]:
            raise ModelError(
                f"OpenVINO computes other vectors than torch with this model (cosine "
                f"{cosines.min():.5f} in {self.precision}). Load it with backend='torch'"
            )


class _Compiled:
    """A graph that is compiled for each number of streams; used by any number of threads."""

    def __init__(
        self, core: Core, network: Model, precision: str, threads: int, inputs: GraphInputs
    ) -> None:
        self.inputs = inputs
        self._core = core
        self._network = network
        self._settings = {
            "INFERENCE_PRECISION_HINT": precision,
            "INFERENCE_NUM_THREADS": threads,
        }
        self._lock = threading.Lock()
        self._models: dict[int, CompiledModel] = {}
        self._idle: defaultdict[int, list[InferRequest]] = defaultdict(list)

    def start(self, tensors: list[Tensor], streams: int) -> Callable[[], Tensor]:
        # The request reads the arrays where they are.
        arrays: list[NDArray[Any]] = [tensor.contiguous().numpy() for tensor in tensors]
        request = self._request(streams)
        request.start_async(arrays, share_inputs=True)
        return partial(self._finish, request, streams, arrays)

    def _finish(self, request: InferRequest, streams: int, arrays: list[NDArray[Any]]) -> Tensor:
        request.wait()
        output = np.array(request.get_output_tensor().data)
        self._idle[streams].append(request)
        return torch.from_numpy(output)

    def _request(self, streams: int) -> InferRequest:
        with self._lock:
            if self._idle[streams]:
                return self._idle[streams].pop()
            if streams not in self._models:
                self._models[streams] = self._compiled_for(streams)
            return self._models[streams].create_infer_request()

    def _compiled_for(self, streams: int) -> CompiledModel:
        settings = {**self._settings, "NUM_STREAMS": streams}
        try:
            return self._core.compile_model(self._network, "CPU", settings)
        except RuntimeError:
            # It can take away instructions that OpenVINO believes to be there.
            is_limited = "ONEDNN_MAX_CPU_ISA" in os.environ
            if settings["INFERENCE_PRECISION_HINT"] != _HINTS["bfloat16"] or not is_limited:
                raise
        logger.warning(
            "OpenVINO cannot compile the model in bfloat16 here, and computes in single precision: "
            "use dtype='float32', or unset ONEDNN_MAX_CPU_ISA"
        )
        settings["INFERENCE_PRECISION_HINT"] = _HINTS["float32"]
        return self._core.compile_model(self._network, "CPU", settings)


_all_compiled: WeakValueDictionary[tuple[str, str, int], _Compiled] = WeakValueDictionary()
"""Extensions of one model differ in what enters the graph, not in the graph."""


_compiled_in: int | None = None
"""The process in which a graph was first compiled."""


def _refuse_in_forked_child() -> None:
    """Raise `ModelError` where OpenVINO would wait for ever for threads of the parent."""
    global _compiled_in
    _compiled_in = _compiled_in or os.getpid()
    if _compiled_in != os.getpid():
        raise ModelError(
            "OpenVINO cannot compute in a forked process whose parent has computed with it. Start "
            "processes by 'spawn', embed nothing before the fork, or use backend='torch'"
        )


def _core() -> Core:
    with needs_extra("openvino", "openvino", "platformdirs"):
        import openvino
        import platformdirs  # noqa: F401 - of the same extra
    return openvino.Core()


def _key(model: PreTrainedModel, inputs: GraphInputs) -> str:
    """Return a hash of everything that a graph is made of."""
    import openvino

    made_of = {
        "version": graph.VERSION,
        "by": [openvino.get_version(), torch.__version__, transformers.__version__],
        "class": type(model).__qualname__,
        "config": {**model.config.to_dict(), "_name_or_path": None},
        "inputs": inputs.names,
        "masking": inputs.masking,
    }
    digest = hashlib.sha256(json.dumps(made_of, sort_keys=True, default=str).encode())
    hash_weights(digest, model)
    return digest.hexdigest()
