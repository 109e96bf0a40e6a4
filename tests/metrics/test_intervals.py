"""Bootstrap metrics against those of test sets that are really resampled."""

import warnings
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn import metrics

from skcnn.metrics import bootstrap_intervals, headline_frame
from skcnn.metrics._intervals import threshold_intervals_of
from skcnn.metrics._predictions import Predictions
from skcnn.metrics._resampling import (
    _WeightedHeadline,
    _without_zero_weights,
    resampled_headlines,
    resampled_weights,
)
from skcnn.metrics._tables import HEADLINE_METRICS


def task(n_samples=300, n_classes=4, seed=0):
    rng = np.random.default_rng(seed)
    y_true = rng.integers(0, n_classes, n_samples)
    y_score = rng.random((n_samples, n_classes))
    y_score[np.arange(n_samples), y_true] += 0.4
    y_score = y_score.round(1) + 0.1  # Rounding makes ties.
    return y_true, y_score / y_score.sum(axis=1, keepdims=True)


@st.composite
def tasks(draw):
    """Predictions with ties, weights of 0, wrong orders, and classes without a sample; at times one class only."""
    n_classes = draw(st.integers(2, 6))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n_samples = draw(st.integers(1, 40))
    y_true = rng.integers(0, draw(st.integers(1, n_classes)), n_samples)
    y_score = rng.integers(1, draw(st.sampled_from([2, 5, 1000])) + 1, (n_samples, n_classes)).astype(float)
    if draw(st.booleans()):
        y_score /= y_score.sum(axis=1, keepdims=True)
    weight = None
    if draw(st.booleans()):
        weight = rng.integers(0, 4, n_samples) / 2
        weight[0] = 1
    return Predictions.from_arrays(y_true, y_score, classes=np.arange(n_classes), sample_weight=weight)


@settings(deadline=None, derandomize=True, max_examples=40)
@given(tasks())
def test_metrics_by_weights_are_those_of_the_table(predictions):
    counting = _without_zero_weights(predictions)
    got = _WeightedHeadline(counting, 3)(counting.weights[:, None])[:, 0]
    table = headline_frame(
        predictions.true,
        predictions.score,
        classes=predictions.classes,
        sample_weight=predictions.sample_weight,
        top_k=3,
    )
    assert tuple(table.index) == HEADLINE_METRICS
    np.testing.assert_allclose(got, table["value"], rtol=1e-9)


@pytest.mark.parametrize("n_classes", [2, 4])
@pytest.mark.parametrize("weighted", [False, True])
def test_resampled_metrics_are_scikit_learns_of_the_resampled_set(n_classes, weighted):
    y_true, y_score = task(n_classes=n_classes)
    weight = np.random.default_rng(1).random(len(y_true)) if weighted else np.ones(len(y_true))
    predictions = Predictions.from_arrays(y_true, y_score, sample_weight=weight)
    drawn = resampled_weights(replace(predictions, sample_weight=None), np.arange(3))
    got = _WeightedHeadline(predictions, 2)(drawn * weight[:, None])
    for column, times in enumerate(drawn.astype(int).T):
        assert np.array_equal(np.bincount(np.repeat(y_true, times)), np.bincount(y_true))  # Stratified.
        assert times.max() > 1
        y, p, w = (np.repeat(array, times, axis=0) for array in (y_true, y_score, weight))
        one_hot = np.eye(n_classes)[y]
        golden = {
            "accuracy": metrics.accuracy_score(y, p.argmax(1), sample_weight=w),
            "balanced_accuracy": metrics.balanced_accuracy_score(y, p.argmax(1), sample_weight=w),
            "log_loss": metrics.log_loss(y, p, sample_weight=w),
            "top_k_accuracy": metrics.top_k_accuracy_score(y, p, k=2, sample_weight=w) if n_classes > 2 else np.nan,
            "f1_macro": metrics.f1_score(y, p.argmax(1), average="macro", sample_weight=w),
            "roc_auc_ovr": metrics.roc_auc_score(one_hot, p, sample_weight=w),
            "average_precision_macro": metrics.average_precision_score(one_hot, p, sample_weight=w),
        }
        np.testing.assert_allclose(got[:, column], [golden[metric] for metric in HEADLINE_METRICS], rtol=1e-9)


def test_draws_are_fair():
    predictions = Predictions.from_arrays([0] * 3 + [1] * 5, y_pred=[0] * 8)
    drawn = resampled_weights(predictions, np.arange(4000))
    np.testing.assert_allclose(drawn.mean(axis=1), 1, atol=0.06)
    np.testing.assert_allclose(drawn.var(axis=1), [2 / 3] * 3 + [4 / 5] * 5, atol=0.08)  # Of a binomial: 1 - 1/n.


def test_seed_decides_and_threads_do_not():
    y_true, y_score = task()
    one = bootstrap_intervals(y_true, y_score, n_resamples=150, random_state=7)
    pd.testing.assert_frame_equal(one, bootstrap_intervals(y_true, y_score, n_resamples=150, random_state=7, n_jobs=2))
    other = bootstrap_intervals(y_true, y_score, n_resamples=150, random_state=8)
    assert (one["low"] != other["low"]).any()


def test_intervals_are_percentiles_of_the_resamples():
    y_true, y_score = task()
    frame = bootstrap_intervals(y_true, y_score, n_resamples=99, confidence_level=0.8, random_state=3)
    pd.testing.assert_series_equal(frame["value"], headline_frame(y_true, y_score)["value"])
    (resampled,) = resampled_headlines(
        [Predictions.from_arrays(y_true, y_score)], top_k=5, n_resamples=99, random_state=3, n_jobs=None
    )
    np.testing.assert_allclose(frame["low"], np.percentile(resampled, 10, axis=1))
    np.testing.assert_allclose(frame["high"], np.percentile(resampled, 90, axis=1))
    assert (frame["low"] < frame["value"]).all()
    assert (frame["value"] < frame["high"]).all()


def test_width_is_that_of_theory():
    # Of n draws with a fraction p, the standard error is sqrt(p (1 - p) / n): 0.02 here.
    y_true = ["a"] * 400
    frame = bootstrap_intervals(y_true, y_pred=["a"] * 320 + ["b"] * 80, n_resamples=2000, random_state=0)
    low, high = frame.loc["accuracy", ["low", "high"]]
    assert (high - low) / (2 * 1.96) == pytest.approx(0.02, rel=0.1)


def test_undefined_metrics_are_nan_with_the_reason():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        frame = bootstrap_intervals(["a", "a", "b"], y_pred=["a", "b", "b"], n_resamples=20, random_state=0)
    undefined = frame["value"].isna()
    assert undefined["roc_auc_ovr"]
    assert not undefined["f1_macro"]
    assert frame.loc[undefined, ["low", "high"]].isna().all(axis=None)
    assert (frame.loc[undefined, "note"] != "").all()


def test_no_mistake_at_all_is_no_certainty():
    frame = bootstrap_intervals(["a", "b"] * 5, y_pred=["a", "b"] * 5, n_resamples=20, random_state=0)
    assert frame.loc["accuracy"].tolist() == [
        1,
        1,
        1,
        "the same in all resamples: too few samples, or too few errors",
    ]


def test_samples_without_weight_do_not_count():
    y_true, y_score = task(40)
    weight = np.ones(40)
    weight[y_true == 3] = 0
    frame = bootstrap_intervals(y_true, y_score, sample_weight=weight, n_resamples=20, random_state=0)
    counts = weight > 0
    golden = bootstrap_intervals(y_true[counts], y_score[counts], classes=range(4), n_resamples=20, random_state=0)
    pd.testing.assert_frame_equal(frame, golden)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"n_resamples": 0}, "n_resamples=0"),
        ({"confidence_level": 95}, "confidence_level is 95; expected a fraction"),
    ],
)
def test_parameters_out_of_range(parameters, message):
    with pytest.raises(ValueError, match=message):
        bootstrap_intervals([0, 1], y_pred=[0, 1], **{"n_resamples": 5} | parameters)


@pytest.mark.parametrize(
    ("given", "said"),
    [({"n_resamples": 9.5}, "n_resamples=9.5"), ({"confidence_level": "95"}, "confidence_level is '95'"),
     ({"top_k": 1.5, "n_resamples": 5}, "top_k=1.5")],
)  # fmt: skip
def test_parameters_of_another_type_are_refused(given, said):
    with pytest.raises(ValueError, match=said):
        bootstrap_intervals([0, 1, 2], np.eye(3), **given)


@pytest.mark.parametrize("number", [0, 1])
def test_intervals_at_a_threshold_are_those_of_binomial_counts(number):
    # Of 80 positive samples 60 are found, of 200 negative ones 10 are false positives. In a resample both counts are
    # binomial, and independent.
    true = np.repeat([number, 1 - number], [80, 200])
    score = np.concatenate([np.full(60, 0.7), np.full(20, 0.3), np.full(10, 0.6), np.full(190, 0.1)])
    score = np.column_stack([1 - score, score] if number else [score, 1 - score])
    predictions = Predictions.from_arrays(true, score, classes=[0, 1])
    frame = threshold_intervals_of(predictions, number, 0.6, n_resamples=4000, random_state=0)
    assert frame["value"].to_dict() == {"precision": 60 / 70, "recall": 60 / 80}
    np.testing.assert_allclose(
        frame.loc["recall", ["low", "high"]].astype(float), stats.binom.ppf([0.025, 0.975], 80, 0.75) / 80, atol=0.0126
    )
    rng = np.random.default_rng(1)
    found, false = rng.binomial(80, 0.75, 100_000), rng.binomial(200, 0.05, 100_000)
    golden = np.quantile(found / (found + false), [0.025, 0.975])
    np.testing.assert_allclose(frame.loc["precision", ["low", "high"]].astype(float), golden, atol=0.01)


def test_intervals_at_a_threshold_with_weights_and_without_what_they_need():
    weight = [1, 3, 2, 2]
    predictions = Predictions.from_arrays([1, 1, 0, 0], [0.9, 0.1, 0.8, 0.2], sample_weight=weight)
    frame = threshold_intervals_of(predictions, 1, 0.5, n_resamples=20, random_state=0)
    assert frame["value"].to_dict() == {"precision": 1 / 3, "recall": 1 / 4}
    nothing = threshold_intervals_of(predictions, 1, 2.0, n_resamples=20, random_state=0)
    assert nothing.loc["precision"].isna().all()
    assert nothing.loc["recall"].tolist() == [0, 0, 0]
    with pytest.raises(ValueError, match="A threshold needs scores, and there are none"):
        threshold_intervals_of(Predictions.from_arrays([0, 1], y_pred=[0, 1]), 1, 0.5)
