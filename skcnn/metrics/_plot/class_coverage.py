"""How often each class is among generated images, beside how often it is among real ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pandas as pd

from skcnn._plot.theme import INK, REST, SERIES, new_axes
from skcnn._text import label_text
from skcnn.metrics._generation import class_coverage_frame

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import ArrayLike


class ClassCoverageDisplay:
    """Fractions of each class among generated and among real images: classes that are missing, and ones too frequent.

    Make it with :meth:`from_estimator` or :meth:`from_predictions`.

    Parameters
    ----------
    coverage : DataFrame of shape (n_classes, 7)
        What :func:`skcnn.metrics.class_coverage_frame` returns.
    name : str or None, default=None
        Title.

    Examples
    --------
    >>> from skcnn.metrics import ClassCoverageDisplay
    >>> display = ClassCoverageDisplay.from_predictions(["cat", "dog"] * 50, ["cat"] * 30 + ["dog"] * 2)
    >>> display.frame()["is_covered"].to_dict()
    {'cat': True, 'dog': True}
    >>> figure = display.plot().figure_
    """

    def __init__(self, coverage: pd.DataFrame, *, name: str | None = None) -> None:
        self.coverage = coverage
        self.name = name

    @classmethod
    def from_estimator(cls, estimator: Any, X: Any, y: ArrayLike, *, name: str | None = None) -> Self:
        """Make the Display from generated images and a classifier.

        Parameters
        ----------
        estimator : classifier
            Fitted on real images.
        X : array-like of n_generated images
            Generated images.
        y : array-like of shape (n_real,)
            Labels of real images, of any number.
        name : str or None, default=None
            Title.

        Returns
        -------
        ClassCoverageDisplay
            Not drawn yet; call :meth:`plot`.
        """
        return cls.from_predictions(y, estimator.predict(X), name=name)

    @classmethod
    def from_predictions(cls, y_true: ArrayLike, y_pred: ArrayLike, *, name: str | None = None) -> Self:
        """Make the Display from labels.

        Parameters
        ----------
        y_true : array-like of shape (n_real,)
            Labels of real images.
        y_pred : array-like of shape (n_generated,)
            Labels that a classifier predicts for generated images.
        name : str or None, default=None
            Title.

        Returns
        -------
        ClassCoverageDisplay
            Not drawn yet; call :meth:`plot`.

        Raises
        ------
        ValueError
            If there are no labels.
        """
        return cls(class_coverage_frame(y_true, y_pred), name=name)

    def frame(self) -> pd.DataFrame:
        """Return the fractions.

        Returns
        -------
        DataFrame of shape (n_classes, 7)
            A copy of ``coverage``.
        """
        return self.coverage.copy()

    def plot(self, ax: Axes | None = None) -> Self:
        """Draw a bar per class: generated images, with intervals; a line in each is the fraction of real ones.

        Parameters
        ----------
        ax : matplotlib Axes or None, default=None
            Where to draw. None makes a new figure by pyplot, as scikit-learn's Displays do.

        Returns
        -------
        ClassCoverageDisplay
            Itself, with the attributes ``ax_`` and ``figure_``.
        """
        table = self.coverage
        places = np.arange(len(table))
        if ax is None:
            ax = new_axes(max(4.0, 1.5 + 0.45 * len(table)), 3.5)
        value = table["generated_fraction"]
        error = np.maximum([value - table["low"], table["high"] - value], 0)
        colors = [SERIES[0] if covered else SERIES[1] for covered in table["is_covered"]]
        ax.bar(places, value, color=colors, width=0.7, yerr=error, ecolor=REST, label="generated", zorder=2)
        ax.hlines(table["real_fraction"], places - 0.4, places + 0.4, color=INK, linewidth=1.6, label="real", zorder=3)
        ax.set_xticks(places, [label_text(label, 16) for label in table.index], parse_math=False)
        ax.tick_params(axis="x", rotation=90 if len(table) > 12 else 0)
        ax.set(ylabel="Fraction of images", xlabel="Class")
        ax.set_ylim(0, 1.3 * max(table["high"].max(), table["real_fraction"].max()))  # room for the legend
        ax.legend(
            ncols=2, loc="upper right", title=None if self.name is None else self.name
        ).get_title().set_parse_math(False)
        self.ax_, self.figure_ = ax, ax.figure
        return self
