"""Precision of predicted boxes at each recall, for several thresholds of IoU."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from skcnn.metrics._box_matching import match_boxes
from skcnn.metrics._box_predictions import BoxPredictions
from skcnn.metrics._coco import MAX_DETECTIONS, check_iou

if TYPE_CHECKING:
    from collections.abc import Sequence

#: Recalls at which COCO reads the precision.
RECALLS = np.linspace(0, 1, 101)

IOUS_SHOWN = (0.5, 0.75, 0.9)


def detection_curve_frame(
    y_true: Any,
    y_pred: Any,
    *,
    ious: Sequence[float] = IOUS_SHOWN,
    classes: Sequence[Any] | None = None,
    max_detections: int = MAX_DETECTIONS,
) -> pd.DataFrame:
    """Return the precision of predicted boxes at each recall, class by class.

    Parameters
    ----------
    y_true, y_pred, classes, max_detections
        Boxes, labels and number of boxes that count: see :func:`average_precision`.
    ious : sequence of float, default=(0.5, 0.75, 0.9)
        Thresholds of IoU, in (0, 1].

    Returns
    -------
    DataFrame of shape (n_thresholds * n_classes * 101, 5)
        Columns "iou", "label", "recall" (0, .01, ..., 1), "precision" (the highest at this or a higher recall, as COCO
        reads it, and 0 where the recall is not reached) and "threshold" (the score down to which boxes must be taken
        to reach the recall; NaN where it is not reached). The mean of "precision" of a class and an IoU is its average
        precision. Classes without true boxes are left out.

    Raises
    ------
    ValueError
        If boxes are invalid or have no scores, y_true and y_pred differ in length, or a threshold is out of range.

    Examples
    --------
    >>> from skcnn.metrics import detection_curve_frame
    >>> found = {"boxes": [[0, 0, 10, 8]], "labels": ["object"], "scores": [0.9]}
    >>> frame = detection_curve_frame([[[0, 0, 10, 10]], [[5, 5, 15, 15]]], [found, []], ious=[0.5])
    >>> frame.iloc[[0, 50, 51]]
        iou   label  recall  precision  threshold
    0   0.5  object    0.00        1.0        0.9
    50  0.5  object    0.50        1.0        0.9
    51  0.5  object    0.51        0.0        NaN
    """
    predictions = BoxPredictions.from_arrays(y_true, y_pred, classes=classes)
    return detection_curve_frame_of(predictions, ious, max_detections)


def detection_curve_frame_of(
    predictions: BoxPredictions, ious: Sequence[float] = IOUS_SHOWN, max_detections: int = MAX_DETECTIONS
) -> pd.DataFrame:
    """Make the table of :func:`detection_curve_frame` of checked boxes."""
    thresholds = np.array([check_iou(iou) for iou in ious])
    matches = match_boxes(predictions, thresholds, max_detections=max_detections)
    label, score = predictions.predicted.label[matches.rows], predictions.score[matches.rows]
    support = np.bincount(predictions.true.label, minlength=len(predictions.classes))
    parts = []
    for place, iou in enumerate(thresholds):
        for number in np.flatnonzero(support):
            rows = np.flatnonzero(label == number)
            rows = rows[np.argsort(-score[rows], kind="stable")]
            precision, threshold = interpolated(matches.true[place, rows] >= 0, score[rows], support[number])
            parts.append(
                pd.DataFrame(
                    {
                        "iou": iou,
                        "label": pd.Series([predictions.classes[number]] * len(RECALLS), dtype=object),
                        "recall": RECALLS,
                        "precision": precision,
                        "threshold": threshold,
                    }
                )
            )
    if not parts:
        return pd.DataFrame(columns=["iou", "label", "recall", "precision", "threshold"])
    return pd.concat(parts, ignore_index=True)


def interpolated(is_right: np.ndarray, score: np.ndarray, n_true: int) -> tuple[np.ndarray, np.ndarray]:
    """Return precision and score at ``RECALLS`` of boxes by decreasing score."""
    right = np.cumsum(is_right)
    precision = np.maximum.accumulate((right / np.arange(1, len(right) + 1))[::-1])[::-1]
    places = np.searchsorted(right / n_true, RECALLS, side="left")
    reached = places < len(right)
    values, thresholds = np.zeros(len(RECALLS)), np.full(len(RECALLS), np.nan)
    values[reached], thresholds[reached] = precision[places[reached]], score[places[reached]]
    return values, thresholds


def best_score_threshold(predictions: BoxPredictions, iou: float) -> float:
    """Return the score from which on boxes have the highest F1, over all classes together; 0 where there is none."""
    matches = match_boxes(predictions, np.array([iou]))
    score = predictions.score[matches.rows]
    order = np.argsort(-score, kind="stable")
    right = np.cumsum(matches.true[0, order] >= 0)
    if not len(right) or not right[-1]:
        return 0.0
    f1 = 2 * right / (np.arange(1, len(right) + 1) + len(predictions.true.image))
    # Boxes of equal score stand or fall together.
    f1[:-1][score[order][:-1] == score[order][1:]] = -1
    return float(score[order][int(np.argmax(f1))])
