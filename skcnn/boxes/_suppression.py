"""Non-maximum suppression: of boxes that find the same object, the best one stays."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

from skcnn.boxes._iou import coordinates_of, pairwise_iou

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import ArrayLike

METHODS = ("hard", "linear", "gaussian")


def non_max_suppression(
    boxes: ArrayLike,
    scores: ArrayLike,
    labels: ArrayLike | None = None,
    *,
    iou_threshold: float = 0.5,
    method: Literal["hard", "linear", "gaussian"] = "hard",
    sigma: float = 0.5,
    score_threshold: float = 0.0,
    max_detections: int | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Return which boxes of an image stay where several find the same object.

    Parameters
    ----------
    boxes : array-like of shape (n_boxes, 4)
        ``xmin, ymin, xmax, ymax`` in any unit.
    scores : array-like of shape (n_boxes,)
        The greater, the better.
    labels : array-like of shape (n_boxes,) or None, default=None
        Boxes of different labels do not suppress each other. None takes all for one class.
    iou_threshold : float, default=0.5
        With ``"hard"``, boxes whose IoU with a better one is greater are removed; with ``"linear"``, their score is
        lowered. In [0, 1]. ``"gaussian"`` does not use it.
    method : {"hard", "linear", "gaussian"}, default="hard"
        ``"hard"`` removes boxes. The two soft methods [1]_ multiply the scores of boxes that overlap a better one:
        by ``1 - IoU`` or by ``exp(-IoU ** 2 / sigma)``. They find more of objects that hide each other.
    sigma : float, default=0.5
        Width of the Gaussian, as in [1]_; greater than 0.
    score_threshold : float, default=0.0
        Boxes of a lower score are left out, also of one that became so.
    max_detections : int or None, default=None
        At most this many boxes stay, over all labels. None keeps all.

    Returns
    -------
    rows : ndarray of shape (n_kept,), int
        Positions of the boxes that stay, by decreasing score; of equal scores the first box comes first.
    scores : ndarray of shape (n_kept,), float64
        Their scores, lowered by a soft method.

    Raises
    ------
    ValueError
        If ``method`` is unknown, a threshold is out of range, or boxes, scores and labels differ in length.

    Notes
    -----
    A box whose score is NaN is left out. One that has no area overlaps nothing, and stays.

    References
    ----------
    .. [1] N. Bodla, B. Singh, R. Chellappa and L. S. Davis, "Soft-NMS: Improving Object Detection With One Line of
       Code", ICCV 2017.

    Examples
    --------
    >>> from skcnn.boxes import non_max_suppression
    >>> boxes = [[0, 0, 10, 10], [1, 0, 11, 10], [20, 20, 30, 30]]
    >>> non_max_suppression(boxes, [0.8, 0.9, 0.5])
    (array([1, 2]), array([0.9, 0.5]))
    >>> non_max_suppression(boxes, [0.8, 0.9, 0.5], ["cat", "dog", "cat"])[0]
    array([1, 0, 2])
    """
    xyxy, score = coordinates_of(boxes, "boxes"), np.asarray(scores, dtype=float)
    label = np.zeros(len(xyxy), int) if labels is None else np.asarray(labels)
    if score.shape != (len(xyxy),) or label.shape != (len(xyxy),):
        raise ValueError(
            f"{len(xyxy)} boxes with scores of shape {score.shape} and labels of shape {label.shape}; expected one of "
            "each per box."
        )
    if method not in METHODS:
        raise ValueError(f"method={method!r}; expected {', '.join(map(repr, METHODS))}.")
    if not 0 <= iou_threshold <= 1:
        raise ValueError(f"iou_threshold={iou_threshold!r}; expected a number in [0, 1].")
    if not sigma > 0:
        raise ValueError(f"sigma={sigma!r}; expected a number greater than 0.")
    if max_detections is not None and max_detections < 0:
        raise ValueError(f"max_detections={max_detections!r}; expected a number of boxes, or None.")
    good = np.flatnonzero(score >= score_threshold)
    numbers = {value: number for number, value in enumerate(dict.fromkeys(label.tolist()))}
    number = np.array([numbers[value] for value in label.tolist()], dtype=int)
    kept, kept_scores = [], []
    for one in range(len(numbers)):
        rows = good[number[good] == one]
        rows = rows[np.argsort(-score[rows], kind="stable")]
        if method == "hard":
            rows = _hard(xyxy, rows, iou_threshold, max_detections)
            new_scores = score[rows]
        else:
            factor = _linear(iou_threshold) if method == "linear" else _gaussian(sigma)
            rows, new_scores = _soft(xyxy, rows, score[rows], factor, score_threshold, max_detections)
        kept.append(rows)
        kept_scores.append(new_scores)
    rows = np.concatenate([np.empty(0, int), *kept])
    new_scores = np.concatenate([np.empty(0), *kept_scores])
    order = np.lexsort((rows, -new_scores))[:max_detections]
    return rows[order], new_scores[order]


def _hard(xyxy: np.ndarray, rows: np.ndarray, iou_threshold: float, most: int | None) -> np.ndarray:
    # One row of the matrix of IoU per box that stays: the whole matrix of 10,000 boxes would take 800 MB.
    kept: list[int] = []
    while len(rows) and (most is None or len(kept) < most):
        best, rows = rows[0], rows[1:]
        kept.append(best)
        rows = rows[pairwise_iou(xyxy[best][None], xyxy[rows])[0] <= iou_threshold]
    return np.array(kept, dtype=int)


def _soft(
    xyxy: np.ndarray,
    rows: np.ndarray,
    score: np.ndarray,
    factor: Callable[[np.ndarray], np.ndarray],
    score_threshold: float,
    most: int | None,
) -> tuple[np.ndarray, np.ndarray]:
    kept: list[int] = []
    kept_scores: list[float] = []
    while len(rows) and (most is None or len(kept) < most):
        place = int(np.argmax(score))
        best = rows[place]
        kept.append(best)
        kept_scores.append(score[place])
        rows, score = np.delete(rows, place), np.delete(score, place)
        score = score * factor(pairwise_iou(xyxy[best][None], xyxy[rows])[0])
        there = score >= score_threshold
        rows, score = rows[there], score[there]
    return np.array(kept, dtype=int), np.array(kept_scores, dtype=float)


def _linear(iou_threshold: float) -> Callable[[np.ndarray], np.ndarray]:
    return lambda overlap: np.where(overlap > iou_threshold, 1 - overlap, 1.0)


def _gaussian(sigma: float) -> Callable[[np.ndarray], np.ndarray]:
    return lambda overlap: np.exp(-(overlap**2) / sigma)
