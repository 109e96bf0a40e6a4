"""The filter: its equations against another program's, and what it keeps."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from skcnn.tracking import TrackNoise, _kalman
from skcnn.tracking._noise import SORT_NOISE, learned_noise

finite = st.floats(1, 500)
boxes = arrays(float, (5, 4), elements=finite).map(lambda a: np.concatenate([a[:, :2], a[:, :2] + a[:, 2:]], axis=1))


@settings(max_examples=25, deadline=None)
@given(boxes)
def test_measurements_and_boxes_are_inverse(given_boxes):
    np.testing.assert_allclose(
        _kalman.boxes_of(_kalman.measurements_of(given_boxes)), given_boxes, rtol=1e-9, atol=1e-6
    )


@settings(max_examples=25, deadline=None)
@given(boxes, arrays(float, (6, 5, 4), elements=st.floats(-30, 30)))
def test_variances_stay_positive(first, moves):
    measured = _kalman.measurements_of(first)
    states = _kalman.begin(measured, SORT_NOISE.of_new_tracks(measured))
    for move in moves:
        states = _kalman.predict(states, SORT_NOISE.of_steps(states[:, 0]))
        states = _kalman.update(states, states[:, 0] + move, SORT_NOISE.of_measurements(states[:, 0]))
        assert (states[:, _kalman.VARIANCE] > 0).all()
        assert (states[:, _kalman.CHANGE_VARIANCE] >= 0).all()
        # The covariance matrix of a number and its change is one.
        product = states[:, _kalman.VARIANCE] * states[:, _kalman.CHANGE_VARIANCE]
        assert (states[:, _kalman.COVARIANCE] ** 2 <= product * (1 + 1e-9)).all()


def test_two_steps_by_hand():
    """A number seen at 0 with variance 10 (its change 10,000), process noise 1 and 0.01, then seen at 10."""
    measured = np.array([[0.0, 0.0, 100.0, 1.0]])
    states = _kalman.begin(measured, SORT_NOISE.of_new_tracks(measured))
    states = _kalman.predict(states, SORT_NOISE.of_steps(measured))
    assert states[0, :, 0].tolist() == [0.0, 0.0, 10 + 10_000 + 1, 10_000, 10_000.01]
    states = _kalman.update(states, np.array([[10.0, 0.0, 100.0, 1.0]]), SORT_NOISE.of_measurements(measured))
    np.testing.assert_allclose(states[0, :2, 0], [10 * 10_011 / 10_012, 10 * 10_000 / 10_012])
    np.testing.assert_allclose(states[0, 2:, 0], [10_011 / 10_012, 10_000 / 10_012, 10_000.01 - 1e8 / 10_012])


def test_an_area_does_not_fall_below_nothing():
    states = np.zeros((1, 5, 4))
    states[0, 0], states[0, 1, 2] = (5, 5, 100, 1), -150
    assert _kalman.predict(states, np.zeros((1, 2, 4)))[0, 0, 2] == 100


def test_distances_are_those_of_chi_squared():
    generator = np.random.default_rng(0)
    states = np.zeros((1, 5, 4))
    states[0, 2] = (4, 9, 100, 0.1)
    noise = np.array([[1.0, 1.0, 10.0, 0.05]])
    seen = generator.normal(0, np.sqrt(states[0, 2] + noise), (20_000, 4))
    assert np.mean(_kalman.squared_distances(states, seen, noise) <= 9.4877) == pytest.approx(0.95, abs=0.005)


def test_noise_is_learned_back():
    """Tracks drawn from the model itself give about the variances that they were drawn with."""
    generator = np.random.default_rng(1)
    truths, size = [], np.array([100.0, 100.0])
    for _ in range(150):
        velocity, place = generator.normal(0, 2, 2), generator.uniform(0, 500, 2)
        places = []
        for _ in range(40):
            place = place + velocity + generator.normal(0, 1.0, 2)
            velocity = velocity + generator.normal(0, 0.5, 2)
            places.append(np.concatenate([place, place + size]))
        truths.append(np.array(places))
    true = np.concatenate(truths)
    noise = learned_noise(truths, true + np.tile(generator.normal(0, 3, (len(true), 2)), 2), true)
    assert noise.relative
    np.testing.assert_allclose(np.sqrt(noise.measurement[:2]), 0.03, rtol=0.06)
    np.testing.assert_allclose(np.sqrt(noise.process[:2]), 0.01, rtol=0.15)
    np.testing.assert_allclose(np.sqrt(noise.process[4:6]), 0.005, rtol=0.15)
    assert learned_noise([true[:2]], true[:2], true[:2]) is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"measurement": (1.0,) * 3}, "expected 4 finite variances"),
        ({"measurement": (0.0,) * 4}, "no detection is perfect"),
        ({"process": (-1.0,) * 7}, "expected 7 finite variances"),
        ({"initial": (np.nan,) * 7}, "expected 7 finite variances"),
    ],
)
def test_invalid_noise_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        TrackNoise(**{"measurement": (1.0,) * 4, "process": (1.0,) * 7, "initial": (1.0,) * 7, **changes})


@pytest.mark.slow
@pytest.mark.parametrize("relative", [False, True])
def test_it_equals_filterpy(relative):
    filterpy = pytest.importorskip("filterpy.kalman")
    generator = np.random.default_rng(2)
    noise = TrackNoise(*(tuple(generator.uniform(0.01, 2, n)) for n in (4, 7, 7)), relative=relative)
    for _ in range(20):
        first = np.array([[0.0, 0.0, 90.0, 150.0]]) + generator.uniform(0, 200, 2)[[0, 1, 0, 1]]
        measured = _kalman.measurements_of(first)
        states = _kalman.begin(measured, noise.of_new_tracks(measured))
        other = filterpy.KalmanFilter(7, 4)
        other.F[[0, 1, 2], [4, 5, 6]] = 1
        other.H = np.eye(4, 7)
        other.x[:4, 0] = measured
        other.P = np.diag(noise.of_new_tracks(measured)[0].ravel()[:7])
        for _ in range(50):
            other.Q = np.diag(noise.of_steps(states[:, 0])[0].ravel()[:7])
            states = _kalman.predict(states, noise.of_steps(states[:, 0]))
            if other.x[2, 0] + other.x[6, 0] <= 0:
                other.x[6] = 0
            other.predict()
            other.R = np.diag(noise.of_measurements(states[:, 0])[0])
            seen = states[:, 0] + generator.normal(0, (3, 3, 0.02 * abs(states[0, 0, 2]), 0.02))
            if generator.random() < 0.8:
                states = _kalman.update(states, seen, noise.of_measurements(states[:, 0]))
                other.update(seen[0])
            np.testing.assert_allclose(states[0, :2].ravel()[:7], other.x[:, 0], rtol=1e-9, atol=1e-9)
            spread = np.diag(other.P)
            np.testing.assert_allclose(states[0, [2, 4]].ravel()[:7], spread, rtol=1e-6)
            np.testing.assert_allclose(states[0, 3, :3], other.P[[0, 1, 2], [4, 5, 6]], rtol=1e-6)
            assert not other.P[0, [1, 2, 3, 5, 6]].any()
