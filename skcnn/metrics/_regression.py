"""The metrics of predicted numbers, with intervals."""

from __future__ import annotations

import numpy as np
import pandas as pd
from joblib import Parallel, delayed
from sklearn.metrics import mean_absolute_error, median_absolute_error, r2_score, root_mean_squared_error

from skcnn.metrics._intervals import percentiles_of_defined, with_ends
from skcnn.metrics._numbers import NumberPredictions
from skcnn.metrics._resampling import CONFIDENCE_LEVEL, N_RESAMPLES, draws, resamples_at_once, seeds_of_resamples

REGRESSION_METRICS = ("r2", "mean_absolute_error", "root_mean_squared_error", "median_absolute_error", "bias")

_ROUNDING = 1e-12
"""A sum of squares below this fraction of its parts is what rounding left of 0."""


def target_metrics_of(predictions: NumberPredictions) -> pd.DataFrame:
    """Return the metrics of each target: index "target", a column for each of ``REGRESSION_METRICS``.

    R2 is NaN where all true numbers of a target are the same. The bias is the mean of predicted minus true.
    """
    return _table(predictions, predictions.predicted)


def mean_baseline_of(predictions: NumberPredictions) -> pd.DataFrame:
    """Return :func:`target_metrics_of` of predictions that are always the mean of the true numbers."""
    mean = np.average(predictions.true, axis=0, weights=predictions.sample_weight)
    table = _table(predictions, np.broadcast_to(mean, predictions.true.shape))
    # What is not 0 is rounding.
    table["bias"] = 0.0
    table["r2"] = table["r2"].where(table["r2"].isna(), 0.0)
    return table


def regression_headline_of(predictions: NumberPredictions, targets: pd.DataFrame) -> pd.DataFrame:
    """Return the metrics about all targets together: means of those of each target, as scikit-learn averages them.

    Parameters
    ----------
    predictions : NumberPredictions
        Checked predictions.
    targets : DataFrame
        The table of :func:`target_metrics_of`.

    Returns
    -------
    DataFrame of shape (5, 3)
        Index "metric"; columns "value", "baseline" (of predictions that are always the mean) and "note".
    """
    baseline = mean_baseline_of(predictions).mean()
    frame = pd.DataFrame({"value": targets.mean(), "baseline": baseline, "note": ""}, index=list(REGRESSION_METRICS))
    frame.index.name = "metric"
    n_defined, n_targets = int(targets["r2"].count()), len(targets)
    if n_defined == 0:
        frame.loc["r2", "note"] = "all true values are the same" if n_targets == 1 else "no target has values that vary"
    elif n_defined < n_targets:
        frame.loc["r2", "note"] = f"mean over {n_defined:,} of {n_targets:,} targets: the others do not vary"
    return frame


def regression_intervals_of(
    predictions: NumberPredictions,
    headline: pd.DataFrame,
    *,
    confidence_level: float = CONFIDENCE_LEVEL,
    n_resamples: int = N_RESAMPLES,
    random_state: int | np.random.RandomState | None = None,
    n_jobs: int | None = None,
) -> pd.DataFrame:
    """Find between which values the metrics would lie on other test sets of the same size.

    As many samples as there are are drawn, with replacement, and the metrics computed again. See
    :func:`bootstrap_intervals` for the parameters.

    Parameters
    ----------
    predictions : NumberPredictions
        Checked predictions.
    headline : DataFrame
        The table of :func:`regression_headline_of`.
    confidence_level, n_resamples, random_state, n_jobs
        Level of the intervals, number of resamples, seed of the draws and number of threads.

    Returns
    -------
    DataFrame of shape (5, 5)
        Index "metric"; columns "value", "low", "high", "baseline" and "note".

    Raises
    ------
    ValueError
        If ``confidence_level`` or ``n_resamples`` is out of range.
    """
    resampled = resampled_regression(predictions, n_resamples=n_resamples, random_state=random_state, n_jobs=n_jobs)
    ends = percentiles_of_defined(resampled, confidence_level)
    return with_ends(headline[["value", "baseline", "note"]], ends, "too few samples, or errors that are all the same")


def resampled_regression(
    predictions: NumberPredictions,
    *,
    n_resamples: int,
    random_state: int | np.random.RandomState | None,
    n_jobs: int | None,
) -> np.ndarray:
    """Return the metrics of bootstrap resamples, means over targets.

    Returns
    -------
    ndarray of shape (n_metrics, n_resamples)
        In the order of ``REGRESSION_METRICS``; R2 is NaN where a resample has the same number throughout.
    """
    seeds = seeds_of_resamples(n_resamples, random_state)
    counts = predictions.weights > 0
    weight = None if predictions.sample_weight is None else predictions.sample_weight[counts]
    metrics = _WeightedMetrics(predictions.true[counts], predictions.predicted[counts])
    chunks = np.array_split(seeds, -(-n_resamples // resamples_at_once(metrics.n_samples)))
    done = Parallel(n_jobs=n_jobs, prefer="threads")(delayed(_metrics_of)(metrics, weight, chunk) for chunk in chunks)
    return np.concatenate(list(done), axis=1)


def _metrics_of(metrics: _WeightedMetrics, weight: np.ndarray | None, seeds: np.ndarray) -> np.ndarray:
    return metrics(draws(np.zeros(metrics.n_samples, dtype=int), weight, seeds))


def _table(predictions: NumberPredictions, predicted: np.ndarray) -> pd.DataFrame:
    true, weight = predictions.true, predictions.sample_weight
    counting = true if weight is None else true[weight > 0]
    varies = (counting != counting[:1]).any(axis=0)
    r2 = np.full(len(varies), np.nan)
    if varies.any():
        r2[varies] = r2_score(true[:, varies], predicted[:, varies], sample_weight=weight, multioutput="raw_values")
    of_each = {"sample_weight": weight, "multioutput": "raw_values"}
    columns = {
        "r2": r2,
        "mean_absolute_error": mean_absolute_error(true, predicted, **of_each),
        "root_mean_squared_error": root_mean_squared_error(true, predicted, **of_each),
        "median_absolute_error": median_absolute_error(true, predicted, **of_each),
        "bias": np.average(predicted - true, axis=0, weights=weight),
    }
    return pd.DataFrame(columns, index=pd.Index(predictions.target_names, name="target"))


class _WeightedMetrics:
    """The metrics of predicted numbers as a function of the weights of the samples."""

    def __init__(self, true: np.ndarray, predicted: np.ndarray) -> None:
        self.n_samples = len(true)
        self._error = predicted - true
        # About their mean, which keeps the digits of numbers that are large and close to each other.
        self._centred = true - true.mean(axis=0)
        self._order = np.argsort(np.abs(self._error), axis=0, kind="stable")

    def __call__(self, weights: np.ndarray) -> np.ndarray:
        """Return the metrics, (n_metrics, n_weightings), of weights (n_samples, n_weightings)."""
        total = weights.sum(axis=0)
        squared = (self._error**2).T @ weights
        spread = (self._centred**2).T @ weights
        around_mean = spread - (self._centred.T @ weights) ** 2 / total
        varies = around_mean > _ROUNDING * spread
        r2 = np.where(varies, 1 - squared / np.where(varies, around_mean, 1), np.nan)
        n_defined = varies.sum(axis=0)
        rows = {
            "r2": np.where(n_defined, np.nansum(r2, axis=0) / np.maximum(n_defined, 1), np.nan),
            "mean_absolute_error": (np.abs(self._error).T @ weights / total).mean(axis=0),
            "root_mean_squared_error": np.sqrt(squared / total).mean(axis=0),
            "median_absolute_error": np.mean([self._median(target, weights) for target in range(len(r2))], axis=0),
            "bias": (self._error.T @ weights / total).mean(axis=0),
        }
        return np.stack([rows[metric] for metric in REGRESSION_METRICS])

    def _median(self, target: int, weights: np.ndarray) -> np.ndarray:
        """Return the median of the absolute errors: the mean of the two in the middle where the weight is halved."""
        order = self._order[:, target]
        ordered = np.abs(self._error[order, target])
        reached = np.cumsum(weights[order], axis=0)
        half = reached[-1] / 2
        lower = (reached < half * (1 - _ROUNDING)).sum(axis=0)
        upper = (reached <= half * (1 + _ROUNDING)).sum(axis=0)
        return (ordered[lower] + ordered[np.minimum(upper, len(ordered) - 1)]) / 2
