"""Display of the images whose predicted numbers are the most wrong."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pandas as pd

from skcnn._plot.image_grid import Line
from skcnn._plot.theme import WRONG
from skcnn._text import number_text, signed_number_text
from skcnn.images import Images, as_images
from skcnn.metrics._numbers import NumberPredictions
from skcnn.metrics._plot.sample_grid import SampleGridDisplay, check_length, check_sizes, with_thumbnails
from skcnn.metrics._root import root_of

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


class ErrorGridDisplay(SampleGridDisplay):
    """A grid of the images whose predicted numbers are the furthest from the true ones.

    What :class:`ImageGridDisplay` is for classes: the quickest way to find wrong numbers in y, bad images, and what
    the model does not see. Only the images shown are read. One that cannot be read is an empty frame with the reason in
    it. Below each stand the predicted number with the error (predicted minus true), and the true number.

    Make it with :meth:`from_estimator` or :meth:`from_predictions`.

    Parameters
    ----------
    rows : DataFrame of shape (n_images, 7)
        What :meth:`frame` returns.
    images : list of (ndarray of shape (height, width, 3), uint8) or None
        The image of each row; None where there is none.
    n_targets : int, default=1
        Number of targets. With several, the name of the target stands below each image.
    name : str or None, default=None
        Title of the figure.

    See Also
    --------
    sklearn.metrics.PredictionErrorDisplay : Predicted numbers against true ones, or against residuals.

    Examples
    --------
    >>> from sklearn.linear_model import Ridge
    >>> from skcnn.datasets import load_digit_images
    >>> from skcnn.metrics import ErrorGridDisplay
    >>> X, _ = load_digit_images(return_X_y=True)
    >>> ink = X.mean(axis=(1, 2, 3))
    >>> rows = X[:, 8:24, 8:24].mean(axis=(2, 3))
    >>> ridge = Ridge().fit(rows[:500], ink[:500])
    >>> display = ErrorGridDisplay.from_predictions(ink[500:], ridge.predict(rows[500:]), X=X[500:], n_images=3)
    >>> display.frame()[["row", "true", "predicted", "error"]].round(1)
       row  true  predicted  error
    0  796  95.2       76.3  -18.9
    1  451  93.2       75.1  -18.1
    2   65  92.2       74.6  -17.6
    >>> figure = display.plot().figure_
    """

    def __init__(
        self, rows: pd.DataFrame, images: list[np.ndarray | None], *, n_targets: int = 1, name: str | None = None
    ) -> None:
        super().__init__(rows, images, name=name)
        self.n_targets = n_targets

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        y: ArrayLike,
        *,
        target_names: Sequence[str] | None = None,
        n_images: int = 12,
        size: int = 128,
        root: str | os.PathLike[str] | None = None,
        max_pixels: int | None = None,
        name: str | None = None,
    ) -> Self:
        """Make the Display from a fitted regressor of images.

        Parameters
        ----------
        estimator : estimator
            A fitted regressor, pipeline or search that takes images. Where it takes something else, use
            :meth:`from_predictions`.
        X : array-like of n_samples images
            See :func:`skcnn.images.as_images`.
        y : array-like of shape (n_samples,) or (n_samples, n_targets)
            True numbers.
        target_names, n_images, size, max_pixels, name
            Names of the targets, number of images, size of thumbnails, the largest image to decode and the title: see
            :meth:`from_predictions`.
        root : path-like or None, default=None
            Folder or URL that relative paths in X start from. None takes the estimator's own ``root``.

        Returns
        -------
        ErrorGridDisplay
            Not drawn yet; call :meth:`plot`.

        Raises
        ------
        TypeError
            If it is not a regressor, or X is of another type.
        ValueError
            If predictions, X or a parameter are invalid.
        """
        images = as_images(X, root=root_of(estimator) if root is None else root)
        predictions = NumberPredictions.from_estimator(estimator, X, y, target_names=target_names)
        return cls._from_checked(predictions, images, n_images=n_images, size=size, max_pixels=max_pixels, name=name)

    @classmethod
    def from_predictions(
        cls,
        y_true: ArrayLike,
        y_pred: ArrayLike,
        *,
        X: Any,
        target_names: Sequence[str] | None = None,
        n_images: int = 12,
        size: int = 128,
        root: str | os.PathLike[str] | None = None,
        max_pixels: int | None = None,
        name: str | None = None,
    ) -> Self:
        """Make the Display from predictions.

        Parameters
        ----------
        y_true, y_pred : array-like of shape (n_samples,) or (n_samples, n_targets)
            True and predicted numbers.
        X : array-like of n_samples images
            The images, in the same order: see :func:`skcnn.images.as_images`.
        target_names : sequence of str or None, default=None
            Names of the targets. None takes those of the columns of a DataFrame, else numbers them.
        n_images : int, default=12
            How many at most. Of several targets, an image counts with its most wrong one, in standard deviations of its
            true numbers. Images whose numbers are predicted exactly are left out.
        size : int, default=128
            Pixels of the longer side of a thumbnail; smaller images are kept as they are. The default is enough for a
            grid.
        root : path-like or None, default=None
            Folder or URL that relative paths in X start from. None is the current folder.
        max_pixels : int or None, default=None
            Larger images are not decoded; None stands for Pillow's own limit.
        name : str or None, default=None
            Title of the figure.

        Returns
        -------
        ErrorGridDisplay
            Not drawn yet; call :meth:`plot`.

        Raises
        ------
        TypeError
            If X is of another type.
        ValueError
            If predictions, X or a parameter are invalid.
        """
        images = as_images(X, root=root)
        predictions = NumberPredictions.from_arrays(y_true, y_pred, target_names=target_names)
        return cls._from_checked(predictions, images, n_images=n_images, size=size, max_pixels=max_pixels, name=name)

    @classmethod
    def _from_checked(
        cls,
        predictions: NumberPredictions,
        images: Images,
        *,
        n_images: int = 12,
        size: int = 128,
        max_pixels: int | None = None,
        name: str | None = None,
    ) -> Self:
        """Make the Display from checked predictions."""
        check_sizes(n_images, size)
        check_length(images, predictions.n_samples, "samples")
        frame, shown = with_thumbnails(
            _worst(predictions, int(n_images)), images, size=int(size), max_pixels=max_pixels
        )
        return cls(frame, shown, n_targets=predictions.n_targets, name=name)

    def frame(self) -> pd.DataFrame:
        """Return the rows of the grid.

        Returns
        -------
        DataFrame of shape (n_images, 7)
            The most wrong first. Columns "row" (position in X), "path" (None where X holds images), "target" (name of
            the target), "true", "predicted", "error" (predicted minus true), and "reason" (why there is no image; None
            where there is one).
        """
        return self.rows.copy()

    def _lines(self, row: Mapping[Any, Any]) -> list[Line]:
        target = [Line(row["target"])] if self.n_targets > 1 else []
        return [
            *target,
            Line(number_text(row["predicted"]), end=signed_number_text(row["error"]), color=WRONG),
            Line(number_text(row["true"]), before="true: "),
        ]

    def _nothing(self) -> str:
        return "Every number is predicted exactly."


def _worst(predictions: NumberPredictions, n_images: int) -> pd.DataFrame:
    """Return a table of the rows whose errors are the largest in standard deviations of the target."""
    scale = predictions.true.std(axis=0)
    relative = np.abs(predictions.error) / np.where(scale > 0, scale, 1)
    target = relative.argmax(axis=1)
    largest = relative.max(axis=1)
    rows = np.argsort(-largest, kind="stable")[:n_images]
    rows = rows[largest[rows] > 0]
    place = rows, target[rows]
    return pd.DataFrame(
        {
            "row": rows,
            "target": np.array(predictions.target_names, dtype=object)[place[1]],
            "true": predictions.true[place],
            "predicted": predictions.predicted[place],
            "error": predictions.error[place],
        }
    )


def error_grid_display_of(predictions: NumberPredictions, images: Images, *, n_images: int = 12) -> ErrorGridDisplay:
    """Make the Display from checked predictions and the images of their samples."""
    return ErrorGridDisplay._from_checked(predictions, images, n_images=n_images)
