"""How well the edges of predicted regions lie."""

from __future__ import annotations

import numpy as np

from skcnn.images import IGNORED

#: How far an edge may be off, as a fraction of the diagonal of the image.
TOLERANCE = 0.0075


def boundary_counts(true: np.ndarray, predicted: np.ndarray, label: int, tolerance: float) -> np.ndarray:
    """Count pixels on edges of a class, and those that lie near an edge of the other mask.

    Parameters
    ----------
    true, predicted : ndarray of shape (height, width), uint8
        Labels; true ones of 255 do not count, nor does what is predicted there.
    label : int
        The class.
    tolerance : float
        How far apart is near, as a fraction of the diagonal.

    Returns
    -------
    ndarray of shape (4,), int
        Predicted pixels on edges that are near a true edge, all of them; true ones near a predicted edge, all of them.
    """
    counts = true != IGNORED
    edges = [_edges(mask == label, counts) for mask in (true, predicted)]
    there = edges[0] | edges[1]
    if not there.any():
        return np.zeros(4, int)
    distance = max(1.0, tolerance * np.hypot(*true.shape))
    rows, columns = (np.flatnonzero(there.any(axis=axis)) for axis in (1, 0))
    around = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
    of_true, of_predicted = (edge[around] for edge in edges)
    found = [
        int((here & _near(there, distance)).sum()) for here, there in ((of_predicted, of_true), (of_true, of_predicted))
    ]
    return np.array([found[0], int(of_predicted.sum()), found[1], int(of_true.sum())])


def _edges(inside: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Return the pixels of a region with a neighbour outside of it; borders of the image are no edges."""
    edge = np.zeros_like(inside)
    for axis in (0, 1):
        lines = np.moveaxis(inside, axis, 0)
        known = np.moveaxis(counts, axis, 0)
        changes = (lines[1:] != lines[:-1]) & known[1:] & known[:-1]
        along = np.moveaxis(edge, axis, 0)
        along[1:] |= changes
        along[:-1] |= changes
    return edge & inside & counts


def _near(edge: np.ndarray, distance: float) -> np.ndarray:
    """Return which pixels are at most so far from an edge."""
    from scipy.ndimage import distance_transform_edt

    return np.asarray(distance_transform_edt(~edge) <= distance) if edge.any() else np.zeros_like(edge)
