"""What every engine looks like from outside: pixels go in, and come out as records."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import NamedTuple

import numpy as np


class Tolerance(NamedTuple):
    """How far features may be from those of Keras in float32.

    ``relative`` is the largest difference over the largest value; ``cosine`` the least cosine between the two feature
    vectors of an image.
    """

    relative: float
    cosine: float


# Rounding to bfloat16 leaves three digits at each layer, and what is left at the end depends on the network.
TOLERANCES = {"float32": Tolerance(1e-4, 0.99999), "bfloat16": Tolerance(np.inf, 0.95)}
""":class:`Tolerance` of each precision."""


class Engine(ABC):
    """A network that is ready to run.

    Attributes
    ----------
    name : str
        One of :data:`skcnn.engines.ENGINES`.
    output_shapes : tuple of tuple of int
        Of each part of a record, without the batch.
    batch_size : int
        Preferred number of images per call.
    """

    name: str
    output_shapes: tuple[tuple[int, ...], ...]
    batch_size: int = 32

    @abstractmethod
    def start(self, pixels: np.ndarray) -> Callable[[], np.ndarray]:
        """Begin to run a batch.

        Parameters
        ----------
        pixels : ndarray of shape (n, height, width, 3), uint8
            Any n. It must not change before the end.

        Returns
        -------
        callable
            It waits for the end and returns the records (n, n_values), float32.
        """

    def run(self, pixels: np.ndarray) -> np.ndarray:
        """Return the records (n, n_values), float32, of pixels (n, height, width, 3), uint8."""
        return self.start(pixels)()
