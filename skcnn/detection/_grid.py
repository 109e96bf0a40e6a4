"""The slots of a grid of cells: where a detector may say that there is an object, and which box it begins with."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite

import numpy as np

#: Slots of an image, at most: those of 2,048 x 2,048 pixels with 64 anchors in cells of 8 pixels.
MAX_SLOTS = 2**22


@dataclass(frozen=True)
class Grid:
    """Cells of one or several strides, with one or several prior boxes each.

    A slot is a prior box of a cell. Slots are in order of level, row, column and prior box.

    Parameters
    ----------
    image_size : tuple of (height, width)
        In pixels, of the images that the network takes.
    strides : tuple of int
        Sides of the cells of each level, in pixels, finest first.
    priors : tuple of tuple of (width, height)
        Sizes of the prior boxes of each level, in pixels: anchors, or one typical size where there are none.
    has_anchors : bool
        Whether prior boxes are anchors, which objects choose by their size; or an object is found by the cells around
        its centre.

    Raises
    ------
    ValueError
        If strides or sizes are no positive numbers, or there are too many slots.
    """

    image_size: tuple[int, int]
    strides: tuple[int, ...]
    priors: tuple[tuple[tuple[float, float], ...], ...]
    has_anchors: bool

    def __post_init__(self) -> None:
        sizes = [side for level in self.priors for size in level for side in size]
        if not all(type(stride) is int and stride > 0 for stride in self.strides):
            raise ValueError(f"The grid has strides {self.strides}; expected ints > 0.")
        if len(self.priors) != len(self.strides) or not all(isfinite(side) and side > 0 for side in sizes):
            raise ValueError(f"The grid has prior boxes of {self.priors}; expected finite sizes > 0 for each level.")
        n_slots = sum(rows * columns * n for (rows, columns), n in zip(self.shapes, self.n_priors, strict=True))
        if n_slots > MAX_SLOTS:
            raise ValueError(
                f"The grid of strides {self.strides} has {n_slots:,} places for boxes; expected at most {MAX_SLOTS:,}. "
                "Use fewer anchors, coarser levels or a smaller image_size."
            )

    @property
    def shapes(self) -> tuple[tuple[int, int], ...]:
        """Rows and columns of cells of each level."""
        height, width = self.image_size
        return tuple((-(-height // stride), -(-width // stride)) for stride in self.strides)

    @property
    def n_priors(self) -> tuple[int, ...]:
        """Prior boxes per cell, of each level."""
        return tuple(len(sizes) for sizes in self.priors)

    def slots(self) -> np.ndarray:
        """Return the centre, size and stride of each slot's prior box: (n_slots, 5) float32, in pixels."""
        parts = []
        for (rows, columns), stride, sizes in zip(self.shapes, self.strides, self.priors, strict=True):
            part = np.empty((rows, columns, len(sizes), 5), np.float32)
            part[..., 0] = (np.arange(columns) + 0.5)[None, :, None] * stride
            part[..., 1] = (np.arange(rows) + 0.5)[:, None, None] * stride
            part[..., 2:4] = np.array(sizes, np.float32)
            part[..., 4] = stride
            parts.append(part.reshape(-1, 5))
        return np.concatenate(parts)

    def level_of_slots(self) -> np.ndarray:
        """Return the number of the level of each slot, (n_slots,) int."""
        counts = [rows * columns * n for (rows, columns), n in zip(self.shapes, self.n_priors, strict=True)]
        return np.repeat(np.arange(len(counts)), counts)
