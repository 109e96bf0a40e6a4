"""What is said of the errors of numbers: each sentence where it holds, and silence where errors are plain noise."""

import numpy as np
import pytest

from skcnn.metrics._numbers import NumberPredictions
from skcnn.report._error_patterns import error_patterns


def said(true, predicted, r2=0.5, weight=None):
    return error_patterns(NumberPredictions.from_arrays(true, predicted, sample_weight=weight), r2)


def noisy(seed=0, n_samples=400):
    rng = np.random.default_rng(seed)
    predicted = rng.normal(50, 10, n_samples)
    return predicted + rng.normal(0, 4, n_samples), predicted


def test_of_plain_noise_nothing_is_said():
    findings = [said(*noisy(seed, n_samples)) for n_samples in (20, 100, 400) for seed in range(30)]
    assert sum(map(bool, findings)) <= 2, findings


def test_no_better_than_the_mean():
    (sentence,) = said([1, 2, 3], [3, 2, 1], r2=-3.0)
    assert sentence == "Predictions are no better than always predicting the mean, whose R2 is 0."
    assert said([1, 2, 3], [3, 2, 1], r2=0.2) == []
    assert said([1, 1], [1, 2], r2=np.nan) == []


@pytest.mark.parametrize(("shift", "word"), [(3, "high"), (-3, "low")])
def test_too_high_or_too_low(shift, word):
    true, predicted = noisy()
    bias = abs(np.mean(predicted + shift - true))
    assert said(true, predicted + shift) == [f"Predictions are too {word} by {bias:.2f} on average."]


def test_shrunk_towards_the_mean_or_too_far_from_it():
    true, predicted = noisy()
    (sentence,) = said(true, 50 + 0.5 * (predicted - 50))
    slope = np.polyfit(0.5 * predicted, true, 1)[0]
    assert sentence == (
        f"Predictions shrink towards the mean: where they differ by 1, true values differ by {slope:.3g} on average, "
        "so that high ones come out too low, and low ones too high."
    )
    (sentence,) = said(true, 50 + 2 * (predicted - 50))
    assert sentence.startswith("Predictions lie too far from the mean: where they differ by 1, true values differ by")
    assert sentence.endswith("high ones come out too high, and low ones too low.")
    # Of a few samples, such a slope may be chance; a prediction that never differs has none.
    assert said(true[:19], 50 + 0.5 * (predicted[:19] - 50)) == []
    assert said(true, np.full(400, true.mean())) == []


def test_errors_that_grow_with_the_predicted_value():
    rng = np.random.default_rng(0)
    predicted = rng.uniform(1, 10, 300)
    true = predicted + rng.normal(0, 1, 300) * predicted / 10
    order = np.argsort(predicted)
    low, high = (np.abs(true - predicted)[rows].mean() for rows in (order[:100], order[200:]))
    (sentence,) = said(true, predicted)
    assert sentence == (
        f"Errors grow with the predicted value: the MAE is {low:.3f} in the lowest third of the predictions and "
        f"{high:.3f} in the highest. A model of the logarithm may fit better."
    )
    (sentence,) = said(-true, -predicted)
    assert sentence.startswith("Errors fall with the predicted value")
    assert "logarithm" not in sentence
    assert "logarithm" not in said(true - 5, predicted - 5)[0]


def test_a_few_samples_make_half_of_the_error():
    true, predicted = noisy()
    true[[3, 70]] += [200, -200]
    (sentence,) = said(true, predicted)
    assert sentence == "Half of the squared error comes from 2 of 400 samples: look at the worst errors."
    true[70] += 200
    assert "comes from 1 of 400 samples" in said(true, predicted)[0]


def test_samples_of_weight_0_are_none():
    true, predicted = noisy()
    true[3] += 500
    weight = np.ones(400)
    weight[3] = 0
    assert said(true, predicted, weight=weight) == []
    assert said(true, predicted, weight=(np.arange(400) < 19)) == []


def test_weights_count():
    true, predicted = noisy()
    predicted = predicted + np.where(np.arange(400) % 2, 3, -3)
    assert said(true, predicted) == []
    assert "too high by" in said(true, predicted, weight=np.where(np.arange(400) % 2, 5, 1))[0]


def test_exact_predictions():
    assert said(np.arange(50), np.arange(50), r2=1.0) == []
