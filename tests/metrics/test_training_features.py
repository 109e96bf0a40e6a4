"""Distances to a training set: their definition, their honesty, and what drift does to them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from skcnn.metrics import TrainingFeatures, distance_frame

NORMAL = np.random.default_rng(0)


def test_the_distance_is_that_of_the_docstring():
    features = NORMAL.normal(size=(60, 5)) * [1, 2, 3, 4, 5] + 7
    training = TrainingFeatures.of(features)
    variances = features.var(axis=0)
    scale = np.sqrt(variances + 0.01 * variances.mean())
    x = features[0] + 3
    expected = np.sqrt(sum(((x - features.mean(axis=0)) / scale) ** 2) / 5)
    np.testing.assert_allclose(training.distances([x]), [expected])


def test_new_images_of_the_same_kind_are_as_far_as_the_kept_quantiles_say():
    # 30 training samples of 100 features: their own distances would be too small.
    fractions, of_their_own = [], []
    for _ in range(40):
        train, new = NORMAL.normal(size=(30, 100)), NORMAL.normal(size=(200, 100))
        training = TrainingFeatures.of(train)
        fractions.append(distance_frame(training, new).loc[0.5, "fraction"])
        of_their_own.append((training.distances(new) > np.median(training.distances(train))).mean())
    assert 0.3 < np.mean(fractions) < 0.55
    assert np.mean(of_their_own) > 0.75


def test_uniform_where_nothing_drifts():
    train, new = NORMAL.normal(size=(4000, 10)), NORMAL.normal(size=(2000, 10))
    training = TrainingFeatures.of(train)
    ranks = training.farther_than(training.distances(new))
    assert stats.kstest(ranks, "uniform").statistic < 0.05
    frame = distance_frame(training, new)
    np.testing.assert_allclose(frame["fraction"], 1 - frame.index, atol=0.05)
    np.testing.assert_allclose(frame["training"], frame["new"], rtol=0.05)
    assert distance_frame(training, new + 3).loc[0.95, "fraction"] == 1


@settings(max_examples=30, deadline=None)
@given(arrays(np.float64, (25, 3), elements=st.floats(-100, 100)), st.floats(0.1, 10))
def test_scales_and_order_do_not_matter(features, factor):
    training = TrainingFeatures.of(features)
    assert (np.diff(training.quantiles) >= 0).all()
    assert (training.scale > 0).all()
    if features.std(axis=0).min() > 1e-3:
        scaled = TrainingFeatures.of(features * factor)
        np.testing.assert_allclose(scaled.distances(features * factor), training.distances(features), rtol=1e-6)


def test_constant_features_decide_nothing_alone():
    features = np.column_stack([NORMAL.normal(size=100), np.zeros(100)])
    training = TrainingFeatures.of(features)
    assert training.distances([[0, 0.05]])[0] < 1.5


def test_rows_of_nan_are_left_out():
    features = NORMAL.normal(size=(50, 4))
    with_nan = np.vstack([np.full((1, 4), np.nan), features])
    training = TrainingFeatures.of(with_nan)
    np.testing.assert_allclose(training.mean, features.mean(axis=0))
    assert np.isnan(training.distances(with_nan)[0])
    assert np.isfinite(distance_frame(training, with_nan).to_numpy()).all()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: TrainingFeatures.of(np.zeros((19, 3))), "Got features of 19 images; expected at least 20"),
        (lambda: TrainingFeatures.of(np.zeros(30)), r"Got features of shape \(30,\)"),
        (lambda: TrainingFeatures.of(np.eye(30)).distances(np.eye(3)), "Got 3 features; expected 30"),
        (lambda: distance_frame(TrainingFeatures.of(np.eye(30)), np.full((2, 30), np.nan)), "features of no image"),
    ],
)
def test_errors(call, message):
    with pytest.raises(ValueError, match=message):
        call()
