"""How much the pixels of each class count in the loss of a segmenter."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from numbers import Real
from typing import Any

import numpy as np

from skcnn._text import listing


def class_weights(given: str | Mapping[int, float] | None, labels: Sequence[int], n_pixels: np.ndarray) -> np.ndarray:
    """Return the weights of classes.

    Parameters
    ----------
    given : {"balanced"}, mapping from label to number or None
        The parameter ``class_weight``. None is 1 for each; ``"balanced"`` lets all classes count the same; labels that
        a mapping lacks have 1.
    labels : sequence of int
        The classes.
    n_pixels : ndarray of shape (n_classes,), int
        How often each occurs.

    Returns
    -------
    ndarray of shape (n_classes,), float64

    Raises
    ------
    ValueError
        If a class has no pixel to be balanced by, or a mapping has other labels or numbers < 0.
    """
    if given == "balanced":
        if not n_pixels.all():
            missing = labels[int(np.flatnonzero(n_pixels == 0)[0])]
            raise ValueError(f"class_weight='balanced', and y has no pixel of class {missing}; give a dict instead.")
        return np.asarray(n_pixels.sum() / (len(labels) * n_pixels))
    if not isinstance(given, Mapping):
        return np.ones(len(labels))
    unknown = [label for label in given if label not in labels]
    weights: list[Any] = [given.get(label, 1.0) for label in labels]
    if unknown or not all(isinstance(value, Real) and 0 <= float(value) < np.inf for value in weights):
        raise ValueError(f"class_weight={given!r}; expected numbers >= 0 by label, of {listing(map(str, labels))}")
    return np.array(weights, float)
