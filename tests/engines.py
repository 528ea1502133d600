"""What OpenVINO does on this machine."""

from __future__ import annotations

import os

import openvino


def computes_bfloat16() -> bool:
    """Whether it computes in bfloat16 when it is asked to; without AVX-512, it does not."""
    core = openvino.Core()
    if "AVX2" in os.environ.get("ONEDNN_MAX_CPU_ISA", ""):
        return False
    core.set_property("CPU", {"INFERENCE_PRECISION_HINT": "bf16"})
    return core.get_property("CPU", "INFERENCE_PRECISION_HINT") == openvino.Type.bf16
