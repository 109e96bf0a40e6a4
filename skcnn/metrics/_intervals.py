"""Bootstrap intervals of the metrics of a test set, of one model and of the difference between two."""

from __future__ import annotations

from numbers import Real
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from skcnn.metrics._predictions import Predictions
from skcnn.metrics._resampling import CONFIDENCE_LEVEL, N_RESAMPLES, resampled_headlines, weights_of_resamples
from skcnn.metrics._tables import class_metrics_of, headline_of

if TYPE_CHECKING:
    from numpy.random import RandomState
    from numpy.typing import ArrayLike


def bootstrap_intervals(
    y_true: ArrayLike,
    y_score: ArrayLike | None = None,
    *,
    y_pred: ArrayLike | None = None,
    classes: ArrayLike | None = None,
    sample_weight: ArrayLike | None = None,
    top_k: int = 5,
    confidence_level: float = CONFIDENCE_LEVEL,
    n_resamples: int = N_RESAMPLES,
    random_state: int | RandomState | None = None,
    n_jobs: int | None = None,
) -> pd.DataFrame:
    """Compute intervals of the metrics of :func:`headline_frame`: their range on other test sets of the same kind.

    The test set is resampled: as many samples of each true class as it has are drawn from that class, with replacement,
    and the metrics computed again. The interval runs between percentiles of these values.

    Parameters
    ----------
    y_true, y_score, y_pred, classes, sample_weight
        True labels, scores, predicted labels, labels of the classes and weights of the samples: see
        :meth:`ClassifierReport.from_predictions`; a sample that is drawn keeps its weight.
    top_k : int, default=5
        The k of the top-k accuracy: see :func:`headline_frame`.
    confidence_level : float, default=0.95
        Fraction of the resamples whose metric lies in the interval, in (0, 1).
    n_resamples : int, default=1000
        Number of resamples. Each end of a 95 % interval depends on the outermost 25 of 1,000 values, so that fewer
        resamples are imprecise [1]_; 200 are enough for a first look.
    random_state : int, RandomState instance or None, default=None
        Seed of the draws. With an int the intervals are the same in each run, whatever ``n_jobs``.
    n_jobs : int or None, default=None
        Number of threads that share the resamples, by joblib. None is 1 unless in a ``joblib.parallel_config`` context.

    Returns
    -------
    DataFrame of shape (7, 4)
        Index "metric" as in :func:`headline_frame`; columns "value" (of the test set itself), "low", "high" and "note":
        why a value is NaN, or why an interval is unreliable.

    Raises
    ------
    ValueError
        If ``confidence_level`` or ``n_resamples`` is out of range, or predictions are refused as in
        :func:`headline_frame`.

    Notes
    -----
    Percentile intervals, because they never leave the range of a metric (an interval made of value and standard error
    runs past 1 where accuracy is high), are the same for a metric and for any monotone function of it, and need nothing
    but the resamples; [1]_ describes them in section 13.3, and the draws by class, as for two-sample problems, in 8.3.

    Draws are stratified so that every class keeps its number of samples: a rare one does not vanish from a resample.
    The intervals are thus about test sets of the same composition. They reflect the randomness of the test samples, not
    that of training, and are too narrow for a class with few samples (less than about 20).

    References
    ----------
    .. [1] B. Efron and R. J. Tibshirani, "An Introduction to the Bootstrap", Chapman & Hall, 1993, sections 8.3, 13.3
       and 14.2.

    Examples
    --------
    >>> from skcnn.metrics import bootstrap_intervals
    >>> y_true, y_pred = ["cat"] * 50 + ["dog"] * 50, ["cat"] * 45 + ["dog"] * 55
    >>> frame = bootstrap_intervals(y_true, y_pred=y_pred, random_state=0)
    >>> frame.loc["accuracy", ["value", "low", "high"]].astype(float).round(2).to_dict()
    {'value': 0.95, 'low': 0.91, 'high': 0.99}
    """
    predictions = Predictions.from_arrays(y_true, y_score, y_pred=y_pred, classes=classes, sample_weight=sample_weight)
    return bootstrap_intervals_of(
        predictions,
        headline_of(predictions, class_metrics_of(predictions), top_k),
        top_k=top_k,
        confidence_level=confidence_level,
        n_resamples=n_resamples,
        random_state=random_state,
        n_jobs=n_jobs,
    )


def bootstrap_intervals_of(
    predictions: Predictions,
    headline: pd.DataFrame,
    *,
    top_k: int = 5,
    confidence_level: float = CONFIDENCE_LEVEL,
    n_resamples: int = N_RESAMPLES,
    random_state: int | RandomState | None = None,
    n_jobs: int | None = None,
) -> pd.DataFrame:
    """Make the table of :func:`bootstrap_intervals`; ``headline`` is that of :func:`headline_frame`."""
    (resampled,) = resampled_headlines(
        [predictions], top_k=top_k, n_resamples=n_resamples, random_state=random_state, n_jobs=n_jobs
    )
    ends = percentiles(resampled, confidence_level)
    return with_ends(headline[["value", "note"]], ends, "too few samples, or too few errors")


def threshold_intervals_of(
    predictions: Predictions,
    number: int,
    threshold: float,
    *,
    confidence_level: float = CONFIDENCE_LEVEL,
    n_resamples: int = N_RESAMPLES,
    random_state: int | RandomState | None = None,
) -> pd.DataFrame:
    """Return precision and recall of a class, by its number, at a threshold on its scores, with their intervals.

    The threshold is the same in all resamples. See :func:`bootstrap_intervals` for the parameters.

    Returns
    -------
    DataFrame of shape (2, 3)
        Index "metric": "precision" and "recall"; columns "value", "low" and "high". NaN where one is not defined;
        resamples in which precision is not defined are left out of its interval.

    Raises
    ------
    ValueError
        If there are no scores, or ``confidence_level`` or ``n_resamples`` is out of range.
    """
    if predictions.score is None:
        raise ValueError(f"A threshold needs scores, and there are none: {predictions.score_note}.")
    is_true = predictions.true == number
    is_called = predictions.score[:, number].astype(float) >= threshold

    def ratios(weights: np.ndarray) -> np.ndarray:
        found = weights[is_true & is_called].sum(axis=0)
        with np.errstate(invalid="ignore"):
            return np.stack([found / weights[is_called].sum(axis=0), found / weights[is_true].sum(axis=0)])

    values = ratios(predictions.weights[:, None])[:, 0]
    resampled = [ratios(weights) for weights in weights_of_resamples(predictions, n_resamples, random_state)]
    low, high = percentiles_of_defined(np.concatenate(resampled, axis=1), confidence_level)
    index = pd.Index(["precision", "recall"], name="metric")
    return pd.DataFrame({"value": values, "low": low, "high": high}, index=index)


def percentiles(resampled: np.ndarray, confidence_level: float) -> np.ndarray:
    """Return the two ends, (2, n_metrics), of the percentile intervals of metrics (n_metrics, n_resamples)."""
    if not isinstance(confidence_level, Real) or not 0 < confidence_level < 1:
        raise ValueError(
            f"confidence_level is {confidence_level!r}; expected a fraction between 0 and 1, such as 0.95."
        )
    beyond = (1 - confidence_level) / 2
    return np.quantile(resampled, [beyond, 1 - beyond], axis=1)


def with_ends(headline: pd.DataFrame, ends: np.ndarray, reason: str) -> pd.DataFrame:
    """Return a table of metrics with their intervals, and where both ends are the same with a note.

    Parameters
    ----------
    headline : DataFrame of shape (n_metrics, n_columns)
        Columns "value" and "note", with others between them.
    ends : ndarray of shape (2, n_metrics)
        Lower and upper ends.
    reason : str
        Why ends can be the same.

    Returns
    -------
    DataFrame of shape (n_metrics, n_columns + 2)
        With the columns "low" and "high" behind "value".
    """
    frame = headline.copy()
    frame.insert(1, "low", ends[0])
    frame.insert(2, "high", ends[1])
    same = (frame["low"] == frame["high"]) & (frame["note"] == "")
    frame.loc[same, "note"] = f"the same in all resamples: {reason}"
    return frame


def percentiles_of_defined(resampled: np.ndarray, confidence_level: float) -> np.ndarray:
    """Return :func:`percentiles` without the resamples in which a metric is NaN; NaN where it is that in all."""
    ends = np.full((2, len(resampled)), np.nan)
    for row, metric in enumerate(resampled):
        defined = metric[~np.isnan(metric)]
        if len(defined):
            ends[:, row] = percentiles(defined[None], confidence_level)[:, 0]
    return ends
