"""The engine of saved programs where OpenVINO is not installed: ONNX Runtime, on one image after another."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from importlib import import_module
from importlib.util import find_spec

import numpy as np

from skcnn.engines._engine import Engine
from skcnn.engines._openvino_engine import n_threads

_FATAL = 4


class ONNXRuntimeNetwork(Engine):
    """A network of ONNX Runtime, on the CPU.

    Every image is a run of its own, and a core works on one image at a time: memory is that of one image per core, and
    what comes out for an image does not depend on the others of its batch.

    Parameters
    ----------
    graph : bytes
        An ONNX file, from pixels (1, height, width, 3) uint8 to one output (1, n_values) float32. One of unknown origin
        is to be checked before: ONNX Runtime trusts what it is given.
    image_size : tuple of (height, width)
        In pixels.

    Raises
    ------
    ImportError
        If ONNX Runtime is not installed.
    RuntimeError
        If it cannot run the graph.
    """

    name = "onnxruntime"

    def __init__(self, graph: bytes, image_size: tuple[int, int]):
        if not is_onnxruntime_installed():
            raise ImportError("This needs ONNX Runtime: `pip install 'skcnn[onnx]'`.")
        onnxruntime = import_module("onnxruntime")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = _FATAL  # what is wrong is in the exception
        # It would take what begins like a file of its own for one, which may hold more than a graph of ONNX.
        options.add_session_config_entry("session.load_model_format", "ONNX")
        try:
            self._session = onnxruntime.InferenceSession(
                graph, options, providers=["CPUExecutionProvider"], enable_fallback=0
            )
        except Exception as error:  # its exceptions have no type in common
            raise RuntimeError(str(error)) from error
        (pixels,), (output,) = self._session.get_inputs(), self._session.get_outputs()
        self._input = pixels.name
        self.output_shapes = (tuple(map(int, output.shape))[1:],)
        self._shape = (*image_size, 3)
        self._threads = ThreadPoolExecutor(n_threads(), thread_name_prefix="skcnn-onnxruntime")

    def start(self, pixels: np.ndarray) -> Callable[[], np.ndarray]:
        """Begin to run a batch; see :meth:`Engine.start`."""
        if pixels.shape[1:] != self._shape or pixels.dtype != np.uint8:
            raise ValueError(f"pixels are {pixels.dtype} {pixels.shape}; expected uint8 (n, {str(self._shape)[1:]}")
        rows = [self._threads.submit(self._run, pixels[row : row + 1]) for row in range(len(pixels))]
        shape = (len(pixels), int(np.prod(self.output_shapes[0])))

        def finish() -> np.ndarray:
            records = np.empty(shape, np.float32)
            for record, row in zip(records, rows, strict=True):
                record[:] = row.result()
            return records

        return finish

    def _run(self, pixels: np.ndarray) -> np.ndarray:
        return np.asarray(self._session.run(None, {self._input: pixels})[0]).ravel()


@cache
def is_onnxruntime_installed() -> bool:
    """Tell whether ONNX Runtime can be imported, without importing it."""
    return find_spec("onnxruntime") is not None
