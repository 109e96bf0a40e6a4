"""How well boxes lie, whatever their scores: the metrics of a localizer, which gives one box per image."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.optimize import linear_sum_assignment

from skcnn.boxes import pairwise_iou
from skcnn.metrics._box_predictions import BoxPredictions
from skcnn.metrics._coco import check_iou

if TYPE_CHECKING:
    from collections.abc import Iterator


def mean_iou(y_true: Any, y_pred: Any) -> float:
    """Return the intersection over union of true and predicted boxes, averaged over images.

    Labels and scores do not count. Boxes of an image are paired one to one so that the sum of their IoU is as large
    as it can be, and the sum is divided by the larger number of boxes, true or predicted. With one box per image it is
    the mean of their IoU.

    Parameters
    ----------
    y_true, y_pred : array-like of length n_images
        True and predicted boxes, one or several per image: see :func:`skcnn.boxes.as_boxes`. Scores are not needed.

    Returns
    -------
    float
        In [0, 1]. An image counts as 1 if it has neither a true nor a predicted box, and as 0 if it has one of them
        only. NaN if there are no images.

    Raises
    ------
    ValueError
        If boxes are invalid, or y_true and y_pred differ in length.

    Examples
    --------
    >>> from skcnn.metrics import mean_iou
    >>> mean_iou([[[0, 0, 10, 10]], [[0, 0, 10, 10]], []], [[[0, 0, 10, 10]], [[0, 0, 10, 5]], []])
    0.8333333333333334
    """
    predictions = BoxPredictions.from_arrays(y_true, y_pred, scored=False)
    values = [
        overlaps[pairs].sum() / max(overlaps.shape) if max(overlaps.shape) else 1.0
        for overlaps, pairs, _ in _paired(predictions)
    ]
    return float(np.mean(values)) if values else float("nan")


def localization_accuracy(y_true: Any, y_pred: Any, *, iou: float = 0.5) -> float:
    """Return the fraction of images whose boxes all have the right label and lie well.

    Parameters
    ----------
    y_true, y_pred : array-like of length n_images
        True and predicted boxes, one or several per image: see :func:`skcnn.boxes.as_boxes`. Scores are not needed.
    iou : float, default=0.5
        Intersection over union from which on a box lies well, in (0, 1].

    Returns
    -------
    float
        In [0, 1]. An image is right if it has as many predicted as true boxes and each pair (see :func:`mean_iou`) has
        the same label and at least this IoU; also if it has no box of either kind. NaN if there are no images.

    Raises
    ------
    ValueError
        If boxes are invalid, y_true and y_pred differ in length, or ``iou`` is out of range.

    Examples
    --------
    >>> from skcnn.metrics import localization_accuracy
    >>> localization_accuracy([[[0, 0, 9, 9, 1]], [[0, 0, 9, 9, 1]]], [[[0, 0, 9, 8, 1]], [[0, 0, 9, 9, 2]]])
    0.5
    """
    iou = check_iou(iou)
    predictions = BoxPredictions.from_arrays(y_true, y_pred, scored=False)
    right = [
        overlaps.shape[0] == overlaps.shape[1] and bool((same[pairs] & (overlaps[pairs] >= iou)).all())
        for overlaps, pairs, same in _paired(predictions)
    ]
    return float(np.mean(right)) if right else float("nan")


def _paired(predictions: BoxPredictions) -> Iterator[tuple[np.ndarray, Any, np.ndarray]]:
    """Yield for each image the IoU (n_true, n_predicted), the pairs, and which boxes have the same label."""
    true, predicted = predictions.true, predictions.predicted
    images = np.arange(predictions.n_images + 1)
    true_ends, ends = np.searchsorted(true.image, images), np.searchsorted(predicted.image, images)
    for image in range(predictions.n_images):
        there, here = slice(true_ends[image], true_ends[image + 1]), slice(ends[image], ends[image + 1])
        overlaps = pairwise_iou(true.xyxy[there], predicted.xyxy[here])
        same = true.label[there, None] == predicted.label[None, here]
        yield overlaps, linear_sum_assignment(overlaps, maximize=True), same
