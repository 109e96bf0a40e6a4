"""Average precision of masks of objects, as COCO defines it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from skcnn.boxes import BoxArrays, instance_arrays
from skcnn.metrics._box_predictions import BoxPredictions
from skcnn.metrics._coco import (
    IOUS,
    MAX_DETECTIONS,
    Segments,
    coco_tables,
    encoded,
    headline_of_tables,
    mean_of,
    thresholds_of,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd


def mask_average_precision(
    y_true: Any,
    y_pred: Any,
    *,
    iou: float | None = None,
    classes: Sequence[Any] | None = None,
    max_detections: int = MAX_DETECTIONS,
) -> float:
    """Return the average precision of predicted masks of objects, as COCO defines it.

    It is :func:`average_precision` with the intersection over union of masks in place of that of boxes.

    Parameters
    ----------
    y_true : array-like of length n_images
        True boxes with masks: see :func:`skcnn.boxes.as_instances`.
    y_pred : array-like of length n_images
        Predicted boxes with masks and scores.
    iou : float or None, default=None
        Intersection over union from which on a predicted mask has found a true one, in (0, 1]. None takes the mean over
        .5, .55, ..., .95, COCO's AP.
    classes : sequence or None, default=None
        Labels that are known; another label raises. None takes those that occur.
    max_detections : int, default=100
        Number of objects per image and class that count, those of the highest scores.

    Returns
    -------
    float
        In [0, 1]; the mean over the classes that have true objects. NaN if there is no true object at all.

    Raises
    ------
    ImportError
        If ``faster-coco-eval`` is not installed; it comes with the extra ``detection``.
    ValueError
        If boxes or masks are invalid, predicted ones have no scores, y_true and y_pred differ in length, or ``iou`` is
        out of range.

    See Also
    --------
    average_precision : That of the boxes.
    mask_detection_frame : The twelve metrics of COCO.

    References
    ----------
    .. [1] T.-Y. Lin et al., "Microsoft COCO: Common Objects in Context", ECCV 2014.

    Examples
    --------
    >>> import numpy as np
    >>> from skcnn.metrics import average_precision, mask_average_precision
    >>> true = {"boxes": [[0, 0, 10, 10]], "labels": [1], "masks": np.ones((1, 10, 10), bool)}
    >>> half = np.tri(10, dtype=bool)[None]
    >>> found = {"boxes": [[0, 0, 10, 10]], "labels": [1], "masks": half, "scores": [0.9]}
    >>> average_precision([true], [found]), round(mask_average_precision([true], [found]), 3)
    (1.0, 0.2)
    """
    thresholds = thresholds_of(iou)
    predictions = instance_predictions(y_true, y_pred, classes=classes)
    tables = coco_tables(predictions, thresholds, max_detections, segments_of(predictions))
    return mean_of(tables.precision[:, :, 0])


def mask_detection_frame(
    y_true: Any, y_pred: Any, *, classes: Sequence[Any] | None = None, max_detections: int = MAX_DETECTIONS
) -> pd.DataFrame:
    """Return the twelve metrics of COCO for predicted masks of objects.

    Parameters
    ----------
    y_true, y_pred, classes, max_detections
        Boxes with masks, labels and number of objects that count: see :func:`mask_average_precision`.

    Returns
    -------
    DataFrame of shape (12, 2)
        Index "metric", columns "value" (float) and "note" (str): see :func:`detection_frame`. Small, medium and large
        are numbers of pixels of the true masks.

    Raises
    ------
    ImportError
        If ``faster-coco-eval`` is not installed; it comes with the extra ``detection``.
    ValueError
        If boxes or masks are invalid, predicted ones have no scores, or y_true and y_pred differ in length.

    Examples
    --------
    >>> import numpy as np
    >>> from skcnn.metrics import mask_detection_frame
    >>> item = {"boxes": [[0, 0, 10, 10]], "labels": [1], "masks": np.ones((1, 10, 10), bool), "scores": [0.9]}
    >>> frame = mask_detection_frame([item, []], [item, []])
    >>> frame["value"].head(3).to_dict()
    {'average_precision': 1.0, 'average_precision_50': 1.0, 'average_precision_75': 1.0}
    """
    predictions = instance_predictions(y_true, y_pred, classes=classes)
    return headline_of_tables(coco_tables(predictions, IOUS, max_detections, segments_of(predictions)))


def instance_predictions(y_true: Any, y_pred: Any, *, classes: Sequence[Any] | None = None) -> BoxPredictions:
    """Return true and predicted boxes, checked, with masks."""
    true, predicted = instance_arrays(y_true, name="y_true"), instance_arrays(y_pred, name="y_pred")
    return BoxPredictions.from_arrays(true, predicted, classes=classes)


def segments_of(predictions: BoxPredictions) -> Segments:
    """Return the masks of checked boxes as run lengths.

    Those of an image are written as windows of the same place and size, the least that holds them all: no intersection
    and no area is another one in the whole image.
    """
    windows = _windows((predictions.true, predictions.predicted), predictions.n_images)

    def runs_of(boxes: BoxArrays) -> list[dict[str, Any]]:
        places = zip(boxes.masks, boxes.image.tolist(), strict=True)
        return encoded(mask.window(*windows[image]) for mask, image in places)

    area = [float(mask.pixels.sum()) for mask in predictions.true.masks]
    sizes = [(max(bottom - top, 1), max(right - left, 1)) for top, left, bottom, right in windows]
    return Segments(runs_of(predictions.true), runs_of(predictions.predicted), area, sizes)


def _windows(both: tuple[BoxArrays, BoxArrays], n_images: int) -> list[tuple[int, int, int, int]]:
    """Return top, left, bottom and right of the masks of each image."""
    low, high = np.full((n_images, 2), np.iinfo(int).max), np.zeros((n_images, 2), int)
    for boxes in both:
        for image, mask in zip(boxes.image, boxes.masks, strict=True):
            low[image] = np.minimum(low[image], (mask.top, mask.left))
            high[image] = np.maximum(high[image], (mask.bottom, mask.right))
    return [tuple(row) for row in np.concatenate([low, high], axis=1).tolist()]
