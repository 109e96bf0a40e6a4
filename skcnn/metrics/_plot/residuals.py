"""Display of how the residuals of predicted numbers are distributed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pandas as pd

from skcnn._plot.theme import INK, SERIES, new_axes
from skcnn._text import number_text
from skcnn.metrics._numbers import NumberPredictions
from skcnn.metrics._predictions import check_count

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import ArrayLike

_FEWEST_BINS, _MOST_BINS = 8, 40
_ROUNDING = 1e-9
#: What the axis of residuals is called.
RESIDUAL_LABEL = "Residual (true minus predicted)"


class ResidualHistogramDisplay:
    """Histogram of the residuals, true minus predicted, of a regressor.

    Beside :class:`sklearn.metrics.PredictionErrorDisplay`, which draws each residual: how many are large, whether they
    lie around 0, and whether there are some far outside. Make it with :meth:`from_estimator` or
    :meth:`from_predictions`.

    Parameters
    ----------
    bins : DataFrame of shape (n_bins, 3)
        What :meth:`frame` returns.
    mean : float
        Mean of the residuals.
    name : str or None, default=None
        Title of the figure.

    Examples
    --------
    >>> from skcnn.metrics import ResidualHistogramDisplay
    >>> display = ResidualHistogramDisplay.from_predictions([1.0, 2.0, 3.0, 4.0], [1.0, 1.5, 3.5, 3.0], n_bins=3)
    >>> display.frame()
       low  high  count
    0 -0.5   0.0    1.0
    1  0.0   0.5    1.0
    2  0.5   1.0    2.0
    >>> figure = display.plot().figure_
    """

    def __init__(self, bins: pd.DataFrame, mean: float, *, name: str | None = None) -> None:
        self.bins = bins
        self.mean = mean
        self.name = name

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        y: ArrayLike,
        *,
        sample_weight: ArrayLike | None = None,
        n_bins: int | None = None,
        name: str | None = None,
    ) -> Self:
        """Make the Display from a fitted regressor.

        Parameters
        ----------
        estimator, X, y, sample_weight
            A fitted regressor of one target, its input, the true numbers and weights of the samples: see
            :meth:`RegressionReport.from_estimator`.
        n_bins : int or None, default=None
            Number of bins: see :meth:`from_predictions`.
        name : str or None, default=None
            Title of the figure.

        Returns
        -------
        ResidualHistogramDisplay
            Not drawn yet; call :meth:`plot`.

        Raises
        ------
        TypeError
            If it is not a regressor.
        ValueError
            If predictions or ``y`` are invalid or of several targets, or ``n_bins`` is less than 1.
        """
        predictions = NumberPredictions.from_estimator(estimator, X, y, sample_weight=sample_weight)
        return cls._from_checked(predictions, n_bins, name=name)

    @classmethod
    def from_predictions(
        cls,
        y_true: ArrayLike,
        y_pred: ArrayLike,
        *,
        sample_weight: ArrayLike | None = None,
        n_bins: int | None = None,
        name: str | None = None,
    ) -> Self:
        """Make the Display from predictions.

        Parameters
        ----------
        y_true, y_pred : array-like of shape (n_samples,)
            True and predicted numbers, of one target.
        sample_weight : array-like of shape (n_samples,) or None, default=None
            Weights >= 0.
        n_bins : int or None, default=None
            Number of bins of equal width. None takes the rule of Freedman and Diaconis [1]_, but at least 8 and at most
            40 bins, since outliers would otherwise lead to thousands.
        name : str or None, default=None
            Title of the figure.

        Returns
        -------
        ResidualHistogramDisplay
            Not drawn yet; call :meth:`plot`.

        Raises
        ------
        ValueError
            If predictions are invalid or of several targets, or ``n_bins`` is less than 1.

        References
        ----------
        .. [1] D. Freedman and P. Diaconis, "On the histogram as a density estimator: L2 theory", Zeitschrift fuer
           Wahrscheinlichkeitstheorie und verwandte Gebiete 57, 1981, pages 453-476.
        """
        predictions = NumberPredictions.from_arrays(y_true, y_pred, sample_weight=sample_weight)
        return cls._from_checked(predictions, n_bins, name=name)

    @classmethod
    def _from_checked(
        cls, predictions: NumberPredictions, n_bins: int | None = None, *, name: str | None = None
    ) -> Self:
        """Make the Display from checked predictions."""
        if predictions.n_targets > 1:
            raise ValueError(f"There are {predictions.n_targets} targets; expected one: a column of each array.")
        if n_bins is not None:
            check_count(n_bins, "n_bins", _MOST_BINS)
        residual, weights = -predictions.error[:, 0], predictions.weights
        low, high = residual.min(), residual.max()
        size = np.abs([predictions.true, predictions.predicted]).max()
        if high - low <= _ROUNDING * size:  # Numbers that are the same but for rounding: one bar, of some width.
            low, high = low - size / 2, high + size / 2 + (size == 0)
        count, edges = np.histogram(
            residual, _n_bins(residual) if n_bins is None else int(n_bins), range=(low, high), weights=weights
        )
        bins = pd.DataFrame({"low": edges[:-1], "high": edges[1:], "count": count})
        return cls(bins, float(np.average(residual, weights=weights)), name=name)

    def frame(self) -> pd.DataFrame:
        """Return the bins.

        Returns
        -------
        DataFrame of shape (n_bins, 3)
            Columns "low" and "high" (ends of the bin; the last bin includes its upper end), and "count" (number of
            samples, or their weight).
        """
        return self.bins.copy()

    def plot(self, ax: Axes | None = None) -> Self:
        """Draw the histogram, with a line at 0 and a dashed one at the mean.

        Parameters
        ----------
        ax : matplotlib Axes or None, default=None
            Where to draw. None makes a new figure by pyplot, as scikit-learn's Displays do.

        Returns
        -------
        ResidualHistogramDisplay
            Itself, with the attributes ``ax_`` and ``figure_``.
        """
        ax = new_axes(5.5, 4.0) if ax is None else ax
        low, width = self.bins["low"], self.bins["high"] - self.bins["low"]
        ax.bar(low, self.bins["count"], width, align="edge", color=SERIES[0], alpha=0.75, linewidth=0, zorder=2)
        ax.axvline(0, color=INK, linewidth=0.9, zorder=3)
        ax.axvline(self.mean, color=SERIES[1], linewidth=0.9, linestyle="--", zorder=3)
        ax.set(xlabel=f"{RESIDUAL_LABEL}\n(dashed: mean, {number_text(self.mean)})", ylabel="Samples")
        if self.name:
            ax.set_title(self.name, parse_math=False)
        self.ax_ = ax
        self.figure_ = ax.figure
        return self


def _n_bins(residual: np.ndarray) -> int:
    spread = np.ptp(residual)
    low, high = np.quantile(residual, [0.25, 0.75])
    width = 2 * (high - low) / len(residual) ** (1 / 3)
    if not width * _MOST_BINS > 0 or spread > width * _MOST_BINS:
        return _MOST_BINS
    return max(_FEWEST_BINS, int(np.ceil(spread / width)))


def residual_histogram_display_of(predictions: NumberPredictions) -> ResidualHistogramDisplay:
    """Make the Display from checked predictions of one target."""
    return ResidualHistogramDisplay._from_checked(predictions)
