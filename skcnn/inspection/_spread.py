"""Points in the order in which they cover a map: each as far as possible from those before it."""

from __future__ import annotations

import numpy as np


def spread(coordinates: np.ndarray, n_points: int) -> tuple[np.ndarray, np.ndarray]:
    """Return points that are far from each other, those that stand alone first (Gonzalez's farthest-first traversal).

    Squares with side s around the points whose spacing is at least s do not overlap: these are the first ones, for
    every s. So one order serves a map at every scale.

    Parameters
    ----------
    coordinates : ndarray of shape (n, 2)
        Finite.
    n_points : int
        How many points at most.

    Returns
    -------
    rows : ndarray of shape (m,), int
        The one nearest to the centre first. Of points at one place there is one.
    spacing : ndarray of shape (m,), float
        Distance to the nearest of the points before, as the larger one of the distances along the axes; it never
        rises. Infinite for the first.

    References
    ----------
    T. F. Gonzalez, "Clustering to minimize the maximum intercluster distance", Theoretical Computer Science 38 (1985).
    """
    rows: list[int] = []
    spacings: list[float] = []
    nearest = np.full(len(coordinates), np.inf)
    row = int(np.abs(coordinates - coordinates.mean(axis=0)).max(axis=1).argmin()) if len(coordinates) else 0
    while len(rows) < min(n_points, len(coordinates)) and nearest[row] > 0:
        rows.append(row)
        spacings.append(float(nearest[row]))
        nearest = np.minimum(nearest, np.abs(coordinates - coordinates[row]).max(axis=1))
        row = int(nearest.argmax())
    return np.array(rows, dtype=int), np.array(spacings, dtype=float)
