"""Metrics of numbers against scikit-learn's, also of test sets that are really resampled."""

import warnings

import numpy as np
import pytest
from sklearn import metrics
from sklearn.dummy import DummyRegressor

from skcnn.metrics._numbers import NumberPredictions
from skcnn.metrics._regression import (
    REGRESSION_METRICS,
    mean_baseline_of,
    regression_headline_of,
    regression_intervals_of,
    resampled_regression,
    target_metrics_of,
)
from skcnn.metrics._resampling import draws, seeds_of_resamples


def task(n_samples=41, n_targets=2, seed=0, weighted=False):
    rng = np.random.default_rng(seed)
    true = rng.normal(1000, [1, 50][:n_targets], (n_samples, n_targets)).round(1)
    weight = rng.integers(0, 4, n_samples) / 2 if weighted else None
    return NumberPredictions.from_arrays(true, true + rng.normal(0.3, 1, true.shape).round(1), sample_weight=weight)


def headline_of(predictions):
    return regression_headline_of(predictions, target_metrics_of(predictions))


def scikit_learns(true, predicted, weight=None):
    return [
        metrics.r2_score(true, predicted, sample_weight=weight),
        metrics.mean_absolute_error(true, predicted, sample_weight=weight),
        metrics.root_mean_squared_error(true, predicted, sample_weight=weight),
        metrics.median_absolute_error(true, predicted, sample_weight=weight),
        np.average(predicted - true, weights=weight, axis=0).mean(),
    ]


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("n_targets", [1, 2])
def test_values_are_scikit_learns(n_targets, weighted):
    predictions = task(n_targets=n_targets, weighted=weighted)
    true, predicted, weight = predictions.true, predictions.predicted, predictions.sample_weight
    headline = headline_of(predictions)
    assert list(headline.index) == list(REGRESSION_METRICS)
    np.testing.assert_allclose(headline["value"], scikit_learns(true, predicted, weight), rtol=1e-12)
    for number, (_, row) in enumerate(target_metrics_of(predictions).iterrows()):
        np.testing.assert_allclose(row, scikit_learns(true[:, number], predicted[:, number], weight), rtol=1e-12)
    mean = DummyRegressor().fit(true, true, sample_weight=weight).predict(true).reshape(true.shape)
    np.testing.assert_allclose(headline["baseline"], scikit_learns(true, mean, weight), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("n_samples", [40, 41])
def test_resampled_metrics_are_those_of_test_sets_that_are_drawn(n_samples, weighted):
    predictions = task(n_samples, weighted=weighted)
    got = resampled_regression(predictions, n_resamples=80, random_state=3, n_jobs=None)
    counts = predictions.weights > 0
    true, predicted = predictions.true[counts], predictions.predicted[counts]
    weight = None if predictions.sample_weight is None else predictions.sample_weight[counts]
    drawn = draws(np.zeros(len(true), dtype=int), None, seeds_of_resamples(80, 3))
    assert (drawn.sum(axis=0) == len(true)).all()
    assert len({tuple(column) for column in drawn.T}) == 80
    for number, how_often in enumerate(drawn.astype(int).T):
        rows = np.repeat(np.arange(len(true)), how_often)
        expected = scikit_learns(true[rows], predicted[rows], None if weight is None else weight[rows])
        if weighted:  # Which of two middle values scikit-learn takes depends on its version.
            got[3, number] = expected[3]
        np.testing.assert_allclose(got[:, number], expected, rtol=1e-9)


def test_the_weighted_median_is_that_of_repeated_samples():
    true, error, weight = np.zeros(6), np.array([1.0, 2, 3, 4, 5, 6]), np.array([1, 0, 2, 3, 1, 1])
    predictions = NumberPredictions.from_arrays(true, error, sample_weight=weight)
    from skcnn.metrics._regression import _WeightedMetrics

    rng = np.random.default_rng(0)
    times = rng.integers(0, 4, (6, 50)) + (np.arange(6) == 0)[:, None]
    got = _WeightedMetrics(predictions.true, predictions.predicted)(times.astype(float))[3]
    expected = [np.median(np.repeat(error, column)) for column in times.T]
    np.testing.assert_array_equal(got, expected)


def test_intervals_are_percentiles_and_the_same_in_any_number_of_threads():
    predictions = task()
    frame = regression_intervals_of(predictions, headline_of(predictions), n_resamples=100, random_state=0)
    assert list(frame.columns) == ["value", "low", "high", "baseline", "note"]
    assert (frame["low"] < frame["value"]).all()
    assert (frame["value"] < frame["high"]).all()
    resampled = resampled_regression(predictions, n_resamples=100, random_state=0, n_jobs=None)
    np.testing.assert_allclose(frame[["low", "high"]].T, np.quantile(resampled, [0.025, 0.975], axis=1))
    again = regression_intervals_of(predictions, headline_of(predictions), n_resamples=100, random_state=0, n_jobs=2)
    assert again.equals(frame)
    wide = regression_intervals_of(
        predictions, headline_of(predictions), n_resamples=100, random_state=0, confidence_level=0.5
    )
    assert (wide["high"] < frame["high"]).all()
    with pytest.raises(ValueError, match="n_resamples=0; expected an int >= 1"):
        regression_intervals_of(predictions, headline_of(predictions), n_resamples=0)


def test_intervals_cover_the_true_value_as_often_as_they_say():
    covered = []
    for seed in range(120):
        rng = np.random.default_rng(seed)
        predictions = NumberPredictions.from_arrays(np.zeros(80), rng.normal(0, 1, 80))
        frame = regression_intervals_of(predictions, headline_of(predictions), n_resamples=200, random_state=seed)
        low, high = frame.loc["mean_absolute_error", ["low", "high"]]
        covered.append(low < np.sqrt(2 / np.pi) < high)
    assert 0.88 < np.mean(covered) <= 0.99


@pytest.mark.parametrize("large", [0, 1e8])
def test_what_does_not_vary_has_no_r2(large):
    predictions = NumberPredictions.from_arrays(np.full(5, large + 0.1), np.arange(5))
    headline = headline_of(predictions)
    assert np.isnan(headline.loc["r2", "value"])
    assert np.isnan(headline.loc["r2", "baseline"])
    assert headline.loc["r2", "note"] == "all true values are the same"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        frame = regression_intervals_of(predictions, headline, n_resamples=50, random_state=0)
    assert frame.loc["r2", ["low", "high"]].isna().all()
    assert frame.loc["mean_absolute_error", "low"] <= frame.loc["mean_absolute_error", "high"]


def test_one_target_of_two_does_not_vary():
    true = np.column_stack([np.arange(4.0), np.ones(4)])
    predictions = NumberPredictions.from_arrays(true, true + [[0.1, 0.1]] * 4)
    headline = headline_of(predictions)
    assert headline.loc["r2", "value"] == metrics.r2_score(true[:, 0], true[:, 0] + 0.1)
    assert headline.loc["r2", "note"] == "mean over 1 of 2 targets: the others do not vary"
    # A sample whose weight is 0 does not make a target vary.
    weighted = NumberPredictions.from_arrays([1, 1, 2], [1, 2, 3], sample_weight=[1, 1, 0])
    assert np.isnan(target_metrics_of(weighted)["r2"]).all()


def test_resamples_in_which_nothing_varies_are_left_out():
    predictions = NumberPredictions.from_arrays([1e6, 1e6 + 1], [1e6, 1e6 + 0.5])
    resampled = resampled_regression(predictions, n_resamples=200, random_state=0, n_jobs=None)
    assert 50 < np.isnan(resampled[0]).sum() < 150  # half of them draw one sample twice
    frame = regression_intervals_of(predictions, headline_of(predictions), n_resamples=200, random_state=0)
    assert frame.loc["r2", ["low", "high"]].tolist() == [0.5, 0.5]


def test_errors_that_are_all_the_same_have_a_note():
    predictions = NumberPredictions.from_arrays(np.arange(30), np.arange(30) + 1)
    frame = regression_intervals_of(predictions, headline_of(predictions), n_resamples=20, random_state=0)
    assert frame.loc["mean_absolute_error", "note"].startswith("the same in all resamples")
    assert frame.loc["r2", "note"] == ""


def test_the_baseline_is_the_weighted_mean():
    predictions = NumberPredictions.from_arrays([0, 10], [1, 1], sample_weight=[3, 1])
    baseline = mean_baseline_of(predictions).iloc[0]
    assert baseline["mean_absolute_error"] == (3 * 2.5 + 7.5) / 4
    assert (baseline["r2"], baseline["bias"]) == (0, 0)
