"""A network run over batches of pixels: a plan goes in, an engine comes out.

Two engines run a network. ``"keras"`` is Keras on whichever backend it is configured for, ``"openvino"`` is OpenVINO on
the CPU; ``"auto"`` measures which of them is faster. Both take 8-bit pixels and return float32 records, and there is
one compiled network per process and configuration, shared by all callers.
"""

from skcnn.engines._engine import TOLERANCES, Engine, Tolerance
from skcnn.engines._keras_engine import frozen_function
from skcnn.engines._onnxruntime import ONNXRuntimeNetwork, is_onnxruntime_installed
from skcnn.engines._openvino_engine import OpenVINONetwork, is_openvino_installed, read_openvino, write_openvino
from skcnn.engines._plan import ENGINES, PRECISIONS, Output, Plan
from skcnn.engines._registry import clear_engines, get_engine, get_saved_engine, network_lock
from skcnn.engines._saved_network import SavedNetwork

__all__ = [
    "ENGINES",
    "PRECISIONS",
    "TOLERANCES",
    "Engine",
    "ONNXRuntimeNetwork",
    "OpenVINONetwork",
    "Output",
    "Plan",
    "SavedNetwork",
    "Tolerance",
    "clear_engines",
    "frozen_function",
    "get_engine",
    "get_saved_engine",
    "is_onnxruntime_installed",
    "is_openvino_installed",
    "network_lock",
    "read_openvino",
    "write_openvino",
]
