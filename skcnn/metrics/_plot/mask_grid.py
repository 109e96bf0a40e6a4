"""Display of images with their masks drawn on them, or their errors."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any, Literal, Self

import numpy as np
import pandas as pd

from skcnn._plot.image_grid import Line
from skcnn._plot.masks import edges_of, mask_colors, rgb, with_mask
from skcnn._plot.theme import MUTED, SERIES
from skcnn._text import listing, metric_text, percent_text
from skcnn.images import IGNORED, Geometry, Images, as_images
from skcnn.metrics._mask_predictions import MaskPredictions
from skcnn.metrics._mask_tables import image_iou
from skcnn.metrics._plot.sample_grid import (
    SampleGridDisplay,
    check_length,
    check_sizes,
    checked_or_lowest_rows,
    with_thumbnails,
)
from skcnn.metrics._root import root_of

#: Pixels that are predicted wrongly: as the first class, which is the background mostly, or as another one.
MISSED, WRONG = "#e5a100", SERIES[1]

#: How much there is of the image where nothing is marked.
_DIMMED = 0.45

Kind = Literal["overlay", "errors"]
MASK_KINDS: tuple[Kind, ...] = ("overlay", "errors")
"""What is drawn."""


class SegmentationDisplay(SampleGridDisplay):
    """A grid of images with predicted masks, or with the pixels that are predicted wrongly.

    By default the images of the lowest mean IoU: the quickest way to find wrong masks in y, and what the segmenter does
    not see. Only the images shown are read. One that cannot be read is an empty frame with the reason in it.

    Make it with :meth:`from_estimator` or :meth:`from_predictions`.

    Parameters
    ----------
    rows : DataFrame of shape (n_images, 6)
        What :meth:`frame` returns.
    images : list of (ndarray of shape (height, width, 3), uint8) or None
        The image of each row with what is drawn on it; None where there is none.
    name : str or None, default=None
        Title of the image.

    Examples
    --------
    >>> import numpy as np
    >>> from skcnn.metrics import SegmentationDisplay
    >>> X = np.full((2, 32, 32, 3), 200, np.uint8)
    >>> y = np.zeros((2, 32, 32), np.uint8)
    >>> y[:, 8:24, 8:24] = 1
    >>> found = np.roll(y, [0, 4], axis=(0, 2))
    >>> display = SegmentationDisplay.from_predictions(y, found, X=X, kind="errors")
    >>> display.frame()[["row", "mean_iou", "wrong"]].round(3)
       row  mean_iou  wrong
    0    0     0.723  0.125
    1    1     0.723  0.125
    >>> figure = display.plot().figure_
    """

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        y: Any,
        *,
        kind: Kind = "overlay",
        rows: Sequence[int] | None = None,
        classes: Sequence[Any] | None = None,
        n_images: int = 12,
        size: int = 256,
        root: str | os.PathLike[str] | None = None,
        max_pixels: int | None = None,
        name: str | None = None,
    ) -> Self:
        """Make the Display from a fitted segmenter.

        Parameters
        ----------
        estimator : estimator
            A fitted segmenter: its ``predict`` returns masks.
        X : array-like of n_images images
            See :func:`skcnn.images.as_images`.
        y : array-like of length n_images
            True masks: see :func:`skcnn.images.as_masks`.
        kind, rows, classes, n_images, size, max_pixels, name
            What is drawn, on which images, names of classes, how many, how large, and the title: see
            :meth:`from_predictions`.
        root : path-like or None, default=None
            Folder or URL that relative paths in X start from. None takes the estimator's own ``root``.

        Returns
        -------
        SegmentationDisplay
            Not drawn yet; call :meth:`plot`.

        Raises
        ------
        TypeError
            If the estimator does not predict, or X is of another type.
        ValueError
            If masks, X or a parameter are invalid.
        """
        images = as_images(X, root=root_of(estimator) if root is None else root)
        predictions = MaskPredictions.from_estimator(estimator, X, y, classes=classes)
        return cls._from_checked(
            predictions, images, kind=kind, rows=rows, n_images=n_images, size=size, max_pixels=max_pixels, name=name
        )

    @classmethod
    def from_predictions(
        cls,
        y_true: Any,
        y_pred: Any,
        *,
        X: Any,
        kind: Kind = "overlay",
        rows: Sequence[int] | None = None,
        classes: Sequence[Any] | None = None,
        n_images: int = 12,
        size: int = 256,
        root: str | os.PathLike[str] | None = None,
        max_pixels: int | None = None,
        name: str | None = None,
    ) -> Self:
        """Make the Display from predicted masks.

        Parameters
        ----------
        y_true, y_pred : array-like of length n_images
            True and predicted masks: see :func:`mask_iou`.
        X : array-like of n_images images
            The images, in the same order: see :func:`skcnn.images.as_images`.
        kind : {"overlay", "errors"}, default="overlay"
            ``"overlay"`` tints each predicted class but the first, and draws the edges of true regions in white.
            ``"errors"`` marks pixels that are predicted as the first class and are another one in yellow, other errors
            in red, and dims the rest.
        rows : sequence of int or None, default=None
            Positions in X of the images to show. None takes those of the lowest mean IoU.
        classes : sequence or None, default=None
            Names of the classes, by their labels from 0 on. None takes the labels that occur.
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
        SegmentationDisplay
            Not drawn yet; call :meth:`plot`.

        Raises
        ------
        TypeError
            If X is of another type.
        ValueError
            If masks, X or a parameter are invalid.
        """
        predictions = MaskPredictions.from_arrays(y_true, y_pred, classes=classes, tolerance=None)
        images = as_images(X, root=root)
        return cls._from_checked(
            predictions, images, kind=kind, rows=rows, n_images=n_images, size=size, max_pixels=max_pixels, name=name
        )

    @classmethod
    def _from_checked(
        cls,
        predictions: MaskPredictions,
        images: Images,
        *,
        kind: Kind = "overlay",
        rows: Sequence[int] | None = None,
        n_images: int = 12,
        size: int = 256,
        max_pixels: int | None = None,
        name: str | None = None,
    ) -> Self:
        """Make the Display from counted masks."""
        check_sizes(n_images, size)
        if kind not in MASK_KINDS:
            raise ValueError(f"kind={kind!r}; expected {listing(map(repr, MASK_KINDS))}.")
        check_length(images, predictions.n_images, "masks of y")
        iou = image_iou(predictions)
        chosen = checked_or_lowest_rows(rows, iou, n_images)  # it is NaN where no pixel counts
        total = predictions.counts.sum(axis=(1, 2))
        right = np.diagonal(predictions.counts, axis1=1, axis2=2).sum(axis=1)
        wrong = np.where(total > 0, 1 - right / np.maximum(total, 1), np.nan)
        frame = pd.DataFrame({"row": chosen, "mean_iou": iou[chosen], "wrong": wrong[chosen], "pixels": total[chosen]})
        frame, drawn = with_thumbnails(
            frame,
            images,
            size=int(size),
            max_pixels=max_pixels,
            overlay=lambda row, image: _drawn(image, predictions, row, kind),
        )
        return cls(frame, drawn, name=name)

    def frame(self) -> pd.DataFrame:
        """Return what is said of each image.

        Returns
        -------
        DataFrame of shape (n_images, 6)
            Columns "row" (position in X), "path" (None where X holds images), "mean_iou" (over the classes in the
            image), "wrong" (the fraction of pixels), "pixels" (that count) and "reason" (why there is no image; None
            where there is one).
        """
        return self.rows.copy()

    def _lines(self, row: Mapping[Any, Any]) -> list[Line]:
        return [Line(text, color=MUTED) for text in said_of_mask(row)]


def said_of_mask(row: Mapping[Any, Any]) -> list[str]:
    """Return the lines below an image: mean IoU, and how many pixels are wrong."""
    if np.isnan(row["mean_iou"]):
        return ["no pixel counts"]
    return [f"IoU {metric_text(row['mean_iou'])}", f"{percent_text(round(row['wrong'], 3))} wrong"]


def _drawn(image: np.ndarray, predictions: MaskPredictions, row: int, kind: Kind) -> np.ndarray:
    """Return an image with its masks, or its errors."""
    true, predicted = (
        small_mask(masks.labels(row), image.shape[:2]) for masks in (predictions.true, predictions.predicted)
    )
    if kind == "errors":
        first = predictions.labels[0] if len(predictions.labels) else 0
        wrong = (true != predicted) & (true != IGNORED)
        missed = wrong & (predicted == first)
        pixels = _DIMMED * image.astype(float) + (1 - _DIMMED) * 255
        for there, color in ((wrong & ~missed, WRONG), (missed, MISSED)):
            pixels[there] = rgb(color)
        return np.rint(pixels).astype(np.uint8)
    tinted = with_mask(image, predicted, mask_colors(predictions.labels))
    tinted[edges_of(true)] = 255
    return tinted


def small_mask(labels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Return a mask at the size of a thumbnail."""
    height, width = labels.shape
    return Geometry.of_resize((height, width), size).forth_mask(labels)


def segmentation_display_of(
    predictions: MaskPredictions, images: Images, *, kind: Kind = "overlay", n_images: int = 12
) -> SegmentationDisplay:
    """Make the Display of the worst images from counted masks and their images."""
    return SegmentationDisplay._from_checked(predictions, images, kind=kind, n_images=n_images)
