"""Display of images with predictions: the worst errors, the most confident correct predictions, examples."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, Self, get_args

import numpy as np
import pandas as pd

from skcnn._plot.image_grid import Cell, Group, Line
from skcnn._plot.theme import RIGHT, WRONG
from skcnn._text import metric_text
from skcnn.images import Images, as_images
from skcnn.metrics._plot.sample_grid import SampleGridDisplay, check_length, check_sizes, with_thumbnails
from skcnn.metrics._predictions import Predictions
from skcnn.metrics._root import root_of

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

Kind = Literal["worst_errors", "confident_right", "examples"]
_DEFAULT_COUNT = {"worst_errors": 12, "confident_right": 12, "examples": 4}
_NOTHING = {
    "worst_errors": "No sample is predicted wrong.",
    "confident_right": "No sample is predicted right.",
    "examples": "There is no sample.",
}


class ImageGridDisplay(SampleGridDisplay):
    """A grid of images with the predictions of a classifier.

    Looking at the worst errors is the quickest way to find wrong labels, bad images and classes that overlap. Only
    the images shown are read. One that cannot be read is an empty frame with the reason in it.

    Below each stands the predicted class with its score, blue where it is right, red where it is wrong; below an error
    also the true class. Examples stand below the name of their class, which is not said again where it is the predicted
    one. Long names are shortened in their middle.

    Make it with :meth:`from_estimator` or :meth:`from_predictions`.

    Parameters
    ----------
    rows : DataFrame of shape (n_images, 7)
        What :meth:`frame` returns.
    images : list of (ndarray of shape (height, width, 3), uint8) or None
        The image of each row; None where there is none.
    kind : {"worst_errors", "confident_right", "examples"}, default="worst_errors"
        What the rows are.
    name : str or None, default=None
        Title of the figure.

    Examples
    --------
    >>> from sklearn.neighbors import KNeighborsClassifier
    >>> from skcnn.datasets import load_digit_images
    >>> from skcnn.metrics import ImageGridDisplay
    >>> X, y = load_digit_images(return_X_y=True)
    >>> pixels = X.reshape(len(X), -1)
    >>> neighbours = KNeighborsClassifier().fit(pixels[:1000], y[:1000])
    >>> y_score = neighbours.predict_proba(pixels[1000:])
    >>> display = ImageGridDisplay.from_predictions(y[1000:], y_score, X=X[1000:], n_images=3)
    >>> display.frame()[["row", "true", "predicted", "predicted_score", "true_score"]]
       row  true  predicted  predicted_score  true_score
    0  361     5          6              1.0         0.0
    1  364     2          3              1.0         0.0
    2  765     3          5              1.0         0.0
    >>> figure = display.plot().figure_
    """

    def __init__(
        self,
        rows: pd.DataFrame,
        images: list[np.ndarray | None],
        *,
        kind: Kind = "worst_errors",
        name: str | None = None,
    ) -> None:
        super().__init__(rows, images, name=name)
        self.kind = kind

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        y: ArrayLike,
        *,
        kind: Kind = "worst_errors",
        n_images: int | None = None,
        size: int = 128,
        root: str | os.PathLike[str] | None = None,
        max_pixels: int | None = None,
        random_state: int | None = 0,
        name: str | None = None,
    ) -> Self:
        """Make the Display from a fitted classifier of images.

        Parameters
        ----------
        estimator : estimator
            A fitted classifier, pipeline or search that takes images. Where it takes something else (features, or a
            table in which images are one column of several), use :meth:`from_predictions`.
        X : array-like of n_samples images
            See :func:`skcnn.images.as_images`.
        y : array-like of shape (n_samples,)
            True labels.
        kind, n_images, size, max_pixels, random_state, name
            The kind of images, their number, the size of thumbnails, the largest image to decode, seed of the draws and
            the title: see :meth:`from_predictions`.
        root : path-like or None, default=None
            Folder or URL that relative paths in X start from. None takes the estimator's own ``root``.

        Returns
        -------
        ImageGridDisplay
            Not drawn yet; call :meth:`plot`.

        Raises
        ------
        TypeError
            If it is not a classifier, or X is of another type.
        ValueError
            If predictions, X or a parameter are invalid.
        """
        images = as_images(X, root=root_of(estimator) if root is None else root)
        predictions = Predictions.from_estimator(estimator, X, y)
        return cls._from_checked(
            predictions, images, kind=kind, n_images=n_images, size=size, max_pixels=max_pixels,
            random_state=random_state, name=name,
        )  # fmt: skip

    @classmethod
    def from_predictions(
        cls,
        y_true: ArrayLike,
        y_score: ArrayLike | None = None,
        *,
        X: Any,
        y_pred: ArrayLike | None = None,
        classes: ArrayLike | None = None,
        kind: Kind = "worst_errors",
        n_images: int | None = None,
        size: int = 128,
        root: str | os.PathLike[str] | None = None,
        max_pixels: int | None = None,
        random_state: int | None = 0,
        name: str | None = None,
    ) -> Self:
        """Make the Display from predictions.

        Parameters
        ----------
        y_true, y_score, y_pred, classes
            True labels, scores, predicted labels and labels of the classes: see
            :meth:`ClassifierReport.from_predictions`.
        X : array-like of n_samples images
            The images, in the same order: see :func:`skcnn.images.as_images`.
        kind : {"worst_errors", "confident_right", "examples"}, default="worst_errors"
            ``"worst_errors"``: samples predicted wrong, those first where the predicted class is the furthest ahead of
            the true one in score (in the order of X where there are no scores). ``"confident_right"``: samples
            predicted right, those of the highest score first. ``"examples"``: samples of each class drawn at random,
            class by class.
        n_images : int or None, default=None
            How many at most; with ``kind="examples"`` of each class. None is 12, and 4 of each class.
        size : int, default=128
            Pixels of the longer side of a thumbnail; smaller images are kept as they are. The default is enough for a
            grid.
        root : path-like or None, default=None
            Folder or URL that relative paths in X start from. None is the current folder.
        max_pixels : int or None, default=None
            Larger images are not decoded; None stands for Pillow's own limit.
        random_state : int or None, default=0
            Seed of the examples. An int, so that the grid is the same each time; None draws other ones.
        name : str or None, default=None
            Title of the figure.

        Returns
        -------
        ImageGridDisplay
            Not drawn yet; call :meth:`plot`.

        Raises
        ------
        TypeError
            If X is of another type.
        ValueError
            If predictions, X or a parameter are invalid, or if ``kind="confident_right"`` and there are no
            scores.
        """
        images = as_images(X, root=root)
        predictions = Predictions.from_arrays(y_true, y_score, y_pred=y_pred, classes=classes)
        return cls._from_checked(
            predictions, images, kind=kind, n_images=n_images, size=size, max_pixels=max_pixels,
            random_state=random_state, name=name,
        )  # fmt: skip

    @classmethod
    def _from_checked(
        cls,
        predictions: Predictions,
        images: Images,
        *,
        kind: Kind = "worst_errors",
        n_images: int | None = None,
        size: int = 128,
        max_pixels: int | None = None,
        random_state: int | None = 0,
        name: str | None = None,
    ) -> Self:
        """Make the Display from checked predictions."""
        if kind not in get_args(Kind):
            raise ValueError(f"kind={kind!r}; expected {', '.join(map(repr, get_args(Kind)))}.")
        n_images = _DEFAULT_COUNT[kind] if n_images is None else n_images
        check_sizes(n_images, size)
        check_length(images, predictions.n_samples, "labels")
        rows = _chosen(predictions, kind, int(n_images), random_state)
        frame, shown = with_thumbnails(_frame(predictions, rows), images, size=int(size), max_pixels=max_pixels)
        return cls(frame, shown, kind=kind, name=name)

    def frame(self) -> pd.DataFrame:
        """Return the rows of the grid.

        Returns
        -------
        DataFrame of shape (n_images, 7)
            In the order of the grid. Columns "row" (position in X), "path" (None where X holds images), "true",
            "predicted", "predicted_score" and "true_score" (of the two classes: probabilities where the scores are
            that; NaN where there are no scores), and "reason" (why there is no image; None where there is one).
        """
        return self.rows.copy()

    def _lines(self, row: Mapping[Any, Any]) -> list[Line]:
        true, predicted, score = row["true"], row["predicted"], row["predicted_score"]
        end = "" if np.isnan(score) else metric_text(score)
        says_class = true != predicted or self.kind != "examples"
        first = Line(predicted if says_class else "", end=end, color=RIGHT if true == predicted else WRONG)
        return [first, Line(true, before="true: ")] if self.kind == "worst_errors" else [first]

    def _groups(self, cells: Sequence[Cell]) -> list[Group]:
        if self.kind != "examples":
            return super()._groups(cells)
        true = self.rows["true"]
        of_class = {label: np.flatnonzero(true == label) for label in true.unique()}
        return [Group([cells[row] for row in rows.tolist()], label) for label, rows in of_class.items()]

    def _nothing(self) -> str:
        return _NOTHING[self.kind]


def _chosen(predictions: Predictions, kind: Kind, n_images: int, random_state: int | None) -> np.ndarray:
    """Return the rows to show, in order."""
    is_right = predictions.true == predictions.predicted
    if kind == "examples":
        rng = np.random.default_rng(random_state)
        of_class = [np.flatnonzero(predictions.true == number) for number in range(predictions.n_classes)]
        drawn = [np.sort(rng.permutation(rows)[:n_images]) for rows in of_class]
        return np.concatenate(drawn)
    if kind == "confident_right":
        if predictions.score is None:
            raise ValueError(
                f"kind='confident_right' needs scores, and there are none: {predictions.score_note}. "
                "kind='worst_errors' and 'examples' do without."
            )
        rows = np.flatnonzero(is_right)
        sureness = predictions.score[rows, predictions.predicted[rows]]
        return rows[np.argsort(-sureness, kind="stable")][:n_images]
    rows = np.flatnonzero(~is_right)
    if predictions.score is not None:
        # The lead over the true class, unlike the score alone, means something for scores of any kind.
        lead = predictions.score[rows, predictions.predicted[rows]] - predictions.score[rows, predictions.true[rows]]
        rows = rows[np.argsort(-lead, kind="stable")]
    return rows[:n_images]


def _frame(predictions: Predictions, rows: np.ndarray) -> pd.DataFrame:
    true, predicted = predictions.true[rows], predictions.predicted[rows]
    nothing = np.full(len(rows), np.nan)
    return pd.DataFrame(
        {
            "row": rows,
            "true": predictions.classes[true],
            "predicted": predictions.classes[predicted],
            "predicted_score": nothing if predictions.score is None else predictions.score[rows, predicted],
            "true_score": nothing if predictions.score is None else predictions.score[rows, true],
        }
    )


def image_grid_display_of(
    predictions: Predictions,
    images: Images,
    *,
    kind: Kind = "worst_errors",
    n_images: int | None = None,
    name: str | None = None,
) -> ImageGridDisplay:
    """Make the Display from checked predictions and the images of their samples."""
    return ImageGridDisplay._from_checked(predictions, images, kind=kind, n_images=n_images, name=name)
