"""What stands out in the errors of predicted numbers, as sentences."""

from __future__ import annotations

import numpy as np
from scipy.stats import spearmanr

from skcnn._text import counted, error_text, number_text
from skcnn.metrics.parts import NumberPredictions

_FEWEST = 20
"""With fewer samples nothing is said of patterns: they would be chance too often."""
_MAX_DEVIATIONS = 3
"""A mean or a slope within so many standard deviations of what it should be may be chance."""
_MAX_BIAS = 0.2
"""In standard deviations of the errors."""
_MAX_SLOPE = 0.15
_GROWTH = 0.3
"""Rank correlation of the size of an error with the predicted number."""
_MAX_P = 0.01
_FEW = 0.05
"""Of normal errors, the largest 12 % make half of the sum of squares; here it is this fraction at most."""


def error_patterns(predictions: NumberPredictions, r2: float) -> list[str]:
    """Return what stands out in the errors of one target: a sentence each.

    Parameters
    ----------
    predictions : NumberPredictions
        Of one target.
    r2 : float
        Their R2; NaN where it is not defined.
    """
    counts = predictions.weights > 0
    true, predicted = predictions.true[counts, 0], predictions.predicted[counts, 0]
    weights = predictions.weights[counts]
    found = ["Predictions are no better than always predicting the mean, whose R2 is 0." if r2 <= 0 else ""]
    if len(true) >= _FEWEST and (true != predicted).any():
        found += [
            _off_on_average(predicted - true, weights),
            _wrong_spread(true, predicted, weights),
            _grows(true, predicted, weights),
            _from_few(predicted - true, weights),
        ]
    return [sentence for sentence in found if sentence]


def _off_on_average(error: np.ndarray, weights: np.ndarray) -> str:
    """Say by how much predictions are too high or too low, where that is neither chance nor little."""
    bias = float(np.average(error, weights=weights))
    spread = float(np.sqrt(np.average((error - bias) ** 2, weights=weights)))
    n_effective = weights.sum() ** 2 / (weights**2).sum()  # Kish's number of samples of equal weight.
    if abs(bias) <= max(_MAX_DEVIATIONS * spread / np.sqrt(n_effective), _MAX_BIAS * spread):
        return ""
    return f"Predictions are too {'high' if bias > 0 else 'low'} by {error_text(abs(bias))} on average."


def _wrong_spread(true: np.ndarray, predicted: np.ndarray, weights: np.ndarray) -> str:
    """Say whether predictions lie too close to the mean or too far from it: the slope of true values over them is 1."""
    if not _varies(predicted):
        return ""
    around = predicted - np.average(predicted, weights=weights)
    squares = float((weights * around**2).sum())
    slope = float((weights * around * true).sum() / squares)
    left = true - np.average(true, weights=weights) - slope * around
    deviation = float(np.sqrt((weights**2 * around**2 * left**2).sum())) / squares  # whatever the spread of the errors
    if abs(slope - 1) <= max(_MAX_SLOPE, _MAX_DEVIATIONS * deviation):
        return ""
    if slope > 1:
        what, consequence = "shrink towards the mean", "high ones come out too low, and low ones too high"
    else:
        what, consequence = "lie too far from the mean", "high ones come out too high, and low ones too low"
    return (
        f"Predictions {what}: where they differ by 1, true values differ by {number_text(round(slope, 2))} on average, "
        f"so that {consequence}."
    )


def _grows(true: np.ndarray, predicted: np.ndarray, weights: np.ndarray) -> str:
    """Say how errors depend on the predicted number, where they do so in order."""
    size = np.abs(predicted - true)
    if not _varies(predicted) or (size == size[0]).all():
        return ""
    correlation = spearmanr(predicted, size)
    if abs(correlation.statistic) < _GROWTH or correlation.pvalue > _MAX_P:
        return ""
    thirds = np.array_split(np.argsort(predicted, kind="stable"), 3)
    low, high = (error_text(float(np.average(size[rows], weights=weights[rows]))) for rows in (thirds[0], thirds[2]))
    grows = correlation.statistic > 0
    advice = " A model of the logarithm may fit better." if grows and (true > 0).all() else ""
    return (
        f"Errors {'grow' if grows else 'fall'} with the predicted value: the MAE is {low} in the lowest third of the "
        f"predictions and {high} in the highest.{advice}"
    )


def _from_few(error: np.ndarray, weights: np.ndarray) -> str:
    """Say which few samples make half of the sum of squared errors."""
    squares = np.sort(weights * error**2)[::-1]
    n_few = 1 + int(np.searchsorted(np.cumsum(squares), squares.sum() / 2))
    if n_few > _FEW * len(error):
        return ""
    one = "comes from 1" if n_few == 1 else f"comes from {n_few:,}"
    return f"Half of the squared error {one} of {counted(len(error), 'sample')}: look at the worst errors."


def _varies(numbers: np.ndarray) -> bool:
    """Tell whether numbers differ by more than rounding."""
    return bool(np.ptp(numbers) > 1e-9 * np.abs(numbers).max())
