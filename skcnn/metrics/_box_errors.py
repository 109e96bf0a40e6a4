"""What is wrong with predicted boxes: the kinds of error, box by box and image by image."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from skcnn.boxes import COORDINATES, pairwise_iou
from skcnn.metrics._box_curves import best_score_threshold
from skcnn.metrics._box_matching import match_boxes
from skcnn.metrics._box_predictions import BoxPredictions
from skcnn.metrics._coco import check_iou

if TYPE_CHECKING:
    from collections.abc import Sequence

#: What a predicted box can be, and last what a true one can be that no box has found.
KINDS = ("right", "wrong class", "bad box", "double", "background", "missed")

_LEAST_IOU = 0.1


def detection_errors(
    y_true: Any,
    y_pred: Any,
    *,
    iou: float = 0.5,
    score_threshold: float | None = None,
    classes: Sequence[Any] | None = None,
) -> pd.DataFrame:
    """Return what each predicted box is, and which true boxes are missed.

    Parameters
    ----------
    y_true, y_pred, classes
        Boxes and labels: see :func:`average_precision`.
    iou : float, default=0.5
        Intersection over union from which on a predicted box has found a true one, in (0, 1].
    score_threshold : float or None, default=None
        Predicted boxes of a lower score are left out. None takes the score that gives the highest F1 over all classes
        together: all boxes of a detector, of which most have low scores, would be nothing but background.

    Returns
    -------
    DataFrame of shape (n_boxes, 10)
        A row per predicted box and per true box that is missed, image by image. Columns "image" (position in y),
        "kind", "true_label" and "predicted_label" (None where there is none), "score" (NaN for missed boxes), "iou"
        (with the box meant) and "xmin", "ymin", "xmax", "ymax". Kinds are

        - "right": label and box are right;
        - "double": a true box that a better-scored box has found already;
        - "wrong class": the box is right, and the label is not;
        - "bad box": the label is right, and the IoU is at least .1 but less than ``iou``;
        - "background": anything else;
        - "missed": a true box without a right one.

    Raises
    ------
    ValueError
        If boxes are invalid or have no scores, y_true and y_pred differ in length, or ``iou`` is out of range.

    Notes
    -----
    The kinds are those of TIDE [1]_. A box with a wrong label and an IoU between .1 and ``iou`` is background here.
    A missed box stays missed if a box of the wrong class covers it, so that right and missed ones are all true boxes.

    References
    ----------
    .. [1] D. Bolya, S. Foley, J. Hays and J. Hoffman, "TIDE: A General Toolbox for Identifying Object Detection
       Errors", ECCV 2020.

    Examples
    --------
    >>> from skcnn.metrics import detection_errors
    >>> y_true = [[[0, 0, 10, 10, 1], [20, 20, 30, 30, 2]]]
    >>> y_pred = [{"boxes": [[0, 0, 10, 9], [20, 20, 30, 30]], "labels": [1, 1], "scores": [0.9, 0.8]}]
    >>> detection_errors(y_true, y_pred, score_threshold=0)[["kind", "true_label", "predicted_label", "iou"]]
              kind true_label predicted_label  iou
    0        right          1               1  0.9
    1  wrong class          2               1  1.0
    2       missed          2            None  0.0
    """
    return detection_errors_of(
        BoxPredictions.from_arrays(y_true, y_pred, classes=classes), iou=iou, score_threshold=score_threshold
    )


def detection_errors_of(
    predictions: BoxPredictions, *, iou: float = 0.5, score_threshold: float | None = None
) -> pd.DataFrame:
    """Make the table of :func:`detection_errors` of checked boxes."""
    iou = check_iou(iou)
    if score_threshold is None:
        score_threshold = best_score_threshold(predictions, iou)
    kept = np.flatnonzero(predictions.score >= score_threshold)
    predictions = predictions._replace(predicted=predictions.predicted.take(kept), score=predictions.score[kept])
    true, predicted = predictions.true, predictions.predicted
    matches = match_boxes(predictions, np.array([iou]), max_detections=max(len(kept), 1))
    found = np.full(len(kept), -1)
    found[matches.rows] = matches.true[0]
    kind = np.full(len(kept), KINDS.index("background"))
    meant, overlap = np.full(len(kept), -1), np.zeros(len(kept))
    is_missed = np.ones(len(true.image), bool)
    is_missed[found[found >= 0]] = False
    best_of_missed = np.zeros(len(true.image))
    images = np.arange(predictions.n_images + 1)
    true_ends, ends = np.searchsorted(true.image, images), np.searchsorted(predicted.image, images)
    for image in np.unique(predicted.image):
        here, there = slice(ends[image], ends[image + 1]), slice(true_ends[image], true_ends[image + 1])
        if there.start == there.stop:
            continue
        overlaps = pairwise_iou(predicted.xyxy[here], true.xyxy[there])
        same = predicted.label[here, None] == true.label[None, there]
        best_of_missed[there] = np.where(same, overlaps, 0).max(axis=0)
        # From the weakest claim to the strongest, each of which overrules those before it.
        claims = (
            ("bad box", same & (overlaps >= _LEAST_IOU)),
            ("wrong class", ~same & (overlaps >= iou)),
            ("double", same & (overlaps >= iou)),
        )
        for name, possible in claims:
            value = np.where(possible, overlaps, -1.0)
            rows = np.flatnonzero(possible.any(axis=1))
            best = value[rows].argmax(axis=1)
            kind[here.start + rows] = KINDS.index(name)
            meant[here.start + rows] = there.start + best
            overlap[here.start + rows] = overlaps[rows, best]
        rows = np.flatnonzero(found[here] >= 0)
        kind[here.start + rows] = KINDS.index("right")
        meant[here.start + rows] = found[here.start + rows]
        overlap[here.start + rows] = overlaps[rows, found[here.start + rows] - there.start]
    missed = np.flatnonzero(is_missed)
    names = np.array([*predictions.classes, None], dtype=object)
    # -1, the label of no box, is the place of None.
    meant_label = np.where(meant >= 0, np.append(true.label, -1)[meant], -1)
    frame = pd.DataFrame(
        {
            "image": np.concatenate([predicted.image, true.image[missed]]),
            "kind": np.array(KINDS, dtype=object)[np.concatenate([kind, np.full(len(missed), len(KINDS) - 1)])],
            "true_label": pd.Series(names[np.concatenate([meant_label, true.label[missed]])], dtype=object),
            "predicted_label": pd.Series(
                names[np.concatenate([predicted.label, np.full(len(missed), -1)])], dtype=object
            ),
            "score": np.concatenate([predictions.score, np.full(len(missed), np.nan)]),
            "iou": np.concatenate([overlap, best_of_missed[missed]]),
        }
    )
    boxes = np.concatenate([predicted.xyxy, true.xyxy[missed]])
    for place, name in enumerate(COORDINATES):
        frame[name] = boxes[:, place]
    return frame.sort_values("image", kind="stable", ignore_index=True)


def worst_images_of(errors: pd.DataFrame, n_images: int) -> pd.DataFrame:
    """Return the images with the most errors.

    Parameters
    ----------
    errors : DataFrame
        From :func:`detection_errors`.
    n_images : int
        How many at most; images without an error are not among them.

    Returns
    -------
    DataFrame of shape (n_worst, 7)
        Columns "image" and the number of boxes of each kind. Of equally many errors, high scores come first.
    """
    counts = pd.crosstab(errors["image"], errors["kind"]).reindex(columns=list(KINDS), fill_value=0)
    wrong = errors[errors["kind"] != "right"]
    weight = wrong["score"].fillna(1.0).groupby(wrong["image"]).sum()
    n_wrong = counts.drop(columns="right").sum(axis=1)
    order = pd.DataFrame({"n": n_wrong, "weight": weight.reindex(counts.index).fillna(0.0)})
    order = order[order["n"] > 0].sort_values(["n", "weight"], ascending=False, kind="stable").head(n_images)
    worst = counts.loc[order.index].reset_index()
    worst.columns.name = None
    return worst
