"""Masks drawn into the pixels of an image."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from skcnn._plot.theme import class_colors

#: How much of a colour there is in tinted pixels.
_TINT = 0.45


def mask_colors(labels: np.ndarray) -> dict[int, tuple[int, int, int]]:
    """Return red, green and blue of each label but the first, which is the background mostly."""
    colors = class_colors(len(labels))[1:]
    return {int(label): rgb(color) for label, (color, _) in zip(labels[1:], colors, strict=True)}


def rgb(color: str) -> tuple[int, int, int]:
    """Return red, green and blue of "#rrggbb"."""
    return int(color[1:3], 16), int(color[3:5], 16), int(color[5:7], 16)


def with_mask(image: np.ndarray, mask: np.ndarray, colors: Mapping[int, tuple[int, int, int]]) -> np.ndarray:
    """Return an image with the pixels of a mask tinted.

    Parameters
    ----------
    image : ndarray of shape (height, width, 3), uint8
    mask : ndarray of shape (height, width), int
        Labels.
    colors : mapping from label to (red, green, blue)
        Pixels of other labels stay.

    Returns
    -------
    ndarray of shape (height, width, 3), uint8
    """
    tinted = image.copy()
    for label, color in colors.items():
        there = mask == label
        tinted[there] = np.rint((1 - _TINT) * image[there] + _TINT * np.array(color, float))
    return tinted


def edges_of(labels: np.ndarray) -> np.ndarray:
    """Return the pixels whose right or lower neighbour has another label."""
    edges = np.zeros(labels.shape, bool)
    edges[:-1] |= labels[:-1] != labels[1:]
    edges[:, :-1] |= labels[:, :-1] != labels[:, 1:]
    return edges
