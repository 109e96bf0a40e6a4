"""Heat laid over the pixels of an image."""

from __future__ import annotations

import numpy as np


def with_heat(image: np.ndarray, heat: np.ndarray, *, alpha: float, cmap: str) -> np.ndarray:
    """Return an image with heat laid over it.

    Parameters
    ----------
    image : ndarray of shape (..., height, width, 3), uint8
        One image, or several of one size.
    heat : ndarray of shape (..., height, width), float
        In [0, 1].
    alpha : float
        How much the heat covers, in [0, 1].
    cmap : str
        Name of a matplotlib colormap.

    Returns
    -------
    ndarray of shape (..., height, width, 3), uint8

    Raises
    ------
    ValueError
        If alpha is not in [0, 1].
    """
    import matplotlib as mpl

    if not 0 <= alpha <= 1:
        raise ValueError(f"alpha={alpha!r}; expected a number in [0, 1].")
    return np.rint((1 - alpha) * image + alpha * 255 * mpl.colormaps[cmap](heat)[..., :3]).astype(np.uint8)
