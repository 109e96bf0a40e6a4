"""The variance filter: which features vary enough, at any scale."""

from __future__ import annotations

import numpy as np
from sklearn.utils import gen_batches

#: ``variance_threshold="auto"`` drops features below this fraction of the typical variance.
AUTO_THRESHOLD = 0.1

#: About that of the averaged activations for which the recipe was found; SGDClassifier's step depends on it.
TYPICAL_STD = 0.5

#: Rows whose float64 copy is held at a time.
BLOCK = 4096


def weighted_moments(X: np.ndarray, weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean and the variance of each feature, (n_features,) float64; 0 exactly for constant ones."""
    fraction = weight / weight.sum()
    mean, variance = np.zeros(X.shape[1]), np.zeros(X.shape[1])
    for rows in gen_batches(len(X), BLOCK):
        mean += fraction[rows] @ X[rows].astype(np.float64)
    for rows in gen_batches(len(X), BLOCK):
        variance += fraction[rows] @ (X[rows] - mean) ** 2
    # The mean of equal numbers is off by a rounding error, which would pass for a variance.
    variance[X.max(axis=0) == X.min(axis=0)] = 0.0
    return mean, variance


def typical_variance(mean: np.ndarray, variance: np.ndarray, dtype: np.dtype) -> float:
    """Return the median variance of the features that vary beyond the rounding of ``dtype``; 0 if none does."""
    varies = variance > (np.finfo(dtype).eps * mean) ** 2
    return float(np.median(variance[varies])) if varies.any() else 0.0


def support_mask(variance: np.ndarray, threshold: float, given: float | str) -> np.ndarray:
    """Return which features vary more than ``threshold``, (n_features,) bool.

    Raises
    ------
    ValueError
        If none does; the message has the variances and what to do about it.
    """
    support = variance > threshold
    if not support.any():
        low, middle, high = np.min(variance), np.median(variance), np.max(variance)
        advice = (
            "No feature varies over the rows given: check that the rows differ, and that the network that made the "
            "features had its weights."
            if high == 0 or given == "auto"
            else f"Use variance_threshold='auto', which fits any scale, or a number below {high:.3g}."
        )
        raise ValueError(
            f"variance_threshold={given!r} leaves none of the {len(variance)} features. Their variances: min "
            f"{low:.3g}, median {middle:.3g}, max {high:.3g}. {advice}"
        )
    return support


def standardise(X: np.ndarray, offset: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """Return (X - offset) / scale in float32, computed in float64."""
    Z = np.empty(X.shape, dtype=np.float32)
    for rows in gen_batches(len(X), BLOCK):
        Z[rows] = (X[rows] - offset) / scale
    return Z
