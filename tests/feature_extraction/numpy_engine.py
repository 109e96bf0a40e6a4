"""An engine that needs no network: features that depend on the pixels alone, in some microseconds.

What is tested with it is what lies around engines; a process with it starts in a second and can be forked.
"""

import os
import time
import zlib

import numpy as np

from skcnn.engines import Engine


class NumpyEngine(Engine):
    name = "keras"
    log: str | None = None
    pause = 0.0
    fail_after: int | None = None

    def __init__(self, plan):
        sizes = {layer.name: layer.n_features for layer in plan.backbone.layers}
        self.output_shapes = tuple(
            (sizes[output.layer],) if output.pooling else (2, 2, sizes[output.layer]) for output in plan.outputs
        )
        n_pixels = plan.image_size[0] * plan.image_size[1] * 3
        # By output, so that a feature is the same whichever others are in the record.
        self._matrix = np.hstack(
            [
                np.random.default_rng(zlib.crc32(repr(output).encode())).normal(size=(n_pixels, int(np.prod(shape))))
                for output, shape in zip(plan.outputs, self.output_shapes, strict=True)
            ]
        ).astype(np.int64)  # whole numbers: sums are exact, in any order
        self.n_run = 0

    def start(self, pixels):
        if NumpyEngine.fail_after is not None and self.n_run >= NumpyEngine.fail_after:
            raise RuntimeError("the engine broke down")
        self.n_run += len(pixels)
        if self.log:
            with open(self.log, "a") as file:
                file.write(f"{len(pixels)}\n")
        time.sleep(self.pause * len(pixels))
        records = np.stack([one.ravel() @ self._matrix for one in pixels]).astype(np.float32)
        return lambda: records


_engines: dict[str, NumpyEngine] = {}


def get_engine(plan, name, folder, n_images):
    return _engines.setdefault(f"{os.getpid()} {plan.network}", NumpyEngine(plan))


def n_run() -> int:
    """How many images went through engines of this process."""
    return sum(engine.n_run for engine in _engines.values())


def install() -> None:
    """Use it in place of all engines, in this process."""
    from skcnn.feature_extraction import _bottleneck_features, _extraction

    _extraction.get_engine = _bottleneck_features.get_engine = get_engine
