"""Which predicted box finds which true one, by COCO's rule: the best score chooses first, the best IoU is chosen."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from skcnn.boxes import pairwise_iou, pairwise_mask_iou
from skcnn.metrics._box_predictions import BoxPredictions

#: Areas in square pixels: of all boxes, and of those that COCO calls small, medium and large.
SIZES = {
    "all": (0.0, 1e10),
    "small": (0.0, 32.0**2),
    "medium": (32.0**2, 96.0**2),
    "large": (96.0**2, 1e10),
}

NONE = -1


class Matches(NamedTuple):
    """What became of predicted boxes at several thresholds of IoU.

    Attributes
    ----------
    rows : ndarray of shape (n_ranked,), int
        Positions of the predicted boxes that count (at most ``max_detections`` per image and class): image by image
        and by decreasing score.
    true : ndarray of shape (n_thresholds, n_ranked), int
        Position of the true box that each has found, or -1.
    is_ignored : ndarray of shape (n_thresholds, n_ranked), bool
        Whether it neither counts as right nor as wrong, since it is of another size.
    true_is_ignored : ndarray of shape (n_true,), bool
        Whether a true box is of another size.
    """

    rows: np.ndarray
    true: np.ndarray
    is_ignored: np.ndarray
    true_is_ignored: np.ndarray


def match_boxes(
    predictions: BoxPredictions,
    thresholds: np.ndarray,
    *,
    size: str = "all",
    max_detections: int = 100,
    by_mask: bool = False,
) -> Matches:
    """Match predicted boxes, or their masks, with true ones of the same class, image by image.

    Parameters
    ----------
    predictions : BoxPredictions
        True and predicted boxes.
    thresholds : ndarray of shape (n_thresholds,)
        IoU from which on a true box is found.
    size : {"all", "small", "medium", "large"}, default="all"
        Boxes of which size count: see ``SIZES``.
    max_detections : int, default=100
        Predicted boxes that count per image and class.
    by_mask : bool, default=False
        Whether the IoU is that of the masks, which the boxes then have.

    Returns
    -------
    Matches
    """
    true, predicted = predictions.true, predictions.predicted
    is_other, other_size = (_is_other(boxes.xyxy, size) for boxes in (true, predicted))
    rows = _ranked(predictions, max_detections)
    n = len(thresholds)
    found, ignored = np.full((n, len(rows)), NONE), np.zeros((n, len(rows)), bool)
    images = np.arange(predictions.n_images + 1)
    ends, true_ends = np.searchsorted(predicted.image[rows], images), np.searchsorted(true.image, images)
    for image in np.unique(predicted.image):
        here = slice(ends[image], ends[image + 1])
        ranked, candidates = rows[here], np.arange(true_ends[image], true_ends[image + 1])
        # Boxes that count come first.
        candidates = candidates[np.argsort(is_other[candidates], kind="stable")]
        if by_mask and predicted.mask is not None and true.mask is not None:
            overlaps = pairwise_mask_iou(predicted.mask[ranked], true.mask[candidates])
        else:
            overlaps = pairwise_iou(predicted.xyxy[ranked], true.xyxy[candidates])
        # What is of another class is out of reach, so that all classes of an image are matched at once.
        overlaps[predicted.label[ranked, None] != true.label[None, candidates]] = 0
        places = _greedy(overlaps, is_other[candidates], thresholds)
        if len(candidates):
            found[:, here] = np.where(places >= 0, candidates[places], NONE)
            ignored[:, here] = (places >= 0) & is_other[candidates[places]]
        ignored[:, here] |= (places < 0) & other_size[ranked]
    return Matches(rows, found, ignored, is_other)


def _ranked(predictions: BoxPredictions, max_detections: int) -> np.ndarray:
    """Return the predicted boxes that count, image by image and by decreasing score."""
    predicted, score = predictions.predicted, predictions.score
    # Stable orders, so that of equal scores the first comes first, as in pycocotools.
    by_class = np.lexsort((-score, predicted.label, predicted.image))
    pair = predicted.image[by_class] * max(len(predictions.classes), 1) + predicted.label[by_class]
    rank = np.arange(len(pair)) - np.searchsorted(pair, pair, side="left")
    counts = np.sort(by_class[rank < max_detections])
    return counts[np.lexsort((-score[counts], predicted.image[counts]))]


def right_boxes_of(predictions: BoxPredictions, iou: float) -> np.ndarray:
    """Return for each predicted box (n_boxes,) whether it has found a true one of its class."""
    matches = match_boxes(predictions, np.array([iou]), max_detections=len(predictions.score) or 1)
    is_right = np.zeros(len(predictions.score), bool)
    is_right[matches.rows] = matches.true[0] >= 0
    return is_right


def _greedy(overlaps: np.ndarray, is_other: np.ndarray, thresholds: np.ndarray) -> np.ndarray:
    """Return for each threshold and predicted box the place of the true box that it takes, or -1."""
    n_ranked, n_true = overlaps.shape
    places = np.full((len(thresholds), n_ranked), NONE)
    free = np.ones((len(thresholds), n_true), bool)
    least = np.minimum(thresholds, 1 - 1e-10)[:, None]
    each = np.arange(len(thresholds))
    for rank in np.flatnonzero((overlaps >= least.min()).any(axis=1)) if n_true else ():
        possible = free & (overlaps[rank] >= least)
        counting = possible & ~is_other
        # A box of another size is taken only where none that counts is to be had.
        possible = np.where(counting.any(axis=1, keepdims=True), counting, possible)
        value = np.where(possible, overlaps[rank], -1.0)
        # Of equal overlaps the last, as in pycocotools.
        best = n_true - 1 - value[:, ::-1].argmax(axis=1)
        taken = possible[each, best]
        places[taken, rank] = best[taken]
        free[each[taken], best[taken]] = False
    return places


def _is_other(xyxy: np.ndarray, size: str) -> np.ndarray:
    low, high = SIZES[size]
    area = (xyxy[:, 2] - xyxy[:, 0]) * (xyxy[:, 3] - xyxy[:, 1])
    return (area < low) | (area > high)
