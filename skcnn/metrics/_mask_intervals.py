"""Intervals of the metrics of masks, over images: pixels of one image are not independent of each other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from skcnn.metrics._intervals import percentiles_of_defined, with_ends
from skcnn.metrics._mask_boundaries import TOLERANCE
from skcnn.metrics._mask_predictions import MaskPredictions
from skcnn.metrics._mask_tables import MASK_METRICS, headline_values, segmentation_frame_of
from skcnn.metrics._resampling import CONFIDENCE_LEVEL, N_RESAMPLES, image_weights, seeds_of_resamples

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.random import RandomState

#: Resamples worked on at a time.
_AT_ONCE = 64


def segmentation_intervals(
    y_true: Any,
    y_pred: Any,
    *,
    classes: Sequence[Any] | None = None,
    tolerance: float = TOLERANCE,
    confidence_level: float = CONFIDENCE_LEVEL,
    n_resamples: int = N_RESAMPLES,
    random_state: int | RandomState | None = None,
) -> pd.DataFrame:
    """Find between which values the metrics of masks would lie on other images of the same kind.

    Images are drawn with replacement, as many as there are, each with all of its pixels.

    Parameters
    ----------
    y_true, y_pred, classes, tolerance
        Masks, names of classes and tolerance of edges: see :func:`segmentation_frame`.
    confidence_level : float, default=0.95
        Fraction of the resamples whose metric lies in the interval, in (0, 1).
    n_resamples : int, default=1000
        How often to resample.
    random_state : int, RandomState instance or None, default=None
        Seed of the draws.

    Returns
    -------
    DataFrame of shape (7, 4)
        Index "metric" as in :func:`segmentation_frame`; columns "value" (of the images themselves), "low", "high" and
        "note". Resamples in which a metric is not defined are left out of its interval.

    Raises
    ------
    ValueError
        If masks are invalid, or a parameter is out of range.

    Examples
    --------
    >>> import numpy as np
    >>> from skcnn.metrics import segmentation_intervals
    >>> true = np.array([[[0, 0, 1, 1]]] * 20)
    >>> predicted = np.array([[[0, 0, 1, 1]]] * 15 + [[[0, 1, 1, 1]]] * 5)
    >>> frame = segmentation_intervals(true, predicted, random_state=0)
    >>> frame.loc["pixel_accuracy", ["value", "low", "high"]].astype(float).round(2).to_dict()
    {'value': 0.94, 'low': 0.89, 'high': 0.99}
    """
    predictions = MaskPredictions.from_arrays(y_true, y_pred, classes=classes, tolerance=tolerance)
    return segmentation_intervals_of(
        predictions,
        segmentation_frame_of(predictions),
        confidence_level=confidence_level,
        n_resamples=n_resamples,
        random_state=random_state,
    )


def segmentation_intervals_of(
    predictions: MaskPredictions,
    headline: pd.DataFrame,
    *,
    confidence_level: float = CONFIDENCE_LEVEL,
    n_resamples: int = N_RESAMPLES,
    random_state: int | RandomState | None = None,
) -> pd.DataFrame:
    """Make the table of :func:`segmentation_intervals`; ``headline`` is that of :func:`segmentation_frame`."""
    seeds, n = seeds_of_resamples(n_resamples, random_state), predictions.n_images
    resampled: dict[str, list[np.ndarray]] = {name: [] for name in MASK_METRICS}
    for start in range(0, len(seeds), _AT_ONCE) if n else ():
        weights = image_weights(n, seeds[start : start + _AT_ONCE]).astype(float)
        for name, values in headline_values(predictions, weights).items():
            resampled[name].append(values)
    nothing = np.full((len(headline), 1), np.nan)
    values = np.stack([np.concatenate(resampled[name]) for name in headline.index]) if n else nothing
    ends = percentiles_of_defined(values, confidence_level)
    return with_ends(headline[["value", "note"]], ends, "too few images, or too few errors")
