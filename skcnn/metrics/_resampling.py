"""The headline metrics of many resamples of one test set at once.

A resample is a weight for each sample: how often it was drawn. Weights change neither the order of the scores nor who
is right, so that both are worked out once; what is left for each resample are sums of weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from joblib import Parallel, delayed
from scipy.sparse import csr_array
from sklearn.utils import check_random_state

from skcnn.metrics._predictions import Predictions, check_count
from skcnn.metrics._tables import HEADLINE_METRICS, place_of_true, top_k_of

CONFIDENCE_LEVEL = 0.95
N_RESAMPLES = 1000
"""What is taken where nobody asks for another value; texts that go with such metrics read them here."""

_CHUNK = 2**19
"""Weights worked on at a time: 4 MB, which stay near the processor while all classes look at them."""


def resampled_headlines(
    several: Sequence[Predictions],
    *,
    top_k: int,
    n_resamples: int,
    random_state: Any,
    n_jobs: int | None,
) -> np.ndarray:
    """Return the headline metrics of bootstrap resamples, stratified by true class.

    Parameters
    ----------
    several : sequence of Predictions
        Of the same samples, with the same weights: each resample draws the same samples of all of them.
    top_k, n_resamples, random_state, n_jobs
        The k of the top-k accuracy, number of resamples, seed of the draws and number of threads: see
        :func:`bootstrap_intervals`.

    Returns
    -------
    ndarray of shape (n_predictions, n_metrics, n_resamples)
        Metrics in the order of ``HEADLINE_METRICS``; NaN where one is not defined.

    Raises
    ------
    ValueError
        If ``n_resamples`` is less than 1.
    """
    check_count(n_resamples, "n_resamples", N_RESAMPLES)
    # A sample that has no weight is none: a class whose draws were all such samples would have no metrics.
    several = [_without_zero_weights(predictions) for predictions in several]
    # A seed for each resample: it does not matter how they are shared out.
    seeds = check_random_state(random_state).randint(np.iinfo(np.int32).max, size=n_resamples)
    n_at_once = int(np.clip(_CHUNK // several[0].n_samples, 8, 64))
    metrics = [_WeightedHeadline(predictions, top_k) for predictions in several]
    chunks = np.array_split(seeds, -(-n_resamples // n_at_once))
    # Threads: nearly all of the time goes by in NumPy and SciPy, which let each other run.
    done = Parallel(n_jobs=n_jobs, prefer="threads")(
        delayed(_headlines_of)(metrics, several[0], chunk) for chunk in chunks
    )
    return np.concatenate(list(done), axis=2)


def _headlines_of(metrics: list[_WeightedHeadline], predictions: Predictions, seeds: np.ndarray) -> np.ndarray:
    weights = resampled_weights(predictions, seeds)
    return np.stack([metrics_of(weights) for metrics_of in metrics])


def resampled_weights(predictions: Predictions, seeds: np.ndarray) -> np.ndarray:
    """Return the weights of resamples: how often a sample was drawn, times its own weight.

    As many samples of each true class are drawn as it has, with replacement.

    Returns
    -------
    ndarray of shape (n_samples, n_seeds)
        Weights.
    """
    members = np.argsort(predictions.true, kind="stable")
    size = np.bincount(predictions.true, minlength=predictions.n_classes)
    start = (np.cumsum(size) - size)[predictions.true]
    size = size[predictions.true]
    weights = np.empty((predictions.n_samples, len(seeds)))
    for column, seed in enumerate(seeds):
        drawn = members[start + np.random.default_rng(seed).integers(size)]
        weights[:, column] = np.bincount(drawn, minlength=len(weights))
    if predictions.sample_weight is not None:
        weights *= predictions.sample_weight[:, None]
    return weights


class _WeightedHeadline:
    """The headline metrics of predictions as a function of the weights of the samples."""

    def __init__(self, predictions: Predictions, top_k: int) -> None:
        true, score, n_classes = predictions.true, predictions.score, predictions.n_classes
        self._right = true == predictions.predicted
        self._by_true = _sums_by(true, n_classes)
        self._by_predicted = _sums_by(predictions.predicted, n_classes)
        # The last group is for the samples predicted wrongly.
        self._by_right = _sums_by(np.where(self._right, true, n_classes), n_classes + 1)
        self._loss = self._in_top_k = None
        self._rankings: list[_Ranking] = []
        if score is None:
            return
        if predictions.is_probability and n_classes > 1:
            # As scikit-learn's log_loss: a probability is at least the smallest step above 0.
            step = np.finfo(score.dtype).eps
            self._loss = -np.log(np.clip(score[np.arange(len(true)), true].astype(float), step, 1 - step))
        if n_classes > 2:
            self._in_top_k = (place_of_true(predictions) < top_k_of(predictions, top_k)).astype(float)
        self._rankings = [_Ranking(true == number, score[:, number]) for number in np.unique(true)]

    def __call__(self, weights: np.ndarray) -> np.ndarray:
        """Return the metrics, (n_metrics, n_weightings), of weights (n_samples, n_weightings)."""
        total = weights.sum(axis=0)
        support = self._by_true @ weights
        predicted = self._by_predicted @ weights
        right = (self._by_right @ weights)[:-1]
        undefined = np.full(len(total), np.nan)
        areas = np.array([ranking.areas(weights) for ranking in self._rankings])
        rows = {
            "accuracy": right.sum(axis=0) / total,
            "balanced_accuracy": _mean_defined(right, support),
            "log_loss": undefined if self._loss is None else self._loss @ weights / total,
            "top_k_accuracy": undefined if self._in_top_k is None else self._in_top_k @ weights / total,
            "f1_macro": _mean_defined(2 * right, support + predicted),
            "roc_auc_ovr": areas[:, 0].mean(axis=0) if len(areas) else undefined,
            "average_precision_macro": areas[:, 1].mean(axis=0) if len(areas) else undefined,
        }
        return np.stack([rows[metric] for metric in HEADLINE_METRICS])


class _Ranking:
    """How the samples of a class stand among all, by score: what the areas under its two curves are made of.

    The samples of the class fall into groups of equal scores. The areas depend on three sums of weights for each group:
    of the class's samples in it, of the other samples in it, and of the other samples between it and the group above.
    """

    def __init__(self, is_class: np.ndarray, score: np.ndarray) -> None:
        level = np.unique(-score, return_inverse=True)[1]
        with_class = np.zeros(level.max() + 1, dtype=bool)
        with_class[level[is_class]] = True
        self._n_groups = n_groups = int(with_class.sum())
        groups_to_here = np.cumsum(with_class)[level]
        group = groups_to_here - 1
        between = 2 * n_groups + groups_to_here
        row = np.where(is_class, group, np.where(with_class[level], n_groups + group, between))
        self._sums = _sums_by(row, 3 * n_groups + 1)

    def areas(self, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the area under the ROC curve and the average precision of each column of weights."""
        sums = self._sums @ weights
        of_class, tied, between = np.split(sums, [self._n_groups, 2 * self._n_groups])
        n_class, n_rest = of_class.sum(axis=0), tied.sum(axis=0) + between.sum(axis=0)
        rest_to_here = np.cumsum(between[:-1] + tied, axis=0)
        class_to_here = np.cumsum(of_class, axis=0)
        with np.errstate(invalid="ignore"):
            # The fraction of pairs in which the sample of the class has the higher score; equal scores count half.
            auc = (of_class * (n_rest - rest_to_here + tied / 2)).sum(axis=0) / (n_class * n_rest)
            precision = class_to_here / (class_to_here + rest_to_here)
        # A group of which nothing was drawn adds nothing, also where nothing was drawn above it.
        return auc, np.where(of_class > 0, of_class * precision, 0).sum(axis=0) / n_class


def _sums_by(group: np.ndarray, n_groups: int) -> csr_array:
    """Return the matrix whose product with weights, (n_samples, n_weightings), is their sums by group."""
    ends = np.append(0, np.cumsum(np.bincount(group, minlength=n_groups)))
    members = np.argsort(group, kind="stable")
    # As small as can be: there is a matrix for each class.
    parts = (np.ones(len(group), dtype=np.int8), members.astype(np.int32), ends.astype(np.int32))
    return csr_array(parts, shape=(n_groups, len(group)))


def _mean_defined(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """Return the mean of the ratios of each column over the rows where there is something to divide by."""
    defined = whole > 0
    ratio = np.divide(part, whole, out=np.zeros_like(part), where=defined)
    return ratio.sum(axis=0) / defined.sum(axis=0)


def _without_zero_weights(predictions: Predictions) -> Predictions:
    if predictions.sample_weight is None or predictions.sample_weight.all():
        return predictions
    counts = predictions.sample_weight > 0
    return replace(
        predictions,
        true=predictions.true[counts],
        predicted=predictions.predicted[counts],
        score=None if predictions.score is None else predictions.score[counts],
        sample_weight=predictions.sample_weight[counts],
    )
