"""Scores of a resized image as those of the upright one, in strips: an image may be larger than memory has room for."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from skcnn.images import IGNORED, Geometry

#: Values that are worked on at a time.
_AT_ONCE = 2**22


def probabilities_of(logits: np.ndarray) -> np.ndarray:
    """Return the softmax over the last axis, float32."""
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def strips_of(scores: np.ndarray, geometry: Geometry) -> Iterator[tuple[slice, np.ndarray]]:
    """Yield rows of the upright image and their scores, interpolated bilinearly between the middles of pixels.

    Parameters
    ----------
    scores : ndarray of shape (new_height, new_width, n_classes)
        Of the resized image.
    geometry : Geometry
        How it was resized.

    Yields
    ------
    rows : slice
    scores : ndarray of shape (n_rows, width, n_classes)
    """
    (height, width), n_classes = geometry.original, scores.shape[2]
    rows, columns = (
        _between((np.arange(side) + 0.5) * scale + offset - 0.5, new)
        for side, scale, offset, new in zip(
            geometry.original, geometry.scale, geometry.offset, geometry.size, strict=True
        )
    )
    n_rows = max(1, _AT_ONCE // (width * n_classes))
    for start in range(0, height, n_rows):
        here = slice(start, min(start + n_rows, height))
        low, high, part = (values[here] for values in rows)
        lines = scores[low] + part[:, None, None] * (scores[high] - scores[low])
        low, high, part = columns
        yield here, lines[:, low] + part[:, None] * (lines[:, high] - lines[:, low])


def _between(places: np.ndarray, side: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return between which pixels places are, and how far on the way; those outside are at the edge."""
    places = np.clip(places, 0, side - 1)
    low = np.minimum(np.floor(places).astype(int), max(0, side - 2))
    return low, np.minimum(low + 1, side - 1), (places - low).astype(np.float32)


def whole_of(scores: np.ndarray, geometry: Geometry) -> np.ndarray:
    """Return scores of a resized image as those of the upright one, (height, width, n_classes), float32."""
    found = np.empty((*geometry.original, scores.shape[2]), np.float32)
    for rows, values in strips_of(scores, geometry):
        found[rows] = values
    return found


def mask_of(scores: np.ndarray, geometry: Geometry, classes: np.ndarray) -> np.ndarray:
    """Return the labels of the highest scores, (height, width) uint8; 255 for pixels that were cut off."""
    labels = np.empty(geometry.original, np.uint8)
    for rows, values in strips_of(scores, geometry):
        labels[rows] = classes[values.argmax(axis=-1)]
    seen = geometry.back_mask(np.zeros(geometry.size, np.uint8))
    labels[seen == IGNORED] = IGNORED
    return labels
