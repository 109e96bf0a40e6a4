"""Display of the errors of a verifier: genuine pairs that are rejected against impostor pairs that are accepted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pandas as pd
from scipy.stats import norm

from skcnn._plot.theme import MUTED, SERIES, new_axes
from skcnn._text import metric_text
from skcnn.metrics._intervals import percentiles_of_defined
from skcnn.metrics._resampling import CONFIDENCE_LEVEL
from skcnn.metrics._verification import eer_of, rates_of
from skcnn.metrics._verification_pairs import Pairs

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.random import RandomState
    from numpy.typing import ArrayLike

_TICKS = (0.0001, 0.001, 0.01, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 0.95)
_GRID = np.logspace(-5, 0, 201)


class VerificationCurveDisplay:
    """Detection error tradeoff (DET) of scores of pairs, with its interval over people.

    The axes are those of the normal distribution [1]_: of scores that are normally distributed the curve is a straight
    line. The dot is the equal error rate. Make it with :meth:`from_estimator` or :meth:`from_predictions`.

    Parameters
    ----------
    curve : DataFrame of shape (n_points, 3)
        What :meth:`frame` returns.
    eer : float
        Equal error rate.
    band : DataFrame of shape (n_grid, 3) or None, default=None
        Interval of the false reject rate at each false accept rate: columns "far", "low" and "high".
    name : str or None, default=None
        Title of the image.

    See Also
    --------
    verification_frame : The metrics.
    sklearn.metrics.DetCurveDisplay : The same curve without people.

    References
    ----------
    .. [1] A. Martin, G. Doddington, T. Kamm, M. Ordowski and M. Przybocki, "The DET curve in assessment of detection
       task performance", Eurospeech 1997.

    Examples
    --------
    >>> from skcnn.metrics import VerificationCurveDisplay
    >>> display = VerificationCurveDisplay.from_predictions([1, 1, 1, 1, 0, 0, 0, 0], [9, 8, 7, 3, 6, 2, 1, 0])
    >>> display.eer
    0.25
    >>> figure = display.plot().figure_
    """

    def __init__(
        self, curve: pd.DataFrame, eer: float, *, band: pd.DataFrame | None = None, name: str | None = None
    ) -> None:
        self.curve = curve
        self.eer = eer
        self.band = band
        self.name = name

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        y: ArrayLike,
        *,
        people: ArrayLike | None = None,
        n_resamples: int = 200,
        random_state: int | RandomState | None = 0,
        name: str | None = None,
    ) -> Self:
        """Make the Display from a fitted verifier.

        Parameters
        ----------
        estimator : FaceVerifier
            A fitted verifier, by its method ``decision_function``.
        X : DataFrame of shape (n_pairs, 2)
            Pairs of images.
        y : array-like of shape (n_pairs,)
            1 for pairs of one identity, 0 for pairs of two.
        people, n_resamples, random_state, name
            Identities of the pairs, resamples, their seed and the title: see :meth:`from_predictions`.

        Returns
        -------
        VerificationCurveDisplay
            Not drawn yet; call :meth:`plot`.

        Raises
        ------
        TypeError
            If the estimator has no ``decision_function``.
        ValueError
            If pairs or a parameter are invalid.
        """
        if not hasattr(estimator, "decision_function"):
            raise TypeError(
                f"estimator is a {type(estimator).__name__}, which has no decision_function; expected a verifier"
            )
        score = estimator.decision_function(X)
        return cls.from_predictions(
            y, score, people=people, n_resamples=n_resamples, random_state=random_state, name=name
        )

    @classmethod
    def from_predictions(
        cls,
        y_true: ArrayLike,
        y_score: ArrayLike,
        *,
        people: ArrayLike | None = None,
        n_resamples: int = 200,
        random_state: int | RandomState | None = 0,
        name: str | None = None,
    ) -> Self:
        """Make the Display from scores.

        Parameters
        ----------
        y_true, y_score, people
            Pairs, their similarities and identities: see :func:`verification_frame`. Without identities there is no
            interval.
        n_resamples : int, default=200
            Number of resamples of people, enough for a band that is looked at.
        random_state : int, RandomState instance or None, default=0
            Seed of the draws.
        name : str or None, default=None
            Title of the image.

        Returns
        -------
        VerificationCurveDisplay
            Not drawn yet; call :meth:`plot`.

        Raises
        ------
        ValueError
            If pairs are refused as in :func:`verification_frame`, or all are of one kind.
        """
        pairs = Pairs.from_arrays(y_true, y_score, people)
        if len(np.unique(pairs.is_same)) < 2:
            raise ValueError("All pairs are of one kind in y_true; expected genuine and impostor pairs.")
        true, false = rates_of(pairs, np.ones((len(pairs.score), 1)))
        thresholds = np.append(np.inf, pairs.score[pairs.ends])
        curve = pd.DataFrame({"far": false[:, 0], "frr": 1 - true[:, 0], "threshold": thresholds})
        band = None
        if pairs.people is not None:
            resampled = [_at(*rates_of(pairs, w)) for w in pairs.weights_of_resamples(n_resamples, random_state)]
            low, high = percentiles_of_defined(np.concatenate(resampled, axis=1), CONFIDENCE_LEVEL)
            band = pd.DataFrame({"far": _GRID, "low": low, "high": high})
        return cls(curve, float(eer_of(true, false)[0]), band=band, name=name)

    def frame(self) -> pd.DataFrame:
        """Return the points of the curve.

        Returns
        -------
        DataFrame of shape (n_points, 3)
            Columns "far" (fraction of the impostor pairs that are accepted), "frr" (fraction of the genuine pairs that
            are rejected) and "threshold": pairs with at least this score are accepted.
        """
        return self.curve.copy()

    def plot(self, ax: Axes | None = None) -> Self:
        """Draw the curve.

        Parameters
        ----------
        ax : matplotlib Axes or None, default=None
            Where to draw. None makes a new figure by pyplot, as scikit-learn's Displays do.

        Returns
        -------
        VerificationCurveDisplay
            Itself, with the attributes ``ax_`` and ``figure_``.
        """
        ax = new_axes(5.0, 4.6) if ax is None else ax
        inside = self.curve[(self.curve["far"] > 0) & (self.curve["far"] < 1)]
        least = min(float(inside["far"].min()) if len(inside) else 0.001, 0.01)
        if self.band is not None:
            shown = self.band[self.band["far"] >= least]
            low, high = (norm.ppf(np.clip(shown[end], 1e-5, 1 - 1e-5)) for end in ("low", "high"))
            where = norm.ppf(np.clip(shown["far"], 1e-5, 1 - 1e-5))
            ax.fill_between(where, low, high, color=SERIES[0], alpha=0.15, linewidth=0)
        x, y = (norm.ppf(np.clip(inside[rate], 1e-5, 1 - 1e-5)) for rate in ("far", "frr"))
        ax.plot(x, y, color=SERIES[0], linewidth=1.6, label=f"EER = {metric_text(self.eer)}")
        ends = norm.ppf([least / 2, 0.6])
        ax.plot(ends, ends, color=MUTED, linewidth=0.8, linestyle=":")
        if 0 < self.eer < 1:
            ax.plot(*2 * [norm.ppf(self.eer)], "o", color=SERIES[0])
        for axis in (ax.xaxis, ax.yaxis):
            axis.set_ticks(norm.ppf(_TICKS), [f"{100 * tick:g} %" for tick in _TICKS])
        ax.set(xlim=ends, ylim=norm.ppf([least / 2, 0.96]))
        ax.set(xlabel="Impostor pairs accepted (FAR)", ylabel="Genuine pairs rejected (FRR)")
        ax.legend(loc="upper right")
        if self.name:
            ax.set_title(self.name, parse_math=False)
        self.ax_, self.figure_ = ax, ax.figure
        return self


def _at(true: np.ndarray, false: np.ndarray) -> np.ndarray:
    """Return the false reject rates, (n_grid, n_weightings), at the false accept rates of the grid."""
    found = np.empty((len(_GRID), true.shape[1]))
    for column in range(true.shape[1]):
        last = np.searchsorted(false[:, column], _GRID + 1e-12, side="right") - 1
        found[:, column] = 1 - true[last, column]
    return found
