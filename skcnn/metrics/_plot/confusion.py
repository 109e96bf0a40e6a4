"""Display of the confusion matrix."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
import pandas as pd

from skcnn._labels import as_label
from skcnn._plot.theme import RIGHT, WRONG, new_axes
from skcnn._text import label_text, shorter_counts
from skcnn.metrics._confusion import confusion_of, most_confused_in, most_confused_of, normalized
from skcnn.metrics._predictions import MANY_CLASSES, Predictions

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import ArrayLike

MAX_LABELLED = 12
"""Up to this many classes every class is named and every cell has its number; beyond, some classes and no number."""


class ConfusionDisplay:
    """The confusion matrix as a plot, readable with 5 classes and with 120.

    Cells are coloured by the fraction of the samples of the true class (of the row): blue for correct predictions, red
    for wrong ones. Red is on a square-root scale, so that a few errors among many samples are visible. Make it with
    :meth:`from_estimator` or :meth:`from_predictions`.

    Parameters
    ----------
    confusion : DataFrame of shape (n_classes, n_classes)
        Counts: rows are true classes, columns predicted ones, in the same order.
    name : str or None, default=None
        Title of the figure.

    Examples
    --------
    >>> from skcnn.metrics import ConfusionDisplay
    >>> display = ConfusionDisplay.from_predictions(["a", "b", "b", "b"], ["a", "a", "b", "b"])
    >>> display.frame()  # doctest: +NORMALIZE_WHITESPACE
    predicted  a  b
    true
    a          1  0
    b          1  2
    >>> figure = display.plot().figure_
    """

    def __init__(self, confusion: pd.DataFrame, *, name: str | None = None) -> None:
        self.confusion = confusion
        self.name = name
        #: Samples of each class, where the matrix is a part of a larger one.
        self._totals: np.ndarray | None = None

    @classmethod
    def from_estimator(
        cls, estimator: Any, X: Any, y: ArrayLike, *, sample_weight: ArrayLike | None = None, name: str | None = None
    ) -> Self:
        """Make the Display from a fitted classifier.

        Parameters
        ----------
        estimator, X, y, sample_weight
            A fitted classifier, its input, the true labels and weights of the samples: see
            :meth:`ClassifierReport.from_estimator`.
        name : str or None, default=None
            Title of the figure.

        Returns
        -------
        ConfusionDisplay
            Not drawn yet; call :meth:`plot`.

        Raises
        ------
        TypeError
            If it is not a classifier: see :meth:`ClassifierReport.from_estimator`.
        ValueError
            If its predictions or ``y`` are invalid.
        """
        return cls(confusion_of(Predictions.from_estimator(estimator, X, y, sample_weight=sample_weight)), name=name)

    @classmethod
    def from_predictions(
        cls,
        y_true: ArrayLike,
        y_pred: ArrayLike,
        *,
        classes: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
        name: str | None = None,
    ) -> Self:
        """Make the Display from predicted labels.

        Parameters
        ----------
        y_true, y_pred, classes, sample_weight
            True labels, predicted labels, labels of the classes and weights of the samples: see
            :func:`confusion_frame`.
        name : str or None, default=None
            Title of the figure.

        Returns
        -------
        ConfusionDisplay
            Not drawn yet; call :meth:`plot`.

        Raises
        ------
        ValueError
            If labels are refused as in :func:`confusion_frame`.
        """
        predictions = Predictions.from_arrays(y_true, y_pred=y_pred, classes=classes, sample_weight=sample_weight)
        return cls(confusion_of(predictions), name=name)

    def frame(self, normalize: Literal["true", "pred", "all"] | None = None) -> pd.DataFrame:
        """Return the matrix.

        Parameters
        ----------
        normalize : {"true", "pred", "all"} or None, default=None
            The total to divide by: see :func:`confusion_frame`.

        Returns
        -------
        DataFrame of shape (n_classes, n_classes)
            Rows are true classes, columns predicted ones.

        Raises
        ------
        ValueError
            If ``normalize`` is none of these.
        """
        return self.confusion.copy() if normalize is None else normalized(self.confusion, normalize)

    def most_confused_classes(self, n_classes: int | None = 12) -> list[Any]:
        """Return the most confused classes, so that those confused with each other are neighbours.

        Parameters
        ----------
        n_classes : int or None, default=12
            How many at most: as many as fit on a phone with their names and numbers. None orders all classes, those
            that are confused with none at the end.

        Returns
        -------
        list of labels
            Empty where nothing is confused, but for ``n_classes=None``.
        """
        every = list(self.confusion.index)
        if n_classes is None:
            confused = self.most_confused_classes(len(every))
            return confused + [label for label in every if label not in confused]
        return _neighbours(most_confused_in(self.confusion, len(every) * n_classes), n_classes)

    def plot(self, ax: Axes | None = None, *, classes: Iterable[Any] | None = None) -> Self:
        """Draw the matrix.

        Up to 12 classes every class is named and every cell that is not 0 has its number. With more, a dozen are named
        for orientation; ``plot(classes=display.most_confused_classes())`` shows where to look, and
        ``plot(classes=display.most_confused_classes(None))`` gathers what is confused along the diagonal.

        Parameters
        ----------
        ax : matplotlib Axes or None, default=None
            Where to draw. None makes a new figure by pyplot, as scikit-learn's Displays do.
        classes : sequence of labels or None, default=None
            The classes to show, in this order; None shows all. Colours remain fractions of all samples of the true
            class, those predicted as a class that is not shown included.

        Returns
        -------
        ConfusionDisplay
            Itself, with the attributes ``ax_`` and ``figure_``.

        Raises
        ------
        ValueError
            If ``classes`` is empty or names one that is not there.
        """
        import matplotlib as mpl

        shown = list(self.confusion.index) if classes is None else [as_label(label) for label in classes]
        # By position: pandas would read a list of the labels True and False as a mask.
        where = self.confusion.index.get_indexer(pd.Index(shown))
        if not shown or (where < 0).any():
            raise ValueError(f"classes={shown!r}; expected at least one of {list(self.confusion.index)!r}.")
        if ax is None:
            ax = new_axes(5, 5)
        counts = self.confusion.to_numpy()[np.ix_(where, where)]
        totals = self.confusion.to_numpy().sum(axis=1) if self._totals is None else self._totals
        totals = totals[where, None].astype(float)
        rates = np.divide(counts, totals, out=np.zeros(counts.shape), where=totals > 0)
        n_shown = len(shown)
        labelled = n_shown <= MAX_LABELLED
        # Small cells are hard to see when they are pale.
        cells = _cells(rates, palest=0.15 if labelled else 0.4)
        # "none" leaves the scaling of the cells to the viewer, which keeps their edges sharp.
        ax.imshow(cells, interpolation="none")
        ticks = np.arange(n_shown) if labelled else np.arange(0, n_shown, -(-n_shown // 12))
        names = [label_text(shown[tick], 18 if labelled else 12) for tick in ticks]
        size = 8.5 if n_shown <= 10 else 7.5
        ax.set_xticks(ticks, names, rotation=90 if max(map(len, names)) > 2 else 0, parse_math=False, fontsize=size)
        ax.set_yticks(ticks, names, parse_math=False, fontsize=size)
        ax.set(xlabel="Predicted class", ylabel="True class")
        ax.grid(False)
        if labelled:
            ax.tick_params(length=0)
            for row, column in np.argwhere(counts > 0):
                color = "white" if cells[row, column, 3] > 0.85 else mpl.rcParams["text.color"]
                text, text_size = _fitting(counts[row, column], size, n_shown)
                ax.text(column, row, text, ha="center", va="center", color=color, fontsize=text_size, parse_math=False)
        if self.name:
            ax.set_title(self.name, parse_math=False)
        self.ax_ = ax
        self.figure_ = ax.figure
        return self


def _fitting(count: float, size: float, n_shown: int) -> tuple[str, float]:
    """Return the longest way to write a count that fits a cell and can be read, and the size of its letters."""
    cell = 200 / n_shown  # Points, in an image of the size that the page has, with long names beside it.
    ways = [(text, min(size, cell / (0.75 * len(text)))) for text in shorter_counts(count)]
    return next((way for way in ways if way[1] >= min(size, 6.5)), ways[-1])


def _cells(rates: np.ndarray, palest: float) -> np.ndarray:
    """Return the colours of the cells, (n, n, 4): how much of a class is the opacity, so that 0 is the page itself."""
    diagonal = np.eye(len(rates), dtype=bool)
    strength = np.where(diagonal, rates, np.sqrt(rates))
    cells = np.empty((*rates.shape, 4))
    cells[..., :3] = np.where(diagonal[..., None], RIGHT, WRONG)
    cells[..., 3] = np.where(rates > 0, palest + (1 - palest) * strength, 0)
    return cells


def _neighbours(pairs: pd.DataFrame, n_classes: int) -> list[Any]:
    """Return the classes of the first pairs, so that those confused with each other are neighbours."""
    chosen: list[Any] = []
    for true, predicted in zip(pairs["true"], pairs["predicted"], strict=True):
        new = [label for label in (true, predicted) if label not in chosen]
        if len(chosen) + len(new) > n_classes:
            break
        # Next to the one that it is confused with, if that one is there already.
        known = next((label for label in (true, predicted) if label in chosen), None)
        place = len(chosen) if known is None else chosen.index(known) + 1
        chosen[place:place] = new
    return chosen


def confusion_display_of(predictions: Predictions) -> ConfusionDisplay:
    """Make the Display from checked predictions; of very many classes, that of the most confused ones."""
    if predictions.n_classes <= MANY_CLASSES:
        return ConfusionDisplay(confusion_of(predictions))
    pairs = most_confused_of(predictions, predictions.n_classes)
    shown = _neighbours(pairs, MAX_LABELLED) or list(predictions.classes[:MAX_LABELLED])
    numbers = pd.Index(predictions.classes).get_indexer(pd.Index(shown))
    new_number = np.full(predictions.n_classes, -1)
    new_number[numbers] = np.arange(len(numbers))
    true, predicted = new_number[predictions.true], new_number[predictions.predicted]
    part = predictions.take(np.flatnonzero((true >= 0) & (predicted >= 0)))
    part = replace(
        part,
        classes=predictions.classes[numbers],
        true=new_number[part.true],
        predicted=new_number[part.predicted],
        score=None,
    )
    display = ConfusionDisplay(confusion_of(part))
    support = np.bincount(predictions.true, predictions.sample_weight, minlength=predictions.n_classes)
    display._totals = support[numbers]
    return display
