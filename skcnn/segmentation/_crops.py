"""Parts of images around boxes, as images."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np

from skcnn.boxes import pixels_of_box
from skcnn.images import Images

#: Top, left, bottom and right, in pixels; the last two are behind the last ones.
Window = tuple[int, int, int, int]

#: No image is larger: thumbnails of this size are the images themselves.
_ANY_SIZE = 2**30


class Crops(Images):
    """Windows of images, as images: they are decoded when they are read.

    Parameters
    ----------
    images : Images
        All rows.
    numbers : sequence of int
        The row of each window.
    windows : sequence of (top, left, bottom, right)
        Inside of the image, in pixels of the upright one.
    max_pixels : int or None
        Larger images are refused.
    """

    def __init__(
        self, images: Images, numbers: Sequence[int], windows: Sequence[Window], *, max_pixels: int | None = None
    ):
        self._images, self._max_pixels = images, max_pixels
        # The image that was decoded last, for its next window.
        self._last: list[tuple[int, np.ndarray]] = []
        super().__init__(list(zip(numbers, windows, strict=True)))

    def take(self, rows: Sequence[int]) -> Crops:
        """Return the windows at ``rows`` as windows of their own."""
        taken = object.__new__(Crops)
        taken.__dict__.update(self.__dict__)
        taken.items = [self.items[row] for row in rows]
        return taken

    def number(self, row: int) -> int:
        """Return the row of the image that a window is in."""
        return int(self.items[row][0])

    def path(self, row: int) -> str | None:
        """Return None: a part of an image lies nowhere."""
        return None

    def size(self, row: int) -> tuple[int, int]:
        """Return the height and width of a window."""
        top, left, bottom, right = self.items[row][1]
        return bottom - top, right - left

    def digest(self, row: int) -> bytes:
        """Return by what a window is known: see :meth:`skcnn.images.Images.digest`."""
        number, window = self.items[row]
        return hashlib.blake2b(self._images.digest(number) + repr(window).encode(), digest_size=32).digest()

    def read(self, row: int) -> np.ndarray:
        """Return the pixels of a window, uint8 (height, width, 3)."""
        number, (top, left, bottom, right) = self.items[row]
        # Threads may each put in another one; whichever is there is right.
        last = self._last[0] if self._last else None
        if last is None or last[0] != number:
            last = number, self._images.thumbnail(number, _ANY_SIZE, max_pixels=self._max_pixels)
            self._last[:] = [last]
        return np.ascontiguousarray(last[1][top:bottom, left:right])


def window_around(xyxy: np.ndarray, size: tuple[int, int], margin: float) -> Window:
    """Return the window of an image around a box.

    Parameters
    ----------
    xyxy : ndarray of shape (4,), float
        Inside of the image.
    size : tuple of (height, width)
        Of the image, in pixels.
    margin : float
        What is added at each side, as a fraction of the box's height and width; not beyond the image.

    Returns
    -------
    tuple of four int
        Top, left, bottom and right; at least one pixel.
    """
    added = margin * np.tile(xyxy[2:] - xyxy[:2], 2) * (-1, -1, 1, 1)
    top, left, bottom, right = pixels_of_box(xyxy + added)
    top, left = min(max(top, 0), size[0] - 1), min(max(left, 0), size[1] - 1)
    return top, left, max(min(bottom, size[0]), top + 1), max(min(right, size[1]), left + 1)
