"""Images of one size side by side, as one image with white lines between them."""

from __future__ import annotations

import numpy as np


def side_by_side(images: np.ndarray) -> np.ndarray:
    """Return images as one.

    Parameters
    ----------
    images : ndarray of shape (n_rows, n_columns, height, width, 3) or (n_rows, n_columns, height, width), uint8

    Returns
    -------
    ndarray of shape (pixels, pixels, 3) or (pixels, pixels), uint8
        With lines of :func:`gap_between` pixels.
    """
    gap = gap_between(*images.shape[2:4])
    around = [(0, 0), (0, 0), (0, gap), (0, gap), *[(0, 0)] * (images.ndim - 4)]
    padded = np.pad(images, around, constant_values=255)
    return np.concatenate([np.concatenate(list(row), axis=1) for row in padded])[:-gap, :-gap]


def gap_between(height: int, width: int) -> int:
    """Return how many pixels there are between two images of this size."""
    return max(1, min(height, width) // 24)
