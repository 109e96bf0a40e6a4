"""Images of any size, by windows of one: overlapping tiles, of which the middles are kept [1]_.

References
----------
.. [1] O. Ronneberger, P. Fischer and T. Brox, "U-Net: Convolutional Networks for Biomedical Image Segmentation",
   MICCAI 2015, section 2: the overlap-tile strategy, with mirrored edges.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

import numpy as np


class Window(NamedTuple):
    """A window, and what of it is kept.

    Attributes
    ----------
    top, left : int
        Where it begins, in pixels of the image; negative outside of it.
    rows, columns : slice
        Of the image, which it decides.
    """

    top: int
    left: int
    rows: slice
    columns: slice

    @property
    def kept(self) -> tuple[slice, slice]:
        """What it decides, in its own pixels."""
        return (
            slice(self.rows.start - self.top, self.rows.stop - self.top),
            slice(self.columns.start - self.left, self.columns.stop - self.left),
        )


def windows_of(size: tuple[int, int], tile: tuple[int, int], overlap: int) -> list[Window]:
    """Return windows that cover an image, each pixel kept once.

    Parameters
    ----------
    size : tuple of (height, width)
        Of the image, in pixels.
    tile : tuple of (height, width)
        Of a window.
    overlap : int
        Pixels around the middle of a window that only serve as surroundings, where another window begins; less than
        half of its sides.

    Returns
    -------
    list of Window
        Row by row. Windows have distances that are as equal as possible; a single one begins at the edge of the image.

    Examples
    --------
    >>> from skcnn.segmentation._windows import windows_of
    >>> [(window.left, window.columns) for window in windows_of((8, 20), (8, 12), 2)]
    [(0, slice(0, 10, None)), (8, slice(10, 20, None))]
    """
    along = [_lines(side, length, overlap) for side, length in zip(size, tile, strict=True)]
    return [Window(top, left, rows, columns) for top, rows in along[0] for left, columns in along[1]]


def _lines(side: int, length: int, overlap: int) -> list[tuple[int, slice]]:
    """Return where windows begin along one side, and what they keep of it."""
    if side <= length:
        return [(0, slice(0, side))]
    n = -(-(side - 2 * overlap) // (length - 2 * overlap))
    starts = [round(number * (side - length) / (n - 1)) for number in range(n)]
    # Between two windows, in the middle of what both see.
    borders = [0, *((a + length + b) // 2 for a, b in pairwise(starts)), side]
    return [(start, slice(borders[n], borders[n + 1])) for n, start in enumerate(starts)]


def cut_windows(pixels: np.ndarray, windows: list[Window], tile: tuple[int, int]) -> Iterator[np.ndarray]:
    """Yield the pixels of windows, (height, width, ...); beyond the edges the image is mirrored."""
    height, width = pixels.shape[:2]
    for window in windows:
        rows = mirrored(window.top + np.arange(tile[0]), height)
        columns = mirrored(window.left + np.arange(tile[1]), width)
        yield pixels[np.ix_(rows, columns)]


def mirrored(places: np.ndarray, side: int) -> np.ndarray:
    """Return places in [0, side) as if the line were mirrored at its ends again and again."""
    places = places % (2 * side)
    return np.where(places < side, places, 2 * side - 1 - places)
