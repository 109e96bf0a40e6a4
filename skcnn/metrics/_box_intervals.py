"""Average precision of many resamples of the images at once.

A resample is a weight for each image: how often it was drawn. What a box has found does not depend on the other
images, and the order of scores is always the same, so both are worked out once; what is left are sums of weights.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd
from joblib import Parallel, delayed

from skcnn.metrics._average_precision import detection_frame_of
from skcnn.metrics._box_curves import RECALLS
from skcnn.metrics._box_matching import SIZES, match_boxes
from skcnn.metrics._box_predictions import BoxPredictions
from skcnn.metrics._coco import IOUS, MAX_DETECTIONS
from skcnn.metrics._intervals import percentiles_of_defined, with_ends
from skcnn.metrics._resampling import CONFIDENCE_LEVEL, N_RESAMPLES, image_weights, seeds_of_resamples

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.random import RandomState

#: Resamples worked on at a time.
_AT_ONCE = 32


def detection_intervals(
    y_true: Any,
    y_pred: Any,
    *,
    classes: Sequence[Any] | None = None,
    max_detections: int = MAX_DETECTIONS,
    confidence_level: float = CONFIDENCE_LEVEL,
    n_resamples: int = N_RESAMPLES,
    random_state: int | RandomState | None = None,
    n_jobs: int | None = None,
) -> pd.DataFrame:
    """Find between which values average precision and recall would lie on other images of the same kind.

    Images are drawn with replacement, as many as there are, each with all of its boxes: boxes of one image are not
    independent of each other, and average precision is not a mean over images.

    Parameters
    ----------
    y_true, y_pred, classes, max_detections
        Boxes, labels and number of boxes that count: see :func:`average_precision`.
    confidence_level : float, default=0.95
        Fraction of the resamples whose metric lies in the interval, in (0, 1).
    n_resamples : int, default=1000
        How often to resample; 200 do for a first look.
    random_state : int, RandomState instance or None, default=None
        Seed of the draws. With an int the intervals are the same in each run, whatever ``n_jobs``.
    n_jobs : int or None, default=None
        Number of threads that share the resamples, by joblib. None is 1 unless in a ``joblib.parallel_config`` context.

    Returns
    -------
    DataFrame of shape (12, 4)
        Index "metric" as in :func:`detection_frame`; columns "value" (of the images themselves), "low", "high" and
        "note". Resamples in which a metric is not defined are left out of its interval. The recalls of at most 1 and
        10 boxes have no interval.

    Raises
    ------
    ImportError
        If ``faster-coco-eval`` is not installed; it comes with the extra ``detection``.
    ValueError
        If boxes are invalid, or a parameter is out of range.

    Examples
    --------
    >>> from skcnn.metrics import detection_intervals
    >>> found = {"boxes": [[0, 0, 10, 8]], "labels": ["object"], "scores": [0.9]}
    >>> frame = detection_intervals([[[0, 0, 10, 10]]] * 20, [found] * 15 + [[]] * 5, random_state=0)
    >>> frame.loc["average_precision_50", ["value", "low", "high"]].astype(float).round(2).to_dict()
    {'value': 0.75, 'low': 0.55, 'high': 0.94}
    """
    predictions = BoxPredictions.from_arrays(y_true, y_pred, classes=classes)
    return detection_intervals_of(
        predictions,
        detection_frame_of(predictions, max_detections),
        max_detections=max_detections,
        confidence_level=confidence_level,
        n_resamples=n_resamples,
        random_state=random_state,
        n_jobs=n_jobs,
    )


def detection_intervals_of(
    predictions: BoxPredictions,
    headline: pd.DataFrame,
    *,
    max_detections: int = MAX_DETECTIONS,
    confidence_level: float = CONFIDENCE_LEVEL,
    n_resamples: int = N_RESAMPLES,
    random_state: int | np.random.RandomState | None = None,
    n_jobs: int | None = None,
) -> pd.DataFrame:
    """Make the table of :func:`detection_intervals`; ``headline`` is that of :func:`detection_frame`."""
    seeds = seeds_of_resamples(n_resamples, random_state)
    weighted = WeightedPrecision(predictions, max_detections)
    n_images = predictions.n_images

    def means(some: np.ndarray) -> pd.DataFrame:
        return pd.DataFrame(weighted.means(image_weights(n_images, some)))

    chunks = np.array_split(seeds, -(-len(seeds) // _AT_ONCE)) if n_images else []
    done = Parallel(n_jobs=n_jobs, prefer="threads")(delayed(means)(chunk) for chunk in chunks)
    # Some metrics are not resampled; without images none is.
    resampled = pd.concat(list(done)) if done else pd.DataFrame(index=[0])
    resampled = resampled.reindex(columns=headline.index)
    ends = percentiles_of_defined(resampled.to_numpy(float).T, confidence_level)
    return with_ends(headline[["value", "note"]], ends, "too few images, or too few errors")


class _Ranked(NamedTuple):
    """Boxes of a class and a size by decreasing score, and what became of them at each threshold.

    ``image`` is that of each box; ``counts`` holds positions of those that count, and ``right`` positions in these.
    """

    image: np.ndarray
    counts: list[np.ndarray]
    right: list[np.ndarray]
    image_of_true: np.ndarray


class WeightedPrecision:
    """Average precision and recall of images with weights."""

    def __init__(self, predictions: BoxPredictions, max_detections: int = MAX_DETECTIONS) -> None:
        self.ranked: dict[str, list[_Ranked]] = {size: [] for size in SIZES}
        true, predicted = predictions.true, predictions.predicted
        for size in SIZES:
            matches = match_boxes(predictions, IOUS, size=size, max_detections=max_detections)
            label = predicted.label[matches.rows]
            counts = ~matches.true_is_ignored
            for number in range(len(predictions.classes)):
                places = np.flatnonzero(label == number)
                places = places[np.argsort(-predictions.score[matches.rows[places]], kind="stable")]
                found, ignored = matches.true[:, places] >= 0, matches.is_ignored[:, places]
                everything = np.arange(len(places))
                # The same array where all count, of which sums are then taken once for all thresholds.
                counting = [np.flatnonzero(~line) if line.any() else everything for line in ignored]
                self.ranked[size].append(
                    _Ranked(
                        predicted.image[matches.rows[places]],
                        counting,
                        [np.flatnonzero(line[rows]) for line, rows in zip(found, counting, strict=True)],
                        true.image[(true.label == number) & counts],
                    )
                )

    def means(self, weights: np.ndarray) -> dict[str, np.ndarray]:
        """Return the metrics of :func:`detection_frame` that do not limit the number of boxes.

        Parameters
        ----------
        weights : ndarray of shape (n_images, n_resamples)
            How often each image counts.

        Returns
        -------
        dict of str to (ndarray of shape (n_resamples,))
            NaN where no image that counts has a true box.
        """
        values: dict[str, np.ndarray] = {}
        for size, classes in self.ranked.items():
            # Of shape (n_classes, 2, n_thresholds, n_resamples): precision and recall.
            both = np.array([_areas(ranked, weights) for ranked in classes])
            both = both.reshape(len(classes), 2, len(IOUS), weights.shape[1])
            n_defined = (~np.isnan(both[:, :1, :1])).sum(axis=0)
            mean = np.nansum(both, axis=0) / np.where(n_defined, n_defined, np.nan)
            end = "" if size == "all" else f"_{size}"
            values[f"average_precision{end}"], values[f"average_recall{end}"] = mean.mean(axis=1)
            if size == "all":
                values["average_precision_50"], values["average_precision_75"] = mean[0, 0], mean[0, 5]
        return values


def _areas(ranked: _Ranked, weights: np.ndarray) -> np.ndarray:
    """Return average precision and recall of a class, (2, n_thresholds, n_resamples)."""
    n_true = weights[ranked.image_of_true].sum(axis=0)
    weight = weights[ranked.image].astype(float)
    areas = np.zeros((2, len(IOUS), weights.shape[1]))
    summed = None
    for place, (counts, right) in enumerate(zip(ranked.counts, ranked.right, strict=True)):
        if not len(right):
            continue
        if counts is not summed:
            summed, sums = counts, np.cumsum(weight[counts], axis=0)
        # Where a box is wrong, recall stands still, so that precision is read where boxes are right.
        taken = sums[right]
        found = np.cumsum(weight[counts[right]], axis=0)
        precision = found / np.maximum(taken, np.spacing(1))
        # From the right, so that precision never rises with recall.
        precision = np.maximum.accumulate(precision[::-1], axis=0)[::-1]
        recall = found / np.maximum(n_true, np.spacing(1))
        n_reached = np.searchsorted(RECALLS, recall, side="right")
        areas[0, place] = (precision * np.diff(n_reached, prepend=0, axis=0)).sum(axis=0) / len(RECALLS)
        areas[1, place] = recall[-1]
    return np.where(n_true > 0, areas, np.nan)
