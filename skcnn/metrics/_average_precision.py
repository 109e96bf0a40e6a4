"""Average precision and recall of boxes, as COCO defines them; computed by faster-coco-eval."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from skcnn.metrics._box_matching import SIZES
from skcnn.metrics._box_predictions import BoxPredictions

if TYPE_CHECKING:
    from collections.abc import Sequence

#: IoU from .5 to .95, over which COCO's average precision is averaged.
IOUS = np.linspace(0.5, 0.95, 10)

MAX_DETECTIONS = 100


class CocoTables(NamedTuple):
    """What COCO's evaluation gives, NaN where there is no true box.

    Attributes
    ----------
    precision : ndarray of shape (n_thresholds, n_classes, n_sizes)
        Average precision.
    recall : ndarray of shape (n_thresholds, n_classes, n_sizes, 3)
        Recall of the best 1, 10 and ``max_detections`` boxes per image and class.
    """

    precision: np.ndarray
    recall: np.ndarray


class Segments(NamedTuple):
    """Run lengths of true and of predicted masks, in the order of boxes; those of an image have the same size.

    Attributes
    ----------
    true, predicted : list of dict
        ``{"size", "counts"}``.
    true_area : list of float
        Numbers of pixels.
    sizes : list of (int, int)
        Height and width of each image.
    """

    true: list[dict[str, Any]]
    predicted: list[dict[str, Any]]
    true_area: list[float]
    sizes: list[tuple[int, int]]


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
    thresholds = IOUS if iou is None else np.array([check_iou(iou)])
    return average_precision_of(predictions, thresholds, max_detections)


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
    thresholds = IOUS if iou is None else np.array([check_iou(iou)])
    return mean_of(coco_tables(predictions, thresholds, max_detections).recall[:, :, 0, 2])


def average_precision_of(predictions: BoxPredictions, thresholds: np.ndarray, max_detections: int) -> float:
    """Return the mean average precision of checked boxes over thresholds and classes."""
    return mean_of(coco_tables(predictions, thresholds, max_detections).precision[:, :, 0])


def coco_tables(
    predictions: BoxPredictions, thresholds: np.ndarray, max_detections: int, segments: Segments | None = None
) -> CocoTables:
    """Return what COCO's evaluation gives for checked boxes, or their segments, for all classes and sizes."""
    if not isinstance(max_detections, (int, np.integer)) or max_detections < 1:
        raise ValueError(f"max_detections={max_detections!r}; expected a number of boxes, 1 or more.")
    coco_class, evaluator = _library()
    n_classes = len(predictions.classes)
    if not n_classes or not predictions.n_images:
        shape = (len(thresholds), n_classes, len(SIZES))
        return CocoTables(np.full(shape, np.nan), np.full((*shape, 3), np.nan))
    truth = coco_class(_data_set(predictions, segments))
    found = truth.loadRes(_results(predictions, segments))
    evaluation = evaluator(truth, found, iouType="bbox" if segments is None else "segm")
    evaluation.params.iouThrs = thresholds
    evaluation.params.maxDets = [1, 10, int(max_detections)]
    evaluation.params.areaRng = [list(area) for area in SIZES.values()]
    evaluation.params.areaRngLbl = list(SIZES)
    evaluation.evaluate()
    evaluation.accumulate()
    # Smaller than 10, the largest number of boxes is not the last.
    last = sorted([1, 10, int(max_detections)]).index(int(max_detections))
    precision = np.asarray(evaluation.eval["precision"])[..., last].mean(axis=1)
    recall = np.asarray(evaluation.eval["recall"])
    recall = np.stack([recall[..., 0], recall[..., 1], recall[..., last]], axis=-1)
    # COCO writes -1 for what is not defined.
    return CocoTables(np.where(precision < 0, np.nan, precision), np.where(recall < 0, np.nan, recall))


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


def headline_of_tables(tables: CocoTables) -> pd.DataFrame:
    """Return the twelve means of COCO's evaluation at ``IOUS``."""
    precision, recall = tables
    all_sizes = {"small": 1, "medium": 2, "large": 3}
    values = {
        "average_precision": mean_of(precision[:, :, 0]),
        "average_precision_50": mean_of(precision[0, :, 0]),
        "average_precision_75": mean_of(precision[5, :, 0]),
        **{f"average_precision_{size}": mean_of(precision[:, :, place]) for size, place in all_sizes.items()},
        "average_recall_1": mean_of(recall[:, :, 0, 0]),
        "average_recall_10": mean_of(recall[:, :, 0, 1]),
        "average_recall": mean_of(recall[:, :, 0, 2]),
        **{f"average_recall_{size}": mean_of(recall[:, :, place, 2]) for size, place in all_sizes.items()},
    }
    frame = pd.DataFrame({"value": pd.Series(values, dtype=float)})
    frame.index.name = "metric"
    sizes = [name.rpartition("_")[2] for name in frame.index]
    frame["note"] = [
        "" if not np.isnan(value) else f"no true box is {size}" if size in all_sizes else "there is no true box"
        for value, size in zip(frame["value"], sizes, strict=True)
    ]
    return frame


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


def check_iou(iou: float) -> float:
    """Return a threshold of IoU, or raise."""
    if isinstance(iou, bool) or not isinstance(iou, (int, float, np.number)) or not 0 < iou <= 1:
        raise ValueError(f"iou={iou!r}; expected a number in (0, 1], such as 0.5.")
    return float(iou)


def mean_of(values: np.ndarray) -> float:
    """Return the mean of what is defined, or NaN."""
    defined = values[~np.isnan(values)]
    return float(defined.mean()) if defined.size else float("nan")


def _library() -> tuple[Any, Any]:
    try:
        from faster_coco_eval import COCO, COCOeval_faster
    except ImportError:
        raise ImportError(
            "Average precision is computed by faster-coco-eval, which is not installed: `pip install "
            "'skcnn[detection]'`."
        ) from None
    return COCO, COCOeval_faster


def _data_set(predictions: BoxPredictions, segments: Segments | None) -> dict[str, list[dict[str, Any]]]:
    true = predictions.true
    annotations = [
        {"id": place + 1, "image_id": image, "category_id": label, "bbox": box, "area": box[2] * box[3], "iscrowd": 0}
        for place, (image, label, box) in enumerate(
            zip(true.image.tolist(), true.label.tolist(), _sides(true.xyxy), strict=True)
        )
    ]
    if segments is not None:
        for annotation, runs, area in zip(annotations, segments.true, segments.true_area, strict=True):
            annotation.update(segmentation=runs, area=area)
    images = [{"id": row} for row in range(predictions.n_images)]
    if segments is not None:
        for image, (height, width) in zip(images, segments.sizes, strict=True):
            image.update(height=height, width=width)
    return {
        "images": images,
        "categories": [{"id": number, "name": str(number)} for number in range(len(predictions.classes))],
        "annotations": annotations,
    }


def _results(predictions: BoxPredictions, segments: Segments | None) -> list[dict[str, Any]]:
    found = predictions.predicted
    # With its box, a result would count by the area of that.
    name, shapes = ("bbox", _sides(found.xyxy)) if segments is None else ("segmentation", segments.predicted)
    columns = found.image.tolist(), found.label.tolist(), shapes, predictions.score.tolist()
    return [
        {"image_id": image, "category_id": label, name: shape, "score": score}
        for image, label, shape, score in zip(*columns, strict=True)
    ]


def _sides(xyxy: np.ndarray) -> list[list[float]]:
    return np.concatenate([xyxy[:, :2], xyxy[:, 2:] - xyxy[:, :2]], axis=1).tolist()
