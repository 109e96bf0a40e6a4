"""Display of images with true and predicted boxes drawn on them."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
import pandas as pd

from skcnn._plot.boxes import with_boxes
from skcnn._plot.image_grid import Line
from skcnn._plot.theme import SERIES
from skcnn.boxes import COORDINATES
from skcnn.images import Images, as_images, image_sizes
from skcnn.metrics._box_errors import KINDS, detection_errors_of, worst_images_of
from skcnn.metrics._box_predictions import BoxPredictions
from skcnn.metrics._plot.sample_grid import (
    SampleGridDisplay,
    check_length,
    check_sizes,
    checked_rows,
    with_thumbnails,
)
from skcnn.metrics._root import root_of

#: Of the lines around boxes, by what they are: right, wrong in whatever way, or missed.
RIGHT, WRONG, MISSED = SERIES[0], SERIES[1], "#e5a100"

_COLORS = dict.fromkeys(KINDS, WRONG) | {"right": RIGHT, "missed": MISSED}


class BoxGridDisplay(SampleGridDisplay):
    """A grid of images with their boxes: blue where a predicted box is right, red where it is wrong, yellow if missed.

    By default the images with the most errors: the quickest way to find missing labels in y, and what the detector does
    not see. Only the images shown are read. One that cannot be read is an empty frame with the reason in it.

    Make it with :meth:`from_estimator` or :meth:`from_predictions`.

    Parameters
    ----------
    rows : DataFrame of shape (n_images, 9)
        What :meth:`frame` returns.
    images : list of (ndarray of shape (height, width, 3), uint8) or None
        The image of each row with its boxes; None where there is none.
    name : str or None, default=None
        Title of the image.

    Examples
    --------
    >>> import numpy as np
    >>> from skcnn.metrics import BoxGridDisplay
    >>> X = np.full((2, 64, 64, 3), 200, np.uint8)
    >>> y = [[[8, 8, 40, 40, 1]], []]
    >>> found = {"boxes": [[8, 8, 40, 38], [50, 50, 60, 60]], "labels": [1, 1], "scores": [0.9, 0.8]}
    >>> display = BoxGridDisplay.from_predictions(y, [found, []], X=X, score_threshold=0.5)
    >>> display.frame()[["row", "right", "background", "missed"]]
       row  right  background  missed
    0    0      1           1       0
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
        """Make the Display from a fitted detector.

        Parameters
        ----------
        estimator : estimator
            A fitted detector: its ``predict`` returns boxes with scores.
        X : array-like of n_images images
            See :func:`skcnn.images.as_images`.
        y : array-like of length n_images
            True boxes: see :func:`skcnn.boxes.as_boxes`.
        rows, iou, score_threshold, n_images, size, max_pixels, name
            Which images, what is right, how many, how large, and the title: see :meth:`from_predictions`.
        root : path-like or None, default=None
            Folder or URL that relative paths in X start from. None takes the estimator's own ``root``.

        Returns
        -------
        BoxGridDisplay
            Not drawn yet; call :meth:`plot`.

        Raises
        ------
        TypeError
            If the estimator does not predict, or X is of another type.
        ValueError
            If boxes, X or a parameter are invalid.
        """
        images = as_images(X, root=root_of(estimator) if root is None else root)
        predictions = BoxPredictions.from_estimator(estimator, X, y)
        return cls._from_checked(
            predictions,
            images,
            rows=rows,
            iou=iou,
            score_threshold=score_threshold,
            n_images=n_images,
            size=size,
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
        """Make the Display from predicted boxes.

        Parameters
        ----------
        y_true, y_pred : array-like of length n_images
            True and predicted boxes: see :func:`average_precision`.
        X : array-like of n_images images
            The images, in the same order: see :func:`skcnn.images.as_images`.
        rows : sequence of int or None, default=None
            Positions in X of the images to show. None takes those with the most errors, and none without.
        iou : float, default=0.5
            Intersection over union from which on a predicted box is right, in (0, 1].
        score_threshold : float or None, default=None
            Predicted boxes of a lower score are not drawn. None takes the score of the highest F1: see
            :func:`detection_errors`.
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
        BoxGridDisplay
            Not drawn yet; call :meth:`plot`.

        Raises
        ------
        TypeError
            If X is of another type.
        ValueError
            If boxes, X or a parameter are invalid.
        """
        predictions = BoxPredictions.from_arrays(y_true, y_pred)
        return cls._from_checked(
            predictions,
            as_images(X, root=root),
            rows=rows,
            iou=iou,
            score_threshold=score_threshold,
            n_images=n_images,
            size=size,
            max_pixels=max_pixels,
            name=name,
        )

    @classmethod
    def _from_checked(
        cls,
        predictions: BoxPredictions,
        images: Images,
        *,
        rows: Sequence[int] | None = None,
        iou: float = 0.5,
        score_threshold: float | None = None,
        n_images: int = 12,
        size: int = 256,
        max_pixels: int | None = None,
        name: str | None = None,
    ) -> Self:
        """Make the Display from checked boxes."""
        check_sizes(n_images, size)
        check_length(images, predictions.n_images, "tables of y")
        errors = detection_errors_of(predictions, iou=iou, score_threshold=score_threshold)
        if rows is None:
            counts = worst_images_of(errors, int(n_images))
        else:
            counts = pd.crosstab(errors["image"], errors["kind"])
            counts = counts.reindex(index=checked_rows(rows, len(images), n_images), columns=list(KINDS)).fillna(0)
            counts = counts.astype(int).rename_axis(index="image", columns=None).reset_index()
        of_image = dict(list(errors.groupby("image")))
        frame, drawn = with_thumbnails(
            counts.rename(columns={"image": "row"}),
            images,
            size=int(size),
            max_pixels=max_pixels,
            overlay=lambda row, image: _drawn(image, of_image.get(row), _scale(images, row, image)),
        )
        return cls(frame, drawn, name=name)

    def frame(self) -> pd.DataFrame:
        """Return what is said of each image.

        Returns
        -------
        DataFrame of shape (n_images, 9)
            Columns "row" (position in X), "path" (None where X holds images), the numbers of boxes that are "right",
            "wrong class", "bad box", "double", "background" and "missed" (see :func:`detection_errors`), and "reason"
            (why there is no image; None where there is one).
        """
        return self.rows.copy()

    def _lines(self, row: Mapping[Any, Any]) -> list[Line]:
        return [Line(text, color=color) for text, color in said_of(row)]

    def _nothing(self) -> str:
        return "Every box is right."


def said_of(row: Mapping[Any, Any]) -> list[tuple[str, str]]:
    """Return the lines below an image and their colours: how many boxes are right, wrong in each way, and missed."""
    return [(f"{row[kind]} {kind}", _COLORS[kind]) for kind in KINDS if row[kind]]


def _scale(images: Images, row: int, thumbnail: np.ndarray) -> np.ndarray:
    """Return by how much x and y of an image were multiplied."""
    ((height, width),) = image_sizes(images.take([row]))
    return np.array([thumbnail.shape[1] / width, thumbnail.shape[0] / height])


def _drawn(image: np.ndarray, boxes: pd.DataFrame | None, scale: np.ndarray) -> np.ndarray:
    """Return an image with boxes drawn on it, wrong ones on top."""
    if boxes is None:
        return image
    order = boxes["kind"].map({kind: place for place, kind in enumerate(("right", "missed"))}).fillna(2)
    boxes = boxes.iloc[np.argsort(order.to_numpy(), kind="stable")]
    labels = boxes["true_label"].where(boxes["kind"] == "missed", boxes["predicted_label"])
    return with_boxes(
        image,
        boxes[COORDINATES].to_numpy(float) * np.tile(scale, 2),
        [_COLORS[kind] for kind in boxes["kind"]],
        labels.tolist(),
    )


def box_grid_display_of(predictions: BoxPredictions, images: Images, *, n_images: int = 12) -> BoxGridDisplay:
    """Make the Display of the worst images from checked boxes and their images."""
    return BoxGridDisplay._from_checked(predictions, images, n_images=n_images)
