"""The Kalman filter of SORT, for many boxes at once: constant velocity of centre and area, constant aspect ratio.

Four numbers of a box are measured: centre x, centre y, area and width / height. Each but the last one has a change per
frame. As all noise is independent, and no number moves another one, the filter of these seven numbers is four filters
of one number and its change each, of which the last change is always 0: no matrix has to be inverted.

States are arrays (n, 5, 4): for each of the four numbers its mean, the mean of its change, its variance, the covariance
of both, and the variance of the change.
"""

from __future__ import annotations

import numpy as np

MEAN, CHANGE, VARIANCE, COVARIANCE, CHANGE_VARIANCE = range(5)
N_MEASURED = 4

#: No area and no ratio is smaller: noise could drive either to 0.
_SMALLEST = 1e-6


def measurements_of(boxes: np.ndarray) -> np.ndarray:
    """Return centre x, centre y, area and width / height of boxes (n, 4) as xmin, ymin, xmax, ymax."""
    low, size = boxes[:, :2], boxes[:, 2:] - boxes[:, :2]
    measured = np.empty((len(boxes), N_MEASURED))
    measured[:, :2] = low + size / 2
    measured[:, 2] = size[:, 0] * size[:, 1]
    measured[:, 3] = size[:, 0] / size[:, 1]
    return measured


def boxes_of(measured: np.ndarray) -> np.ndarray:
    """Return the boxes (n, 4) with these measurements (n, 4): the inverse of :func:`measurements_of`."""
    area, ratio = np.maximum(measured[:, 2], _SMALLEST), np.maximum(measured[:, 3], _SMALLEST)
    boxes = np.empty((len(measured), 4))
    half = np.sqrt(area * ratio)[:, None] / 2 * [1.0, 0.0]
    half[:, 1] = np.sqrt(area / ratio) / 2
    boxes[:, :2] = measured[:, :2] - half
    boxes[:, 2:] = measured[:, :2] + half
    return boxes


def begin(measured: np.ndarray, noise: np.ndarray) -> np.ndarray:
    """Return states (n, 5, 4) of boxes that were just seen; ``noise`` (n, 2, 4) has the first variances."""
    states = np.zeros((len(measured), 5, N_MEASURED))
    states[:, MEAN] = measured
    states[:, VARIANCE], states[:, CHANGE_VARIANCE] = noise[:, 0], noise[:, 1]
    return states


def predict(states: np.ndarray, noise: np.ndarray) -> np.ndarray:
    """Return states (n, 5, 4) one frame later.

    ``noise`` (n, 2, 4) has the variances of what happens to numbers and changes within a frame. An area that would fall
    to 0 or below stays as it is.
    """
    later = states.copy()
    falls_to_nothing = later[:, MEAN, 2] + later[:, CHANGE, 2] <= 0
    later[falls_to_nothing, CHANGE, 2] = 0.0
    later[:, MEAN] += later[:, CHANGE]
    later[:, VARIANCE] += 2 * states[:, COVARIANCE] + states[:, CHANGE_VARIANCE] + noise[:, 0]
    later[:, COVARIANCE] += states[:, CHANGE_VARIANCE]
    later[:, CHANGE_VARIANCE] += noise[:, 1]
    return later


def update(states: np.ndarray, measured: np.ndarray, noise: np.ndarray) -> np.ndarray:
    """Return states (n, 5, 4) corrected by what was measured (n, 4), with the variances ``noise`` (n, 4)."""
    spread = states[:, VARIANCE] + noise
    missed = (measured - states[:, MEAN]) / spread
    corrected = states.copy()
    corrected[:, MEAN] += states[:, VARIANCE] * missed
    corrected[:, CHANGE] += states[:, COVARIANCE] * missed
    # Variances as products, which rounding cannot make negative; the last one is never below its product.
    kept = noise / spread
    corrected[:, VARIANCE] *= kept
    corrected[:, COVARIANCE] *= kept
    rest = states[:, CHANGE_VARIANCE] - states[:, COVARIANCE] ** 2 / spread
    corrected[:, CHANGE_VARIANCE] = np.maximum(rest, states[:, CHANGE_VARIANCE] * kept)
    return corrected


def squared_distances(states: np.ndarray, measured: np.ndarray, noise: np.ndarray) -> np.ndarray:
    """Return the squared Mahalanobis distances (n, k) of n states from k measurements; ``noise`` is (n, 4).

    Where a measurement belongs to a state they are distributed as chi-squared with four degrees of freedom.
    """
    spread = states[:, VARIANCE] + noise
    offsets = measured[None] - states[:, None, MEAN]
    return (offsets**2 / spread[:, None]).sum(axis=2)
