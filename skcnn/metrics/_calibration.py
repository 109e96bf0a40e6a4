"""Calibration of probabilities: expected calibration error, Brier score and the reliability diagram."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pandas as pd

from skcnn._text import valid_label
from skcnn.metrics._predictions import Predictions, check_count
from skcnn.metrics._text import label_text, metric_text
from skcnn.metrics._theme import REST, SERIES, new_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import ArrayLike

ALL_CLASSES = "all classes"
"""What the first row of the tables is called."""
N_BINS = 15
_DOTS = "\n(area of a dot: fraction of the samples)"


def calibration_frame(
    y_true: ArrayLike,
    y_score: ArrayLike,
    *,
    classes: ArrayLike | None = None,
    sample_weight: ArrayLike | None = None,
    n_bins: int = N_BINS,
) -> pd.DataFrame:
    """Measure the calibration of probabilities, for all classes together and for each class.

    Parameters
    ----------
    y_true, classes, sample_weight
        True labels, labels of the classes and weights of the samples: see :meth:`ClassifierReport.from_predictions`.
    y_score : array-like of shape (n_samples, n_classes) or (n_samples,)
        Probabilities, a column per class, or of the second of two classes.
    n_bins : int, default=15
        Number of bins of equal width between 0 and 1, each with its upper edge, for the calibration error. 15 is the
        number of [1]_, with which published errors are computed; another gives other errors.

    Returns
    -------
    DataFrame of shape (1 + n_classes, 5)
        Index "class": first "all classes", then the labels. Columns:

        ================ ==================================================================================
        support          number of samples of the class (first row: of all), or sum of their weights
        probability      mean probability of the class; first row: of each sample's most probable class
        fraction         fraction of samples of the class; first row: of those predicted correctly
        ece              expected calibration error [1]_: the mean over the samples of ``|probability - fraction|`` of
                         their bin, in [0, 1]
        brier            mean squared error of the probabilities, as :func:`sklearn.metrics.brier_score_loss`
        ================ ==================================================================================

        ``probability`` above ``fraction`` is overconfidence. The first row's ``ece`` is the "top-label" error, the one
        usually published: only the highest probability of each sample is looked at. The error of a class is about its
        column, the class against the rest; in tasks of many classes it is small for all of them, because most
        probabilities are near 0. The first row's ``brier`` is summed over the classes: in [0, 2] with three classes or
        more, and in [0, 1] with two. With one class, ``ece`` and ``brier`` are NaN.

    Raises
    ------
    ValueError
        If the scores are not probabilities, ``n_bins`` is less than 1, or predictions are refused as in
        :func:`headline_frame`.

    See Also
    --------
    sklearn.calibration.calibration_curve : Of two classes, bin by bin: its ``prob_pred`` is the probability, its
        ``prob_true`` the fraction.

    References
    ----------
    .. [1] C. Guo, G. Pleiss, Y. Sun and K. Q. Weinberger, "On Calibration of Modern Neural Networks", ICML 2017,
       section 2.

    Examples
    --------
    >>> from skcnn.metrics import calibration_frame
    >>> calibration_frame(["cat", "dog", "dog", "dog"], [0.1, 0.9, 0.9, 0.3]).round(2)  # doctest: +NORMALIZE_WHITESPACE
                 support  probability  fraction   ece  brier
    class
    all classes        4         0.85      0.75  0.25   0.13
    cat                1         0.45      0.25  0.25   0.13
    dog                3         0.55      0.75  0.25   0.13
    """
    return calibration_of(
        Predictions.from_arrays(y_true, y_score, classes=classes, sample_weight=sample_weight), n_bins
    )


def calibration_of(predictions: Predictions, n_bins: int = N_BINS) -> pd.DataFrame:
    """Make the table of :func:`calibration_frame`."""
    bins = bins_of(predictions, n_bins)
    weights = predictions.weights
    probability, happened = _columns(predictions)
    error = np.abs(bins["probability"] - bins["fraction"]) * bins["count"]
    ece = error.groupby(bins["column"]).sum() / weights.sum()
    squared = np.average((probability[:, 1:] - happened[:, 1:]) ** 2, axis=0, weights=weights)
    # With two classes both columns have the same errors: scikit-learn counts one of them.
    together = squared.sum() / (2 if predictions.n_classes == 2 else 1)
    support = np.append(weights.sum(), np.bincount(predictions.true, weights, minlength=predictions.n_classes))
    if predictions.sample_weight is None:
        support = support.astype(int)
    frame = pd.DataFrame(
        {
            "support": support,
            "probability": np.average(probability, axis=0, weights=weights),
            "fraction": np.average(happened, axis=0, weights=weights),
            "ece": ece.to_numpy(),
            "brier": np.append(together, squared),
        },
        index=pd.Index([ALL_CLASSES, *predictions.classes], name="class"),
    )
    if predictions.n_classes == 1:
        frame[["ece", "brier"]] = np.nan
    return frame


def bins_of(predictions: Predictions, n_bins: int = N_BINS) -> pd.DataFrame:
    """Return a row for each bin that holds a sample: what :class:`ReliabilityDisplay` draws, by number of column.

    Returns
    -------
    DataFrame of shape (n_points, 6)
        Columns "column" (0 for all classes together, then those of the classes), "low", "high", "count",
        "probability" and "fraction".
    """
    if not predictions.is_probability:
        raise ValueError(
            f"Calibration is about probabilities, and there are none: {predictions.score_note}. Give those of "
            "predict_proba, or make some with sklearn.calibration.CalibratedClassifierCV."
        )
    check_count(n_bins, "n_bins", N_BINS)
    edges = np.linspace(0, 1, n_bins + 1)
    probability, happened = _columns(predictions)
    n_columns = probability.shape[1]
    cell = np.searchsorted(edges[1:-1], probability) + n_bins * np.arange(n_columns)
    weights = np.broadcast_to(predictions.weights[:, None], cell.shape)
    counts, probabilities, fractions = (
        np.bincount(cell.ravel(), (weights * values).ravel(), minlength=n_bins * n_columns)
        for values in (np.ones(1), probability, happened)
    )
    used = np.flatnonzero(counts)
    return pd.DataFrame(
        {
            "column": used // n_bins,
            "low": edges[used % n_bins],
            "high": edges[used % n_bins + 1],
            "count": counts[used] if predictions.sample_weight is not None else counts[used].astype(int),
            "probability": probabilities[used] / counts[used],
            "fraction": fractions[used] / counts[used],
        }
    )


def _columns(predictions: Predictions) -> tuple[np.ndarray, np.ndarray]:
    """Return probabilities and what happened, (n_samples, 1 + n_classes): of the most probable class, then of each."""
    assert predictions.score is not None
    probability = np.clip(predictions.score.astype(float), 0, 1)
    happened = predictions.true[:, None] == np.arange(predictions.n_classes)
    top = probability.argmax(axis=1)
    return (
        np.column_stack([probability.max(axis=1), probability]),
        np.column_stack([top == predictions.true, happened]).astype(float),
    )


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
        return cls(bins_of(predictions, n_bins), calibration_of(predictions, n_bins), name=name)

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

    def plot(self, ax: Axes | None = None, *, classes: Any = None, legend: bool = True) -> Self:
        """Draw the diagram.

        Parameters
        ----------
        ax : matplotlib Axes or None, default=None
            Where to draw. None makes a new figure by pyplot, as scikit-learn's Displays do.
        classes : sequence of labels or None, default=None
            The classes to draw, each against the rest, at most 6. None draws all classes together (the most probable
            class of each sample), and with two classes the second, whose probability says all.
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
        classes = [valid_label(label) for label in classes]
        unknown = [label for label in classes if label not in known]
        if unknown or not classes:
            raise ValueError(f"classes names {unknown or 'none'!r}; expected labels among {known!r}.")
        if len(classes) > len(SERIES):
            raise ValueError(f"classes names {len(classes)}; expected at most {len(SERIES)}, one colour per class.")
        return [1 + known.index(label) for label in classes]
