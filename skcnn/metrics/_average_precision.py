"""Average precision and recall of boxes, as COCO defines them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from skcnn.metrics._box_predictions import BoxPredictions
from skcnn.metrics._coco import IOUS, MAX_DETECTIONS, coco_tables, headline_of_tables, mean_of, thresholds_of

if TYPE_CHECKING:
    from collections.abc import Sequence


def average_precision(
    y_true: Any,
    y_pred: Any,
    *,
    iou: float | None = None,
    classes: Sequence[Any] | None = None,
    max_detections: int = MAX_DETECTIONS,
) -> float:
    """Return the average precision of predicted boxes, as COCO defines it.

    Parameters
    ----------
    y_true : array-like of length n_images
        True boxes: see :func:`skcnn.boxes.as_boxes`.
    y_pred : array-like of length n_images
        Predicted boxes with scores.
    iou : float or None, default=None
        Intersection over union from which on a predicted box has found a true one, in (0, 1]: .5 for AP50. None takes
        the mean over .5, .55, ..., .95, COCO's AP.
    classes : sequence or None, default=None
        Labels that are known; another label raises. None takes those that occur.
    max_detections : int, default=100
        Number of boxes per image and class that count, those of the highest scores.

    Returns
    -------
    float
        In [0, 1]; the mean over the classes that have true boxes. NaN if there is no true box at all.

    Raises
    ------
    ImportError
        If ``faster-coco-eval`` is not installed; it comes with the extra ``detection``.
    ValueError
        If boxes are invalid or have no scores, y_true and y_pred differ in length, or ``iou`` is out of range.

    Notes
    -----
    Average precision belongs to a set of images: boxes of all of them are ranked together, and the mean over images or
    folds is another number. Images without objects count, since what is predicted there is wrong.

    References
    ----------
    .. [1] T.-Y. Lin et al., "Microsoft COCO: Common Objects in Context", ECCV 2014.

    Examples
    --------
    >>> from skcnn.metrics import average_precision
    >>> y_true = [[[0, 0, 10, 10]], [[5, 5, 15, 15]], []]
    >>> found = {"boxes": [[0, 0, 10, 8]], "labels": ["object"], "scores": [0.9]}
    >>> y_pred = [found, [], []]
    >>> round(average_precision(y_true, y_pred, iou=0.5), 3)
    0.505
    """
    predictions = BoxPredictions.from_arrays(y_true, y_pred, classes=classes)
    return mean_of(coco_tables(predictions, thresholds_of(iou), max_detections).precision[:, :, 0])


def average_recall(
    y_true: Any,
    y_pred: Any,
    *,
    iou: float | None = None,
    classes: Sequence[Any] | None = None,
    max_detections: int = MAX_DETECTIONS,
) -> float:
    """Return the recall of predicted boxes, whatever their scores, averaged over thresholds of IoU as COCO does.

    Parameters
    ----------
    y_true, y_pred, iou, classes, max_detections
        Boxes, threshold, labels and number of boxes that count: see :func:`average_precision`.

    Returns
    -------
    float
        In [0, 1]; the mean over the classes that have true boxes. NaN if there is no true box at all.

    Raises
    ------
    ImportError
        If ``faster-coco-eval`` is not installed; it comes with the extra ``detection``.
    ValueError
        If boxes are invalid or have no scores, y_true and y_pred differ in length, or ``iou`` is out of range.

    Examples
    --------
    >>> from skcnn.metrics import average_recall
    >>> found = {"boxes": [[0, 0, 10, 8]], "labels": ["object"], "scores": [0.9]}
    >>> average_recall([[[0, 0, 10, 10]], [[5, 5, 15, 15]]], [found, []], iou=0.5)
    0.5
    """
    predictions = BoxPredictions.from_arrays(y_true, y_pred, classes=classes)
    return mean_of(coco_tables(predictions, thresholds_of(iou), max_detections).recall[:, :, 0, 2])


def detection_frame(
    y_true: Any, y_pred: Any, *, classes: Sequence[Any] | None = None, max_detections: int = MAX_DETECTIONS
) -> pd.DataFrame:
    """Return the twelve metrics of COCO for predicted boxes.

    Parameters
    ----------
    y_true, y_pred, classes, max_detections
        Boxes, labels and number of boxes that count: see :func:`average_precision`.

    Returns
    -------
    DataFrame of shape (12, 2)
        Index "metric": ``average_precision`` (mean over IoU .5 to .95), ``average_precision_50``, ``_75``, ``_small``,
        ``_medium``, ``_large``; ``average_recall_1``, ``_10``, ``average_recall`` (of at most 1, 10 and
        ``max_detections`` boxes per image and class), ``_small``, ``_medium``, ``_large``. Columns "value" (float) and
        "note" (str): the reason where a value is NaN. Small boxes have less than 32 x 32 pixels of the original image,
        large ones more than 96 x 96.

    Raises
    ------
    ImportError
        If ``faster-coco-eval`` is not installed; it comes with the extra ``detection``.
    ValueError
        If boxes are invalid or have no scores, or y_true and y_pred differ in length.

    See Also
    --------
    class_detection_frame : Class by class.
    detection_intervals : With intervals.

    Examples
    --------
    >>> from skcnn.metrics import detection_frame
    >>> found = {"boxes": [[0, 0, 10, 8]], "labels": ["object"], "scores": [0.9]}
    >>> frame = detection_frame([[[0, 0, 10, 10]], []], [found, []])
    >>> frame["value"].round(3).head(3).to_dict()
    {'average_precision': 0.7, 'average_precision_50': 1.0, 'average_precision_75': 1.0}
    """
    return detection_frame_of(BoxPredictions.from_arrays(y_true, y_pred, classes=classes), max_detections)


def detection_frame_of(predictions: BoxPredictions, max_detections: int = MAX_DETECTIONS) -> pd.DataFrame:
    """Make the table of :func:`detection_frame` of checked boxes."""
    return headline_of_tables(coco_tables(predictions, IOUS, max_detections))


def class_detection_frame(
    y_true: Any, y_pred: Any, *, classes: Sequence[Any] | None = None, max_detections: int = MAX_DETECTIONS
) -> pd.DataFrame:
    """Return average precision and recall of each class.

    Parameters
    ----------
    y_true, y_pred, classes, max_detections
        Boxes, labels and number of boxes that count: see :func:`average_precision`.

    Returns
    -------
    DataFrame of shape (n_classes, 6)
        Index "label"; columns "average_precision", "average_precision_50", "average_precision_75", "average_recall",
        "support" (number of true boxes) and "predicted" (number of predicted ones). NaN for a class without true boxes.

    Raises
    ------
    ImportError
        If ``faster-coco-eval`` is not installed; it comes with the extra ``detection``.
    ValueError
        If boxes are invalid or have no scores, or y_true and y_pred differ in length.

    Examples
    --------
    >>> from skcnn.metrics import class_detection_frame
    >>> found = {"boxes": [[0, 0, 10, 8]], "labels": ["object"], "scores": [0.9]}
    >>> class_detection_frame([[[0, 0, 10, 10]], []], [found, []])[["average_precision_50", "support"]]
            average_precision_50  support
    label
    object                   1.0        1
    """
    return class_detection_frame_of(BoxPredictions.from_arrays(y_true, y_pred, classes=classes), max_detections)


def class_detection_frame_of(predictions: BoxPredictions, max_detections: int = MAX_DETECTIONS) -> pd.DataFrame:
    """Make the table of :func:`class_detection_frame` of checked boxes."""
    tables, n_classes = coco_tables(predictions, IOUS, max_detections), len(predictions.classes)
    return pd.DataFrame(
        {
            "average_precision": tables.precision[:, :, 0].mean(axis=0),
            "average_precision_50": tables.precision[0, :, 0],
            "average_precision_75": tables.precision[5, :, 0],
            "average_recall": tables.recall[:, :, 0, 2].mean(axis=0),
            "support": np.bincount(predictions.true.label, minlength=n_classes),
            "predicted": np.bincount(predictions.predicted.label, minlength=n_classes),
        },
        index=pd.Index(predictions.classes, name="label", dtype=object),
    )
