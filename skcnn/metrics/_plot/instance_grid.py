"""Display of images with the masks of their objects drawn on them."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
import pandas as pd

from skcnn._plot.boxes import with_boxes
from skcnn._plot.image_grid import Line
from skcnn._plot.masks import edges_of, rgb, with_mask
from skcnn._plot.theme import MUTED, SERIES
from skcnn._text import metric_text
from skcnn.boxes import pairwise_mask_iou
from skcnn.images import Images, as_images, image_sizes
from skcnn.metrics._box_curves import best_score_threshold
from skcnn.metrics._box_matching import match_boxes
from skcnn.metrics._box_predictions import BoxPredictions
from skcnn.metrics._coco import check_iou
from skcnn.metrics._instance_precision import instance_predictions
from skcnn.metrics._plot.box_grid import MISSED, RIGHT, WRONG
from skcnn.metrics._plot.mask_grid import small_mask
from skcnn.metrics._plot.sample_grid import (
    SampleGridDisplay,
    check_length,
    check_sizes,
    checked_or_lowest_rows,
    with_thumbnails,
)
from skcnn.metrics._root import root_of

#: Of masks, one after the other: none that stands for right, wrong or missed.
_TINTS = (SERIES[2], SERIES[3], SERIES[5], SERIES[4])


class InstanceDisplay(SampleGridDisplay):
    """A grid of images with the predicted mask of each object, and its box: blue where the mask is right, else red.

    Each mask has a colour of its own; edges of true masks are white, and boxes of objects that were missed yellow. By
    default the images of the lowest mean IoU. Only the images shown are read. One that cannot be read is an empty frame
    with the reason in it.

    Make it with :meth:`from_estimator` or :meth:`from_predictions`.

    Parameters
    ----------
    rows : DataFrame of shape (n_images, 7)
        What :meth:`frame` returns.
    images : list of (ndarray of shape (height, width, 3), uint8) or None
        The image of each row with its masks; None where there is none.
    name : str or None, default=None
        Title of the image.

    Examples
    --------
    >>> import numpy as np
    >>> from skcnn.metrics import InstanceDisplay
    >>> X = np.full((1, 64, 64, 3), 200, np.uint8)
    >>> y = [{"boxes": [[8, 8, 40, 40]], "labels": ["a"], "masks": np.ones((1, 32, 32), bool)}]
    >>> found = {"boxes": [[8, 8, 40, 38]], "labels": ["a"], "masks": np.ones((1, 30, 32), bool), "scores": [0.9]}
    >>> display = InstanceDisplay.from_predictions(y, [found], X=X)
    >>> display.frame()[["row", "right", "wrong", "missed", "mean_iou"]]
       row  right  wrong  missed  mean_iou
    0    0      1      0       0    0.9375
    >>> figure = display.plot().figure_
    """

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        y: Any,
        *,
        rows: Sequence[int] | None = None,
        iou: float = 0.5,
        score_threshold: float | None = None,
        n_images: int = 12,
        size: int = 256,
        root: str | os.PathLike[str] | None = None,
        max_pixels: int | None = None,
        name: str | None = None,
    ) -> Self:
        """Make the Display from a fitted segmenter of objects.

        Parameters
        ----------
        estimator : estimator
            A fitted segmenter of objects: its ``predict`` returns boxes with masks and scores.
        X : array-like of n_images images
            See :func:`skcnn.images.as_images`.
        y : array-like of length n_images
            True boxes with masks: see :func:`skcnn.boxes.as_instances`.
        rows, iou, score_threshold, n_images, size, max_pixels, name
            Which images, what is right, how many, how large, and the title: see :meth:`from_predictions`.
        root : path-like or None, default=None
            Folder or URL that relative paths in X start from. None takes the estimator's own ``root``.

        Returns
        -------
        InstanceDisplay
            Not drawn yet; call :meth:`plot`.

        Raises
        ------
        TypeError
            If the estimator does not predict, or X is of another type.
        ValueError
            If boxes, masks, X or a parameter are invalid.
        """
        if not hasattr(estimator, "predict"):
            raise TypeError(f"{type(estimator).__name__} has no predict; expected a fitted InstanceSegmenter.")
        return cls.from_predictions(
            y,
            estimator.predict(X),
            X=X,
            rows=rows,
            iou=iou,
            score_threshold=score_threshold,
            n_images=n_images,
            size=size,
            root=root_of(estimator) if root is None else root,
            max_pixels=max_pixels,
            name=name,
        )

    @classmethod
    def from_predictions(
        cls,
        y_true: Any,
        y_pred: Any,
        *,
        X: Any,
        rows: Sequence[int] | None = None,
        iou: float = 0.5,
        score_threshold: float | None = None,
        n_images: int = 12,
        size: int = 256,
        root: str | os.PathLike[str] | None = None,
        max_pixels: int | None = None,
        name: str | None = None,
    ) -> Self:
        """Make the Display from predicted boxes with masks.

        Parameters
        ----------
        y_true, y_pred : array-like of length n_images
            True and predicted boxes with masks: see :func:`mask_average_precision`.
        X : array-like of n_images images
            The images, in the same order: see :func:`skcnn.images.as_images`.
        rows : sequence of int or None, default=None
            Positions in X of the images to show. None takes those of the lowest mean IoU.
        iou : float, default=0.5
            Intersection over union from which on a predicted mask is right, in (0, 1].
        score_threshold : float or None, default=None
            Predicted objects of a lower score are not drawn. None takes the score from which on boxes have the highest
            F1: see :func:`detection_errors`.
        n_images : int, default=12
            How many at most.
        size : int, default=256
            Pixels of the longer side of a thumbnail; smaller images are kept as they are.
        root : path-like or None, default=None
            Folder or URL that relative paths in X start from. None is the current folder.
        max_pixels : int or None, default=None
            Larger images are not decoded; None stands for Pillow's own limit.
        name : str or None, default=None
            Title of the image.

        Returns
        -------
        InstanceDisplay
            Not drawn yet; call :meth:`plot`.

        Raises
        ------
        TypeError
            If X is of another type.
        ValueError
            If boxes, masks, X or a parameter are invalid.
        """
        check_sizes(n_images, size)
        iou = check_iou(iou)
        images = as_images(X, root=root)
        predictions = instance_predictions(y_true, y_pred)
        check_length(images, predictions.n_images, "tables of y")
        least = best_score_threshold(predictions, iou) if score_threshold is None else score_threshold
        shown = predictions.score >= least
        predictions = predictions._replace(predicted=predictions.predicted.take(shown), score=predictions.score[shown])
        found = _matched(predictions, iou)
        frame = _frame(predictions, found)
        # The mean is NaN where there is no object.
        chosen = checked_or_lowest_rows(rows, frame["mean_iou"].to_numpy(), n_images)
        frame, drawn = with_thumbnails(
            frame.iloc[chosen].reset_index(drop=True),
            images,
            size=int(size),
            max_pixels=max_pixels,
            overlay=lambda row, image: _drawn(image, images, predictions, found, row),
        )
        return cls(frame, drawn, name=name)

    def frame(self) -> pd.DataFrame:
        """Return what is said of each image.

        Returns
        -------
        DataFrame of shape (n_images, 7)
            Columns "row" (position in X), "path" (None where X holds images), the numbers of objects that are "right",
            "wrong" and "missed", "mean_iou" (of all three, where the last two have 0) and "reason" (why there is no
            image; None where there is one).
        """
        return self.rows.copy()

    def _lines(self, row: Mapping[Any, Any]) -> list[Line]:
        if np.isnan(row["mean_iou"]):
            return [Line("no object", color=MUTED)]
        counts = [(row["wrong"], "wrong", WRONG), (row["missed"], "missed", MISSED)]
        return [
            Line(f"IoU {metric_text(row['mean_iou'])}", color=MUTED),
            *[Line(f"{count} {kind}", color=color) for count, kind, color in counts if count],
        ]


def _said_of(row: dict[str, Any]) -> list[tuple[str, str]]:
    """Return the lines below an image and their colours."""
    if np.isnan(row["mean_iou"]):
        return [("no object", MUTED)]
    counts = [(f"{row[kind]} {kind}", color) for kind, color in (("wrong", WRONG), ("missed", MISSED)) if row[kind]]
    return [(f"IoU {metric_text(row['mean_iou'])}", MUTED), *counts]


def _matched(predictions: BoxPredictions, iou: float) -> np.ndarray:
    """Return the position of the true object that each predicted one has found, or -1."""
    n_predicted = len(predictions.score)
    matches = match_boxes(predictions, np.array([iou]), max_detections=n_predicted or 1, by_mask=True)
    found = np.full(n_predicted, -1)
    found[matches.rows] = matches.true[0]
    return found


def _frame(predictions: BoxPredictions, found: np.ndarray) -> pd.DataFrame:
    n, true, predicted = predictions.n_images, predictions.true, predictions.predicted
    is_right = found >= 0
    right = np.bincount(predicted.image[is_right], minlength=n)
    wrong = np.bincount(predicted.image[~is_right], minlength=n)
    missed = np.bincount(true.image, minlength=n) - right
    total = np.zeros(n)
    for place in np.flatnonzero(is_right):
        both = predicted.masks[[place]], true.masks[[found[place]]]
        total[predicted.image[place]] += pairwise_mask_iou(*both)[0, 0]
    count = right + wrong + missed
    mean = np.where(count > 0, total / np.maximum(count, 1), np.nan)
    return pd.DataFrame({"row": np.arange(n), "right": right, "wrong": wrong, "missed": missed, "mean_iou": mean})


def _drawn(image: np.ndarray, images: Images, predictions: BoxPredictions, found: np.ndarray, row: int) -> np.ndarray:
    """Return an image with its masks and boxes."""
    ((height, width),) = image_sizes(images.take([row])).tolist()
    size, pixels = (image.shape[0], image.shape[1]), image.copy()
    true, predicted = predictions.true, predictions.predicted
    here, truly_here = np.flatnonzero(predicted.image == row), np.flatnonzero(true.image == row)
    # The best lies on top.
    here = here[np.argsort(predictions.score[here], kind="stable")]
    for number, place in enumerate(here):
        mask = predicted.masks[place].window(0, 0, height, width)
        pixels = with_mask(pixels, small_mask(mask.astype(np.uint8), size), {1: rgb(_TINTS[number % len(_TINTS)])})
    for place in truly_here:
        mask = true.masks[place].window(0, 0, height, width)
        pixels[edges_of(small_mask(mask.astype(np.uint8), size))] = 255
    missed = np.setdiff1d(truly_here, found[here])
    labels = [predictions.classes[number] for number in [*true.label[missed], *predicted.label[here]]]
    return with_boxes(
        pixels,
        np.concatenate([true.xyxy[missed], predicted.xyxy[here]]) * np.tile([size[1] / width, size[0] / height], 2),
        [MISSED] * len(missed) + [RIGHT if found[place] >= 0 else WRONG for place in here],
        labels,
    )
