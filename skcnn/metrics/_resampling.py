"""The headline metrics of many resamples of one test set at once.

A resample is a weight for each sample: how often it was drawn. Weights change neither the order of the scores nor who
is right, so that both are worked out once; what is left for each resample are sums of weights.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
from joblib import Parallel, delayed
from sklearn.utils import check_random_state

from skcnn.metrics._areas import Areas, sums_by
from skcnn.metrics._predictions import Predictions, check_count
from skcnn.metrics._tables import HEADLINE_METRICS, place_of_true, top_k_of

CONFIDENCE_LEVEL = 0.95
"""The default confidence level of intervals; texts that go with such metrics read it here."""
N_RESAMPLES = 1000
"""The default number of bootstrap resamples; texts that go with such metrics read it here."""

_CHUNK = 2**19
"""Weights worked on at a time: 4 MB, which stay near the processor while all classes look at them."""

_MANY_CLASSES = 500
"""From more classes on more resamples are worked on at a time: samples are compared again for each batch of them."""


def resampled_headlines(
    several: Sequence[Predictions],
    *,
    top_k: int,
    n_resamples: int,
    random_state: int | np.random.RandomState | None,
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
    # A sample that has no weight is none: a class whose draws were all such samples would have no metrics.
    several = [_without_zero_weights(predictions) for predictions in several]
    seeds = seeds_of_resamples(n_resamples, random_state)
    n_at_once = resamples_at_once(several[0].n_samples)
    if several[0].n_classes > _MANY_CLASSES:
        n_at_once = 250
    metrics = [_WeightedHeadline(predictions, top_k) for predictions in several]
    chunks = np.array_split(seeds, -(-n_resamples // n_at_once))
    # Threads: nearly all of the time goes by in NumPy and SciPy, which let each other run.
    done = Parallel(n_jobs=n_jobs, prefer="threads")(
        delayed(_headlines_of)(metrics, several[0], chunk) for chunk in chunks
    )
    return np.concatenate(list(done), axis=2)


def weights_of_resamples(
    predictions: Predictions, n_resamples: int, random_state: int | np.random.RandomState | None
) -> Iterator[np.ndarray]:
    """Yield the weights of resamples, (n_samples, n_at_once), some at a time: see :func:`resampled_headlines`."""
    seeds, n_at_once = seeds_of_resamples(n_resamples, random_state), resamples_at_once(predictions.n_samples)
    for start in range(0, n_resamples, n_at_once):
        yield resampled_weights(predictions, seeds[start : start + n_at_once])


def seeds_of_resamples(n_resamples: int, random_state: int | np.random.RandomState | None) -> np.ndarray:
    """Return a seed for each resample: it does not matter how they are shared out."""
    check_count(n_resamples, "n_resamples", N_RESAMPLES)
    return check_random_state(random_state).randint(np.iinfo(np.int32).max, size=n_resamples)


def resamples_at_once(n_samples: int) -> int:
    """Return how many resamples to work on at a time."""
    return int(np.clip(_CHUNK // n_samples, 8, 64))


def _headlines_of(metrics: list[_WeightedHeadline], predictions: Predictions, seeds: np.ndarray) -> np.ndarray:
    weights = resampled_weights(predictions, seeds)
    return np.stack([metrics_of(weights) for metrics_of in metrics])


def resampled_weights(predictions: Predictions, seeds: np.ndarray) -> np.ndarray:
    """Return the weights of resamples that draw as many samples of each true class as it has: see :func:`draws`."""
    return draws(predictions.true, predictions.sample_weight, seeds)


def draws(group: np.ndarray, sample_weight: np.ndarray | None, seeds: np.ndarray) -> np.ndarray:
    """Return the weights of resamples: how often a sample was drawn, times its own weight.

    As many samples of each group are drawn as it has, with replacement.

    Parameters
    ----------
    group : ndarray of shape (n_samples,), dtype int
        Number of the group of each sample.
    sample_weight : ndarray of shape (n_samples,) or None
        Weights.
    seeds : ndarray of shape (n_seeds,), dtype int
        A seed for each resample.

    Returns
    -------
    ndarray of shape (n_samples, n_seeds)
        Weights.
    """
    members = np.argsort(group, kind="stable")
    size = np.bincount(group)
    start = (np.cumsum(size) - size)[group]
    size = size[group]
    weights = np.empty((len(group), len(seeds)))
    for column, seed in enumerate(seeds):
        drawn = members[start + np.random.default_rng(seed).integers(size)]
        weights[:, column] = np.bincount(drawn, minlength=len(weights))
    if sample_weight is not None:
        weights *= sample_weight[:, None]
    return weights


def image_weights(n_images: int, seeds: np.ndarray) -> np.ndarray:
    """Return how often each image is drawn in resamples of whole images, (n_images, n_seeds), int."""
    drawn = (check_random_state(seed).randint(n_images, size=n_images) for seed in seeds)
    return np.stack([np.bincount(images, minlength=n_images) for images in drawn], axis=1)


class _WeightedHeadline:
    """The headline metrics of predictions as a function of the weights of the samples."""

    def __init__(self, predictions: Predictions, top_k: int) -> None:
        true, score, n_classes = predictions.true, predictions.score, predictions.n_classes
        self._right = true == predictions.predicted
        self._by_true = sums_by(true, n_classes)
        self._by_predicted = sums_by(predictions.predicted, n_classes)
        # The last group is for the samples predicted wrongly.
        self._by_right = sums_by(np.where(self._right, true, n_classes), n_classes + 1)
        self._loss = self._in_top_k = None
        self._areas: Areas | None = None
        if score is None:
            return
        if predictions.is_probability and n_classes > 1:
            # As scikit-learn's log_loss: a probability is at least the smallest step above 0.
            step = np.finfo(score.dtype).eps
            self._loss = -np.log(np.clip(score[np.arange(len(true)), true].astype(float), step, 1 - step))
        if n_classes > 2:
            self._in_top_k = (place_of_true(predictions) < top_k_of(predictions, top_k)).astype(float)
        self._areas = Areas(predictions)

    def __call__(self, weights: np.ndarray) -> np.ndarray:
        """Return the metrics, (n_metrics, n_weightings), of weights (n_samples, n_weightings)."""
        total = weights.sum(axis=0)
        support = self._by_true @ weights
        predicted = self._by_predicted @ weights
        right = (self._by_right @ weights)[:-1]
        undefined = np.full(len(total), np.nan)
        auc = average_precision = undefined
        if self._areas is not None:
            auc, average_precision = np.zeros(len(total)), np.zeros(len(total))
            for _, aucs, precisions in self._areas(weights):
                auc += aucs.sum(axis=0)
                average_precision += precisions.sum(axis=0)
            auc, average_precision = auc / self._areas.n_classes, average_precision / self._areas.n_classes
        rows = {
            "accuracy": right.sum(axis=0) / total,
            "balanced_accuracy": _mean_defined(right, support),
            "log_loss": undefined if self._loss is None else self._loss @ weights / total,
            "top_k_accuracy": undefined if self._in_top_k is None else self._in_top_k @ weights / total,
            "f1_macro": _mean_defined(2 * right, support + predicted),
            "roc_auc_ovr": auc,
            "average_precision_macro": average_precision,
        }
        return np.stack([rows[metric] for metric in HEADLINE_METRICS])


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
