"""Intersection over union: how well two boxes agree."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

#: The columns of a table of boxes that say where a box is, in pixels of the upright image.
COORDINATES = ["xmin", "ymin", "xmax", "ymax"]

#: Pairs worked on at a time: a few arrays of 8 MB, whatever the number of boxes.
_CHUNK = 2**20


def pairwise_iou(a: ArrayLike | pd.DataFrame, b: ArrayLike | pd.DataFrame) -> np.ndarray:
    """Return the intersection over union of each box of ``a`` with each box of ``b``.

    Parameters
    ----------
    a, b : array-like of shape (n_a, 4) and (n_b, 4), or DataFrame
        ``xmin, ymin, xmax, ymax`` in any unit, half-open: the width of a box is ``xmax - xmin``. Of a DataFrame, such
        as one table of y, the columns of these names. An empty list stands for no boxes.

    Returns
    -------
    ndarray of shape (n_a, n_b), float64
        In [0, 1]. A box without an area (inverted, or with a NaN) has 0 with all others.

    Raises
    ------
    ValueError
        If the boxes do not have four columns.

    See Also
    --------
    paired_iou : Box by box, for two arrays of equal length.

    Examples
    --------
    >>> from skcnn.boxes import pairwise_iou
    >>> pairwise_iou([[0, 0, 10, 10]], [[0, 0, 10, 10], [5, 0, 15, 10], [20, 20, 30, 30]]).round(3)
    array([[1.   , 0.333, 0.   ]])
    """
    a, b = coordinates_of(a, "a"), coordinates_of(b, "b")
    overlaps = np.zeros((len(a), len(b)))
    if len(b):
        rows = max(1, _CHUNK // len(b))
        for start in range(0, len(a), rows):
            overlaps[start : start + rows] = _iou(a[start : start + rows, None], b[None])
    return overlaps


def paired_iou(a: ArrayLike | pd.DataFrame, b: ArrayLike | pd.DataFrame) -> np.ndarray:
    """Return the intersection over union of each box of ``a`` with the box of ``b`` in the same row.

    Parameters
    ----------
    a, b : array-like of shape (n_boxes, 4), or DataFrame
        Boxes: see :func:`pairwise_iou`.

    Returns
    -------
    ndarray of shape (n_boxes,), float64
        In [0, 1]; 0 where one of the two has no area.

    Raises
    ------
    ValueError
        If the boxes do not have four columns, or ``a`` and ``b`` differ in length.

    Examples
    --------
    >>> from skcnn.boxes import paired_iou
    >>> paired_iou([[0, 0, 10, 10], [0, 0, 4, 4]], [[5, 0, 15, 10], [0, 0, 4, 4]]).round(3)
    array([0.333, 1.   ])
    """
    a, b = coordinates_of(a, "a"), coordinates_of(b, "b")
    if len(a) != len(b):
        raise ValueError(f"a has {len(a)} boxes and b has {len(b)}; expected the same number, one pair per row.")
    return _iou(a, b)


def coordinates_of(boxes: ArrayLike | pd.DataFrame, name: str) -> np.ndarray:
    """Return boxes as an array (n_boxes, 4) of float64; the error names the argument."""
    if isinstance(boxes, pd.DataFrame) and set(COORDINATES) <= set(boxes.columns):
        boxes = boxes[COORDINATES]
    array = np.asarray(boxes, dtype=float)
    if array.size == 0 and array.ndim <= 2:
        return np.empty((0, 4))
    if array.ndim != 2 or array.shape[1] != 4:
        raise ValueError(f"{name} has shape {array.shape}; expected (n_boxes, 4): xmin, ymin, xmax, ymax.")
    return array


def _iou(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    width = np.minimum(a[..., 2], b[..., 2]) - np.maximum(a[..., 0], b[..., 0])
    height = np.minimum(a[..., 3], b[..., 3]) - np.maximum(a[..., 1], b[..., 1])
    # Comparisons with NaN are False, so that such a pair stays at 0.
    meets = (width > 0) & (height > 0)
    shared = np.where(meets, width, 0.0) * np.where(meets, height, 0.0)
    union = _area(a) + _area(b) - shared
    return np.divide(shared, union, out=np.zeros_like(shared), where=shared > 0)


def _area(boxes: np.ndarray) -> np.ndarray:
    return (boxes[..., 2] - boxes[..., 0]) * (boxes[..., 3] - boxes[..., 1])
