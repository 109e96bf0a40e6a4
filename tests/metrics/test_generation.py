"""Metrics of generated images, against loops, closed forms and SciPy's root of a matrix."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.linalg import sqrtm
from scipy.stats import beta, special_ortho_group

from skcnn.metrics import (
    class_coverage_frame,
    feature_precision_recall,
    frechet_feature_distance,
    generation_frame,
    kernel_distance,
    training_copies,
)
from skcnn.metrics._feature_distances import frechet_distance_of, kernel_distances_of

GENERATOR = np.random.default_rng(0)
REAL, GENERATED = GENERATOR.normal(size=(40, 3)), GENERATOR.normal(0.5, 1.5, size=(30, 3))


def kernel_distance_by_loops(X, Y):
    def kernel(a, b):
        return (np.dot(a, b) / len(a) + 1) ** 3

    def within(rows):
        return np.mean([kernel(a, b) for i, a in enumerate(rows) for j, b in enumerate(rows) if i != j])

    return within(X) + within(Y) - 2 * np.mean([kernel(a, b) for a in X for b in Y])


def small(n_rows):
    values = st.floats(-3, 3, width=32).map(lambda x: round(x, 3))
    return arrays(np.float64, st.tuples(n_rows, st.just(2)), elements=values)


@settings(max_examples=30, deadline=None)
@given(small(st.integers(2, 6)), small(st.integers(2, 6)))
def test_kernel_distance_is_that_of_loops(X, Y):
    assert kernel_distance(X, Y) == pytest.approx(kernel_distance_by_loops(X, Y), abs=1e-9)
    assert kernel_distance(X, Y) == pytest.approx(kernel_distance(Y, X), abs=1e-9)


def test_kernel_distance_is_unbiased():
    """Over many pairs of small samples of one distribution its mean is 0, which the biased estimate's is not."""
    draws = np.random.default_rng(1).normal(size=(2000, 2, 5, 2))
    found = np.array([kernel_distance(*pair) for pair in draws])
    assert abs(found.mean()) < 3 * found.std() / np.sqrt(len(found))
    assert (found < 0).any()


def test_kernel_distance_of_point_masses():
    # k(a, a) + k(b, b) - 2 k(a, b) of one feature: (a^2 + 1)^3 + (b^2 + 1)^3 - 2 (ab + 1)^3
    assert kernel_distance([[1.0]] * 3, [[2.0]] * 2) == pytest.approx(8 + 125 - 2 * 27)


def test_kernel_distance_in_parts(monkeypatch):
    whole = kernel_distance(REAL, GENERATED)
    monkeypatch.setattr("skcnn.metrics._feature_distances._CHUNK", 70)
    assert kernel_distance(REAL, GENERATED) == pytest.approx(whole)


def test_weights_repeat_images_without_comparing_them_with_themselves():
    weights, others = np.array([2, 0, 1, 3]), np.array([1, 1, 2])
    X, Y = REAL[:4], GENERATED[:3]
    K, L, M = ((a @ b.T / 3 + 1) ** 3 for a, b in ((X, X), (Y, Y), (X, Y)))

    def within(kernel, w):
        pairs = [(i, j) for i in range(len(w)) for j in range(len(w)) if i != j]
        return sum(w[i] * w[j] * kernel[i, j] for i, j in pairs) / sum(w[i] * w[j] for i, j in pairs)

    expected = within(K, weights) + within(L, others) - 2 * weights @ M @ others / 24
    found = kernel_distances_of(X, Y, weights[:, None].astype(float), others[:, None].astype(float))
    assert found == pytest.approx([expected])


@pytest.mark.parametrize("shape", [(40, 30, 3), (6, 5, 9)])
def test_frechet_distance_is_that_of_scipys_root(shape):
    n, m, d = shape
    X, Y = np.random.default_rng(2).normal(size=(n, d)), np.random.default_rng(3).normal(1, 2, size=(m, d))
    first, second = np.cov(X.T), np.cov(Y.T)
    root = sqrtm(first @ second + 1e-12 * np.eye(d)).real
    expected = ((X.mean(0) - Y.mean(0)) ** 2).sum() + np.trace(first + second - 2 * root)
    assert frechet_feature_distance(X, Y) == pytest.approx(expected, rel=1e-4)


@settings(max_examples=20, deadline=None)
@given(st.lists(st.floats(0.1, 5), min_size=3, max_size=3), st.floats(-4, 4), st.integers(0, 100))
def test_frechet_distance_of_normal_distributions_in_closed_form(scales, shift, seed):
    """Of features that are stretched along axes of their own: the squared differences of means and deviations."""
    white = np.linalg.qr(np.random.default_rng(seed).normal(size=(20, 4)))[0]
    white = np.linalg.qr(white - white.mean(axis=0))[0][:, :3] * np.sqrt(19)
    white -= white.mean(axis=0)
    white = white @ np.linalg.inv(np.linalg.cholesky(np.cov(white.T)).T)
    turn = special_ortho_group.rvs(3, random_state=seed)
    expected = sum((1 - scale) ** 2 for scale in scales) + 3 * shift**2
    found = frechet_feature_distance(white @ turn, (white * scales + shift) @ turn)
    assert found == pytest.approx(expected, rel=1e-6, abs=1e-9)


def test_frechet_distance_with_weights_is_that_of_repeated_images():
    weights = np.random.default_rng(4).integers(0, 4, 40)
    expected = frechet_feature_distance(np.repeat(REAL, weights, axis=0), GENERATED)
    assert frechet_distance_of(REAL, GENERATED, weights.astype(float)) == pytest.approx(expected)


@settings(max_examples=30, deadline=None)
@given(small(st.integers(4, 8)), small(st.integers(4, 8)), st.integers(1, 3))
def test_precision_recall_and_coverage_are_those_of_loops(X, Y, k):
    def radius(rows, i):
        return sorted(np.sum((rows[i] - row) ** 2) for j, row in enumerate(rows) if j != i)[k - 1]

    def inside(a, rows, j):
        return np.sum((a - rows[j]) ** 2) <= radius(rows, j)

    expected = {
        "precision": np.mean([any(inside(y, X, j) for j in range(len(X))) for y in Y]),
        "recall": np.mean([any(inside(x, Y, j) for j in range(len(Y))) for x in X]),
        "coverage": np.mean([any(inside(y, X, j) for y in Y) for j in range(len(X))]),
    }
    assert feature_precision_recall(X, Y, n_neighbors=k) == pytest.approx(expected)
    assert set(feature_precision_recall(X, X, n_neighbors=k).values()) == {1.0}


def test_copies_are_found_and_chance_is_not():
    generator = np.random.default_rng(5)
    training, held_out, generated = (generator.normal(size=(n, 6)) for n in (300, 400, 500))
    generated[[3, 70]] = training[[10, 20]] + 1e-3
    frame = training_copies(training, generated, held_out, fraction=0.02)
    assert set(frame["generated"][:2]) == {3, 70}
    assert frame.set_index("generated")["training"][[3, 70]].tolist() == [10, 20]
    assert frame["is_copy"].mean() < 0.05
    assert frame["distance"].is_monotonic_increasing
    expected = np.sqrt(((generated[:, None] - training[None]) ** 2).sum(axis=2)).min(axis=1)
    np.testing.assert_allclose(frame.set_index("generated")["distance"].sort_index(), expected, rtol=1e-6)


def test_the_table_has_the_metrics_and_their_intervals():
    frame = generation_frame(REAL, GENERATED, X_other=REAL[::-1], random_state=0)
    assert frame["value"]["kernel_distance"] == pytest.approx(kernel_distance(REAL, GENERATED))
    assert frame["value"]["frechet_feature_distance"] == pytest.approx(frechet_feature_distance(REAL, GENERATED))
    for name, value in feature_precision_recall(REAL, GENERATED).items():
        assert frame["value"][name] == value
    assert (frame["low"] <= frame["value"]).all()
    assert (frame["value"] <= frame["high"]).all()
    assert frame["real"]["frechet_feature_distance"] == pytest.approx(0, abs=1e-9)
    assert frame["real"][["precision", "recall", "coverage"]].eq(1).all()
    assert frame["n_real"].eq(40).all()
    assert frame["n_generated"].eq(30).all()
    assert frame.equals(generation_frame(REAL, GENERATED, X_other=REAL[::-1], random_state=0))
    assert generation_frame(REAL, GENERATED, random_state=0)["real"]["frechet_feature_distance"] > 0


def test_intervals_hold_what_they_promise():
    """Of draws of two known distributions the interval has the true kernel distance in it about as often as it says.

    The true one is that of many draws.
    """
    generator = np.random.default_rng(6)
    truth = kernel_distance(generator.normal(size=(4000, 2)), generator.normal(0.7, 1, size=(4000, 2)))
    hits = 0
    for seed in range(60):
        frame = generation_frame(
            generator.normal(size=(60, 2)), generator.normal(0.7, 1, size=(60, 2)), n_resamples=60, random_state=seed
        )
        hits += frame["low"]["kernel_distance"] <= truth <= frame["high"]["kernel_distance"]
    assert 49 <= hits <= 60


def test_many_features_have_no_interval_of_the_frechet_distance(monkeypatch):
    monkeypatch.setattr("skcnn.metrics._generation._MAX_FEATURES", 2)
    frame = generation_frame(REAL, GENERATED, n_resamples=20, random_state=0)
    assert frame.index[frame["low"].isna()].tolist() == ["frechet_feature_distance"]
    assert "no interval" in frame["note"]["frechet_feature_distance"]


def test_coverage_of_classes():
    frame = class_coverage_frame(["a"] * 50 + ["b"] * 40 + ["c"] * 10, ["a"] * 95 + ["b"] * 5)
    assert frame["is_covered"].tolist() == [True, True, False]
    assert frame["generated_fraction"].tolist() == [0.95, 0.05, 0]
    # Clopper and Pearson's interval, by quantiles of the beta distribution.
    assert frame["low"]["b"] == pytest.approx(beta.ppf(0.025, 5, 96))
    assert frame["high"]["b"] == pytest.approx(beta.ppf(0.975, 6, 95))
    assert frame["real_fraction"].sum() == pytest.approx(1)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: kernel_distance(REAL, GENERATED[:, :2]), "X_real has 3 features and X_generated 2; expected"),
        (lambda: kernel_distance(REAL[:1], GENERATED), "X_real has 1 rows; expected at least 2"),
        (lambda: kernel_distance(np.zeros((3, 4, 4)), GENERATED), "expected features of shape"),
        (lambda: frechet_feature_distance(REAL, GENERATED * [1, np.nan, 1]), "X_generated is not finite in the rows"),
        (lambda: feature_precision_recall(REAL, GENERATED, n_neighbors=30), "n_neighbors=30; expected"),
        (lambda: training_copies(REAL, GENERATED, REAL, fraction=1), "fraction=1; expected"),
        (lambda: training_copies(REAL, GENERATED, REAL[:, :1]), "X_held_out 1; expected"),
        (lambda: generation_frame(REAL[:3], GENERATED, n_neighbors=1), "expected at least 4"),
        (lambda: class_coverage_frame([], ["a"]), "y_real has shape"),
        (lambda: class_coverage_frame(["a"], ["a"], min_ratio=2), "min_ratio=2; expected"),
    ],
)
def test_errors(call, message):
    with pytest.raises(ValueError, match=message):
        call()
