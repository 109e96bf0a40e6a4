"""Networks as skcnn's OpenVINO engine exports them, and quantised to eight bits by NNCF."""

from __future__ import annotations

import logging
import tempfile
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from skcnn.engines import OpenVINONetwork, Plan, read_openvino, write_openvino
from skcnn.engines._record import build_record_model


class Exported:
    """The network of a plan, exported once.

    Attributes
    ----------
    image_size : tuple of (height, width)
        In pixels.
    """

    def __init__(self, plan: Plan):
        self.image_size = plan.image_size
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "network.xml"
            write_openvino(build_record_model(plan)[0], path)
            self._files = path.read_bytes(), path.with_suffix(".bin").read_bytes()

    def model(self) -> Any:
        """Return a new ``openvino.Model`` of it, for one image."""
        import openvino

        read = read_openvino(*self._files)
        # As the engine does: an export may have outputs that nobody asks for.
        model = openvino.Model([read.outputs[0].node], read.get_parameters())
        model.reshape([1, *self.image_size, 3])
        return model

    def quantised(self, pixels: np.ndarray) -> Any:
        """Return a new ``openvino.Model`` that computes in eight bits, calibrated on ``pixels`` (n, h, w, 3) uint8.

        NNCF is asked for the least time: weights use all eight bits, since this is for processors with VNNI.
        """
        nncf = self._nncf
        images = nncf.Dataset([one[None] for one in pixels])
        fast = nncf.AdvancedQuantizationParameters(overflow_fix=nncf.OverflowFix.DISABLE)
        return nncf.quantize(self.model(), images, subset_size=len(pixels), advanced_parameters=fast)

    @cached_property
    def _nncf(self) -> Any:
        import nncf

        logging.getLogger("nncf").setLevel(logging.ERROR)
        return nncf

    def network(self, precision: str, calibration: np.ndarray | None = None) -> OpenVINONetwork:
        """Return the network of skcnn's engine: in float32, bfloat16, or int8 calibrated on ``calibration``."""
        if precision == "int8":
            assert calibration is not None
            return OpenVINONetwork(self.quantised(calibration), self.image_size)
        return OpenVINONetwork(self.model(), self.image_size, precision)
