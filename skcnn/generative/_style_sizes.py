"""Sizes of results, of the levels of a pyramid and of styles, and pixels that are brought to them."""

from __future__ import annotations

from collections.abc import Sequence
from math import log2

import numpy as np
from PIL import Image

from skcnn.images import as_image_size, resize_image

#: Longer side in pixels of results at most, and of styles that are kept at most.
MAX_SIDE, MAX_STYLE_SIDE = 4096, 2048

#: Pixels on each side that are optimised as well, and cut off.
MARGIN = 16

#: Longer side of the coarsest level, at least.
_COARSEST = 128


def with_longer_side(size: tuple[int, int], side: int) -> tuple[int, int]:
    """Return a size of the same aspect ratio, as far as whole pixels allow."""
    height, width = (max(1, round(given * side / max(size))) for given in size)
    return height, width


def within(size: tuple[int, int], side: int) -> tuple[int, int]:
    """Return the size, or where it is larger one whose longer side is ``side``."""
    return size if max(size) <= side else with_longer_side(size, side)


def output_size_of(output_size: int | Sequence[int] | None, size: tuple[int, int]) -> tuple[int, int]:
    """Return the size of the result for a content of a size.

    Raises
    ------
    ValueError
        If ``output_size`` is invalid, or None and the content too large.
    """
    if output_size is None:
        if max(size) > MAX_SIDE:
            raise ValueError(
                f"output_size=None with an image of {size[0]} x {size[1]} pixels; expected sides of at most "
                f"{MAX_SIDE:,}: give output_size={MAX_SIDE} or less."
            )
        return size
    try:
        height, width = as_image_size(output_size)
    except ValueError:
        raise ValueError(
            f"output_size={output_size!r}; expected the longer side in pixels, or (height, width), each at most "
            f"{MAX_SIDE:,}, or None for the size of the content"
        ) from None
    return (height, width) if isinstance(output_size, Sequence) else with_longer_side(size, height)


def level_sizes(size: tuple[int, int], n_levels: int | None) -> list[tuple[int, int]]:
    """Return the sizes of the levels, from coarse to fine: each is half of the next one, and the last is ``size``.

    None stands for as many levels as have a longer side of at least 128 pixels, and at least one.
    """
    n_levels = max(1, int(log2(max(size) / _COARSEST)) + 1) if n_levels is None else n_levels
    return [with_longer_side(size, max(1, round(max(size) / 2**times))) for times in range(n_levels - 1, 0, -1)] + [
        size
    ]


def in_steps(size: tuple[int, int], step: int) -> tuple[int, int]:
    """Return the multiples of ``step`` next to a size."""
    height, width = (max(1, round(side / step)) * step for side in size)
    return height, width


def resized(pixels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Return uint8 pixels (height, width, 3) at another size."""
    return np.asarray(resize_image(Image.fromarray(pixels), size))


def padded(pixels: np.ndarray, step: int) -> np.ndarray:
    """Return pixels with a margin, continued by their mirror image, and with sides that are multiples of ``step``.

    Cells at the edges of a map see less of the image, or black beyond it: what is there is cut off.
    """
    more = [(MARGIN, MARGIN + -(side + 2 * MARGIN) % step) for side in pixels.shape[:2]]
    return np.pad(pixels, [*more, (0, 0)], mode="symmetric")


def as_image(pixels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Return the image (height, width, 3) uint8 in pixels that were :func:`padded`."""
    inner = pixels[MARGIN : MARGIN + size[0], MARGIN : MARGIN + size[1]]
    return np.rint(inner.clip(0, 255)).astype(np.uint8)
