"""Display of the calibration of probabilities: the reliability diagram."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Self

import pandas as pd

from skcnn._labels import as_label
from skcnn._plot.theme import REST, SERIES, new_axes
from skcnn._text import label_text, metric_text
from skcnn.metrics._calibration import N_BINS, bins_of, calibration_of
from skcnn.metrics._predictions import Predictions

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import ArrayLike

_DOTS = "\n(area of a dot: fraction of the samples)"


class ReliabilityDisplay:
    """Reliability diagram: predicted probabilities against observed frequencies; they match on the diagonal.

    Points below the diagonal are overconfident. The area of a dot is the fraction of the samples in its bin: small dots
    are noise, large ones contribute most to the error. Make it with :meth:`from_estimator` or :meth:`from_predictions`.

    Parameters
    ----------
    bins : DataFrame
        A row for each bin that holds a sample: columns "column" (number of the row in ``calibration``), "low", "high",
        "count", "probability" and "fraction".
    calibration : DataFrame of shape (1 + n_classes, 5)
        The table of :func:`calibration_frame`.
    name : str or None, default=None
        Title of the legend.

    Examples
    --------
    >>> from skcnn.metrics import ReliabilityDisplay
    >>> display = ReliabilityDisplay.from_predictions(["cat", "dog", "dog", "dog"], [0.1, 0.9, 0.9, 0.3])
    >>> frame = display.frame()
    >>> frame[frame["class"] == "dog"].drop(columns="class").round(2)  # doctest: +NORMALIZE_WHITESPACE
        low  high  count  probability  fraction
    5  0.07  0.13      1          0.1       0.0
    6  0.27  0.33      1          0.3       1.0
    7  0.87  0.93      2          0.9       1.0
    >>> figure = display.plot().figure_
    """

    def __init__(self, bins: pd.DataFrame, calibration: pd.DataFrame, *, name: str | None = None) -> None:
        self.bins = bins
        self.calibration = calibration
        self.name = name

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        y: ArrayLike,
        *,
        sample_weight: ArrayLike | None = None,
        n_bins: int = N_BINS,
        name: str | None = None,
    ) -> Self:
        """Make the Display from a fitted classifier that has ``predict_proba``.

        Parameters
        ----------
        estimator, X, y, sample_weight
            A fitted classifier, its input, the true labels and weights of the samples: see
            :meth:`ClassifierReport.from_estimator`.
        n_bins : int, default=15
            Number of bins of equal width: see :func:`calibration_frame`.
        name : str or None, default=None
            Title of the legend.

        Returns
        -------
        ReliabilityDisplay
            Not drawn yet; call :meth:`plot`.

        Raises
        ------
        TypeError
            If it is not a classifier: see :meth:`ClassifierReport.from_estimator`.
        ValueError
            If the estimator has no probabilities, its predictions or ``y`` are invalid, or ``n_bins`` is less than 1.
        """
        predictions = Predictions.from_estimator(estimator, X, y, sample_weight=sample_weight)
        return cls._from_checked(predictions, n_bins, name=name)

    @classmethod
    def from_predictions(
        cls,
        y_true: ArrayLike,
        y_score: ArrayLike,
        *,
        classes: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
        n_bins: int = N_BINS,
        name: str | None = None,
    ) -> Self:
        """Make the Display from probabilities.

        Parameters
        ----------
        y_true, y_score, classes, sample_weight, n_bins
            True labels, scores, labels of the classes, weights of the samples and number of bins: see
            :func:`calibration_frame`.
        name : str or None, default=None
            Title of the legend.

        Returns
        -------
        ReliabilityDisplay
            Not drawn yet; call :meth:`plot`.

        Raises
        ------
        ValueError
            If predictions or ``n_bins`` are refused as in :func:`calibration_frame`.
        """
        predictions = Predictions.from_arrays(y_true, y_score, classes=classes, sample_weight=sample_weight)
        return cls._from_checked(predictions, n_bins, name=name)

    @classmethod
    def _from_checked(cls, predictions: Predictions, n_bins: int = N_BINS, *, name: str | None = None) -> Self:
        """Make the Display from checked predictions."""
        bins = bins_of(predictions, n_bins)
        return cls(bins, calibration_of(predictions, n_bins, bins), name=name)

    def frame(self) -> pd.DataFrame:
        """Return the bins.

        Returns
        -------
        DataFrame of shape (n_points, 6)
            A row for each bin that holds a sample, of all classes together and then of each: columns "class", "low"
            and "high" (edges; the upper one belongs to the bin), "count" (samples, or sum of their weights),
            "probability" (mean in the bin) and "fraction", as in :func:`calibration_frame`.
        """
        frame = self.bins.copy()
        frame.insert(0, "class", self.calibration.index[frame.pop("column").to_numpy()])
        return frame

    def plot(self, ax: Axes | None = None, *, classes: Iterable[Any] | None = None, legend: bool = True) -> Self:
        """Draw the diagram.

        Parameters
        ----------
        ax : matplotlib Axes or None, default=None
            Where to draw. None makes a new figure by pyplot, as scikit-learn's Displays do.
        classes : sequence of labels or None, default=None
            The classes to draw, each against the rest, at most 6. None draws all classes together (the most probable
            class of each sample), and with two classes the second, whose probability determines the other.
        legend : bool, default=True
            Whether to draw a legend with the expected calibration error (ECE) of each curve.

        Returns
        -------
        ReliabilityDisplay
            Itself, with the attributes ``ax_`` and ``figure_``.

        Raises
        ------
        ValueError
            If ``classes`` is empty, names one that is not there, or more than 6.
        """
        columns = self._columns_of(classes)
        if ax is None:
            ax = new_axes(5, 5)
        ax.plot([0, 1], [0, 1], color=REST, linewidth=1, linestyle="--", zorder=1)
        entries = []
        for column, color in zip(columns, SERIES, strict=False):
            points = self.bins[self.bins["column"] == column]
            probability, fraction = points["probability"], points["fraction"]
            if len(columns) == 1:
                ax.vlines(probability, probability, fraction, color=color, linewidth=1, alpha=0.5, zorder=2)
            (line,) = ax.plot(probability, fraction, color=color, linewidth=0.9, zorder=3)
            # Dots at a fraction of 0 or 1 are not clipped.
            area = 10 + 250 * points["count"] / points["count"].sum()
            ax.scatter(probability, fraction, s=area, color=color, alpha=0.85, linewidths=0, zorder=4, clip_on=False)
            row = self.calibration.iloc[column]
            entries.append((line, f"{label_text(row.name, 24)} (ECE {metric_text(row['ece'])})"))
        together = columns == [0]
        ax.set(
            xlabel=("Highest probability of a sample" if together else "Probability of the class") + _DOTS,
            ylabel="Fraction predicted correctly" if together else "Fraction of the class",
            xlim=(-0.02, 1.02),
            ylim=(-0.02, 1.02),
            aspect="equal",
        )
        if legend:
            # Above the axes: within them there is no corner that a curve may not pass.
            box = ax.legend(
                [line for line, _ in entries], ["-"] * len(entries), title=self.name, loc="lower center",
                bbox_to_anchor=(0.5, 1), frameon=False,
            )  # fmt: skip
            for written, (_, text) in zip(box.get_texts(), entries, strict=True):
                # Names of classes are no markup.
                written.set_parse_math(False)
                written.set_text(text)
            box.get_title().set_parse_math(False)
        self.ax_ = ax
        self.figure_ = ax.figure
        return self

    def _columns_of(self, classes: Any) -> list[int]:
        known = list(self.calibration.index[1:])
        if classes is None:
            return [2] if len(known) == 2 else [0]
        classes = [as_label(label) for label in classes]
        unknown = [label for label in classes if label not in known]
        if unknown or not classes:
            raise ValueError(f"classes names {unknown or 'none'!r}; expected labels among {known!r}.")
        if len(classes) > len(SERIES):
            raise ValueError(f"classes names {len(classes)}; expected at most {len(SERIES)}, one colour per class.")
        return [1 + known.index(label) for label in classes]


def reliability_display_of(predictions: Predictions) -> ReliabilityDisplay:
    """Make the Display from checked predictions that have probabilities."""
    return ReliabilityDisplay._from_checked(predictions)
