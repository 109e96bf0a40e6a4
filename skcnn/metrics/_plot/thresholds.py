"""Display of metrics over the threshold on a score."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pandas as pd

from skcnn._labels import as_label
from skcnn._plot.theme import SERIES, new_axes
from skcnn._text import label_text, values_text
from skcnn.metrics._predictions import Predictions
from skcnn.metrics._thresholds import checked_binary, threshold_table_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import ArrayLike

#: What the columns of a table of thresholds are called in a figure.
METRIC_LABELS = {
    "tpr": "recall (TPR)",
    "fpr": "false positive rate",
    "ppv": "precision (PPV)",
    "npv": "NPV",
    "f1": "F1",
    "accuracy": "accuracy",
}
_DRAWN = 1000
"""Of more thresholds than this so many are drawn, evenly spaced: more than an image has places."""


class ThresholdDisplay:
    """Recall, precision and other metrics as curves over the threshold.

    Make it with :meth:`from_estimator` or :meth:`from_predictions`.

    Parameters
    ----------
    table : DataFrame of shape (n_thresholds, 11)
        The table of :func:`threshold_table`.
    name : str or None, default=None
        Title of the legend.

    Examples
    --------
    >>> from skcnn.metrics import ThresholdDisplay, operating_point
    >>> y_true, y_score = [0, 0, 0, 1, 1, 1], [0.1, 0.3, 0.6, 0.5, 0.7, 0.9]
    >>> display = ThresholdDisplay.from_predictions(y_true, y_score)
    >>> figure = display.plot(point=operating_point(y_true, y_score, min_recall=0.95)).figure_
    >>> display.frame()[["threshold", "tpr", "ppv"]].head(3).round(2)
       threshold   tpr  ppv
    0        inf  0.00  NaN
    1        0.9  0.33  1.0
    2        0.7  0.67  1.0
    """

    def __init__(self, table: pd.DataFrame, *, name: str | None = None) -> None:
        self.table = table
        self.name = name

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        y: ArrayLike,
        *,
        pos_label: Any = None,
        sample_weight: ArrayLike | None = None,
        name: str | None = None,
    ) -> Self:
        """Make the Display from a fitted classifier.

        Parameters
        ----------
        estimator, X, y, sample_weight
            A fitted classifier, its input, the true labels and weights of the samples: see
            :meth:`ClassifierReport.from_estimator`.
        pos_label : label or None, default=None
            The positive class; all others are negative. None takes the second of two classes, as scikit-learn does.
        name : str or None, default=None
            Title of the legend. None takes the positive class.

        Returns
        -------
        ThresholdDisplay
            Not drawn yet; call :meth:`plot`.

        Raises
        ------
        TypeError
            If it is not a classifier: see :meth:`ClassifierReport.from_estimator`.
        ValueError
            If ``pos_label`` is needed or not a class, the estimator has no scores, or its predictions or ``y`` are
            invalid.
        """
        predictions = Predictions.from_estimator(estimator, X, y, sample_weight=sample_weight)
        classes, pos_label = list(predictions.classes), as_label(pos_label)
        if pos_label is None and len(classes) != 2:
            raise ValueError(f"There are {len(classes)} classes: give one of {values_text(classes)} as pos_label.")
        if pos_label is not None and pos_label not in classes:
            raise ValueError(f"pos_label is {pos_label!r}; expected one of {values_text(classes)}.")
        return cls._from_checked(predictions, 1 if pos_label is None else classes.index(pos_label), name=name)

    @classmethod
    def from_predictions(
        cls,
        y_true: ArrayLike,
        y_score: ArrayLike,
        *,
        pos_label: Any = None,
        sample_weight: ArrayLike | None = None,
        name: str | None = None,
    ) -> Self:
        """Make the Display from scores.

        Parameters
        ----------
        y_true, y_score, pos_label, sample_weight
            True labels, scores, the positive class and weights of the samples: see :func:`threshold_table`.
        name : str or None, default=None
            Title of the legend. None takes ``pos_label``, where it is given.

        Returns
        -------
        ThresholdDisplay
            Not drawn yet; call :meth:`plot`.

        Raises
        ------
        ValueError
            If predictions or ``pos_label`` are refused as in :func:`threshold_table`.
        """
        table = threshold_table_of(*checked_binary(y_true, y_score, pos_label, sample_weight))
        return cls(table, name=label_text(pos_label, 24) if name is None and pos_label is not None else name)

    @classmethod
    def _from_checked(cls, predictions: Predictions, number: int, *, name: str | None = None) -> Self:
        """Make the Display of a class, by its number, from checked predictions."""
        name = label_text(predictions.classes[number], 24) if name is None else name
        return cls(threshold_table_of(predictions, number), name=name)

    def frame(self) -> pd.DataFrame:
        """Return the metrics at every distinct score.

        Returns
        -------
        DataFrame of shape (n_thresholds, 11)
            The table of :func:`threshold_table`.
        """
        return self.table.copy()

    def plot(
        self,
        ax: Axes | None = None,
        *,
        metrics: Sequence[str] = ("tpr", "fpr", "ppv", "f1"),
        point: pd.Series | None = None,
        legend: bool = True,
    ) -> Self:
        """Draw the curves.

        Parameters
        ----------
        ax : matplotlib Axes or None, default=None
            Where to draw. None makes a new figure by pyplot, as scikit-learn's Displays do.
        metrics : sequence of str, default=("tpr", "fpr", "ppv", "f1")
            Columns of the table to draw, among "tpr" (recall), "fpr", "ppv" (precision), "npv", "f1" and "accuracy".
            Accuracy is not among the default ones: where one class is rare it is high wherever the threshold lies.
        point : Series or None, default=None
            What :func:`operating_point` chose; it is marked.
        legend : bool, default=True
            Whether to draw a legend.

        Returns
        -------
        ThresholdDisplay
            Itself, with the attributes ``ax_`` and ``figure_``.

        Raises
        ------
        ValueError
            If ``metrics`` is empty or contains an unknown column.
        """
        import matplotlib as mpl

        metrics = list(metrics)
        unknown = [metric for metric in metrics if metric not in METRIC_LABELS]
        if unknown or not metrics:
            raise ValueError(
                f"metrics names {unknown or 'none'!r}; expected some of {list(METRIC_LABELS)} (recall is 'tpr', "
                "precision 'ppv')."
            )
        if ax is None:
            ax = new_axes(6, 4)
        table = self._drawn()
        for metric, color in zip(metrics, SERIES, strict=False):
            # The metrics of a threshold hold for all thresholds above the next lower score.
            ax.plot(
                table["threshold"], table[metric], color=color, linewidth=1.6, drawstyle="steps-pre",
                label=METRIC_LABELS[metric], zorder=3,
            )  # fmt: skip
        if point is not None and np.isfinite(point["threshold"]):
            ink = mpl.rcParams["text.color"]
            ax.axvline(
                point["threshold"], color=ink, linewidth=1, linestyle="--", zorder=2,
                label=f"threshold {point['threshold']:.3g}",
            )  # fmt: skip
            for metric, color in zip(metrics, SERIES, strict=False):
                ax.plot(point["threshold"], point[metric], "o", color=color, markersize=5, zorder=4)
        ax.set(xlabel="Threshold: positive from this score on", ylabel="Fraction", ylim=(-0.02, 1.02))
        if legend:
            # Above the axes: within them there is no corner that a curve may not pass.
            box = ax.legend(title=self.name, loc="lower center", bbox_to_anchor=(0.5, 1), ncols=2, frameon=False)
            box.get_title().set_parse_math(False)
        self.ax_ = ax
        self.figure_ = ax.figure
        return self

    def _drawn(self) -> pd.DataFrame:
        """Return the points to draw by increasing threshold; infinity is where the image ends."""
        table = self.table.sort_values("threshold", kind="stable").reset_index(drop=True)
        finite = table["threshold"][np.isfinite(table["threshold"])]
        low, high = (finite.min(), finite.max()) if len(finite) else (0.0, 1.0)
        if low >= 0 and high <= 1:
            low, high = 0.0, 1.0
        if len(table) > _DRAWN:
            places = np.linspace(low, high, _DRAWN)
            rows = np.searchsorted(table["threshold"].to_numpy(), places)
            table = table.iloc[np.minimum(rows, len(table) - 1)].assign(threshold=places)
        elif table["threshold"].iloc[0] > low:  # Below the lowest score all is called positive, as at it.
            table = pd.concat([table.iloc[:1].assign(threshold=low), table])
        return table.assign(threshold=table["threshold"].clip(upper=high))


def threshold_display_of(predictions: Predictions, number: int) -> ThresholdDisplay:
    """Make the Display of a class, by its number, from checked predictions that have scores."""
    return ThresholdDisplay._from_checked(predictions, number)
