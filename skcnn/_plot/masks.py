"""Masks drawn into the pixels of an image."""

from __future__ import annotations

import numpy as np

#: How much of a colour there is in tinted pixels.
TINT = 0.45


def rgb_of(color: str) -> np.ndarray:
    """Return red, green and blue of "#rrggbb", (3,)."""
    return np.array([int(color[start : start + 2], 16) for start in (1, 3, 5)], float)


def edges_of(labels: np.ndarray) -> np.ndarray:
    """Return the pixels whose right or lower neighbour has another label."""
    edges = np.zeros(labels.shape, bool)
    edges[:-1] |= labels[:-1] != labels[1:]
    edges[:, :-1] |= labels[:, :-1] != labels[:, 1:]
    return edges
