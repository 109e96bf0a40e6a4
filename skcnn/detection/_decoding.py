"""From the values of slots to the boxes of an image."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.special import expit, softmax

from skcnn._keras import import_keras
from skcnn.boxes import non_max_suppression, pairwise_iou

#: Boxes are at most e^4 times as large as their prior box, and at least e^-4 times.
MAX_LOG_SIZE = 4.0

#: Slots of an image that are looked at, the best ones.
MAX_CANDIDATES = 1000


def decoded_boxes(values: Any, slots: Any) -> Any:
    """Return the boxes of slots, as tensors: those that a loss compares with the true ones.

    Parameters
    ----------
    values : tensor of shape (n, n_slots, 4)
        How far the centre is from that of the cell, in cells, and the logarithms of the size by the prior box.
    slots : tensor of shape (n_slots, 5)
        From :meth:`Grid.slots`.

    Returns
    -------
    tensor of shape (n, n_slots, 4)
        ``xmin, ymin, xmax, ymax`` in pixels of the resized image.
    """
    ops = import_keras().ops
    slots = ops.convert_to_tensor(slots, "float32")
    centre = slots[:, :2] + values[..., :2] * slots[:, 4:]
    half = slots[:, 2:4] * ops.exp(ops.clip(values[..., 2:4], -MAX_LOG_SIZE, MAX_LOG_SIZE)) / 2
    return ops.concatenate([centre - half, centre + half], axis=-1)


def candidates(
    values: np.ndarray, slots: np.ndarray, class_scores: str, score_threshold: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the boxes of the best slots of an image.

    Parameters
    ----------
    values : ndarray of shape (n_slots, 5 + n_classes)
        What the network gives.
    slots : ndarray of shape (n_slots, 5)
        From :meth:`Grid.slots`.
    class_scores : {"cell", "anchor", "sigmoid"}
        What the values of classes are.
    score_threshold : float
        Least score.

    Returns
    -------
    boxes : ndarray of shape (n_candidates, 4), float64
        ``xmin, ymin, xmax, ymax`` in pixels of the resized image.
    scores : ndarray of shape (n_candidates,), float64
        Objectness times the probability of the most probable class.
    codes : ndarray of shape (n_candidates,), int
        These classes.
    """
    values = values.astype(float)
    objects = expit(values[:, 4])
    rows = np.flatnonzero(objects >= score_threshold)
    classes = expit(values[rows, 5:]) if class_scores == "sigmoid" else softmax(values[rows, 5:], axis=1)
    codes = classes.argmax(axis=1)
    scores = objects[rows] * classes[np.arange(len(rows)), codes]
    best = np.argsort(-scores, kind="stable")[:MAX_CANDIDATES]
    best = best[scores[best] >= score_threshold]
    rows, scores, codes = rows[best], scores[best], codes[best]
    centre = slots[rows, :2] + values[rows, :2] * slots[rows, 4:]
    half = slots[rows, 2:4] * np.exp(np.clip(values[rows, 2:4], -MAX_LOG_SIZE, MAX_LOG_SIZE)) / 2
    return np.hstack([centre - half, centre + half]), scores, codes


def best_boxes(
    boxes: np.ndarray,
    scores: np.ndarray,
    codes: np.ndarray,
    *,
    iou_threshold: float,
    method: str,
    score_threshold: float,
    max_detections: int,
    voting: float | None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the boxes that stay where several find the same object: boxes, scores and classes, best first.

    Parameters
    ----------
    boxes, scores, codes
        From :func:`candidates`.
    iou_threshold, method, score_threshold, max_detections
        See :func:`skcnn.boxes.non_max_suppression`.
    voting : float or None
        A box that stays becomes the mean, weighted by score, of the boxes of its class that overlap it by at least this
        intersection over union [1]_: those of neighbouring cells, and of mirror images. None leaves it as it is.

    References
    ----------
    .. [1] S. Gidaris and N. Komodakis, "Object detection via a multi-region and semantic segmentation-aware CNN model",
       ICCV 2015, section 4.3.
    """
    kept, kept_scores = non_max_suppression(
        boxes,
        scores,
        codes,
        iou_threshold=iou_threshold,
        method=method,  # type: ignore[arg-type]
        score_threshold=score_threshold,
        max_detections=max_detections,
    )
    stay = boxes[kept]
    if voting is not None and len(kept):
        votes = (pairwise_iou(stay, boxes) >= voting) & (codes[kept][:, None] == codes[None])
        votes[np.arange(len(kept)), kept] = True
        weights = votes * scores
        # A score may be 0: then the box stays as it is.
        total = weights.sum(axis=1, keepdims=True)
        stay = np.where(total > 0, weights @ boxes / np.where(total > 0, total, 1), stay)
    return stay, kept_scores, codes[kept]
