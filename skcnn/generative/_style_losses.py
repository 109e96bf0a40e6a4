"""The costs that style transfer minimises: distances of maps to a content, and of Gram matrices to a style."""

from __future__ import annotations

from typing import Any

import numpy as np

from skcnn._keras import import_keras


def gram_matrix(maps: Any) -> Any:
    """Return the products of the channels of a map, summed over its cells.

    Parameters
    ----------
    maps : tensor or ndarray of shape (1, height, width, channels) or (n_cells, channels)

    Returns
    -------
    tensor of shape (channels, channels)
    """
    ops = import_keras().ops
    cells = ops.reshape(maps, (-1, maps.shape[-1]))
    return ops.matmul(ops.transpose(cells), cells)


def content_cost(squares: Any, n_values: float) -> Any:
    """Return 1 / (4 * height * width * channels) times the sum of squared differences of two maps.

    Parameters
    ----------
    squares : tensor or float
        The sum.
    n_values : float
        Values of a map: height * width * channels.
    """
    return squares / (4 * n_values)


def style_cost(gram: Any, target: Any, n_cells: float) -> Any:
    """Return 1 / (4 * channels^2 * (height * width)^2) times the sum of squared differences of two Gram matrices.

    Parameters
    ----------
    gram : tensor or ndarray of shape (channels, channels)
        Summed over the cells of the image.
    target : tensor or ndarray of shape (channels, channels)
        That of the style, divided by the number of its cells: it may have another size.
    n_cells : float
        Cells of the image's map: height * width.
    """
    ops = import_keras().ops
    return ops.sum(ops.square(gram / n_cells - target)) / (4 * target.shape[-1] ** 2)


def style_sensitivity(gram: np.ndarray, target: np.ndarray, n_cells: float) -> np.ndarray:
    """Return the gradient of :func:`style_cost` with respect to ``gram``, of its shape."""
    return (gram / n_cells - target) / (2 * target.shape[-1] ** 2 * n_cells)


def total_variation(pixels: np.ndarray) -> tuple[float, np.ndarray]:
    """Return how much neighbouring pixels differ, and the gradient.

    Parameters
    ----------
    pixels : ndarray of shape (height, width, 3), float64
        Values in [0, 255].

    Returns
    -------
    value : float
        Sum of the squared differences of neighbours, of values in [0, 1], divided by the number of values.
    gradient : ndarray of shape (height, width, 3), float64
        With respect to ``pixels``.
    """
    down, right = np.diff(pixels, axis=0), np.diff(pixels, axis=1)
    scale = 255**2 * pixels.size
    gradient = np.zeros_like(pixels)
    gradient[1:] += down
    gradient[:-1] -= down
    gradient[:, 1:] += right
    gradient[:, :-1] -= right
    return float((np.sum(down**2) + np.sum(right**2)) / scale), gradient * (2 / scale)
