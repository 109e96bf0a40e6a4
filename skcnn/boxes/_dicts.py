"""Boxes for other libraries, which number classes: the dicts of torchvision, the arguments of supervision."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from skcnn.boxes._arrays import BoxArrays, sorted_labels
from skcnn.boxes._checks import check_boxes
from skcnn.boxes._forms import box_arrays


def boxes_to_torchvision(y: Any, *, classes: Sequence[Any] | None = None) -> list[dict[str, np.ndarray]]:
    """Return boxes as the dicts that the detectors of torchvision take and give.

    Parameters
    ----------
    y : array-like of length n_images
        Boxes: see :func:`as_boxes`, which takes such dicts back.
    classes : sequence or None, default=None
        Labels in the order of their numbers, which begin with 1: 0 is torchvision's background. None takes those that
        occur, sorted.

    Returns
    -------
    list of dict
        Per image "boxes" (n_boxes, 4) float32, "labels" (n_boxes,) int64 and, where y has scores, "scores" (n_boxes,)
        float32: arrays, for ``torch.as_tensor``.

    Raises
    ------
    ValueError
        If a box is invalid, or its label is not in ``classes``.

    Examples
    --------
    >>> from skcnn.boxes import boxes_to_torchvision
    >>> boxes_to_torchvision([[[0, 0, 10, 20]]])[0]["labels"]
    array([1])
    """
    arrays, number = _numbered(y, classes)
    dicts = []
    for rows in _rows_by_image(arrays):
        item = {"boxes": arrays.xyxy[rows].astype(np.float32), "labels": number[rows] + 1}
        if arrays.score is not None:
            item["scores"] = arrays.score[rows].astype(np.float32)
        dicts.append(item)
    return dicts


def boxes_to_supervision(y: Any, *, classes: Sequence[Any] | None = None) -> list[dict[str, Any]]:
    """Return boxes as the arguments of ``supervision.Detections``, which draws, tracks and counts them.

    Parameters
    ----------
    y : array-like of length n_images
        Boxes: see :func:`as_boxes`, which takes such objects back.
    classes : sequence or None, default=None
        Labels in the order of their numbers, which begin with 0. None takes those that occur, sorted.

    Returns
    -------
    list of dict
        Per image the arguments of ``supervision.Detections(**arguments)``: "xyxy" (n_boxes, 4), "class_id" (n_boxes,),
        "confidence" (n_boxes,) or None, and "data", in which "class_name" has the labels.

    Raises
    ------
    ValueError
        If a box is invalid, or its label is not in ``classes``.

    Examples
    --------
    >>> from skcnn.boxes import boxes_to_supervision
    >>> boxes_to_supervision([[[0, 0, 10, 20]]])[0]["data"]
    {'class_name': array(['object'], dtype='<U6')}
    """
    arrays, number = _numbered(y, classes)
    return [
        {
            "xyxy": arrays.xyxy[rows],
            "class_id": number[rows],
            "confidence": None if arrays.score is None else arrays.score[rows],
            "data": {"class_name": arrays.label[rows].astype(str)},
        }
        for rows in _rows_by_image(arrays)
    ]


def _numbered(y: Any, classes: Sequence[Any] | None) -> tuple[BoxArrays, np.ndarray]:
    arrays = check_boxes(box_arrays(y), classes=classes)
    labels = sorted_labels(arrays.label) if classes is None else list(classes)
    number_of = {label: number for number, label in enumerate(labels)}
    return arrays, np.array([number_of[label] for label in arrays.label], dtype=np.int64)


def _rows_by_image(arrays: BoxArrays) -> list[np.ndarray]:
    ends = np.searchsorted(arrays.image, np.arange(arrays.n_images + 1)).tolist()
    return [np.arange(start, end) for start, end in pairwise(ends)]
