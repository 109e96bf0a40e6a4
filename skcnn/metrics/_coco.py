"""COCO's evaluation of predicted boxes or masks against true ones; computed by faster-coco-eval."""

from __future__ import annotations

from collections.abc import Iterable
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from skcnn.metrics._box_matching import SIZES
from skcnn.metrics._box_predictions import BoxPredictions

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


def coco_tables(
    predictions: BoxPredictions, thresholds: np.ndarray, max_detections: int, segments: Segments | None = None
) -> CocoTables:
    """Return what COCO's evaluation gives for checked boxes, or their segments, for all classes and sizes."""
    if not isinstance(max_detections, (int, np.integer)) or max_detections < 1:
        raise ValueError(f"max_detections={max_detections!r}; expected a number of boxes, 1 or more.")
    library = _library()
    n_classes = len(predictions.classes)
    if not n_classes or not predictions.n_images:
        shape = (len(thresholds), n_classes, len(SIZES))
        return CocoTables(np.full(shape, np.nan), np.full((*shape, 3), np.nan))
    truth = library.COCO(_data_set(predictions, segments))
    found = truth.loadRes(_results(predictions, segments))
    evaluation = library.COCOeval_faster(truth, found, iouType="bbox" if segments is None else "segm")
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


def encoded(masks: Iterable[np.ndarray]) -> list[dict[str, Any]]:
    """Return masks (height, width), bool, as run lengths: see :class:`Segments`."""
    encode = _library().mask.encode
    return [encode(np.asfortranarray(mask, np.uint8)) for mask in masks]


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


def check_iou(iou: float) -> float:
    """Return a threshold of IoU, or raise."""
    if isinstance(iou, bool) or not isinstance(iou, (int, float, np.number)) or not 0 < iou <= 1:
        raise ValueError(f"iou={iou!r}; expected a number in (0, 1], such as 0.5.")
    return float(iou)


def thresholds_of(iou: float | None) -> np.ndarray:
    """Return the thresholds over which average precision is averaged: one that is given, or COCO's."""
    return IOUS if iou is None else np.array([check_iou(iou)])


def mean_of(values: np.ndarray) -> float:
    """Return the mean of what is defined, or NaN."""
    defined = values[~np.isnan(values)]
    return float(defined.mean()) if defined.size else float("nan")


def _library() -> ModuleType:
    try:
        import faster_coco_eval
    except ImportError:
        raise ImportError(
            "Average precision is computed by faster-coco-eval, which is not installed: `pip install "
            "'skcnn[detection]'`."
        ) from None
    return faster_coco_eval


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
